//! A whole tournament as people write it down, for import and for the demo: see `data/README.md`.
//!
//! Reading the file's syntax is left to the caller; here its meaning is checked, all of it at once,
//! and turned into a [`Plan`] of teams, venues, fixtures and outcomes that can be written in one go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::{Deserialize, Serialize};

use crate::event::{Count, Visibility};
use crate::fixture::Phase;
use crate::id::TeamId;
use crate::result::{Goal, InvalidField, MINUTE_MAX, Outcome, ResultState, Score};
use crate::slot::Slot;
use crate::standings::rules::{self, RuleSet};
use crate::standings::{self, Entrant, Match};
use crate::text::folded;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tournament {
    pub event: TournamentEvent,
    #[serde(default, rename = "venue", skip_serializing_if = "Vec::is_empty")]
    pub venues: Vec<TournamentVenue>,
    #[serde(default, rename = "team", skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TournamentTeam>,
    #[serde(default, rename = "fixture", skip_serializing_if = "Vec::is_empty")]
    pub fixtures: Vec<TournamentFixture>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentEvent {
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
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentVenue {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub areas: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentTeam {
    /// How fixtures and goals name it.
    pub code: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// A fixture with, perhaps, its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TournamentFixture {
    pub number: u32,
    /// Local time of the event's zone, for example `2022-11-20 19:00`.
    pub start: DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<String>,
    #[serde(default)]
    pub phase: Phase,
    /// A team's code, or a slot such as `winner of #49`.
    pub home: String,
    pub away: String,
    /// Score when play ended, extra time included, shoot-out excluded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half_time: Option<Score>,
    /// Score after regular time, if there was extra time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_time: Option<Score>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shoot_out: Option<Score>,
    /// `23 ARG Lionel Messi (pen)`, `90+4 NED Wout Weghorst`, `77 AUS Enzo Fernández (og)`: the team
    /// is the one the goal counts for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goals: Vec<String>,
}

/// The meaning of the file, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub starts_on: Date,
    pub ends_on: Date,
    pub timezone: String,
    pub visibility: Visibility,
    pub rules: &'static str,
    pub venues: Vec<TournamentVenue>,
    pub teams: Vec<TournamentTeam>,
    /// By number.
    pub fixtures: Vec<PlannedFixture>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFixture {
    pub number: u32,
    pub start_at: Timestamp,
    /// Index into [`Plan::venues`].
    pub venue: Option<usize>,
    pub area: Option<String>,
    pub round: Option<String>,
    pub phase: Phase,
    /// The group of both teams of a round robin fixture.
    pub group: Option<String>,
    pub home: PlannedSide,
    pub away: PlannedSide,
    pub outcome: Option<PlannedOutcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedSide {
    /// Index into [`Plan::teams`].
    Team(usize),
    Slot(Slot),
}

/// How a fixture ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedOutcome {
    pub score: Score,
    pub full_time: Option<Score>,
    pub shoot_out: Option<Score>,
    pub goals: Vec<PlannedGoal>,
}

/// A goal, told by side: in a knockout the file may know the scorer before the bracket knows the
/// team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedGoal {
    /// Whether it counts for the home side.
    pub home: bool,
    pub minute: u16,
    pub added: Option<u16>,
    pub player: Option<String>,
    pub penalty: bool,
    pub own_goal: bool,
}

impl PlannedGoal {
    /// The goal of the team on its side.
    pub fn goal(&self, home: TeamId, away: TeamId) -> Goal {
        Goal {
            team_id: if self.home { home } else { away },
            minute: self.minute,
            added: self.added,
            player: self.player.clone(),
            penalty: self.penalty,
            own_goal: self.own_goal,
        }
    }
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {detail}")]
pub struct TournamentError {
    /// For example `fixture 12: away`.
    pub place: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// Collects what is wrong while the rest is checked too.
#[derive(Default)]
struct Findings(Vec<TournamentError>);

impl Findings {
    fn add(&mut self, place: impl fmt::Display, detail: impl Into<String>) {
        self.0.push(TournamentError { place: place.to_string(), detail: detail.into() });
    }
}

impl Tournament {
    /// Checks what the file says and resolves it.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn check(&self) -> Result<Plan, Vec<TournamentError>> {
        let mut findings = Findings::default();
        let event = &self.event;
        if event.name.trim().is_empty() {
            findings.add("event: name", "is empty; give the event a name");
        }
        let ends_on = event.ends_on.unwrap_or(event.starts_on);
        if ends_on < event.starts_on {
            findings.add("event: ends_on", format!("{ends_on} is before the start {}", event.starts_on));
        }
        let rules_id = event.rules.as_deref().unwrap_or(rules::DEFAULT);
        let rules = rules::find(rules_id);
        if rules.is_none() {
            let known: Vec<_> = rules::SHIPPED.iter().map(|rules| rules.id).collect();
            findings.add("event: rules", format!("`{rules_id}` is not known; use one of {}", known.join(", ")));
        }
        let timezone = event.timezone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(timezone).unwrap_or_else(|_| {
            findings.add("event: timezone", format!("`{timezone}` is not a time zone; write it like Europe/London"));
            TimeZone::UTC
        });
        let venues = unique(&self.venues, "venue", |venue| &venue.name, &mut findings);
        let teams = unique(&self.teams, "team", |team| &team.code, &mut findings);
        unique(&self.teams, "team", |team| &team.name, &mut findings);
        let groups: BTreeSet<&str> = self.teams.iter().filter_map(|team| team.group.as_deref()).collect();

        let mut numbers = BTreeSet::new();
        for fixture in &self.fixtures {
            if fixture.number == 0 || !numbers.insert(fixture.number) {
                findings.add(
                    format_args!("fixture {}: number", fixture.number),
                    "numbers start at 1 and each is used once",
                );
            }
        }
        let reader = Reader {
            tournament: self,
            zone: &zone,
            venues: &venues,
            teams: &teams,
            groups: &groups,
            numbers: &numbers,
        };
        let mut fixtures: Vec<PlannedFixture> =
            self.fixtures.iter().filter_map(|fixture| reader.fixture(fixture, &mut findings)).collect();
        fixtures.sort_by_key(|fixture| fixture.number);
        // Where results lead is only asked of a file whose references hold.
        let Some(rules) = rules.filter(|_| findings.0.is_empty()) else { return Err(findings.0) };
        let known = bracket(rules, &self.teams, &fixtures);
        for planned in &mut fixtures {
            let written = self.fixtures.iter().find(|fixture| fixture.number == planned.number);
            if let (Some(written), Some(outcome)) = (written, &mut planned.outcome) {
                let teams = known.get(&planned.number).copied().unwrap_or_default();
                outcome.goals = reader.goals(written, outcome.score, teams, &mut findings);
            }
        }
        if findings.0.is_empty() {
            Ok(Plan {
                name: event.name.clone(),
                starts_on: event.starts_on,
                ends_on,
                timezone: timezone.to_owned(),
                visibility: event.visibility,
                rules: rules.id,
                venues: self.venues.clone(),
                teams: self.teams.clone(),
                fixtures,
            })
        } else {
            Err(findings.0)
        }
    }
}

/// Indexes by folded name, and reports empty and repeated ones.
fn unique<'a, T>(
    items: &'a [T],
    what: &str,
    name: impl Fn(&'a T) -> &'a String,
    findings: &mut Findings,
) -> BTreeMap<String, usize> {
    let mut index = BTreeMap::new();
    for (at, item) in items.iter().enumerate() {
        let name = name(item);
        if name.trim().is_empty() {
            findings.add(format_args!("{what} {}", at + 1), "its name is empty");
        } else if index.insert(folded(name), at).is_some() {
            findings.add(format_args!("{what} {}", at + 1), format!("`{name}` is used twice"));
        }
    }
    index
}

/// What fixtures refer to.
struct Reader<'a> {
    tournament: &'a Tournament,
    zone: &'a TimeZone,
    venues: &'a BTreeMap<String, usize>,
    teams: &'a BTreeMap<String, usize>,
    groups: &'a BTreeSet<&'a str>,
    numbers: &'a BTreeSet<u32>,
}

impl Reader<'_> {
    /// The fixture, or `None` when something essential of it could not be read.
    fn fixture(&self, fixture: &TournamentFixture, findings: &mut Findings) -> Option<PlannedFixture> {
        let at = |field: &str| format!("fixture {}: {field}", fixture.number);
        let start_at = match self.zone.to_ambiguous_timestamp(fixture.start).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(fixture.start).ok(),
            AmbiguousOffset::Gap { .. } => {
                findings.add(at("start"), format!("{} does not exist: clocks go forward over it", fixture.start));
                None
            }
            AmbiguousOffset::Fold { .. } => {
                findings.add(
                    at("start"),
                    format!("{} happens twice: clocks go back over it; choose another time", fixture.start),
                );
                None
            }
        };
        let venue = match &fixture.venue {
            None => None,
            Some(name) => {
                let found = self.venues.get(&folded(name)).copied();
                if found.is_none() {
                    findings.add(at("venue"), format!("there is no venue `{name}` in this file"));
                }
                found
            }
        };
        if let Some(area) = &fixture.area {
            let areas = venue.map(|venue| self.tournament.venues[venue].areas.as_slice()).unwrap_or_default();
            if !areas.contains(area) {
                findings.add(at("area"), format!("the venue has no area `{area}`; it has: {}", areas.join(", ")));
            }
        }
        let home = self.side(&fixture.home, &at("home"), fixture.number, findings);
        let away = self.side(&fixture.away, &at("away"), fixture.number, findings);
        let group = match (&home, &away) {
            (Some(PlannedSide::Team(home)), Some(PlannedSide::Team(away))) => {
                if home == away {
                    findings.add(at("away"), "a team cannot play itself");
                }
                let (home, away) = (&self.tournament.teams[*home].group, &self.tournament.teams[*away].group);
                if fixture.phase == Phase::RoundRobin && home != away {
                    findings.add(
                        at("away"),
                        "both teams of a group fixture play in the same group; a knockout has phase = \"KO\"",
                    );
                }
                home.clone().filter(|_| fixture.phase == Phase::RoundRobin)
            }
            _ => None,
        };
        let outcome = Self::outcome(fixture, findings);
        Some(PlannedFixture {
            number: fixture.number,
            start_at: start_at?,
            venue,
            area: fixture.area.clone(),
            round: fixture.round.clone(),
            phase: fixture.phase,
            group,
            home: home?,
            away: away?,
            outcome,
        })
    }

    fn side(&self, text: &str, place: &str, number: u32, findings: &mut Findings) -> Option<PlannedSide> {
        if let Some(team) = self.teams.get(&folded(text)) {
            return Some(PlannedSide::Team(*team));
        }
        match text.parse::<Slot>() {
            Ok(Slot::Winner(of) | Slot::Loser(of)) if of == number || !self.numbers.contains(&of) => {
                findings.add(place, format!("`{text}` points to no other fixture of this file"));
                None
            }
            Ok(Slot::Place { group, .. }) if !self.groups.contains(group.as_str()) => {
                findings.add(place, format!("no team plays in group `{group}`"));
                None
            }
            Ok(slot) => Some(PlannedSide::Slot(slot)),
            Err(_) => {
                findings.add(
                    place,
                    format!("`{text}` is neither the code of a team nor a slot like `winner of #49` or `2nd of A`"),
                );
                None
            }
        }
    }

    fn outcome(fixture: &TournamentFixture, findings: &mut Findings) -> Option<PlannedOutcome> {
        let at = |field: &str| format!("fixture {}: {field}", fixture.number);
        let Some(score) = fixture.score else {
            if fixture.half_time.is_some()
                || fixture.full_time.is_some()
                || fixture.shoot_out.is_some()
                || !fixture.goals.is_empty()
            {
                findings.add(at("score"), "is missing; half time, full time, shoot-out and goals need it");
            }
            return None;
        };
        // The rules of results, seen with stand-in teams.
        let outcome = Outcome {
            score,
            full_time: fixture.full_time,
            shoot_out: fixture.shoot_out,
            state: ResultState::Provisional,
            minute: None,
            goals: Vec::new(),
        };
        if let Err(InvalidField { field, detail }) = outcome.check(None, None) {
            let field = match field {
                "ft_home" | "ft_away" => "full_time",
                "pen_home" | "pen_away" => "shoot_out",
                _ => "score",
            };
            findings.add(at(field), detail);
        }
        if fixture.phase == Phase::Knockout && score.is_level() && fixture.shoot_out.is_none() {
            findings.add(at("shoot_out"), format!("a knockout needs a winner, and {score} is level"));
        }
        Some(PlannedOutcome { score, full_time: fixture.full_time, shoot_out: fixture.shoot_out, goals: Vec::new() })
    }

    /// Reads the goals of a fixture between the teams that the results so far lead to.
    fn goals(
        &self,
        fixture: &TournamentFixture,
        score: Score,
        teams: [Option<usize>; 2],
        findings: &mut Findings,
    ) -> Vec<PlannedGoal> {
        let at = |field: &str| format!("fixture {}: {field}", fixture.number);
        let [Some(home), Some(away)] = teams else {
            findings.add(at("score"), "there can be no score before both teams are decided by earlier results");
            return Vec::new();
        };
        let mut goals = Vec::new();
        for text in &fixture.goals {
            match self.goal(text, home, away) {
                Ok(goal) => goals.push(goal),
                Err(detail) => findings.add(at("goals"), detail),
            }
        }
        let home_goals = goals.iter().filter(|goal| goal.home).count();
        let counted = (home_goals, goals.len() - home_goals);
        if goals.len() == fixture.goals.len()
            && !goals.is_empty()
            && counted != (usize::from(score.home), usize::from(score.away))
        {
            findings.add(
                at("goals"),
                format!("the goals listed make {}-{}, but the score is {score}", counted.0, counted.1),
            );
        }
        goals
    }

    /// Reads `90+4 NED Wout Weghorst (pen)`.
    fn goal(&self, text: &str, home: usize, away: usize) -> Result<PlannedGoal, String> {
        let wrong = |what: &str| format!("`{text}`: {what}; write a goal like `90+4 NED Wout Weghorst (pen)`");
        let (time, rest) = text.trim().split_once(' ').ok_or_else(|| wrong("the team is missing"))?;
        let (code, player) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let (minute, added) = match time.trim_end_matches('\'').split_once('+') {
            Some((minute, added)) => (minute, Some(added)),
            None => (time.trim_end_matches('\''), None),
        };
        let number = |digits: &str| digits.parse::<u16>().ok().filter(|minute| *minute <= MINUTE_MAX);
        let minute = number(minute).ok_or_else(|| wrong("the minute is not a number"))?;
        let added = match added {
            Some(added) => Some(number(added).ok_or_else(|| wrong("the added minutes are not a number"))?),
            None => None,
        };
        let team = *self.teams.get(&folded(code)).ok_or_else(|| wrong(&format!("there is no team `{code}`")))?;
        if team != home && team != away {
            return Err(wrong(&format!("`{code}` does not play in this fixture")));
        }
        let (player, penalty, own_goal) = match player.trim() {
            player if player.ends_with("(pen)") => (player.trim_end_matches("(pen)"), true, false),
            player if player.ends_with("(og)") => (player.trim_end_matches("(og)"), false, true),
            player => (player, false, false),
        };
        let player = Some(player.trim().to_owned()).filter(|player| !player.is_empty());
        Ok(PlannedGoal { home: team == home, minute, added, player, penalty, own_goal })
    }
}

