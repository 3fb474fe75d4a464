//! Runs publisher and hub: the one task between the store and the connections.
//!
//! It is woken by commits, by requests of sessions and by deadlines, and waits for nothing else but
//! a thread of sockets that is far behind: reads of the store run beside it and come back as answers,
//! a session that cannot write keeps its own backlog. A read that fails is logged and repeated;
//! nothing is skipped.

use std::collections::VecDeque;
use std::future::pending;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use timely_core::cursor::Epoch;
use timely_core::live::close;
use timely_core::topic::{LaneKind, StateLane, Stream, Topic};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use crate::clock::{Clock, real_now};
use crate::error::Error;
use crate::gate::Pass;
use crate::live::hub::{Hub, Join, Need, Output, PAGE_ROWS_MAX, Request, SessionId, Shown, Viewer};
use crate::live::publisher::{Publisher, RETRY_INTERVAL, States, Take};
use crate::live::reactor::{self, Entering, Inlet, Order};
use crate::live::session::{self, About, Speaks, Tick, Wire};
use crate::metrics::Metrics;
use crate::store::{LogRow, Opening, Store};

/// Change-log rows read at a time.
const ROWS_PER_READ: usize = 512;
/// Requests of sessions taken before anything else is looked at.
const REQUESTS_AT_ONCE: usize = 1024;
/// Most threads for the sockets of the streams: more than one machine's worth of viewers needs.
const REACTORS_MAX: usize = 8;

/// The live side of a server; cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Shared>);

struct Shared {
    inner: Arc<Inner>,
    reactors: Vec<Arc<Inlet>>,
    next_session: AtomicU64,
    audience: watch::Sender<Audience>,
    /// The task and every open stream.
    open: TaskTracker,
}

/// What the threads of the sockets know.
pub(super) struct Inner {
    epoch: Epoch,
    clock: Arc<Clock>,
    started: Instant,
    /// Never more than one request a session, its beginning and its end.
    asked: mpsc::UnboundedSender<(SessionId, Asked)>,
    pub(super) metrics: Metrics,
}

/// How much is being followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    pub sessions: usize,
    pub topics: usize,
}

/// What a stream is when it leaves HTTP.
#[derive(Clone, Debug)]
pub struct Opened {
    pub wire: Wire,
    pub speaks: Speaks,
    pub viewer: Viewer,
    pub about: About,
    pub offers: Vec<Stream>,
    pub join: Join,
}

/// What arrives at the task from a session.
pub(super) enum Asked {
    Open(Viewer, Join),
    Request(Request),
    /// Its connection has ended.
    Gone,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("epoch", &self.0.inner.epoch).finish_non_exhaustive()
    }
}

impl Live {
    /// Starts the task and the threads; they end, and every stream with them, when `stop` is
    /// cancelled. Should one of them fail, it cancels `stop` itself.
    ///
    /// # Errors
    /// When the system has no room for the threads or their polls.
    pub fn start(store: Store, clock: Arc<Clock>, stop: CancellationToken) -> io::Result<Self> {
        let (ask, asked) = mpsc::unbounded_channel();
        let head = store.head();
        // What was committed before belongs to the snapshots of those who come.
        let applied = *head.borrow();
        let (epoch, metrics) = (store.epoch().clone(), Metrics::default());
        let inner = Arc::new(Inner { epoch, clock, started: Instant::now(), asked: ask, metrics });
        let open = TaskTracker::new();
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(REACTORS_MAX);
        let reactors = (0..count)
            .map(|number| reactor::start(format!("streams-{number}"), Arc::clone(&inner), open.token(), stop.clone()))
            .collect::<io::Result<Vec<_>>>()?;
        let audience = watch::Sender::default();
        let driver = Driver {
            hub: Hub::new(inner.epoch.clone(), applied),
            publisher: Publisher::new(applied),
            store,
            head,
            reactors: Reactors::new(reactors.clone()),
            reads: JoinSet::new(),
            reading_rows: false,
            rows_wanted: true,
            rows_not_before: Duration::ZERO,
            retries: VecDeque::new(),
            inner: Arc::clone(&inner),
            audience: audience.clone(),
            stop: stop.clone(),
        };
        open.spawn(or_stop(driver.run(asked), stop));
        Ok(Self(Arc::new(Shared { inner, reactors, next_session: AtomicU64::new(1), audience, open })))
    }

