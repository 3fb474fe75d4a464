//! The sockets of the streams: a few threads, each with its own poll loop and its own sessions.
//!
//! A viewer costs no task, no lock and no buffer while nothing waits for it. The driver hands over
//! what the hub has to say. As long as a session *flows* (it is live and its socket takes everything)
//! it is not even looked at: the frames that wait for all are joined once for each set of topics, and
//! go out with one send a socket. Whatever else happens to a session goes through it. What the kernel
//! refuses stays here until the socket takes more, and meanwhile the session keeps its own bounded
//! backlog. A socket that takes nothing for [`STALL_TIMEOUT`] is given up. What is said is decided by
//! [`Session`], who may hear it was decided before a socket came here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use rustix::process::setpriority_process;
use timely_core::live::close;
use timely_core::topic::Topic;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, error};

use crate::gate::Pass;
use crate::live::driver::{Asked, Inner, Opened};
use crate::live::followers::Followers;
use crate::live::hub::{Delivery, SessionId, Shown};
use crate::live::session::{self, SSE_RETRY, Session, Tick, Wire, Write};
use crate::live::websocket::{self, Heard, Partial, code};
use crate::metrics::SlowAction;
use crate::rate::{Bucket, Rate};

/// Without any progress in writing for so long, a connection is given up.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to read the last word and close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Orders that may wait for a thread; the driver waits when there are more.
pub const ORDERS_MAX: usize = 64 * 1024;
/// Most bytes read from a socket at a time.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that a client may send: ten times what commands at their fastest need. It bounds what pings,
/// fragments and noise cost, which are no commands.
const INBOUND_BYTES: Rate = Rate { burst: 256 * 1024, per_s: 16 * 1024 };
/// What a read counts for beside its bytes: a byte at a time is no cheaper than a frame.
const READ_COST_BYTES: u32 = 64;
/// Sockets looked at between two looks into the inbox.
const EVENTS_MAX: usize = 512;
/// Frames that are joined at most: the bits of a mark.
const BATCH_FRAMES_MAX: usize = 64;
/// Bytes of a batch after which it is sent; a single frame may be larger.
const BATCH_BYTES: usize = 64 * 1024;
/// How far the threads stand back behind those that commit, as in `nice`.
const NICENESS: i32 = 5;
/// Stands for the bell in epoll's data; no slot has this number.
const BELL: u64 = u64::MAX;
/// Neither wait nor be killed by a connection that is gone.
const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

/// A connection that leaves HTTP: its socket, the head of the answer, and what was read already.
#[derive(Debug)]
pub struct Entering {
    pub socket: OwnedFd,
    pub head: Vec<u8>,
    pub read: Bytes,
    pub opened: Opened,
    pub pass: Pass,
}

/// What the driver tells a thread, in order.
#[derive(Debug)]
pub enum Order {
    Enter(SessionId, Box<Entering>),
    Deliver(SessionId, Delivery),
    /// A row on its topics: who follows several gets the first.
    Log(Vec<Shown>),
    State(Shown),
    Follow(SessionId, Topic),
    Unfollow(SessionId, Topic),
    /// Everything up to this `pos` stands before this order.
    Applied(u64),
    /// The server stops: nobody enters any more, and the thread ends with its last socket.
    End,
}

/// The way into a thread.
#[derive(Debug)]
pub struct Inlet {
    /// `None`: the thread has ended, and what is handed over goes nowhere.
    inbox: Mutex<Option<Vec<Order>>>,
    bell: OwnedFd,
    /// Notified when the inbox was emptied.
    emptied: Notify,
}

impl Inlet {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<Order>>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over orders; the vector is left empty, with its memory. A thread that has ended takes none:
    /// a socket among them is closed.
    pub fn hand_over(&self, orders: &mut Vec<Order>) {
        if orders.is_empty() {
            return;
        }
        let was_empty = {
            let mut inbox = self.lock();
            let Some(inbox) = inbox.as_mut() else {
                orders.clear();
                return;
            };
            let was_empty = inbox.is_empty();
            inbox.append(orders);
            was_empty
        };
        if was_empty {
            self.ring();
        }
    }

