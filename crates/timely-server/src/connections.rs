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
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::clock::real_now;
use crate::config::HEADER_TIMEOUT;
use crate::live::Live;
use crate::live::driver::Opened;

/// How long to wait when the process has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

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
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Connections {
    /// None yet. Those that become streams go to `live`.
    pub fn new(live: Live) -> Self {
        Self { live, tasks: TaskTracker::new(), cut: CancellationToken::new() }
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
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.tasks.spawn(converse(
                        stream,
                        router.clone(),
                        self.live.clone(),
                        stop.clone(),
                        self.cut.clone(),
                    ));
                }
                Err(error) if is_of_one_client(&error) => debug!("a client left before it was served: {error}"),
                Err(error) => {
                    warn!("cannot accept a connection ({error}); trying again in {} s", ACCEPT_PAUSE.as_secs());
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
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

async fn converse(stream: TcpStream, router: Router, live: Live, stop: CancellationToken, cut: CancellationToken) {
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
    let io = Watched { io: TokioIo::new(stream), exit: Arc::clone(&exit) };
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(io, service)
        // Not for upgrades: it is what lets a connection be taken apart.
        .with_upgrades();
    let mut leaving = async || {
        poll_fn(|context| {
            let polled = Pin::new(&mut connection).poll(context);
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
    };
    let ended = tokio::select! {
        ended = leaving() => Some(ended),
        () = stop.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            tokio::select! {
                ended = Pin::new(&mut connection) => ended.map(|()| None),
                () = cut.cancelled() => return,
            }
        }
    };
    match ended {
        Ok(None) => {}
        Ok(Some((opened, head))) => {
            let Some(parts) = connection.into_parts() else { return };
            match parts.io.io.into_inner().into_std() {
                Ok(socket) => live.enter(OwnedFd::from(socket), written(&head), parts.read_buf, opened),
                Err(error) => warn!("a stream cannot leave HTTP and is not opened: {error}"),
            }
        }
        Err(error) => debug!("a connection ended early: {error}"),
    }
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
    let kept =
        head.headers.iter().filter(|(name, _)| **name != header::CONTENT_LENGTH && **name != header::TRANSFER_ENCODING);
    let added = [(&header::DATE, date.as_ref()), (&header::CONNECTION, close.as_ref())];
    for (name, value) in kept.chain(added.into_iter().filter_map(|(name, value)| Some((name, value?)))) {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// A socket that notes whether its last write was refused.
struct Watched {
    io: TokioIo<TcpStream>,
    exit: Arc<Exit>,
}

impl Watched {
    fn note<T>(&self, polled: Poll<T>) -> Poll<T> {
        self.exit.is_unsent.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }
}

impl Read for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, bytes);
        self.note(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.note(polled)
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
        let connections = Connections::new(live);
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
