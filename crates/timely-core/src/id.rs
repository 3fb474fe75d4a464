//! Numbers that name things. A team cannot be passed where a fixture is meant.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A sports event.
    EventId,
    /// A venue of an event.
    VenueId,
    /// A team; it belongs to exactly one event.
    TeamId,
    /// A fixture, unique on the server. People say its number within the event instead.
    FixtureId,
    /// A result; a fixture has at most one.
    ResultId,
    /// An announcement.
    AnnouncementId,
    /// A person; the owner of the server is number 1.
    UserId,
    /// A bearer token.
    TokenId,
}

/// The person who owns the server: made with the data file.
pub const OWNER: UserId = UserId(1);
