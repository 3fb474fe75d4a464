//! The streams through real sockets: a server, a file, and clients that know only the protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use timely_core::running::ServerKind;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

/// Longer than anything here takes: a test that waits in vain fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    store: Store,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
    _directory: TempDir,
}

impl Server {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Config {
            data: directory.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lan: false,
            base_url: None,
            allow_origin: Vec::new(),
            load_test: false,
        };
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (ready, running) = oneshot::channel();
        let shutdown = stop.clone();
        let task = tokio::spawn(async move {
            crate::serve(config, listener, Arc::new(Clock::real()), ServerKind::Serve, shutdown, |running| {
                ready.send(running.store.clone()).map_err(drop).unwrap();
            })
            .await
        });
        let store = running.await.unwrap();
        Self { address, store, stop, task, _directory: directory }
    }

    fn result(&self) {
        self.store.fake(|log| log.commit(0, 0));
    }

    async fn socket(&self, path: &str) -> Socket {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}{path}", self.address)).await.unwrap();
        Socket(socket)
    }

    async fn refused(&self, path: &str) -> u16 {
        let request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        match tokio_tungstenite::connect_async(request).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{path}: {other:?}"),
        }
    }

    async fn events(&self, path: &str, headers: &str) -> Events {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        let mut head = Vec::new();
        loop {
            let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
            if line.is_empty() {
                return Events { head, lines };
            }
            head.push(line.to_ascii_lowercase());
        }
    }

    async fn stopped(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next message, or the close code.
    async fn hear(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message or a close") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads up to a message of this type, which is the last one returned.
    async fn hear_until(&mut self, kind: &str) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await.unwrap();
            let is_last = message["type"] == kind;
            heard.push(message);
            if is_last {
                return heard;
            }
        }
    }
}

struct Events {
    head: Vec<String>,
    lines: Lines<BufReader<TcpStream>>,
}

impl Events {
    /// The next line of an event; `None` at the end of the body.
    async fn line(&mut self) -> Option<String> {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("a line or the end").unwrap()?;
            if ["data:", "id:", ":", "retry:"].iter().any(|field| line.starts_with(field)) {
                return Some(line);
            }
        }
    }

    async fn until(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await.expect("the stream goes on");
            let is_last = line.starts_with(start);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_result_reaches_the_page_of_the_guide_over_both_transports() {
    let server = Server::start().await;
    server.result();
    let mut socket = server.socket("/ws/events/1/stream/").await;
    assert_eq!(socket.hear().await.unwrap()["message"], "Connected to event updates");
    for stream in ["results", "schedule", "announcements"] {
        socket.say(format!(r#"{{"type":"subscribe_{stream}"}}"#)).await;
    }
    let heard = socket.hear_until("schedule_update").await;
    assert_eq!(
        types(&heard),
        ["subscribed", "leaderboard_update", "leaderboard_update", "result_update", "subscribed", "schedule_update"]
    );
    assert_eq!(types(&socket.hear_until("subscribed").await), ["subscribed"]);

    let mut page = server.events("/api/events/1/stream/results/", "").await;
    assert!(page.head[0].contains("200"), "{:?}", page.head);
    for header in ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"] {
        assert!(page.head.iter().any(|line| line.starts_with(header)), "{header}: {:?}", page.head);
    }
    let snapshot = page.until("id:").await;
    assert_eq!(snapshot[0], "retry: 2000");
    assert_eq!(snapshot.len(), 5, "two boards, a result, the cursor: {snapshot:?}");

    server.result();
    let heard = socket.hear_until("leaderboard_update").await;
    assert_eq!(types(&heard), ["result_update", "leaderboard_update"]);
    assert!(heard.iter().all(|message| message.get("replay").is_none()));
    let id = page.line().await.unwrap();
    assert_eq!(id, format!("id: {}.{}", server.store.epoch(), heard[0]["pos"]));
    for kind in ["result_update", "leaderboard_update"] {
        let line = page.line().await.unwrap();
        let data: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], kind);
        assert!(data["leaderboard"].is_array());
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_cut_client_resumes_without_a_hole() {
    let server = Server::start().await;
    server.result();
    let mut socket = server.socket("/ws/events/1/stream?v=2&topics=results").await;
    let heard = socket.hear_until("live").await;
    let cursor = heard.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    drop(socket);
    (0..3).for_each(|_| server.result());
    let mut socket = server.socket(&format!("/ws/events/1/stream/?topics=results&since={cursor}")).await;
    let heard = socket.hear_until("live").await;
    assert_eq!(
        types(&heard),
        [
            "connected",
            "subscribed",
            "result_update",
            "result_update",
            "result_update",
            "event_update",
            "leaderboard_update",
            "leaderboard_update",
            "live"
        ]
    );
    assert_eq!((&heard[1]["recovered"], &heard[1]["reason"]), (&json!(true), &Value::Null));
    let status = socket.hear_until("status").await;
    assert_eq!(status.last().unwrap()["clock_rate"], 1.0);

    let mut page = server.events("/api/events/1/stream/results", &format!("Last-Event-ID: {cursor}\r\n")).await;
    let lines = page.until("data: {\"type\":\"leaderboard_update\"").await;
    let ids: Vec<_> = lines.iter().filter(|line| line.starts_with("id:")).collect();
    assert_eq!(ids.len(), 3, "{lines:?}");
    server.stopped().await;
}

#[tokio::test]
async fn nonsense_is_answered_and_too_much_of_it_ends_the_stream() {
    let server = Server::start().await;
    let mut socket = server.socket("/ws/events/1/stream/").await;
    socket.hear().await.unwrap();
    socket.say("{").await;
    assert_eq!(socket.hear().await.unwrap()["message"], "Invalid JSON");
    socket.0.send(Message::binary(vec![0, 159, 146])).await.unwrap();
    assert_eq!(socket.hear().await.unwrap()["type"], "error");
    socket.say(r#"{"type":"ping","timestamp":12345678901234567890123}"#).await;
    assert_eq!(socket.hear().await.unwrap()["type"], "pong");
    socket.say("x".repeat(4_097)).await;
    assert_eq!(socket.hear().await, Err(1009));
    server.stopped().await;
}

#[tokio::test]
async fn streams_are_refused_before_they_open() {
    let server = Server::start().await;
    for (path, status) in [
        ("/ws/events/2/stream/", 404),
        ("/ws/events/x/stream/", 404),
        ("/ws/teams/1/", 401),
        ("/ws/teams/x/", 401),
        ("/ws/events/1/stream/?topics=scores", 400),
        ("/ws/events/1/stream/?since=yesterday", 400),
    ] {
        assert_eq!(server.refused(path).await, status, "{path}");
    }
    for (path, status) in [
        ("/api/events/2/stream/", "404"),
        ("/api/teams/1/stream/", "401"),
        ("/api/events/1/stream/results/?topics=schedule", "400"),
        ("/ws/events/1/stream/", "400"),
    ] {
        let refused = server.events(path, "").await;
        assert!(refused.head[0].contains(status), "{path}: {:?}", refused.head);
        assert!(
            refused.head.iter().any(|line| line.contains("application/problem+json")),
            "{path}: {:?}",
            refused.head
        );
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_server_that_stops_ends_every_stream_and_says_that_they_may_come_back() {
    let server = Server::start().await;
    let mut socket = server.socket("/ws/events/1/stream/").await;
    socket.hear().await.unwrap();
    let mut page = server.events("/api/events/1/stream/", "").await;
    page.until("id:").await;
    server.stop.cancel();
    assert_eq!(socket.hear().await, Err(4200));
    while page.line().await.is_some() {}
    server.stopped().await;
}
