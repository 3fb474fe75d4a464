//! Tables of the standings, computed from the results whenever they are asked for.
//!
//! They are kept in memory by the log position that last touched them and never changed in place: a
//! correction cannot leave a trace. Knockouts feed no table; nor do matches that were called off.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use rusqlite::{Connection, params};
use timely_core::access::{Action, Actor};
use timely_core::body::{Board, Leaderboard};
use timely_core::event::{Count, Event};
use timely_core::id::{EventId, TeamId};
use timely_core::result::Score;
use timely_core::standings::{self, Entrant, Match, Row, rules};
use timely_core::topic::{StateLane, Topic};

use crate::error::Error;
use crate::store::change_log::last_pos;
use crate::store::columns::{Text, all, any, one, unsigned};
use crate::store::{Store, locked, rights};

/// Tables kept in memory; when there are more, all are computed anew.
const TABLES_MAX: usize = 4096;

/// Which teams stand on which board. Boards are named by group; the one of an event without groups
/// has no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boards {
    event: EventId,
    teams: BTreeMap<Option<String>, Vec<TeamId>>,
}

impl Boards {
    /// The boards of an event as they are now.
    pub(crate) fn of(conn: &Connection, event: EventId) -> Result<Self, Error> {
        let rows: Vec<(TeamId, Option<String>)> =
            all(conn, "SELECT id, group_name FROM teams WHERE event_id = ?1 ORDER BY id", [event.0], |row| {
                Ok((TeamId(row.get(0)?), row.get(1)?))
            })?;
        let mut teams: BTreeMap<Option<String>, Vec<TeamId>> = BTreeMap::new();
        for (team, group) in rows {
            teams.entry(group).or_default().push(team);
        }
        if teams.len() > 1 || teams.keys().any(Option::is_some) {
            // Who is in no group stands on no board.
            teams.remove(&None);
        }
        Ok(Self { event, teams })
    }

    fn has_groups(&self) -> bool {
        self.teams.keys().any(Option::is_some)
    }

    /// Names of the boards, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.teams.keys().map(Option::as_deref)
    }

    /// Whether there is such a board.
    pub(crate) fn has(&self, name: Option<&str>) -> bool {
        self.names().any(|known| known == name)
    }

    /// Whether the team stands on the board.
    pub(crate) fn stands(&self, team: TeamId, name: Option<&str>) -> bool {
        self.teams.iter().any(|(known, teams)| known.as_deref() == name && teams.contains(&team))
    }

    fn lanes<'a>(&'a self, name: Option<&'a str>) -> impl Iterator<Item = StateLane> + 'a {
        self.teams
            .iter()
            .filter(move |(known, _)| known.as_deref() == name)
            .flat_map(move |(_, teams)| board_lanes(self.event, name, teams))
    }

    fn all_lanes(&self) -> impl Iterator<Item = StateLane> + '_ {
        self.names().flat_map(|name| self.lanes(name))
    }

    /// Lanes that must be read again when teams of `groups` came, went or changed.
    pub(crate) fn changed_to(&self, after: &Self, groups: &[Option<&str>]) -> BTreeSet<StateLane> {
        if self.has_groups() != after.has_groups() {
            return self.all_lanes().chain(after.all_lanes()).collect();
        }
        groups.iter().flat_map(|group| self.lanes(*group).chain(after.lanes(*group))).collect()
    }
}

fn board_lanes(event: EventId, name: Option<&str>, teams: &[TeamId]) -> Vec<StateLane> {
    std::iter::once(Topic::EventResults(event))
        .chain(teams.iter().copied().map(Topic::TeamResults))
        .map(|topic| StateLane::board(topic, name))
        .collect()
}

/// Lanes that show the board of a group; none if the group has no board.
pub(crate) fn lanes(conn: &Connection, event: EventId, group: Option<&str>) -> Result<Vec<StateLane>, Error> {
    if group.is_none() && any(conn, "SELECT 1 FROM teams WHERE event_id = ?1 AND group_name IS NOT NULL", [event.0])? {
        return Ok(Vec::new());
    }
    let teams = all(
        conn,
        "SELECT id FROM teams WHERE event_id = ?1 AND group_name IS ?2 ORDER BY id",
        params![event.0, group],
        |row| row.get(0).map(TeamId),
    )?;
    Ok(if teams.is_empty() { Vec::new() } else { board_lanes(event, group, &teams) })
}

