//! One connection: what was asked, what is still to be written, and in which order.
//!
//! A session takes what the hub delivers and what the client says, and gives bytes to write in
//! pieces that a socket takes at once. It is bounded: a client that reads too slowly loses its
//! backlog, not the news. A client that knows the protocol (v2) then gets `resync` and the current
//! state; one that knows only the guide is closed and comes back.
//!
//! No sockets, no tasks, no clock: the time comes in with [`Tick`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use timely_core::cursor::{Cursor, Epoch, NotRecovered};
use timely_core::id::{EventId, TeamId};
use timely_core::live::{Command, Control, ErrorCode, Subscribe, close};
use timely_core::topic::{Stream, Topic};

use crate::live::frame::Copy;
use crate::live::hub::{Base, Cause, Delivery, End, Join, Joined, Page, Request, Shown};

/// Most live log frames that wait for a slow client.
pub const BACKLOG_FRAMES_MAX: usize = 256;
/// Most bytes of them.
pub const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// Bytes handed to the socket at a time; a single frame may be larger.
pub const BATCH_BYTES: usize = 16 * 1024;
/// Answers that wait to be written before more commands are read.
pub const ANSWERS_MAX: usize = 64;
/// How often a v2 session hears `status`.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(5);
/// How often a WebSocket is pinged, give or take a tenth.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
/// A WebSocket that says nothing for so long after a ping is dead.
pub const PONG_TIMEOUT: Duration = Duration::from_secs(10);
/// How often an SSE stream carries a comment.
pub const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// How long `EventSource` waits before it connects again.
pub const SSE_RETRY: Duration = Duration::from_secs(2);

/// How the bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    WebSocket,
    Sse,
    /// SSE at the results address: data frames only, each with a board.
    SseResults,
}

/// Which protocol the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// What the guide describes.
    V1,
    /// Cursors, `live`, `resync`, `status`.
    V2,
}

/// What `connected` says the stream is about.
#[derive(Clone, Debug)]
pub enum About {
    Event(EventId),
    Team(TeamId, String),
}

/// What the session cannot know by itself, each time it is asked for bytes.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    /// Monotonic.
    pub now: Duration,
    /// Event time.
    pub event_now: Timestamp,
    /// Seconds of event time in a second of real time.
    pub clock_rate: f64,
    /// `pos` up to which everything was delivered to sessions before this call.
    pub applied: u64,
}

/// One thing to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A WebSocket text message, or SSE blocks as they stand.
    Bytes(Bytes),
    /// A WebSocket ping.
    Ping,
}

/// What a session wants done now.
#[derive(Debug, Default)]
pub struct Taken {
    pub writes: Vec<Write>,
    pub requests: Vec<Request>,
    /// End the stream with this code, after the writes.
    pub close: Option<u16>,
}

impl Taken {
    pub const fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.requests.is_empty() && self.close.is_none()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    wire: Wire,
    speaks: Speaks,
    about: About,
    offers: Vec<Stream>,
    epoch: Epoch,
    /// In the order in which it leaves.
    queue: VecDeque<Entry>,
    /// Live frames that come after the replay being written.
    held: VecDeque<Shown>,
    live_frames: usize,
    live_bytes: usize,
    answers: usize,
    slots: BTreeMap<(Topic, String), Shown>,
    requests: Vec<Request>,
    waiting: Waiting,
    lag: Lag,
    /// Everything up to here was written.
    cursor: u64,
    closing: Option<u16>,
    next_status: Duration,
    next_beat: Duration,
    beat: Duration,
    silence_ends: Option<Duration>,
}

#[derive(Debug)]
enum Entry {
    /// An answer or a notice.
    Answer(Bytes),
    /// A log frame as it happened; counts against the backlog.
    Live(Shown),
    /// A log frame that was missed and is caught up.
    Missed(Shown),
    /// Part of a snapshot.
    Copied(Shown),
    /// SSE: tells the browser its cursor without firing an event.
    Mark(u64),
}

