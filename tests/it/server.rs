//! A real server on a free port over a real database file, and raw clients to speak to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use timely_core::running::ServerKind;
use timely_server::clock::Clock;
use timely_server::config::Config;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long anything that must happen may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running server. Dropping it stops the server; [`TestServer::stop`] also waits for it.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) owner_token: String,
    pub(crate) epoch: String,
    pub(crate) clock: Arc<Clock>,
    http: reqwest::Client,
    directory: Arc<TempDir>,
    // Dropped with the server: whoever forgets to stop it stops it all the same.
    shutdown: DropGuard,
    task: JoinHandle<anyhow::Result<()>>,
}

/// An answer with everything a test may compare.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    /// The bytes as they came: `text` reads what is not UTF-8 as best it can.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    /// The last part of the problem type.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.trim_start_matches("/problems/").to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        self.json()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(TempDir::new().unwrap()), Arc::new(Clock::real())).await
    }

    pub(crate) async fn start_with_clock(clock: Clock) -> Self {
        Self::start_on(Arc::new(TempDir::new().unwrap()), Arc::new(clock)).await
    }

    /// Starts on a directory that a stopped server left.
    pub(crate) async fn start_on(directory: Arc<TempDir>, clock: Arc<Clock>) -> Self {
        Self::start_for(vec!["https://club.example".to_owned()], directory, clock).await
    }

    /// Starts with another configuration than usual.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_changed(Arc::new(TempDir::new().unwrap()), Arc::new(Clock::real()), change).await
    }

    /// The same, for pages of the given origins besides its own.
    pub(crate) async fn start_for(allow_origin: Vec<String>, directory: Arc<TempDir>, clock: Arc<Clock>) -> Self {
        Self::start_changed(directory, clock, |config| config.allow_origin = allow_origin).await
    }

    async fn start_changed(directory: Arc<TempDir>, clock: Arc<Clock>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            data: directory.path().to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            lan: false,
            base_url: None,
            allow_origin: Vec::new(),
            max_connections: None,
            findable: false,
            load_test: false,
        };
        change(&mut config);
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(timely_server::serve(
            config,
            listener,
            Arc::clone(&clock),
            ServerKind::Serve,
            shutdown.clone(),
            move |running| {
                let _ = ready.send((running.owner_token.clone(), running.epoch.to_string()));
            },
        ));
        let Ok((owner_token, epoch)) = is_ready.await else { panic!("the server did not start: {:?}", task.await) };
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { address, owner_token, epoch, clock, http, directory, shutdown: shutdown.drop_guard(), task }
    }

    /// Stops the server and waits until it has ended.
    pub(crate) async fn stop(self) -> Arc<TempDir> {
        drop(self.shutdown);
        tokio::time::timeout(PATIENCE, self.task).await.expect("the server ends").unwrap().unwrap();
        self.directory
    }

    /// Stops the server and starts another one on the same file.
    pub(crate) async fn restart(self) -> Self {
        let clock = Arc::clone(&self.clock);
        let directory = self.stop().await;
        Self::start_on(directory, clock).await
    }

    pub(crate) fn data(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("timely.db")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request without a credential.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// A request of the owner.
    pub(crate) fn owner(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.owner_token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.owner(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.owner(Method::POST, path).json(&body)).await
    }

    /// A POST that insists on whatever version stands.
    pub(crate) async fn command(&self, path: &str) -> Answer {
        send(self.owner(Method::POST, path).header("if-match", "*")).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.owner(Method::PATCH, path).header("if-match", "*").json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        send(self.owner(Method::PUT, path).header("if-match", "*").json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.owner(Method::DELETE, path).header("if-match", "*")).await
    }

    /// A token of the given role for an event.
    pub(crate) async fn token(&self, body: Value) -> String {
        self.post("/api/tokens/", body).await.ok()["token"].as_str().unwrap().to_owned()
    }

    /// Enters or replaces the score of a fixture.
    pub(crate) async fn score(&self, fixture: i64, home: u16, away: u16) -> Value {
        self.put(&format!("/api/fixtures/{fixture}/result/"), json!({"home_score": home, "away_score": away}))
            .await
            .ok()
    }

    /// The table of a group as `Name points`, best first.
    pub(crate) async fn table(&self, event: i64, group: &str) -> Vec<String> {
        let boards = self.get(&format!("/api/events/{event}/leaderboard/")).await.ok();
        let board = boards["boards"].as_array().unwrap().iter().find(|board| board["group"] == group).unwrap();
        names_and_points(&board["leaderboard"])
    }
}

