//! How the screen is connected, how old it is, and what time it is at the event.
//!
//! A screen that looks live and is not is the worst thing a dashboard can do: every word here is
//! derived from when the server was last heard, by a clock that only runs forward and comes in as an
//! argument. How the words are drawn is left to the view.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use timely_client::live::{STALE_AFTER, Transport};

/// From here on the age is shown: one `status`, which comes every 5 s, is overdue.
const QUIET_AFTER: Duration = Duration::from_secs(7);
/// Round trips below this are not told apart: a badge that changes with each heartbeat draws the eye.
const ROUND_TRIP_SHOWN: Duration = Duration::from_millis(100);

/// Where the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The first connection is being made.
    Connecting,
    Open {
        transport: Transport,
        /// Whether anything was heard over this connection: an open one may lead nowhere.
        has_spoken: bool,
        round_trip: Option<Duration>,
    },
    /// Lost, or never made; tried again by itself.
    Lost { cause: String, failures: u32, retry_at: Instant },
    /// The server's last word.
    Ended { reason: String },
}

/// How well the connection is, for those who look from afar. The words beside it say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Live over the better transport.
    Full,
    /// Live over the one that gets through everywhere.
    Half,
    /// Not live.
    None,
}

/// The connection in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Badge {
    pub(crate) health: Health,
    /// `LIVE`, `STALE 0:47`, `RECONNECTING`: what must be said in any case.
    pub(crate) words: String,
    /// `ws 0.2s`, `in 5s (try 3)`: what is said where there is room. Perhaps empty.
    pub(crate) detail: String,
}

/// Event time as the server told it.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Timestamp,
    heard: Instant,
}

/// The connection to the server, and what it says about time.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    state: State,
    /// When the server was last heard, over this connection or one before.
    heard: Option<Instant>,
    time: Option<Told>,
    /// Seconds of event time in a second; unknown before the first `status`.
    rate: Option<f64>,
    /// Since when the server itself has no news.
    server_stale_since: Option<Timestamp>,
}

impl Link {
    /// A link that is about to be made.
    pub(crate) const fn new() -> Self {
        Self { state: State::Connecting, heard: None, time: None, rate: None, server_stale_since: None }
    }

    /// A connection stands.
    pub(crate) fn open(&mut self, transport: Transport) {
        self.state = State::Open { transport, has_spoken: false, round_trip: None };
    }

    /// Something came from the server.
    pub(crate) fn hear(&mut self, now: Instant) {
        if let State::Open { has_spoken, .. } = &mut self.state {
            *has_spoken = true;
        }
        self.heard = Some(now);
    }

    /// How long the server took to answer.
    pub(crate) fn measured(&mut self, took: Duration) {
        if let State::Open { round_trip, .. } = &mut self.state {
            *round_trip = Some(took);
        }
    }

    /// The server greeted and said what time it is.
    pub(crate) fn greeted(&mut self, at: Timestamp, now: Instant) {
        self.time = Some(Told { at, heard: now });
        self.server_stale_since = None;
    }

    /// The server said how it stands.
    pub(crate) fn status(&mut self, at: Timestamp, rate: f64, stale_since: Option<Timestamp>, now: Instant) {
        self.time = Some(Told { at, heard: now });
        self.rate = Some(rate);
        self.server_stale_since = stale_since;
    }

    /// The connection was lost or not made.
    pub(crate) fn lose(&mut self, cause: String, failures: u32, retry_at: Instant) {
        self.state = State::Lost { cause, failures, retry_at };
    }

    /// The server does not want this viewer, for good.
    pub(crate) fn end(&mut self, reason: String) {
        self.state = State::Ended { reason };
    }

    /// Tried again at once instead of at the end of the wait.
    pub(crate) fn retry(&mut self, now: Instant) {
        if let State::Lost { retry_at, .. } = &mut self.state {
            *retry_at = now;
        }
    }

    /// Why there will be no more news.
    pub(crate) fn ended(&self) -> Option<&str> {
        match &self.state {
            State::Ended { reason } => Some(reason),
            State::Connecting | State::Open { .. } | State::Lost { .. } => None,
        }
    }

    /// Why the connection is down.
    pub(crate) fn cause(&self) -> Option<&str> {
        match &self.state {
            State::Lost { cause, .. } => Some(cause),
            State::Connecting | State::Open { .. } | State::Ended { .. } => None,
        }
    }

    /// Whether the server was ever heard.
    pub(crate) const fn was_heard(&self) -> bool {
        self.heard.is_some()
    }

    /// Seconds of event time in a second, where it is not real time.
    pub(crate) fn unusual_rate(&self) -> Option<f64> {
        self.rate.filter(|rate| (rate - 1.0).abs() > f64::EPSILON)
    }

