//! What the clock does: announcements expire by event time, tokens by real time.
//!
//! Both are writes by the server with rows of their own. What fell due while the server was down is
//! caught up at its start.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::clock::{Clock, real_now};
use crate::error::Error;
use crate::store::Store;

/// Shortest time between two looks: a burst of writes must not make the keeper one of its own.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A simulated clock may be moved at any time, so it is looked at this often.
const SIMULATED_RECHECK: Duration = Duration::from_secs(1);
/// The machine's clock may be set and a laptop may sleep; a timer knows of neither.
const RECHECK: Duration = Duration::from_mins(1);

/// Runs until `shutdown`.
pub async fn keep(store: Store, clock: Arc<Clock>, shutdown: CancellationToken) {
    let mut head = store.head();
    let mut can_wake = true;
    loop {
        // Seen from here on: a row committed during the look wakes the next one.
        head.mark_unchanged();
        let wait = match look(&store, &clock).await {
            Ok(wait) => wait,
            Err(error) => {
                warn!("expiry of announcements and tokens failed, trying again: {error}");
                SIMULATED_RECHECK
            }
        };
        let rest = async {
            sleep(LOOK_EVERY.min(wait)).await;
            if can_wake {
                tokio::select! {
                    () = sleep(wait.saturating_sub(LOOK_EVERY)) => true,
                    // The new row may be an announcement that ends soon.
                    woken = head.changed() => woken.is_ok(),
                }
            } else {
                sleep(wait.saturating_sub(LOOK_EVERY)).await;
                false
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            still = rest => can_wake = still,
        }
    }
}

/// Ends what is due and tells how long nothing else will be, as far as is known now.
async fn look(store: &Store, clock: &Clock) -> Result<Duration, Error> {
    let next_announcement = store.expire_announcements(clock.now()).await?;
    let real = real_now();
    let next_token = store.end_expired_tokens(real).await?;
    Ok(wait(clock, next_announcement, real, next_token))
}

fn wait(clock: &Clock, announcement: Option<Timestamp>, real: Timestamp, token: Option<Timestamp>) -> Duration {
    let recheck = if clock.is_simulated() { SIMULATED_RECHECK } else { RECHECK };
    let by_event_time = announcement.and_then(|at| clock.until(at));
    // What is overdue by the past is due now.
    let by_real_time = token.map(|at| Duration::try_from(at.duration_since(real)).unwrap_or(Duration::ZERO));
    [by_event_time, by_real_time].into_iter().flatten().fold(recheck, Duration::min)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn the_keeper_sleeps_until_the_next_expiry_and_no_longer_than_it_may() {
        let real = real_now();
        let start: Timestamp = "2022-12-01T19:00:00Z".parse().unwrap();
        let in_s = |from: Timestamp, s| Some(from + SignedDuration::from_secs(s));
        let s = Duration::from_secs;
        let demo = Clock::simulated(start, 60.0);
        let still = Clock::simulated(start, 0.0);
        for (why, clock, announcement, token, between) in [
            ("nothing is due", Clock::real(), None, None, (RECHECK, RECHECK)),
            ("a token", Clock::real(), None, in_s(real, 5), (s(5), s(5))),
            ("an announcement", Clock::real(), in_s(real, 5), None, (s(4), s(5))),
            ("the earlier of both", Clock::real(), in_s(real, 30), in_s(real, 5), (s(5), s(5))),
            ("overdue", Clock::real(), in_s(real, -5), in_s(real, -5), (s(0), s(0))),
            ("far away", Clock::real(), in_s(real, 1_000_000), None, (RECHECK, RECHECK)),
            ("thirty seconds at 60x", demo, in_s(start, 30), None, (s(0), Duration::from_millis(500))),
            ("a clock that stands still", still, in_s(start, 30), None, (SIMULATED_RECHECK, SIMULATED_RECHECK)),
        ] {
            let wait = wait(&clock, announcement, real, token);
            assert!(between.0 <= wait && wait <= between.1, "{why}: {wait:?}");
        }
    }
}