pub(crate) fn names_and_points(leaderboard: &Value) -> Vec<String> {
    leaderboard
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["team_name"].as_str().unwrap(), row["points"]))
        .collect()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("the answer is whole").to_vec();
    Answer { status, headers, text: String::from_utf8_lossy(&body).into_owned(), body }
}

/// A small event: groups A (Reds, Blues, Greens, Golds) and B (Owls, Kites), one venue with two
/// pitches, round robin fixtures, and a final between the group winners.
pub(crate) struct Cup {
    pub(crate) event: i64,
    /// By name.
    pub(crate) teams: std::collections::BTreeMap<String, i64>,
    /// Ids by number: 1 Reds-Blues, 2 Greens-Golds, 3 Reds-Greens, 4 Blues-Golds, 5 Reds-Golds,
    /// 6 Blues-Greens, 7 Owls-Kites, 8 the final.
    pub(crate) fixtures: std::collections::BTreeMap<u32, i64>,
    pub(crate) venue: i64,
}

impl Cup {
    pub(crate) async fn create(server: &TestServer, visibility: &str) -> Self {
        let event = server
            .post("/api/events/", json!({"name": format!("Spring Cup {visibility}"), "starts_on": "2026-05-02", "visibility": visibility}))
            .await
            .ok()["id"]
            .as_i64()
            .unwrap();
        let venue = server
            .post(&format!("/api/events/{event}/venues/"), json!({"name": "Park", "areas": ["Pitch 1", "Pitch 2"]}))
            .await
            .ok()["id"]
            .as_i64()
            .unwrap();
        let mut teams = std::collections::BTreeMap::new();
        for (name, code, group) in [
            ("Reds", "RED", "A"),
            ("Blues", "BLU", "A"),
            ("Greens", "GRE", "A"),
            ("Golds", "GOL", "A"),
            ("Owls", "OWL", "B"),
            ("Kites", "KIT", "B"),
        ] {
            let team = server
                .post(&format!("/api/events/{event}/teams/"), json!({"name": name, "code": code, "group": group}))
                .await
                .ok();
            teams.insert(name.to_owned(), team["id"].as_i64().unwrap());
        }
        let mut fixtures = std::collections::BTreeMap::new();
        for (number, home, away) in [
            (1, "Reds", "Blues"),
            (2, "Greens", "Golds"),
            (3, "Reds", "Greens"),
            (4, "Blues", "Golds"),
            (5, "Reds", "Golds"),
            (6, "Blues", "Greens"),
            (7, "Owls", "Kites"),
        ] {
            let fixture = server
                .post(
                    &format!("/api/events/{event}/fixtures/"),
                    json!({"home_team_id": teams[home], "away_team_id": teams[away],
                           "start_at": format!("2026-05-02T{:02}:00:00Z", 8 + number), "venue_id": venue, "area": "Pitch 1"}),
                )
                .await
                .ok();
            assert_eq!(fixture["number"], number);
            fixtures.insert(number, fixture["fixture_id"].as_i64().unwrap());
        }
        let fixture = server
            .post(
                &format!("/api/events/{event}/fixtures/"),
                json!({"home_slot": "1st of A", "away_slot": "1st of B", "start_at": "2026-05-02T18:00:00Z",
                       "venue_id": venue, "area": "Pitch 2", "phase": "KO", "round": "Final"}),
            )
            .await
            .ok();
        fixtures.insert(8, fixture["fixture_id"].as_i64().unwrap());
        Self { event, teams, fixtures, venue }
    }

    pub(crate) async fn public(server: &TestServer) -> Self {
        Self::create(server, "PUBLIC").await
    }
}
