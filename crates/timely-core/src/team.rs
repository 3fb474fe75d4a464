//! Teams of an event.

use serde::{Deserialize, Serialize};

use crate::id::{EventId, TeamId};

/// A team. Name and code are unique in the event, without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    pub id: TeamId,
    pub event_id: EventId,
    pub name: String,
    /// Short form for narrow screens and typing, for example `EAG`.
    pub code: Option<String>,
    /// Group it plays in, for example `A`.
    pub group: Option<String>,
}
