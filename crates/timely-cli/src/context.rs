//! What every command starts from: server, event, clock, and somebody to ask.

use std::fmt;
use std::io::{self, BufRead, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use timely_client::{Client, REQUEST_TIMEOUT};
use timely_core::event::Event;
use timely_core::fixture::ScheduleItem;
use timely_core::id::EventId;
use timely_core::reference::{Found, Named, find};
use timely_core::team::Team;
use timely_server::clock::Clock;

use crate::Env;
use crate::args::Globals;
use crate::discovery::{self, Need};
use crate::error::CliError;
use crate::named::Known;
use crate::output::Output;
use crate::when::Frame;

/// The surroundings of one command.
pub(crate) struct Context {
    pub globals: Globals,
    pub env: Env,
    stdin: Arc<Mutex<Box<dyn BufRead + Send>>>,
    may_ask: bool,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("globals", &self.globals).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(globals: Globals, env: Env, stdin: Box<dyn BufRead + Send>, may_ask: bool) -> Self {
        Self { globals, env, stdin: Arc::new(Mutex::new(stdin)), may_ask }
    }

    /// A client of the server that is meant.
    pub(crate) async fn client(&self, need: Need, out: &mut Output) -> Result<Client, CliError> {
        let chosen = discovery::choose(self.globals.server.as_deref(), &self.env, need).await?;
        if let Some(remark) = &chosen.remark {
            out.note(remark)?;
        }
        let client = Client::with_timeout(&chosen.address, chosen.token.as_deref(), self.timeout())?;
        Ok(match &self.globals.key {
            Some(key) => client.with_key(key),
            None => client,
        })
    }

    /// Longest time for a request.
    pub(crate) fn timeout(&self) -> Duration {
        self.globals.timeout.unwrap_or(REQUEST_TIMEOUT)
    }

    /// What was said about the event: flag, then variable.
    fn event_text(&self) -> Option<String> {
        self.globals.event.clone().or_else(|| discovery::text(&self.env, "TIMELY_EVENT"))
    }

    /// The event that is meant: the one named, else the only one, which is then said.
    pub(crate) async fn event(&self, client: &Client, out: &mut Output) -> Result<Event, CliError> {
        self.event_named(client, self.event_text().as_deref(), out).await
    }

    /// The same for a command that takes the event as an argument.
    pub(crate) async fn event_or(
        &self,
        client: &Client,
        given: Option<&str>,
        out: &mut Output,
    ) -> Result<Event, CliError> {
        match given {
            Some(given) => self.event_named(client, Some(given), out).await,
            None => self.event(client, out).await,
        }
    }

    async fn event_named(&self, client: &Client, text: Option<&str>, out: &mut Output) -> Result<Event, CliError> {
        if let Some(id) = text.and_then(|text| text.parse().ok()) {
            match client.event(EventId(id)).await {
                // A number may also be a name.
                Err(error) if error.is_not_found() => {}
                answer => return Ok(answer?),
            }
        }
        let events: Vec<NamedEvent> = client.events().await?.into_iter().map(NamedEvent).collect();
        let label = |event: &Event| format!("{} ({})", event.id, event.name);
        let Some(text) = text else {
            let mut events = events;
            return match events.len() {
                0 => Err(CliError::not_found(format!("{} has no event that you can see", client.address()))
                    .hint("Create one: timely event create \"Harbour Cup\" --date 2026-07-18")),
                1 => {
                    let NamedEvent(event) = events.remove(0);
                    out.note(&format!("Event: {} ({})", event.name, event.id))?;
                    Ok(event)
                }
                count => Err(CliError::ambiguous(format!("{count} events are here; say which with --event"))
                    .candidates(events.iter().map(|NamedEvent(event)| label(event)))),
            };
        };
        match find(&events, text) {
            Found::One(NamedEvent(event)) => Ok(event.clone()),
            Found::Several(several) => Err(CliError::ambiguous(format!("{} events fit \"{text}\"", several.len()))
                .candidates(several.into_iter().map(|NamedEvent(event)| label(event)))
                .hint("Use the number")),
            Found::None => Err(CliError::not_found(format!("no event \"{text}\" on {}", client.address()))
                .candidates(events.iter().map(|NamedEvent(event)| label(event)))
                .hint("All of them: timely event list")),
        }
    }

    /// Event, teams and fixtures: what names are looked up in.
    pub(crate) async fn scene(&self, need: Need, out: &mut Output) -> Result<Scene, CliError> {
        let client = self.client(need, out).await?;
        let event = self.event(&client, out).await?;
        Scene::load(client, event).await
    }

    /// Asks a question of the kind "really?", unless it was answered by `--yes`.
    ///
    /// # Errors
    /// The answer is no, or nobody is there: then the flag is named.
    pub(crate) async fn confirm(&self, question: &str, out: &mut Output) -> Result<(), CliError> {
        if self.globals.yes {
            return Ok(());
        }
        if !self.may_ask {
            return Err(
                CliError::usage(format!("{question} Nobody is here to answer")).hint("Say it beforehand: --yes")
            );
        }
        let answer = self.answer(&format!("{question} [y/N]"), out).await?;
        if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
            Ok(())
        } else {
            Err(CliError::usage("stopped, nothing was sent"))
        }
    }

    /// Has a word typed before something that cannot be taken back, unless `given` has it.
    ///
    /// # Errors
    /// Another word, or nobody is there: then the flag is named.
    pub(crate) async fn confirm_by_word(
        &self,
        why: &str,
        word: &str,
        given: Option<&str>,
        out: &mut Output,
    ) -> Result<(), CliError> {
        let typed = match given {
            Some(given) => given.to_owned(),
            None if self.may_ask => self.answer(&format!("{why} Type {word} to go on:"), out).await?,
            None => {
                return Err(CliError::usage(format!("{why} It needs a person, or --confirm {}", crate::quoted(word))));
            }
        };
        if typed.trim() == word {
            Ok(())
        } else {
            Err(CliError::usage(format!("\"{}\" is not {word}: nothing was sent", typed.trim())))
        }
    }

    /// What is piped in, up to `limit` bytes.
    pub(crate) async fn stdin_text(&self, limit: u64) -> io::Result<String> {
        self.read_stdin(move |stdin| {
            let mut text = String::new();
            io::Read::take(stdin, limit).read_to_string(&mut text).map(|_| text)
        })
        .await
    }

    async fn answer(&self, question: &str, out: &mut Output) -> Result<String, CliError> {
        out.ask(question)?;
        let line = self.read_stdin(|stdin| {
            let mut line = String::new();
            stdin.read_line(&mut line).map(|_| line)
        });
        line.await.map_err(|error| CliError::usage(format!("cannot read the answer: {error}")))
    }

    /// Reads on a thread of its own: Ctrl-C must work meanwhile.
    async fn read_stdin(
        &self,
        read: impl FnOnce(&mut dyn BufRead) -> io::Result<String> + Send + 'static,
    ) -> io::Result<String> {
        let stdin = self.stdin.clone();
        let reading = tokio::task::spawn_blocking(move || {
            // A mutex that a panic left is as good as before: it guards a reader.
            read(&mut **stdin.lock().unwrap_or_else(PoisonError::into_inner))
        });
        reading.await.map_err(io::Error::other)?
    }
}

