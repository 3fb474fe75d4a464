//! The live stream of an event or a team: connect, apply the client's rule, reconnect, go on.
//!
//! A [`Subscription`] gives every change once and in order as long as the server can; when it cannot
//! (`recovered: false`), the current state follows. It never gives up by itself: only the server's
//! final word (a refusal, or close codes 4000 to 4099) ends it. What is shown meanwhile is left to
//! its owner, who hears of every loss.
//!
//! Connections are tried in rounds: the transport that worked last, a WebSocket at first, and at once
//! the other one if something on the way blocks it. Between rounds there is a wait with full jitter. On
//! SSE a WebSocket is tried beside the running stream each minute (sooner where one has worked before),
//! and takes over once it speaks.

mod address;
mod failure;
mod pace;
mod rule;
mod sse;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wire;
mod ws;

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use timely_core::cursor::Cursor;
use timely_core::id::{EventId, TeamId};
use timely_core::live::Control;
use timely_core::topic::Stream;
use tokio::time::{Instant, sleep_until};

pub use crate::live::rule::{Header, Message, Rule, Said};

use crate::client::Client;
use crate::error::Error;
use crate::live::failure::{Cut, Failure, Passing};
use crate::live::pace::Pace;
use crate::live::wire::{Connection, Heard, Wire};

/// The server says `status` every 5 s; without a word for so long the connection is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Without a word for so long, what is shown is stale: two `status` are missing.
pub const STALE_AFTER: Duration = Duration::from_secs(12);
/// Largest message that is read: a whole schedule of thousands of fixtures.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Event(EventId),
    Team(TeamId),
}

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What the guide describes. There is no heartbeat: a silent connection is taken as it is.
    V1,
    /// With cursor, `live`, `resync` and `status`.
    V2,
}

/// How the messages travel; they are the same on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    /// Server-Sent Events: gets through wherever HTTP does.
    Sse,
}

impl Transport {
    const fn other(self) -> Self {
        match self {
            Self::WebSocket => Self::Sse,
            Self::Sse => Self::WebSocket,
        }
    }
}

/// A word that is neither.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a transport; use ws or sse")]
pub struct InvalidTransport(String);

impl FromStr for Transport {
    type Err = InvalidTransport;

    fn from_str(text: &str) -> Result<Self, InvalidTransport> {
        match text {
            "ws" => Ok(Self::WebSocket),
            "sse" => Ok(Self::Sse),
            other => Err(InvalidTransport(other.to_owned())),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "ws",
            Self::Sse => "sse",
        })
    }
}

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub about: About,
    /// None: the changes of the event or team itself over a WebSocket; SSE has no such stream and
    /// brings everything.
    pub streams: Vec<Stream>,
    /// Everything after this is wanted; `None` starts with the current state.
    pub since: Option<Cursor>,
    pub version: Version,
    /// The one transport to use; `None` is WebSocket, and SSE where that is blocked.
    pub only: Option<Transport>,
}

/// What a subscription has to tell.
#[derive(Clone, Debug)]
pub enum Update {
    /// A connection stands and the server speaks over it: its first message follows.
    Open(Transport),
    /// News. Frames that the client has are left out.
    Message(Message),
    /// How long the server took to answer over a WebSocket; at most once per `status`.
    RoundTrip(Duration),
    /// Nothing was heard for [`STALE_AFTER`], connected or not; told once per silence. Only where the
    /// server says `status`, and only after something was heard at all.
    Stale { age: Duration },
    /// The connection is lost, or was not made; it is tried again by itself.
    Lost {
        cause: String,
        /// The how-manieth failure in a row.
        failures: u32,
        retry_in: Duration,
    },
}

/// A try to connect: its own, so that it goes on while its owner is dropped and polled again.
type Attempt = Pin<Box<dyn Future<Output = Result<Connection, Failure>> + Send>>;

/// A stream that goes on where it was after every cut.
pub struct Subscription {
    client: Client,
    target: Target,
    pace: Pace,
    rule: Rule,
    link: Link,
    /// What a round starts with: the transport that worked last.
    prefers: Transport,
    /// A WebSocket has worked here: one that fails is not blocked for ever.
    knows_websocket: bool,
    failures: u32,
    heard: Option<Instant>,
    told_stale: bool,
}