    /// Waits until every stream has ended after the server was told to stop.
    pub async fn drained(&self) {
        self.0.open.close();
        self.0.open.wait().await;
    }

    /// What is counted for monitors.
    pub fn metrics(&self) -> &Metrics {
        &self.0.inner.metrics
    }

    /// How many sessions follow how many topics.
    pub fn audience(&self) -> watch::Receiver<Audience> {
        self.0.audience.subscribe()
    }

    /// Takes over a socket whose request was answered with the head of a stream. `read` is what the
    /// client has sent since.
    pub fn enter(&self, socket: OwnedFd, head: Vec<u8>, read: Bytes, opened: Opened, pass: Pass) {
        let session = SessionId(self.0.next_session.fetch_add(1, Ordering::Relaxed));
        let entering = Entering { socket, head, read, opened, pass };
        if let Some(reactor) = self.0.reactors.get(place(session, self.0.reactors.len())) {
            reactor.hand_over(&mut vec![Order::Enter(session, Box::new(entering))]);
        }
    }
}

/// Runs what the streams cannot be without: if it panics, the server stops.
async fn or_stop(run: impl Future<Output = ()>, stop: CancellationToken) {
    if AssertUnwindSafe(run).catch_unwind().await.is_err() {
        error!("the task behind the live streams has failed: the server stops");
        stop.cancel();
    }
}

/// Which of `count` threads has the session.
fn place(session: SessionId, count: usize) -> usize {
    usize::try_from(session.0 % count.max(1) as u64).unwrap_or_default()
}

impl Inner {
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn event_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The frames with a mark as one run of bytes. Of a state only the latest is worth sending.
    pub(super) fn join(&self, frames: &[Shown], wire: Wire, marks: u64) -> Vec<u8> {
        let marked = || frames.iter().enumerate().filter(|(at, _)| marks >> at & 1 == 1).map(|(_, shown)| shown);
        let mut bytes = Vec::new();
        for (at, shown) in marked().enumerate() {
            let is_replaced = shown.frame.kind.lane_kind() == LaneKind::State
                && marked().skip(at + 1).any(|later| later.frame.replaces(&shown.frame));
            if !is_replaced {
                session::put(&mut bytes, shown, wire, &self.epoch);
            }
        }
        bytes
    }

    /// What a session is told about time, when everything up to `applied` was delivered to it.
    pub(super) fn tick(&self, applied: u64) -> Tick {
        Tick { applied, now: self.now(), event_now: self.clock.now(), clock_rate: self.clock.rate() }
    }

    pub(super) fn ask(&self, session: SessionId, asked: Asked) {
        // Without the task the server stops, and every thread has been told to end.
        drop(self.asked.send((session, asked)));
    }
}

/// The threads, as the task writes to them. Dropping it ends them: also when the task panics.
struct Reactors {
    inlets: Vec<Arc<Inlet>>,
    /// Not handed over yet, a vector for each thread.
    orders: Vec<Vec<Order>>,
    applied: u64,
}

impl Reactors {
    fn new(inlets: Vec<Arc<Inlet>>) -> Self {
        let orders = inlets.iter().map(|_| Vec::new()).collect();
        Self { inlets, orders, applied: 0 }
    }

    fn tell_one(&mut self, session: SessionId, order: Order) {
        let place = place(session, self.orders.len());
        if let Some(orders) = self.orders.get_mut(place) {
            orders.push(order);
        }
    }

    fn tell_all(&mut self, order: impl Fn() -> Order) {
        for orders in &mut self.orders {
            orders.push(order());
        }
    }

    /// Hands over what there is, and that everything up to `applied` stands before.
    fn hand_over(&mut self, applied: u64) {
        if applied != self.applied {
            self.applied = applied;
            self.tell_all(|| Order::Applied(applied));
        }
        for (inlet, orders) in self.inlets.iter().zip(&mut self.orders) {
            inlet.hand_over(orders);
        }
    }

    async fn have_room(&self) {
        for inlet in &self.inlets {
            inlet.has_room().await;
        }
    }
}

impl Drop for Reactors {
    fn drop(&mut self) {
        self.tell_all(|| Order::End);
        self.hand_over(self.applied);
    }
}

/// An answer of the store.
enum Answer {
    Rows(Vec<LogRow>),
    States(States),
    Opening(Topic, Opening, Timestamp),
    Floor(SessionId, u64),
    Replay { session: SessionId, after: u64, upto: u64, rows: Vec<LogRow> },
}

