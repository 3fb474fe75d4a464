//! Slots that fill themselves: winners move on, group places are taken when the group is decided.

use std::collections::{BTreeMap, BTreeSet};

use crate::fixture::{Fixture, FixtureStatus, Phase, Side};
use crate::id::{FixtureId, TeamId};
use crate::result::{Outcome, ResultState};
use crate::slot::Slot;
use crate::standings::Row;

/// A finished fixture's winner and loser; both `None` while it is not decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    pub winner: Option<TeamId>,
    pub loser: Option<TeamId>,
}

/// A fixture whose sides change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filling {
    pub fixture: FixtureId,
    pub home: Option<TeamId>,
    pub away: Option<TeamId>,
}

/// Why the new outcome may not move teams.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgressionRefusal {
    #[error("this would change who plays #{number}, which has started; remove its result first")]
    Started { number: u32 },
}

/// Who won and lost by an outcome that is more than a running score.
pub fn decided(fixture: &Fixture, outcome: &Outcome) -> Decided {
    let winner = (outcome.state != ResultState::Live).then(|| outcome.winner(fixture)).flatten();
    Decided { winner, loser: winner.and_then(|winner| fixture.teams().find(|team| *team != winner)) }
}

/// Names of the groups all of whose round robin fixtures are finished or cancelled, at least one of
/// them finished.
///
/// `finished` tells whether a fixture has a result that is more than a running score.
pub fn finished_groups(fixtures: &[Fixture], finished: impl Fn(FixtureId) -> bool) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    let mut played = BTreeSet::new();
    for fixture in fixtures.iter().filter(|fixture| fixture.phase == Phase::RoundRobin) {
        let Some(group) = &fixture.group else { continue };
        if fixture.status == FixtureStatus::Finished && finished(fixture.id) {
            played.insert(group.clone());
        } else if fixture.status != FixtureStatus::Cancelled {
            open.insert(group.clone());
        }
    }
    played.retain(|group| !open.contains(group));
    played
}

