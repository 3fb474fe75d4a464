//! Publisher, hub and sessions together against a model, in every order that chance finds.
//!
//! A log in memory stands for the store; its answers arrive late and in any order. Clients come, are
//! cut at any moment, read too slowly, and come back with their cursor. In the end nobody may have
//! missed, doubled or reordered anything, and everybody shows what the log says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use timely_core::access::AccessChange;
use timely_core::cursor::{Cursor, Epoch};
use timely_core::event::Visibility;
use timely_core::id::EventId;
use timely_core::live::close;
use timely_core::topic::{MessageType, StateLane, Stream, Topic};

use crate::live::followers::Followers;
use crate::live::hub::{Base, Boards, Hub, Join, Need, PAGE_ROWS_MAX, SessionId, Viewer};
use crate::live::publisher::{Publisher, States};
use crate::live::session::{About, Session, Speaks, Tick, Wire, Write};
use crate::live::testing::{
    announcement_row, board_data, fixture_row, removal_row, result_row, row, schedule_data, single,
};
use crate::store::{LogRow, Opening, RowKind};

const EVENT: EventId = EventId(1);
const RESULTS: Topic = Topic::EventResults(EVENT);
const SCHEDULE: Topic = Topic::EventSchedule(EVENT);
const ANNOUNCEMENTS: Topic = Topic::EventAnnouncements(EVENT);

/// The store: what is committed.
#[derive(Default)]
struct Log {
    rows: Vec<LogRow>,
    seqs: BTreeMap<(Topic, &'static str), u64>,
    floor: u64,
}

impl Log {
    fn head(&self) -> u64 {
        self.rows.len() as u64
    }

    fn commit(&mut self, what: u16, arg: u16) {
        let pos = self.head() + 1;
        let active = self.active();
        let mut seq = |topic: Topic, kind: MessageType| {
            let seq = self.seqs.entry((topic, kind.as_str())).or_default();
            *seq += 1;
            (topic, *seq)
        };
        let row = match what % 5 {
            0 | 1 => {
                let mut row = result_row(pos, EVENT, &[seq(RESULTS, MessageType::ResultUpdate)]);
                let group = if arg.is_multiple_of(2) { "A" } else { "B" };
                row.refreshes = vec![StateLane::board(RESULTS, Some(group))];
                row.group = Some(group.to_owned());
                row
            }
            2 => {
                let mut row = fixture_row(pos, EVENT, &[seq(SCHEDULE, MessageType::FixtureUpdate)]);
                row.refreshes = vec![StateLane::new(SCHEDULE)];
                row
            }
            3 => {
                let id = i64::from(arg % 8);
                announcement_row(
                    pos,
                    EVENT,
                    id,
                    if arg.is_multiple_of(11) { "EMERGENCY" } else { "GENERAL" },
                    "NORMAL",
                    &[seq(ANNOUNCEMENTS, MessageType::AnnouncementUpdate)],
                )
            }
            _ => match active.into_iter().next() {
                Some(id) => removal_row(pos, EVENT, id, &[seq(ANNOUNCEMENTS, MessageType::AnnouncementRemoved)]),
                None => row(pos, EVENT, RowKind::Changed, String::new(), &[]),
            },
        };
        self.rows.push(row);
    }

    fn on(&self, topic: Topic) -> impl Iterator<Item = &LogRow> {
        self.rows.iter().filter(move |row| row.topics.iter().any(|(on, _)| *on == topic))
    }

    /// Announcements that stand at the end of the log.
    fn active(&self) -> BTreeSet<i64> {
        let mut active = BTreeSet::new();
        for row in self.on(ANNOUNCEMENTS) {
            let id = announcement_id(&row.data);
            match row.kind {
                RowKind::Message(MessageType::AnnouncementUpdate) => active.insert(id),
                _ => active.remove(&id),
            };
        }
        active
    }

    /// Whether the row is an announcement that was removed later: a replay leaves it out.
    fn left_the_screens(&self, row: &LogRow) -> bool {
        matches!(row.kind, RowKind::Message(MessageType::AnnouncementUpdate))
            && self.on(ANNOUNCEMENTS).any(|later| {
                later.pos > row.pos
                    && matches!(later.kind, RowKind::Message(MessageType::AnnouncementRemoved))
                    && announcement_id(&later.data) == announcement_id(&row.data)
            })
    }

