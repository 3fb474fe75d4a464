//! The two times of a server.
//!
//! *Event time* is what viewers see: kick-offs, match clocks, announcement times and their expiry,
//! `timestamp` and `server_time`. In a demo it is simulated. *Real time* rules credentials, rate
//! limits, retention, idempotency keys, heartbeats and the log's `committed_at`; it is never
//! simulated.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Event time: the wall clock, or a simulated one.
#[derive(Debug)]
pub struct Clock(Time);

#[derive(Debug)]
enum Time {
    Real,
    /// Runs `rate` times as fast as real time since `since`, from `start`. Rate 0 stands still.
    Simulated(Mutex<Simulated>),
}

#[derive(Clone, Copy, Debug)]
struct Simulated {
    start: Timestamp,
    since: Instant,
    rate: f64,
}

impl Clock {
    /// The wall clock of the machine.
    pub const fn real() -> Self {
        Self(Time::Real)
    }

    /// A clock that starts now at `start` and runs `rate` times as fast as real time; with rate 0 it
    /// stands still until [`Clock::set`].
    pub fn simulated(start: Timestamp, rate: f64) -> Self {
        Self(Time::Simulated(Mutex::new(Simulated { start, since: Instant::now(), rate })))
    }

    /// Event time now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Time::Real => real_now(),
            Time::Simulated(time) => {
                let Simulated { start, since, rate } = *lock(time);
                let elapsed = SignedDuration::try_from_secs_f64(since.elapsed().as_secs_f64() * rate)
                    .unwrap_or(SignedDuration::MAX);
                start.saturating_add(elapsed).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Seconds of event time in a second of real time: 1 outside a demo.
    pub fn rate(&self) -> f64 {
        match &self.0 {
            Time::Real => 1.0,
            Time::Simulated(time) => lock(time).rate,
        }
    }

    /// Whether event time is simulated.
    pub const fn is_simulated(&self) -> bool {
        matches!(self.0, Time::Simulated(_))
    }

    /// Moves a simulated clock to `to` and lets it run on at `rate`; the wall clock stays.
    pub fn set(&self, to: Timestamp, rate: f64) {
        if let Time::Simulated(time) = &self.0 {
            *lock(time) = Simulated { start: to, since: Instant::now(), rate };
        }
    }

    /// How long to wait in real time until event time reaches `at`; `None` while the clock stands
    /// still before it.
    pub fn until(&self, at: Timestamp) -> Option<Duration> {
        let wait = at.duration_since(self.now()).as_secs_f64().max(0.0);
        if wait == 0.0 {
            return Some(Duration::ZERO);
        }
        let rate = self.rate();
        (rate > 0.0).then(|| Duration::try_from_secs_f64(wait / rate).unwrap_or(Duration::MAX))
    }
}

fn lock(time: &Mutex<Simulated>) -> std::sync::MutexGuard<'_, Simulated> {
    // A poisoned lock still holds a whole value: it is only ever replaced.
    time.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Real time now. The only place that reads the machine's clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn real_now() -> Timestamp {
    Timestamp::now()
}
