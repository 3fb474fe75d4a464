//! Messages of the live streams. WebSocket and SSE carry the same JSON.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::access::AccessChange;
use crate::announcement::{Announcement, RemovalReason};
use crate::cursor::{Cursor, Epoch, NotRecovered};
use crate::event::Event;
use crate::fixture::ScheduleItem;
use crate::id::{AnnouncementId, EventId, TeamId};
use crate::result::FixtureResult;
use crate::standings::Row;
use crate::team::Team;
use crate::topic::{MessageType, StateLane, Stream, Topic};

/// The `data` of a message, by type. It is stored as text in the change log when it is written and
/// framed as it stands for every viewer, now and in a replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Data {
    Result {
        event_id: EventId,
        result: FixtureResult,
        timestamp: Timestamp,
    },
    Fixture {
        event_id: EventId,
        #[serde(flatten)]
        fixture: ScheduleItem,
        timestamp: Timestamp,
    },
    Announcement {
        event_id: EventId,
        announcement: Announcement,
        timestamp: Timestamp,
    },
    AnnouncementRemoved {
        event_id: EventId,
        announcement: RemovedAnnouncement,
        timestamp: Timestamp,
    },
    Leaderboard {
        event_id: EventId,
        group: Option<String>,
        leaderboard: Vec<Row>,
        timestamp: Timestamp,
    },
    Schedule {
        event_id: EventId,
        schedule: Vec<ScheduleItem>,
        timestamp: Timestamp,
    },
    Event {
        event_id: EventId,
        event: Event,
        timestamp: Timestamp,
    },
    Team {
        event_id: EventId,
        team: Team,
        timestamp: Timestamp,
    },
}

impl Data {
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Result { .. } => MessageType::ResultUpdate,
            Self::Fixture { .. } => MessageType::FixtureUpdate,
            Self::Announcement { .. } => MessageType::AnnouncementUpdate,
            Self::AnnouncementRemoved { .. } => MessageType::AnnouncementRemoved,
            Self::Leaderboard { .. } => MessageType::LeaderboardUpdate,
            Self::Schedule { .. } => MessageType::ScheduleUpdate,
            Self::Event { .. } => MessageType::EventUpdate,
            Self::Team { .. } => MessageType::TeamUpdate,
        }
    }
}

/// An announcement that left the screens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovedAnnouncement {
    pub id: AnnouncementId,
    pub reason: RemovalReason,
}

/// A message that carries data, as it stands on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DataMessage<'a> {
    #[serde(rename = "type")]
    pub kind: MessageType,
    #[serde(borrow)]
    pub data: &'a RawValue,
    pub timestamp: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    pub topic: Topic,
    pub seq: u64,
    pub pos: u64,
    /// Part of a snapshot or a tail: it never moves the cursor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
    /// An emergency ahead of its turn, which follows: it never moves the cursor either.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    /// `/stream/results/` over SSE only: the board of the group concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaderboard: Option<Box<RawValue>>,
}

/// A row of the change log as a line of `/api/feed/`: what happened, for everybody at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine<'a> {
    pub pos: u64,
    /// A message type, `changed` (no message of its own) or `access` (a change of rights).
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    pub event_id: Option<EventId>,
    /// Group whose table the row concerns.
    #[serde(borrow)]
    pub group: Option<Cow<'a, str>>,
    /// Where it is announced.
    pub topics: Vec<Announced>,
    /// State lanes that it changes.
    pub refreshes: Vec<StateLane>,
    /// With type `access`.
    pub access: Option<AccessChange>,
    /// Of a message.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    /// Event time.
    pub timestamp: Timestamp,
    /// Real time.
    pub committed_at: Timestamp,
}

/// A topic that a row reaches, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    pub topic: Topic,
    pub seq: u64,
}

/// Everything else the server says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Control {
    Connected {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        team_id: Option<TeamId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        team_name: Option<String>,
        message: String,
        topics: Vec<Stream>,
        epoch: Epoch,
        cursor: Cursor,
        timestamp: Timestamp,
    },
    Subscribed {
        stream: Stream,
        epoch: Epoch,
        cursor: Cursor,
        recovered: bool,
        reason: Option<NotRecovered>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
    },
    Unsubscribed {
        stream: Stream,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
    },
    /// Snapshot, replay, or what a slow client had missed is through; from here everything is live.
    Live { topics: Vec<Topic>, cursor: Cursor },
    /// Something was dropped for this session and has expired; state and tail follow.
    Resync { topics: Vec<Topic>, reason: NotRecovered, cursor: Cursor },
    Status {
        pos: u64,
        server_time: Timestamp,
        /// Seconds of event time in a second of real time: 1 outside a demo.
        clock_rate: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stale_since: Option<Timestamp>,
    },
    Pong {
        #[serde(default)]
        timestamp: serde_json::Value,
    },
    Error {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<serde_json::Value>,
        code: ErrorCode,
        message: String,
        retryable: bool,
    },
}

crate::word::words! {
    /// Codes of `error` messages.
    ErrorCode, "error code":
    BadJson = "bad_json",
    UnknownType = "unknown_type",
    BadRequest = "bad_request",
    TooLarge = "too_large",
    RateLimited = "rate_limited",
    Unavailable = "unavailable",
}

/// What a client may say. Extra fields are ignored: the guide's clients send what they like.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    SubscribeResults(Subscribe),
    SubscribeSchedule(Subscribe),
    SubscribeAnnouncements(Subscribe),
    UnsubscribeResults(Subscribe),
    UnsubscribeSchedule(Subscribe),
    UnsubscribeAnnouncements(Subscribe),
    Resume {
        topics: Vec<Stream>,
        since: Cursor,
        #[serde(default)]
        id: Option<serde_json::Value>,
    },
    Ping {
        #[serde(default)]
        timestamp: serde_json::Value,
    },
}

/// Options of a subscribe; either makes the session a v2 session.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Subscribe {
    #[serde(default)]
    pub id: Option<serde_json::Value>,
    #[serde(default)]
    pub since: Option<Cursor>,
}

/// Close codes of `WebSockets`: 4000 to 4099 never retry, 4100 to 4199 back off, 4200 to 4299 resume
/// at once.
pub mod close {
    /// The credential was revoked or has expired.
    pub const CREDENTIAL: u16 = 4001;
    /// The event or team is gone, or hidden from this viewer.
    pub const GONE: u16 = 4004;
    /// The server has no room for this stream now.
    pub const OVERLOADED: u16 = 4100;
    /// No write progress for 10 s.
    pub const STALLED: u16 = 4103;
    /// The client sent too much in a short time.
    pub const RATE_LIMITED: u16 = 4129;
    /// The server stops, or the session fell behind and must resume.
    pub const RESUME: u16 = 4200;
}