    fn ring(&self) {
        // It can only fail when the counter is full: then the bell rings already.
        if let Err(error) = rustix::io::write(&self.bell, &1_u64.to_ne_bytes())
            && error != Errno::AGAIN
        {
            error!("a thread of the streams cannot be woken: {error}");
        }
    }

    /// Waits until the thread has taken what waits, if that is too much.
    pub async fn has_room(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().as_ref().is_none_or(|inbox| inbox.len() < ORDERS_MAX) {
                return;
            }
            emptied.await;
        }
    }

    /// Takes what was handed over.
    fn take(&self) -> Vec<Order> {
        let orders = self.lock().as_mut().map(mem::take).unwrap_or_default();
        self.emptied.notify_waiters();
        orders
    }

    /// Nothing is taken any more.
    fn close(&self) {
        // Sockets among the orders are closed outside of the lock.
        let orders = self.lock().take();
        self.emptied.notify_waiters();
        drop(orders);
    }
}

/// Starts a thread. It ends after [`Order::End`], with its last socket, and gives up `open` then. If it
/// fails, its sockets are closed and it cancels `stop`: nobody would notice a part of the streams missing.
pub(super) fn start(
    name: String,
    live: Arc<Inner>,
    open: TaskTrackerToken,
    stop: CancellationToken,
) -> io::Result<Arc<Inlet>> {
    let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
    let inlet = Arc::new(Inlet { inbox: Mutex::new(Some(Vec::new())), bell, emptied: Notify::new() });
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &inlet.bell, epoll::EventData::new_u64(BELL), epoll::EventFlags::IN)?;
    let reactor = Reactor {
        inlet: Arc::clone(&inlet),
        live,
        poll,
        slots: Vec::new(),
        free: Vec::new(),
        of_session: HashMap::new(),
        followers: Followers::default(),
        timers: BinaryHeap::new(),
        touched: Vec::new(),
        lost: Vec::new(),
        batch: Batch::default(),
        applied: 0,
        ends: false,
        scratch: Vec::new(),
        buffer: vec![0; READ_BYTES],
    };
    thread::Builder::new().name(name).spawn(move || {
        let _open = open;
        // Writes come first: an acknowledgement must not wait while ten thousand viewers are served,
        // and whatever is committed meanwhile leaves in the same send.
        if let Err(error) = setpriority_process(None, NICENESS) {
            debug!("the streams run at the priority of writes: {error}");
        }
        let inlet = Arc::clone(&reactor.inlet);
        let ended = catch_unwind(AssertUnwindSafe(|| reactor.run()));
        inlet.close();
        match ended {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error!("the streams cannot be polled: {error}; the server stops"),
            Err(_) => error!("a thread of the live streams has failed: the server stops"),
        }
        stop.cancel();
    })?;
    Ok(inlet)
}

struct Reactor {
    inlet: Arc<Inlet>,
    live: Arc<Inner>,
    poll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<u32>,
    of_session: HashMap<SessionId, u32>,
    followers: Followers<u32>,
    /// When a slot is to be looked at, the earliest first. Entries that a slot no longer knows count
    /// for nothing.
    timers: BinaryHeap<Reverse<(Duration, Place)>>,
    /// Slots that have something to write.
    touched: Vec<u32>,
    /// Slots whose connection was lost while a batch was sent.
    lost: Vec<u32>,
    /// Frames for all their followers that are still to be sent to those that flow.
    batch: Batch,
    applied: u64,
    ends: bool,
    /// What is joined for one send; its memory is kept.
    scratch: Vec<u8>,
    buffer: Vec<u8>,
}

/// A slot, and which of its tenants is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    slot: u32,
    tenant: u32,
}

