//! Scores and results: what was entered, whether it may be, and who won.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fixture::{Fixture, FixtureStatus, Phase};
use crate::id::{FixtureId, ResultId, TeamId};
use crate::word::words;

/// Highest score a side can have.
pub const SCORE_MAX: u16 = 999;
/// Highest match minute, stoppage and extra time included.
pub const MINUTE_MAX: u16 = 999;
/// Most goals one result lists.
pub const GOALS_MAX: usize = 200;

words! {
    /// How far a result is confirmed.
    ResultState, "result state":
    /// Final by the desk, not yet confirmed.
    Provisional = "PROVISIONAL",
    /// The score while the match is played.
    Live = "LIVE",
    /// Confirmed; changed only after it was reopened.
    Official = "OFFICIAL",
    /// Removed: it was entered and does not count.
    Annulled = "ANNULLED",
}

/// Points of both sides, home side first. Text (`2-1`) in the CLI, in import files and on screen;
/// JSON has `home_score` and `away_score`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Score {
    pub home: u16,
    pub away: u16,
}

/// Text that is no score.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a score; write it as home-away with 0 to {SCORE_MAX} each, for example 2-1")]
pub struct InvalidScore(pub String);

impl Score {
    /// The same score seen from the other side.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self { home: self.away, away: self.home }
    }

    pub const fn is_level(self) -> bool {
        self.home == self.away
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.home, self.away)
    }
}

impl FromStr for Score {
    type Err = InvalidScore;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| {
            (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
                .then(|| text.parse().ok())
                .flatten()
                .filter(|score| *score <= SCORE_MAX)
        };
        let (home, away) = text.trim().split_once(['-', ':']).ok_or_else(|| InvalidScore(text.to_owned()))?;
        match (side(home.trim()), side(away.trim())) {
            (Some(home), Some(away)) => Ok(Self { home, away }),
            _ => Err(InvalidScore(text.to_owned())),
        }
    }
}

impl Serialize for Score {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One goal. `team_id` is the side it counts for, own goals included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    pub team_id: TeamId,
    pub minute: u16,
    /// Minutes of stoppage time: 90 and 4 is 90+4'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub player: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub penalty: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_goal: bool,
}

/// What is known of a result, before and after the rules have seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Score when play ended, extra time included, shoot-out excluded.
    pub score: Score,
    /// Score after regular time; only with extra time.
    pub full_time: Option<Score>,
    /// The shoot-out alone.
    pub shoot_out: Option<Score>,
    pub state: ResultState,
    /// Match minute of a running score.
    pub minute: Option<u16>,
    pub goals: Vec<Goal>,
}

/// A value the rules can never accept: which field, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub struct InvalidField {
    pub field: &'static str,
    pub detail: String,
}

/// Why a fixture takes no such result now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultRefusal {
    #[error("fixture #{number} is {status} and takes no result; restore it first")]
    Status { number: u32, status: FixtureStatus },
    #[error("fixture #{0} takes no result before both teams are known")]
    TeamsUnknown(u32),
    #[error("fixture #{number} is a knockout and needs a winner, but {score} is level; add the shoot-out")]
    KnockoutLevel { number: u32, score: Score },
    #[error("the result of fixture #{0} is official; reopen it before you change it")]
    Official(u32),
    #[error("fixture #{0} has no result")]
    Missing(u32),
    #[error("the result of fixture #{number} is {state} and cannot be {command}")]
    State { number: u32, state: ResultState, command: &'static str },
    #[error("fixture #{number} is finished; correct its result instead of entering a live score")]
    AlreadyFinished { number: u32 },
}

impl Outcome {
    /// A plain score without periods, shoot-out or goals.
    pub const fn plain(score: Score, state: ResultState) -> Self {
        Self { score, full_time: None, shoot_out: None, state, minute: None, goals: Vec::new() }
    }

    /// Checks the values that need no fixture, and the goals against its teams.
    ///
    /// # Errors
    /// The first [`InvalidField`].
    pub fn check(&self, home: Option<TeamId>, away: Option<TeamId>) -> Result<(), InvalidField> {
        let invalid = |field, detail: String| Err(InvalidField { field, detail });
        for (field, value) in [("home_score", self.score.home), ("away_score", self.score.away)] {
            if value > SCORE_MAX {
                return invalid(field, format!("{value} is too high; a score is 0 to {SCORE_MAX}"));
            }
        }
        if matches!(self.state, ResultState::Official | ResultState::Annulled) {
            return invalid(
                "state",
                "enter a result as LIVE or PROVISIONAL; finalise or remove it by its own command".into(),
            );
        }
        if let Some(minute) = self.minute
            && (minute > MINUTE_MAX || self.state != ResultState::Live)
        {
            return invalid("minute", format!("only a LIVE score carries a minute, 0 to {MINUTE_MAX}"));
        }
        if let Some(full_time) = self.full_time
            && (full_time.home > self.score.home || full_time.away > self.score.away)
        {
            return invalid(
                if full_time.home > self.score.home { "ft_home" } else { "ft_away" },
                format!("regular time ended {full_time}, which is more than the final score {}", self.score),
            );
        }
        if let Some(shoot_out) = self.shoot_out {
            if !self.score.is_level() {
                return invalid(
                    "pen_home",
                    format!("a shoot-out follows a level score, and {} is not level", self.score),
                );
            }
            if shoot_out.home > SCORE_MAX || shoot_out.away > SCORE_MAX {
                return invalid("pen_home", format!("a shoot-out score is 0 to {SCORE_MAX}"));
            }
            if shoot_out.is_level() && self.state != ResultState::Live {
                return invalid("pen_home", format!("a finished shoot-out has a winner, and {shoot_out} is level"));
            }
        }
        if self.goals.len() > GOALS_MAX {
            return invalid("goals", format!("{} goals are too many; at most {GOALS_MAX}", self.goals.len()));
        }
        let mut counted = Score { home: 0, away: 0 };
        for goal in &self.goals {
            if goal.minute > MINUTE_MAX || goal.added.is_some_and(|added| added > MINUTE_MAX) {
                return invalid("goals", format!("a minute is 0 to {MINUTE_MAX}"));
            }
            if Some(goal.team_id) == home {
                counted.home += 1;
            } else if Some(goal.team_id) == away {
                counted.away += 1;
            } else {
                return invalid("goals", format!("team {} does not play in this fixture", goal.team_id));
            }
        }
        if counted.home > self.score.home || counted.away > self.score.away {
            return invalid("goals", format!("the goals listed make {counted}, more than the score {}", self.score));
        }
        Ok(())
    }

