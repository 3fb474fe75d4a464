//! What happened lately, newest first: one entry per change, told from the frames themselves.
//!
//! Entries are kept by `pos`, so a frame that comes again changes nothing and order does not matter.
//! What stands now is kept by the app; how an entry reads is left to the view.

use std::collections::BTreeMap;

use jiff::Timestamp;
use timely_core::announcement::Announcement;
use timely_core::fixture::{FixtureStatus, ScheduleItem};
use timely_core::id::AnnouncementId;
use timely_core::result::{FixtureResult, Score};

/// Entries that are kept: more than any screen shows.
pub(crate) const ENTRIES_MAX: usize = 200;

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When, in event time.
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Result { result: Box<FixtureResult>, before: Option<Score> },
    Fixture { fixture: Box<ScheduleItem>, turn: Turn },
    Announcement(Box<Announcement>),
}

/// What an update of a fixture means to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Moved {
        from: Timestamp,
    },
    Started,
    Paused,
    Postponed,
    Cancelled,
    Abandoned,
    /// Its teams, its place or its words; or how it was before is not known.
    Changed,
}

impl Turn {
    /// What became of a fixture; `None` when its result tells it better.
    pub(crate) fn of(before: Option<&ScheduleItem>, after: &ScheduleItem) -> Option<Self> {
        match after.status {
            FixtureStatus::Live => Some(Self::Started),
            FixtureStatus::Paused => Some(Self::Paused),
            FixtureStatus::Postponed => Some(Self::Postponed),
            FixtureStatus::Cancelled => Some(Self::Cancelled),
            FixtureStatus::Abandoned => Some(Self::Abandoned),
            FixtureStatus::Finished => None,
            FixtureStatus::Scheduled => Some(match before {
                Some(before) if before.start_at != after.start_at => Self::Moved { from: before.start_at },
                _ => Self::Changed,
            }),
        }
    }
}

/// The latest changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct News(BTreeMap<u64, Entry>);

impl News {
    /// Adds the entry of a change; one that is there already stays as it was first told.
    pub(crate) fn add(&mut self, pos: u64, entry: Entry) {
        self.0.entry(pos).or_insert(entry);
        if self.0.len() > ENTRIES_MAX {
            self.0.pop_first();
        }
    }

    /// Takes an announcement off the list.
    pub(crate) fn remove_announcement(&mut self, id: AnnouncementId) {
        self.0.retain(|_, entry| !matches!(&entry.what, What::Announcement(announcement) if announcement.id == id));
    }

    /// Newest first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.0.values().rev()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