/// Lanes that show any board of the event.
pub(crate) fn all_lanes(conn: &Connection, event: EventId) -> Result<Vec<StateLane>, Error> {
    Ok(Boards::of(conn, event)?.all_lanes().collect())
}

/// The table of a group, or of the whole event, from its rows.
pub(crate) fn compute(conn: &Connection, event: &Event, group: Option<&str>, count: Count) -> Result<Vec<Row>, Error> {
    let rules = rules::find(&event.rules)
        .ok_or_else(|| Error::Internal(format!("event {} has unknown rules `{}`", event.id, event.rules)))?;
    let entrants = all(
        conn,
        "SELECT id, name FROM teams WHERE event_id = ?1 AND group_name IS ?2",
        params![event.id.0, group],
        |row| Ok(Entrant { team: TeamId(row.get(0)?), name: row.get(1)?, conduct: 0 }),
    )?;
    let matches = all(
        conn,
        "SELECT f.home_team_id, f.away_team_id, r.home_score, r.away_score, r.state
         FROM fixtures f JOIN results r ON r.fixture_id = f.id
         WHERE f.event_id = ?1 AND f.phase = 'RR' AND (?2 IS NULL OR f.group_name = ?2)
           AND r.state <> 'ANNULLED' AND f.status NOT IN ('CANCELLED', 'POSTPONED', 'ABANDONED')",
        params![event.id.0, group],
        |row| {
            Ok(Match {
                home: TeamId(row.get(0)?),
                away: TeamId(row.get(1)?),
                score: Score { home: row.get(2)?, away: row.get(3)? },
                state: row.get::<_, Text<_>>(4)?.0,
            })
        },
    )?;
    Ok(standings::table(rules, &entrants, &matches, &[], count))
}

/// Tables that were computed, by the position that last touched them.
///
/// Only readers keep tables here: what a write in progress computes may be rolled back, and its
/// position be taken again by something else.
#[derive(Debug, Default)]
pub(crate) struct Tables(Mutex<HashMap<Which, Kept>>);

/// Event, board, and what counts.
type Which = (EventId, Option<String>, Count);

/// A table, and the position it is true from.
type Kept = (u64, Arc<Vec<Row>>);

impl Tables {
    /// The table as of the read transaction of `conn`.
    pub(crate) fn get(
        &self,
        conn: &Connection,
        event: &Event,
        group: Option<&str>,
        count: Count,
    ) -> Result<Arc<Vec<Row>>, Error> {
        let touched: Option<i64> = one(
            conn,
            "SELECT pos FROM board_heads WHERE event_id = ?1 AND group_name = ?2",
            params![event.id.0, group.unwrap_or_default()],
            |row| row.get(0),
        )?;
        let key = (event.id, group.map(str::to_owned), count);
        let touched = touched.map(unsigned);
        if let Some(touched) = touched
            && let Some((pos, table)) = locked(&self.0).get(&key)
            && *pos == touched
        {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(compute(conn, event, group, count)?);
        if let Some(touched) = touched {
            let mut tables = locked(&self.0);
            if tables.len() >= TABLES_MAX {
                tables.clear();
            }
            tables.insert(key, (touched, Arc::clone(&table)));
        }
        Ok(table)
    }
}

impl Store {
    /// Every board of the event; `count` replaces the event's own choice of what counts.
    pub async fn leaderboard(&self, actor: Actor, event: EventId, count: Option<Count>) -> Result<Leaderboard, Error> {
        let tables = Arc::clone(&self.0.tables);
        self.read(move |conn| {
            let event = rights::in_event(conn, &actor, event, Action::Read)?;
            let count = count.unwrap_or(event.count);
            let boards = Boards::of(conn, event.id)?;
            let boards = boards.names().map(|name| {
                let table = tables.get(conn, &event, name, count)?;
                Ok(Board { group: name.map(str::to_owned), leaderboard: Vec::clone(&table) })
            });
            Ok(Leaderboard { event_id: event.id, pos: last_pos(conn)?, boards: boards.collect::<Result<_, Error>>()? })
        })
        .await
    }
}
