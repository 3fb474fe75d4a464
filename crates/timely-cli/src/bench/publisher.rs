//! Writes through the API, as an organiser's program would, by the clock or as fast as answers come.
//!
//! By the clock means that a slow answer delays nothing behind it: the next message leaves when it is
//! due. Only [`IN_FLIGHT_MAX`] bounds that, and how far sending fell behind is part of the report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use timely_client::{Client, Error, Expected};
use timely_core::announcement::AnnouncementType;
use timely_core::body::{NewAnnouncement, PutResult};
use timely_core::id::{EventId, FixtureId};
use timely_core::result::{Outcome, ResultState, Score};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::wire::{self, Load};

/// Most requests on their way at a time, each on a connection that is kept.
const IN_FLIGHT_MAX: usize = 64;

/// When messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many a second, by the clock.
    Rate(u32),
    /// So many on their way at any time.
    Window(u32),
}

/// Where and what is published.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub client: Client,
    pub event: EventId,
    /// Take the results in turn.
    pub fixtures: Vec<FixtureId>,
    pub load: Load,
    /// What nanoseconds are counted from.
    pub origin: Instant,
}

/// A message that the server acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acked {
    pub number: u64,
    pub sent_ns: u64,
    pub answered_ns: u64,
}

/// What became of all messages.
#[derive(Debug, Default)]
pub(crate) struct Published {
    pub acked: Vec<Acked>,
    pub refused: u64,
    /// Why the first one was refused.
    pub refusal: Option<Error>,
    /// How far sending fell behind its schedule at most.
    pub behind: Duration,
}

impl Published {
    fn enter(&mut self, done: Result<Acked, Error>) {
        match done {
            Ok(acked) => self.acked.push(acked),
            Err(error) => {
                self.refused += 1;
                self.refusal.get_or_insert(error);
            }
        }
    }
}

impl Publisher {
    /// Publishes for `duration`, or until `stop`, and waits for the answers.
    pub(crate) async fn publish(self, pace: Pace, duration: Duration, stop: &CancellationToken) -> Published {
        let publisher = Arc::new(self);
        match pace {
            Pace::Rate(rate) => publisher.by_the_clock(rate, duration, stop).await,
            Pace::Window(window) => publisher.in_a_loop(window, duration, stop).await,
        }
    }

    async fn by_the_clock(self: Arc<Self>, rate: u32, duration: Duration, stop: &CancellationToken) -> Published {
        let mut published = Published::default();
        let mut sending = JoinSet::new();
        let start = tokio::time::Instant::now();
        for number in 0..count(rate, duration) {
            let due = start + at(number, rate);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(due) => {}
            }
            while let Some(done) = sending.try_join_next() {
                published.enter(joined(done));
            }
            if sending.len() >= IN_FLIGHT_MAX
                && let Some(done) = sending.join_next().await
            {
                published.enter(joined(done));
            }
            published.behind = published.behind.max(due.elapsed());
            let sender = Arc::clone(&self);
            sending.spawn(async move { sender.send(number).await });
        }
        while let Some(done) = sending.join_next().await {
            published.enter(joined(done));
        }
        published
    }

    async fn in_a_loop(self: Arc<Self>, window: u32, duration: Duration, stop: &CancellationToken) -> Published {
        let mut published = Published::default();
        let mut sending = JoinSet::new();
        let deadline = Instant::now() + duration;
        let mut numbers = 0..self.numbers_max();
        let mut next = || numbers.next().filter(|_| Instant::now() < deadline && !stop.is_cancelled());
        for number in (0..window).map_while(|_| next()).collect::<Vec<_>>() {
            let sender = Arc::clone(&self);
            sending.spawn(async move { sender.send(number).await });
        }
        while let Some(done) = sending.join_next().await {
            published.enter(joined(done));
            // A server that refuses is not asked in a circle.
            if published.refused == 0
                && let Some(number) = next()
            {
                let sender = Arc::clone(&self);
                sending.spawn(async move { sender.send(number).await });
            }
        }
        published
    }

    fn numbers_max(&self) -> u64 {
        match self.load {
            Load::Announcements => u64::MAX,
            Load::Results => wire::RESULTS_MAX,
        }
    }

    async fn send(&self, number: u64) -> Result<Acked, Error> {
        let sent_ns = nanos(self.origin.elapsed());
        match self.load {
            Load::Announcements => {
                let new = NewAnnouncement {
                    title: "Load test".to_owned(),
                    message: wire::marked(number, sent_ns),
                    kind: AnnouncementType::General,
                    priority: timely_core::announcement::Priority::Normal,
                    is_public: true,
                    team_ids: Vec::new(),
                    expires_at: None,
                    confirm: None,
                };
                self.client.create_announcement(self.event, &new).await?;
            }
            Load::Results => {
                let (home, away) = wire::score(number);
                let body = PutResult::from(&Outcome::plain(Score { home, away }, ResultState::Provisional));
                let turn = usize::try_from(number).unwrap_or(0) % self.fixtures.len().max(1);
                let fixture = self.fixtures.get(turn).copied().unwrap_or(FixtureId(0));
                self.client.put_result(fixture, &body, Expected::Any).await?;
            }
        }
        Ok(Acked { number, sent_ns, answered_ns: nanos(self.origin.elapsed()) })
    }
}

/// How many messages are due within `duration`; at least one.
pub(crate) fn count(rate: u32, duration: Duration) -> u64 {
    let count = duration.as_millis() * u128::from(rate) / 1000;
    u64::try_from(count).unwrap_or(u64::MAX).max(1)
}

/// When a message is due, after the start.
fn at(number: u64, rate: u32) -> Duration {
    Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(rate.max(1)))
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn joined(done: Result<Result<Acked, Error>, tokio::task::JoinError>) -> Result<Acked, Error> {
    done.unwrap_or_else(|error| Err(Error::Unusable(format!("a request ended early: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly_and_there_is_always_one() {
        assert_eq!(count(20, Duration::from_secs(2)), 40);
        assert_eq!(count(3, Duration::from_millis(500)), 1);
        assert_eq!(count(1, Duration::from_millis(10)), 1);
        assert_eq!(at(0, 20), Duration::ZERO);
        assert_eq!(at(39, 20), Duration::from_millis(1950));
        assert_eq!(at(1, 3), Duration::from_nanos(333_333_333));
    }
}