/// The sides that must change so that every slot shows what is decided now.
///
/// `decided` has the outcome of every fixture with a winner, by id; `finished_groups` the final
/// table of each finished group. A place that is shared stays empty. Sides without a slot are never
/// touched.
///
/// # Errors
/// [`ProgressionRefusal::Started`] if a fixture that is live, paused, finished or abandoned would
/// get another team.
pub fn fill(
    fixtures: &[Fixture],
    decided: &BTreeMap<FixtureId, Decided>,
    finished_groups: &BTreeMap<String, Vec<Row>>,
) -> Result<Vec<Filling>, ProgressionRefusal> {
    let by_number: BTreeMap<u32, &Fixture> = fixtures.iter().map(|fixture| (fixture.number, fixture)).collect();
    let outcome =
        |number: u32| by_number.get(&number).and_then(|fixture| decided.get(&fixture.id)).copied().unwrap_or_default();
    let team_of = |side: &Side| match &side.slot {
        None => side.team,
        Some(Slot::Winner(number)) => outcome(*number).winner,
        Some(Slot::Loser(number)) => outcome(*number).loser,
        Some(Slot::Place { place, group }) => finished_groups
            .get(group)
            .and_then(|rows| rows.iter().find(|row| row.position == *place && !row.shared))
            .map(|row| row.team_id),
    };
    // One pass is enough: a fixture that feeds another one has a result, and a fixture with a result
    // keeps its teams.
    let mut fillings = Vec::new();
    for fixture in fixtures {
        let (home, away) = (team_of(&fixture.home), team_of(&fixture.away));
        if (home, away) == (fixture.home.team, fixture.away.team) {
            continue;
        }
        match fixture.status {
            FixtureStatus::Live | FixtureStatus::Paused | FixtureStatus::Finished | FixtureStatus::Abandoned => {
                return Err(ProgressionRefusal::Started { number: fixture.number });
            }
            FixtureStatus::Scheduled | FixtureStatus::Postponed | FixtureStatus::Cancelled => {
                fillings.push(Filling { fixture: fixture.id, home, away });
            }
        }
    }
    Ok(fillings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;

    fn fixture(number: u32, home: Side, away: Side) -> Fixture {
        Fixture {
            id: FixtureId(i64::from(number) * 10),
            event_id: EventId(1),
            number,
            phase: Phase::Knockout,
            group: None,
            round: None,
            home,
            away,
            start_at: jiff::Timestamp::UNIX_EPOCH,
            venue_id: None,
            area: None,
            status: FixtureStatus::Scheduled,
            version: 1,
        }
    }

    fn slot(text: &str) -> Side {
        Side { team: None, slot: Some(text.parse().unwrap()) }
    }

    fn row(position: u32, team: i64, shared: bool) -> Row {
        Row {
            position,
            team_id: TeamId(team),
            team_name: String::new(),
            points: 0,
            played: 0,
            won: 0,
            drawn: 0,
            lost: 0,
            gf: 0,
            ga: 0,
            gd: 0,
            live: 0,
            provisional: 0,
            decided_by: None,
            shared,
        }
    }

    const T1: TeamId = TeamId(1);
    const T2: TeamId = TeamId(2);

    fn semi_and_final() -> Vec<Fixture> {
        let mut semi = fixture(1, Side::team(T1), Side::team(T2));
        semi.status = FixtureStatus::Finished;
        vec![
            semi,
            fixture(2, slot("winner of #1"), slot("1st of A")),
            fixture(3, slot("loser of #1"), slot("2nd of A")),
        ]
    }

    fn won(winner: TeamId, loser: TeamId) -> BTreeMap<FixtureId, Decided> {
        BTreeMap::from([(FixtureId(10), Decided { winner: Some(winner), loser: Some(loser) })])
    }

    #[test]
    fn winners_losers_and_places_move_on_and_shared_places_wait() {
        let fixtures = semi_and_final();
        let groups = BTreeMap::from([("A".to_owned(), vec![row(1, 7, false), row(2, 8, true), row(2, 9, true)])]);
        assert_eq!(fill(&fixtures, &BTreeMap::new(), &BTreeMap::new()), Ok(vec![]));
        assert_eq!(
            fill(&fixtures, &won(T1, T2), &groups),
            Ok(vec![
                Filling { fixture: FixtureId(20), home: Some(T1), away: Some(TeamId(7)) },
                Filling { fixture: FixtureId(30), home: Some(T2), away: None },
            ])
        );
    }

    #[test]
    fn what_is_no_longer_decided_is_emptied_and_what_has_started_is_kept() {
        let mut fixtures = semi_and_final();
        fixtures[1].home.team = Some(T1);
        assert_eq!(
            fill(&fixtures, &BTreeMap::new(), &BTreeMap::new()),
            Ok(vec![Filling { fixture: FixtureId(20), home: None, away: None }])
        );
        fixtures[1].status = FixtureStatus::Live;
        assert_eq!(fill(&fixtures, &BTreeMap::new(), &BTreeMap::new()), Err(ProgressionRefusal::Started { number: 2 }));
        assert_eq!(fill(&fixtures, &won(T2, T1), &BTreeMap::new()), Err(ProgressionRefusal::Started { number: 2 }));
    }

    #[test]
    fn a_group_is_finished_when_all_that_will_be_played_is() {
        let mut one = fixture(1, Side::team(T1), Side::team(T2));
        one.phase = Phase::RoundRobin;
        one.group = Some("A".into());
        let mut two = one.clone();
        two.id = FixtureId(20);
        for (why, first, second, with_result, finished) in [
            ("one to come", FixtureStatus::Finished, FixtureStatus::Scheduled, &[10][..], false),
            ("both finished", FixtureStatus::Finished, FixtureStatus::Finished, &[10, 20], true),
            ("finished, result missing", FixtureStatus::Finished, FixtureStatus::Finished, &[10], false),
            ("the other cancelled", FixtureStatus::Finished, FixtureStatus::Cancelled, &[10], true),
            ("both cancelled", FixtureStatus::Cancelled, FixtureStatus::Cancelled, &[], false),
            ("one running", FixtureStatus::Finished, FixtureStatus::Live, &[10, 20], false),
        ] {
            one.status = first;
            two.status = second;
            let groups = finished_groups(&[one.clone(), two.clone()], |id| with_result.contains(&id.0));
            assert_eq!(groups.contains("A"), finished, "{why}");
        }
    }
}
