//! One connection: what was asked, what is still to be written, and in which order.
//!
//! A session takes what the hub delivers and what the client says, and gives bytes to write in
//! pieces that a socket takes at once. It is bounded: a client that reads too slowly loses its
//! backlog, not the news. When it has read what was begun, the session says how far it has come, and
//! the hub replays the rest page by page. Only if the log no longer reaches back so far, a client that
//! knows the protocol (v2) gets `resync` and the current state; one that knows only the guide is
//! closed and comes back.
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
use crate::live::websocket;
use crate::rate::{Bucket, Rate};

/// Most live log frames that wait for a slow client.
pub const BACKLOG_FRAMES_MAX: usize = 256;
/// Most bytes of them.
pub const BACKLOG_BYTES_MAX: usize = 256 * 1024;
/// Bytes handed to the socket at a time; a single frame may be larger.
pub const BATCH_BYTES: usize = 16 * 1024;
/// Answers that wait to be written before more commands are read.
pub const ANSWERS_MAX: usize = 64;
/// Commands a client may send in 10 s; more are refused.
pub const COMMANDS_MAX: u32 = 20;
/// Twice as many end the connection: what was refused counts too.
const COMMANDS_RATE: Rate = Rate { burst: 2 * COMMANDS_MAX, per_s: COMMANDS_MAX / 10 };
/// Emergencies that wait ahead of their turn; a further one comes in its turn alone.
pub const EARLY_MAX: usize = 8;
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
    /// Copies ahead of their turn, at the front of the queue.
    early: usize,
    slots: BTreeMap<(Topic, String), Shown>,
    requests: Vec<Request>,
    waiting: Waiting,
    lag: Lag,
    /// Everything up to here was written.
    cursor: u64,
    /// While frames are missing: everything up to here was written or still waits to be.
    complete: u64,
    /// The socket takes no more at present.
    is_blocked: bool,
    /// The first word, `connected`, was written.
    is_greeted: bool,
    /// SSE: a snapshot that replaces what was missed is not written to its end yet.
    is_snapshot_open: bool,
    closing: Option<u16>,
    next_status: Duration,
    next_beat: Duration,
    beat: Duration,
    silence_ends: Option<Duration>,
    /// What is left of the commands; `None`: as many as they like.
    commands: Option<Bucket>,
    /// When something arrived last.
    heard: Duration,
}

#[derive(Debug)]
enum Entry {
    /// An answer or a notice, and the cursor it tells, if it tells one.
    Answer(Bytes, Option<u64>),
    /// A log frame as it happened; counts against the backlog.
    Live(Shown),
    /// A log frame that was missed and is caught up.
    Missed(Shown),
    /// Part of a snapshot.
    Copied(Shown),
    /// An emergency ahead of its turn.
    Early(Shown),
    /// SSE: tells the browser its cursor without firing an event.
    Mark(u64),
}

/// What the session waits for from the hub; meanwhile no further command is read.
#[derive(Debug)]
enum Waiting {
    Nothing,
    Joined {
        id: Option<Value>,
    },
    /// Pages of a replay: between them the hub waits until the last one was written.
    Page(PageState),
    Left {
        id: Option<Value>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PageState {
    Coming,
    Writing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lag {
    No,
    /// The backlog was dropped; when all else is written, the hub is asked for what is missing.
    Dropped,
    /// It was asked; what comes before its first page is part of that.
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
            early: 0,
            slots: BTreeMap::new(),
            requests: Vec::new(),
            waiting: Waiting::Joined { id: None },
            lag: Lag::No,
            cursor: 0,
            complete: 0,
            is_blocked: false,
            is_greeted: false,
            is_snapshot_open: false,
            closing: None,
            next_status: now + STATUS_INTERVAL,
            next_beat: now + beat,
            beat,
            silence_ends: None,
            commands: None,
            heard: now,
        }
    }

    /// The same for a client that may send [`COMMANDS_MAX`] commands in 10 s.
    #[must_use]
    pub fn limited(mut self) -> Self {
        self.commands = Some(Bucket::default());
        self
    }

    // ---- while it flows

    /// Whether a live frame would be written at once, and nothing else is on its way: then frames may
    /// pass it by, as long as nothing else happens to it.
    pub fn is_flowing(&self) -> bool {
        self.closing.is_none()
            && matches!(self.waiting, Waiting::Nothing)
            && self.lag == Lag::No
            && self.queue.is_empty()
            && self.slots.is_empty()
    }

    /// Log frames up to `pos` have passed it by and were written.
    pub fn has_flowed(&mut self, pos: u64) {
        self.cursor = self.cursor.max(pos);
    }

    /// Whether the socket has refused some of what was taken.
    pub fn set_blocked(&mut self, is_blocked: bool) {
        self.is_blocked = is_blocked;
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
            Delivery::Early(shown) => self.early(&shown),
            Delivery::Joined(joined) => self.joined(joined, event_now),
            Delivery::Page(page) => self.page(page),
            Delivery::Left(stream) => self.left(stream),
            Delivery::Closed(code) => self.close(code),
        }
    }

