//! How much of something is allowed in a time: a token bucket without a clock.
//!
//! What is counted, and what becomes of those who want more, is the matter of whoever asks.

use std::time::Duration;

/// So many at once, and so many more with every second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    /// Not 0.
    pub per_s: u32,
}

impl Rate {
    const fn time_of(self, units: u32) -> Duration {
        let nanos = units as u64 * 1_000_000_000;
        Duration::from_nanos(nanos / self.per_s as u64)
    }
}

/// What is left of a [`Rate`]. A new one is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again, if nothing more is taken.
    full_at: Duration,
}

impl Bucket {
    /// Takes `units`.
    ///
    /// # Errors
    /// How long it is until there are so many; `units` above the burst are never there. Nothing was
    /// taken.
    pub fn take(&mut self, rate: Rate, units: u32, now: Duration) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.time_of(units);
        let wait = full_at.saturating_sub(now + rate.time_of(rate.burst));
        if wait.is_zero() {
            self.full_at = full_at;
            return Ok(());
        }
        Err(wait)
    }

    /// How many could be taken now.
    pub fn left(self, rate: Rate, now: Duration) -> u32 {
        let missing = self.full_at.saturating_sub(now).as_nanos() * u128::from(rate.per_s);
        let missing = missing.div_ceil(1_000_000_000);
        rate.burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    /// Whether it is as good as a new one.
    pub fn is_full(self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 4, per_s: 2 };
    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_goes_at_once_and_then_so_many_a_second() {
        let mut bucket = Bucket::default();
        for (why, at, units, expected, left) in [
            ("a part of the burst", 0, 3, Ok(()), 1),
            ("more than is left takes nothing", 0, 2, Err(ms(500)), 1),
            ("the rest", 0, 1, Ok(()), 0),
            ("empty", 0, 1, Err(ms(500)), 0),
            ("half of one has come back", 250, 1, Err(ms(250)), 0),
            ("one has", 500, 1, Ok(()), 0),
            ("the next", 999, 1, Err(ms(1)), 0),
            ("after a rest no more than the burst", 60_000, 4, Ok(()), 0),
            ("not one more", 60_000, 1, Err(ms(500)), 0),
            ("more than the burst never", 600_000, 5, Err(ms(500)), 4),
        ] {
            assert_eq!(bucket.take(RATE, units, ms(at)), expected, "{why}");
            assert_eq!(bucket.left(RATE, ms(at)), left, "{why}");
        }
    }

    #[test]
    fn it_is_full_when_everything_has_come_back() {
        let mut bucket = Bucket::default();
        assert!(bucket.is_full(ms(0)));
        bucket.take(RATE, 1, ms(100)).unwrap();
        assert!(!bucket.is_full(ms(599)) && bucket.is_full(ms(600)));
    }

    #[test]
    fn a_bucket_of_millions_does_not_overflow() {
        let rate = Rate { burst: u32::MAX, per_s: 1_000_000 };
        let mut bucket = Bucket::default();
        bucket.take(rate, u32::MAX, Duration::from_secs(1 << 40)).unwrap();
        assert_eq!(bucket.left(rate, Duration::from_secs(1 << 40)), 0);
    }
}
