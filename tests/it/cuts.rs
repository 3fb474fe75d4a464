//! Nothing is lost, doubled or reordered, wherever a connection is cut.
//!
//! Listeners of every kind are cut again and again while several desks write, and in the end each
//! must have been told exactly what stands in the database file about the topics it may see: the
//! tables are read with SQL here, not by the code under test. Whatever chance decides comes from one
//! seed, which is printed; `TIMELY_SEED=<seed>` throws the same dice again (what the machine does
//! meanwhile is its own affair).
//!
//! The full numbers, 1 000 connections and 20 000 changes:
//! `TIMELY_CUT_CLIENTS=1000 TIMELY_CUT_FRAMES=20000 cargo test --release -p timely-tests cuts::`

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::Method;
use rusqlite::OpenFlags;
use serde_json::{Value, json};
use timely_client::Client;
use timely_client::live::{About, Message, Rule, Said, Subscription, Target, Transport, Update, Version};
use timely_core::cursor::Cursor;
use timely_core::id::EventId;
use timely_core::live::Control;
use timely_core::topic::{LaneKind, MessageType, Stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::proxy::Proxy;
use crate::server::{Cup, TestServer, send};
use crate::stream::{EventSource, Sent, Socket};

/// How long listeners may take to be told everything once nothing is cut any more.
const SETTLING: Duration = Duration::from_mins(1);

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// The seed of a test, printed for the case that it fails.
fn seed(test: &str) -> u64 {
    let seed = match std::env::var("TIMELY_SEED") {
        Ok(given) => given.parse().expect("TIMELY_SEED is a number"),
        Err(_) => RandomState::new().hash_one(test) >> 32,
    };
    eprintln!("{test}: TIMELY_SEED={seed}");
    seed
}

/// Chance that can be repeated (`SplitMix64`).
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..below`.
    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(below).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Dice of its own for somebody else.
    fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number of bytes of any magnitude from a handshake to some thousand frames.
    fn bytes(&mut self) -> usize {
        let magnitude = 6 + self.below(12);
        (1 << magnitude) + self.below(1 << magnitude)
    }
}

// ---- the truth

/// A row of the change log that is a message.
#[derive(Debug)]
struct Row {
    pos: u64,
    is_announcement: bool,
    announcement: Option<i64>,
    is_removal: bool,
    topics: BTreeSet<String>,
}

/// What stands in the file.
#[derive(Debug)]
struct Truth {
    rows: Vec<Row>,
    /// `pos` of the last change of each board of the event, by group.
    board_heads: BTreeMap<String, u64>,
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap()
}

impl Truth {
    fn read(server: &TestServer, event: i64) -> Self {
        let file = rusqlite::Connection::open_with_flags(server.database(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut rows: BTreeMap<u64, Row> = BTreeMap::new();
        let mut query = file
            .prepare(
                "SELECT l.pos, l.type, l.announcement_id, t.topic
                 FROM change_log l JOIN change_topics t ON t.pos = l.pos",
            )
            .unwrap();
        let found = query
            .query_map([], |row| {
                let (pos, kind): (i64, String) = (row.get(0)?, row.get(1)?);
                Ok((unsigned(pos), kind, row.get::<_, Option<i64>>(2)?, row.get::<_, String>(3)?))
            })
            .unwrap();
        for found in found {
            let (pos, kind, announcement, topic) = found.unwrap();
            let row = rows.entry(pos).or_insert_with(|| Row {
                pos,
                is_announcement: kind == "announcement_update",
                is_removal: kind == "announcement_removed",
                announcement,
                topics: BTreeSet::new(),
            });
            row.topics.insert(topic);
        }
        let mut query = file.prepare("SELECT group_name, pos FROM board_heads WHERE event_id = ?1").unwrap();
        let heads = query.query_map([event], |row| Ok((row.get(0)?, unsigned(row.get(1)?)))).unwrap();
        Self { rows: rows.into_values().collect(), board_heads: heads.map(Result::unwrap).collect() }
    }

    /// Rows on any of the topics, in order.
    fn on<'a>(&'a self, topics: &'a [String]) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(|row| topics.iter().any(|topic| row.topics.contains(topic)))
    }

    /// Whether what the row announced was taken back later on these topics: then a replay leaves it
    /// out.
    fn was_taken_back(&self, row: &Row, topics: &[String]) -> bool {
        row.is_announcement
            && self
                .on(topics)
                .any(|later| later.is_removal && later.pos > row.pos && later.announcement == row.announcement)
    }
}

// ---- who listens

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// Knows cursors.
    WebSocket,
    /// Knows cursors.
    Sse,
    /// Knows nothing but the guide; the browser keeps the last id.
    Browser,
    /// The same on the results page.
    ResultsPage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    Participant,
    /// Of the Reds.
    Member,
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Event,
    /// The Reds.
    Team,
}

/// How a stream is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    AtOpen,
    /// By a later command: from the current state.
    Fresh,
    /// By a later command with the first cursor that was told.
    Since,
    /// The same by `resume`.
    Resume,
}

/// What everybody needs to know.
struct World {
    server: SocketAddr,
    proxy: SocketAddr,
    http: reqwest::Client,
    event: i64,
    reds: i64,
    tokens: BTreeMap<&'static str, String>,
}

impl World {
    async fn new(server: &TestServer, proxy: &Proxy, cup: &Cup) -> Self {
        let reds = cup.teams["Reds"];
        let participant = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
        let member = server.token(json!({"role": "viewer", "event_id": cup.event, "team_id": reds})).await;
        Self {
            server: server.address,
            proxy: proxy.address,
            // Without a pool: each stream is a connection of its own, to be cut alone.
            http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap(),
            event: cup.event,
            reds,
            tokens: BTreeMap::from([
                ("participant", participant),
                ("member", member),
                ("owner", server.owner_token.clone()),
            ]),
        }
    }

    fn token(&self, who: Who) -> Option<&str> {
        let name = match who {
            Who::Anonymous => return None,
            Who::Participant => "participant",
            Who::Member => "member",
            Who::Owner => "owner",
        };
        Some(&self.tokens[name])
    }

    /// What a listener may see of a stream, by the rules of the protocol.
    fn topics(&self, stream: Stream, what: What, who: Who) -> Vec<String> {
        let (event, reds) = (self.event, self.reds);
        match (what, stream, who) {
            (What::Event, Stream::Results | Stream::Schedule, _) => vec![format!("event_{event}_{stream}")],
            (What::Event, Stream::Announcements, who) => {
                let mut topics = vec![format!("event_{event}_announcements")];
                match who {
                    Who::Anonymous => {}
                    Who::Participant => topics.push(format!("event_{event}_participants")),
                    Who::Member => {
                        topics.push(format!("event_{event}_participants"));
                        topics.push(format!("team_{reds}_announcements"));
                    }
                    Who::Owner => {
                        topics.push(format!("event_{event}_participants"));
                        topics.push(format!("event_{event}_staff"));
                    }
                }
                topics
            }
            // Strangers to a team do not hear what is said to it.
            (What::Team, Stream::Announcements, Who::Anonymous | Who::Participant) => Vec::new(),
            (What::Team, stream, _) => vec![format!("team_{reds}_{stream}")],
        }
    }
}

/// A part of the log that was asked for again: what was taken back meanwhile is not in it.
#[derive(Clone, Copy, Debug)]
struct Replay {
    after: u64,
    through: u64,
}

/// A state as it was told last.
#[derive(Clone, Debug)]
struct Told {
    seq: u64,
    text: String,
}

/// Somebody who follows some streams over one connection after another.
struct Listener {
    name: String,
    wire: Wire,
    who: Who,
    what: What,
    streams: Vec<(Stream, How)>,
    topics: HashMap<Stream, Vec<String>>,
    dice: Dice,
    rule: Rule,
    source: EventSource,
    /// Everything up to here was told, on the streams that are complete.
    cursor: Option<u64>,
    epoch: String,
    /// The first cursor that was told: later streams ask for everything since then.
    first: Option<u64>,
    /// Streams that are followed without a hole, and since where.
    complete: HashMap<Stream, u64>,
    /// Log frames that were news, in the order in which they came.
    news: Vec<(Stream, u64)>,
    states: BTreeMap<String, Told>,
    replays: Vec<Replay>,
    cuts: usize,
    doubles: usize,
    connection: Connection,
}

/// What is known about the connection at hand.
#[derive(Clone, Debug, Default)]
struct Connection {
    /// Cursor it was opened with.
    since: Option<u64>,
    /// Nothing was said yet about whether everything missed follows.
    is_catching_up: bool,
    /// A snapshot is on its way: the cursor stays where it is.
    is_snapshot: bool,
    /// The stream that is being joined by a command, and where from: the cursor stays where it is.
    joining: Option<(Stream, Option<u64>)>,
    /// `subscribed` came for it.
    is_joining_answered: bool,
    /// `pos` of the last frame that came live, and of the last one of a replay for a command.
    last_live: u64,
    last_missed: u64,
    /// Where streams begin that are shown from their current state.
    fresh_from: u64,
}

enum Link {
    Socket(Box<Socket>),
    /// The source is kept by the listener: its id outlives the connection.
    Source,
}

impl Listener {
    fn new(index: usize, world: &World, mut dice: Dice) -> Self {
        let wire = match index % 8 {
            0..=3 => Wire::WebSocket,
            4 | 5 => Wire::Sse,
            6 => Wire::Browser,
            _ => Wire::ResultsPage,
        };
        let who = match dice.below(6) {
            0..=2 => Who::Anonymous,
            3 => Who::Participant,
            4 => Who::Member,
            _ => Who::Owner,
        };
        let what = if who != Who::Anonymous && wire != Wire::ResultsPage && dice.below(4) == 0 {
            What::Team
        } else {
            What::Event
        };
        let all = [Stream::Results, Stream::Schedule, Stream::Announcements];
        let streams = match (wire, what) {
            (Wire::ResultsPage, _) => vec![(Stream::Results, How::AtOpen)],
            (Wire::Browser, _) | (_, What::Team) => all.map(|stream| (stream, How::AtOpen)).to_vec(),
            (Wire::Sse, _) => {
                let streams = dice.pick(&[&all[..], &all[..2], &all[1..], &all[..1], &all[2..]]);
                streams.iter().map(|stream| (*stream, How::AtOpen)).collect()
            }
            (Wire::WebSocket, _) => {
                let hows = [How::AtOpen, How::AtOpen, How::Fresh, How::Since, How::Resume];
                let mut streams = all.map(|stream| (stream, dice.pick(&hows))).to_vec();
                if dice.below(3) == 0 {
                    streams.remove(dice.below(3));
                }
                streams
            }
        };
        let topics = streams.iter().map(|(stream, _)| (*stream, world.topics(*stream, what, who))).collect();
        Self {
            name: format!("listener {index} ({wire:?} {who:?} {what:?} {streams:?})"),
            wire,
            who,
            what,
            streams,
            topics,
            dice,
            rule: Rule::default(),
            source: EventSource::default(),
            cursor: None,
            epoch: String::new(),
            first: None,
            complete: HashMap::new(),
            news: Vec::new(),
            states: BTreeMap::new(),
            replays: Vec::new(),
            cuts: 0,
            doubles: 0,
            connection: Connection::default(),
        }
    }

    fn knows_cursors(&self) -> bool {
        matches!(self.wire, Wire::WebSocket | Wire::Sse)
    }

    /// Listens, is cut, and comes back, until everything in the log was told.
    async fn listen(mut self, world: Arc<World>, mut end: watch::Receiver<Option<Arc<Truth>>>) -> Self {
        loop {
            let is_calm = end.borrow().is_some();
            let (address, mut messages_left) = match self.dice.below(3) {
                _ if is_calm => (world.server, usize::MAX),
                0 => (world.proxy, usize::MAX),
                // Mostly within what is caught up.
                1 => (world.server, 1 + self.dice.below(12)),
                _ => (world.server, 1 + self.dice.below(150)),
            };
            if let Some(mut link) = self.connect(&world, address).await {
                let mut later: VecDeque<(Stream, How)> =
                    self.streams.iter().copied().filter(|(stream, _)| !self.is_joined_by_opening(*stream)).collect();
                while messages_left > 0 {
                    let is_calm = match end.borrow_and_update().as_deref() {
                        Some(truth) if self.has_everything(truth) => return self,
                        Some(_) => true,
                        None => false,
                    };
                    if let Link::Socket(socket) = &mut link
                        && self.may_join_another()
                        && (is_calm || self.dice.below(4) == 0)
                        && let Some((stream, how)) = later.pop_front()
                        && !self.join(socket, stream, how).await
                    {
                        break;
                    }
                    let heard = tokio::select! {
                        heard = Self::hear(&mut link, &mut self.source) => heard,
                        // It is calm now.
                        _ = end.changed() => {
                            messages_left = usize::MAX;
                            continue;
                        }
                    };
                    match heard {
                        None => break,
                        Some(sent) => self.take(sent),
                    }
                    messages_left -= 1;
                }
            }
            self.cut();
            if !is_calm {
                sleep(Duration::from_millis(self.dice.next() % 400)).await;
            }
        }
    }

    /// Streams that are complete, or that are joined at open as long as none is.
    fn is_joined_by_opening(&self, stream: Stream) -> bool {
        if self.complete.is_empty() {
            self.streams.contains(&(stream, How::AtOpen))
        } else {
            self.complete.contains_key(&stream)
        }
    }

    async fn connect(&mut self, world: &World, address: SocketAddr) -> Option<Link> {
        self.connection = Connection { is_catching_up: true, ..Connection::default() };
        let path = match (self.wire, self.what) {
            (Wire::WebSocket, What::Event) => format!("/ws/events/{}/stream/", world.event),
            (Wire::WebSocket, What::Team) => format!("/ws/teams/{}/", world.reds),
            (Wire::ResultsPage, _) => format!("/api/events/{}/stream/results/", world.event),
            (_, What::Event) => format!("/api/events/{}/stream/", world.event),
            (_, What::Team) => format!("/api/teams/{}/stream/", world.reds),
        };
        let mut query = String::new();
        if self.knows_cursors() {
            query.push_str("?v=2");
            let streams: Vec<_> = self.streams.iter().map(|(stream, _)| *stream).collect();
            let joined: Vec<&str> = streams
                .iter()
                .filter(|stream| self.is_joined_by_opening(**stream))
                .map(|stream| stream.as_str())
                .collect();
            if !joined.is_empty() {
                query = format!("{query}&topics={}", joined.join(","));
            }
            if !self.complete.is_empty() {
                self.connection.since = self.cursor;
                query = format!("{query}&since={}.{}", self.epoch, self.cursor.unwrap());
                if self.streams.iter().all(|(_, how)| *how == How::AtOpen) {
                    let rule = self.rule.cursor().map(|cursor| cursor.pos);
                    assert_eq!(rule, self.cursor, "{}: the rule of the client library says the same", self.name);
                }
            }
        }
        if self.wire == Wire::WebSocket {
            let socket = Socket::try_open(address, &format!("{path}{query}"), world.token(self.who)).await;
            return socket.ok().map(|socket| Link::Socket(Box::new(socket)));
        }
        if self.knows_cursors() {
            // The cursor in the address is that of the rule; the browser's way is the business of others.
            self.source.last_event_id.clear();
        } else {
            let kept: Option<Cursor> = self.source.last_event_id.parse().ok();
            self.connection.since = kept.map(|cursor| cursor.pos);
        }
        let request = world.http.get(format!("http://{address}{path}{query}"));
        let request = match world.token(self.who) {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        self.source.connect(request).await.then_some(Link::Source)
    }

    async fn hear(link: &mut Link, source: &mut EventSource) -> Option<Sent> {
        match link {
            Link::Socket(socket) => socket.next_text().await.ok().map(Sent::Data),
            Link::Source => source.block().await,
        }
    }

    /// The connection is gone, with whatever was on its way.
    fn cut(&mut self) {
        self.cuts += 1;
        let connection = std::mem::take(&mut self.connection);
        if connection.is_catching_up
            && let Some(after) = connection.since
        {
            self.replays.push(Replay { after, through: connection.last_live });
        }
    }

    fn may_join_another(&self) -> bool {
        let connection = &self.connection;
        self.first.is_some() && !connection.is_catching_up && connection.joining.is_none()
    }

    /// Joins another stream by a command; whether it could be said.
    async fn join(&mut self, socket: &mut Socket, stream: Stream, how: How) -> bool {
        let since = self.first.map(|pos| format!("{}.{pos}", self.epoch));
        let command = match how {
            How::AtOpen | How::Fresh => json!({"type": format!("subscribe_{stream}"), "id": 1}),
            How::Since => json!({"type": format!("subscribe_{stream}"), "since": since}),
            How::Resume => json!({"type": "resume", "topics": [stream], "since": since}),
        };
        let since = matches!(how, How::Since | How::Resume).then_some(self.first).flatten();
        self.connection.joining = Some((stream, since));
        self.connection.is_joining_answered = false;
        self.connection.last_missed = 0;
        socket.try_send(command).await
    }

    fn take(&mut self, sent: Sent) {
        let text = match sent {
            Sent::Data(text) => text,
            Sent::Id => {
                if !self.knows_cursors() {
                    self.marked();
                }
                return;
            }
            Sent::Nothing => return,
        };
        let message = Message::parse(text).unwrap();
        let is_news = self.rule.apply(&message);
        let Message { text, said } = message;
        match said {
            Said::Control(control) => self.control(control),
            Said::Data(header) => {
                let topic = header.topic.to_string();
                match header.topic.stream() {
                    None => assert_eq!(header.kind.lane_kind(), LaneKind::State),
                    Some(stream) => {
                        let topics = self.topics.get(&stream);
                        let may_see = topics.is_some_and(|topics| topics.contains(&topic));
                        assert!(may_see, "{} was told what is not for it: {text}", self.name);
                        if header.kind.lane_kind() == LaneKind::Log {
                            self.log_frame(stream, header.pos, header.replay, is_news);
                        }
                    }
                }
                if header.kind.lane_kind() == LaneKind::State && is_news {
                    let lane = format!("{topic} {}", header.group.unwrap_or_default());
                    self.states.insert(lane, Told { seq: header.seq, text });
                }
            }
            Said::Unknown => panic!("{}: {text}", self.name),
        }
    }

    fn log_frame(&mut self, stream: Stream, pos: u64, is_copy: bool, is_news: bool) {
        if is_copy {
            return;
        }
        let name = &self.name;
        let connection = &mut self.connection;
        match connection.joining {
            // Between `subscribed` and `live` there is nothing but what was missed of that stream.
            Some((joining, Some(since))) if connection.is_joining_answered => {
                assert_eq!(stream, joining, "{name}: {pos} within the replay of another stream");
                assert!(pos > since.max(connection.last_missed), "{name}: {pos} is not next after {connection:?}");
                connection.last_missed = pos;
            }
            _ => {
                let last = connection.last_live.max(connection.since.unwrap_or(0));
                assert!(pos > last, "{name}: {pos} after {last} on one connection");
                connection.last_live = pos;
            }
        }
        if is_news {
            self.news.push((stream, pos));
        } else {
            self.doubles += 1;
        }
        if self.knows_cursors() && !self.connection.is_snapshot && self.connection.joining.is_none() {
            self.cursor = self.cursor.max(Some(pos));
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Connected { epoch, cursor, .. } => {
                self.epoch = epoch.to_string();
                if self.first.is_none() {
                    self.first = Some(cursor.pos);
                }
                if self.knows_cursors() && self.streams.iter().all(|(stream, _)| !self.is_joined_by_opening(*stream)) {
                    // Nothing was asked for yet, so nothing more is said.
                    self.connection.is_catching_up = false;
                }
            }
            Control::Subscribed { stream, cursor, recovered, reason, .. } => {
                let since = match self.connection.joining {
                    Some((joining, since)) => {
                        assert_eq!(joining, stream, "{}", self.name);
                        self.connection.is_joining_answered = true;
                        since
                    }
                    None => self.connection.since,
                };
                assert_eq!(recovered, since.is_some(), "{}: {reason:?}", self.name);
                if recovered {
                    assert_eq!(Some(cursor.pos), since, "{}: complete from where it was asked", self.name);
                } else {
                    self.connection.is_snapshot = true;
                    self.connection.fresh_from = cursor.pos;
                }
            }
            Control::Live { cursor, .. } => self.live(cursor.pos),
            Control::Status { .. } => {}
            other => panic!("{}: {other:?}", self.name),
        }
    }

    /// Snapshot and replay are through.
    fn live(&mut self, pos: u64) {
        let connection = &mut self.connection;
        connection.is_snapshot = false;
        if let Some((stream, since)) = connection.joining.take() {
            self.complete.insert(stream, since.unwrap_or(connection.fresh_from));
            if let Some(after) = since {
                self.replays.push(Replay { after, through: pos.max(connection.last_missed) });
            }
            // The one from which the connection is complete, on all its streams.
            self.cursor = Some(pos);
            return;
        }
        connection.is_catching_up = false;
        if let Some(after) = connection.since {
            self.replays.push(Replay { after, through: pos });
        } else {
            let from = connection.fresh_from;
            let at_open = self.streams.iter().filter(|(_, how)| *how == How::AtOpen);
            self.complete = at_open.map(|(stream, _)| (*stream, from)).collect();
        }
        self.cursor = self.cursor.max(Some(pos));
    }

    /// A browser was told its cursor without an event: what was missed is through.
    fn marked(&mut self) {
        let kept: Cursor = self.source.last_event_id.parse().unwrap();
        let connection = &mut self.connection;
        if !std::mem::take(&mut connection.is_catching_up) {
            return;
        }
        match connection.since {
            Some(after) => self.replays.push(Replay { after, through: kept.pos }),
            None => self.complete = self.streams.iter().map(|(stream, _)| (*stream, kept.pos)).collect(),
        }
    }

    /// Boards this listener is shown, by lane, with the group.
    fn boards(&self, world_boards: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
        let Some(topics) = self.topics.get(&Stream::Results) else { return Vec::new() };
        world_boards
            .iter()
            .filter(|(group, _)| self.what == What::Event || *group == "A")
            .map(|(group, pos)| (format!("{} {group}", topics[0]), *pos))
            .collect()
    }

    /// Whether the last row of each stream has come, and states that are at least as new.
    fn has_everything(&self, truth: &Truth) -> bool {
        let has_streams = self.topics.iter().all(|(stream, topics)| {
            let Some(from) = self.complete.get(stream) else { return false };
            let Some(last) = truth.on(topics).last() else { return true };
            *from >= last.pos || self.news.iter().any(|(_, pos)| *pos == last.pos)
        });
        let has_schedule = self.topics.get(&Stream::Schedule).is_none_or(|topics| {
            let last = truth.on(topics).last().map_or(0, |row| row.pos);
            self.states.get(&format!("{} ", topics[0])).is_some_and(|told| told.seq >= last)
        });
        let has_boards = self
            .boards(&truth.board_heads)
            .iter()
            .all(|(lane, pos)| self.states.get(lane).is_some_and(|told| told.seq >= *pos));
        has_streams && has_schedule && has_boards && !self.connection.is_catching_up
    }

    /// Compares all that was told with what stands in the file.
    fn check(&self, truth: &Truth) {
        let name = &self.name;
        let told: BTreeSet<u64> = self.news.iter().map(|(_, pos)| *pos).collect();
        assert_eq!(told.len(), self.news.len(), "{name}: something was news twice");
        for (stream, topics) in &self.topics {
            let from = self.complete[stream];
            let in_order: Vec<u64> = self.news.iter().filter(|(of, _)| of == stream).map(|(_, pos)| *pos).collect();
            let rows: BTreeMap<u64, &Row> = truth.on(topics).map(|row| (row.pos, row)).collect();
            for pos in &in_order {
                assert!(rows.contains_key(pos), "{name}: {pos} is not on {topics:?}");
            }
            // A join that is cut before its `live` is made again from its first cursor. What was taken
            // back at the first time and stands again at the second then comes late.
            let may_come_late =
                |pos: &u64| !self.streams.contains(&(*stream, How::AtOpen)) && truth.was_taken_back(rows[pos], topics);
            let in_time: Vec<u64> = in_order.into_iter().filter(|pos| !may_come_late(pos)).collect();
            assert!(in_time.is_sorted(), "{name}: {stream} out of order: {in_time:?}");
            for (pos, row) in rows.range(from + 1..) {
                let may_be_left_out = || {
                    truth.was_taken_back(row, topics)
                        && self.replays.iter().any(|replay| replay.after < *pos && *pos <= replay.through)
                };
                assert!(
                    told.contains(pos) || may_be_left_out(),
                    "{name}: {stream} is complete from {from} and was not told {row:?}; replays {:?}",
                    self.replays
                );
            }
        }
        if self.streams.iter().all(|(_, how)| *how == How::AtOpen) {
            assert!(self.news.is_sorted_by_key(|(_, pos)| *pos), "{name}: out of order over all streams");
        }
    }

    /// The boards and the schedule shown in the end are those of a read.
    fn check_states(&self, boards: &BTreeMap<String, Value>, schedule: &Value) {
        for (lane, told) in &self.states {
            let message: Value = serde_json::from_str(&told.text).unwrap();
            let data = &message["data"];
            match message["type"].as_str().unwrap().parse::<MessageType>().unwrap() {
                MessageType::LeaderboardUpdate => {
                    let read = &boards[data["group"].as_str().unwrap()];
                    assert_eq!(&data["leaderboard"], read, "{}: {lane}", self.name);
                }
                MessageType::ScheduleUpdate if self.what == What::Event => {
                    assert_eq!(&data["schedule"], schedule, "{}: {lane}", self.name);
                }
                _ => {}
            }
        }
    }
}

// ---- who writes

/// What is written to.
struct Ground {
    cup: Cup,
    /// Nobody who listens here may hear of this one.
    other: Cup,
    /// Fixtures of the cup that are moved about and never played.
    unplayed: Vec<i64>,
}

impl Ground {
    async fn new(server: &TestServer) -> Self {
        let cup = Cup::public(server).await;
        let other = Cup::create(server, "PRIVATE").await;
        let mut unplayed = Vec::new();
        for (home, away) in [("Reds", "Blues"), ("Greens", "Reds"), ("Kites", "Owls")] {
            let fixture = json!({"home_team_id": cup.teams[home], "away_team_id": cup.teams[away],
                                 "start_at": "2026-05-03T09:00:00Z"});
            let made = server.post(&format!("/api/events/{}/fixtures/", cup.event), fixture).await.ok();
            unplayed.push(made["fixture_id"].as_i64().unwrap());
        }
        Self { cup, other, unplayed }
    }
}

/// Makes changes of every kind until the budget is spent.
async fn desk(server: &TestServer, ground: &Ground, mut dice: Dice, budget: &AtomicUsize) {
    let Ground { cup, other, unplayed } = ground;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    let mut active: Vec<i64> = Vec::new();
    let teams =
        [json!([cup.teams["Reds"]]), json!([cup.teams["Blues"]]), json!([cup.teams["Reds"], cup.teams["Owls"]])];
    let audience = |dice: &mut Dice| match dice.below(4) {
        0 => json!({"is_public": false, "team_ids": []}),
        1 => json!({"team_ids": teams[dice.below(3)]}),
        _ => json!({"is_public": true, "team_ids": []}),
    };
    while budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let fixture = 1 + u32::try_from(dice.below(7)).unwrap();
        match dice.below(20) {
            0..=8 => {
                let [home, away] = [(); 2].map(|()| u16::try_from(dice.below(60)).unwrap());
                server.score(cup.fixtures[&fixture], home, away).await;
            }
            9 => {
                let path = format!("/api/fixtures/{}/result/", cup.fixtures[&fixture]);
                let answer = server.delete(&path).await;
                assert!([200, 409].contains(&answer.status), "{answer:?}");
            }
            10..=13 => {
                let start_at = format!("2026-05-02T{:02}:{:02}:00Z", dice.below(24), dice.below(60));
                let path = format!("/api/fixtures/{}/", dice.pick(unplayed));
                server.patch(&path, json!({"start_at": start_at})).await.ok();
            }
            14 => {
                server.score(other.fixtures[&fixture], u16::try_from(dice.below(60)).unwrap(), 0).await;
            }
            15 | 16 => {
                let mut body = audience(&mut dice);
                body["title"] = json!(format!("Notice {}", dice.next()));
                body["message"] = json!("x".repeat(dice.below(400)));
                active.push(server.post(&announcements, body).await.ok()["id"].as_i64().unwrap());
            }
            17 if !active.is_empty() => {
                let mut body = audience(&mut dice);
                body["title"] = json!(format!("Notice {}", dice.next()));
                server.patch(&format!("/api/announcements/{}/", dice.pick(&active)), body).await.ok();
            }
            18 if !active.is_empty() => {
                let path = format!("/api/announcements/{}/broadcast/", dice.pick(&active));
                send(server.owner(Method::POST, &path)).await.ok();
            }
            19 if !active.is_empty() => {
                let id = active.remove(dice.below(active.len()));
                server.command(&format!("/api/announcements/{id}/withdraw/")).await.ok();
            }
            _ => {}
        }
        // Sometimes much at once, sometimes nothing for a while.
        if dice.below(10) == 0 {
            sleep(Duration::from_millis(dice.next() % 600)).await;
        }
    }
}

/// Results, schedule and announcements of a cup as a read tells them.
async fn states(server: &TestServer, event: i64) -> (BTreeMap<String, Value>, Value) {
    let boards = server.get(&format!("/api/events/{event}/leaderboard/")).await.ok();
    let boards = boards["boards"].as_array().unwrap().iter();
    let boards = boards.map(|board| (board["group"].as_str().unwrap().to_owned(), board["leaderboard"].clone()));
    let schedule = server.get(&format!("/api/events/{event}/schedule/")).await.ok()["schedule"].clone();
    (boards.collect(), schedule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_cut_at_random_miss_double_and_reorder_nothing() {
    let mut dice = Dice(seed("cuts of a burst"));
    let clients = number("TIMELY_CUT_CLIENTS", 200);
    let server = TestServer::start().await;
    let ground = Ground::new(&server).await;
    let event = ground.cup.event;
    let proxy = Proxy::to(server.address).await;
    let mut cuts = dice.split();
    proxy.cuts(move || Some(cuts.bytes()));
    let world = Arc::new(World::new(&server, &proxy, &ground.cup).await);
    let (tell, end) = watch::channel(None);
    let mut listeners = JoinSet::new();
    for index in 0..clients {
        let listener = Listener::new(index, &world, dice.split());
        listeners.spawn(listener.listen(Arc::clone(&world), end.clone()));
    }
    let started = tokio::time::Instant::now();
    let budget = AtomicUsize::new(number("TIMELY_CUT_FRAMES", 1_200));
    let desks = [(); 4].map(|()| desk(&server, &ground, dice.split(), &budget));
    futures_util::future::join_all(desks).await;

    let burst = started.elapsed();
    let truth = Arc::new(Truth::read(&server, event));
    proxy.cuts(|| None);
    tell.send(Some(Arc::clone(&truth))).unwrap();
    let (boards, schedule) = states(&server, event).await;
    let (mut cuts, mut doubles, mut told) = (0, 0, 0);
    for settled in 0..clients {
        let listener = timeout(SETTLING, listeners.join_next()).await;
        let listener = listener.unwrap_or_else(|_| panic!("{settled} of {clients} were told everything"));
        let listener = listener.unwrap().unwrap();
        listener.check(&truth);
        listener.check_states(&boards, &schedule);
        cuts += listener.cuts;
        doubles += listener.doubles;
        told += listener.news.len();
    }
    eprintln!(
        "{clients} listeners, {} rows in {burst:.0?}: {told} times told, {cuts} cuts, {doubles} doubles dropped by \
         the rule, all settled after {:.0?}",
        truth.rows.len(),
        started.elapsed()
    );
    assert!(cuts > clients, "{cuts} cuts: the burst was too short to prove anything");
}

// ---- the client library

/// Follows the whole event by the client library until everything in the log was told: positions of
/// the log frames in the order in which they came, where they begin, and the last board of each group.
async fn subscribe(
    client: Client,
    event: i64,
    only: Option<Transport>,
    mut end: watch::Receiver<Option<Arc<Truth>>>,
) -> (u64, Vec<u64>, BTreeMap<String, Value>, usize) {
    let target = Target {
        about: About::Event(EventId(event)),
        streams: vec![Stream::Results, Stream::Schedule, Stream::Announcements],
        since: None,
        version: Version::V2,
        only,
    };
    let mut subscription = Subscription::new(&client, target);
    let (mut from, mut news, mut boards, mut cuts) = (None, Vec::new(), BTreeMap::new(), 0);
    let topics = ["results", "schedule", "announcements"].map(|stream| format!("event_{event}_{stream}"));
    loop {
        if let Some(truth) = end.borrow_and_update().as_deref()
            && from.is_some()
            && news.last() >= truth.on(&topics).last().map(|row| &row.pos)
            && truth.board_heads.iter().all(|(group, pos)| boards.get(group).is_some_and(|(seq, _)| seq >= pos))
        {
            let boards = boards.into_iter().map(|(group, (_, board))| (group, board)).collect();
            return (from.unwrap(), news, boards, cuts);
        }
        let update = tokio::select! {
            update = subscription.next() => update.unwrap(),
            _ = end.changed() => continue,
        };
        match update {
            Update::Message(Message { text, said: Said::Data(header) }) => match header.kind {
                MessageType::LeaderboardUpdate => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    boards.insert(header.group.unwrap(), (header.seq, message["data"]["leaderboard"].clone()));
                }
                kind if kind.lane_kind() == LaneKind::Log && !header.replay => news.push(header.pos),
                _ => {}
            },
            Update::Message(Message { said: Said::Control(Control::Live { cursor, .. }), .. }) => {
                from.get_or_insert(cursor.pos);
            }
            Update::Message(Message { said: Said::Control(Control::Subscribed { recovered, .. }), .. }) => {
                assert_eq!(recovered, from.is_some(), "a cursor of some seconds ago is continued");
            }
            Update::Message(_) | Update::Open(_) | Update::RoundTrip(_) | Update::Stale { .. } => {}
            Update::Lost { .. } => {
                cuts += 1;
                subscription.retry_now();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_library_tells_every_change_once_over_a_network_that_cuts() {
    let mut dice = Dice(seed("cuts of the client library"));
    let server = TestServer::start().await;
    let ground = Ground::new(&server).await;
    let event = ground.cup.event;
    let proxy = Proxy::to(server.address).await;
    let mut bytes = dice.split();
    proxy.cuts(move || Some(bytes.bytes()));
    let client = Client::new(&proxy.address.to_string(), None).unwrap();
    let (tell, end) = watch::channel(None);
    let mut subscriptions = JoinSet::new();
    for only in [Some(Transport::WebSocket), Some(Transport::Sse), None] {
        for _ in 0..8 {
            subscriptions.spawn(subscribe(client.clone(), event, only, end.clone()));
        }
    }
    let budget = AtomicUsize::new(300);
    futures_util::future::join_all([(); 2].map(|()| desk(&server, &ground, dice.split(), &budget))).await;

    let truth = Arc::new(Truth::read(&server, event));
    proxy.cuts(|| None);
    tell.send(Some(Arc::clone(&truth))).unwrap();
    let (boards, _) = states(&server, event).await;
    let topics = ["results", "schedule", "announcements"].map(|stream| format!("event_{event}_{stream}"));
    let mut all_cuts = 0;
    while let Some(subscription) = timeout(SETTLING, subscriptions.join_next()).await.expect("everything is told") {
        let (from, news, shown, cuts) = subscription.unwrap();
        assert!(news.is_sorted_by(|one, next| one < next), "out of order or double: {news:?}");
        for row in truth.on(&topics).filter(|row| row.pos > from) {
            assert!(news.contains(&row.pos) || truth.was_taken_back(row, &topics), "missed {row:?} since {from}");
        }
        let rows: BTreeSet<u64> = truth.on(&topics).map(|row| row.pos).collect();
        assert!(news.iter().all(|pos| rows.contains(pos)), "told what does not stand in the file");
        assert_eq!(shown, boards);
        all_cuts += cuts;
    }
    assert!(all_cuts > 24, "{all_cuts} cuts");
}

// ---- every point of a replay

/// An event with many changes on three topics, and the cursor from before them.
struct History {
    server: TestServer,
    event: i64,
    cursor: u64,
    /// Positions of the log frames after the cursor, of each stream.
    rows: HashMap<Stream, Vec<u64>>,
}

impl History {
    /// Everybody may see everything, and nothing is taken back.
    async fn write(rounds: u16) -> Self {
        let server = TestServer::start().await;
        let ground = Ground::new(&server).await;
        let event = ground.cup.event;
        server.score(ground.cup.fixtures[&1], 0, 0).await;
        let cursor = server.get(&format!("/api/events/{event}/leaderboard/")).await.ok()["pos"].as_u64().unwrap();
        for round in 1..=rounds {
            server.score(ground.cup.fixtures[&1], round, 0).await;
            let start_at = format!("2026-05-03T10:{:02}:00Z", round % 60);
            let path = format!("/api/fixtures/{}/", ground.unplayed[0]);
            server.patch(&path, json!({"start_at": start_at})).await.ok();
            let body = json!({"title": format!("Notice {round}"), "message": ""});
            server.post(&format!("/api/events/{event}/announcements/"), body).await.ok();
        }
        let truth = Truth::read(&server, event);
        let rows = [Stream::Results, Stream::Schedule, Stream::Announcements].map(|stream| {
            let topics = [format!("event_{event}_{stream}")];
            (stream, truth.on(&topics).map(|row| row.pos).filter(|pos| *pos > cursor).collect())
        });
        Self { server, event, cursor, rows: rows.into() }
    }

    fn since(&self, pos: u64) -> String {
        format!("{}.{pos}", self.server.epoch)
    }

    /// Rows of some streams, in order.
    fn of(&self, streams: &[Stream]) -> Vec<u64> {
        let mut rows: Vec<u64> = streams.iter().flat_map(|stream| self.rows[stream].clone()).collect();
        rows.sort_unstable();
        rows
    }
}

const ALL: [Stream; 3] = [Stream::Results, Stream::Schedule, Stream::Announcements];

/// A client that applies the rule and notes what was news.
struct Reader {
    rule: Rule,
    news: Vec<u64>,
}

impl Reader {
    fn from(cursor: &str) -> Self {
        Self { rule: Rule::from(Some(cursor.parse().unwrap())), news: Vec::new() }
    }

    /// Takes a message; whether it is the end of a replay.
    fn take(&mut self, text: String) -> bool {
        let message = Message::parse(text).unwrap();
        let is_news = self.rule.apply(&message);
        match &message.said {
            Said::Data(header) if header.kind.lane_kind() == LaneKind::Log => {
                assert!(!header.replay, "what was missed comes itself, not as a copy: {}", message.text);
                if is_news {
                    self.news.push(header.pos);
                }
                false
            }
            Said::Control(Control::Subscribed { recovered, reason, .. }) => {
                assert!(recovered, "{reason:?}");
                false
            }
            Said::Control(Control::Live { .. }) => true,
            _ => false,
        }
    }

    fn cursor(&self) -> String {
        self.rule.cursor().unwrap().to_string()
    }
}

#[tokio::test]
async fn a_replay_cut_after_any_message_is_continued_without_a_hole() {
    let history = History::write(12).await;
    let expected = history.of(&ALL);
    assert!(expected.len() >= 36, "{} frames", expected.len());
    let path = |cursor: &str| {
        format!("/ws/events/{}/stream/?v=2&topics=results,schedule,announcements&since={cursor}", history.event)
    };
    // To the end of the replay, and beyond all log frames.
    let mut whole = 0;
    for messages in 0.. {
        let mut reader = Reader::from(&history.since(history.cursor));
        let mut socket = Socket::open(&history.server, &path(&reader.cursor())).await;
        let mut is_through = false;
        for _ in 0..messages {
            is_through = reader.take(socket.next_text().await.unwrap());
        }
        drop(socket);
        whole = messages;
        let told = reader.news.len();
        let mut socket = Socket::open(&history.server, &path(&reader.cursor())).await;
        while !reader.take(socket.next_text().await.unwrap()) {}
        assert_eq!(reader.news, expected, "cut after {messages} messages, {told} of them log frames");
        if is_through {
            break;
        }
    }
    assert!(whole > expected.len(), "{whole} messages");
}

/// Event streams of a history, over connections of their own.
struct Events<'a> {
    history: &'a History,
    http: reqwest::Client,
}

impl<'a> Events<'a> {
    fn of(history: &'a History) -> Self {
        Self { history, http: reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap() }
    }

    /// Opens `path` of the event at a server or a proxy; whether the handshake came through.
    async fn open(&self, source: &mut EventSource, address: SocketAddr, path: &str) -> bool {
        let url = format!("http://{address}/api/events/{}/{path}", self.history.event);
        source.connect(self.http.get(url)).await
    }
}

#[tokio::test]
async fn an_event_stream_cut_after_any_event_is_continued_by_the_cursor_of_the_rule() {
    let history = History::write(12).await;
    let (events, expected) = (Events::of(&history), history.of(&ALL));
    let address = history.server.address;
    for messages in 0.. {
        let mut reader = Reader::from(&history.since(history.cursor));
        let mut is_through = false;
        let mut taken = 0;
        let mut source = EventSource::default();
        assert!(events.open(&mut source, address, &format!("stream/?v=2&since={}", reader.cursor())).await);
        while taken < messages {
            if let Sent::Data(text) = source.block().await.expect("the stream goes on") {
                taken += 1;
                is_through = reader.take(text);
            }
        }
        let mut source = EventSource::default();
        assert!(events.open(&mut source, address, &format!("stream/?v=2&since={}", reader.cursor())).await);
        while match source.block().await.expect("the stream goes on") {
            Sent::Data(text) => !reader.take(text),
            Sent::Id | Sent::Nothing => true,
        } {}
        assert_eq!(reader.news, expected, "cut after {messages} events");
        if is_through {
            assert!(messages > expected.len());
            break;
        }
    }
}

/// Reads up to a block with an id alone, which ends what was missed, or to the end of the connection.
/// Counts down the blocks left; whether it was the id.
async fn read_blocks(source: &mut EventSource, reader: &mut Reader, mut left: usize) -> bool {
    while left > 0 {
        left -= 1;
        match source.block().await {
            Some(Sent::Data(text)) => {
                reader.take(text);
            }
            Some(Sent::Id) => return true,
            Some(Sent::Nothing) => {}
            None => return false,
        }
    }
    false
}

#[tokio::test]
async fn a_browser_cut_after_any_block_loses_nothing_with_the_id_it_kept() {
    let history = History::write(12).await;
    let events = Events::of(&history);
    let address = history.server.address;
    for (path, streams) in [
        ("stream/", &ALL[..]),
        ("stream/results/", &ALL[..1]),
        ("stream/schedule/", &ALL[1..2]),
        ("stream/announcements/", &ALL[2..]),
    ] {
        let expected = history.of(streams);
        for blocks in 0.. {
            let mut reader = Reader::from(&history.since(history.cursor));
            let mut source = EventSource::with_id(&history.since(history.cursor));
            assert!(events.open(&mut source, address, path).await);
            let is_through = read_blocks(&mut source, &mut reader, blocks).await;
            let kept = source.last_event_id.clone();
            // Nothing that was not told yet stands before the id.
            let told = reader.news.len();
            assert!(
                expected.get(told).is_none_or(|next| *next > kept.parse::<Cursor>().unwrap().pos),
                "{path}: {kept}"
            );
            assert!(events.open(&mut source, address, path).await);
            assert!(read_blocks(&mut source, &mut reader, usize::MAX).await, "the stream goes on");
            assert_eq!(reader.news, expected, "{path} cut after {blocks} blocks, {told} log frames, with id {kept}");
            assert_eq!(source.retry_ms, Some(2_000));
            if is_through {
                assert!(blocks > expected.len());
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_a_frame_loses_nothing() {
    let history = History::write(12).await;
    let events = Events::of(&history);
    let expected = history.of(&ALL);
    let proxy = Proxy::to(history.server.address).await;
    let direct = history.server.address;
    let path = |cursor: &str| {
        format!("/ws/events/{}/stream/?v=2&topics=results,schedule,announcements&since={cursor}", history.event)
    };
    // Not a divisor of anything: heads, lengths, ids, letters and ends of frames are all hit.
    for bytes in (1..).step_by(173) {
        proxy.cuts(move || Some(bytes));
        let mut reader = Reader::from(&history.since(history.cursor));
        let mut is_through = false;
        if let Ok(mut socket) = Socket::try_open(proxy.address, &path(&reader.cursor()), None).await {
            while !is_through && let Ok(text) = socket.next_text().await {
                is_through = reader.take(text);
            }
        }
        let mut socket = Socket::try_open(direct, &path(&reader.cursor()), None).await.unwrap();
        while !reader.take(socket.next_text().await.unwrap()) {}
        assert_eq!(reader.news, expected, "a socket cut after {bytes} bytes");

        let mut reader = Reader::from(&history.since(history.cursor));
        let mut source = EventSource::with_id(&history.since(history.cursor));
        let is_through_browser = events.open(&mut source, proxy.address, "stream/").await
            && read_blocks(&mut source, &mut reader, usize::MAX).await;
        assert!(events.open(&mut source, direct, "stream/").await);
        assert!(read_blocks(&mut source, &mut reader, usize::MAX).await, "the stream goes on");
        assert_eq!(reader.news, expected, "an event stream cut after {bytes} bytes");
        if is_through && is_through_browser {
            assert!(bytes > 10_000, "{bytes} bytes");
            break;
        }
    }
}

#[tokio::test]
async fn a_stream_joined_between_two_cuts_is_complete_from_its_own_cursor() {
    let history = History::write(12).await;
    let expected = history.of(&ALL[..2]);
    let server = &history.server;
    let old = history.since(history.cursor);
    for is_resume in [false, true] {
        for messages in 0.. {
            let mut reader = Reader::from(&old);
            let path = |streams: &str, cursor: &str| {
                format!("/ws/events/{}/stream/?v=2&topics={streams}&since={cursor}", history.event)
            };
            let mut socket = Socket::open(server, &path("results", &old)).await;
            while !reader.take(socket.next_text().await.unwrap()) {}
            // Kept until the `live` of the other stream: rule 3 of the protocol.
            let kept = reader.cursor();
            socket
                .send(if is_resume {
                    json!({"type": "resume", "topics": ["schedule"], "since": old})
                } else {
                    json!({"type": "subscribe_schedule", "since": old})
                })
                .await;
            let mut is_live = false;
            for _ in 0..messages {
                is_live = reader.take(socket.next_text().await.unwrap());
            }
            drop(socket);
            let mut socket = if is_live {
                Socket::open(server, &path("results,schedule", &reader.cursor())).await
            } else {
                let mut socket = Socket::open(server, &path("results", &kept)).await;
                while !reader.take(socket.next_text().await.unwrap()) {}
                socket.send(json!({"type": "subscribe_schedule", "since": old})).await;
                socket
            };
            while !reader.take(socket.next_text().await.unwrap()) {}
            let mut news = reader.news.clone();
            news.sort_unstable();
            assert_eq!(news, expected, "cut {messages} messages after the command, resume: {is_resume}");
            let results = history.of(&ALL[..1]);
            assert_eq!(reader.news[..results.len()], results, "the first stream came first");
            let schedule = history.of(&ALL[1..2]);
            assert_eq!(reader.news[results.len()..], schedule, "and the second in its own order");
            if is_live {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_replay_of_several_pages_is_continued_at_their_ends() {
    let history = History::write(110).await;
    let expected = history.of(&ALL);
    assert!(expected.len() > 256, "more than a page");
    let path = |cursor: &str| {
        format!("/ws/events/{}/stream/?v=2&topics=results,schedule,announcements&since={cursor}", history.event)
    };
    // `connected` and three `subscribed` come before the 256 frames of the first page.
    for messages in (250..270).chain([1, 100, 320]) {
        let mut reader = Reader::from(&history.since(history.cursor));
        // Nobody else listens: what was missed is read from the file.
        let mut socket = Socket::open(&history.server, &path(&reader.cursor())).await;
        for _ in 0..messages {
            reader.take(socket.next_text().await.unwrap());
        }
        drop(socket);
        let mut socket = Socket::open(&history.server, &path(&reader.cursor())).await;
        while !reader.take(socket.next_text().await.unwrap()) {}
        assert_eq!(reader.news, expected, "cut after {messages} messages");
    }
}

/// Found here: the `live` of a replay counted frames of other streams that were still to be written.
#[tokio::test]
async fn a_cut_right_after_live_loses_nothing_that_waited_for_the_replay() {
    let history = History::write(60).await;
    let server = &history.server;
    let old = history.since(history.cursor);
    let fixtures = server.get(&format!("/api/events/{}/schedule/", history.event)).await.ok();
    let fixture = fixtures["schedule"][1]["fixture_id"].as_i64().unwrap();
    let path = |streams: &str, cursor: &str| {
        format!("/ws/events/{}/stream/?v=2&topics={streams}&since={cursor}", history.event)
    };
    let is_over = AtomicUsize::new(0);
    let writing = async {
        for goals in (0..200).cycle() {
            server.score(fixture, goals, 1).await;
            if is_over.load(Ordering::Relaxed) > 0 {
                return;
            }
        }
    };
    let reading = async {
        let mut reader = Reader::from(&old);
        let mut cursor = old.clone();
        for _ in 0..40 {
            let mut socket = Socket::open(server, &path("results", &cursor)).await;
            while !reader.take(socket.next_text().await.unwrap()) {}
            // Nobody else follows the schedule: it is read from the file, while results go on.
            socket.send(json!({"type": "subscribe_schedule", "since": old})).await;
            let live = socket.until(|message| {
                reader.take(message.to_string());
                message["type"] == "live"
            });
            cursor = live.await.last().unwrap()["cursor"].as_str().unwrap().to_owned();
        }
        is_over.store(1, Ordering::Relaxed);
        (reader, cursor)
    };
    let ((), (mut reader, cursor)) = tokio::join!(writing, reading);
    let mut socket = Socket::open(server, &path("results", &cursor)).await;
    while !reader.take(socket.next_text().await.unwrap()) {}
    let topics = [format!("event_{}_results", history.event)];
    let truth = Truth::read(server, history.event);
    let told: BTreeSet<u64> = reader.news.iter().copied().collect();
    let missed: Vec<u64> =
        truth.on(&topics).map(|row| row.pos).filter(|pos| *pos > history.cursor && !told.contains(pos)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}