/// What the session waits for from the hub; meanwhile no further command is read.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Joined { id: Option<Value> },
    /// Pages of a replay: between them the hub waits until the last one was written.
    Page(PageState),
    Left { id: Option<Value> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageState {
    Coming,
    Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lag {
    No,
    /// The backlog was dropped; when all else is written, the hub is asked to start over.
    Dropped,
    Asked,
}

impl Session {
    /// A session that waits for the answer to the join it was opened with. `jitter` is any number:
    /// it spreads the pings of many sessions.
    pub fn new(
        wire: Wire,
        speaks: Speaks,
        about: About,
        offers: Vec<Stream>,
        epoch: Epoch,
        now: Duration,
        jitter: u64,
    ) -> Self {
        let beat = match wire {
            // 22.5 s to 27.5 s.
            Wire::WebSocket => {
                PING_INTERVAL.mul_f64(0.9) + Duration::from_millis(jitter.wrapping_mul(2_654_435_761) % 5_001)
            }
            Wire::Sse | Wire::SseResults => COMMENT_INTERVAL,
        };
        Self {
            wire,
            speaks,
            about,
            offers,
            epoch,
            queue: VecDeque::new(),
            held: VecDeque::new(),
            live_frames: 0,
            live_bytes: 0,
            answers: 0,
            slots: BTreeMap::new(),
            requests: Vec::new(),
            waiting: Waiting::Joined { id: None },
            lag: Lag::No,
            cursor: 0,
            closing: None,
            next_status: now + STATUS_INTERVAL,
            next_beat: now + beat,
            beat,
            silence_ends: None,
        }
    }

    // ---- from the hub

    /// Takes what the hub hands over.
    pub fn deliver(&mut self, delivery: Delivery, event_now: Timestamp) {
        if self.closing.is_some() {
            return;
        }
        match delivery {
            Delivery::Log(shown) => self.live(shown),
            Delivery::State(shown) => {
                if self.lag == Lag::No {
                    self.slots.insert((shown.frame.topic, shown.frame.key.clone()), shown);
                }
            }
            Delivery::Joined(joined) => self.joined(joined, event_now),
            Delivery::Page(page) => self.page(page),
            Delivery::Left(stream) => self.left(stream),
            Delivery::Closed(code) => self.close(code),
        }
    }

    fn live(&mut self, shown: Shown) {
        if self.lag != Lag::No {
            return;
        }
        let bytes = self.live_bytes + shown.frame.len_bytes();
        if self.live_frames >= BACKLOG_FRAMES_MAX || (self.live_frames > 0 && bytes > BACKLOG_BYTES_MAX) {
            self.overflow();
            return;
        }
        self.live_frames += 1;
        self.live_bytes = bytes;
        if matches!(self.waiting, Waiting::Page(_)) {
            self.held.push_back(shown);
        } else {
            self.queue.push_back(Entry::Live(shown));
        }
    }

    /// The client reads too slowly: its backlog goes, and state and tail will say what it missed.
    fn overflow(&mut self) {
        if self.speaks == Speaks::V1 {
            self.close(close::RESUME);
            return;
        }
        self.queue.retain(|entry| !matches!(entry, Entry::Live(_)));
        self.held.clear();
        self.slots.clear();
        self.live_frames = 0;
        self.live_bytes = 0;
        self.lag = Lag::Dropped;
    }

    fn joined(&mut self, joined: Joined, event_now: Timestamp) {
        let Joined { cause, streams, topics, from, outcome } = joined;
        let id = match std::mem::replace(&mut self.waiting, Waiting::Page(PageState::Coming)) {
            Waiting::Joined { id } => id,
            _ => None,
        };
        let cursor = Cursor { epoch: self.epoch.clone(), pos: from };
        match cause {
            Cause::Opened => {
                self.cursor = from;
                self.say_connected(cursor.clone(), event_now);
            }
            Cause::Asked => {}
            Cause::Resync => {
                self.lag = Lag::No;
                self.answer(&Control::Resync { topics, reason: NotRecovered::Lagged, cursor });
                return;
            }
        }
        for stream in streams {
            self.notice(&Control::Subscribed {
                stream,
                epoch: self.epoch.clone(),
                cursor: cursor.clone(),
                recovered: outcome.is_ok(),
                reason: outcome.err(),
                id: id.clone(),
            });
        }
    }

    fn page(&mut self, page: Page) {
        self.queue.extend(page.frames.into_iter().map(Entry::Missed));
        self.waiting = match page.end {
            None => Waiting::Page(PageState::Writing),
            Some(End { pos, topics, snapshot }) => {
                // A state that waited is older than its copy, and must not be written after it.
                for shown in &snapshot {
                    self.slots.remove(&(shown.frame.topic, shown.frame.key.clone()));
                }
                self.queue.extend(snapshot.into_iter().map(Entry::Copied));
                if self.wire != Wire::WebSocket {
                    self.queue.push_back(Entry::Mark(pos));
                }
                if self.speaks == Speaks::V2 && topics.iter().any(|topic| topic.stream().is_some()) {
                    let cursor = Cursor { epoch: self.epoch.clone(), pos };
                    self.answer(&Control::Live { topics, cursor });
                }
                self.queue.extend(self.held.drain(..).map(Entry::Live));
                Waiting::Nothing
            }
        };
    }

    fn left(&mut self, stream: Stream) {
        let id = match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Left { id } => id,
            other => {
                self.waiting = other;
                None
            }
        };
        self.slots.retain(|(topic, _), _| topic.stream() != Some(stream));
        self.answer(&Control::Unsubscribed { stream, id });
    }

    /// Ends the stream; what was not written yet is dropped.
    fn close(&mut self, code: u16) {
        self.closing = Some(code);
        self.queue.clear();
        self.held.clear();
        self.slots.clear();
        self.requests.clear();
    }

    fn say_connected(&mut self, cursor: Cursor, event_now: Timestamp) {
        let (event_id, team_id, team_name, message) = match &self.about {
            About::Event(event) => (Some(*event), None, None, "Connected to event updates"),
            About::Team(team, name) => (None, Some(*team), Some(name.clone()), "Connected to team updates"),
        };
        self.notice(&Control::Connected {
            event_id,
            team_id,
            team_name,
            message: message.to_owned(),
            topics: self.offers.clone(),
            epoch: self.epoch.clone(),
            cursor,
            timestamp: event_now,
        });
    }

    // ---- from the client

    /// Whether the session takes another command now: one join at a time, and nobody is answered
    /// faster than they read.
    pub fn takes_commands(&self) -> bool {
        self.closing.is_none() && matches!(self.waiting, Waiting::Nothing) && self.answers < ANSWERS_MAX
    }

    /// Something arrived: the connection lives.
    pub fn heard(&mut self) {
        self.silence_ends = None;
    }

    /// A text message of the client.
    pub fn text(&mut self, text: &str) {
        match Said::parse(text) {
            Ok(Said::Ping { timestamp }) => {
                self.answers += 1;
                let pong = format!(r#"{{"type":"pong","timestamp":{timestamp}}}"#);
                self.queue.push_back(Entry::Answer(self.wrap(pong.into_bytes())));
            }
            Ok(Said::Command(command)) => self.command(command),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// A binary message of the client.
    pub fn binary(&mut self) {
        self.refuse(Refusal {
            id: None,
            code: ErrorCode::BadRequest,
            message: "send commands as text, for example {\"type\":\"subscribe_results\"}".to_owned(),
        });
    }

    fn command(&mut self, command: Command) {
        use Stream::{Announcements, Results, Schedule};
        match command {
            Command::SubscribeResults(options) => self.subscribe(Results, options),
            Command::SubscribeSchedule(options) => self.subscribe(Schedule, options),
            Command::SubscribeAnnouncements(options) => self.subscribe(Announcements, options),
            Command::UnsubscribeResults(options) => self.unsubscribe(Results, options),
            Command::UnsubscribeSchedule(options) => self.unsubscribe(Schedule, options),
            Command::UnsubscribeAnnouncements(options) => self.unsubscribe(Announcements, options),
            Command::Resume { topics, since, id } => {
                self.speaks = Speaks::V2;
                let streams = distinct(topics);
                if streams.is_empty() {
                    self.refuse(Refusal {
                        id,
                        code: ErrorCode::BadRequest,
                        message: "name what to resume, for example \"topics\":[\"results\"]".to_owned(),
                    });
                    return;
                }
                self.ask(Join { streams, base: Base::Show, since: Some(since) }, id);
            }
            // `Said::parse` answers pings itself, to echo the timestamp digit by digit.
            Command::Ping { timestamp } => self.answer(&Control::Pong { timestamp }),
        }
    }

    fn subscribe(&mut self, stream: Stream, Subscribe { id, since }: Subscribe) {
        if id.is_some() || since.is_some() {
            self.speaks = Speaks::V2;
        }
        self.ask(Join { streams: vec![stream], base: Base::Leave, since }, id);
    }

    fn ask(&mut self, join: Join, id: Option<Value>) {
        self.waiting = Waiting::Joined { id };
        self.silence_ends = None;
        self.requests.push(Request::Join(join));
    }

    fn unsubscribe(&mut self, stream: Stream, Subscribe { id, since }: Subscribe) {
        if id.is_some() || since.is_some() {
            self.speaks = Speaks::V2;
        }
        self.waiting = Waiting::Left { id };
        self.requests.push(Request::Leave(stream));
    }

    fn refuse(&mut self, Refusal { id, code, message }: Refusal) {
        if id.is_some() {
            self.speaks = Speaks::V2;
        }
        self.answer(&Control::Error { id, code, message, retryable: false });
    }

    // ---- to the socket

    /// What to write and ask now. Everything taken counts as written.
    pub fn take(&mut self, tick: &Tick) -> Taken {
        self.beats(tick);
        if let Some(code) = self.closing {
            return Taken { close: Some(code), ..Taken::default() };
        }
        let mut writes = Vec::new();
        let mut room = BATCH_BYTES;
        while room > 0 {
            let Some(bytes) = self.next_bytes() else { break };
            room = room.saturating_sub(bytes.len());
            writes.push(Write::Bytes(bytes));
        }
        let drained = self.queue.is_empty();
        // A join under way is answered first: one answer at a time.
        let is_free = !matches!(self.waiting, Waiting::Joined { .. } | Waiting::Left { .. });
        if drained && self.lag == Lag::Dropped && is_free {
            self.lag = Lag::Asked;
            self.requests.push(Request::Resync);
        } else if drained && matches!(self.waiting, Waiting::Page(PageState::Writing)) {
            self.waiting = Waiting::Page(PageState::Coming);
            self.requests.push(Request::NextPage);
        }
        if tick.now >= self.next_beat {
            self.next_beat = tick.now + self.beat;
            match self.wire {
                Wire::WebSocket => {
                    // While no command is read no pong is either, and silence proves nothing.
                    if self.takes_commands() && self.silence_ends.is_none() {
                        self.silence_ends = Some(tick.now + PONG_TIMEOUT);
                    }
                    writes.push(Write::Ping);
                }
                Wire::Sse | Wire::SseResults => writes.push(Write::Bytes(self.comment(tick))),
            }
        }
        Taken { writes, requests: std::mem::take(&mut self.requests), close: None }
    }

    /// When [`Session::take`] has something to say next, if nothing else happens.
    pub fn deadline(&self) -> Duration {
        let mut deadline = self.next_beat;
        if self.hears_status() {
            deadline = deadline.min(self.next_status);
        }
        self.silence_ends.map_or(deadline, |ends| deadline.min(ends))
    }

    fn beats(&mut self, tick: &Tick) {
        if self.silence_ends.is_some_and(|ends| tick.now >= ends) {
            self.silence_ends = None;
            if self.takes_commands() {
                self.close(close::STALLED);
            }
        }
        if self.hears_status() && tick.now >= self.next_status {
            self.next_status = tick.now + STATUS_INTERVAL;
            self.answer(&Control::Status {
                pos: tick.applied,
                server_time: tick.event_now,
                clock_rate: tick.clock_rate,
                stale_since: None,
            });
        }
    }

    fn hears_status(&self) -> bool {
        self.speaks == Speaks::V2 && self.wire != Wire::SseResults && self.closing.is_none()
    }

    /// A comment keeps proxies from closing; beside it the browser learns how far it is.
    fn comment(&mut self, tick: &Tick) -> Bytes {
        let is_idle = self.queue.is_empty() && self.held.is_empty() && self.lag == Lag::No;
        if is_idle && matches!(self.waiting, Waiting::Nothing) {
            self.cursor = self.cursor.max(tick.applied);
        }
        let mark = match self.waiting {
            // Before the first answer there is no cursor.
            Waiting::Joined { .. } => String::new(),
            _ => format!("id: {}.{}\n\n", self.epoch, self.cursor),
        };
        format!(":\n\n{mark}").into()
    }

    fn next_bytes(&mut self) -> Option<Bytes> {
        let Some(entry) = self.queue.pop_front() else {
            if self.lag != Lag::No || matches!(self.waiting, Waiting::Page(_)) {
                return None;
            }
            return self.slots.pop_first().map(|(_, shown)| self.encode(&shown, Copy::Live));
        };
        Some(match entry {
            Entry::Answer(bytes) => {
                self.answers -= 1;
                bytes
            }
            Entry::Live(shown) => {
                self.live_frames -= 1;
                self.live_bytes -= shown.frame.len_bytes();
                self.cursor = self.cursor.max(shown.frame.pos);
                self.encode(&shown, Copy::Live)
            }
            Entry::Missed(shown) => {
                self.cursor = self.cursor.max(shown.frame.pos);
                self.encode(&shown, Copy::Live)
            }
            Entry::Copied(shown) => self.encode(&shown, Copy::Replay),
            Entry::Mark(pos) => {
                self.cursor = self.cursor.max(pos);
                format!("id: {}.{}\n\n", self.epoch, self.cursor).into()
            }
        })
    }

    fn encode(&self, shown: &Shown, copy: Copy) -> Bytes {
        match self.wire {
            Wire::WebSocket => shown.frame.json(copy),
            Wire::Sse => shown.frame.block(copy, &self.epoch),
            Wire::SseResults => shown.frame.results_block(copy, &self.epoch, shown.board.as_deref()),
        }
    }

    /// `connected`, `subscribed`: not data, so the results page of the guide does not get them.
    fn notice(&mut self, control: &Control) {
        if self.wire != Wire::SseResults {
            self.answer(control);
        }
    }

    fn answer(&mut self, control: &Control) {
        match serde_json::to_vec(control) {
            Ok(json) => {
                self.answers += 1;
                self.queue.push_back(Entry::Answer(self.wrap(json)));
            }
            Err(error) => tracing::error!("an answer cannot be encoded: {error}"),
        }
    }

    fn wrap(&self, json: Vec<u8>) -> Bytes {
        match self.wire {
            Wire::WebSocket => json.into(),
            Wire::Sse | Wire::SseResults => [b"data: ".as_slice(), &json, b"\n\n"].concat().into(),
        }
    }
}

/// Streams in the order in which they are answered, each once.
pub fn distinct(streams: Vec<Stream>) -> Vec<Stream> {
    Stream::ALL.iter().copied().filter(|stream| streams.contains(stream)).collect()
}

/// A message that was understood.
enum Said<'a> {
    /// `timestamp` is echoed as it was written: no number loses a digit.
    Ping { timestamp: &'a str },
    Command(Command),
}

struct Refusal {
    id: Option<Value>,
    code: ErrorCode,
    message: String,
}

/// Types a client may send.
const COMMANDS: [&str; 8] = [
    "subscribe_results",
    "subscribe_schedule",
    "subscribe_announcements",
    "unsubscribe_results",
    "unsubscribe_schedule",
    "unsubscribe_announcements",
    "resume",
    "ping",
];

impl<'a> Said<'a> {
    fn parse(text: &'a str) -> Result<Self, Refusal> {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(rename = "type", default)]
            kind: Option<Value>,
            #[serde(default)]
            id: Option<Value>,
            #[serde(default, borrow)]
            timestamp: Option<&'a RawValue>,
        }
        // Read as a whole first: what is not JSON at all has its own answer.
        if let Err(error) = serde_json::from_str::<&RawValue>(text) {
            tracing::debug!("a client sent what is not JSON: {error}");
            return Err(Refusal { id: None, code: ErrorCode::BadJson, message: "Invalid JSON".to_owned() });
        }
        let bad = |id, message| Refusal { id, code: ErrorCode::BadRequest, message };
        // A list of the fields in order would be taken for the object.
        if !text.trim_start().starts_with('{') {
            return Err(bad(None, "send an object with a \"type\"".to_owned()));
        }
        let head: Head<'a> = serde_json::from_str(text)
            .map_err(|error| bad(None, format!("send an object with a \"type\" ({error})")))?;
        let kind = match &head.kind {
            Some(Value::String(kind)) => kind.as_str(),
            _ => return Err(bad(head.id, "send an object with a \"type\" of text".to_owned())),
        };
        if kind == "ping" {
            return Ok(Self::Ping { timestamp: head.timestamp.map_or("null", RawValue::get) });
        }
        if !COMMANDS.contains(&kind) {
            let message = format!("there is no command of that type; send one of {}", COMMANDS.join(", "));
            return Err(Refusal { id: head.id, code: ErrorCode::UnknownType, message });
        }
        serde_json::from_str(text)
            .map(Self::Command)
            .map_err(|error| bad(head.id, format!("the {kind} command is not understood: {error}")))
    }
}