    /// Which side won, the shoot-out included; `None` for a draw.
    pub fn winner(&self, fixture: &Fixture) -> Option<TeamId> {
        let decided_by = if self.score.is_level() { self.shoot_out? } else { self.score };
        match decided_by.home.cmp(&decided_by.away) {
            std::cmp::Ordering::Greater => fixture.home.team,
            std::cmp::Ordering::Less => fixture.away.team,
            std::cmp::Ordering::Equal => None,
        }
    }
}

impl Fixture {
    /// Whether this outcome may be entered, and the status the fixture takes with it.
    ///
    /// # Errors
    /// [`ResultRefusal`] when the fixture is not to be played, lacks a team, needs a winner, or has
    /// an official result.
    pub fn record(&self, outcome: &Outcome, current: Option<&FixtureResult>) -> Result<FixtureStatus, ResultRefusal> {
        use FixtureStatus as S;
        if matches!(self.status, S::Cancelled | S::Postponed | S::Abandoned) {
            return Err(ResultRefusal::Status { number: self.number, status: self.status });
        }
        if self.home.team.is_none() || self.away.team.is_none() {
            return Err(ResultRefusal::TeamsUnknown(self.number));
        }
        if current.is_some_and(|current| current.state == ResultState::Official) {
            return Err(ResultRefusal::Official(self.number));
        }
        if outcome.state == ResultState::Live {
            return match self.status {
                S::Finished => Err(ResultRefusal::AlreadyFinished { number: self.number }),
                S::Paused => Ok(S::Paused),
                _ => Ok(S::Live),
            };
        }
        if self.phase == Phase::Knockout && outcome.winner(self).is_none() {
            return Err(ResultRefusal::KnockoutLevel { number: self.number, score: outcome.score });
        }
        Ok(S::Finished)
    }
}

/// The result of a fixture as every surface shows it: the object of `result_update`.
///
/// A removed result has null scores and the state `ANNULLED`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixtureResult {
    pub result_id: ResultId,
    pub fixture_id: FixtureId,
    /// Number of the fixture within the event.
    pub number: u32,
    pub home_team_id: Option<TeamId>,
    pub away_team_id: Option<TeamId>,
    pub home_score: Option<u16>,
    pub away_score: Option<u16>,
    pub ft_home: Option<u16>,
    pub ft_away: Option<u16>,
    pub pen_home: Option<u16>,
    pub pen_away: Option<u16>,
    /// Counts the shoot-out; null for a draw and for a removed result.
    pub winner_id: Option<TeamId>,
    pub is_draw: bool,
    pub state: ResultState,
    pub minute: Option<u16>,
    pub goals: Vec<Goal>,
    pub group: Option<String>,
    /// When it became official.
    pub finalized_at: Option<Timestamp>,
    /// Who checked it, if a second person did.
    pub verified_at: Option<Timestamp>,
    /// True in the message of the first entry, false for every later change.
    pub created: bool,
    pub updated_at: Timestamp,
    /// Grows by one with every change; corrections keep the earlier versions.
    pub version: i64,
}

impl FixtureResult {
    /// The score, unless the result was removed.
    pub fn score(&self) -> Option<Score> {
        Some(Score { home: self.home_score?, away: self.away_score? })
    }

    /// Whether a result stands: entered and not removed.
    pub fn counts(&self) -> bool {
        self.state != ResultState::Annulled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_read_as_typed_and_refuse_the_rest() {
        assert_eq!("2-1".parse(), Ok(Score { home: 2, away: 1 }));
        assert_eq!(" 10:0 ".parse(), Ok(Score { home: 10, away: 0 }));
        for text in ["", "2", "2-", "-1", "2-x", "1000-0", "99999999999-1", "2--1", "+2-1", "2-1-0"] {
            assert!(text.parse::<Score>().is_err(), "{text}");
        }
    }

    #[test]
    fn goals_belong_to_a_side_and_never_exceed_its_score() {
        let goal = |team| Goal {
            team_id: TeamId(team),
            minute: 5,
            added: None,
            player: None,
            penalty: false,
            own_goal: false,
        };
        let mut outcome = Outcome::plain(Score { home: 1, away: 0 }, ResultState::Provisional);
        outcome.goals = vec![goal(1)];
        assert_eq!(outcome.check(Some(TeamId(1)), Some(TeamId(2))), Ok(()));
        for goals in [vec![goal(3)], vec![goal(1), goal(1)], vec![goal(2)]] {
            outcome.goals = goals;
            assert_eq!(outcome.check(Some(TeamId(1)), Some(TeamId(2))).unwrap_err().field, "goals");
        }
    }
}
