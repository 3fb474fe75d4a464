//! Takes connections until told to stop, lets them end, and ends those that do not.
//!
//! What is said on a connection is the router's. A connection that became a WebSocket has left here:
//! it is ended by the live side.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::config::HEADER_TIMEOUT;

/// How long to wait when the process has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The open connections of a server.
#[derive(Clone, Debug, Default)]
pub struct Connections {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Connections {
    /// Accepts until `stop`; from then on open connections finish the request they are at.
    pub async fn accept(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    self.tasks.spawn(converse(stream, router.clone(), stop.clone(), self.cut.clone()));
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

async fn converse(stream: TcpStream, router: Router, stop: CancellationToken, cut: CancellationToken) {
    // Frames are small and must leave at once.
    if let Err(error) = stream.set_nodelay(true) {
        debug!("a connection cannot be set to send at once: {error}");
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = cut.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!("a connection ended early: {error}");
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
        let begun = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
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
            std::future::pending::<()>().await;
        });
        let router = Router::new().route("/slow", slow).route("/never", never);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let connections = Connections::default();
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