    fn state(&self, lane: &StateLane) -> Option<String> {
        match lane.topic {
            RESULTS => {
                let count = self.on(RESULTS).filter(|row| row.group.as_deref() == Some(lane.key.as_str())).count();
                Some(board_data(&lane.key, count as u64))
            }
            SCHEDULE => Some(schedule_data(self.on(SCHEDULE).count())),
            Topic::Event(_) => Some(r#"{"event_id":1,"event":{}}"#.to_owned()),
            _ => None,
        }
    }

    fn lanes(topic: Topic) -> Vec<StateLane> {
        match topic {
            RESULTS => vec![StateLane::board(RESULTS, Some("A")), StateLane::board(RESULTS, Some("B"))],
            SCHEDULE | Topic::Event(_) => vec![StateLane::new(topic)],
            _ => Vec::new(),
        }
    }

    fn opening(&self, topic: Topic) -> Opening {
        let states =
            Self::lanes(topic).into_iter().filter_map(|lane| Some((lane.clone(), self.state(&lane)?))).collect();
        let tail: Vec<LogRow> = if topic == ANNOUNCEMENTS {
            let active = self.active();
            let mut latest = BTreeMap::new();
            for row in self.on(topic) {
                latest.insert(announcement_id(&row.data), row.clone());
            }
            latest.retain(|id, _| active.contains(id));
            let mut rows: Vec<_> = latest.into_values().collect();
            rows.sort_by_key(|row| row.pos);
            rows
        } else {
            let rows: Vec<_> = self.on(topic).cloned().collect();
            rows[rows.len().saturating_sub(20)..].to_vec()
        };
        Opening { pos: self.head(), states, tail }
    }

    fn replay(&self, topics: &[Topic], after: u64, upto: u64) -> Vec<LogRow> {
        let active = self.active();
        self.rows
            .iter()
            .filter(|row| row.pos > after && row.pos <= upto)
            .filter(|row| row.topics.iter().any(|(topic, _)| topics.contains(topic)))
            .filter(|row| {
                !matches!(row.kind, RowKind::Message(MessageType::AnnouncementUpdate))
                    || active.contains(&announcement_id(&row.data))
            })
            .take(PAGE_ROWS_MAX)
            .cloned()
            .collect()
    }
}

fn announcement_id(data: &str) -> i64 {
    serde_json::from_str::<Value>(data).unwrap()["announcement"]["id"].as_i64().unwrap()
}

/// A client that follows the rules of the protocol, and checks what it is told.
struct Client {
    speaks: Speaks,
    streams: Vec<Stream>,
    id: SessionId,
    session: Option<Session>,
    /// Nothing is read from a client that sleeps.
    cursor: Option<u64>,
    /// Complete since here.
    from: u64,
    got: BTreeSet<u64>,
    /// Frames seen since the connection opened, to see doubles on the wire.
    last_live: u64,
    states: BTreeMap<(String, String), (u64, Value)>,
    announcements: BTreeMap<i64, u64>,
    settled: bool,
    recovered: usize,
    resyncs: usize,
    /// How often the server has closed the connection.
    closed: usize,
    /// Emergencies that were told before their turn.
    early: BTreeSet<u64>,
}

impl Client {
    fn new(speaks: Speaks, streams: &[Stream]) -> Self {
        Self {
            speaks,
            streams: streams.to_vec(),
            id: SessionId(0),
            session: None,
            cursor: None,
            from: 0,
            got: BTreeSet::new(),
            last_live: 0,
            states: BTreeMap::new(),
            announcements: BTreeMap::new(),
            settled: false,
            recovered: 0,
            resyncs: 0,
            closed: 0,
            early: BTreeSet::new(),
        }
    }

    /// Complete from here on; what was shown before comes again as a snapshot.
    fn start_over(&mut self, from: u64, announcements: bool) {
        self.from = from;
        self.cursor = Some(from);
        self.got.clear();
        if announcements {
            self.announcements.clear();
        }
    }