/// What was asked of the store.
#[derive(Clone)]
enum Read {
    Rows { after: u64 },
    States(Vec<StateLane>),
    Need(Need),
}

struct Driver {
    inner: Arc<Inner>,
    store: Store,
    head: watch::Receiver<u64>,
    publisher: Publisher,
    hub: Hub,
    reactors: Reactors,
    audience: watch::Sender<Audience>,
    stop: CancellationToken,
    reads: JoinSet<(Read, Result<Answer, Error>)>,
    reading_rows: bool,
    /// There may be rows after those applied.
    rows_wanted: bool,
    rows_not_before: Duration,
    /// Reads that failed, and when to try again.
    retries: VecDeque<(Duration, Need)>,
}

impl Driver {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<(SessionId, Asked)>) {
        let (stop, started) = (self.stop.clone(), self.inner.started);
        let mut head_lives = true;
        loop {
            self.work();
            let deadline = self.deadline();
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.head.changed(), if head_lives => {
                    // Without a writer no more rows come; streams stay until they are told to end.
                    head_lives = changed.is_ok();
                    self.rows_wanted = true;
                }
                Some(first) = asked.recv() => {
                    self.asked(first);
                    for _ in 1..REQUESTS_AT_ONCE {
                        let Ok(next) = asked.try_recv() else { break };
                        self.asked(next);
                    }
                }
                Some(joined) = self.reads.join_next() => match joined {
                    Ok((read, answer)) => self.answered(read, answer),
                    Err(error) => error!("a read for the live streams was lost: {error}"),
                },
                () = until(started, deadline) => {}
            }
            // Nothing piles up at a thread that is behind.
            self.reactors.have_room().await;
        }
        self.hub.close_all(close::RESUME);
        self.work();
        // Who was about to join is told to come back by the end of the threads.
    }

    /// Does whatever can be done now.
    fn work(&mut self) {
        self.hub.set_head(*self.head.borrow());
        let now = self.inner.now();
        for released in self.publisher.release(now) {
            self.hub.state(released);
        }
        self.deliver();
        self.reactors.hand_over(self.hub.applied());
        self.inner.metrics.published(self.hub.applied());
        let (sessions, topics) = self.hub.len();
        let audience = Audience { sessions, topics };
        self.audience.send_if_modified(|known| std::mem::replace(known, audience) != audience);
        if self.stop.is_cancelled() {
            return;
        }
        if self.rows_wanted && !self.reading_rows && now >= self.rows_not_before {
            self.rows_wanted = false;
            self.reading_rows = true;
            self.read(Read::Rows { after: self.publisher.applied() });
        }
        loop {
            let lanes = self.publisher.due(now, |lane| self.hub.follows(lane.topic));
            if lanes.is_empty() {
                break;
            }
            self.read(Read::States(lanes));
        }
        while self.retries.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, need)) = self.retries.pop_front()
                && self.hub.wants(&need)
            {
                self.read(Read::Need(need));
            }
        }
    }

    /// Hands out what the hub has to say.
    fn deliver(&mut self) {
        while let Some(output) = self.hub.output() {
            match output {
                Output::Need(need) => self.read(Read::Need(need)),
                Output::Deliver(session, delivery) => {
                    self.reactors.tell_one(session, Order::Deliver(session, delivery));
                }
                Output::Follow(session, topic) => self.reactors.tell_one(session, Order::Follow(session, topic)),
                Output::Unfollow(session, topic) => self.reactors.tell_one(session, Order::Unfollow(session, topic)),
                Output::Log(shown) => self.reactors.tell_all(|| Order::Log(shown.clone())),
                Output::State(shown) => self.reactors.tell_all(|| Order::State(shown.clone())),
            }
        }
    }

    fn asked(&mut self, (session, asked): (SessionId, Asked)) {
        match asked {
            Asked::Open(viewer, join) => self.hub.open(session, viewer, join),
            Asked::Request(request) => self.hub.request(session, request),
            Asked::Gone => self.hub.gone(session),
        }
    }

    /// Reads beside the task.
    fn read(&mut self, read: Read) {
        let store = self.store.clone();
        let clock = Arc::clone(&self.inner.clock);
        self.reads.spawn(async move {
            let answer = AssertUnwindSafe(answer(&store, &clock, read.clone())).catch_unwind().await;
            // A panic is a failed read like another: said, and tried again.
            let answer = answer.unwrap_or_else(|_| Err(Error::Internal("the read panicked".to_owned())));
            (read, answer)
        });
    }

    fn answered(&mut self, read: Read, answer: Result<Answer, Error>) {
        let now = self.inner.now();
        match answer {
            Ok(Answer::Rows(rows)) => self.rows(&rows, now),
            Ok(Answer::States(states)) => self.publisher.states(states),
            Ok(Answer::Opening(topic, opening, timestamp)) => self.hub.opening(topic, opening, timestamp),
            Ok(Answer::Floor(session, floor)) => self.hub.floor(session, floor),
            Ok(Answer::Replay { session, after, upto, rows }) => self.hub.replay(session, after, upto, &rows),
            Err(error) => self.failed(read, &error, now),
        }
    }

    fn rows(&mut self, rows: &[LogRow], now: Duration) {
        self.reading_rows = false;
        // A full page, or commits during the read: there is more.
        self.rows_wanted |= rows.len() >= ROWS_PER_READ;
        for row in rows {
            match self.publisher.row(row, now, |lane| self.hub.follows(lane.topic)) {
                Ok(Take::Next) => {
                    self.hub.row(row);
                    self.deliver();
                }
                Ok(Take::Known) => {}
                Err(gap) => {
                    error!(pos = gap.expected, "the change log has a hole: {gap}; reading it again");
                    self.rows_wanted = true;
                    self.rows_not_before = now + RETRY_INTERVAL;
                    return;
                }
            }
        }
    }

    /// Says so and tries again: no viewer misses anything because a read failed once.
    fn failed(&mut self, read: Read, error: &Error, now: Duration) {
        let again = now + RETRY_INTERVAL;
        match read {
            Read::Rows { after } => {
                error!(pos = after, "changes after {after} cannot be read: {error}; trying again");
                self.reading_rows = false;
                self.rows_wanted = true;
                self.rows_not_before = again;
            }
            Read::States(lanes) => {
                error!("the state of {} cannot be read: {error}; trying again", names(&lanes));
                self.publisher.failed(&lanes, now);
            }
            Read::Need(need) => {
                if self.hub.wants(&need) {
                    warn!("{} cannot be read: {error}; trying again", name(&need));
                    self.retries.push_back((again, need));
                }
            }
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let rows = (self.rows_wanted && !self.reading_rows).then_some(self.rows_not_before);
        let retry = self.retries.front().map(|(at, _)| *at);
        [rows, retry, self.publisher.deadline()].into_iter().flatten().min()
    }
}