enum Link {
    Waiting(Instant),
    // Kept across calls: a caller with a timer must not start the handshake again with every tick.
    Connecting {
        transport: Transport,
        attempt: Attempt,
        /// Why the other transport failed in this round, if it was tried.
        before: Option<Passing>,
    },
    Open(Box<Open>),
    /// The server has said its last word.
    Ended(Error),
}

/// A connection over which the server speaks.
struct Open {
    wire: Wire,
    /// The message that showed it, until it is told.
    first: Option<Message>,
    /// More than the first message came.
    has_worked: bool,
    probe: Probe,
}

/// The search for a WebSocket beside a running SSE stream.
enum Probe {
    Never,
    Due(Instant),
    Running(Attempt),
}

/// What happens next to a link.
enum Step {
    Ended(Error),
    /// The wait is over.
    Due,
    Tried(Result<Connection, Failure>),
    /// The message that came with the connection.
    First(Message),
    Heard(Heard),
    Lost(Cut),
    /// The connection stands and nothing is heard over it.
    Silent,
    ProbeDue,
    Probed(Result<Connection, Failure>),
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("target", &self.target)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// A subscription that connects with the first [`Subscription::next`].
    pub fn new(client: &Client, target: Target) -> Self {
        Self::with_pace(client, target, Pace::default())
    }

    fn with_pace(client: &Client, target: Target, pace: Pace) -> Self {
        let rule = Rule::from(target.since.clone());
        let prefers = target.only.unwrap_or(Transport::WebSocket);
        let link = Link::Waiting(Instant::now());
        let client = client.clone();
        let (heard, told_stale) = (None, false);
        Self { client, target, pace, rule, link, prefers, knows_websocket: false, failures: 0, heard, told_stale }
    }

