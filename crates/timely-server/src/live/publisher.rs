//! From change-log rows to what the hub is told, in an order that can be trusted.
//!
//! The publisher checks that rows come without a gap, and asks for the state lanes they refresh: at
//! once for the first refresh, then at most once per interval, and never without a last one. A state
//! was read at some `pos`; it is released only when every row up to there was applied, so that a
//! change of rights committed before it has been obeyed before it is shown.
//!
//! It reads nothing and waits for nothing: rows, states and the time come in, requests and frames go
//! out. Who follows what is the hub's matter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use timely_core::topic::StateLane;

use crate::live::frame::Frame;
use crate::store::LogRow;

/// Shortest time between two frames of one state lane.
pub const STATE_INTERVAL: Duration = Duration::from_millis(100);
/// The same for schedules of more than [`LARGE_SCHEDULE_FIXTURES`].
pub const LARGE_SCHEDULE_INTERVAL: Duration = Duration::from_secs(1);
/// A schedule with more fixtures is sent less often.
pub const LARGE_SCHEDULE_FIXTURES: usize = 100;
/// Wait before a state that could not be read is asked for again.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Most lanes asked for in one read.
pub const LANES_PER_READ_MAX: usize = 64;

/// A row is missing: rows after `after` must be fetched again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {expected} is missing before change {got}")]
pub struct Gap {
    pub expected: u64,
    pub got: u64,
}

/// What to do with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// It is the next one: apply it.
    Next,
    /// It was applied before.
    Known,
}

/// State lanes as they were read in one read transaction.
#[derive(Clone, Debug)]
pub struct States {
    pub pos: u64,
    pub timestamp: Timestamp,
    /// `None`: the lane is no more, for example the board of a group nobody plays in.
    pub lanes: Vec<(StateLane, Option<String>)>,
}

/// What the hub is told about a state lane.
#[derive(Debug)]
pub enum Released {
    Frame(Arc<Frame>),
    Gone(StateLane),
}

/// See the module.
#[derive(Debug)]
pub struct Publisher {
    applied: u64,
    lanes: BTreeMap<StateLane, Lane>,
    /// Read, but rows up to their `pos` are still to come.
    held: Vec<States>,
}

#[derive(Debug)]
struct Lane {
    /// `pos` of the latest row that refreshes it.
    wanted: u64,
    /// `pos` of the latest state released.
    has: u64,
    asked: bool,
    /// Not before this time.
    next: Duration,
}

impl Publisher {
    /// Starts after `applied`: earlier rows are history.
    pub const fn new(applied: u64) -> Self {
        Self { applied, lanes: BTreeMap::new(), held: Vec::new() }
    }

    /// `pos` of the latest row taken.
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// Takes the next row and notes the lanes it refreshes, as far as somebody follows them.
    ///
    /// # Errors
    /// [`Gap`] when a row is missing before this one; nothing was taken.
    pub fn row(&mut self, row: &LogRow, now: Duration, followed: impl Fn(&StateLane) -> bool) -> Result<Take, Gap> {
        if row.pos <= self.applied {
            return Ok(Take::Known);
        }
        if row.pos != self.applied + 1 {
            return Err(Gap { expected: self.applied + 1, got: row.pos });
        }
        self.applied = row.pos;
        for lane in row.refreshes.iter().filter(|lane| followed(lane)) {
            let entry = self.lanes.entry(lane.clone()).or_insert(Lane { wanted: 0, has: 0, asked: false, next: now });
            entry.wanted = row.pos;
        }
        Ok(Take::Next)
    }