async fn answer(store: &Store, clock: &Clock, read: Read) -> Result<Answer, Error> {
    match read {
        Read::Rows { after } => Ok(Answer::Rows(store.rows_after(after, ROWS_PER_READ).await?)),
        Read::States(lanes) => {
            let timestamp = clock.now();
            let (pos, lanes) = store.states(lanes, timestamp).await?;
            Ok(Answer::States(States { pos, timestamp, lanes }))
        }
        Read::Need(Need::Opening(topic)) => {
            let timestamp = clock.now();
            Ok(Answer::Opening(topic, store.opening(topic, timestamp).await?, timestamp))
        }
        Read::Need(Need::Floor { session, event }) => {
            Ok(Answer::Floor(session, store.replay_floor(event, real_now()).await?))
        }
        Read::Need(Need::Replay { session, topics, after, upto }) => {
            let rows = store.replay(topics, after, upto, PAGE_ROWS_MAX).await?;
            Ok(Answer::Replay { session, after, upto, rows })
        }
    }
}

fn name(need: &Need) -> String {
    match need {
        Need::Opening(topic) => format!("the current state of {topic}"),
        Need::Floor { event, .. } => format!("how far event {event} can be replayed"),
        Need::Replay { after, upto, .. } => format!("what a client missed between {after} and {upto}"),
    }
}

fn names(lanes: &[StateLane]) -> String {
    let names: Vec<_> = lanes.iter().map(|lane| format!("{} {}", lane.topic, lane.key).trim().to_owned()).collect();
    names.join(", ")
}

async fn until(started: Instant, deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => sleep_until(started + deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_without_its_streams_stops() {
        for (why, fails) in [("a panic", true), ("an end", false)] {
            let stop = CancellationToken::new();
            let run = async move { assert!(!fails, "the task fails") };
            or_stop(run, stop.clone()).await;
            assert_eq!(stop.is_cancelled(), fails, "{why}");
        }
    }
}
