//! The streams through real sockets: a server, a file, and clients that know only the protocol.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use timely_core::access::Actor;
use timely_core::body::{EditEvent, NewTeam, PutResult, TokenInfo};
use timely_core::event::Visibility;
use timely_core::id::{EventId, FixtureId, TeamId};
use timely_core::result::{Outcome, ResultState, Score};
use timely_core::running::ServerKind;
use timely_core::topic::Stream;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, real_now};
use crate::config::Config;
use crate::live::driver::{Audience, Live, Opened};
use crate::live::hub::{Base, Boards, Join, Viewer};
use crate::live::session::{About, Speaks, Wire};
use crate::store::{Caller, Expected, Store};

/// Longer than anything here takes: a test that waits in vain fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with one event of two teams, which play each other.
struct Server {
    address: SocketAddr,
    store: Store,
    clock: Arc<Clock>,
    owner: Actor,
    event: EventId,
    home: TeamId,
    fixture: FixtureId,
    data: PathBuf,
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
            max_connections: None,
            findable: false,
            load_test: false,
        };
        let data = config.data.clone();
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (ready, running) = oneshot::channel();
        let shutdown = stop.clone();
        let task = tokio::spawn(async move {
            crate::serve(config, listener, Arc::new(Clock::real()), ServerKind::Serve, shutdown, |running| {
                let parts = (running.store.clone(), running.clock.clone(), running.owner_token.clone());
                ready.send(parts).map_err(drop).unwrap();
            })
            .await
        });
        let (store, clock, token) = running.await.unwrap();
        let owner = store.bearer(&token, real_now()).await.unwrap();
        let mut server = Self {
            address,
            store,
            clock,
            owner,
            event: EventId(0),
            home: TeamId(0),
            fixture: FixtureId(0),
            data,
            stop,
            task,
            _directory: directory,
        };
        server.found().await;
        server
    }

    async fn found(&mut self) {
        let new = serde_json::from_value(json!({"name": "Cup", "starts_on": "2026-06-01"})).unwrap();
        self.event = self.store.create_event(self.caller(), new).await.unwrap().value.id;
        let mut teams = Vec::new();
        for name in ["Reds", "Blues"] {
            let new = NewTeam { name: name.to_owned(), code: None, group: Some("A".to_owned()) };
            teams.push(self.store.create_team(self.caller(), self.event, new).await.unwrap().value.id);
        }
        self.home = teams[0];
        let new = json!({"home_team_id": teams[0], "away_team_id": teams[1], "start_at": "2026-06-01T10:00:00Z"});
        let new = serde_json::from_value(new).unwrap();
        self.fixture = self.store.create_fixture(self.caller(), self.event, new).await.unwrap().value.fixture_id;
    }

    fn caller(&self) -> Caller {
        Caller { actor: self.owner.clone(), key: None, at: self.clock.now(), real: real_now() }
    }

    /// Enters or corrects the result; every number of goals is another change.
    async fn result(&self, goals: u16) {
        let score = Score { home: goals, away: 0 };
        let body = PutResult::from(&Outcome::plain(score, ResultState::Provisional));
        self.store.put_result(self.caller(), self.fixture, Expected::Any, body).await.unwrap();
    }

    async fn show(&self, visibility: Visibility) {
        let edit = EditEvent { visibility: Some(visibility), ..EditEvent::default() };
        self.store.edit_event(self.caller(), self.event, edit).await.unwrap();
    }

    async fn viewer(&self) -> TokenInfo {
        let new = serde_json::from_value(json!({"role": "viewer", "event_id": self.event})).unwrap();
        self.store.create_token(self.caller(), new).await.unwrap().value
    }

    async fn socket(&self, path: &str) -> Socket {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}{path}", self.address)).await.unwrap();
        Socket(socket)
    }

    async fn socket_of(&self, path: &str, token: &str) -> Socket {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        let protocols = format!("timely.v2, timely.token.{token}").parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocols);
        let (socket, response) = tokio_tungstenite::connect_async(request).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "timely.v2", "no token comes back");
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

    /// The whole answer to a request that opens no stream, without its date.
    async fn answer(&self, path: &str) -> String {
        let Events { head, mut lines } = self.events(path, "Connection: close\r\n").await;
        let mut answer: Vec<_> = head.into_iter().filter(|line| !line.starts_with("date:")).collect();
        while let Some(line) = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap() {
            answer.push(line);
        }
        answer.join("\n")
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

    /// Reads to the end without meeting a message of this type; answers with the close code.
    async fn hear_to_the_end(&mut self, never: &str) -> u16 {
        loop {
            match self.hear().await {
                Ok(message) => assert_ne!(message["type"], never, "{message}"),
                Err(code) => return code,
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
    server.result(1).await;
    let mut socket = server.socket("/ws/events/1/stream/").await;
    assert_eq!(socket.hear().await.unwrap()["message"], "Connected to event updates");
    for stream in ["results", "schedule", "announcements"] {
        socket.say(format!(r#"{{"type":"subscribe_{stream}"}}"#)).await;
    }
    let heard = socket.hear_until("schedule_update").await;
    assert_eq!(types(&heard), ["subscribed", "leaderboard_update", "result_update", "subscribed", "schedule_update"]);
    assert_eq!(types(&socket.hear_until("subscribed").await), ["subscribed"]);

    let mut page = server.events("/api/events/1/stream/results/", "").await;
    assert!(page.head[0].contains("200"), "{:?}", page.head);
    for header in ["content-type: text/event-stream", "cache-control: no-cache", "x-accel-buffering: no"] {
        assert!(page.head.iter().any(|line| line.starts_with(header)), "{header}: {:?}", page.head);
    }
    let snapshot = page.until("id:").await;
    assert_eq!(snapshot[0], "retry: 2000");
    assert_eq!(snapshot.len(), 4, "a board, a result, the cursor: {snapshot:?}");

    server.result(2).await;
    let heard = socket.hear_until("leaderboard_update").await;
    assert!(heard.iter().all(|message| message.get("replay").is_none()));
    let result = heard.iter().find(|message| message["type"] == "result_update").unwrap();
    assert_eq!(result["data"]["result"]["home_score"], 2);
    let board = heard.last().unwrap();
    assert_eq!((&board["data"]["group"], &board["data"]["leaderboard"][0]["gf"]), (&json!("A"), &json!(2)));
    let id = page.line().await.unwrap();
    assert_eq!(id, format!("id: {}.{}", server.store.epoch(), result["pos"]));
    for kind in ["result_update", "leaderboard_update"] {
        let line = page.line().await.unwrap();
        let data: Value = serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], kind);
        assert!(data["leaderboard"].is_array());
    }
    server.stopped().await;
}

#[tokio::test]
async fn a_team_hears_of_its_results_with_its_id() {
    let server = Server::start().await;
    let token = server.viewer().await.token.unwrap();
    let mut socket = server.socket_of(&format!("/ws/teams/{}/", server.home), &token).await;
    let heard = socket.hear_until("live").await;
    assert_eq!((&heard[0]["team_id"], &heard[0]["team_name"]), (&json!(server.home), &json!("Reds")));
    assert_eq!(
        types(&heard),
        [
            "connected",
            "subscribed",
            "subscribed",
            "subscribed",
            "team_update",
            "leaderboard_update",
            "schedule_update",
            "live"
        ]
    );
    server.result(1).await;
    let heard = socket.hear_until("leaderboard_update").await;
    let result = heard.iter().find(|message| message["type"] == "result_update").unwrap();
    assert_eq!((&result["team_id"], &result["data"]["event_id"]), (&json!(server.home), &json!(server.event)));
    socket.say(r#"{"type":"subscribe_results","id":7}"#).await;
    let heard = socket.hear_until("subscribed").await;
    assert_eq!(heard.last().unwrap()["id"], 7);
    server.stopped().await;
}

#[tokio::test]
async fn a_cut_client_resumes_without_a_hole() {
    let server = Server::start().await;
    server.result(1).await;
    let mut socket = server.socket("/ws/events/1/stream?v=2&topics=results").await;
    let heard = socket.hear_until("live").await;
    let cursor = heard.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    drop(socket);
    for goals in 2..=4 {
        server.result(goals).await;
    }
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
async fn a_viewer_who_loses_the_right_is_told_and_sees_nothing_later() {
    let server = Server::start().await;
    let info = server.viewer().await;
    let mut stranger = server.socket("/ws/events/1/stream/?topics=results").await;
    stranger.hear_until("leaderboard_update").await;
    let mut page = server.events("/api/events/1/stream/schedule/", "").await;
    page.until("id:").await;
    let mut viewer = server.socket_of("/ws/events/1/stream/?topics=results", &info.token.unwrap()).await;
    viewer.hear_until("live").await;

    server.show(Visibility::Private).await;
    server.result(1).await;
    assert_eq!(stranger.hear_to_the_end("result_update").await, 4004);
    while let Some(line) = page.line().await {
        assert!(!line.contains("fixture_update"), "{line}");
    }
    let heard = viewer.hear_until("result_update").await;
    assert_eq!(heard.last().unwrap()["data"]["result"]["home_score"], 1);

    server.store.revoke_token(server.caller(), info.id).await.unwrap();
    server.result(2).await;
    assert_eq!(viewer.hear_to_the_end("result_update").await, 4001);

    // From here the event does not exist for strangers, on any stream.
    for (hidden, unknown) in [
        ("/api/events/1/stream/", "/api/events/99/stream/"),
        ("/api/events/1/stream/results/", "/api/events/99/stream/results/"),
        ("/api/events/1/results/stream/", "/api/events/99/results/stream/"),
        ("/api/events/1/stream/schedule/", "/api/events/99/stream/schedule/"),
        ("/api/events/1/stream/announcements/", "/api/events/99/stream/announcements/"),
        ("/ws/events/1/stream/", "/ws/events/99/stream/"),
    ] {
        let [hidden, unknown] = [server.answer(hidden).await, server.answer(unknown).await];
        assert!(hidden.starts_with("http/1.1 404"), "{hidden}");
        assert_eq!(hidden, unknown);
    }
    assert_eq!(server.refused("/ws/events/1/stream/").await, 404);
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
        let is_problem = refused.head.iter().any(|line| line.contains("application/problem+json"));
        assert!(is_problem, "{path}: {:?}", refused.head);
    }
    server.stopped().await;
}

/// Hands every line of the log to a test.
struct LogLines(mpsc::UnboundedSender<String>);

impl io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A test that has heard enough does not listen any more.
        self.0.send(String::from_utf8_lossy(bytes).into_owned()).ok();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Defect B9 of the original: a failure in the live path vanished, and with it the news.
#[tokio::test]
async fn a_read_that_fails_is_logged_and_repeated_until_it_succeeds() {
    let (lines, mut log) = mpsc::unbounded_channel();
    let subscriber = tracing_subscriber::fmt().with_writer(move || LogLines(lines.clone())).finish();
    // Everything of this test runs on this thread.
    let _logging = tracing::subscriber::set_default(subscriber);
    let server = Server::start().await;
    server.result(1).await;
    let mut socket = server.socket("/ws/events/1/stream/").await;
    socket.hear().await.unwrap();

    let file = rusqlite::Connection::open(server.data.join("timely.db")).unwrap();
    file.execute_batch("ALTER TABLE change_topics RENAME TO hidden").unwrap();
    socket.say(r#"{"type":"subscribe_results"}"#).await;
    loop {
        let line = timeout(PATIENCE, log.recv()).await.expect("the failure is logged").unwrap();
        if line.contains("WARN") && line.contains("the current state of event_1_results cannot be read") {
            break;
        }
    }
    file.execute_batch("ALTER TABLE hidden RENAME TO change_topics").unwrap();
    let heard = socket.hear_until("result_update").await;
    assert_eq!(types(&heard), ["subscribed", "leaderboard_update", "result_update"]);
    server.stopped().await;
}

#[tokio::test]
async fn a_connection_that_is_dropped_leaves_nothing_behind() {
    let server = Server::start().await;
    let live = Live::start(server.store.clone(), server.clock.clone(), server.stop.clone()).unwrap();
    let mut audience = live.audience();
    let viewer = Viewer {
        actor: None,
        event: server.event,
        team: None,
        visibility: Visibility::Public,
        judged_at: *server.store.head().borrow(),
        boards: Boards::Apart,
    };
    let about = About::Event(server.event);
    let join = Join { streams: Stream::ALL.to_vec(), base: Base::Show, since: None };
    let (wire, speaks, offers) = (Wire::Sse, Speaks::V1, Stream::ALL.to_vec());
    let (mut client, socket) = UnixStream::pair().unwrap();
    live.enter(
        OwnedFd::from(socket),
        b"HEAD".to_vec(),
        Bytes::new(),
        Opened { wire, speaks, viewer, about, offers, join },
        crate::gate::Gate::new(1, false).admit(server.address.ip(), Duration::ZERO).unwrap(),
    );
    let mut head = [0; 4];
    client.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HEAD");
    let one = Audience { sessions: 1, topics: 4 };
    timeout(PATIENCE, audience.wait_for(|now| *now == one)).await.unwrap().unwrap();
    drop(client);
    timeout(PATIENCE, audience.wait_for(|now| *now == Audience::default())).await.unwrap().unwrap();
    server.stopped().await;
    timeout(PATIENCE, live.drained()).await.unwrap();
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
