//! Fixtures: two slots, a time, a place, and where the match stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{EventId, FixtureId, TeamId, VenueId};
use crate::slot::Slot;
use crate::word::words;

words! {
    /// How the fixture counts.
    Phase, "phase":
    /// Round robin: feeds the table of its group.
    RoundRobin = "RR",
    /// Knockout: needs a winner and never feeds a table.
    Knockout = "KO",
}

words! {
    /// Where the match stands.
    FixtureStatus, "fixture status":
    Scheduled = "SCHEDULED",
    Live = "LIVE",
    /// Stopped, will go on: half time, rain.
    Paused = "PAUSED",
    Finished = "FINISHED",
    /// Will be played, no time yet.
    Postponed = "POSTPONED",
    /// Will not be played.
    Cancelled = "CANCELLED",
    /// Stopped for good.
    Abandoned = "ABANDONED",
}

/// One side of a fixture: the team if it is known, and what decides it if it is not fixed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    pub team: Option<TeamId>,
    pub slot: Option<Slot>,
}

impl Side {
    /// A side whose team is fixed from the start.
    pub const fn team(team: TeamId) -> Self {
        Self { team: Some(team), slot: None }
    }
}

/// A fixture as the rules see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixture {
    pub id: FixtureId,
    pub event_id: EventId,
    /// 1, 2, … within the event: what people say and type.
    pub number: u32,
    pub phase: Phase,
    pub group: Option<String>,
    /// Free text, for example `Matchday 3` or `Quarter-finals`.
    pub round: Option<String>,
    pub home: Side,
    pub away: Side,
    pub start_at: Timestamp,
    pub venue_id: Option<VenueId>,
    pub area: Option<String>,
    pub status: FixtureStatus,
    /// Grows by one with every change of this record.
    pub version: i64,
}

/// A command about the match itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchCommand {
    Start,
    Pause,
    Finish,
    Abandon,
    Postpone,
    Cancel,
    /// Back to the schedule after a cancellation, a postponement or an abandonment.
    Restore,
}

/// Why a fixture refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FixtureRefusal {
    #[error("fixture #{number} is {status} and cannot {command}; {next}")]
    Status { number: u32, status: FixtureStatus, command: &'static str, next: &'static str },
    #[error("fixture #{0} cannot start before both teams are known")]
    TeamsUnknown(u32),
    #[error("fixture #{0} has a team on both sides; a team cannot play itself")]
    SameTeam(u32),
    #[error("fixture #{0} has been played and cannot be moved; correct its result instead")]
    Played(u32),
}

impl Fixture {
    /// The status after `command`.
    ///
    /// # Errors
    /// [`FixtureRefusal::Status`] when the match does not stand where the command makes sense,
    /// [`FixtureRefusal::TeamsUnknown`] for a start without two teams.
    pub fn apply(&self, command: MatchCommand) -> Result<FixtureStatus, FixtureRefusal> {
        use FixtureStatus as S;
        use MatchCommand as C;
        if command == C::Start && (self.home.team.is_none() || self.away.team.is_none()) {
            return Err(FixtureRefusal::TeamsUnknown(self.number));
        }
        match (command, self.status) {
            (C::Start, S::Scheduled | S::Paused) => Ok(S::Live),
            (C::Pause, S::Live) => Ok(S::Paused),
            (C::Finish, S::Live | S::Paused) => Ok(S::Finished),
            (C::Abandon, S::Live | S::Paused) => Ok(S::Abandoned),
            (C::Postpone, S::Scheduled) => Ok(S::Postponed),
            (C::Cancel, S::Scheduled | S::Postponed | S::Live | S::Paused) => Ok(S::Cancelled),
            (C::Restore, S::Cancelled | S::Postponed | S::Abandoned) => Ok(S::Scheduled),
            (command, status) => {
                let (command, next) = match command {
                    C::Start => ("start", "only a scheduled or paused fixture starts"),
                    C::Pause => ("pause", "only a live fixture pauses"),
                    C::Finish => ("finish", "start it first, or enter its result"),
                    C::Abandon => ("be abandoned", "only a live or paused fixture can"),
                    C::Postpone => ("be postponed", "only a scheduled fixture can"),
                    C::Cancel => ("be cancelled", "a finished fixture keeps its result; annul that instead"),
                    C::Restore => ("be restored", "only a cancelled, postponed or abandoned fixture can"),
                };
                Err(FixtureRefusal::Status { number: self.number, status, command, next })
            }
        }
    }

    /// Whether time and place may still change.
    ///
    /// # Errors
    /// [`FixtureRefusal::Status`] while it is played or when it is cancelled,
    /// [`FixtureRefusal::Played`] afterwards.
    pub fn may_move(&self) -> Result<(), FixtureRefusal> {
        match self.status {
            FixtureStatus::Scheduled | FixtureStatus::Postponed => Ok(()),
            FixtureStatus::Finished => Err(FixtureRefusal::Played(self.number)),
            status @ (FixtureStatus::Live
            | FixtureStatus::Paused
            | FixtureStatus::Abandoned
            | FixtureStatus::Cancelled) => Err(FixtureRefusal::Status {
                number: self.number,
                status,
                command: "be moved",
                next: "only a scheduled or postponed fixture can; restore it first",
            }),
        }
    }

    /// The team sides that are known.
    pub fn teams(&self) -> impl Iterator<Item = TeamId> + use<> {
        [self.home.team, self.away.team].into_iter().flatten()
    }
}

/// A team as part of another message; an unknown side is `{"id":null,"name":"TBD"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamLabel {
    pub id: Option<TeamId>,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl TeamLabel {
    /// The side that nobody has reached yet.
    pub fn to_be_decided() -> Self {
        Self { id: None, name: "TBD".to_owned(), code: None }
    }
}

/// A venue as part of another message; both null when none is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenueLabel {
    pub id: Option<VenueId>,
    pub name: Option<String>,
}

/// One item of a schedule, and the data of `fixture_update` beside `event_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleItem {
    pub fixture_id: FixtureId,
    pub number: u32,
    pub home_team: TeamLabel,
    pub away_team: TeamLabel,
    /// What decides the side, for example `winner of #49`; null when the team was set.
    pub home_slot: Option<Slot>,
    pub away_slot: Option<Slot>,
    pub start_at: Timestamp,
    pub venue: VenueLabel,
    pub area: Option<String>,
    pub status: FixtureStatus,
    pub round: Option<String>,
    pub phase: Phase,
    pub group: Option<String>,
    pub version: i64,
}
