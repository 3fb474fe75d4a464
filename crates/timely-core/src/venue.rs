//! Places where fixtures are played.

use serde::{Deserialize, Serialize};

use crate::id::{EventId, VenueId};

/// A venue with its areas (pitch, court, table). Without areas it holds one fixture at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Venue {
    pub id: VenueId,
    pub event_id: EventId,
    pub name: String,
    pub areas: Vec<String>,
}