/// What time it is by this computer; events on a simulated clock have their own, see [`Scene::now`].
pub(crate) fn real_now() -> Timestamp {
    Clock::real().now()
}

/// An event can be named like a team.
struct NamedEvent(Event);

impl Named for NamedEvent {
    fn name(&self) -> &str {
        &self.0.name
    }

    fn code(&self) -> Option<&str> {
        None
    }
}

/// An event with what its names lead to.
#[derive(Debug)]
pub(crate) struct Scene {
    pub client: Client,
    pub event: Event,
    pub zone: TimeZone,
    pub teams: Vec<Team>,
    pub fixtures: Vec<ScheduleItem>,
}

impl Scene {
    pub(crate) async fn load(client: Client, event: Event) -> Result<Self, CliError> {
        let zone = zone(&event)?;
        let (teams, fixtures) = tokio::try_join!(client.teams(event.id), client.fixtures(event.id))?;
        Ok(Self { client, event, zone, teams, fixtures })
    }

    pub(crate) fn known(&self) -> Known<'_> {
        Known { event: &self.event, teams: &self.teams, fixtures: &self.fixtures }
    }

    /// What typed times refer to.
    pub(crate) async fn frame(&self) -> Result<Frame, CliError> {
        frame(&self.client, &self.event).await
    }
}