    fn hear(&mut self, text: &[u8]) {
        let message: Value = serde_json::from_slice(text).unwrap();
        let cursor = || message["cursor"].as_str().unwrap().parse::<Cursor>().unwrap().pos;
        match message["type"].as_str().unwrap() {
            "connected" => {
                self.last_live = 0;
                self.settled = false;
            }
            "subscribed" if message["recovered"] == true => self.recovered += 1,
            "subscribed" => self.start_over(cursor(), message["stream"] == "announcements"),
            "resync" => {
                self.resyncs += 1;
                self.settled = false;
                self.start_over(cursor(), true);
            }
            "live" => {
                assert!(cursor() >= self.cursor.unwrap_or(0), "the cursor went back");
                self.cursor = Some(cursor());
                self.settled = true;
            }
            "status" => {}
            kind => self.hear_data(kind, &message),
        }
    }

    fn hear_data(&mut self, kind: &str, message: &Value) {
        let (seq, pos) = (message["seq"].as_u64().unwrap(), message["pos"].as_u64().unwrap());
        let topic = message["topic"].as_str().unwrap().to_owned();
        let is_copy = message["replay"] == true;
        if message["early"] == true {
            assert_eq!(message["data"]["announcement"]["type"], "EMERGENCY");
            assert!(self.speaks == Speaks::V2 && !self.got.contains(&pos), "early is before its turn");
            self.early.insert(pos);
            return;
        }
        match kind {
            "leaderboard_update" | "schedule_update" | "event_update" => {
                let key = message["data"]["group"].as_str().unwrap_or_default().to_owned();
                let known = self.states.entry((topic, key)).or_insert((0, Value::Null));
                if known.1.is_null() || seq > known.0 {
                    *known = (seq, message["data"].clone());
                } else if seq == known.0 {
                    assert_eq!(known.1, message["data"], "one seq, two truths");
                }
                return;
            }
            _ => {}
        }
        if !is_copy {
            assert!(pos > self.last_live, "frame {pos} after {}: doubled or out of order", self.last_live);
            self.last_live = pos;
            assert!(self.got.insert(pos), "frame {pos} again: it had been written before the cut");
            self.cursor = self.cursor.max(Some(pos));
        }
        if kind.starts_with("announcement") {
            let id = message["data"]["announcement"]["id"].as_i64().unwrap();
            if kind == "announcement_update" {
                self.announcements.insert(id, pos);
            } else {
                self.announcements.remove(&id);
            }
        }
    }
}

enum Asked {
    Need(Need),
    States(Vec<StateLane>),
}

enum Answer {
    States(States),
    Opening(Topic, Opening),
    Floor(SessionId, u64),
    Replay { session: SessionId, after: u64, upto: u64, rows: Vec<LogRow> },
}

struct World {
    log: Log,
    publisher: Publisher,
    hub: Hub,
    followers: Followers<SessionId>,
    now: Duration,
    clients: Vec<Client>,
    asked: VecDeque<Asked>,
    answers: VecDeque<Answer>,
    next_session: u64,
}

impl World {
    fn new() -> Self {
        Self {
            log: Log::default(),
            publisher: Publisher::new(0),
            hub: Hub::new(epoch(), 0),
            followers: Followers::default(),
            now: Duration::ZERO,
            clients: vec![
                Client::new(Speaks::V2, Stream::ALL),
                Client::new(Speaks::V2, &[Stream::Results]),
                Client::new(Speaks::V1, &[Stream::Results, Stream::Announcements]),
                Client::new(Speaks::V2, &[Stream::Announcements]),
            ],
            asked: VecDeque::new(),
            answers: VecDeque::new(),
            next_session: 1,
        }
    }

    fn step(&mut self, op: u8, arg: u16) {
        let index = usize::from(arg) % self.clients.len();
        match op {
            0..=5 => self.log.commit(arg / 64, arg),
            6 => (0..arg % 400).for_each(|n| self.log.commit(0, n)),
            7 | 8 => self.apply(usize::from(arg % 7)),
            9 => self.apply(600),
            10 | 11 => self.read(usize::from(arg)),
            12 | 13 => self.answer(usize::from(arg)),
            14 | 15 => self.take(index),
            16 => self.cut(index),
            17 | 18 => self.connect(index),
            19 => self.subscribe(index, usize::from(arg / 8)),
            20 => self.now += Duration::from_millis(u64::from(arg % 150)),
            _ => self.log.floor = self.log.floor.max(self.log.head().saturating_sub(u64::from(arg % 40))),
        }
        self.pump();
    }

