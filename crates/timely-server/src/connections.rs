//! Takes connections until told to stop, lets them end, and ends those that do not.
//!
//! What is said on a connection is the router's. A connection whose answer is a stream leaves HTTP
//! here, after every layer has seen and shaped that answer: the live side gets the plain socket, with
//! the head of the answer still to be written, and ends it.

use std::future::{pending, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, Request, StatusCode, header, response};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::clock::real_now;
use crate::config::HEADER_TIMEOUT;
use crate::gate::{Gate, Pass};
use crate::live::Live;
use crate::live::driver::Opened;
use crate::live::reactor::STALL_TIMEOUT;

/// How long to wait when the process has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How often it is said that connections are refused, while they are.
const REFUSALS_SAID_EVERY: Duration = Duration::from_mins(1);

/// Bytes that may wait in the kernel unsent: what a viewer who does not read can pin there.
const UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// In a request: its connection can leave HTTP. Absent where the answer has no body to follow.
#[derive(Clone, Copy, Debug)]
pub struct MayLeave;

/// In an answer: a stream follows its head, and the connection leaves HTTP with it.
#[derive(Clone, Debug)]
pub struct Leaves(pub Opened);

/// The open connections of a server.
#[derive(Clone, Debug)]
pub struct Connections {
    live: Live,
    gate: Arc<Gate>,
    header_timeout: Duration,
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Connections {
    /// None yet. `gate` lets them in, and those that become streams go to `live`.
    pub fn new(live: Live, gate: Arc<Gate>) -> Self {
        Self { live, gate, header_timeout: HEADER_TIMEOUT, tasks: TaskTracker::new(), cut: CancellationToken::new() }
    }

    /// Accepts until `stop`; from then on open connections finish the request they are at.
    pub async fn accept(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        // Accepted sockets inherit both: no system call a connection.
        let socket = SockRef::from(&listener);
        // Frames are small and must leave at once.
        if let Err(error) = socket.set_tcp_nodelay(true) {
            warn!("connections cannot be set to send at once: {error}");
        }
        if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            warn!("what slow viewers hold in the kernel cannot be bounded: {error}");
        }
        let mut refusals = Refusals { started: Instant::now(), said: None, count: 0 };
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let pass = match self.gate.admit(peer.ip(), refusals.started.elapsed()) {
                        Ok(pass) => pass,
                        Err(refusal) => {
                            // Closed unheard: to answer would take what there is too little of.
                            refusals.note(&format!("{refusal:?} ({})", peer.ip()));
                            continue;
                        }
                    };
                    // Those who come too fast wait in the kernel's queue.
                    while let Err(wait) = self.gate.turn(refusals.started.elapsed()) {
                        tokio::select! {
                            () = stop.cancelled() => break,
                            () = sleep(wait) => {}
                        }
                    }
                    let visit = Visit { pass, live: self.live.clone(), header_timeout: self.header_timeout };
                    self.tasks.spawn(converse(stream, router.clone(), visit, stop.clone(), self.cut.clone()));
                }
                Err(error) if is_of_one_client(&error) => debug!("a client left before it was served: {error}"),
                Err(error) => {
                    warn!("cannot accept a connection ({error}); trying again in {} s", ACCEPT_PAUSE.as_secs());
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        self.tasks.close();
    }

    /// Waits until every connection has ended; they end after `stop`.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }

    /// Ends what is still open, in the middle of whatever it does.
    pub async fn cut(&self) {
        self.cut.cancel();
        self.tasks.wait().await;
    }
}

/// Tells of refused connections without a line for each.
struct Refusals {
    started: Instant,
    said: Option<Instant>,
    count: u64,
}

impl Refusals {
    fn note(&mut self, last: &str) {
        self.count += 1;
        if self.said.is_none_or(|said| said.elapsed() >= REFUSALS_SAID_EVERY) {
            warn!("{} connections refused because there are too many; the last: {last}", self.count);
            self.said = Some(Instant::now());
            self.count = 0;
        }
    }
}

