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
pub(crate) struct Reader<'a> {
    conn: &'a Connection,
    tables: &'a Tables,
    now: Timestamp,
    boards: BTreeMap<EventId, Option<Boards>>,
    written: BTreeMap<(EventId, Option<String>), String>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(conn: &'a Connection, tables: &'a Tables, now: Timestamp) -> Self {
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
    pub(crate) fn keys(&mut self, topic: Topic) -> Result<Vec<String>, Error> {
        let key = |name: Option<&str>| name.unwrap_or_default().to_owned();
        Ok(match topic {
            Topic::EventResults(event) => match self.boards(event)? {
                Some(boards) => boards.names().map(key).collect(),
                None => Vec::new(),
            },
            Topic::TeamResults(team) => match teams::find(self.conn, team)? {
                // The board of its group, or the one of an event without groups; if it is there.
                Some(found) => vec![key(found.group.as_deref())],
                None => Vec::new(),
            },
            Topic::Event(_) | Topic::EventSchedule(_) | Topic::Team(_) | Topic::TeamSchedule(_) => vec![String::new()],
            Topic::EventAnnouncements(_)
            | Topic::EventParticipants(_)
            | Topic::EventStaff(_)
            | Topic::TeamAnnouncements(_) => Vec::new(),
        })
    }

    /// The `data` of a lane; `None` if there is nothing to show in it any more.
    pub(crate) fn data(&mut self, lane: &StateLane) -> Result<Option<String>, Error> {
        let timestamp = self.now;
        let name = Some(lane.key.as_str()).filter(|key| !key.is_empty());
        match lane.topic {
            Topic::EventResults(event) => match self.boards(event)? {
                Some(boards) if boards.has(name) => self.board(event, name).map(Some),
                _ => Ok(None),
            },
            Topic::TeamResults(team) => {
                let Some(found) = teams::find(self.conn, team)? else { return Ok(None) };
                match self.boards(found.event_id)? {
                    Some(boards) if boards.stands(team, name) => self.board(found.event_id, name).map(Some),
                    _ => Ok(None),
                }
            }
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::Value;
    use timely_core::body::EditTeam;

    use super::*;
    use crate::store::testing::{Ground, options, owner, score, time};
    use crate::store::{RowKind, StoreOptions};

    #[tokio::test]
    async fn who_joins_gets_every_state_and_the_newest_rows() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], Some("A")).await;
        let [greens, golds] = ground.teams(event, ["Greens", "Golds"], Some("B")).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        ground.fixture(event, greens, golds).await;
        for goals in 0..30 {
            ground.put(fixture, score(&format!("{goals}-0"))).await.unwrap();
        }
        let opening = ground.store.opening(Topic::EventResults(event), time(5)).await.unwrap();
        assert_eq!(opening.pos, ground.head());
        let keys: Vec<_> = opening.states.iter().map(|(lane, _)| lane.key.as_str()).collect();
        assert_eq!(keys, ["A", "B"]);
        let seqs: Vec<_> = opening.tail.iter().map(|row| row.topics.clone()).collect();
        let expected: Vec<_> = (11..=30).map(|seq| vec![(Topic::EventResults(event), seq)]).collect();
        assert_eq!(seqs, expected);
        let board: Value = serde_json::from_str(&opening.states[0].1).unwrap();
        assert_eq!((&board["group"], &board["timestamp"]), (&"A".into(), &"2026-06-01T12:00:05Z".into()));

        let of_team = ground.store.opening(Topic::TeamResults(greens), time(0)).await.unwrap();
        assert_eq!(of_team.states.len(), 1);
        assert_eq!((of_team.states[0].0.key.as_str(), of_team.tail.len()), ("B", 0));
        let schedule = ground.store.opening(Topic::TeamSchedule(golds), time(0)).await.unwrap();
        let shown: Value = serde_json::from_str(&schedule.states[0].1).unwrap();
        assert_eq!(shown["schedule"].as_array().unwrap().len(), 1);
        assert_eq!(shown["schedule"][0]["home_team"]["name"], "Greens");
        assert_eq!(schedule.tail.len(), 1);
        for (topic, what) in [(Topic::Event(event), "event"), (Topic::Team(reds), "team")] {
            let opening = ground.store.opening(topic, time(0)).await.unwrap();
            let shown: Value = serde_json::from_str(&opening.states[0].1).unwrap();
            assert!(shown[what]["name"].is_string(), "{shown}");
        }
    }

    #[tokio::test]
    async fn lanes_with_nothing_to_show_are_gone() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds] = ground.teams(event, ["Reds"], None).await;
        let lanes = |keys: [&str; 2]| {
            keys.iter()
                .flat_map(|key| {
                    [Topic::EventResults(event), Topic::TeamResults(reds)]
                        .map(|topic| StateLane { topic, key: (*key).to_owned() })
                })
                .collect::<Vec<_>>()
        };
        let shown = async || {
            let (pos, states) = ground.store.states(lanes(["", "A"]), time(0)).await.unwrap();
            assert_eq!(pos, ground.head());
            states.iter().map(|(_, data)| data.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(shown().await, [true, true, false, false], "one table without a name");
        let edit = EditTeam { group: Some(Some("Group A".to_owned())), ..EditTeam::default() };
        let before = ground.head();
        ground.store.edit_team(owner(), reds, edit).await.unwrap();
        assert_eq!(shown().await, [false, false, true, true], "a table of the group");
        let row = &ground.store.rows_after(before, 1).await.unwrap()[0];
        for lane in lanes(["", "A"]) {
            assert!(row.refreshes.contains(&lane), "{lane:?}");
        }
        ground.store.delete_team(owner(), reds).await.unwrap();
        assert_eq!(shown().await, [false; 4]);
        let unknown = vec![StateLane::new(Topic::EventSchedule(EventId(99))), StateLane::new(Topic::Team(reds))];
        let (_, states) = ground.store.states(unknown, time(0)).await.unwrap();
        assert!(states.iter().all(|(_, data)| data.is_none()));
    }

    #[tokio::test]
    async fn a_replay_is_every_row_of_the_topics_in_order_and_in_pages() {
        let ground = Ground::new();
        let event = ground.event().await.id;
        let [reds, blues] = ground.teams(event, ["Reds", "Blues"], None).await;
        let fixture = ground.fixture(event, reds, blues).await.fixture_id;
        let since = ground.head();
        for goals in 0..10 {
            ground.put(fixture, score(&format!("{goals}-0"))).await.unwrap();
        }
        let topics = vec![Topic::EventSchedule(event), Topic::EventResults(event), Topic::TeamResults(reds)];
        let all: Vec<_> = ground.store.rows_after(since, 100).await.unwrap();
        assert_eq!(all.len(), 11, "ten results and a status");
        let mut after = since;
        let mut replayed = Vec::new();
        loop {
            let page = ground.store.replay(topics.clone(), after, ground.head(), 4).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.pos;
            replayed.extend(page);
        }
        assert_eq!(
            replayed.iter().map(|row| row.pos).collect::<Vec<_>>(),
            all.iter().map(|row| row.pos).collect::<Vec<_>>()
        );
        for (row, whole) in replayed.iter().zip(&all) {
            assert_eq!((&row.data, &row.kind), (&whole.data, &whole.kind));
            let asked: Vec<_> = whole.topics.iter().filter(|(topic, _)| topics.contains(topic)).collect();
            assert_eq!(row.topics.iter().collect::<Vec<_>>(), asked);
        }
        let upto = ground.store.replay(topics, since, since + 3, 100).await.unwrap();
        assert_eq!(upto.len(), 3);
    }

    #[tokio::test]
    async fn the_replay_window_ends_by_count_and_by_age_and_history_stays() {
        let dir = tempfile::TempDir::new().unwrap();
        let options = StoreOptions { replay_rows_max: 5, replay_age: SignedDuration::from_hours(1), ..options() };
        let store = Store::open(dir.path(), options).unwrap();
        let ground = Ground { dir, store };
        let event = ground.event().await.id;
        let quiet = ground.event().await.id;
        for number in 0..9 {
            ground.team(event, &format!("Team {number}"), None).await;
        }
        let rows = ground.log().await;
        let last = ground.head();
        assert!(rows.iter().all(|row| row.kind == RowKind::Changed));
        assert_eq!(ground.store.replay_floor(event, time(0)).await.unwrap(), last - 5, "five rows are newer");
        assert_eq!(ground.store.replay_floor(quiet, time(0)).await.unwrap(), 0);
        assert_eq!(ground.store.replay_floor(event, time(3601)).await.unwrap(), last, "an hour later all is old");
        assert_eq!(ground.store.replay_floor(quiet, time(3601)).await.unwrap(), 2);
        assert_eq!(ground.log().await.len(), rows.len());
    }
}
