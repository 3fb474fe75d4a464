//! Runs publisher and hub: the one task between the store and the connections.
//!
//! It is woken by commits, by requests of sessions and by deadlines, and never waits for anything
//! else: reads of the store run beside it and come back as answers, a session that cannot write
//! keeps its own backlog. A read that fails is logged and repeated; nothing is skipped.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use timely_core::cursor::Epoch;
use timely_core::live::close;
use timely_core::topic::{StateLane, Stream, Topic};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{error, warn};

use crate::clock::{Clock, real_now};
use crate::error::Error;
use crate::live::hub::{Delivery, Hub, Join, Need, Output, PAGE_ROWS_MAX, Request, SessionId, Viewer};
use crate::live::publisher::{Publisher, RETRY_INTERVAL, States, Take};
use crate::live::session::{About, Session, Speaks, Taken, Tick, Wire};
use crate::store::{LogRow, Opening, Store};

/// Change-log rows read at a time.
const ROWS_PER_READ: usize = 512;
/// Requests of sessions that wait for the task; a session waits when it is full.
const REQUESTS_MAX: usize = 1024;

/// The live side of a server; cheap to clone.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    epoch: Epoch,
    clock: Arc<Clock>,
    started: Instant,
    applied: AtomicU64,
    next_session: AtomicU64,
    requests: mpsc::Sender<(SessionId, Asked)>,
    /// Connections that ended: each is noted once, so there are never more than connections.
    gone: Mutex<Vec<SessionId>>,
    gone_some: Notify,
    audience: watch::Sender<Audience>,
    stop: CancellationToken,
    /// The task and every open stream.
    open: TaskTracker,
}

/// How much is being followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    pub sessions: usize,
    pub topics: usize,
}

/// What arrives at the task from a connection.
enum Asked {
    Open(Arc<Shared>, Viewer, Join),
    Request(Request),
}

/// A session between the task, which delivers, and its connection, which writes.
struct Shared {
    session: Mutex<Session>,
    wake: Notify,
    /// The connection was dropped.
    gone: AtomicBool,
    /// The hub has ended the stream.
    ended: CancellationToken,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("epoch", &self.0.epoch).finish_non_exhaustive()
    }
}

impl Live {
    /// Starts the task; it ends, and every stream with it, when `stop` is cancelled.
    pub fn start(store: Store, clock: Arc<Clock>, stop: CancellationToken) -> Self {
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let head = store.head();
        // What was committed before belongs to the snapshots of those who come.
        let applied = *head.borrow();
        let inner = Arc::new(Inner {
            epoch: store.epoch().clone(),
            clock,
            started: Instant::now(),
            applied: AtomicU64::new(applied),
            next_session: AtomicU64::new(1),
            requests,
            gone: Mutex::new(Vec::new()),
            gone_some: Notify::new(),
            audience: watch::Sender::default(),
            stop,
            open: TaskTracker::new(),
        });
        let driver = Driver {
            hub: Hub::new(inner.epoch.clone(), applied),
            publisher: Publisher::new(applied),
            store,
            head,
            sessions: HashMap::new(),
            reads: JoinSet::new(),
            reading_rows: false,
            rows_wanted: true,
            rows_not_before: Duration::ZERO,
            retries: VecDeque::new(),
            live: Arc::clone(&inner),
        };
        inner.open.spawn(driver.run(asked));
        Self(inner)
    }

    /// Waits until every stream has ended after the server was told to stop.
    pub async fn drained(&self) {
        self.0.open.close();
        self.0.open.wait().await;
    }

    /// How many sessions follow how many topics.
    pub fn audience(&self) -> watch::Receiver<Audience> {
        self.0.audience.subscribe()
    }