/// What a connection takes with it.
struct Visit {
    pass: Pass,
    live: Live,
    header_timeout: Duration,
}

async fn converse(stream: TcpStream, router: Router, visit: Visit, stop: CancellationToken, cut: CancellationToken) {
    let Visit { pass, live, header_timeout } = visit;
    let exit = Arc::new(Exit::default());
    let service = {
        let (exit, router) = (Arc::clone(&exit), TowerToHyperService::new(router));
        service_fn(move |mut request: Request<Incoming>| {
            // The answer to a HEAD ends with its head.
            if request.method() == Method::GET {
                request.extensions_mut().insert(MayLeave);
            }
            let (answer, exit) = (router.call(request), Arc::clone(&exit));
            async move {
                let mut response = answer.await?;
                if let Some(Leaves(opened)) = response.extensions_mut().remove() {
                    *exit.leaving() = Some((opened, response.into_parts().0));
                    // HTTP never sees this answer: the connection is taken away before.
                    return pending().await;
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        })
    };
    let io = Watched { io: TokioIo::new(stream), exit: Arc::clone(&exit), patience: STALL_TIMEOUT, stall: None };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(io, service)
        // Not for upgrades: it is what lets a connection be taken apart.
        .with_upgrades();
    let mut ended = tokio::select! {
        ended = left(&mut connection, &exit) => Some(ended),
        () = stop.cancelled() => None,
    };
    if ended.is_none() {
        Pin::new(&mut connection).graceful_shutdown();
        ended = tokio::select! {
            // Also a stream that was asked for just now: it must not wait here for an answer that is none.
            ended = left(&mut connection, &exit) => Some(ended),
            () = cut.cancelled() => None,
        };
    }
    let Some(ended) = ended else { return };
    match ended {
        Ok(None) => {}
        Ok(Some((opened, head))) => {
            let Some(parts) = connection.into_parts() else { return };
            match parts.io.io.into_inner().into_std() {
                Ok(socket) => live.enter(OwnedFd::from(socket), written(&head), parts.read_buf, opened, pass),
                Err(error) => warn!("a stream cannot leave HTTP and is not opened: {error}"),
            }
        }
        Err(error) => debug!("a connection ended early: {error}"),
    }
}

/// Drives a connection until it has ended or leaves HTTP.
async fn left<C>(connection: &mut C, exit: &Exit) -> hyper::Result<Option<(Opened, response::Parts)>>
where
    C: Future<Output = hyper::Result<()>> + Unpin,
{
    poll_fn(|context| {
        let polled = Pin::new(&mut *connection).poll(context);
        if polled.is_pending() && exit.is_unsent.load(Ordering::Relaxed) {
            // Earlier answers first; the socket wakes this when it takes more.
            return Poll::Pending;
        }
        match exit.leaving().take() {
            Some(leaving) => Poll::Ready(Ok(Some(leaving))),
            None => polled.map(|ended| ended.map(|()| None)),
        }
    })
    .await
}

/// The way out of HTTP.
#[derive(Default)]
struct Exit {
    leaving: Mutex<Option<(Opened, response::Parts)>>,
    /// The last write did not go through: bytes of earlier answers still wait.
    is_unsent: AtomicBool,
}

impl Exit {
    fn leaving(&self) -> MutexGuard<'_, Option<(Opened, response::Parts)>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head of an answer, as HTTP/1.1 has it; what follows ends with the connection.
fn written(head: &response::Parts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let reason = head.status.canonical_reason().unwrap_or_default();
    bytes.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\n", head.status.as_str()).as_bytes());
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&real_now());
    let date = date.ok().and_then(|date| HeaderValue::try_from(date).ok());
    let close = (head.status != StatusCode::SWITCHING_PROTOCOLS).then(|| HeaderValue::from_static("close"));
    // The length was that of the body that is none.
    let kept = head.headers.iter().filter(|(name, _)| {
        let is_of_body = **name == header::CONTENT_LENGTH || **name == header::TRANSFER_ENCODING;
        !(is_of_body || **name == header::CONNECTION && close.is_some())
    });
    let added = [(&header::DATE, date.as_ref()), (&header::CONNECTION, close.as_ref())];
    for (name, value) in kept.chain(added.into_iter().filter_map(|(name, value)| Some((name, value?)))) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A socket that notes whether its last write was refused, and gives up a client that takes nothing.
struct Watched<S> {
    io: TokioIo<S>,
    exit: Arc<Exit>,
    /// How long the socket may take nothing.
    patience: Duration,
    /// Runs while the socket takes nothing: HTTP itself would wait for ever.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    fn note<T>(&mut self, polled: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.exit.is_unsent.store(polled.is_pending(), Ordering::Relaxed);
        if polled.is_ready() {
            self.stall = None;
            return polled;
        }
        let patience = self.patience;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(patience)));
        stall.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Read for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.note(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Whether the failure concerns nobody but the client that was about to be accepted.
fn is_of_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn open(address: std::net::SocketAddr, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// What the server says until it closes; a reset is an end too.
    async fn heard(mut stream: TcpStream) -> String {
        let mut text = Vec::new();
        if let Err(error) = stream.read_to_end(&mut text).await {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(text).unwrap()
    }

    /// A server of `router` with a header timeout of `header_timeout` and a gate for `connections_max`.
    struct Serving {
        connections: Connections,
        address: std::net::SocketAddr,
        stop: CancellationToken,
        accepting: tokio::task::JoinHandle<()>,
        _directory: tempfile::TempDir,
    }

    impl Serving {
        async fn start(router: Router, connections_max: usize, header_timeout: Duration) -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let stop = CancellationToken::new();
            let directory = tempfile::tempdir().unwrap();
            let store = crate::store::Store::open(directory.path(), crate::store::StoreOptions::default()).unwrap();
            let clock = Arc::new(crate::clock::Clock::real());
            let live = Live::start(store, clock, stop.clone()).unwrap();
            let gate = Gate::new(connections_max, false);
            let connections = Connections { header_timeout, ..Connections::new(live, gate) };
            let accepting = tokio::spawn(connections.clone().accept(listener, router, stop.clone()));
            Self { connections, address, stop, accepting, _directory: directory }
        }
    }

    /// A handler that notes when it has begun, waits, and answers with a stream of no event.
    fn stream_after(begun: &Arc<tokio::sync::Semaphore>, released: &CancellationToken) -> axum::routing::MethodRouter {
        let (begun, released) = (Arc::clone(begun), released.clone());
        get(async move || {
            begun.add_permits(1);
            released.cancelled().await;
            let viewer = crate::live::hub::Viewer {
                actor: None,
                event: timely_core::id::EventId(1),
                team: None,
                visibility: timely_core::event::Visibility::Public,
                judged_at: 0,
                boards: crate::live::hub::Boards::Apart,
            };
            let join =
                crate::live::hub::Join { streams: Vec::new(), base: crate::live::hub::Base::Follow, since: None };
            let opened = Opened {
                wire: crate::live::session::Wire::Sse,
                speaks: crate::live::session::Speaks::V1,
                viewer,
                about: crate::live::session::About::Event(timely_core::id::EventId(1)),
                offers: Vec::new(),
                join,
            };
            let mut response = axum::response::Response::new(axum::body::Body::empty());
            response.extensions_mut().insert(Leaves(opened));
            response
        })
    }

    #[tokio::test]
    async fn a_stream_that_is_asked_for_while_the_server_stops_is_not_waited_for() {
        let (begun, release) = (Arc::new(tokio::sync::Semaphore::new(0)), CancellationToken::new());
        let router = Router::new().route("/stream", stream_after(&begun, &release));
        let serving = Serving::start(router, 10, HEADER_TIMEOUT).await;
        let client = open(serving.address, "GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        begun.acquire().await.unwrap().forget();
        serving.stop.cancel();
        serving.accepting.await.unwrap();
        serving.connections.live.drained().await;
        release.cancel();
        tokio::time::timeout(Duration::from_secs(5), serving.connections.ended()).await.expect("nobody has to cut");
        assert_eq!(heard(client).await, "", "closed unanswered: the threads of the streams have ended");
    }

    #[tokio::test]
    async fn connections_that_ask_for_nothing_are_closed() {
        let router = Router::new().route("/", get(async || "done"));
        let serving = Serving::start(router, 10, Duration::from_millis(200)).await;
        for (why, said, expected) in [
            ("nothing", "", 0),
            ("half a head", "GET / HTTP/1.1\r\nHost: loc", 0),
            ("a request and then nothing", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 1),
        ] {
            let client = open(serving.address, said).await;
            let text = tokio::time::timeout(Duration::from_secs(10), heard(client)).await.expect(why);
            assert_eq!(text.matches("HTTP/1.1 200 OK").count(), expected, "{why}: {text}");
        }
    }

    #[tokio::test]
    async fn beyond_the_reserve_connections_are_closed_unheard() {
        let router = Router::new().route("/", get(async || "done"));
        let serving = Serving::start(router, 1, HEADER_TIMEOUT).await;
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut held = Vec::new();
        for _ in 0..=crate::gate::RESERVED {
            held.push(open(serving.address, "").await);
        }
        assert_eq!(heard(open(serving.address, request).await).await, "", "full");
        drop(held);
        loop {
            // A closed connection makes room as soon as the server has noticed.
            if heard(open(serving.address, request).await).await.ends_with("done") {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut theirs, ours) = tokio::io::duplex(4);
        let exit = Arc::new(Exit::default());
        let patience = Duration::from_millis(100);
        let mut watched = Watched { io: TokioIo::new(ours), exit: Arc::clone(&exit), patience, stall: None };
        let mut write = async || poll_fn(|context| Pin::new(&mut watched).poll_write(context, b"word")).await;
        assert_eq!(write().await.unwrap(), 4);
        let begun = Instant::now();
        assert_eq!(write().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() >= patience && exit.is_unsent.load(Ordering::Relaxed));
        // Whoever takes a little in time begins anew.
        let mut taken = [0; 4];
        theirs.read_exact(&mut taken).await.unwrap();
        assert_eq!(write().await.unwrap(), 4);
        assert!(!exit.is_unsent.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn a_stop_lets_requests_end_and_a_cut_ends_those_that_never_would() {
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let release = CancellationToken::new();
        let (one, other) = (begun.clone(), begun.clone());
        let released = release.clone();
        let slow = get(async move || {
            one.add_permits(1);
            released.cancelled().await;
            "done"
        });
        let never = get(async move || {
            other.add_permits(1);
            pending::<()>().await;
        });
        let router = Router::new().route("/slow", slow).route("/never", never);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let directory = tempfile::tempdir().unwrap();
        let store = crate::store::Store::open(directory.path(), crate::store::StoreOptions::default()).unwrap();
        let clock = Arc::new(crate::clock::Clock::real());
        let live = Live::start(store, clock, stop.clone()).unwrap();
        let connections = Connections::new(live, Gate::new(10, false));
        let accepting = tokio::spawn(connections.clone().accept(listener, router, stop.clone()));

        let idle = open(address, "").await;
        let slow = open(address, "GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let never = open(address, "GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        begun.acquire_many(2).await.unwrap().forget();

        stop.cancel();
        accepting.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody new is taken");
        assert_eq!(heard(idle).await, "", "an idle connection ends at once");
        release.cancel();
        assert!(heard(slow).await.ends_with("done"), "a request that was begun is answered");
        connections.cut().await;
        assert_eq!(heard(never).await, "");
    }
}