    fn apply(&mut self, rows: usize) {
        self.hub.set_head(self.log.head());
        let start = usize::try_from(self.publisher.applied()).unwrap();
        for row in self.log.rows.iter().skip(start).take(rows) {
            self.publisher.row(row, self.now, |lane| self.hub.follows(lane.topic)).unwrap();
            self.hub.row(row);
        }
    }

    fn read(&mut self, which: usize) {
        if self.asked.is_empty() {
            return;
        }
        let Some(asked) = self.asked.remove(which % self.asked.len()) else { return };
        let log = &self.log;
        self.answers.push_back(match asked {
            Asked::States(lanes) => Answer::States(States {
                pos: log.head(),
                timestamp: Timestamp::UNIX_EPOCH,
                lanes: lanes.into_iter().map(|lane| (lane.clone(), log.state(&lane))).collect(),
            }),
            Asked::Need(Need::Opening(topic)) => Answer::Opening(topic, log.opening(topic)),
            Asked::Need(Need::Floor { session, .. }) => Answer::Floor(session, log.floor),
            Asked::Need(Need::Replay { session, topics, after, upto }) => {
                Answer::Replay { session, after, upto, rows: log.replay(&topics, after, upto) }
            }
        });
    }

    fn answer(&mut self, which: usize) {
        if self.answers.is_empty() {
            return;
        }
        match self.answers.remove(which % self.answers.len()) {
            Some(Answer::States(states)) => self.publisher.states(states),
            Some(Answer::Opening(topic, opening)) => self.hub.opening(topic, opening, Timestamp::UNIX_EPOCH),
            Some(Answer::Floor(session, floor)) => self.hub.floor(session, floor),
            Some(Answer::Replay { session, after, upto, rows }) => self.hub.replay(session, after, upto, &rows),
            None => {}
        }
    }

    /// What the driver does between events.
    fn pump(&mut self) {
        for released in self.publisher.release(self.now) {
            self.hub.state(released);
        }
        while let Some(output) = self.hub.output() {
            let deliveries = match single(output, &mut self.followers) {
                Ok(deliveries) => deliveries,
                Err(need) => {
                    self.asked.push_back(Asked::Need(need));
                    continue;
                }
            };
            for (session, delivery) in deliveries {
                let client = self.clients.iter_mut().find(|client| client.id == session);
                if let Some(session) = client.and_then(|client| client.session.as_mut()) {
                    session.deliver(delivery, Timestamp::UNIX_EPOCH);
                }
            }
        }
        loop {
            let lanes = self.publisher.due(self.now, |lane| self.hub.follows(lane.topic));
            if lanes.is_empty() {
                break;
            }
            self.asked.push_back(Asked::States(lanes));
        }
    }

    fn take(&mut self, index: usize) {
        let tick =
            Tick { now: self.now, event_now: Timestamp::UNIX_EPOCH, clock_rate: 1.0, applied: self.hub.applied() };
        let client = &mut self.clients[index];
        let Some(session) = client.session.as_mut() else { return };
        let taken = session.take(&tick);
        for write in taken.writes {
            if let Write::Bytes(bytes) = write {
                client.hear(&bytes);
            }
        }
        // What comes until the client reads again finds no room.
        if let Some(session) = client.session.as_mut() {
            session.set_blocked(true);
        }
        let id = client.id;
        for request in taken.requests {
            self.hub.request(id, request);
        }
        if let Some(code) = taken.close {
            assert!(code == close::RESUME && client.speaks == Speaks::V1, "only slow v1 clients are closed here");
            client.closed += 1;
            self.cut(index);
        }
        self.pump();
    }

    fn cut(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.session.take().is_some() {
            self.hub.gone(client.id);
            self.followers.forget(client.id);
        }
    }

