//! A whole tournament as people write it down, for import and for the demo: see `data/README.md`.
//!
//! Reading the file's syntax is left to the caller; here its meaning is checked, line by line, and
//! turned into teams, venues, fixtures and outcomes.

use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use crate::event::Visibility;
use crate::fixture::{FixtureStatus, Phase};
use crate::result::Score;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tournament {
    pub event: TournamentEvent,
    #[serde(default, rename = "venue")]
    pub venues: Vec<TournamentVenue>,
    #[serde(rename = "team")]
    pub teams: Vec<TournamentTeam>,
    #[serde(default, rename = "fixture")]
    pub fixtures: Vec<TournamentFixture>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentEvent {
    pub name: String,
    pub starts_on: Date,
    #[serde(default)]
    pub ends_on: Option<Date>,
    #[serde(default)]
    pub timezone: Option<String>,
    #[serde(default)]
    pub visibility: Visibility,
    #[serde(default)]
    pub rules: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentVenue {
    pub name: String,
    #[serde(default)]
    pub areas: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentTeam {
    pub code: String,
    pub name: String,
    #[serde(default)]
    pub group: Option<String>,
}

/// A fixture with, perhaps, its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentFixture {
    pub number: u32,
    /// Local time of the event's zone, for example `2022-11-20 19:00`.
    pub start: DateTime,
    #[serde(default)]
    pub venue: Option<String>,
    #[serde(default)]
    pub area: Option<String>,
    #[serde(default)]
    pub round: Option<String>,
    #[serde(default)]
    pub phase: Phase,
    /// A team's code, or a slot such as `winner of #49`.
    pub home: String,
    pub away: String,
    #[serde(default)]
    pub status: FixtureStatus,
    /// Score when play ended, shoot-out excluded.
    #[serde(default)]
    pub score: Option<Score>,
    #[serde(default)]
    pub half_time: Option<Score>,
    /// Score after regular time, if there was extra time.
    #[serde(default)]
    pub full_time: Option<Score>,
    #[serde(default)]
    pub shoot_out: Option<Score>,
    /// `23 ARG Lionel Messi (pen)`, `90+4 NED Wout Weghorst`, `77 AUS Enzo Fernández (og)`: the team
    /// is the one the goal counts for.
    #[serde(default)]
    pub goals: Vec<String>,
}
