//! The sports event: what has teams, fixtures and a name.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::EventId;
use crate::word::words;

words! {
    /// Who may know of the event.
    Visibility, "visibility":
    /// Everybody.
    Public = "PUBLIC",
    /// People of the event.
    Private = "PRIVATE",
    /// Its organisers and scorers, while it is being set up.
    Draft = "DRAFT",
}

words! {
    /// Where the event stands; only `CANCELLED` and back is set by a command so far.
    EventStatus, "event status":
    Upcoming = "UPCOMING",
    Ongoing = "ONGOING",
    Completed = "COMPLETED",
    Cancelled = "CANCELLED",
}

words! {
    /// Which results feed the standings.
    Count, "count":
    /// Every entered result, running scores included: the table as it stands.
    Live = "LIVE",
    /// Results of finished fixtures, confirmed or not.
    Entered = "ENTERED",
    /// Official results only.
    Official = "OFFICIAL",
}

/// A sports event as every surface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    pub id: EventId,
    pub name: String,
    pub starts_on: Date,
    pub ends_on: Date,
    /// IANA name; times are typed and printed in this zone.
    pub timezone: String,
    pub visibility: Visibility,
    pub status: EventStatus,
    /// Id of the rule set of the standings, see [`crate::standings::rules`].
    pub rules: String,
    pub count: Count,
}
