//! The order of a group by the rules of the sport: a pure function of results.
//!
//! Tables are computed, never incremented, so that correcting or removing a result cannot leave a
//! trace. How ties are broken is data: see [`rules`].

pub mod rules;

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::event::Count;
use crate::id::TeamId;
use crate::result::{ResultState, Score};
use crate::standings::rules::{Criterion, Key, RuleSet, Scope};

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
    let entered: BTreeSet<TeamId> = entrants.iter().map(|entrant| entrant.team).collect();
    let matches: Vec<Match> = matches
        .iter()
        .filter(|played| {
            entered.contains(&played.home) && entered.contains(&played.away) && counts(count, played.state)
        })
        .copied()
        .collect();
    let ranking = Ranking { rules, entrants, matches: &matches, lots };

    let everybody: Vec<usize> = (0..entrants.len()).collect();
    let mut places = Vec::new();
    ranking.rank(everybody, 0, None, None, &mut places);

    let mut rows = Vec::with_capacity(entrants.len());
    for Place { teams, decided_by } in places {
        let position = u32::try_from(rows.len()).unwrap_or(u32::MAX).saturating_add(1);
        let shared = teams.len() > 1;
        for (nth, index) in teams.into_iter().enumerate() {
            let entrant = &entrants[index];
            let tally = ranking.tally(entrant.team, &matches);
            rows.push(Row {
                position,
                team_id: entrant.team,
                team_name: entrant.name.clone(),
                points: tally.points,
                played: tally.won + tally.drawn + tally.lost,
                won: tally.won,
                drawn: tally.drawn,
                lost: tally.lost,
                gf: tally.gf,
                ga: tally.ga,
                gd: tally.difference(),
                live: tally.live,
                provisional: tally.provisional,
                decided_by: if nth == 0 { decided_by.map(|criterion| criterion.words().to_owned()) } else { None },
                shared,
            });
        }
    }
    rows
}

fn counts(count: Count, state: ResultState) -> bool {
    match state {
        ResultState::Annulled => false,
        ResultState::Live => count == Count::Live,
        ResultState::Provisional => count != Count::Official,
        ResultState::Official => true,
    }
}

/// What one team did in some matches.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    points: i64,
    won: u32,
    drawn: u32,
    lost: u32,
    gf: u32,
    ga: u32,
    live: u32,
    provisional: u32,
}

impl Tally {
    fn difference(&self) -> i64 {
        i64::from(self.gf) - i64::from(self.ga)
    }
}

/// Teams at one place, by index, and what set them below the place above (`None` for points).
struct Place {
    teams: Vec<usize>,
    decided_by: Option<Criterion>,
}

struct Ranking<'a> {
    rules: &'a RuleSet,
    entrants: &'a [Entrant],
    matches: &'a [Match],
    lots: &'a [TeamId],
}

