//! `timely tail`: the live stream as lines, exactly as it is on the wire.

use std::time::Duration;

use timely_client::live::{About, Message, Said, Subscription, Target, Transport, Update, Version};
use timely_core::cursor::Cursor;
use timely_core::id::TeamId;
use timely_core::live::Control;
use timely_core::topic::{Stream, Topic};
use tokio::time::{Instant, timeout_at};

use crate::context::Context;
use crate::discovery::Need;
use crate::error::{CliError, Exit};
use crate::named;
use crate::output::Output;

/// No `--timeout`: a day's worth of years.
const FOREVER: Duration = Duration::from_hours(24 * 365);

/// Follow the live stream, one JSON message a line
///
/// Starts with the current state, then prints every change as it comes, and goes on after every cut
/// without a gap. Runs until Ctrl-C, --count messages or --timeout.
#[derive(clap::Args, Debug)]
#[command(before_help = "Examples:
  timely tail
  timely tail --topic results --topic announcements
  timely tail --team EAG --count 5 --timeout 30s
  timely tail --since k3f9a2.1042          everything after that cursor")]
pub(crate) struct TailArgs {
    /// results, schedule, announcements, or a whole topic such as `event_1_results`; repeatable
    #[arg(long, value_name = "TOPIC", value_delimiter = ',')]
    topic: Vec<String>,

    /// Follow one team instead of the whole event
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,

    /// Replay everything after this cursor first
    #[arg(long, value_name = "CURSOR")]
    since: Option<Cursor>,

    /// Stop after so many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Use this transport only
    #[arg(long, value_name = "ws|sse")]
    transport: Option<Transport>,
}

pub(crate) async fn run(args: TailArgs, context: &Context, out: &mut Output) -> Result<(), CliError> {
    let wanted = Wanted::read(&args.topic)?;
    let client = context.client(Need::Read, out).await?;
    let about = match (wanted.about, &args.team) {
        (Some(_), Some(_)) => {
            return Err(CliError::usage("--team and a whole topic both say what to follow; give one of them"));
        }
        (Some(about), None) => about,
        (None, Some(team)) => {
            let event = context.event(&client, out).await?;
            let teams = client.teams(event.id).await?;
            About::Team(named::team(&teams, team, &event)?.id)
        }
        (None, None) => About::Event(context.event(&client, out).await?.id),
    };
    let streams = if wanted.streams.is_empty() { Stream::ALL.to_vec() } else { wanted.streams.clone() };
    let target = Target { about, streams, since: args.since, version: Version::V2, only: args.transport };
    let mut subscription = Subscription::new(&client, target);

    let ends = Instant::now() + context.globals.timeout.unwrap_or(FOREVER);
    let mut way = Way { only: args.transport, last: None };
    let mut printed = 0;
    loop {
        let Ok(update) = timeout_at(ends, subscription.next()).await else {
            go_on(&subscription, out)?;
            return ran_out(args.count, printed);
        };
        match update? {
            Update::Message(Message { text, said: Said::Data(header) }) => {
                if !wanted.has(header.topic) {
                    continue;
                }
                out.verbatim(&text)?;
                printed += 1;
                if args.count == Some(printed) {
                    return go_on(&subscription, out);
                }
            }
            Update::Message(Message { said: Said::Control(control), .. }) => remark(&control, out)?,
            Update::Message(Message { said: Said::Unknown, .. }) | Update::RoundTrip(_) => {}
            Update::Open(transport) => {
                if let Some(line) = way.open(transport) {
                    out.note(line)?;
                }
            }
            Update::Stale { age } => out.note(&stale(age))?,
            Update::Lost { cause, .. } if way.last.is_none() => {
                let address = client.address().to_owned();
                return Err(timely_client::Error::Unreachable { address, cause }.into());
            }
            Update::Lost { cause, retry_in, .. } => {
                out.note(&format!("RECONNECTING in {:.1} s: {cause}", retry_in.as_secs_f32()))?;
            }
        }
    }
}

/// How the stream comes, as far as its reader should know.
#[derive(Clone, Copy, Debug)]
struct Way {
    only: Option<Transport>,
    last: Option<Transport>,
}

impl Way {
    /// What to say of a new connection: nothing, as long as it is the ordinary or the wanted one.
    fn open(&mut self, transport: Transport) -> Option<&'static str> {
        let last = self.last.replace(transport);
        match (transport, last) {
            _ if self.only.is_some() => None,
            (Transport::Sse, _) => Some("LIVE sse: WebSockets are blocked here"),
            (Transport::WebSocket, Some(Transport::Sse)) => Some("LIVE ws: WebSockets work again"),
            (Transport::WebSocket, _) => None,
        }
    }
}

fn stale(age: Duration) -> String {
    let seconds = age.as_secs();
    format!("STALE {}:{:02}, nothing heard since", seconds / 60, seconds % 60)
}

/// Says where another tail would go on.
fn go_on(subscription: &Subscription, out: &mut Output) -> Result<(), CliError> {
    match subscription.cursor() {
        Some(cursor) => out.note(&format!("Go on: timely tail --since {cursor}")),
        // The current state has not arrived as a whole: there is nothing to go on from.
        None => Ok(()),
    }
}

fn ran_out(count: Option<u64>, printed: u64) -> Result<(), CliError> {
    match count {
        None => Ok(()),
        Some(count) => Err(CliError::new(
            Exit::TimedOut,
            "timeout",
            format!("the time ran out after {printed} of {count} messages"),
        )),
    }
}