    fn live(&mut self, shown: Shown) {
        let waits_in_queue = self.is_blocked && !self.queue.is_empty();
        if waits_in_queue || self.lag != Lag::No || matches!(self.waiting, Waiting::Page(_)) {
            self.early(&shown);
        }
        if self.lag != Lag::No {
            return;
        }
        let bytes = self.live_bytes + shown.frame.len_bytes();
        if self.live_frames >= BACKLOG_FRAMES_MAX || (self.live_frames > 0 && bytes > BACKLOG_BYTES_MAX) {
            self.overflow(shown.frame.pos);
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

    /// An emergency does not wait for the backlog: a client that can tell gets a copy at once, which
    /// is no part of the order. The message itself follows in its turn.
    fn early(&mut self, shown: &Shown) {
        let is_told = self.speaks == Speaks::V2 && self.is_greeted && self.early < EARLY_MAX;
        if is_told && shown.frame.is_emergency() {
            self.queue.insert(self.early, Entry::Early(shown.clone()));
            self.early += 1;
        }
    }

    /// The client reads too slowly: its backlog goes, with the frame at `pos` that found no room, and
    /// is read again when there is room for it.
    fn overflow(&mut self, pos: u64) {
        // An answer that tells a cursor promises every frame before it: those stay.
        let kept = self.queue.iter().rposition(|entry| matches!(entry, Entry::Answer(_, Some(_)) | Entry::Mark(_)));
        let rest = self.queue.split_off(kept.map_or(0, |last| last + 1));
        let mut missing_from = self.held.front().map_or(pos, |shown| shown.frame.pos);
        for entry in rest {
            match entry {
                Entry::Live(shown) => missing_from = missing_from.min(shown.frame.pos),
                other => self.queue.push_back(other),
            }
        }
        self.held.clear();
        self.slots.clear();
        self.live_frames = 0;
        self.live_bytes = 0;
        self.complete = self.cursor;
        for entry in &self.queue {
            let pos = match entry {
                Entry::Live(shown) => {
                    self.live_frames += 1;
                    self.live_bytes += shown.frame.len_bytes();
                    shown.frame.pos
                }
                Entry::Missed(shown) => shown.frame.pos,
                Entry::Answer(_, Some(pos)) | Entry::Mark(pos) => *pos,
                Entry::Answer(_, None) | Entry::Copied(_) | Entry::Early(_) => continue,
            };
            self.complete = self.complete.max(pos.min(missing_from - 1));
        }
        self.lag = Lag::Dropped;
    }

    /// The cursor to tell: never beyond frames that were dropped and not made good for yet.
    fn known(&self, pos: u64) -> u64 {
        if self.lag == Lag::No { pos } else { pos.min(self.complete) }
    }

    /// Not beyond live frames that are held back by a replay: they are written after it, and a client
    /// that is cut before them must ask for them again.
    fn before_held(&self, pos: u64) -> u64 {
        self.held.front().map_or(pos, |shown| pos.min(shown.frame.pos - 1))
    }

    fn joined(&mut self, joined: Joined, event_now: Timestamp) {
        let Joined { cause, streams, topics, from, outcome } = joined;
        if cause == Cause::Lagged {
            if self.speaks == Speaks::V1 {
                // It has no word for what is lost; coming back it is told anew.
                self.close(close::RESUME);
                return;
            }
            self.lag = Lag::No;
        }
        let from = self.known(from);
        self.is_snapshot_open = outcome.is_err();
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
            Cause::Lagged => {
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
        if self.lag == Lag::Asked {
            // From the first page on nothing comes beside it.
            self.lag = Lag::No;
        }
        self.queue.extend(page.frames.into_iter().map(Entry::Missed));
        self.waiting = match page.end {
            None => Waiting::Page(PageState::Writing),
            Some(End { pos, topics, snapshot }) => {
                let pos = self.before_held(self.known(pos));
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
    pub fn heard(&mut self, now: Duration) {
        self.silence_ends = None;
        self.heard = now;
    }

    /// A text message of the client.
    pub fn text(&mut self, text: &str) {
        let said = Said::parse(text);
        if self.has_said_too_much() {
            let id = match said {
                Ok(Said::Ping { .. }) => None,
                Ok(Said::Command(command)) => id_of(command),
                Err(Refusal { id, .. }) => id,
            };
            self.say_slower(id);
            return;
        }
        match said {
            Ok(Said::Ping { timestamp }) => {
                self.answers += 1;
                let pong = format!(r#"{{"type":"pong","timestamp":{timestamp}}}"#);
                self.queue.push_back(Entry::Answer(self.wrap(pong.into_bytes()), None));
            }
            Ok(Said::Command(command)) => self.command(command),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// A binary message of the client.
    pub fn binary(&mut self) {
        if self.has_said_too_much() {
            self.say_slower(None);
            return;
        }
        self.refuse(Refusal {
            id: None,
            code: ErrorCode::BadRequest,
            message: "send commands as text, for example {\"type\":\"subscribe_results\"}".to_owned(),
        });
    }

    /// Counts a command; ends the stream of a client that goes on after it was refused.
    fn has_said_too_much(&mut self) -> bool {
        let Some(commands) = &mut self.commands else { return false };
        if commands.take(COMMANDS_RATE, 1, self.heard).is_err() {
            self.close(close::RATE_LIMITED);
            return true;
        }
        commands.left(COMMANDS_RATE, self.heard) < COMMANDS_MAX
    }

    fn say_slower(&mut self, id: Option<Value>) {
        if self.closing.is_none() {
            let message = format!("at most {COMMANDS_MAX} commands in 10 s; wait for a while");
            self.refuse(Refusal { id, code: ErrorCode::RateLimited, message });
        }
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
                let streams = distinct(&topics);
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
        let retryable = code == ErrorCode::RateLimited;
        self.answer(&Control::Error { id, code, message, retryable });
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
        // A join or a replay under way comes first: one answer at a time.
        if drained && self.lag == Lag::Dropped && matches!(self.waiting, Waiting::Nothing) {
            self.lag = Lag::Asked;
            self.waiting = Waiting::Page(PageState::Coming);
            self.requests.push(Request::CatchUp { after: self.complete });
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
            // Before the first answer there is no cursor, and before the end of a snapshot the browser
            // must not be told that it has it.
            Waiting::Joined { .. } => String::new(),
            _ if self.is_snapshot_open => String::new(),
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
            Entry::Answer(bytes, cursor) => {
                self.answers -= 1;
                self.is_greeted |= cursor.is_some();
                self.cursor = self.cursor.max(cursor.unwrap_or_default());
                bytes
            }
            Entry::Live(shown) => {
                self.live_frames -= 1;
                self.live_bytes -= shown.frame.len_bytes();
                self.cursor = self.cursor.max(shown.frame.pos);
                self.encode(&shown, Copy::Live)
            }
            Entry::Missed(shown) => {
                self.cursor = self.cursor.max(self.known(self.before_held(shown.frame.pos)));
                self.encode(&shown, Copy::Live)
            }
            Entry::Copied(shown) => self.encode(&shown, Copy::Replay),
            Entry::Early(shown) => {
                self.early -= 1;
                self.encode(&shown, Copy::Early)
            }
            Entry::Mark(pos) => {
                self.is_snapshot_open = false;
                self.cursor = self.cursor.max(pos);
                format!("id: {}.{}\n\n", self.epoch, self.cursor).into()
            }
        })
    }

    fn encode(&self, shown: &Shown, copy: Copy) -> Bytes {
        encode(shown, copy, self.wire, &self.epoch)
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
                let cursor = match control {
                    Control::Connected { cursor, .. }
                    | Control::Subscribed { cursor, .. }
                    | Control::Live { cursor, .. }
                    | Control::Resync { cursor, .. } => Some(cursor.pos),
                    Control::Unsubscribed { .. }
                    | Control::Status { .. }
                    | Control::Pong { .. }
                    | Control::Error { .. } => None,
                };
                self.queue.push_back(Entry::Answer(self.wrap(json), cursor));
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

fn encode(shown: &Shown, copy: Copy, wire: Wire, epoch: &Epoch) -> Bytes {
    match wire {
        Wire::WebSocket => shown.frame.json(copy),
        Wire::Sse => shown.frame.block(copy, epoch),
        Wire::SseResults => shown.frame.results_block(copy, epoch, shown.board.as_deref()),
    }
}

/// Adds a live frame to what is to be sent, as [`Session::take`] would have given it.
pub fn put(out: &mut Vec<u8>, shown: &Shown, wire: Wire, epoch: &Epoch) {
    put_write(out, &encode(shown, Copy::Live, wire, epoch), wire);
}

/// Adds what is to be written in the way of the wire.
pub fn put_write(out: &mut Vec<u8>, bytes: &[u8], wire: Wire) {
    match wire {
        Wire::WebSocket => websocket::put_text(out, bytes),
        Wire::Sse | Wire::SseResults => out.extend_from_slice(bytes),
    }
}

/// Streams in the order in which they are answered, each once.
pub fn distinct(streams: &[Stream]) -> Vec<Stream> {
    Stream::ALL.iter().copied().filter(|stream| streams.contains(stream)).collect()
}

/// A message that was understood.
enum Said<'a> {
    /// `timestamp` is echoed as it was written: no number loses a digit.
    Ping {
        timestamp: &'a str,
    },
    Command(Command),
}

fn id_of(command: Command) -> Option<Value> {
    match command {
        Command::SubscribeResults(options)
        | Command::SubscribeSchedule(options)
        | Command::SubscribeAnnouncements(options)
        | Command::UnsubscribeResults(options)
        | Command::UnsubscribeSchedule(options)
        | Command::UnsubscribeAnnouncements(options) => options.id,
        Command::Resume { id, .. } => id,
        Command::Ping { .. } => None,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::live::frame::Frame;
    use crate::live::testing::{announcement_row, board_data, result_row};
    use timely_core::topic::{MessageType, StateLane};

    const EVENT: EventId = EventId(1);
    const RESULTS: Topic = Topic::EventResults(EVENT);

    fn session(wire: Wire, speaks: Speaks) -> Session {
        let epoch = Epoch("k3f9".into());
        Session::new(wire, speaks, About::Event(EVENT), Stream::ALL.to_vec(), epoch, Duration::ZERO, 0)
    }

    /// A session that has been told `connected` and waits for commands.
    fn connected(wire: Wire, speaks: Speaks) -> Session {
        let mut session = session(wire, speaks);
        deliver_joined(&mut session, Cause::Opened, &[], Ok(()), 5);
        deliver(&mut session, end(5, &[], vec![]));
        take(&mut session, 0);
        session
    }

    #[test]
    fn who_commands_too_fast_is_refused_and_who_goes_on_is_closed() {
        let limit = usize::try_from(COMMANDS_MAX).unwrap();
        let mut session = connected(Wire::WebSocket, Speaks::V1).limited();
        let refused = |session: &mut Session| {
            let taken = take(session, 0);
            let said: Vec<Value> = taken
                .writes
                .iter()
                .map(|write| match write {
                    Write::Bytes(bytes) => serde_json::from_slice(bytes).unwrap(),
                    Write::Ping => json!({"type": "a ping"}),
                })
                .collect();
            let refused = said.iter().filter(|said| said["code"] == "rate_limited").count();
            assert!(said.iter().filter(|said| said["code"] == "rate_limited").all(|said| said["retryable"] == true));
            (said.len(), refused, taken.close)
        };
        let say = |session: &mut Session, count: usize, at_ms: u64| {
            session.heard(Duration::from_millis(at_ms));
            for _ in 0..count {
                session.text(r#"{"type":"ping"}"#);
            }
        };
        say(&mut session, limit, 0);
        assert_eq!(refused(&mut session), (limit, 0, None), "so many at once");
        say(&mut session, 1, 0);
        assert_eq!(refused(&mut session), (1, 1, None), "one more");
        say(&mut session, 2, 1_000);
        assert_eq!(refused(&mut session), (2, 1, None), "one has come back, beside the one that was refused");
        session.heard(Duration::from_secs(1));
        session.text(r#"{"type":"subscribe_results","id":"a"}"#);
        assert!(take(&mut session, 0).requests.is_empty(), "what is refused is not done");
        session.binary();
        session.text("not JSON");
        assert_eq!(refused(&mut session), (2, 2, None), "what is wrong counts too");
        say(&mut session, limit, 1_000);
        assert_eq!(refused(&mut session), (0, 0, Some(close::RATE_LIMITED)), "and goes on");

        let mut patient = connected(Wire::WebSocket, Speaks::V1).limited();
        for second in 0..60 {
            say(&mut patient, 2, second * 1_000);
            assert_eq!(refused(&mut patient), (2, 0, None), "two a second are fine for ever");
        }
    }

    fn deliver(session: &mut Session, delivery: Delivery) {
        session.deliver(delivery, Timestamp::UNIX_EPOCH);
    }

    fn deliver_joined(
        session: &mut Session,
        cause: Cause,
        streams: &[Stream],
        outcome: Result<(), NotRecovered>,
        from: u64,
    ) {
        let joined = Joined { cause, streams: streams.to_vec(), topics: vec![RESULTS], from, outcome };
        deliver(session, Delivery::Joined(joined));
    }

    fn end(pos: u64, topics: &[Topic], snapshot: Vec<Shown>) -> Delivery {
        Delivery::Page(Page { frames: vec![], end: Some(End { pos, topics: topics.to_vec(), snapshot }) })
    }

    fn log(pos: u64) -> Shown {
        let row = result_row(pos, EVENT, &[(RESULTS, pos)]);
        Shown { frame: Arc::new(Frame::log(&row, MessageType::ResultUpdate, RESULTS, pos)), board: None }
    }

    fn board(pos: u64, group: &str) -> Shown {
        let lane = StateLane::board(RESULTS, Some(group));
        let frame = Frame::state(&lane, &board_data(group, pos), pos, Timestamp::UNIX_EPOCH).unwrap();
        Shown { frame: Arc::new(frame), board: None }
    }

    fn tick(seconds: u64) -> Tick {
        Tick { now: Duration::from_secs(seconds), event_now: Timestamp::UNIX_EPOCH, clock_rate: 1.0, applied: 90 }
    }

    fn take(session: &mut Session, seconds: u64) -> Taken {
        let mut all = Taken::default();
        loop {
            let taken = session.take(&tick(seconds));
            let is_last = taken.writes.is_empty() || taken.close.is_some();
            all.writes.extend(taken.writes);
            all.requests.extend(taken.requests);
            all.close = taken.close;
            if is_last {
                return all;
            }
        }
    }

    /// What a WebSocket client reads now.
    fn read(session: &mut Session, seconds: u64) -> Vec<Value> {
        let bytes = take(session, seconds).writes.into_iter().filter_map(|write| match write {
            Write::Bytes(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
            Write::Ping => None,
        });
        bytes.collect()
    }

    fn types(messages: &[Value]) -> Vec<&str> {
        messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
    }

    fn sse(session: &mut Session, seconds: u64) -> String {
        let taken = take(session, seconds);
        let bytes = taken.writes.into_iter().filter_map(|write| match write {
            Write::Bytes(bytes) => Some(String::from_utf8(bytes.to_vec()).unwrap()),
            Write::Ping => None,
        });
        bytes.collect()
    }

    #[test]
    fn a_client_of_the_guide_hears_what_the_guide_says() {
        let mut session = session(Wire::WebSocket, Speaks::V1);
        assert!(!session.takes_commands(), "connected comes first");
        deliver_joined(&mut session, Cause::Opened, &[], Err(NotRecovered::Fresh), 5);
        deliver(&mut session, end(5, &[Topic::Event(EVENT)], vec![]));
        let messages = read(&mut session, 0);
        assert_eq!(
            messages,
            [json!({
                "type": "connected", "event_id": 1, "message": "Connected to event updates",
                "topics": ["results", "schedule", "announcements"],
                "epoch": "k3f9", "cursor": "k3f9.5", "timestamp": "1970-01-01T00:00:00Z",
            })]
        );

        session.text(r#"{"type":"subscribe_results"}"#);
        assert!(!session.takes_commands(), "one join at a time");
        let join = Join { streams: vec![Stream::Results], base: Base::Leave, since: None };
        assert_eq!(take(&mut session, 0).requests, [Request::Join(join)]);
        deliver(&mut session, Delivery::Log(log(6)));
        deliver_joined(&mut session, Cause::Asked, &[Stream::Results], Err(NotRecovered::Fresh), 6);
        deliver(&mut session, end(6, &[RESULTS], vec![board(6, "A"), log(4)]));
        deliver(&mut session, Delivery::Log(log(7)));
        deliver(&mut session, Delivery::State(board(7, "A")));
        let messages = read(&mut session, 0);
        assert_eq!(
            types(&messages),
            [
                "result_update",
                "subscribed",
                "leaderboard_update",
                "result_update",
                "result_update",
                "leaderboard_update"
            ],
            "earlier streams go on, then the state, then what is new; and no word the guide does not have"
        );
        assert_eq!(
            messages[1],
            json!({"type": "subscribed", "stream": "results", "epoch": "k3f9", "cursor": "k3f9.6",
                "recovered": false, "reason": "fresh"})
        );
        let replay: Vec<bool> = messages.iter().map(|message| message["replay"] == true).collect();
        assert_eq!(replay, [false, false, true, true, false, false], "only the snapshot is marked");
        assert!(session.takes_commands());

        session.text(r#"{"type":"unsubscribe_results"}"#);
        assert_eq!(take(&mut session, 0).requests, [Request::Leave(Stream::Results)]);
        deliver(&mut session, Delivery::State(board(8, "A")));
        deliver(&mut session, Delivery::Left(Stream::Results));
        assert_eq!(read(&mut session, 0), [json!({"type": "unsubscribed", "stream": "results"})]);
    }

    #[test]
    fn a_ping_is_echoed_digit_by_digit() {
        for timestamp in
            ["1700000000000", "12345678901234567890123", "1.10", r#""2022-12-01T19:00:00Z""#, "null", r#"{"a":[1,2]}"#]
        {
            let mut session = connected(Wire::WebSocket, Speaks::V1);
            session.text(&format!(r#"{{"type":"ping","timestamp":{timestamp}}}"#));
            let taken = take(&mut session, 0);
            let expected = format!(r#"{{"type":"pong","timestamp":{timestamp}}}"#);
            assert_eq!(taken.writes, [Write::Bytes(expected.into())]);
        }
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        session.text(r#"{"type":"ping"}"#);
        assert_eq!(read(&mut session, 0), [json!({"type": "pong", "timestamp": null})]);
    }

    #[test]
    fn what_is_no_command_is_answered_and_the_session_goes_on() {
        let deep = "[".repeat(4_000);
        let deep_type = format!(r#"{{"type":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        for (why, said, code, message) in [
            ("not JSON", "hello", "bad_json", "Invalid JSON"),
            ("nothing", "", "bad_json", "Invalid JSON"),
            ("cut off", r#"{"type":"#, "bad_json", "Invalid JSON"),
            ("deep", &deep, "bad_json", "Invalid JSON"),
            ("a list", r#"["subscribe_results"]"#, "bad_request", "object"),
            ("a number", "7", "bad_request", "object"),
            ("no type", "{}", "bad_request", "\"type\""),
            ("a type that is no text", r#"{"type":7}"#, "bad_request", "\"type\""),
            ("a deep type", &deep_type, "bad_request", "\"type\""),
            ("two types", r#"{"type":"ping","type":"ping"}"#, "bad_request", "duplicate"),
            ("unknown", r#"{"type":"subscribe_tickets"}"#, "unknown_type", "subscribe_results"),
            ("a bad cursor", r#"{"type":"subscribe_results","since":"x"}"#, "bad_request", "cursor"),
            ("a resume of nothing", r#"{"type":"resume","topics":[],"since":"k.1"}"#, "bad_request", "topics"),
            (
                "a resume of what is not there",
                r#"{"type":"resume","topics":["x"],"since":"k.1"}"#,
                "bad_request",
                "stream",
            ),
            ("a resume without a cursor", r#"{"type":"resume","topics":["results"]}"#, "bad_request", "since"),
        ] {
            let mut session = connected(Wire::WebSocket, Speaks::V1);
            session.text(said);
            let messages = read(&mut session, 0);
            let [error] = &messages[..] else { panic!("{why}: {messages:?}") };
            assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{why}");
            assert!(error["message"].as_str().unwrap().contains(message), "{why}: {error}");
            assert!(session.takes_commands(), "{why}: it goes on");
        }
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        session.binary();
        assert_eq!(types(&read(&mut session, 0)), ["error"]);
        session.text(r#"{"type":"nonsense","id":"a7"}"#);
        assert_eq!(read(&mut session, 0)[0]["id"], "a7", "the client knows which command was refused");
    }

    #[test]
    fn a_command_with_an_id_or_a_cursor_makes_it_a_session_with_cursors() {
        for (said, speaks) in [
            (r#"{"type":"subscribe_results"}"#, Speaks::V1),
            (r#"{"type":"subscribe_results","id":null,"extra":1}"#, Speaks::V1),
            (r#"{"type":"subscribe_results","id":7}"#, Speaks::V2),
            (r#"{"type":"subscribe_results","since":"k3f9.4"}"#, Speaks::V2),
            (r#"{"type":"unsubscribe_results","id":7}"#, Speaks::V2),
            (r#"{"type":"resume","topics":["results"],"since":"k3f9.4"}"#, Speaks::V2),
        ] {
            let mut session = connected(Wire::WebSocket, Speaks::V1);
            session.text(said);
            assert_eq!(session.speaks, speaks, "{said}");
        }
    }

    #[test]
    fn a_resume_replays_what_was_missed_before_anything_new_and_says_when_it_is_through() {
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        session.text(r#"{"type":"resume","topics":["schedule","results"],"since":"k3f9.4","id":7}"#);
        let taken = take(&mut session, 0);
        let [Request::Join(join)] = &taken.requests[..] else { panic!("{taken:?}") };
        assert_eq!(join.streams, [Stream::Results, Stream::Schedule]);
        deliver_joined(&mut session, Cause::Asked, &join.streams, Ok(()), 4);
        deliver(&mut session, Delivery::Page(Page { frames: vec![log(5), log(6)], end: None }));
        deliver(&mut session, Delivery::Log(log(20)));
        assert_eq!(take(&mut session, 0).requests, [Request::NextPage], "when the first page is written");
        assert!(take(&mut session, 0).is_empty(), "what is new waits");
        let last = End { pos: 21, topics: vec![RESULTS], snapshot: vec![board(21, "A")] };
        deliver(&mut session, Delivery::Page(Page { frames: vec![log(7)], end: Some(last) }));
        let messages = read(&mut session, 0);
        assert_eq!(types(&messages), ["result_update", "leaderboard_update", "live", "result_update"]);
        assert_eq!(
            messages[2],
            json!({"type": "live", "topics": ["event_1_results"], "cursor": "k3f9.19"}),
            "who is cut before the frame that waited must ask for it again"
        );
        assert_eq!((&messages[0]["pos"], &messages[3]["pos"]), (&json!(7), &json!(20)));
        assert!(messages[0].get("replay").is_none(), "what was missed moves the cursor");
    }

    /// More than fits into the backlog, from `pos` on.
    fn overflow(session: &mut Session, pos: u64) {
        for pos in pos..=pos + BACKLOG_FRAMES_MAX as u64 {
            deliver(session, Delivery::Log(log(pos)));
            deliver(session, Delivery::State(board(pos, "A")));
        }
    }

    #[test]
    fn a_slow_client_loses_its_backlog_and_not_the_news() {
        for (wire, speaks) in [
            (Wire::WebSocket, Speaks::V1),
            (Wire::WebSocket, Speaks::V2),
            (Wire::Sse, Speaks::V1),
            (Wire::Sse, Speaks::V2),
        ] {
            let why = format!("{wire:?} {speaks:?}");
            let mut slow = connected(wire, speaks);
            deliver(&mut slow, Delivery::Log(log(6)));
            take(&mut slow, 0);
            overflow(&mut slow, 7);
            let taken = take(&mut slow, 0);
            assert_eq!((taken.writes.len(), &taken.requests[..]), (0, &[Request::CatchUp { after: 6 }][..]), "{why}");
            assert!(!slow.takes_commands() && !slow.is_flowing(), "{why}: one thing at a time");
            deliver(&mut slow, Delivery::Log(log(900)));
            deliver(&mut slow, Delivery::State(board(900, "A")));
            assert!(take(&mut slow, 0).is_empty(), "{why}: covered by what comes now");

            deliver(&mut slow, Delivery::Page(Page { frames: vec![log(7), log(8)], end: None }));
            assert_eq!(slow.take(&tick(0)).requests, [Request::NextPage], "{why}: when the page is written");
            assert_eq!(slow.cursor, 8, "{why}");
            let last = End { pos: 901, topics: vec![RESULTS], snapshot: vec![board(901, "A")] };
            deliver(&mut slow, Delivery::Page(Page { frames: vec![log(9), log(900)], end: Some(last) }));
            deliver(&mut slow, Delivery::Log(log(902)));
            let text = sse(&mut slow, 0);
            let json = text.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
            let json = if wire == Wire::WebSocket {
                serde_json::Deserializer::from_str(&text).into_iter().map(Result::unwrap).collect()
            } else {
                json.filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>()
            };
            let mut expected = vec!["result_update", "result_update", "leaderboard_update", "live", "result_update"];
            expected.retain(|kind| speaks == Speaks::V2 || *kind != "live");
            assert_eq!(types(&json), expected, "{why}: in order, and only the latest state");
            if speaks == Speaks::V2 {
                assert_eq!(json[3]["cursor"], "k3f9.901", "{why}: all before it was written");
            }
            assert_eq!(text.contains("id: k3f9.901\n\n"), wire == Wire::Sse, "{why}: the browser learns it too");
            assert!(slow.is_flowing(), "{why}");
        }
    }

    #[test]
    fn who_lags_behind_the_log_itself_is_told_or_comes_back() {
        let mut slow = connected(Wire::WebSocket, Speaks::V2);
        overflow(&mut slow, 6);
        assert_eq!(take(&mut slow, 0).requests, [Request::CatchUp { after: 5 }]);
        deliver_joined(&mut slow, Cause::Lagged, &[Stream::Results], Err(NotRecovered::Lagged), 901);
        deliver(&mut slow, end(901, &[RESULTS], vec![board(901, "A"), log(900)]));
        deliver(&mut slow, Delivery::Log(log(902)));
        let messages = read(&mut slow, 0);
        assert_eq!(types(&messages), ["resync", "leaderboard_update", "result_update", "live", "result_update"]);
        assert_eq!(
            messages[0],
            json!({"type": "resync", "topics": ["event_1_results"], "reason": "lagged", "cursor": "k3f9.901"})
        );
        let golden = include_str!("../../../../tests/it/golden/resync.json").replace("k3f9a2c4", "k3f9");
        assert_eq!(messages[0], serde_json::from_str::<Value>(&golden).unwrap(), "as documented");

        let mut of_the_guide = connected(Wire::WebSocket, Speaks::V1);
        overflow(&mut of_the_guide, 6);
        assert_eq!(take(&mut of_the_guide, 0).requests, [Request::CatchUp { after: 5 }]);
        deliver_joined(&mut of_the_guide, Cause::Lagged, &[Stream::Results], Err(NotRecovered::Lagged), 901);
        deliver(&mut of_the_guide, end(901, &[RESULTS], vec![board(901, "A"), log(900)]));
        let taken = take(&mut of_the_guide, 0);
        assert_eq!((taken.writes.len(), taken.close), (0, Some(close::RESUME)));
    }

    #[test]
    fn a_join_under_way_is_answered_before_a_client_catches_up() {
        let mut slow = connected(Wire::WebSocket, Speaks::V2);
        slow.text(r#"{"type":"subscribe_schedule","id":1}"#);
        take(&mut slow, 0);
        overflow(&mut slow, 6);
        assert!(take(&mut slow, 0).requests.is_empty(), "the hub is busy with it");
        deliver_joined(&mut slow, Cause::Asked, &[Stream::Schedule], Err(NotRecovered::Fresh), 400);
        deliver(&mut slow, end(400, &[RESULTS], vec![]));
        let taken = take(&mut slow, 0);
        assert_eq!(taken.requests, [Request::CatchUp { after: 5 }]);
        let cursors = taken.writes.iter().map(|write| match write {
            Write::Bytes(bytes) => serde_json::from_slice::<Value>(bytes).unwrap()["cursor"].clone(),
            Write::Ping => Value::Null,
        });
        assert!(cursors.into_iter().all(|cursor| cursor == "k3f9.5"), "not beyond what is missing: {taken:?}");
    }

    #[test]
    fn an_emergency_overtakes_a_backlog_and_its_turn_follows() {
        let emergency = |pos: u64| {
            let topic = Topic::EventAnnouncements(EVENT);
            let id = i64::try_from(pos).unwrap();
            let row = announcement_row(pos, EVENT, id, "EMERGENCY", "NORMAL", &[(topic, pos)]);
            Shown { frame: Arc::new(Frame::log(&row, MessageType::AnnouncementUpdate, topic, pos)), board: None }
        };
        let brief = |messages: &[Value]| -> Vec<(u64, bool)> {
            messages.iter().map(|message| (message["pos"].as_u64().unwrap(), message["early"] == true)).collect()
        };
        for (why, speaks, blocked, expected) in [
            ("blocked", Speaks::V2, true, &[(8, true), (9, true), (6, false), (7, false), (8, false), (9, false)][..]),
            ("nothing holds it up", Speaks::V2, false, &[(6, false), (7, false), (8, false), (9, false)]),
            ("the guide knows no copies", Speaks::V1, true, &[(6, false), (7, false), (8, false), (9, false)]),
        ] {
            let mut session = connected(Wire::WebSocket, speaks);
            session.set_blocked(blocked);
            for pos in 6..8 {
                deliver(&mut session, Delivery::Log(log(pos)));
            }
            for pos in 8..10 {
                deliver(&mut session, Delivery::Log(emergency(pos)));
            }
            assert_eq!(brief(&read(&mut session, 0)), expected, "{why}");
        }

        let mut behind = connected(Wire::Sse, Speaks::V2);
        overflow(&mut behind, 6);
        for pos in 500..500 + 2 * EARLY_MAX as u64 {
            deliver(&mut behind, Delivery::Log(emergency(pos)));
        }
        let text = sse(&mut behind, 0);
        assert_eq!(text.matches(r#""early":true"#).count(), EARLY_MAX, "bounded");
        assert!(!text.contains("id: "), "no cursor: {text}");
        assert_eq!(behind.cursor, 5);
        deliver(&mut behind, Delivery::Early(emergency(600)));
        assert!(sse(&mut behind, 0).contains(r#""early":true"#), "while it catches up, from the hub");

        let mut unheard = session(Wire::WebSocket, Speaks::V2);
        deliver_joined(&mut unheard, Cause::Opened, &[Stream::Announcements], Ok(()), 5);
        deliver(&mut unheard, Delivery::Early(emergency(6)));
        assert_eq!(types(&read(&mut unheard, 0)), ["connected", "subscribed"], "not before the first word");
    }

    #[test]
    fn a_backlog_is_bounded_in_bytes_and_states_have_one_place_each() {
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        let frame = |pos| {
            let mut row = result_row(pos, EVENT, &[(RESULTS, pos)]);
            row.data = format!(r#"{{"text":"{}"}}"#, "x".repeat(BACKLOG_BYTES_MAX / 2));
            Shown { frame: Arc::new(Frame::log(&row, MessageType::ResultUpdate, RESULTS, pos)), board: None }
        };
        deliver(&mut session, Delivery::Log(frame(6)));
        assert_eq!(session.lag, Lag::No);
        deliver(&mut session, Delivery::Log(frame(7)));
        assert_eq!(session.lag, Lag::Dropped, "two halves and their envelopes are too much");
        assert_eq!((session.live_frames, session.live_bytes, session.queue.len()), (0, 0, 0));

        let mut session = connected(Wire::WebSocket, Speaks::V1);
        for pos in 6..2_000 {
            deliver(&mut session, Delivery::State(board(pos, "A")));
            deliver(&mut session, Delivery::State(board(pos, "B")));
        }
        let positions: Vec<_> = read(&mut session, 0).iter().map(|message| message["pos"].as_u64().unwrap()).collect();
        assert_eq!(positions, [1_999, 1_999], "the latest of each");
    }

    #[test]
    fn a_state_that_waited_is_not_written_after_a_newer_snapshot() {
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        session.text(r#"{"type":"subscribe_results"}"#);
        deliver(&mut session, Delivery::State(board(6, "A")));
        deliver_joined(&mut session, Cause::Asked, &[Stream::Results], Err(NotRecovered::Fresh), 7);
        deliver(&mut session, end(7, &[RESULTS], vec![board(7, "A")]));
        let messages = read(&mut session, 0);
        assert_eq!(types(&messages), ["subscribed", "leaderboard_update"]);
        assert_eq!(messages[1]["pos"], 7);
    }

    #[test]
    fn status_goes_to_clients_that_know_it_every_five_seconds() {
        let mut knows = connected(Wire::WebSocket, Speaks::V2);
        let mut guide = connected(Wire::WebSocket, Speaks::V1);
        assert!(read(&mut knows, 4).is_empty());
        assert_eq!(
            read(&mut knows, 5),
            [json!({"type": "status", "pos": 90, "server_time": "1970-01-01T00:00:00Z", "clock_rate": 1.0})]
        );
        assert!(read(&mut knows, 6).is_empty());
        assert_eq!(types(&read(&mut knows, 10)), ["status"]);
        assert!(read(&mut guide, 20).is_empty());
    }

    #[test]
    fn a_silent_websocket_is_pinged_and_then_given_up() {
        let mut session = connected(Wire::WebSocket, Speaks::V1);
        let ping = session.deadline();
        assert!((22_500..=27_500).contains(&ping.as_millis()), "{ping:?}");
        let at = |session: &mut Session, now| session.take(&Tick { now, ..tick(0) });
        assert_eq!(at(&mut session, ping).writes, [Write::Ping]);
        session.heard(PING_INTERVAL);
        assert!(at(&mut session, ping + PONG_TIMEOUT).is_empty(), "it lives");
        assert_eq!(at(&mut session, ping * 2).writes, [Write::Ping]);
        assert_eq!(session.deadline(), ping * 2 + PONG_TIMEOUT);
        assert_eq!(at(&mut session, ping * 2 + PONG_TIMEOUT).close, Some(close::STALLED));
    }

    #[test]
    fn a_browser_learns_its_cursor_after_the_snapshot_and_beside_every_comment() {
        let mut session = session(Wire::Sse, Speaks::V1);
        deliver_joined(&mut session, Cause::Opened, &[Stream::Results], Err(NotRecovered::Fresh), 5);
        deliver(&mut session, end(5, &[RESULTS], vec![board(5, "A")]));
        let text = sse(&mut session, 0);
        let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        assert!(lines[0].starts_with(r#"data: {"type":"connected""#), "{text}");
        assert!(lines[1].starts_with(r#"data: {"type":"subscribed""#), "{text}");
        assert!(lines[2].contains(r#""replay":true"#), "{text}");
        assert_eq!(lines[3..], ["id: k3f9.5"], "{text}");
        deliver(&mut session, Delivery::Log(log(8)));
        assert!(sse(&mut session, 1).starts_with("id: k3f9.8\ndata: {"));
        assert_eq!(sse(&mut session, 15), ":\n\nid: k3f9.90\n\n", "nothing waits: everything applied is known");
    }

    #[test]
    fn a_comment_within_a_snapshot_does_not_say_that_the_browser_has_it() {
        let mut session = session(Wire::Sse, Speaks::V1);
        deliver_joined(&mut session, Cause::Opened, &[Stream::Results], Err(NotRecovered::Fresh), 5);
        let many = (0..200).map(|_| log(4)).collect();
        deliver(&mut session, end(5, &[RESULTS], many));
        let first = session.take(&tick(15));
        let Some(Write::Bytes(comment)) = first.writes.last() else { panic!("{first:?}") };
        assert_eq!(comment.as_ref(), b":\n\n", "the snapshot is larger than what is written at once");
        assert!(sse(&mut session, 15).ends_with("\n\nid: k3f9.5\n\n"), "its mark comes at its end");
        assert_eq!(sse(&mut session, 30), ":\n\nid: k3f9.90\n\n");
    }

    #[test]
    fn frames_held_back_by_a_replay_are_not_counted_as_written_when_the_backlog_is_dropped() {
        let mut session = connected(Wire::WebSocket, Speaks::V2);
        session.text(r#"{"type":"subscribe_schedule","since":"k3f9.1"}"#);
        take(&mut session, 0);
        deliver_joined(&mut session, Cause::Asked, &[Stream::Schedule], Ok(()), 1);
        deliver(&mut session, Delivery::Log(log(7)));
        deliver(&mut session, Delivery::Page(Page { frames: vec![log(8)], end: None }));
        take(&mut session, 0);
        for pos in 9..=9 + BACKLOG_FRAMES_MAX as u64 {
            deliver(&mut session, Delivery::Log(log(pos)));
        }
        deliver(&mut session, end(300, &[RESULTS], vec![]));
        let messages = read(&mut session, 0);
        assert_eq!((&messages[0]["type"], &messages[0]["cursor"]), (&json!("live"), &json!("k3f9.6")), "{messages:?}");
    }

    #[test]
    fn the_results_page_gets_data_and_nothing_else() {
        let mut session = session(Wire::SseResults, Speaks::V1);
        deliver_joined(&mut session, Cause::Opened, &[Stream::Results], Err(NotRecovered::Fresh), 5);
        deliver(&mut session, end(5, &[RESULTS], vec![board(5, "A"), log(4)]));
        deliver(&mut session, Delivery::Log(Shown { board: Some(board(5, "A").frame), ..log(6) }));
        let text = sse(&mut session, 60);
        let data: Vec<Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(types(&data), ["leaderboard_update", "result_update", "result_update"]);
        assert!(data.iter().all(|message| message["leaderboard"].is_array()), "{text}");
    }

    #[test]
    fn a_closed_session_writes_nothing_more() {
        let mut session = connected(Wire::WebSocket, Speaks::V2);
        deliver(&mut session, Delivery::Log(log(6)));
        deliver(&mut session, Delivery::Closed(close::GONE));
        deliver(&mut session, Delivery::Log(log(7)));
        let taken = take(&mut session, 30);
        assert_eq!((taken.writes.len(), taken.requests.len(), taken.close), (0, 0, Some(close::GONE)));
        assert!(!session.takes_commands());
    }
}