impl Ranking<'_> {
    /// Splits `level` teams by the criteria from number `from` on and appends their places.
    ///
    /// `mutual` are the matches of the mutual table, while criteria look at one; `below` is what set
    /// the best of these teams below the team above them.
    fn rank(
        &self,
        mut level: Vec<usize>,
        from: usize,
        mutual: Option<&[Match]>,
        below: Option<Criterion>,
        places: &mut Vec<Place>,
    ) {
        let Some(criterion) = self.rules.criteria.get(from).copied().filter(|_| level.len() > 1) else {
            level.sort_by(|a, b| {
                self.entrants[*a]
                    .name
                    .cmp(&self.entrants[*b].name)
                    .then(self.entrants[*a].team.cmp(&self.entrants[*b].team))
            });
            if !level.is_empty() {
                places.push(Place { teams: level, decided_by: below });
            }
            return;
        };
        let made: Vec<Match>;
        let mutual = match (criterion.scope, mutual) {
            (Scope::All, _) => None,
            (Scope::Mutual, Some(mutual)) => Some(mutual),
            (Scope::Mutual, None) => {
                let teams: BTreeSet<TeamId> = level.iter().map(|index| self.entrants[*index].team).collect();
                let among = |played: &&Match| teams.contains(&played.home) && teams.contains(&played.away);
                made = self.matches.iter().filter(among).copied().collect();
                Some(made.as_slice())
            }
        };
        let mut split: BTreeMap<Reverse<i64>, Vec<usize>> = BTreeMap::new();
        for index in level {
            let value = self.value(criterion.key, index, mutual.unwrap_or(self.matches));
            split.entry(Reverse(value)).or_default().push(index);
        }
        for (nth, (_, level)) in split.into_iter().enumerate() {
            let below = match (nth, criterion.key, criterion.scope) {
                (0, _, _) => below,
                // Points speak for themselves.
                (_, Key::Points, Scope::All) => None,
                _ => Some(criterion),
            };
            self.rank(level, from + 1, mutual, below, places);
        }
    }

    fn value(&self, key: Key, index: usize, matches: &[Match]) -> i64 {
        let entrant = &self.entrants[index];
        match key {
            Key::Points => self.tally(entrant.team, matches).points,
            Key::GoalDifference => self.tally(entrant.team, matches).difference(),
            Key::GoalsFor => self.tally(entrant.team, matches).gf.into(),
            Key::Conduct => entrant.conduct,
            // Teams whose lot was not drawn stay level, behind those whose was.
            Key::Lots => match self.lots.iter().position(|team| *team == entrant.team) {
                Some(drawn) => -i64::try_from(drawn).unwrap_or(i64::MAX),
                None => i64::MIN,
            },
        }
    }

    fn tally(&self, team: TeamId, matches: &[Match]) -> Tally {
        let mut tally = Tally::default();
        for played in matches {
            let score = if played.home == team {
                played.score
            } else if played.away == team {
                played.score.swapped()
            } else {
                continue;
            };
            tally.gf += u32::from(score.home);
            tally.ga += u32::from(score.away);
            match score.home.cmp(&score.away) {
                Ordering::Greater => {
                    tally.won += 1;
                    tally.points += self.rules.win;
                }
                Ordering::Equal => {
                    tally.drawn += 1;
                    tally.points += self.rules.draw;
                }
                Ordering::Less => {
                    tally.lost += 1;
                    tally.points += self.rules.loss;
                }
            }
            match played.state {
                ResultState::Live => tally.live += 1,
                ResultState::Provisional => tally.provisional += 1,
                ResultState::Official | ResultState::Annulled => {}
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 4] = ["Blues", "Golds", "Greens", "Reds"];

    fn entrants(names: &[&str]) -> Vec<Entrant> {
        names
            .iter()
            .zip(1..)
            .map(|(name, id)| Entrant { team: TeamId(id), name: (*name).to_owned(), conduct: 0 })
            .collect()
    }

    /// `Reds 1-0 Blues`.
    fn parse(entrants: &[Entrant], results: &[&str]) -> Vec<Match> {
        let team = |name: &str| entrants.iter().find(|entrant| entrant.name == name).unwrap().team;
        results
            .iter()
            .map(|result| {
                let words: Vec<_> = result.split(' ').collect();
                let (home, away) = (team(words[0]), team(words[2]));
                Match { home, away, score: words[1].parse().unwrap(), state: ResultState::Official }
            })
            .collect()
    }

    fn order(rules: &str, entrants: &[Entrant], results: &[&str]) -> String {
        let rows = table(rules::find(rules).unwrap(), entrants, &parse(entrants, results), &[], Count::Live);
        let names: Vec<_> = rows.iter().map(|row| format!("{}{}", row.position, row.team_name)).collect();
        names.join(" ")
    }

    #[test]
    fn level_teams_are_separated_by_difference_then_goals_then_share_the_place() {
        for (why, results, expected) in [
            ("nothing played", &[][..], "1Blues 1Golds 1Greens 1Reds"),
            ("points", &["Reds 1-0 Blues"], "1Reds 2Golds 2Greens 4Blues"),
            ("a draw is a point each", &["Reds 1-1 Blues"], "1Blues 1Reds 3Golds 3Greens"),
            ("difference", &["Reds 1-0 Greens", "Blues 3-0 Golds"], "1Blues 2Reds 3Greens 4Golds"),
            ("goals", &["Reds 1-1 Blues", "Greens 2-2 Golds"], "1Golds 1Greens 3Blues 3Reds"),
        ] {
            assert_eq!(order("3-1-0", &entrants(&NAMES), results), expected, "{why}");
        }
    }

    #[test]
    fn the_world_cup_looks_at_mutual_matches_after_goals() {
        let names = ["Costa-Rica", "Germany", "Japan", "Spain"];
        let before = ["Germany 1-2 Japan", "Spain 7-0 Costa-Rica", "Japan 0-1 Costa-Rica", "Spain 1-1 Germany"];
        // Minutes of the last evening of Group E.
        for (why, now, expected) in [
            ("kick-off", ["Japan 0-0 Spain", "Costa-Rica 0-0 Germany"], "1Spain 2Japan 3Costa-Rica 4Germany"),
            ("10'", ["Japan 0-0 Spain", "Costa-Rica 0-1 Germany"], "1Spain 2Germany 3Japan 4Costa-Rica"),
            ("11'", ["Japan 0-1 Spain", "Costa-Rica 0-1 Germany"], "1Spain 2Germany 3Japan 4Costa-Rica"),
            (
                "48', level on points, difference and goals",
                ["Japan 1-1 Spain", "Costa-Rica 0-1 Germany"],
                "1Spain 2Japan 3Germany 4Costa-Rica",
            ),
            ("51'", ["Japan 2-1 Spain", "Costa-Rica 0-1 Germany"], "1Japan 2Spain 3Germany 4Costa-Rica"),
            ("58'", ["Japan 2-1 Spain", "Costa-Rica 1-1 Germany"], "1Japan 2Spain 3Costa-Rica 4Germany"),
            ("70', Spain is out", ["Japan 2-1 Spain", "Costa-Rica 2-1 Germany"], "1Japan 2Costa-Rica 3Spain 4Germany"),
            ("the end", ["Japan 2-1 Spain", "Costa-Rica 2-4 Germany"], "1Japan 2Spain 3Germany 4Costa-Rica"),
        ] {
            let results: Vec<_> = before.iter().chain(&now).copied().collect();
            assert_eq!(order("fifa-world-cup-2022", &entrants(&names), &results), expected, "{why}");
        }
    }

    #[test]
    fn rows_say_what_decided_them() {
        let entrants = entrants(&["Costa-Rica", "Germany", "Japan", "Spain"]);
        let results = [
            "Germany 1-2 Japan",
            "Spain 7-0 Costa-Rica",
            "Japan 0-1 Costa-Rica",
            "Spain 1-1 Germany",
            "Japan 1-1 Spain",
            "Costa-Rica 0-1 Germany",
        ];
        let rows = table(
            rules::find("fifa-world-cup-2022").unwrap(),
            &entrants,
            &parse(&entrants, &results),
            &[],
            Count::Live,
        );
        let why: Vec<_> = rows.iter().map(|row| row.decided_by.as_deref()).collect();
        assert_eq!(why, [None, None, Some("points in mutual matches"), None]);
    }

    #[test]
    fn a_mutual_table_of_three_is_made_once() {
        // Blues, Golds and Greens beat each other in a ring by the same score: the mutual table leaves
        // them level although Blues beat Golds.
        let ring = ["Blues 1-0 Golds", "Golds 1-0 Greens", "Greens 1-0 Blues"];
        assert_eq!(order("fifa-world-cup-2022", &entrants(&NAMES), &ring), "1Blues 1Golds 1Greens 4Reds");
        // Level on the first three over all matches, apart in the mutual ones.
        let wider = [
            "Blues 2-0 Golds",
            "Golds 1-0 Greens",
            "Greens 1-0 Blues",
            "Reds 2-1 Blues",
            "Golds 2-0 Reds",
            "Greens 1-0 Reds",
        ];
        let rows = order("fifa-world-cup-2022", &entrants(&NAMES), &wider);
        assert_eq!(rows, "1Golds 2Greens 3Blues 4Reds");
    }

    #[test]
    fn conduct_then_lots_come_last() {
        let mut two = entrants(&["Japan", "Senegal"]);
        let results = ["Japan 2-2 Senegal"];
        let rules = rules::find("fifa-world-cup-2022").unwrap();
        let names = |entrants: &[Entrant], lots: &[TeamId]| {
            let rows = table(rules, entrants, &parse(entrants, &results), lots, Count::Live);
            rows.iter().map(|row| (row.team_name.clone(), row.position, row.shared)).collect::<Vec<_>>()
        };
        let row = |name: &str, position, shared| (name.to_owned(), position, shared);
        assert_eq!(names(&two, &[]), [row("Japan", 1, true), row("Senegal", 1, true)]);
        assert_eq!(names(&two, &[TeamId(2), TeamId(1)]), [row("Senegal", 1, false), row("Japan", 2, false)]);
        two[0].conduct = -4;
        two[1].conduct = -6;
        assert_eq!(
            names(&two, &[TeamId(2), TeamId(1)]),
            [row("Japan", 1, false), row("Senegal", 2, false)],
            "conduct before lots"
        );
    }

    #[test]
    fn the_event_says_which_results_count() {
        let entrants = entrants(&["Blues", "Reds"]);
        for (state, live, entered, official) in [
            (ResultState::Live, 1, 0, 0),
            (ResultState::Provisional, 1, 1, 0),
            (ResultState::Official, 1, 1, 1),
            (ResultState::Annulled, 0, 0, 0),
        ] {
            let played = [Match { home: TeamId(1), away: TeamId(2), score: Score { home: 1, away: 0 }, state }];
            let counted = |count| table(&rules::SHIPPED[0], &entrants, &played, &[], count)[0].played;
            assert_eq!(
                [counted(Count::Live), counted(Count::Entered), counted(Count::Official)],
                [live, entered, official],
                "{state}"
            );
        }
    }

    fn histories() -> impl Strategy<Value = Vec<Match>> {
        let state = prop::sample::select(ResultState::ALL);
        let played = (1..=4_i64, 1..=4_i64, 0..4_u16, 0..4_u16, state);
        prop::collection::vec(played, 0..20).prop_map(|all| {
            all.into_iter()
                .filter(|(home, away, ..)| home != away)
                .map(|(home, away, h, a, state)| Match {
                    home: TeamId(home),
                    away: TeamId(away),
                    score: Score { home: h, away: a },
                    state,
                })
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_table_does_not_depend_on_the_order_of_input(played in histories(), rotate in 0..20_usize) {
            for rules in rules::SHIPPED {
                let teams = entrants(&NAMES);
                let forward = table(rules, &teams, &played, &[], Count::Live);
                let (mut shuffled, mut others) = (played.clone(), teams.clone());
                shuffled.reverse();
                if !shuffled.is_empty() {
                    let by = rotate % shuffled.len();
                    shuffled.rotate_left(by);
                }
                others.rotate_left(rotate % 4);
                prop_assert_eq!(&forward, &table(rules, &others, &shuffled, &[], Count::Live));
            }
        }

        #[test]
        fn every_table_adds_up(played in histories()) {
            let rows = table(&rules::SHIPPED[1], &entrants(&NAMES), &played, &[], Count::Live);
            prop_assert_eq!(rows.len(), 4);
            prop_assert_eq!(rows.iter().map(|row| row.gf).sum::<u32>(), rows.iter().map(|row| row.ga).sum::<u32>());
            prop_assert_eq!(rows.iter().map(|row| row.won).sum::<u32>(), rows.iter().map(|row| row.lost).sum::<u32>());
            for (row, index) in rows.iter().zip(1..) {
                prop_assert_eq!(row.played, row.won + row.drawn + row.lost);
                prop_assert_eq!(row.points, i64::from(3 * row.won + row.drawn));
                prop_assert!(row.position <= index);
                prop_assert_eq!(row.position == index || row.shared, true);
            }
            prop_assert!(rows.windows(2).all(|pair| pair[0].points >= pair[1].points));
        }
    }
}