    /// Everything up to here was given out: where another subscription would go on.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.rule.cursor()
    }

    /// Whether messages can arrive now.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// Time since the last message, whichever way it came; `None` before the first.
    pub fn age(&self) -> Option<Duration> {
        self.heard.map(|heard| heard.elapsed())
    }

    /// Tries at once instead of at the end of the wait.
    pub fn retry_now(&mut self) {
        if let Link::Waiting(until) = &mut self.link {
            *until = Instant::now();
        }
    }

    /// The next thing to know. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Closed`] when the server does not want this viewer (any more),
    /// [`Error::Protocol`] when it speaks something else; the same again from then on.
    pub async fn next(&mut self) -> Result<Update, Error> {
        loop {
            // All that is under way is kept in the link: whatever is dropped at this await goes on
            // with the next call. What a step brings is dealt with before anything else is awaited.
            let (stale_at, silent_at) = (self.stale_at(), self.silent_at());
            let step = tokio::select! {
                // What has arrived counts before what is late: the owner may have been busy.
                biased;
                step = self.link.step(silent_at) => Some(step),
                () = until(stale_at) => None,
            };
            let update = match step {
                Some(step) => self.take(step)?,
                None => self.stale(),
            };
            if let Some(update) = update {
                return Ok(update);
            }
        }
    }

    fn take(&mut self, step: Step) -> Result<Option<Update>, Error> {
        match step {
            Step::Ended(error) => Err(error),
            Step::Due => {
                self.try_over(self.prefers, None);
                Ok(None)
            }
            Step::Tried(Ok(connection)) | Step::Probed(Ok(connection)) => Ok(Some(self.connected(connection))),
            Step::Tried(Err(failure)) => self.failed(failure),
            Step::First(message) => Ok(self.hear(message)),
            Step::Heard(Heard::Text(text)) => match wire::understand(&self.client, text) {
                Ok(message) => Ok(self.hear(message)),
                Err(error) => self.end(error),
            },
            Step::Heard(Heard::RoundTrip(time)) => Ok(Some(Update::RoundTrip(time))),
            Step::Lost(cut) => self.lost(cut).map(Some),
            Step::Silent => {
                let silence = format!("nothing heard for {} s", self.pace.silence_max.as_secs());
                self.lost(Cut::Broken(silence)).map(Some)
            }
            Step::ProbeDue => {
                let attempt = self.attempt(Transport::WebSocket, self.pace.last_try);
                self.probe(Probe::Running(attempt));
                Ok(None)
            }
            // Changes nothing, whatever the cause: the stream that runs is the proof that the server
            // still wants this viewer.
            Step::Probed(Err(_)) => {
                self.probe(Probe::Due(Instant::now() + self.pace.probe_every));
                Ok(None)
            }
        }
    }

    /// Starts a try. The first of a round is given up soon, because another may do better.
    fn try_over(&mut self, transport: Transport, before: Option<Passing>) {
        let is_last = before.is_some() || self.target.only.is_some();
        let attempt = self.attempt(transport, if is_last { self.pace.last_try } else { self.pace.first_try });
        self.link = Link::Connecting { transport, attempt, before };
    }

    fn attempt(&self, transport: Transport, patience: Duration) -> Attempt {
        let (client, target, since) = (self.client.clone(), self.target.clone(), self.rule.cursor().cloned());
        Box::pin(wire::connect(client, target, transport, since, patience))
    }

    /// Goes over to a new connection. One that runs is dropped: what it still had to say comes over the
    /// new one too, which starts from a cursor that lies before it.
    fn connected(&mut self, Connection { wire, first }: Connection) -> Update {
        let transport = wire.transport();
        self.prefers = transport;
        let probe = if transport == Transport::Sse && self.target.only.is_none() {
            let wait = if self.knows_websocket { self.pace.probe_soon } else { self.pace.probe_every };
            Probe::Due(Instant::now() + wait)
        } else {
            Probe::Never
        };
        // Heard just now: the silence of this connection starts here, not with the one before.
        self.heard = Some(Instant::now());
        self.told_stale = false;
        self.link = Link::Open(Box::new(Open { wire, first: Some(first), has_worked: false, probe }));
        Update::Open(transport)
    }

    fn failed(&mut self, failure: Failure) -> Result<Option<Update>, Error> {
        let Link::Connecting { transport, before, .. } = &mut self.link else { return Ok(None) };
        let (transport, before) = (*transport, before.take());
        let failure = match failure {
            // A common proxy takes the upgrade out of the request, and the server then finds fault with
            // what is left. Asked the same over SSE, it says whether it was that.
            Failure::Final(Error::Refused(problem))
                if problem.status == 400 && transport == Transport::WebSocket && self.target.only.is_none() =>
            {
                Failure::blocked(problem.detail)
            }
            failure => failure,
        };
        match (failure, before) {
            (Failure::Final(error), _) => self.end(error),
            (Failure::Blocked(passing), None) if self.target.only.is_none() => {
                self.try_over(transport.other(), Some(passing));
                Ok(None)
            }
            (Failure::Blocked(passing), Some(before)) if before.cause != passing.cause => {
                let other = transport.other();
                let cause = format!("{other}: {}; {transport}: {}", before.cause, passing.cause);
                let retry_after = before.retry_after.max(passing.retry_after);
                Ok(Some(self.wait(Passing { cause, retry_after })))
            }
            (Failure::Blocked(passing) | Failure::Busy(passing), _) => Ok(Some(self.wait(passing))),
        }
    }

    fn hear(&mut self, message: Message) -> Option<Update> {
        self.heard = Some(Instant::now());
        self.told_stale = false;
        let is_status = matches!(message.said, Said::Control(Control::Status { .. }));
        if let Link::Open(open) = &mut self.link {
            open.has_worked |= !matches!(message.said, Said::Control(Control::Connected { .. }));
            self.knows_websocket |= open.has_worked && open.wire.transport() == Transport::WebSocket;
            if is_status {
                open.wire.ping();
            }
        }
        let is_news = self.rule.apply(&message);
        // A change, or a connection that has lasted: the next failure is a first one again. Not before:
        // a server that greets, tells what is known and hangs up must not be asked in a tight loop.
        if is_status || (is_news && matches!(message.said, Said::Data(_))) {
            self.failures = 0;
        }
        is_news.then_some(Update::Message(message))
    }

    fn lost(&mut self, cut: Cut) -> Result<Update, Error> {
        match cut {
            Cut::Closed(code @ 4000..=4099) => self.end(Error::Closed { code, reason: failure::reason(code) }),
            // Meant to be resumed at once; but one that closes each time is backed off from.
            Cut::Closed(code @ 4200..=4299) if self.failures == 0 => {
                self.failures = 1;
                self.link = Link::Waiting(Instant::now());
                let cause = format!("the server asked to connect again (code {code})");
                Ok(Update::Lost { cause, failures: 1, retry_in: Duration::ZERO })
            }
            Cut::Closed(code @ 4100..=4299) => Ok(self.wait(failure::closed(code).into())),
            Cut::Closed(_) | Cut::Broken(_) => {
                let has_worked = matches!(&self.link, Link::Open(open) if open.has_worked);
                if !has_worked && self.target.only.is_none() {
                    // A greeting and then nothing: as good as blocked.
                    self.prefers = self.prefers.other();
                }
                let cause = match cut {
                    Cut::Closed(code) => failure::closed(code),
                    Cut::Broken(cause) => cause,
                };
                Ok(self.wait(cause.into()))
            }
        }
    }

    fn wait(&mut self, Passing { cause, retry_after }: Passing) -> Update {
        self.failures = self.failures.saturating_add(1);
        let retry_in = self.pace.wait(self.failures, retry_after);
        self.link = Link::Waiting(Instant::now() + retry_in);
        Update::Lost { cause, failures: self.failures, retry_in }
    }

    fn end<T>(&mut self, error: Error) -> Result<T, Error> {
        self.link = Link::Ended(error.clone());
        Err(error)
    }

    fn probe(&mut self, next: Probe) {
        if let Link::Open(open) = &mut self.link {
            open.probe = next;
        }
    }

    fn stale(&mut self) -> Option<Update> {
        self.told_stale = true;
        self.age().map(|age| Update::Stale { age })
    }

    /// When silence is to be told. A version 1 server has no heartbeat: its silence says nothing.
    fn stale_at(&self) -> Option<Instant> {
        let is_told = self.told_stale || self.target.version == Version::V1 || matches!(self.link, Link::Ended(_));
        if is_told { None } else { self.heard.map(|heard| heard + self.pace.stale_after) }
    }

    /// When a connection that stands is taken for dead.
    fn silent_at(&self) -> Option<Instant> {
        match self.target.version {
            Version::V1 => None,
            Version::V2 => self.heard.map(|heard| heard + self.pace.silence_max),
        }
    }
}

