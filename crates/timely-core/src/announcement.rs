//! Announcements: what is said, how loudly, to whom and until when.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{AnnouncementId, EventId, TeamId, UserId};
use crate::topic::Topic;
use crate::word::words;

words! {
    /// What an announcement is about.
    AnnouncementType, "announcement type":
    General = "GENERAL",
    Schedule = "SCHEDULE",
    Result = "RESULT",
    Weather = "WEATHER",
    Emergency = "EMERGENCY",
}

words! {
    /// How loudly it is shown.
    Priority, "priority":
    Normal = "NORMAL",
    Low = "LOW",
    High = "HIGH",
    Urgent = "URGENT",
}

impl Priority {
    /// 0 is the loudest.
    const fn rank(self) -> u8 {
        match self {
            Self::Urgent => 0,
            Self::High => 1,
            Self::Normal => 2,
            Self::Low => 3,
        }
    }
}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Louder first: URGENT, HIGH, NORMAL, LOW.
impl Ord for Priority {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

words! {
    /// Why an announcement left the screens.
    RemovalReason, "removal reason":
    Withdrawn = "withdrawn",
    Expired = "expired",
    /// The viewer is no longer among those it is meant for.
    Audience = "audience",
}

/// Who wrote something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    pub id: UserId,
    pub name: String,
}

/// An announcement as every surface shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    pub id: AnnouncementId,
    pub title: String,
    pub message: String,
    #[serde(rename = "type")]
    pub kind: AnnouncementType,
    pub priority: Priority,
    /// False: participants only. Of no meaning when `team_ids` names teams.
    pub is_public: bool,
    /// Teams it is meant for; empty means the whole event.
    pub team_ids: Vec<TeamId>,
    pub created_by: Author,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub version: i64,
}

impl Announcement {
    /// Topics that carry it, in the order in which a session of several is served.
    pub fn topics(&self, event: EventId) -> Vec<Topic> {
        audience(event, self.is_public, &self.team_ids)
    }

    /// Whether it must be confirmed by typing a word, and which.
    pub fn confirmation(&self) -> Option<&'static str> {
        confirmation(self.kind, self.priority)
    }
}

/// Topics of an audience: the whole event, its participants, or some teams and the staff.
pub fn audience(event: EventId, is_public: bool, teams: &[TeamId]) -> Vec<Topic> {
    if !teams.is_empty() {
        let mut topics = vec![Topic::EventStaff(event)];
        topics.extend(teams.iter().copied().map(Topic::TeamAnnouncements));
        topics
    } else if is_public {
        vec![Topic::EventAnnouncements(event)]
    } else {
        vec![Topic::EventParticipants(event)]
    }
}

/// The word to type before this goes out: `EMERGENCY`, `URGENT`, or none.
pub fn confirmation(kind: AnnouncementType, priority: Priority) -> Option<&'static str> {
    match (kind, priority) {
        (AnnouncementType::Emergency, _) => Some("EMERGENCY"),
        (_, Priority::Urgent) => Some("URGENT"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_sort_by_loudness_not_by_letter() {
        let mut all = Priority::ALL.to_vec();
        all.sort();
        assert_eq!(all, [Priority::Urgent, Priority::High, Priority::Normal, Priority::Low]);
    }
}
