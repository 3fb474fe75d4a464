//! Where a client is in the change log: `epoch.pos`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which change log it is; random, changed when continuity cannot be proven.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub String);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Every change up to `pos` of log `epoch` is known to the holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    pub epoch: Epoch,
    pub pos: u64,
}

/// Text that is no cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a cursor; use one the server gave you, such as k3f9a2.1042")]
pub struct InvalidCursor(pub String);

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.pos)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidCursor(text.to_owned());
        let (epoch, pos) = text.rsplit_once('.').ok_or_else(invalid)?;
        let well_formed = !epoch.is_empty()
            && epoch.len() <= 64
            && epoch.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && pos.bytes().all(|byte| byte.is_ascii_digit());
        match pos.parse() {
            Ok(pos) if well_formed => Ok(Self { epoch: Epoch(epoch.to_owned()), pos }),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

crate::word::words! {
    /// Why a subscription could not be continued from its cursor.
    NotRecovered, "reason":
    /// No cursor was given.
    Fresh = "fresh",
    /// The log no longer replays that far back.
    Expired = "expired",
    /// The cursor belongs to another log.
    Epoch = "epoch",
    /// The cursor lies ahead of the log.
    Ahead = "ahead",
    /// The session was too slow and its backlog was dropped (`resync` only).
    Lagged = "lagged",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_their_text_and_nothing_else_reads() {
        let cursor: Cursor = "k3f9.1042".parse().unwrap();
        assert_eq!((cursor.pos, cursor.to_string().as_str()), (1042, "k3f9.1042"));
        for text in ["", ".", "k3f9", "k3f9.", ".7", "k3f9.-7", "k3f9.x", "k 3.7", "k3f9.99999999999999999999"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
    }
}