/// Which teams the results of the file lead to, by number of the fixture.
fn bracket(
    rules: &RuleSet,
    teams: &[TournamentTeam],
    fixtures: &[PlannedFixture],
) -> BTreeMap<u32, [Option<usize>; 2]> {
    let mut known: BTreeMap<u32, [Option<usize>; 2]> = BTreeMap::new();
    let places = group_places(rules, teams, fixtures);
    let outcomes: BTreeMap<u32, &PlannedOutcome> =
        fixtures.iter().filter_map(|fixture| Some((fixture.number, fixture.outcome.as_ref()?))).collect();
    // A slot may point to a later number: go round until nothing new is known.
    loop {
        let mut changed = false;
        for fixture in fixtures {
            let resolve = |side: &PlannedSide| match side {
                PlannedSide::Team(team) => Some(*team),
                PlannedSide::Slot(Slot::Place { place, group }) => places.get(&(group.clone(), *place)).copied(),
                PlannedSide::Slot(Slot::Winner(of)) => {
                    winner(outcomes.get(of)?).and_then(|home| side_of(&known, *of, home))
                }
                PlannedSide::Slot(Slot::Loser(of)) => {
                    winner(outcomes.get(of)?).and_then(|home| side_of(&known, *of, !home))
                }
            };
            let sides = [resolve(&fixture.home), resolve(&fixture.away)];
            changed |= known.insert(fixture.number, sides) != Some(sides);
        }
        if !changed {
            return known;
        }
    }
}

