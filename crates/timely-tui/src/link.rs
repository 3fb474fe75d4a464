//! How the screen is connected, how old it is, and what time it is at the event.
//!
//! A screen that looks live and is not is the worst thing a dashboard can do: every word here is
//! derived from when the server was last heard, by a clock that only runs forward and comes in as an
//! argument. How the words are drawn is left to the view.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The server says `status` every 5 s. Without a word for so long the screen is stale.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(12);
/// From here on the age is shown: one `status` is overdue.
const QUIET_AFTER: Duration = Duration::from_secs(7);

/// Where the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The first connection is being made.
    Connecting,
    Open,
    /// Lost, or never made; tried again by itself.
    Lost {
        cause: String,
        failures: u32,
        retry_at: Instant,
    },
    /// The server's last word.
    Ended {
        reason: String,
    },
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
    /// When the server was last heard.
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

    /// Something came from the server.
    pub(crate) fn hear(&mut self, now: Instant) {
        self.state = State::Open;
        self.heard = Some(now);
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
            State::Connecting | State::Open | State::Lost { .. } => None,
        }
    }

    /// Why the connection is down.
    pub(crate) fn cause(&self) -> Option<&str> {
        match &self.state {
            State::Lost { cause, .. } => Some(cause),
            State::Connecting | State::Open | State::Ended { .. } => None,
        }
    }

    /// Seconds of event time in a second, where it is not real time.
    pub(crate) fn unusual_rate(&self) -> Option<f64> {
        self.rate.filter(|rate| (rate - 1.0).abs() > f64::EPSILON)
    }

    /// Whether what is shown can be taken as true now.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.state == State::Open && self.stale(now).is_none() && self.server_stale_since.is_none()
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

    /// The connection in a few words.
    pub(crate) fn words(&self, now: Instant) -> String {
        match &self.state {
            State::Connecting => "CONNECTING".to_owned(),
            State::Open => {
                let age = self.heard.map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard));
                if age >= STALE_AFTER {
                    format!("STALE {}", minutes(age))
                } else if self.server_stale_since.is_some() {
                    "STALE at the server".to_owned()
                } else if age >= QUIET_AFTER {
                    format!("LIVE ws, quiet {}s", age.as_secs())
                } else {
                    "LIVE ws".to_owned()
                }
            }
            State::Lost { failures, retry_at, .. } => {
                let doing = if self.heard.is_some() { "RECONNECTING" } else { "CONNECTING" };
                // Rounded up: "in 0s" would be said for most of the last second.
                let wait = retry_at.saturating_duration_since(now).as_millis().div_ceil(1000);
                if wait == 0 {
                    format!("{doing} (try {failures})")
                } else {
                    format!("{doing} in {wait}s (try {failures})")
                }
            }
            State::Ended { .. } => "ENDED".to_owned(),
        }
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

    #[test]
    fn the_words_never_claim_more_than_was_heard() {
        let start = Instant::now();
        let mut link = Link::new();
        assert_eq!(link.words(start + s(60)), "CONNECTING", "nothing is shown, so nothing is stale");
        link.lose("refused".into(), 2, start + s(5));
        assert_eq!(link.words(start), "CONNECTING in 5s (try 2)");
        link.hear(start);
        for (after, words, is_live) in [
            (0, "LIVE ws", true),
            (6, "LIVE ws", true),
            (7, "LIVE ws, quiet 7s", true),
            (11, "LIVE ws, quiet 11s", true),
            (12, "STALE 0:12", false),
            (75, "STALE 1:15", false),
        ] {
            assert_eq!((link.words(start + s(after)).as_str(), link.is_live(start + s(after))), (words, is_live));
        }
        link.lose("reset".into(), 3, start + s(25));
        assert_eq!(link.words(start + s(20)), "RECONNECTING in 5s (try 3)");
        assert_eq!(link.words(start + s(26)), "RECONNECTING (try 3)");
        assert_eq!(link.stale(start + s(26)), Some(s(26)), "what is shown grows older meanwhile");
        assert_eq!(link.cause(), Some("reset"));
        link.retry(start + s(21));
        assert_eq!(link.words(start + s(21)), "RECONNECTING (try 3)");
        link.hear(start + s(30));
        assert_eq!(link.words(start + s(30)), "LIVE ws");
        link.end("gone".into());
        assert_eq!((link.words(start + s(31)).as_str(), link.ended()), ("ENDED", Some("gone")));
    }

    #[test]
    fn event_time_runs_at_the_rate_of_the_server_and_its_clock_stops_with_the_news() {
        let start = Instant::now();
        let mut link = Link::new();
        assert_eq!(link.event_now(start), None);
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
        link.hear(start);
        link.status(at("2022-12-01T20:33:00Z"), 1.0, Some(at("2022-12-01T20:30:00Z")), start);
        assert_eq!((link.is_live(start), link.words(start).as_str()), (false, "STALE at the server"));
        assert_eq!(link.unusual_rate(), None);
    }
}