/// What a reader of the lines should know and cannot see in them.
fn remark(control: &Control, out: &mut Output) -> Result<(), CliError> {
    use timely_core::cursor::NotRecovered::Fresh;
    match control {
        Control::Subscribed { stream, recovered: false, reason: Some(reason), .. } if *reason != Fresh => out.note(
            &format!("{stream}: not every change since the cursor can be told ({reason}); the current state follows"),
        ),
        Control::Resync { reason, .. } => {
            out.note(&format!("some changes were dropped ({reason}); the current state follows"))
        }
        Control::Error { message, .. } => out.note(&format!("the server says: {message}")),
        _ => Ok(()),
    }
}

/// Which frames are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// By name: only frames of these topics.
    topics: Vec<Topic>,
    /// By word: everything that the stream brings.
    streams: Vec<Stream>,
    /// What the whole topics are about.
    about: Option<About>,
}

impl Wanted {
    fn read(words: &[String]) -> Result<Self, CliError> {
        let mut wanted = Self::default();
        for word in words {
            if let Ok(stream) = word.parse::<Stream>() {
                wanted.streams.push(stream);
            } else {
                let topic: Topic = word.parse().map_err(|_| {
                    CliError::usage(format!("`{word}` is not a topic"))
                        .hint("Topics are results, schedule, announcements; or in full: event_1_results, team_3")
                })?;
                let about = about(topic);
                if wanted.about.is_some_and(|other| other != about) {
                    return Err(
                        CliError::usage("one tail follows one event or one team").hint("Run another one beside it")
                    );
                }
                wanted.about = Some(about);
                wanted.topics.push(topic);
            }
        }
        if !wanted.topics.is_empty() {
            if !wanted.streams.is_empty() {
                return Err(CliError::usage("name all topics by word (results) or all in full (event_1_results)"));
            }
            wanted.streams = wanted.topics.iter().filter_map(|topic| topic.stream()).collect();
        }
        Ok(wanted)
    }

    fn has(&self, topic: Topic) -> bool {
        if !self.topics.is_empty() {
            return self.topics.contains(&topic);
        }
        // Without a wish everything is wanted, the event's own changes too.
        self.streams.is_empty() || topic.stream().is_some_and(|stream| self.streams.contains(&stream))
    }
}

fn about(topic: Topic) -> About {
    match topic {
        Topic::Event(event)
        | Topic::EventResults(event)
        | Topic::EventSchedule(event)
        | Topic::EventAnnouncements(event)
        | Topic::EventParticipants(event)
        | Topic::EventStaff(event) => About::Event(event),
        Topic::Team(team) | Topic::TeamResults(team) | Topic::TeamSchedule(team) | Topic::TeamAnnouncements(team) => {
            About::Team(TeamId(team.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use timely_core::id::EventId;

    fn read(words: &[&str]) -> Result<Wanted, CliError> {
        Wanted::read(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn topics_go_by_word_or_in_full_and_nothing_else_is_printed() {
        let (results, schedule, base) =
            (Topic::EventResults(EventId(1)), Topic::EventSchedule(EventId(1)), Topic::Event(EventId(1)));
        for (words, printed) in [
            (&[][..], [true, true, true]),
            (&["results"], [true, false, false]),
            (&["Results", "schedule"], [true, true, false]),
            (&["event_1_results"], [true, false, false]),
            (&["event_1"], [false, false, true]),
            (&["event_1", "event_1_schedule"], [false, true, true]),
        ] {
            let wanted = read(words).unwrap();
            assert_eq!([results, schedule, base].map(|topic| wanted.has(topic)), printed, "{words:?}");
        }
        assert_eq!(read(&["team_3_results"]).unwrap().about, Some(About::Team(TeamId(3))));
        for words in [&["nonsense"][..], &["event_1_results", "event_2_results"], &["results", "event_1_results"]] {
            assert_eq!(read(words).unwrap_err().exit, Exit::Usage, "{words:?}");
        }
    }

    #[test]
    fn a_way_that_is_not_the_ordinary_one_is_told() {
        use Transport::{Sse, WebSocket};
        let (blocked, again) = (Some("LIVE sse: WebSockets are blocked here"), Some("LIVE ws: WebSockets work again"));
        for (why, only, opens, told) in [
            ("ordinary", None, &[WebSocket, WebSocket][..], &[None, None][..]),
            ("blocked, cut, and free again", None, &[Sse, Sse, WebSocket, WebSocket], &[blocked, blocked, again, None]),
            ("blocked later", None, &[WebSocket, Sse], &[None, blocked]),
            ("wanted so", Some(Sse), &[Sse, Sse], &[None, None]),
        ] {
            let mut way = Way { only, last: None };
            let said: Vec<_> = opens.iter().map(|transport| way.open(*transport)).collect();
            assert_eq!(said, told, "{why}");
        }
        for (seconds, line) in [(12, "STALE 0:12, nothing heard since"), (75, "STALE 1:15, nothing heard since")] {
            assert_eq!(stale(Duration::from_secs(seconds)), line);
        }
    }

    #[test]
    fn time_that_runs_out_is_a_failure_only_when_something_was_counted_on() {
        assert_eq!(ran_out(None, 0), Ok(()));
        assert_eq!(ran_out(Some(5), 3).unwrap_err().exit, Exit::TimedOut);
    }
}