impl Link {
    /// What happens next. Cancelling loses nothing: all state is in the link.
    async fn step(&mut self, silent_at: Option<Instant>) -> Step {
        match self {
            Self::Ended(error) => Step::Ended(error.clone()),
            Self::Waiting(until) => {
                sleep_until(*until).await;
                Step::Due
            }
            Self::Connecting { attempt, .. } => Step::Tried(attempt.await),
            Self::Open(open) => {
                let Open { wire, first, probe, .. } = &mut **open;
                if let Some(first) = first.take() {
                    return Step::First(first);
                }
                tokio::select! {
                    biased;
                    heard = wire.next() => match heard {
                        Ok(heard) => Step::Heard(heard),
                        Err(cut) => Step::Lost(cut),
                    },
                    step = probe.step() => step,
                    () = until(silent_at) => Step::Silent,
                }
            }
        }
    }
}

impl Probe {
    async fn step(&mut self) -> Step {
        match self {
            Self::Never => pending().await,
            Self::Due(at) => {
                sleep_until(*at).await;
                Step::ProbeDue
            }
            Self::Running(attempt) => Step::Probed(attempt.await),
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}

/// The time of the event: that of the server, simulated in a demo.
///
/// # Errors
/// As any read.
pub async fn event_time(client: &Client, event: EventId) -> Result<Timestamp, Error> {
    let target =
        Target { about: About::Event(event), streams: Vec::new(), since: None, version: Version::V1, only: None };
    let unreachable = |cause| Error::Unreachable { address: client.address().to_owned(), cause };
    let mut subscription = Subscription::new(client, target);
    loop {
        match subscription.next().await? {
            Update::Message(Message { said: Said::Control(Control::Connected { timestamp, .. }), .. }) => {
                return Ok(timestamp);
            }
            Update::Message(_) => return Err(unreachable("it did not say what time it is".to_owned())),
            Update::Lost { cause, .. } => return Err(unreachable(cause)),
            Update::Open(_) | Update::RoundTrip(_) | Update::Stale { .. } => {}
        }
    }
}