    /// Whether what is shown can be taken as true now.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { has_spoken: true, .. })
            && self.stale(now).is_none()
            && self.server_stale_since.is_none()
    }

    /// How long nothing has been heard, once that is too long. `None` before the first word: there is
    /// nothing on the screen that could be stale.
    pub(crate) fn stale(&self, now: Instant) -> Option<Duration> {
        self.heard.map(|heard| now.saturating_duration_since(heard)).filter(|age| *age >= STALE_AFTER)
    }

    /// Since when the server itself gets no news, if it says so.
    pub(crate) const fn server_stale_since(&self) -> Option<Timestamp> {
        self.server_stale_since
    }

    /// The connection in a few words. LIVE is said only of an open one over which something was heard
    /// within [`STALE_AFTER`].
    pub(crate) fn badge(&self, now: Instant) -> Badge {
        let not_live = |words: String, detail: String| Badge { health: Health::None, words, detail };
        let trying = if self.heard.is_some() { "RECONNECTING" } else { "CONNECTING" };
        let (transport, round_trip) = match &self.state {
            State::Connecting | State::Open { has_spoken: false, .. } => {
                return not_live(trying.to_owned(), String::new());
            }
            State::Lost { failures, retry_at, .. } => {
                // Rounded up: "in 0s" would be said for most of the last second.
                let wait = retry_at.saturating_duration_since(now).as_millis().div_ceil(1000);
                let detail =
                    if wait == 0 { format!("(try {failures})") } else { format!("in {wait}s (try {failures})") };
                return not_live(trying.to_owned(), detail);
            }
            State::Ended { .. } => return not_live("ENDED".to_owned(), String::new()),
            State::Open { transport, round_trip, .. } => (*transport, *round_trip),
        };
        if let Some(age) = self.stale(now) {
            return not_live(format!("STALE {}", minutes(age)), String::new());
        }
        if self.server_stale_since.is_some() {
            return not_live("STALE".to_owned(), "at the server".to_owned());
        }
        let age = self.heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
        let detail = match round_trip {
            _ if age >= QUIET_AFTER => format!("{transport}, quiet {}s", age.as_secs()),
            None => transport.to_string(),
            Some(took) if took < ROUND_TRIP_SHOWN => format!("{transport} <0.1s"),
            Some(took) => format!("{transport} {:.1}s", took.as_secs_f64()),
        };
        let health = match transport {
            Transport::WebSocket => Health::Full,
            Transport::Sse => Health::Half,
        };
        Badge { health, words: "LIVE".to_owned(), detail }
    }

    /// Event time now, by what the server said last. `None` before its first word.
    pub(crate) fn event_now(&self, now: Instant) -> Option<Timestamp> {
        let told = self.time?;
        let elapsed = now.saturating_duration_since(told.heard).as_secs_f64();
        // Before the first status it is not known how fast event time runs: it stands.
        let elapsed = SignedDuration::try_from_secs_f64(elapsed * self.rate.unwrap_or(0.0)).unwrap_or_default();
        Some(told.at.checked_add(elapsed).unwrap_or(told.at))
    }

    /// Event time to show as a clock: it stops at the last word heard once that is too long ago.
    /// `None` until the first `status`: how fast it runs is not known, and in a demo it would be wrong
    /// by minutes.
    pub(crate) fn shown_time(&self, now: Instant) -> Option<Timestamp> {
        self.rate?;
        let until = if self.is_live(now) { now } else { self.heard? };
        self.event_now(until)
    }
}

