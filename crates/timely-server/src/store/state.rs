//! What streams ask: the state lanes, what to show somebody who joins, and how far back a cursor
//! may be. Nothing here is judged; who may follow a topic is decided before.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use timely_core::event::Visibility;
use timely_core::id::{EventId, TeamId};
use timely_core::live::Data;
use timely_core::topic::{StateLane, Topic};

use crate::error::Error;
use crate::store::change_log::{self, LogRow, last_pos};
use crate::store::columns::{json, kept};
use crate::store::standings::{Boards, Tables};
use crate::store::{Store, events, fixtures, locked, teams};

/// How long a replay floor is good: an older one only lets a little more through.
const FLOOR_KEPT: SignedDuration = SignedDuration::from_secs(10);
/// Replay floors kept in memory; when there are more, all are found anew.
const FLOORS_MAX: usize = 1024;

/// What somebody is shown who joins a topic, true as of `pos`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub pos: u64,
    /// Every state lane of the topic with its `data`.
    pub states: Vec<(StateLane, String)>,
    /// The newest log rows of the topic, oldest first.
    pub tail: Vec<LogRow>,
}

/// What a stream is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOf {
    Event(EventId),
    Team(TeamId),
}

/// What must be known of an event or team before a stream of it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    pub event: EventId,
    pub visibility: Visibility,
    pub team: Option<(TeamId, String)>,
    /// Position as of which this is true: later changes of rights come with the rows.
    pub judged_at: u64,
    /// Names of the event's boards; the one table of an event without groups has none.
    pub groups: Vec<Option<String>>,
}

/// Reads state lanes of one moment; boards that several teams share are written once.
struct Reader<'a> {
    conn: &'a Connection,
    tables: &'a Tables,
    now: Timestamp,
    boards: BTreeMap<EventId, Option<Boards>>,
    written: BTreeMap<(EventId, Option<String>), String>,
}

impl<'a> Reader<'a> {
    fn new(conn: &'a Connection, tables: &'a Tables, now: Timestamp) -> Self {
        Self { conn, tables, now: kept(now), boards: BTreeMap::new(), written: BTreeMap::new() }
    }

    /// The boards of an event; `None` if there is no such event.
    fn boards(&mut self, event: EventId) -> Result<Option<Boards>, Error> {
        if let Some(boards) = self.boards.get(&event) {
            return Ok(boards.clone());
        }
        let boards = match events::find(self.conn, event)? {
            Some(_) => Some(Boards::of(self.conn, event)?),
            None => None,
        };
        self.boards.insert(event, boards.clone());
        Ok(boards)
    }

    fn board(&mut self, event: EventId, name: Option<&str>) -> Result<String, Error> {
        let key = (event, name.map(str::to_owned));
        if let Some(written) = self.written.get(&key) {
            return Ok(written.clone());
        }
        let of = events::get(self.conn, event)?;
        let table = self.tables.get(self.conn, &of, name, of.count)?;
        let written = json(&Data::Leaderboard {
            event_id: event,
            group: key.1.clone(),
            leaderboard: Vec::clone(&table),
            timestamp: self.now,
        })?;
        self.written.insert(key, written.clone());
        Ok(written)
    }

    /// Keys of the state lanes of a topic.
    fn keys(&mut self, topic: Topic) -> Result<Vec<String>, Error> {
        let key = |name: Option<&str>| name.unwrap_or_default().to_owned();
        Ok(match topic {
            Topic::EventResults(event) => match self.boards(event)? {
                Some(boards) => boards.names().map(key).collect(),
                None => Vec::new(),
            },
            Topic::TeamResults(team) => match self.board_of_team(team)? {
                Some((_, name)) => vec![key(name.as_deref())],
                None => Vec::new(),
            },
            Topic::Event(_) | Topic::EventSchedule(_) | Topic::Team(_) | Topic::TeamSchedule(_) => vec![String::new()],
            Topic::EventAnnouncements(_)
            | Topic::EventParticipants(_)
            | Topic::EventStaff(_)
            | Topic::TeamAnnouncements(_) => Vec::new(),
        })
    }

    fn board_of_team(&mut self, team: TeamId) -> Result<Option<(EventId, Option<String>)>, Error> {
        let Some(found) = teams::find(self.conn, team)? else { return Ok(None) };
        let Some(boards) = self.boards(found.event_id)? else { return Ok(None) };
        Ok(boards.of_team(team).map(|name| (found.event_id, name.map(str::to_owned))))
    }

