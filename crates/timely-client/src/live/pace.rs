//! How patient a subscription is, and how long it waits between rounds.

use std::time::Duration;

use crate::live::{SILENCE_MAX, STALE_AFTER};

/// The durations a subscription goes by. Tests are in more of a hurry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Longest time to the first message while the other transport is still to be tried in this round:
    /// with it, SSE is in use within 4 s even where a WebSocket is swallowed.
    pub(super) first_try: Duration,
    /// Longest time to the first message when there is nothing else to try.
    pub(super) last_try: Duration,
    /// Bound of the first wait; it doubles with each failure.
    pub(super) wait_first: Duration,
    /// Bound of all waits.
    pub(super) wait_max: Duration,
    /// A server may ask for so much patience and no more: a wrong header must not blank a screen for
    /// the day.
    pub(super) retry_after_max: Duration,
    /// How often a WebSocket is tried beside a running SSE stream.
    pub(super) probe_every: Duration,
    /// How soon the first time where WebSockets have worked before: after an outage it is chance which
    /// transport is being tried when the network is back.
    pub(super) probe_soon: Duration,
    pub(super) stale_after: Duration,
    pub(super) silence_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_try: Duration::from_millis(2_500),
            last_try: Duration::from_secs(5),
            wait_first: Duration::from_millis(500),
            wait_max: Duration::from_secs(30),
            retry_after_max: Duration::from_mins(2),
            probe_every: Duration::from_mins(1),
            probe_soon: Duration::from_secs(5),
            stale_after: STALE_AFTER,
            silence_max: SILENCE_MAX,
        }
    }
}

impl Pace {
    /// How long to wait after so many failures in a row: at least as long as the server asked for.
    pub(super) fn wait(&self, failures: u32, retry_after: Option<Duration>) -> Duration {
        let asked = retry_after.unwrap_or_default().min(self.retry_after_max);
        self.back_off(failures, random()).max(asked)
    }

    /// Full jitter: anything between nothing and a bound that doubles. `random` is 0 to 1.
    fn back_off(&self, failures: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
        self.wait_first.saturating_mul(doubled).min(self.wait_max).mul_f64(random)
    }
}

/// 0 to 1. It need not be good, only different in each program: without a source of randomness
/// the half will do.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_spread_from_nothing() {
        let pace = Pace::default();
        for (failures, most) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (1_000, 30_000)] {
            assert_eq!(pace.back_off(failures, 1.0), Duration::from_millis(most));
            assert_eq!(pace.back_off(failures, 0.0), Duration::ZERO);
        }
    }

    #[test]
    fn a_server_may_ask_for_patience_within_reason() {
        let pace = Pace::default();
        for (why, asked, least, most) in [
            ("nothing asked", None, 0.0, 0.5),
            ("more than the jitter gives", Some(20), 20.0, 20.0),
            ("a day", Some(86_400), 120.0, 120.0),
        ] {
            let wait = pace.wait(1, asked.map(Duration::from_secs)).as_secs_f64();
            assert!((least..=most).contains(&wait), "{why}: {wait}");
        }
    }
}