/// `0:47`, `12:03`.
pub(crate) fn minutes(age: Duration) -> String {
    let seconds = age.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    type Steps<'a> = Vec<&'a dyn Fn(&mut Link)>;

    /// What the badge says, without its sign.
    fn words(link: &Link, now: Instant) -> String {
        let badge = link.badge(now);
        format!("{} {}", badge.words, badge.detail).trim_end().to_owned()
    }

    #[test]
    fn the_badge_tells_the_truth_in_each_state() {
        let start = Instant::now();
        for transport in [Transport::WebSocket, Transport::Sse] {
            let health = if transport == Transport::Sse { Health::Half } else { Health::Full };
            let open = |link: &mut Link| link.open(transport);
            let speak = |link: &mut Link| {
                link.open(transport);
                link.hear(start);
            };
            let lose = |link: &mut Link| link.lose("reset".into(), 3, start + s(25));
            let stale_server = |link: &mut Link| {
                link.status(at("2022-12-01T20:33:00Z"), 1.0, Some(at("2022-12-01T20:30:00Z")), start);
            };
            let end = |link: &mut Link| link.end("gone".into());
            let far = |link: &mut Link| link.measured(Duration::from_millis(240));
            let near = |link: &mut Link| link.measured(Duration::from_millis(3));
            let t = transport;
            let table: Vec<(&str, Steps<'_>, u64, String, bool)> = vec![
                ("at the start", vec![], 60, "CONNECTING".into(), false),
                ("open, but nothing was said", vec![&open], 1, "CONNECTING".into(), false),
                ("a round trip is no word", vec![&open, &far], 1, "CONNECTING".into(), false),
                ("never connected", vec![&lose], 20, "CONNECTING in 5s (try 3)".into(), false),
                ("heard", vec![&speak], 0, format!("LIVE {t}"), true),
                ("heard just now", vec![&speak], 6, format!("LIVE {t}"), true),
                ("measured", vec![&speak, &far], 1, format!("LIVE {t} 0.2s"), true),
                ("too near to tell apart", vec![&speak, &near], 1, format!("LIVE {t} <0.1s"), true),
                ("a status is overdue", vec![&speak, &far], 7, format!("LIVE {t}, quiet 7s"), true),
                ("the last second", vec![&speak], 11, format!("LIVE {t}, quiet 11s"), true),
                ("two are missing", vec![&speak], 12, "STALE 0:12".into(), false),
                ("for long", vec![&speak, &far], 75, "STALE 1:15".into(), false),
                ("lost", vec![&speak, &lose], 20, "RECONNECTING in 5s (try 3)".into(), false),
                ("lost a moment ago", vec![&speak, &lose], 1, "RECONNECTING in 24s (try 3)".into(), false),
                ("being tried", vec![&speak, &lose], 26, "RECONNECTING (try 3)".into(), false),
                ("open again, but silent", vec![&speak, &lose, &open], 2, "RECONNECTING".into(), false),
                ("silent for long", vec![&speak, &lose, &open], 40, "RECONNECTING".into(), false),
                ("back", vec![&speak, &lose, &speak], 1, format!("LIVE {t}"), true),
                ("the old round trip is over", vec![&speak, &far, &speak], 1, format!("LIVE {t}"), true),
                ("the server has no news", vec![&speak, &stale_server], 1, "STALE at the server".into(), false),
                ("ended", vec![&speak, &end], 1, "ENDED".into(), false),
            ];
            for (why, steps, after, said, is_live) in table {
                let mut link = Link::new();
                for step in steps {
                    step(&mut link);
                }
                let now = start + s(after);
                assert_eq!(words(&link, now), said, "{transport}, {why}");
                assert_eq!(link.is_live(now), is_live, "{transport}, {why}");
                assert_eq!(link.badge(now).words == "LIVE", is_live, "{transport}, {why}");
                let shown = if is_live { health } else { Health::None };
                assert_eq!(link.badge(now).health, shown, "{transport}, {why}");
            }
        }
    }

    #[test]
    fn what_is_shown_grows_older_while_the_connection_is_lost() {
        let start = Instant::now();
        let mut link = Link::new();
        assert_eq!(link.stale(start + s(60)), None, "nothing is shown, so nothing is stale");
        link.open(Transport::WebSocket);
        link.hear(start);
        link.lose("reset".into(), 3, start + s(25));
        assert_eq!(link.stale(start + s(26)), Some(s(26)));
        assert_eq!(link.cause(), Some("reset"));
        link.retry(start + s(21));
        assert_eq!(words(&link, start + s(21)), "RECONNECTING (try 3)");
        link.end("gone".into());
        assert_eq!((link.cause(), link.ended()), (None, Some("gone")));
    }

    #[test]
    fn event_time_runs_at_the_rate_of_the_server_and_its_clock_stops_with_the_news() {
        let start = Instant::now();
        let mut link = Link::new();
        assert_eq!(link.event_now(start), None);
        link.open(Transport::WebSocket);
        link.hear(start);
        link.greeted(at("2022-12-01T20:28:00Z"), start);
        assert_eq!(link.event_now(start + s(3)), Some(at("2022-12-01T20:28:00Z")), "the rate is not known yet");
        assert_eq!(link.shown_time(start + s(3)), None, "so there is no clock");
        link.hear(start + s(5));
        link.status(at("2022-12-01T20:33:00Z"), 60.0, None, start + s(5));
        assert_eq!(link.unusual_rate(), Some(60.0));
        assert_eq!(link.shown_time(start + s(6)), Some(at("2022-12-01T20:34:00Z")));
        assert_eq!(link.shown_time(start + s(17)), Some(at("2022-12-01T20:33:00Z")), "stale: as of the last word");
        assert_eq!(link.event_now(start + s(17)), Some(at("2022-12-01T20:45:00Z")), "expiry goes on");
        link.status(at("2022-12-01T20:50:00Z"), f64::MAX, None, start + s(20));
        assert_eq!(link.event_now(start + s(21)), Some(at("2022-12-01T20:50:00Z")), "a rate beyond reason stands");
    }

    #[test]
    fn a_server_without_news_is_not_live_however_loudly_it_talks() {
        let start = Instant::now();
        let mut link = Link::new();
        link.open(Transport::WebSocket);
        link.hear(start);
        link.status(at("2022-12-01T20:33:00Z"), 1.0, Some(at("2022-12-01T20:30:00Z")), start);
        assert_eq!((link.is_live(start), words(&link, start).as_str()), (false, "STALE at the server"));
        assert_eq!(link.unusual_rate(), None);
    }
}