fn side_of(known: &BTreeMap<u32, [Option<usize>; 2]>, number: u32, home: bool) -> Option<usize> {
    known.get(&number).and_then(|sides| sides[usize::from(!home)])
}

/// Whether the home side won; `None` for a draw.
fn winner(outcome: &PlannedOutcome) -> Option<bool> {
    let decided_by = if outcome.score.is_level() { outcome.shoot_out? } else { outcome.score };
    (!decided_by.is_level()).then_some(decided_by.home > decided_by.away)
}

/// Team index by group and place, of the groups in which every fixture has a score.
fn group_places(
    rules: &RuleSet,
    teams: &[TournamentTeam],
    fixtures: &[PlannedFixture],
) -> BTreeMap<(String, u32), usize> {
    let mut places = BTreeMap::new();
    let id = |index: usize| TeamId(i64::try_from(index).unwrap_or(i64::MAX));
    let groups: BTreeSet<&String> = teams.iter().filter_map(|team| team.group.as_ref()).collect();
    for group in groups {
        let of_group: Vec<_> = fixtures.iter().filter(|fixture| fixture.group.as_ref() == Some(group)).collect();
        if of_group.is_empty() || of_group.iter().any(|fixture| fixture.outcome.is_none()) {
            continue;
        }
        let entrants: Vec<Entrant> = teams
            .iter()
            .enumerate()
            .filter(|(_, team)| team.group.as_ref() == Some(group))
            .map(|(index, team)| Entrant { team: id(index), name: team.name.clone(), conduct: 0 })
            .collect();
        let matches: Vec<Match> = of_group
            .iter()
            .filter_map(|fixture| match (&fixture.home, &fixture.away, &fixture.outcome) {
                (PlannedSide::Team(home), PlannedSide::Team(away), Some(outcome)) => {
                    Some(Match { home: id(*home), away: id(*away), score: outcome.score, state: ResultState::Official })
                }
                _ => None,
            })
            .collect();
        for row in standings::table(rules, &entrants, &matches, &[], Count::Live) {
            if !row.shared
                && let Ok(index) = usize::try_from(row.team_id.0)
            {
                places.insert((group.clone(), row.position), index);
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(code: &str, group: &str) -> TournamentTeam {
        TournamentTeam { code: code.into(), name: format!("Team {code}"), group: Some(group.into()) }
    }

    fn fixture(number: u32, home: &str, away: &str, score: Option<&str>) -> TournamentFixture {
        TournamentFixture {
            number,
            start: "2026-05-02T10:00:00".parse().unwrap(),
            venue: Some("Park".into()),
            area: Some("Pitch 1".into()),
            round: None,
            phase: if home.contains(" of ") { Phase::Knockout } else { Phase::RoundRobin },
            home: home.into(),
            away: away.into(),
            score: score.map(|score| score.parse().unwrap()),
            half_time: None,
            full_time: None,
            shoot_out: None,
            goals: Vec::new(),
        }
    }

    fn cup() -> Tournament {
        Tournament {
            event: TournamentEvent {
                name: "Cup".into(),
                starts_on: "2026-05-02".parse().unwrap(),
                ends_on: None,
                timezone: Some("Europe/Berlin".into()),
                visibility: Visibility::Public,
                rules: None,
            },
            venues: vec![TournamentVenue { name: "Park".into(), areas: vec!["Pitch 1".into()] }],
            teams: vec![team("RED", "A"), team("BLU", "A"), team("OWL", "B"), team("KIT", "B")],
            fixtures: vec![
                fixture(1, "RED", "blu", Some("0-1")),
                fixture(2, "OWL", "KIT", Some("2-0")),
                fixture(3, "1st of A", "1st of Group B", None),
            ],
        }
    }

    #[test]
    fn a_sound_file_becomes_a_plan_in_utc() {
        let plan = cup().check().unwrap();
        assert_eq!(plan.fixtures[0].start_at.to_string(), "2026-05-02T08:00:00Z");
        assert_eq!(plan.fixtures[0].group.as_deref(), Some("A"));
        assert_eq!(plan.fixtures[2].away, PlannedSide::Slot(Slot::Place { place: 1, group: "B".into() }));
    }

    #[test]
    fn goals_of_a_knockout_count_for_the_side_that_the_results_lead_to() {
        let mut cup = cup();
        cup.fixtures[2].score = Some("1-2".parse().unwrap());
        cup.fixtures[2].goals = vec!["9 OWL".into(), "45+2 BLU Kim (pen)".into(), "90+1' OWL Jo (og)".into()];
        let plan = cup.check().unwrap();
        let goals = &plan.fixtures[2].outcome.as_ref().unwrap().goals;
        assert_eq!(goals.iter().map(|goal| goal.home).collect::<Vec<_>>(), [false, true, false]);
        assert_eq!((goals[1].minute, goals[1].added, goals[1].penalty), (45, Some(2), true));
        assert_eq!((goals[2].player.as_deref(), goals[2].own_goal), (Some("Jo"), true));
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_its_place() {
        type Case = (&'static str, fn(&mut Tournament), &'static str);
        let cases: &[Case] = &[
            ("an unknown code", |cup| cup.fixtures[0].home = "REX".into(), "fixture 1: home"),
            ("a team against itself", |cup| cup.fixtures[0].away = "RED".into(), "fixture 1: away"),
            ("two groups", |cup| cup.fixtures[0].away = "OWL".into(), "fixture 1: away"),
            ("an unknown venue", |cup| cup.fixtures[0].venue = Some("Lake".into()), "fixture 1: venue"),
            ("an unknown area", |cup| cup.fixtures[0].area = Some("Pitch 2".into()), "fixture 1: area"),
            ("a number used twice", |cup| cup.fixtures[1].number = 1, "fixture 1: number"),
            ("a code used twice", |cup| cup.teams[1].code = "red".into(), "team 2"),
            ("a slot to nowhere", |cup| cup.fixtures[2].home = "winner of #9".into(), "fixture 3: home"),
            ("a slot to itself", |cup| cup.fixtures[2].home = "winner of #3".into(), "fixture 3: home"),
            ("a group without teams", |cup| cup.fixtures[2].home = "1st of Z".into(), "fixture 3: home"),
            (
                "an hour that does not exist",
                |cup| cup.fixtures[0].start = "2026-03-29T02:30:00".parse().unwrap(),
                "fixture 1: start",
            ),
            (
                "an hour that exists twice",
                |cup| cup.fixtures[0].start = "2026-10-25T02:30:00".parse().unwrap(),
                "fixture 1: start",
            ),
            ("goals without a score", |cup| cup.fixtures[2].goals = vec!["1 OWL".into()], "fixture 3: score"),
            ("goals that are too few", |cup| cup.fixtures[1].goals = vec!["1 OWL".into()], "fixture 2: goals"),
            (
                "goals of another team",
                |cup| cup.fixtures[1].goals = vec!["1 RED".into(), "2 OWL".into()],
                "fixture 2: goals",
            ),
            (
                "a goal without a minute",
                |cup| cup.fixtures[1].goals = vec!["OWL Kim".into(), "2 OWL".into()],
                "fixture 2: goals",
            ),
            ("a level knockout", |cup| cup.fixtures[2].score = Some("1-1".parse().unwrap()), "fixture 3: shoot_out"),
            (
                "a score before the teams are decided",
                |cup| {
                    cup.fixtures[0].score = None;
                    cup.fixtures[2].score = Some("1-0".parse().unwrap());
                },
                "fixture 3: score",
            ),
            ("a zone that is none", |cup| cup.event.timezone = Some("Mars/Olympus".into()), "event: timezone"),
            ("rules nobody knows", |cup| cup.event.rules = Some("calvinball".into()), "event: rules"),
        ];
        for (why, spoil, place) in cases {
            let mut cup = cup();
            spoil(&mut cup);
            let errors = cup.check().expect_err(why);
            assert!(errors.iter().any(|error| error.place == *place), "{why}: {errors:?}");
        }
        let mut cup = cup();
        cup.fixtures[0].home = "REX".into();
        cup.fixtures[1].venue = Some("Lake".into());
        assert!(cup.check().unwrap_err().len() >= 2, "all of it at once");
    }
}