impl Place {
    fn data(self) -> u64 {
        u64::from(self.tenant) << 32 | u64::from(self.slot)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of what `data` joined")]
    fn of(data: u64) -> Self {
        Self { slot: data as u32, tenant: (data >> 32) as u32 }
    }
}

/// What is looked at for every frame; the rest stands behind a pointer.
struct Slot {
    tenant: u32,
    socket: Option<OwnedFd>,
    wire: Wire,
    /// The session has nothing to say and the socket takes everything: frames go out without either
    /// being asked.
    flows: bool,
    /// Which frames of the batch are for this one.
    marks: u64,
    /// `pos` of the latest row it was given.
    row: u64,
    /// `pos` of the latest row that went out while it flowed, not told to the session yet.
    flowed: u64,
    connection: Option<Box<Connection>>,
}

struct Connection {
    id: SessionId,
    session: Session,
    follows: Vec<Topic>,
    /// Written in part: the rest of it.
    unsent: Vec<u8>,
    /// Messages that arrived while the session took none.
    unheard: VecDeque<Heard>,
    partial: Option<Box<Partial>>,
    /// What is left of [`INBOUND_BYTES`].
    inbound: Bucket,
    interest: epoll::EventFlags,
    /// Which entry of the timers is this one's.
    timer: Duration,
    is_touched: bool,
    /// When it is given up if the socket takes nothing.
    stalls: Option<Duration>,
    phase: Phase,
    /// Its place among the connections of the server.
    pass: Pass,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The last word is being written, until then at most.
    Ending(Duration),
    /// It was written: the other side is to close until then.
    Ended(Duration),
}

#[derive(Default)]
struct Batch {
    frames: Vec<Shown>,
    bytes: usize,
    /// Slots that have a mark.
    marked: Vec<u32>,
}

/// The client has ended the conversation, with its code if it gave one.
struct Farewell(Option<u16>);

/// What became of a write.
enum Sent {
    All,
    /// So many bytes, and the socket takes no more.
    Part(usize),
    Lost,
}

impl Reactor {
    fn run(mut self) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let wait = self.wait();
            match epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), wait.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                // Cannot happen to a poll that is ours; without it every stream would hang.
                Err(error) => return Err(error.into()),
            }
            let mut is_rung = false;
            for event in &events {
                let (data, flags) = (event.data.u64(), event.flags);
                if data == BELL {
                    is_rung = true;
                } else {
                    self.ready(Place::of(data), flags);
                }
            }
            if is_rung {
                self.orders();
            }
            self.due();
            self.pump_touched();
            if self.ends && self.of_session.is_empty() && self.slots.iter().all(|slot| slot.connection.is_none()) {
                return Ok(());
            }
        }
    }

    /// How long nothing is to be done.
    fn wait(&self) -> Option<Timespec> {
        let Reverse((at, _)) = self.timers.peek()?;
        let wait = at.saturating_sub(self.live.now());
        // A poll sleeps whole milliseconds: rounded up, else it would spin through the last one.
        let wait = wait + Duration::from_micros(999);
        Some(Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(wait.subsec_nanos()),
        })
    }

    fn orders(&mut self) {
        let mut counter = [0; 8];
        if let Err(error) = rustix::io::read(&self.inlet.bell, &mut counter)
            && error != Errno::AGAIN
        {
            error!("the bell of the streams cannot be read: {error}");
        }
        let orders = self.inlet.take();
        let event_now = self.live.event_now();
        for order in orders {
            if !matches!(order, Order::Log(_) | Order::State(_) | Order::Applied(_)) {
                // What stands before it goes out before it.
                self.send_batch();
            }
            match order {
                Order::Log(shown) => self.log(shown, event_now),
                Order::State(shown) => self.fan_out(shown, event_now, |_| true, Delivery::State),
                Order::Deliver(session, delivery) => {
                    let Some(slot) = self.of_session.get(&session).copied() else { continue };
                    if let Some(connection) = self.connection(slot) {
                        connection.session.deliver(delivery, event_now);
                        self.touch(slot);
                    }
                }
                Order::Follow(session, topic) => self.follow(session, topic),
                Order::Unfollow(session, topic) => self.unfollow(session, topic),
                Order::Applied(pos) => self.applied = pos,
                Order::Enter(session, entering) => self.enter(session, *entering),
                Order::End => self.end(event_now),
            }
        }
        self.send_batch();
    }

    fn log(&mut self, shown: Vec<Shown>, event_now: Timestamp) {
        for shown in shown {
            let pos = shown.frame.pos;
            self.fan_out(shown, event_now, |slot| mem::replace(&mut slot.row, pos) != pos, Delivery::Log);
        }
    }

    /// Marks those that flow and tells the others.
    fn fan_out(
        &mut self,
        shown: Shown,
        event_now: Timestamp,
        is_new: impl Fn(&mut Slot) -> bool,
        delivery: impl Fn(Shown) -> Delivery,
    ) {
        let mark = 1 << self.batch.frames.len();
        let mut sessions = 0;
        for at in self.followers.of(shown.frame.topic) {
            let Some(slot) = self.slots.get_mut(*at as usize) else { continue };
            if !is_new(slot) {
                // Reached through an earlier topic.
                continue;
            }
            sessions += 1;
            if slot.flows {
                if slot.marks == 0 {
                    self.batch.marked.push(*at);
                }
                slot.marks |= mark;
            } else if let Some(connection) = slot.connection.as_deref_mut() {
                connection.session.deliver(delivery(shown.clone()), event_now);
                // One that is blocked is looked at when its socket takes more, not for every frame.
                if connection.unsent.is_empty() {
                    touch(slot, *at, &mut self.touched);
                }
            }
        }
        self.live.metrics.sent(shown.frame.kind.lane_kind(), sessions);
        self.batch.bytes += shown.frame.len_bytes();
        self.batch.frames.push(shown);
        if self.batch.frames.len() >= BATCH_FRAMES_MAX || self.batch.bytes >= BATCH_BYTES {
            self.send_batch();
        }
    }

    /// Sends what waits for those that flow: what they get is joined once for each set of frames.
    fn send_batch(&mut self) {
        let Batch { frames, mut marked, .. } = mem::take(&mut self.batch);
        let stalls = self.live.now() + STALL_TIMEOUT;
        let mut joined: Vec<(Wire, u64, Vec<u8>)> = Vec::new();
        for at in marked.drain(..) {
            let Some(slot) = self.slots.get_mut(at as usize) else { continue };
            let key = (slot.wire, mem::take(&mut slot.marks));
            let Some(socket) = slot.socket.as_ref().filter(|_| key.1 != 0) else { continue };
            let found = joined.iter().position(|(wire, marks, _)| (*wire, *marks) == key);
            let found = found.unwrap_or_else(|| {
                joined.push((key.0, key.1, self.live.join(&frames, key.0, key.1)));
                joined.len() - 1
            });
            let Some((.., bytes)) = joined.get(found) else { continue };
            // Of what it was given, the last row is the highest.
            slot.flowed = slot.row;
            match write(socket, bytes) {
                Sent::All => {}
                Sent::Part(sent) => {
                    self.live.metrics.slow(SlowAction::Blocked);
                    touch(slot, at, &mut self.touched);
                    if let Some(connection) = slot.connection.as_deref_mut() {
                        connection.unsent.extend_from_slice(bytes.get(sent..).unwrap_or_default());
                        connection.stalls = Some(stalls);
                    }
                }
                Sent::Lost => self.lost.push(at),
            }
        }
        self.batch.marked = marked;
        for at in mem::take(&mut self.lost) {
            self.remove(at, "the connection was lost while writing");
        }
    }

    fn follow(&mut self, session: SessionId, topic: Topic) {
        let Some(slot) = self.of_session.get(&session).copied() else { return };
        if let Some(connection) = self.connection(slot) {
            connection.follows.push(topic);
            self.followers.follow(topic, slot);
        }
    }

    fn unfollow(&mut self, session: SessionId, topic: Topic) {
        let Some(slot) = self.of_session.get(&session).copied() else { return };
        if let Some(connection) = self.connection(slot) {
            connection.follows.retain(|other| *other != topic);
            self.followers.unfollow(topic, slot);
        }
    }

    /// Ends every stream: whoever is still here may come back.
    fn end(&mut self, event_now: Timestamp) {
        self.ends = true;
        for at in self.of_session.values() {
            let Some(slot) = self.slots.get_mut(*at as usize) else { continue };
            if let Some(connection) = slot.connection.as_deref_mut() {
                connection.session.deliver(Delivery::Closed(close::RESUME), event_now);
                touch(slot, *at, &mut self.touched);
            }
        }
    }

    fn enter(&mut self, id: SessionId, entering: Entering) {
        let Entering { socket, mut head, read, opened, pass } = entering;
        if self.ends {
            // Closed unanswered, like every connection that comes too late.
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::empty());
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let Some(place) = self.place(slot) else { return };
        let Opened { wire, speaks, viewer, about, offers, join } = opened;
        if wire != Wire::WebSocket {
            head.extend_from_slice(format!("retry: {}\n\n", SSE_RETRY.as_millis()).as_bytes());
        }
        let interest = epoll::EventFlags::IN;
        if let Err(error) = epoll::add(&self.poll, &socket, epoll::EventData::new_u64(place.data()), interest) {
            error!("a stream cannot be polled and is not opened: {error}");
            if wire == Wire::WebSocket {
                websocket::put_close(&mut head, Some(close::OVERLOADED), reason(close::OVERLOADED));
            }
            // As far as the socket takes it: there is nothing to wait with.
            write(&socket, &head);
            self.free.push(slot);
            return;
        }
        let now = self.live.now();
        let session = Session::new(wire, speaks, about, offers, self.live.epoch().clone(), now, id.0);
        let session = if pass.is_lifted() { session } else { session.limited() };
        let connection = Connection {
            id,
            session,
            follows: Vec::new(),
            unsent: head,
            unheard: VecDeque::new(),
            partial: None,
            inbound: Bucket::default(),
            interest,
            timer: Duration::MAX,
            is_touched: false,
            stalls: None,
            phase: Phase::Open,
            pass,
        };
        if let Some(room) = self.slots.get_mut(slot as usize) {
            *room = Slot {
                tenant: room.tenant,
                socket: Some(socket),
                wire,
                connection: Some(Box::new(connection)),
                ..Slot::empty()
            };
        }
        self.of_session.insert(id, slot);
        self.live.metrics.opened(wire);
        self.live.ask(id, Asked::Open(viewer, join));
        self.touch(slot);
        if wire == Wire::WebSocket && !read.is_empty() {
            // Sent with the handshake, before its answer.
            self.heard(slot, &read);
        }
    }

    fn connection(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.connection.as_deref_mut()
    }

    fn place(&self, slot: u32) -> Option<Place> {
        self.slots.get(slot as usize).map(|room| Place { slot, tenant: room.tenant })
    }

    fn touch(&mut self, slot: u32) {
        if let Some(room) = self.slots.get_mut(slot as usize) {
            touch(room, slot, &mut self.touched);
        }
    }

    fn pump_touched(&mut self) {
        let tick = self.live.tick(self.applied);
        let mut touched = mem::take(&mut self.touched);
        for slot in touched.drain(..) {
            if let Some(connection) = self.connection(slot) {
                connection.is_touched = false;
                self.pump(slot, &tick);
            }
        }
        // What was touched meanwhile stands in a vector of its own; the larger one is kept.
        touched.append(&mut self.touched);
        self.touched = touched;
    }

    /// Something happened to a socket.
    fn ready(&mut self, place: Place, flags: epoll::EventFlags) {
        let lives = self.place(place.slot) == Some(place);
        if !lives {
            return;
        }
        if flags.contains(epoll::EventFlags::OUT) {
            self.touch(place.slot);
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            self.read(place.slot);
        }
    }

    fn read(&mut self, slot: u32) {
        let mut buffer = mem::take(&mut self.buffer);
        let read = match self.slots.get(slot as usize).and_then(|slot| slot.socket.as_ref()) {
            Some(socket) => recv(socket, &mut buffer[..], RecvFlags::DONTWAIT),
            None => Err(Errno::AGAIN),
        };
        match read {
            Ok((0, _)) => self.remove(slot, "the client has gone"),
            Ok((read, _)) => {
                let wire = self.slots.get(slot as usize).and_then(|slot| {
                    let is_open = slot.connection.as_ref().is_some_and(|connection| connection.phase == Phase::Open);
                    is_open.then_some(slot.wire)
                });
                match wire {
                    Some(Wire::WebSocket) => self.heard(slot, buffer.get(..read).unwrap_or_default()),
                    // An event stream has nothing to hear.
                    Some(Wire::Sse | Wire::SseResults) if self.is_too_much(slot, read) => {
                        self.remove(slot, "it sends and sends");
                    }
                    // After the last word nothing counts; it is read so that the last word arrives.
                    Some(Wire::Sse | Wire::SseResults) | None => {}
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => self.remove(slot, &error.to_string()),
        }
        self.buffer = buffer;
    }

    /// Whether a client has sent more than anybody who means well.
    fn is_too_much(&mut self, slot: u32, bytes: usize) -> bool {
        let now = self.live.now();
        let Some(connection) = self.connection(slot) else { return false };
        let cost = u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(READ_COST_BYTES);
        !connection.pass.is_lifted() && connection.inbound.take(INBOUND_BYTES, cost, now).is_err()
    }

    fn heard(&mut self, slot: u32, bytes: &[u8]) {
        let now = self.live.now();
        let is_too_much = self.is_too_much(slot, bytes.len());
        let Some(connection) = self.connection(slot) else { return };
        if is_too_much {
            connection.unheard.clear();
            connection.unheard.push_back(Heard::Close(Some(close::RATE_LIMITED)));
            self.touch(slot);
            return;
        }
        connection.session.heard(now);
        let mut heard = Vec::new();
        let fed = websocket::feed(&mut connection.partial, bytes, &mut heard);
        connection.unheard.extend(heard);
        if let Err(code) = fed {
            // What was whole before it still counts.
            connection.unheard.push_back(Heard::Close(Some(code)));
        }
        self.touch(slot);
    }

    /// Writes what there is to write, until the socket takes no more or nothing is left.
    fn pump(&mut self, at: u32, tick: &Tick) {
        let Some(slot) = self.slots.get_mut(at as usize) else { return };
        let (Some(connection), Some(socket)) = (slot.connection.as_deref_mut(), slot.socket.as_ref()) else { return };
        let mut requests = Vec::new();
        let lost = loop {
            // The rest of what was begun first: frames never mix.
            if !connection.unsent.is_empty() {
                match write(socket, &connection.unsent) {
                    Sent::All => connection.unsent = Vec::new(),
                    Sent::Part(sent) => {
                        connection.unsent.drain(..sent);
                        if sent > 0 || connection.stalls.is_none() {
                            connection.stalls = Some(tick.now + STALL_TIMEOUT);
                        }
                        break false;
                    }
                    Sent::Lost => break true,
                }
            }
            connection.stalls = None;
            match connection.phase {
                Phase::Open => {}
                Phase::Ending(_) => {
                    // Read on until the other side has closed: a connection closed with unread bytes
                    // is reset, and takes the last word with it.
                    if let Err(error) = shutdown(socket, Shutdown::Write) {
                        debug!("a stream has ended before its last word: {error}");
                    }
                    connection.phase = Phase::Ended(tick.now + CLOSE_TIMEOUT);
                    break false;
                }
                Phase::Ended(_) => break false,
            }
            self.scratch.clear();
            if let Some(code) = connection.say(slot.wire, tick, &mut self.scratch, &mut requests) {
                self.live.metrics.closed(code);
            }
            if self.scratch.is_empty() && connection.phase == Phase::Open {
                break false;
            }
            match write(socket, &self.scratch) {
                Sent::All => {}
                Sent::Part(sent) => {
                    connection.unsent.extend_from_slice(self.scratch.get(sent..).unwrap_or_default());
                }
                Sent::Lost => break true,
            }
        };
        let id = connection.id;
        for asked in requests {
            self.live.ask(id, asked);
        }
        // A large frame once must not hold its memory for ever.
        if self.scratch.capacity() > 4 * READ_BYTES {
            self.scratch = Vec::new();
        }
        if lost {
            self.remove(at, "the connection was lost while writing");
        } else {
            self.settle(at);
        }
    }

    /// Tells the poll and the timers what the connection waits for.
    fn settle(&mut self, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        let poll = &self.poll;
        let Some(slot) = self.slots.get_mut(slot as usize) else { return };
        let (Some(connection), Some(socket)) = (slot.connection.as_deref_mut(), slot.socket.as_ref()) else { return };
        connection.session.set_blocked(!connection.unsent.is_empty());
        slot.flows = connection.phase == Phase::Open && connection.unsent.is_empty() && connection.session.is_flowing();
        let mut interest = epoll::EventFlags::empty();
        if connection.unsent.is_empty() {
            // Whoever does not read is not read from either.
            if connection.unheard.is_empty() {
                // Many small messages once must not hold their memory for ever.
                connection.unheard = VecDeque::new();
                interest |= epoll::EventFlags::IN;
            }
        } else {
            interest |= epoll::EventFlags::OUT;
        }
        if interest != connection.interest {
            let data = epoll::EventData::new_u64(place.data());
            match epoll::modify(poll, socket, data, interest) {
                Ok(()) => connection.interest = interest,
                Err(error) => error!("a stream cannot be polled any more: {error}"),
            }
        }
        let deadline = connection.deadline();
        if deadline < connection.timer {
            connection.timer = deadline;
            self.timers.push(Reverse((deadline, place)));
        }
    }

    /// Looks at every connection whose time has come.
    fn due(&mut self) {
        let now = self.live.now();
        while let Some(Reverse((at, place))) = self.timers.peek().copied() {
            if at > now {
                return;
            }
            self.timers.pop();
            if self.place(place.slot) != Some(place) {
                continue;
            }
            let Some(connection) = self.connection(place.slot) else { continue };
            if connection.timer != at {
                continue;
            }
            connection.timer = Duration::MAX;
            match connection.phase {
                Phase::Ending(until) if until <= now => self.remove(place.slot, "it did not take the last word"),
                Phase::Ended(until) if until <= now => self.remove(place.slot, "it did not close after the last word"),
                _ if connection.stalls.is_some_and(|stalls| stalls <= now) => {
                    self.live.metrics.slow(SlowAction::Cut);
                    self.remove(place.slot, "nothing was read for too long");
                }
                _ if connection.session.deadline() <= now && connection.phase == Phase::Open => self.touch(place.slot),
                _ => self.settle(place.slot),
            }
        }
    }

    fn remove(&mut self, slot: u32, why: &str) {
        let Some(room) = self.slots.get_mut(slot as usize) else { return };
        let Some(connection) = room.connection.take() else { return };
        self.live.metrics.ended(room.wire);
        // Closing the socket takes it out of the poll.
        *room = Slot { tenant: room.tenant.wrapping_add(1), ..Slot::empty() };
        self.free.push(slot);
        debug!("stream {} has ended: {why}", connection.id.0);
        self.of_session.remove(&connection.id);
        for topic in &connection.follows {
            self.followers.unfollow(*topic, slot);
        }
        if connection.phase == Phase::Open {
            self.live.ask(connection.id, Asked::Gone);
        }
    }
}

/// Notes that the connection may have something to write. Until it has been looked at it does not
/// flow: what comes meanwhile goes through its session.
fn touch(slot: &mut Slot, at: u32, touched: &mut Vec<u32>) {
    let Some(connection) = slot.connection.as_deref_mut() else { return };
    if mem::replace(&mut slot.flows, false) {
        connection.session.has_flowed(slot.flowed);
    }
    if !mem::replace(&mut connection.is_touched, true) {
        touched.push(at);
    }
}

impl Slot {
    const fn empty() -> Self {
        Self {
            tenant: 0,
            socket: None,
            wire: Wire::WebSocket,
            flows: false,
            marks: 0,
            row: 0,
            flowed: 0,
            connection: None,
        }
    }
}

impl Connection {
    /// Adds to `out` what the session has to say, after it heard what it takes now; the code if that
    /// was its last word.
    fn say(&mut self, wire: Wire, tick: &Tick, out: &mut Vec<u8>, requests: &mut Vec<Asked>) -> Option<u16> {
        if let Some(Farewell(code)) = self.listen(out) {
            websocket::put_close(out, code, code.map_or("", reason));
            self.end(tick, requests);
            return code;
        }
        let taken = self.session.take(tick);
        requests.extend(taken.requests.into_iter().map(Asked::Request));
        for bytes in &taken.writes {
            match bytes {
                Write::Bytes(bytes) => session::put_write(out, bytes, wire),
                Write::Ping => websocket::put_ping(out),
            }
        }
        if let Some(code) = taken.close {
            if wire == Wire::WebSocket {
                websocket::put_close(out, Some(code), reason(code));
            }
            self.end(tick, requests);
        }
        taken.close
    }

    /// Nothing is heard any more, and nothing said but what was begun.
    fn end(&mut self, tick: &Tick, requests: &mut Vec<Asked>) {
        self.phase = Phase::Ending(tick.now + STALL_TIMEOUT);
        self.unheard = VecDeque::new();
        self.partial = None;
        requests.push(Asked::Gone);
    }

    /// Lets the session hear what it takes now; whether the client has ended the conversation.
    fn listen(&mut self, out: &mut Vec<u8>) -> Option<Farewell> {
        let is_command = |heard: Option<&Heard>| matches!(heard, Some(Heard::Text(_) | Heard::Binary));
        while self.session.takes_commands() || !is_command(self.unheard.front()) {
            match self.unheard.pop_front()? {
                Heard::Text(text) => self.session.text(&text),
                Heard::Binary => self.session.binary(),
                Heard::Ping(payload) => websocket::put_pong(out, &payload),
                Heard::Pong => {}
                Heard::Close(code) => return Some(Farewell(code)),
            }
        }
        None
    }

    /// When this is to be looked at, if nothing else happens.
    fn deadline(&self) -> Duration {
        match self.phase {
            Phase::Ended(until) => until,
            Phase::Ending(until) => self.stalls.map_or(until, |stalls| stalls.min(until)),
            // Whatever the session has to say waits for the socket.
            Phase::Open if !self.unsent.is_empty() => self.stalls.unwrap_or(Duration::MAX),
            Phase::Open => self.session.deadline(),
        }
    }
}

fn write(socket: &OwnedFd, bytes: &[u8]) -> Sent {
    let mut sent = 0;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        match send(socket, rest, SEND) {
            Ok(more) => sent += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Sent::Part(sent),
            Err(error) => {
                debug!("a stream cannot be written to: {error}");
                return Sent::Lost;
            }
        }
    }
    Sent::All
}