    fn connect(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if client.session.is_some() {
            return;
        }
        client.id = SessionId(self.next_session);
        self.next_session += 1;
        client.settled = false;
        let since = client.cursor.map(|pos| Cursor { epoch: epoch(), pos });
        // The clock of pings is not part of this game.
        let session = Session::new(
            Wire::WebSocket,
            client.speaks,
            About::Event(EVENT),
            Stream::ALL.to_vec(),
            epoch(),
            self.now + Duration::from_secs(1_000_000),
            client.id.0,
        );
        client.session = Some(session);
        let viewer = Viewer {
            actor: None,
            event: EVENT,
            team: None,
            visibility: Visibility::Public,
            judged_at: self.log.head(),
            boards: Boards::Apart,
        };
        self.hub.set_head(self.log.head());
        self.hub.open(client.id, viewer, Join { streams: client.streams.clone(), base: Base::Follow, since });
    }

    /// Subscribes to what is followed already: the current state comes again.
    fn subscribe(&mut self, index: usize, which: usize) {
        let client = &mut self.clients[index];
        let stream = client.streams[which % client.streams.len()];
        if let Some(session) = client.session.as_mut().filter(|session| session.takes_commands()) {
            session.text(&format!(r#"{{"type":"subscribe_{stream}"}}"#));
        }
    }

    /// Everybody comes back, everything is read, answered and written.
    fn settle(&mut self) {
        for _ in 0..60 {
            for index in 0..self.clients.len() {
                self.connect(index);
            }
            self.pump();
            self.apply(usize::MAX);
            self.pump();
            while !self.asked.is_empty() {
                self.read(0);
            }
            while !self.answers.is_empty() {
                self.answer(0);
            }
            self.pump();
            for index in 0..self.clients.len() {
                (0..30).for_each(|_| self.take(index));
            }
            self.now += Duration::from_secs(1);
        }
    }

    fn check(&self) {
        let active = self.log.active();
        for (index, client) in self.clients.iter().enumerate() {
            let topics: Vec<Topic> = client
                .streams
                .iter()
                .map(|stream| match stream {
                    Stream::Results => RESULTS,
                    Stream::Schedule => SCHEDULE,
                    Stream::Announcements => ANNOUNCEMENTS,
                })
                .collect();
            let followed = |row: &&LogRow| row.topics.iter().any(|(topic, _)| topics.contains(topic));
            for row in self.log.rows.iter().filter(followed).filter(|row| row.pos > client.from) {
                assert!(
                    self.log.left_the_screens(row) || client.got.contains(&row.pos),
                    "client {index} missed {}",
                    row.pos
                );
            }
            let all: BTreeSet<u64> = self.log.rows.iter().filter(followed).map(|row| row.pos).collect();
            assert!(client.got.is_subset(&all), "client {index} got what is not for it");
            for lane in topics.iter().flat_map(|topic| Log::lanes(*topic)) {
                let expected: Value = serde_json::from_str(&self.log.state(&lane).unwrap()).unwrap();
                let shown = &client.states[&(lane.topic.to_string(), lane.key.clone())].1;
                assert_eq!(*shown, expected, "client {index} shows an old {lane:?}");
            }
            if client.streams.contains(&Stream::Announcements) {
                let shown: BTreeSet<i64> = client.announcements.keys().copied().collect();
                assert_eq!(shown, active, "client {index} shows other announcements");
            }
            assert!(client.speaks == Speaks::V1 || client.settled, "client {index} waits for live");
        }
    }

    /// When everybody has left, nothing is kept.
    fn leave(&mut self) {
        for index in 0..self.clients.len() {
            self.cut(index);
        }
        assert_eq!(self.hub.len(), (0, 0), "sessions and topics without anybody");
        self.now += Duration::from_secs(10);
        self.pump();
        assert_eq!(self.publisher.deadline(), None);
    }
}

fn epoch() -> Epoch {
    Epoch("k3f9".into())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_misses_doubles_or_reorders_anything(steps in prop::collection::vec((0_u8..22, any::<u16>()), 1..250)) {
        let mut world = World::new();
        for (op, arg) in steps {
            world.step(op, arg);
        }
        world.settle();
        world.check();
        if world.log.floor == 0 {
            for (index, client) in world.clients.iter().enumerate() {
                assert_eq!((client.resyncs, client.closed), (0, 0), "client {index}: the log has all it missed");
            }
        }
        world.leave();
    }
}

#[test]
fn slow_clients_get_every_frame_on_the_same_connection() {
    for burst in [300, 700, 2_000] {
        let mut world = World::new();
        world.settle();
        let ids: Vec<_> = world.clients.iter().map(|client| client.id).collect();
        (0..burst).for_each(|n| world.step(0, n));
        world.apply(usize::MAX);
        world.settle();
        world.check();
        for (index, client) in world.clients.iter().enumerate() {
            assert_eq!((client.id, client.resyncs, client.closed), (ids[index], 0, 0), "client {index} of {burst}");
            assert!(!client.got.is_empty());
        }
    }
}

#[test]
fn only_who_lags_behind_the_log_itself_starts_over() {
    let mut world = World::new();
    world.settle();
    let ids: Vec<_> = world.clients.iter().map(|client| client.id).collect();
    (0..2_000).for_each(|n| world.log.commit(0, n));
    world.apply(usize::MAX);
    world.pump();
    world.log.floor = world.log.head() - 10;
    world.settle();
    world.check();
    for (index, client) in world.clients.iter().enumerate() {
        let follows_the_burst = client.streams.contains(&Stream::Results);
        let is_v1 = client.speaks == Speaks::V1;
        let told = (client.resyncs > 0, client.closed > 0, client.id != ids[index]);
        let expected = (follows_the_burst && !is_v1, follows_the_burst && is_v1, follows_the_burst && is_v1);
        assert_eq!(told, expected, "client {index}: a resync, or closed and back");
    }
}

#[test]
fn an_emergency_is_told_early_while_a_client_catches_up() {
    let mut world = World::new();
    world.settle();
    (0..2_000).for_each(|n| world.log.commit(0, n));
    world.apply(usize::MAX);
    world.pump();
    // Client 0 fell behind and asks for what it missed; the first page is read.
    world.take(0);
    world.log.commit(3, 11);
    let emergency = world.log.head();
    while !world.asked.is_empty() {
        world.read(0);
    }
    while !world.answers.is_empty() {
        world.answer(0);
    }
    world.apply(usize::MAX);
    world.pump();
    world.take(0);
    let client = &world.clients[0];
    assert!(client.early.contains(&emergency) && !client.got.contains(&emergency), "before its turn");
    assert!(client.got.len() < 2_000);
    world.settle();
    world.check();
    assert!(world.clients[0].got.contains(&emergency), "and in its turn");
    assert!(world.clients[2].early.is_empty(), "v1 knows no copies");
}

#[test]
fn a_long_absence_is_caught_up_from_the_log_page_by_page() {
    let mut world = World::new();
    world.settle();
    (0..4).for_each(|index| world.cut(index));
    (0..1_500).for_each(|n| world.log.commit(0, n));
    world.settle();
    world.check();
    assert!(world.clients.iter().all(|client| client.resyncs == 0 && client.recovered > 0));
}

#[test]
fn what_is_committed_after_a_viewer_lost_the_right_never_reaches_it() {
    let mut world = World::new();
    world.settle();
    world.log.commit(0, 1);
    let pos = world.log.head() + 1;
    let hidden = AccessChange::Visibility { event: EVENT, visibility: Visibility::Private };
    world.log.rows.push(row(pos, EVENT, RowKind::Access(hidden), String::new(), &[]));
    world.log.commit(0, 2);
    world.apply(usize::MAX);
    let mut codes = Vec::new();
    while let Some(output) = world.hub.output() {
        for (_, delivery) in single(output, &mut world.followers).unwrap_or_default() {
            match delivery {
                super::hub::Delivery::Log(shown) => assert!(shown.frame.pos < pos, "shown after the right was lost"),
                super::hub::Delivery::Closed(code) => codes.push(code),
                _ => {}
            }
        }
    }
    assert_eq!(codes, [close::GONE; 4]);
    assert_eq!(world.hub.len(), (0, 0));
}