    /// Lanes to read now, at most [`LANES_PER_READ_MAX`]; call again while there are any. They are
    /// answered by [`Publisher::states`] or [`Publisher::failed`].
    pub fn due(&mut self, now: Duration, followed: impl Fn(&StateLane) -> bool) -> Vec<StateLane> {
        // A lane nobody follows any more, or one at rest, needs no memory.
        self.lanes.retain(|lane, state| state.asked || (followed(lane) && (state.is_dirty() || state.next > now)));
        let mut due = Vec::new();
        for (lane, state) in &mut self.lanes {
            if state.is_dirty() && !state.asked && state.next <= now && due.len() < LANES_PER_READ_MAX {
                state.asked = true;
                due.push(lane.clone());
            }
        }
        due
    }

    /// A read that was asked for.
    pub fn states(&mut self, states: States) {
        self.held.push(states);
    }

    /// A read that failed: its lanes are asked for again after [`RETRY_INTERVAL`].
    pub fn failed(&mut self, lanes: &[StateLane], now: Duration) {
        for lane in lanes {
            if let Some(state) = self.lanes.get_mut(lane) {
                state.asked = false;
                state.next = now + RETRY_INTERVAL;
            }
        }
    }

    /// States whose rows have all been applied.
    pub fn release(&mut self, now: Duration) -> Vec<Released> {
        let applied = self.applied;
        let mut released = Vec::new();
        for states in self.held.extract_if(.., |states| states.pos <= applied) {
            for (lane, data) in states.lanes {
                let frame = data.as_deref().and_then(|data| Frame::state(&lane, data, states.pos, states.timestamp));
                if let Some(state) = self.lanes.get_mut(&lane) {
                    let large = frame.as_ref().is_some_and(|frame| frame.schedule_len() > LARGE_SCHEDULE_FIXTURES);
                    state.asked = false;
                    state.has = state.has.max(states.pos);
                    state.next = now + if large { LARGE_SCHEDULE_INTERVAL } else { STATE_INTERVAL };
                }
                released.push(frame.map_or(Released::Gone(lane), |frame| Released::Frame(Arc::new(frame))));
            }
        }
        released
    }

    /// When [`Publisher::due`] has something to say next, if nothing else happens.
    pub fn deadline(&self) -> Option<Duration> {
        self.lanes.values().filter(|state| state.is_dirty() && !state.asked).map(|state| state.next).min()
    }
}

impl Lane {
    const fn is_dirty(&self) -> bool {
        self.wanted > self.has
    }
}

#[cfg(test)]
mod tests {
    use timely_core::id::EventId;
    use timely_core::topic::Topic;

    use super::*;
    use crate::live::testing::{changed_row, schedule_data};

    const EVERYBODY: fn(&StateLane) -> bool = |_| true;

    fn board() -> StateLane {
        StateLane::board(Topic::EventResults(EventId(1)), Some("A"))
    }

