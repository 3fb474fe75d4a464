//! Bodies of the HTTP API, shared by server, client and tests. Unknown fields are refused.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, Serialize};

use crate::access::Role;
use crate::announcement::{AnnouncementType, Priority};
use crate::event::{Count, Visibility};
use crate::fixture::{Phase, ScheduleItem};
use crate::id::{EventId, TeamId, TokenId, UserId, VenueId};
use crate::result::{Goal, Outcome, ResultState, Score};
use crate::slot::Slot;
use crate::standings::Row;

/// A page of a list: `next` is the `after` of the following page, null at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<i64>,
}

/// Tells a field that is null from one that is absent: for PATCH bodies.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    pub name: String,
    pub starts_on: Date,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<Date>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(default)]
    pub visibility: Visibility,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    #[serde(default)]
    pub count: Count,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_on: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visibility: Option<Visibility>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTeam {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditTeam {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `null` takes the code away.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub code: Option<Option<String>>,
    /// `null` takes the team out of its group.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub group: Option<Option<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVenue {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditVenue {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub areas: Option<Vec<String>>,
}

/// A side is named by `home_team_id`, or by `home_slot` when another fixture or a group decides it;
/// neither means "to be decided".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewFixture {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_team_id: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_team_id: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_slot: Option<Slot>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_slot: Option<Slot>,
    pub start_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue_id: Option<VenueId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// Left out: the group both teams play in, if they play in the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundName>,
    #[serde(default)]
    pub phase: Phase,
}

/// A round by name or by number; kept as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "write the round as a name or a number")]
pub enum RoundName {
    Name(String),
    Number(u32),
}

impl From<RoundName> for String {
    fn from(round: RoundName) -> Self {
        match round {
            RoundName::Name(name) => name,
            RoundName::Number(number) => number.to_string(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditFixture {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub venue_id: Option<Option<VenueId>>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub area: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub home_team_id: Option<TeamId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away_team_id: Option<TeamId>,
}

/// `PUT /api/fixtures/F/result/`. Scores are read as wide numbers so that an absurd one is refused
/// by its field and not by its type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutResult {
    pub home_score: i64,
    pub away_score: i64,
    #[serde(default)]
    pub state: ResultState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ft_home: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ft_away: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pen_home: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pen_away: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<Goal>,
    /// Why a result is corrected; kept with the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<&Outcome> for PutResult {
    fn from(outcome: &Outcome) -> Self {
        Self {
            home_score: outcome.score.home.into(),
            away_score: outcome.score.away.into(),
            state: outcome.state,
            minute: outcome.minute,
            ft_home: outcome.full_time.map(|score| score.home.into()),
            ft_away: outcome.full_time.map(|score| score.away.into()),
            pen_home: outcome.shoot_out.map(|score| score.home.into()),
            pen_away: outcome.shoot_out.map(|score| score.away.into()),
            goals: outcome.goals.clone(),
            reason: None,
        }
    }
}

impl PutResult {
    /// The outcome the body describes.
    ///
    /// # Errors
    /// The field whose number is no score, or a half-given pair.
    pub fn outcome(&self) -> Result<Outcome, crate::result::InvalidField> {
        let score = |field, value: i64| {
            u16::try_from(value).ok().filter(|value| *value <= crate::result::SCORE_MAX).ok_or_else(|| {
                crate::result::InvalidField {
                    field,
                    detail: format!("{value} is not a score; a score is 0 to {}", crate::result::SCORE_MAX),
                }
            })
        };
        let pair = |home_field, home: Option<i64>, away_field, away: Option<i64>| match (home, away) {
            (None, None) => Ok(None),
            (Some(home), Some(away)) => {
                Ok(Some(Score { home: score(home_field, home)?, away: score(away_field, away)? }))
            }
            (None, Some(_)) => Err(missing(home_field, away_field)),
            (Some(_), None) => Err(missing(away_field, home_field)),
        };
        Ok(Outcome {
            score: Score { home: score("home_score", self.home_score)?, away: score("away_score", self.away_score)? },
            full_time: pair("ft_home", self.ft_home, "ft_away", self.ft_away)?,
            shoot_out: pair("pen_home", self.pen_home, "pen_away", self.pen_away)?,
            state: self.state,
            minute: self.minute,
            goals: self.goals.clone(),
        })
    }
}

fn missing(field: &'static str, other: &str) -> crate::result::InvalidField {
    crate::result::InvalidField { field, detail: format!("is missing; {other} needs it") }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAnnouncement {
    pub title: String,
    #[serde(default)]
    pub message: String,
    #[serde(default, rename = "type")]
    pub kind: AnnouncementType,
    #[serde(default)]
    pub priority: Priority,
    #[serde(default = "yes")]
    pub is_public: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub team_ids: Vec<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// `EMERGENCY` or `URGENT`, typed by the person who sends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

const fn yes() -> bool {
    true
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EditAnnouncement {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<AnnouncementType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_public: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_ids: Option<Vec<TeamId>>,
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    pub role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    /// Scorers only: the area their writes are limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// Viewers only: the team they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// A token as it is listed; `token` itself is answered once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    pub id: TokenId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub role: Role,
    pub event_id: Option<EventId>,
    pub area: Option<String>,
    pub team_id: Option<TeamId>,
    pub label: Option<String>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// `GET /api/me/`: who the server takes the caller for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    pub user_id: UserId,
    pub name: String,
    pub role: Role,
    pub token_id: TokenId,
    pub event_id: Option<EventId>,
    pub area: Option<String>,
    pub team_id: Option<TeamId>,
    pub expires_at: Option<Timestamp>,
}

/// The table of one group; `group` is null in an event without groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    pub group: Option<String>,
    pub leaderboard: Vec<Row>,
}

/// `GET /api/events/E/leaderboard/`: every board, true as of `pos`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaderboard {
    pub event_id: EventId,
    pub pos: u64,
    pub boards: Vec<Board>,
}

/// `GET /api/events/E/schedule/`: every fixture, true as of `pos`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub event_id: EventId,
    pub pos: u64,
    pub schedule: Vec<ScheduleItem>,
}

/// What an import created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub event_id: EventId,
    pub name: String,
    pub teams: usize,
    pub venues: usize,
    pub fixtures: usize,
    pub results: usize,
}

/// `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub status: String,
    pub version: String,
    /// True when limits were lifted for a load test.
    #[serde(default)]
    pub load_test: bool,
    /// True for a demo on a simulated clock.
    #[serde(default)]
    pub demo: bool,
}
