//! Where changes are announced, and which frames replace each other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{EventId, TeamId};

/// A topic. Its text form (`event_7_results`) is on the wire and in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    Event(EventId),
    EventResults(EventId),
    EventSchedule(EventId),
    EventAnnouncements(EventId),
    EventParticipants(EventId),
    EventStaff(EventId),
    Team(TeamId),
    TeamResults(TeamId),
    TeamSchedule(TeamId),
    TeamAnnouncements(TeamId),
}

/// Text that names no topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic; topics look like event_7_results or team_3")]
pub struct InvalidTopic(pub String);

impl Topic {
    /// The team, for topics of a team.
    pub const fn team(self) -> Option<TeamId> {
        match self {
            Self::Team(team) | Self::TeamResults(team) | Self::TeamSchedule(team) | Self::TeamAnnouncements(team) => {
                Some(team)
            }
            _ => None,
        }
    }

    /// The stream word a client subscribes with; `None` for the base topics.
    pub const fn stream(self) -> Option<Stream> {
        match self {
            Self::Event(_) | Self::Team(_) => None,
            Self::EventResults(_) | Self::TeamResults(_) => Some(Stream::Results),
            Self::EventSchedule(_) | Self::TeamSchedule(_) => Some(Stream::Schedule),
            Self::EventAnnouncements(_)
            | Self::EventParticipants(_)
            | Self::EventStaff(_)
            | Self::TeamAnnouncements(_) => Some(Stream::Announcements),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => write!(f, "event_{id}"),
            Self::EventResults(id) => write!(f, "event_{id}_results"),
            Self::EventSchedule(id) => write!(f, "event_{id}_schedule"),
            Self::EventAnnouncements(id) => write!(f, "event_{id}_announcements"),
            Self::EventParticipants(id) => write!(f, "event_{id}_participants"),
            Self::EventStaff(id) => write!(f, "event_{id}_staff"),
            Self::Team(id) => write!(f, "team_{id}"),
            Self::TeamResults(id) => write!(f, "team_{id}_results"),
            Self::TeamSchedule(id) => write!(f, "team_{id}_schedule"),
            Self::TeamAnnouncements(id) => write!(f, "team_{id}_announcements"),
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTopic(text.to_owned());
        let mut parts = text.splitn(3, '_');
        let (of, id, what) = (parts.next(), parts.next(), parts.next());
        let id: i64 = id.and_then(|id| id.parse().ok()).ok_or_else(invalid)?;
        let (event, team) = (EventId(id), TeamId(id));
        Ok(match (of, what) {
            (Some("event"), None) => Self::Event(event),
            (Some("event"), Some("results")) => Self::EventResults(event),
            (Some("event"), Some("schedule")) => Self::EventSchedule(event),
            (Some("event"), Some("announcements")) => Self::EventAnnouncements(event),
            (Some("event"), Some("participants")) => Self::EventParticipants(event),
            (Some("event"), Some("staff")) => Self::EventStaff(event),
            (Some("team"), None) => Self::Team(team),
            (Some("team"), Some("results")) => Self::TeamResults(team),
            (Some("team"), Some("schedule")) => Self::TeamSchedule(team),
            (Some("team"), Some("announcements")) => Self::TeamAnnouncements(team),
            _ => return Err(invalid()),
        })
    }
}

impl Serialize for Topic {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

crate::word::words! {
    /// What a client subscribes to, as in `{"type":"subscribe_results"}` and `?topics=results`.
    Stream, "stream":
    Results = "results",
    Schedule = "schedule",
    Announcements = "announcements",
}

/// What a frame says about its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneKind {
    /// Each frame is the whole truth; the latest replaces the earlier ones.
    State,
    /// Every frame counts.
    Log,
}

crate::word::words! {
    /// `type` of the messages that carry data.
    MessageType, "message type":
    ResultUpdate = "result_update",
    FixtureUpdate = "fixture_update",
    AnnouncementUpdate = "announcement_update",
    AnnouncementRemoved = "announcement_removed",
    LeaderboardUpdate = "leaderboard_update",
    ScheduleUpdate = "schedule_update",
    EventUpdate = "event_update",
    TeamUpdate = "team_update",
}

impl MessageType {
    pub const fn lane_kind(self) -> LaneKind {
        match self {
            Self::ResultUpdate | Self::FixtureUpdate | Self::AnnouncementUpdate | Self::AnnouncementRemoved => {
                LaneKind::Log
            }
            Self::LeaderboardUpdate | Self::ScheduleUpdate | Self::EventUpdate | Self::TeamUpdate => LaneKind::State,
        }
    }
}

/// A state lane: frames of one type on one topic, one per key. The key is the group of a
/// leaderboard, else empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StateLane {
    pub topic: Topic,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

impl StateLane {
    pub const fn new(topic: Topic) -> Self {
        Self { topic, key: String::new() }
    }

    /// The board of a group (empty for the one table of an event without groups).
    pub fn board(topic: Topic, group: Option<&str>) -> Self {
        Self { topic, key: group.unwrap_or_default().to_owned() }
    }

    /// The type of its frames: every topic has at most one kind of state.
    pub const fn message_type(&self) -> Option<MessageType> {
        match self.topic {
            Topic::Event(_) => Some(MessageType::EventUpdate),
            Topic::Team(_) => Some(MessageType::TeamUpdate),
            Topic::EventResults(_) | Topic::TeamResults(_) => Some(MessageType::LeaderboardUpdate),
            Topic::EventSchedule(_) | Topic::TeamSchedule(_) => Some(MessageType::ScheduleUpdate),
            Topic::EventAnnouncements(_)
            | Topic::EventParticipants(_)
            | Topic::EventStaff(_)
            | Topic::TeamAnnouncements(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_survive_their_text() {
        for text in [
            "event_7",
            "event_7_results",
            "event_7_schedule",
            "event_7_announcements",
            "event_7_participants",
            "event_7_staff",
            "team_3",
            "team_3_results",
            "team_3_schedule",
            "team_3_announcements",
        ] {
            assert_eq!(text.parse::<Topic>().unwrap().to_string(), text);
        }
        for text in ["", "event", "event_x", "event_7_", "team_3_staff", "venue_1", "event_7_results_x"] {
            assert!(text.parse::<Topic>().is_err(), "{text}");
        }
    }
}