    fn schedule() -> StateLane {
        StateLane::new(Topic::EventSchedule(EventId(1)))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn read(pos: u64, lane: StateLane, data: &str) -> States {
        States { pos, timestamp: Timestamp::UNIX_EPOCH, lanes: vec![(lane, Some(data.to_owned()))] }
    }

    fn positions(released: &[Released]) -> Vec<u64> {
        released
            .iter()
            .map(|released| match released {
                Released::Frame(frame) => frame.pos,
                Released::Gone(_) => 0,
            })
            .collect()
    }

    #[test]
    fn rows_are_taken_once_and_without_a_gap() {
        let mut publisher = Publisher::new(4);
        for (why, pos, expected) in [
            ("history", 4, Ok(Take::Known)),
            ("next", 5, Ok(Take::Next)),
            ("again", 5, Ok(Take::Known)),
            ("a hole", 7, Err(Gap { expected: 6, got: 7 })),
            ("after a new fetch", 6, Ok(Take::Next)),
            ("and on", 7, Ok(Take::Next)),
        ] {
            assert_eq!(publisher.row(&changed_row(pos, &[]), ms(0), EVERYBODY), expected, "{why}");
        }
        assert_eq!(publisher.applied(), 7);
    }

    #[test]
    fn the_first_refresh_is_read_at_once_later_ones_wait_and_the_last_is_never_lost() {
        let mut publisher = Publisher::new(0);
        publisher.row(&changed_row(1, &[board()]), ms(0), EVERYBODY).unwrap();
        assert_eq!(publisher.due(ms(0), EVERYBODY), [board()], "leading edge");
        publisher.states(read(1, board(), "{}"));
        assert_eq!(positions(&publisher.release(ms(2))), [1]);

        for pos in 2..=9 {
            publisher.row(&changed_row(pos, &[board()]), ms(pos), EVERYBODY).unwrap();
            assert!(publisher.due(ms(pos), EVERYBODY).is_empty(), "within the interval at {pos}");
        }
        assert_eq!(publisher.deadline(), Some(ms(102)), "100 ms after the last frame");
        assert_eq!(publisher.due(ms(102), EVERYBODY), [board()], "trailing edge");
        publisher.states(read(9, board(), "{}"));
        assert_eq!(positions(&publisher.release(ms(103))), [9]);
        assert_eq!(publisher.deadline(), None, "nothing is left to send");
        assert!(publisher.due(ms(500), EVERYBODY).is_empty());
    }

    #[test]
    fn a_state_waits_for_every_row_up_to_its_position() {
        let mut publisher = Publisher::new(0);
        publisher.row(&changed_row(1, &[board()]), ms(0), EVERYBODY).unwrap();
        publisher.due(ms(0), EVERYBODY);
        publisher.states(read(3, board(), "{}"));
        assert!(publisher.release(ms(1)).is_empty(), "rows 2 and 3 may take rights away");
        publisher.row(&changed_row(2, &[board()]), ms(1), EVERYBODY).unwrap();
        assert!(publisher.release(ms(1)).is_empty());
        publisher.row(&changed_row(3, &[]), ms(1), EVERYBODY).unwrap();
        assert_eq!(positions(&publisher.release(ms(1))), [3]);
        assert_eq!(publisher.deadline(), None, "the state read at 3 already holds change 2");
    }

    #[test]
    fn a_failed_read_is_repeated() {
        let mut publisher = Publisher::new(0);
        publisher.row(&changed_row(1, &[board()]), ms(0), EVERYBODY).unwrap();
        let lanes = publisher.due(ms(0), EVERYBODY);
        publisher.failed(&lanes, ms(0));
        assert!(publisher.due(ms(1), EVERYBODY).is_empty(), "not at once");
        assert_eq!(publisher.deadline(), Some(RETRY_INTERVAL));
        assert_eq!(publisher.due(RETRY_INTERVAL, EVERYBODY), [board()]);
    }

    #[test]
    fn large_schedules_are_sent_once_a_second() {
        for (why, fixtures, next) in
            [("100 fixtures", 100, STATE_INTERVAL), ("101 fixtures", 101, LARGE_SCHEDULE_INTERVAL)]
        {
            let mut publisher = Publisher::new(0);
            publisher.row(&changed_row(1, &[schedule()]), ms(0), EVERYBODY).unwrap();
            publisher.due(ms(0), EVERYBODY);
            publisher.states(read(1, schedule(), &schedule_data(fixtures)));
            publisher.release(ms(0));
            publisher.row(&changed_row(2, &[schedule()]), ms(1), EVERYBODY).unwrap();
            assert_eq!(publisher.deadline(), Some(next), "{why}");
        }
    }

    #[test]
    fn lanes_nobody_follows_cost_neither_reads_nor_memory() {
        let mut publisher = Publisher::new(0);
        publisher.row(&changed_row(1, &[board()]), ms(0), |_| false).unwrap();
        assert_eq!((publisher.due(ms(0), EVERYBODY), publisher.lanes.len()), (vec![], 0));
        publisher.row(&changed_row(2, &[board()]), ms(0), EVERYBODY).unwrap();
        assert_eq!((publisher.due(ms(0), |_| false), publisher.lanes.len()), (vec![], 0), "left meanwhile");
    }
}