/// What times typed about an event refer to.
pub(crate) async fn frame(client: &Client, event: &Event) -> Result<Frame, CliError> {
    let now = now(client, event).await?;
    Ok(Frame::of_event(zone(event)?, now, event.starts_on, event.ends_on))
}

/// What time it is in the event: in a demo that of its simulated clock.
async fn now(client: &Client, event: &Event) -> Result<Timestamp, CliError> {
    if client.health().await?.demo {
        Ok(timely_client::live::event_time(client, event.id).await?)
    } else {
        Ok(real_now())
    }
}

/// The zone in which times of the event are typed and printed.
pub(crate) fn zone(event: &Event) -> Result<TimeZone, CliError> {
    TimeZone::get(&event.timezone).map_err(|_| {
        CliError::failure(format!("this computer does not know the time zone {} of {}", event.timezone, event.name))
            .hint("Install its time zone data (package tzdata)")
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::error::Exit;

    fn context(globals: Globals, typed: &'static str, may_ask: bool) -> Context {
        Context::new(globals, Arc::new(|_| None), Box::new(Cursor::new(typed)), may_ask)
    }

    fn out() -> Output {
        Output::new(Box::new(Vec::new()), Box::new(Vec::new()))
    }

    #[tokio::test]
    async fn a_question_needs_a_person_or_its_flag() {
        let yes = Globals { yes: true, ..Globals::default() };
        for (why, globals, typed, may_ask, goes_on) in [
            ("yes", Globals::default(), "y\n", true, true),
            ("Yes", Globals::default(), "Yes\n", true, true),
            ("no", Globals::default(), "n\n", true, false),
            ("enter", Globals::default(), "\n", true, false),
            ("the terminal is closed", Globals::default(), "", true, false),
            ("nobody there", Globals::default(), "y\n", false, false),
            ("--yes", yes, "", false, true),
        ] {
            let result = context(globals, typed, may_ask).confirm("Cancel #12?", &mut out()).await;
            assert_eq!(result.is_ok(), goes_on, "{why}");
            if let Err(error) = result {
                assert_eq!(error.exit, Exit::Usage, "{why}");
                assert!(may_ask || error.to_string().contains("--yes"), "{why}: {error}");
            }
        }
    }

    #[tokio::test]
    async fn what_cannot_be_taken_back_needs_the_word_itself() {
        let yes = Globals { yes: true, ..Globals::default() };
        for (why, globals, typed, given, may_ask, goes_on) in [
            ("typed", Globals::default(), "EMERGENCY\n", None, true, true),
            ("by flag", Globals::default(), "", Some("EMERGENCY"), false, true),
            ("another case", Globals::default(), "emergency\n", None, true, false),
            ("another flag", Globals::default(), "", Some("URGENT"), true, false),
            ("--yes is not enough", yes, "", None, false, false),
            ("nobody there", Globals::default(), "EMERGENCY\n", None, false, false),
        ] {
            let context = context(globals, typed, may_ask);
            let result = context.confirm_by_word("This is loud.", "EMERGENCY", given, &mut out()).await;
            assert_eq!(result.is_ok(), goes_on, "{why}");
            if let Err(error) = result {
                assert_eq!(error.exit, Exit::Usage, "{why}");
                assert!(may_ask || error.to_string().contains("--confirm EMERGENCY"), "{why}: {error}");
            }
        }
    }
}