    /// Prepares a connection; it joins when it is first asked for something to write.
    pub fn connect(
        &self,
        wire: Wire,
        speaks: Speaks,
        (viewer, about): (Viewer, About),
        offers: Vec<Stream>,
        join: Join,
    ) -> Connection {
        let id = SessionId(self.0.next_session.fetch_add(1, Ordering::Relaxed));
        let session = Session::new(wire, speaks, about, offers, self.0.epoch.clone(), self.0.now(), id.0);
        let shared = Arc::new(Shared {
            session: Mutex::new(session),
            wake: Notify::new(),
            gone: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        Connection {
            id,
            asking: VecDeque::from([Asked::Open(Arc::clone(&shared), viewer, join)]),
            shared,
            reads: true,
            live: Arc::clone(&self.0),
            open: self.0.open.token(),
        }
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn tick(&self) -> Tick {
        Tick {
            // Read before the session is locked: everything up to here has been delivered to it.
            applied: self.applied.load(Ordering::Acquire),
            now: self.now(),
            event_now: self.clock.now(),
            clock_rate: self.clock.rate(),
        }
    }
}

impl Shared {
    fn session(&self) -> MutexGuard<'_, Session> {
        // A panic while it was locked ends that connection; the others go on.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream. Dropping it leaves every topic.
pub struct Connection {
    id: SessionId,
    shared: Arc<Shared>,
    /// Not handed to the task yet.
    asking: VecDeque<Asked>,
    /// What [`Connection::takes_commands`] said last.
    reads: bool,
    live: Arc<Inner>,
    open: TaskTrackerToken,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Connection {
    /// Waits until there is something to write, commands are taken again, or the stream ends. May be
    /// dropped and called again without losing anything.
    pub async fn next(&mut self) -> Taken {
        loop {
            while !self.asking.is_empty() {
                match self.live.requests.reserve().await {
                    Ok(permit) => {
                        if let Some(asked) = self.asking.pop_front() {
                            permit.send((self.id, asked));
                        }
                    }
                    // The task has ended: the server stops.
                    Err(_) => return Taken { close: Some(close::RESUME), ..Taken::default() },
                }
            }
            let tick = self.live.tick();
            let (mut taken, deadline, reads) = {
                let mut session = self.shared.session();
                (session.take(&tick), session.deadline(), session.takes_commands())
            };
            self.asking.extend(taken.requests.drain(..).map(Asked::Request));
            if !taken.is_empty() || (reads && !self.reads && self.asking.is_empty()) {
                return taken;
            }
            if self.asking.is_empty() {
                tokio::select! {
                    () = self.shared.wake.notified() => {}
                    () = sleep_until(self.live.started + deadline) => {}
                    // The task closes every session before it ends; without it nobody would.
                    () = self.live.requests.closed() => {
                        return Taken { close: Some(close::RESUME), ..Taken::default() };
                    }
                }
            }
        }
    }

    /// Whether the session takes another command now.
    pub fn takes_commands(&mut self) -> bool {
        self.reads = self.asking.is_empty() && self.shared.session().takes_commands();
        self.reads
    }

    /// Keeps the server from ending before a last word was said, once the connection is dropped.
    pub fn last_word(&self) -> TaskTrackerToken {
        self.open.clone()
    }

    /// Waits until the stream was ended from this side.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        self.shared.ended.clone().cancelled_owned()
    }

    /// The client said something; `None` for a message that is no command, such as a pong.
    pub fn heard(&self, said: Option<&str>) {
        let mut session = self.shared.session();
        session.heard();
        if let Some(text) = said {
            session.text(text);
        }
    }

    /// The client sent a binary message.
    pub fn heard_binary(&self) {
        let mut session = self.shared.session();
        session.heard();
        session.binary();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The mark first: the task looks at it when it gets to an `Open` that is still on its way.
        self.shared.gone.store(true, Ordering::Release);
        self.live.gone.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
        self.live.gone_some.notify_one();
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
    live: Arc<Inner>,
    store: Store,
    head: watch::Receiver<u64>,
    publisher: Publisher,
    hub: Hub,
    sessions: HashMap<SessionId, Arc<Shared>>,
    reads: JoinSet<(Read, Result<Answer, Error>)>,
    reading_rows: bool,
    /// There may be rows after those applied.
    rows_wanted: bool,
    rows_not_before: Duration,
    /// Reads that failed, and when to try again.
    retries: VecDeque<(Duration, Need)>,
}

impl Driver {
    async fn run(mut self, mut asked: mpsc::Receiver<(SessionId, Asked)>) {
        let live = Arc::clone(&self.live);
        let mut head_lives = true;
        loop {
            self.work();
            let deadline = self.deadline();
            tokio::select! {
                () = live.stop.cancelled() => break,
                changed = self.head.changed(), if head_lives => {
                    // Without a writer no more rows come; streams stay until they are told to end.
                    head_lives = changed.is_ok();
                    self.rows_wanted = true;
                }
                () = live.gone_some.notified() => {}
                Some(first) = asked.recv() => {
                    self.asked(first);
                    for _ in 1..REQUESTS_MAX {
                        let Ok(next) = asked.try_recv() else { break };
                        self.asked(next);
                    }
                }
                Some(joined) = self.reads.join_next() => match joined {
                    Ok((read, answer)) => self.answered(read, answer),
                    Err(error) => error!("a read for the live streams was lost: {error}"),
                },
                () = until(live.started, deadline) => {}
            }
        }
        self.hub.close_all(close::RESUME);
        self.work();
        // Connections that were about to join learn from the closed channel.
    }

    /// Does whatever can be done now.
    fn work(&mut self) {
        let gone = std::mem::take(&mut *self.live.gone.lock().unwrap_or_else(PoisonError::into_inner));
        for session in gone {
            self.sessions.remove(&session);
            self.hub.gone(session);
        }
        self.hub.set_head(*self.head.borrow());
        let now = self.live.now();
        for released in self.publisher.release(now) {
            self.hub.state(released);
        }
        self.deliver();
        // Only now: who reads this may conclude that everything up to here was delivered.
        self.live.applied.store(self.hub.applied(), Ordering::Release);
        let (sessions, topics) = self.hub.len();
        let audience = Audience { sessions, topics };
        self.live.audience.send_if_modified(|known| std::mem::replace(known, audience) != audience);
        if self.live.stop.is_cancelled() {
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
        let event_now = self.live.clock.now();
        while let Some(output) = self.hub.output() {
            match output {
                Output::Need(need) => self.read(Read::Need(need)),
                Output::Deliver(session, delivery) => {
                    let is_last = matches!(delivery, Delivery::Closed(_));
                    if let Some(shared) = self.sessions.get(&session) {
                        shared.session().deliver(delivery, event_now);
                        shared.wake.notify_one();
                    }
                    if is_last && let Some(shared) = self.sessions.remove(&session) {
                        shared.ended.cancel();
                    }
                }
            }
        }
    }

    fn asked(&mut self, (session, asked): (SessionId, Asked)) {
        match asked {
            Asked::Open(shared, viewer, join) => {
                if shared.gone.load(Ordering::Acquire) {
                    return;
                }
                self.sessions.insert(session, shared);
                self.hub.open(session, viewer, join);
            }
            Asked::Request(request) => self.hub.request(session, request),
        }
    }

    /// Reads beside the task.
    fn read(&mut self, read: Read) {
        let store = self.store.clone();
        let clock = Arc::clone(&self.live.clock);
        self.reads.spawn(async move {
            let answer = AssertUnwindSafe(answer(&store, &clock, read.clone())).catch_unwind().await;
            // A panic is a failed read like another: said, and tried again.
            let answer = answer.unwrap_or_else(|_| Err(Error::Internal("the read panicked".to_owned())));
            (read, answer)
        });
    }

    fn answered(&mut self, read: Read, answer: Result<Answer, Error>) {
        let now = self.live.now();
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
                    // Sessions are given their frames row by row, so that none piles up here.
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