const fn reason(code: u16) -> &'static str {
    match code {
        close::CREDENTIAL => "the credential has ended",
        close::GONE => "there is nothing here",
        close::OVERLOADED => "there is no room now; come back later",
        close::RATE_LIMITED => "too much was sent in a short time",
        close::STALLED => "nothing was read for too long",
        close::RESUME => "come back and resume",
        code::TOO_LARGE => "commands have at most 4096 bytes",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_thread_that_has_ended_takes_nothing_and_holds_nobody_up() {
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        let inlet = Inlet { inbox: Mutex::new(Some(Vec::new())), bell, emptied: Notify::new() };
        let many = || (0..ORDERS_MAX).map(|_| Order::Applied(1)).collect::<Vec<_>>();
        inlet.hand_over(&mut many());
        let mut room = pin!(inlet.has_room());
        assert_eq!(room.as_mut().now_or_never(), None, "it is far behind");
        inlet.close();
        assert_eq!(room.now_or_never(), Some(()), "nobody waits for what has ended");
        let mut orders = many();
        inlet.hand_over(&mut orders);
        assert!(orders.is_empty() && inlet.take().is_empty(), "what is handed over goes nowhere");
        assert_eq!(inlet.has_room().now_or_never(), Some(()));
    }

    #[test]
    fn every_close_code_has_the_reason_that_is_documented() {
        let held = include_str!("../../../../tests/it/golden/close.txt");
        let codes = [
            code::TOO_LARGE,
            close::CREDENTIAL,
            close::GONE,
            close::OVERLOADED,
            close::STALLED,
            close::RATE_LIMITED,
            close::RESUME,
        ];
        let said = codes.map(|code| format!("{code} {}", reason(code)));
        assert_eq!(said.as_slice(), held.lines().collect::<Vec<_>>());
    }
}