    /// The `data` of a lane; `None` if there is nothing to show in it any more.
    fn data(&mut self, lane: &StateLane) -> Result<Option<String>, Error> {
        let timestamp = self.now;
        let name = Some(lane.key.as_str()).filter(|key| !key.is_empty());
        match lane.topic {
            Topic::EventResults(event) => match self.boards(event)? {
                Some(boards) if boards.has(name) => self.board(event, name).map(Some),
                _ => Ok(None),
            },
            Topic::TeamResults(team) => match self.board_of_team(team)? {
                Some((event, standing)) if standing.as_deref() == name => self.board(event, name).map(Some),
                _ => Ok(None),
            },
            _ if name.is_some() => Ok(None),
            Topic::Event(event) => match events::find(self.conn, event)? {
                Some(found) => json(&Data::Event { event_id: event, event: found, timestamp }).map(Some),
                None => Ok(None),
            },
            Topic::Team(team) => match teams::find(self.conn, team)? {
                Some(found) => json(&Data::Team { event_id: found.event_id, team: found, timestamp }).map(Some),
                None => Ok(None),
            },
            Topic::EventSchedule(event) => match events::find(self.conn, event)? {
                Some(_) => self.schedule(event, None).map(Some),
                None => Ok(None),
            },
            Topic::TeamSchedule(team) => match teams::find(self.conn, team)? {
                Some(found) => self.schedule(found.event_id, Some(team)).map(Some),
                None => Ok(None),
            },
            Topic::EventAnnouncements(_)
            | Topic::EventParticipants(_)
            | Topic::EventStaff(_)
            | Topic::TeamAnnouncements(_) => Ok(None),
        }
    }

    fn schedule(&self, event: EventId, team: Option<TeamId>) -> Result<String, Error> {
        let schedule = fixtures::schedule(self.conn, event, team)?;
        json(&Data::Schedule { event_id: event, schedule, timestamp: self.now })
    }
}

fn stream_facts(conn: &Connection, of: StreamOf) -> Result<Option<StreamFacts>, Error> {
    let (event, team) = match of {
        StreamOf::Event(event) => (event, None),
        StreamOf::Team(id) => match teams::find(conn, id)? {
            Some(team) => (team.event_id, Some((id, team.name))),
            None => return Ok(None),
        },
    };
    let Some(visibility) = events::visibility(conn, event)? else { return Ok(None) };
    let groups = Boards::of(conn, event)?.names().map(|name| name.map(str::to_owned)).collect();
    Ok(Some(StreamFacts { event, visibility, team, judged_at: last_pos(conn)?, groups }))
}

impl Store {
    /// State lanes as they are, all as of one position. `None`: nothing is shown in the lane any
    /// more, for example the board of a group nobody plays in.
    pub async fn states(
        &self,
        lanes: Vec<StateLane>,
        event_now: Timestamp,
    ) -> Result<(u64, Vec<(StateLane, Option<String>)>), Error> {
        let tables = Arc::clone(&self.0.tables);
        self.read(move |conn| {
            let mut reader = Reader::new(conn, &tables, event_now);
            let mut states = Vec::with_capacity(lanes.len());
            for lane in lanes {
                let data = reader.data(&lane)?;
                states.push((lane, data));
            }
            Ok((last_pos(conn)?, states))
        })
        .await
    }

    /// What somebody is shown who joins the topic now.
    pub async fn opening(&self, topic: Topic, event_now: Timestamp) -> Result<Opening, Error> {
        let tables = Arc::clone(&self.0.tables);
        self.read(move |conn| {
            let mut reader = Reader::new(conn, &tables, event_now);
            let mut states = Vec::new();
            for key in reader.keys(topic)? {
                let lane = StateLane { topic, key };
                if let Some(data) = reader.data(&lane)? {
                    states.push((lane, data));
                }
            }
            Ok(Opening { pos: last_pos(conn)?, states, tail: change_log::tail(conn, topic, event_now)? })
        })
        .await
    }

    /// Cursors of the event below this position have expired.
    pub async fn replay_floor(&self, event: EventId, real_now: Timestamp) -> Result<u64, Error> {
        if let Some((found_at, floor)) = locked(&self.0.floors).get(&event)
            && real_now.duration_since(*found_at).abs() < FLOOR_KEPT
        {
            return Ok(*floor);
        }
        let rows_max = self.0.options.replay_rows_max;
        let oldest = real_now.saturating_sub(self.0.options.replay_age).unwrap_or(Timestamp::MIN);
        let floor = self.read(move |conn| change_log::replay_floor(conn, event, rows_max, oldest)).await?;
        let mut floors = locked(&self.0.floors);
        if floors.len() >= FLOORS_MAX {
            floors.clear();
        }
        floors.insert(event, (real_now, floor));
        Ok(floor)
    }

    /// What must be known before a stream is opened; `None` if there is no such thing.
    pub async fn stream_facts(&self, of: StreamOf) -> Result<Option<StreamFacts>, Error> {
        self.read(move |conn| stream_facts(conn, of)).await
    }
}
