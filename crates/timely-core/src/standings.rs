//! The order of a group by the rules of the sport: a pure function of results.
//!
//! Tables are computed, never incremented, so that correcting or removing a result cannot leave a
//! trace. How ties are broken is data: see [`rules`].

pub mod rules;

use serde::{Deserialize, Serialize};

use crate::event::Count;
use crate::id::TeamId;
use crate::result::{ResultState, Score};
use crate::standings::rules::RuleSet;

/// A team that stands in the table, played or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrant {
    pub team: TeamId,
    pub name: String,
    /// Conduct points, 0 or less.
    pub conduct: i64,
}

/// A match that may feed the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub home: TeamId,
    pub away: TeamId,
    pub score: Score,
    pub state: ResultState,
}

/// One line of a table, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Place from 1. Teams that no rule separates share it, and the next place is skipped.
    pub position: u32,
    pub team_id: TeamId,
    pub team_name: String,
    pub points: i64,
    pub played: u32,
    pub won: u32,
    pub drawn: u32,
    pub lost: u32,
    pub gf: u32,
    pub ga: u32,
    pub gd: i64,
    /// How many of the matches counted are being played.
    pub live: u32,
    /// How many of the matches counted are not official yet, running ones not included.
    pub provisional: u32,
    /// What separated this team from the one above it, for example `goal difference`; null for the
    /// first, and where points alone decided.
    pub decided_by: Option<String>,
    /// Level with a neighbour on every rule: the place is shared until lots are drawn.
    pub shared: bool,
}

/// The table of `entrants` after `matches`, best first; the order is total and the same for any
/// order of input (teams that share a place stand by name, then id).
///
/// Matches of teams that are not entrants, annulled ones, and those that `count` leaves out do not
/// count. `lots` is the drawn order of teams no other rule separates, best first.
pub fn table(rules: &RuleSet, entrants: &[Entrant], matches: &[Match], lots: &[TeamId], count: Count) -> Vec<Row> {
    let _ = (rules, entrants, matches, lots, count);
    Vec::new()
}
