//! Whole sessions at a shell, against a real server on a real file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use timely_core::running::ServerKind;
use timely_server::clock::Clock;
use timely_server::config::Config;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{Io, run};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server and a shell beside it. What is typed goes to the owner unless another token is given.
struct Desk {
    address: String,
    home: tempfile::TempDir,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

/// What a command left.
#[derive(Debug)]
struct Said {
    exit: u8,
    out: String,
    err: String,
}

impl Desk {
    async fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = Config {
            data: home.path().join("data"),
            listen: listener.local_addr().unwrap(),
            lan: false,
            base_url: None,
            allow_origin: Vec::new(),
            max_connections: None,
            findable: false,
            load_test: false,
        };
        let shutdown = CancellationToken::new();
        let (ready, is_ready) = oneshot::channel();
        let server = tokio::spawn(timely_server::serve(
            config,
            listener,
            Arc::new(Clock::real()),
            ServerKind::Serve,
            shutdown.clone(),
            move |running| ready.send(format!("http://{}", running.address)).unwrap(),
        ));
        Self { address: is_ready.await.unwrap(), home, shutdown, server }
    }

    async fn close(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }

    fn token_file(&self) -> PathBuf {
        self.home.path().join("data/owner.token")
    }

    /// Runs a line as a shell would divide it; nobody sits at the terminal.
    async fn types(&self, line: &str) -> Said {
        self.types_with(line, self.token_file()).await
    }

    async fn types_with(&self, line: &str, token: PathBuf) -> Said {
        let env: BTreeMap<&str, OsString> = [
            ("TIMELY_SERVER", OsString::from(&self.address)),
            ("TIMELY_TOKEN_FILE", token.into_os_string()),
            ("HOME", self.home.path().as_os_str().to_owned()),
        ]
        .into();
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let io = Io {
            env: Arc::new(move |name| env.get(name).cloned()),
            stdin: Box::new(io::empty()),
            stdin_is_terminal: false,
            stdout: Box::new(stdout.clone()),
            stdout_is_terminal: false,
            stderr: Box::new(stderr.clone()),
        };
        let words = line.split('\'').enumerate().flat_map(|(index, part)| {
            // What stands between quotes is one word.
            if index % 2 == 1 { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
        });
        let exit = run(words.map(OsString::from), io).await as u8;
        Said { exit, out: stdout.text(), err: stderr.text() }
    }

    /// The same, for a line that must work; answers what it printed.
    async fn does(&self, line: &str) -> String {
        let said = self.types(line).await;
        assert_eq!(said.exit, 0, "{line}: {said:?}");
        said.out
    }

    /// Three teams and two fixtures on a Saturday in Berlin.
    async fn with_a_cup() -> Self {
        let desk = Self::open().await;
        for line in [
            "timely event create 'Harbour Cup' --date 2026-07-18 --tz Europe/Berlin",
            "timely team add Eagles --code EAG --group A",
            "timely team add Hawks --code HAW --group A",
            "timely team add Owls --code OWL --group 'Pool A'",
            "timely venue add School --area 'Pitch 1' --area 'Pitch 2'",
            "timely fixture add EAG HAW --at '2026-07-18 15:30' --venue School --area 'Pitch 2'",
            "timely fixture add HAW OWL --at 'sat 16:30'",
        ] {
            desk.does(line).await;
        }
        desk
    }
}

#[tokio::test]
async fn a_result_is_entered_once_and_corrected_knowingly() {
    let desk = Desk::with_a_cup().await;
    let said = desk.types("timely result add EGL 2-1 HAW").await;
    assert_eq!((said.exit, said.out.as_str()), (3, ""));
    assert!(said.err.contains("Did you mean:  timely result add EAG 2-1 HAW"), "{}", said.err);
    assert_eq!(desk.does("timely result list").await, "", "nothing was guessed or sent");

    let entered = desk.does("timely result add HAW 1-2 EAG").await;
    assert!(entered.starts_with("#1  Eagles 2-1 Hawks  FINAL, unofficial"), "{entered}");
    let again = desk.does("timely result add EAG 2-1 HAW").await;
    assert!(again.starts_with("unchanged: #1  Eagles 2-1 Hawks"), "{again}");

    let refused = desk.types("timely result add 1 3-1").await;
    assert_eq!(refused.exit, 5);
    assert!(refused.err.contains("timely result correct 1 3-1"), "{}", refused.err);
    let corrected = desk.does("timely result correct 1 3-1 --reason 'goal at the buzzer'").await;
    assert!(corrected.starts_with("#1  Eagles 3-1 Hawks"), "{corrected}");

    assert_eq!(desk.types("timely result correct 2 1-0").await.exit, 3, "there is nothing to correct");
    desk.does("timely result finalise 1").await;
    assert_eq!(desk.types("timely result correct 1 4-1").await.exit, 1, "it is official");
    desk.does("timely result reopen 1").await;
    assert_eq!(desk.types("timely result void 1").await.exit, 2, "a question, and nobody to answer");
    desk.does("timely result void 1 --yes").await;
    desk.does("timely result add '#1' 0-0").await;

    let json = desk.does("timely result show EAG-HAW --json").await;
    let result: timely_core::result::FixtureResult = serde_json::from_str(&json).unwrap();
    assert_eq!((result.score().unwrap().to_string().as_str(), result.number), ("0-0", 1));
    desk.close().await;
}

#[tokio::test]
async fn a_live_score_becomes_the_result() {
    let desk = Desk::with_a_cup().await;
    let live = desk.does("timely result live OWL 0-1 HAW --minute 23").await;
    assert!(live.starts_with("#2  Hawks 1-0 Owls  LIVE 23'"), "{live}");
    desk.does("timely result live 2 1-1 --minute 70").await;
    let corrected = desk.does("timely result correct 2 2-1").await;
    assert!(corrected.contains("2-1 Owls  LIVE 70'"), "a running score stays one: {corrected}");
    let ended = desk.does("timely result add 2 2-2").await;
    assert!(ended.starts_with("#2  Hawks 2-2 Owls  FINAL"), "{ended}");
    assert_eq!(desk.types("timely result live 2 3-2").await.exit, 1, "it is over");
    desk.close().await;
}

#[tokio::test]
async fn a_key_makes_a_second_try_harmless() {
    let desk = Desk::with_a_cup().await;
    for round in 0..2 {
        let added = desk.does("timely team add Kites --code KIT --key k-team").await;
        assert_eq!(added.starts_with("unchanged"), round > 0, "{added}");
        desk.does("timely fixture reschedule 2 17:00 --key k-move").await;
        desk.does("timely result add 1 0-0 --key k-add").await;
    }
    assert_eq!(desk.types("timely team add Terns --key k-team").await.exit, 5, "another request");
    assert_eq!(desk.does("timely team list").await.lines().count(), 4);
    for _ in 0..2 {
        for line in [
            "timely result correct 1 1-0 --key k-correct",
            "timely result verify 1 --key k-verify",
            "timely fixture start 2 --key k-start",
            "timely announce hello --key k-announce",
            "timely announce withdraw 1 --yes --key k-withdraw",
        ] {
            desk.does(line).await;
        }
    }
    desk.close().await;
}

#[tokio::test]
async fn a_fixture_moves_in_the_time_of_the_event() {
    let desk = Desk::with_a_cup().await;
    for (line, start) in [
        ("timely fixture reschedule 1 +20m", "Sat 2026-07-18 15:50 +02:00"),
        ("timely fixture reschedule EAG-HAW -5m", "Sat 2026-07-18 15:45 +02:00"),
        ("timely fixture reschedule 'hawks eagles' 16:00", "Sat 2026-07-18 16:00 +02:00"),
        ("timely fixture reschedule @pitch2 '2026-07-19 10:00'", "Sun 2026-07-19 10:00 +02:00"),
        ("timely fixture reschedule 1 9:30 --area 'Pitch 1'", "Sun 2026-07-19 09:30 +02:00"),
    ] {
        let said = desk.does(line).await;
        assert!(said.contains(start), "{line}: {said}");
    }
    for line in ["timely fixture reschedule 1 3/4", "timely fixture reschedule 1", "timely fixture cancel 1"] {
        assert_eq!(desk.types(line).await.exit, 2, "{line}");
    }
    assert!(desk.does("timely fixture cancel 1 -y").await.contains("CANCELLED"));
    assert!(desk.does("timely fixture cancel 1").await.starts_with("unchanged"), "no question about what is so");
    assert_eq!(desk.types("timely result add 1 1-0").await.exit, 1, "it is cancelled");
    assert!(desk.does("timely fixture restore 1").await.contains("SCHEDULED"));
    desk.close().await;
}

#[tokio::test]
async fn an_alarm_needs_its_word() {
    let desk = Desk::with_a_cup().await;
    let refused = desk.types("timely announce 'Leave the hall' --type emergency").await;
    assert_eq!(refused.exit, 2);
    assert!(refused.err.contains("--confirm EMERGENCY"), "{}", refused.err);
    assert_eq!(desk.types("timely announce 'Leave' --type emergency --confirm emergency").await.exit, 2);
    assert_eq!(desk.types("timely announce 'Rain' --priority urgent --confirm URGENT").await.exit, 2, "no end");
    assert_eq!(desk.does("timely announce list").await, "");

    desk.does("timely announce 'Leave the hall' --type emergency --confirm EMERGENCY").await;
    let said = desk.does("timely announce 'Your bus' --team EAG --team eagles --expires 30m --json").await;
    let posted: timely_core::announcement::Announcement = serde_json::from_str(&said).unwrap();
    assert_eq!(posted.team_ids.len(), 1, "named twice, meant once");
    assert!(posted.expires_at.is_some());
    desk.does("timely announce withdraw 1 --yes").await;
    assert_eq!(desk.does("timely announce list").await.lines().count(), 1);
    assert_eq!(desk.types("timely announce withdraw 99 --yes").await.exit, 3);
    desk.close().await;
}

#[tokio::test]
async fn rights_end_at_the_role() {
    let desk = Desk::with_a_cup().await;
    desk.does("timely event edit --visibility private").await;
    let token = |json: &str| {
        let made: timely_core::body::TokenInfo = serde_json::from_str(json).unwrap();
        let path = desk.home.path().join(format!("token-{}", made.id));
        std::fs::write(&path, made.token.unwrap()).unwrap();
        (made.id, path)
    };
    let (id, scorer) = token(&desk.does("timely token create --role scorer --area 'Pitch 2' --json").await);
    let (_, viewer) = token(&desk.does("timely token create --role viewer --until 8h --json").await);
    for (why, line, token, exit) in [
        ("reads", "timely fixture list", &viewer, 0),
        ("does not score", "timely result add 1 1-0", &viewer, 4),
        ("scores there", "timely result add 1 1-0", &scorer, 0),
        ("and nowhere else", "timely result add 2 1-0", &scorer, 4),
        ("does not announce", "timely announce hello", &scorer, 4),
    ] {
        let said = desk.types_with(line, token.clone()).await;
        assert_eq!(said.exit, exit, "{why}: {said:?}");
    }
    desk.does(&format!("timely token revoke {id}")).await;
    assert_eq!(desk.types_with("timely fixture list", scorer).await.exit, 4, "revoked");
    let nobody = desk.home.path().join("nobody");
    std::fs::write(&nobody, "tml_nonsense").unwrap();
    assert_eq!(desk.types_with("timely event list", nobody).await.exit, 4);
    desk.close().await;
}

#[tokio::test]
async fn tail_prints_the_wire_and_counts() {
    let desk = Desk::with_a_cup().await;
    let head = desk.does("timely tail --topic schedule --count 1 --timeout 10s").await;
    let frame: serde_json::Value = serde_json::from_str(&head).unwrap();
    assert_eq!(frame["topic"], "event_1_schedule");
    assert!(frame["seq"].is_u64() && frame["pos"].is_u64(), "{head}");

    let (tail, entered) = tokio::join!(
        desk.types("timely tail --topic event_1_announcements --count 1 --timeout 20s"),
        desk.types("timely announce 'Gate 4 is closed'"),
    );
    assert_eq!((tail.exit, entered.exit), (0, 0), "{tail:?}");
    assert!(tail.out.contains("Gate 4 is closed"), "{}", tail.out);

    let out_of_time = desk.types("timely tail --topic results --count 1000 --timeout 1s").await;
    assert_eq!(out_of_time.exit, 9, "{out_of_time:?}");
    let (_, cursor) = out_of_time.err.split_once("Go on: timely tail --since ").unwrap();
    let (cursor, _) = cursor.split_once('\n').unwrap();
    desk.does("timely result live 1 1-0").await;
    let missed = desk.does(&format!("timely tail --topic results --since {cursor} --count 1 --timeout 10s")).await;
    let frame: serde_json::Value = serde_json::from_str(&missed).unwrap();
    assert_eq!((frame["type"].as_str(), frame["replay"].as_bool()), (Some("result_update"), None), "{missed}");
    assert_eq!(desk.types("timely tail --topic event_9_results --timeout 5s").await.exit, 3);
    assert_eq!(desk.types("timely tail --team nobody").await.exit, 3);
    let team = desk.does("timely tail --team EAG --topic schedule --count 1 --timeout 10s").await;
    assert!(team.contains("team_1_schedule"), "{team}");
    desk.close().await;
}

#[tokio::test]
async fn a_tournament_is_imported_whole_or_not_at_all() {
    let desk = Desk::open().await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/harbour-cup.toml");
    let would = desk.does(&format!("timely import {file} --dry-run")).await;
    assert!(would.contains("16 teams") && would.contains("nothing written"), "{would}");
    assert_eq!(desk.does("timely event list").await, "");

    let bad = desk.home.path().join("bad.toml");
    let text = std::fs::read_to_string(file).unwrap().replacen("code = \"HAW\"", "code = \"EAG\"", 1);
    std::fs::write(&bad, text).unwrap();
    let refused = desk.types(&format!("timely import {}", bad.display())).await;
    assert_eq!(refused.exit, 1);
    assert!(refused.err.contains("`EAG` is used twice") && refused.err.contains("`HAW`"), "{}", refused.err);
    assert_eq!(desk.does("timely event list").await, "");

    desk.does(&format!("timely import {file}")).await;
    let entered = desk.does("timely result add EAG 3-1 HAW").await;
    assert!(entered.contains("\nGroup A  1 = Eagles 3   "), "{entered}");
    let table = desk.does("timely standings 'Pool A'").await;
    assert!(table.starts_with("A\t1\tEagles\t1\t1\t0\t0\t3\t1\t2\t3\n"), "{table}");
    assert_eq!(desk.types("timely standings Z").await.exit, 3);
    desk.close().await;
}

#[tokio::test]
async fn every_list_is_a_page_of_json() {
    let desk = Desk::with_a_cup().await;
    desk.does("timely result add 1 1-0").await;
    desk.does("timely announce hello").await;
    for what in ["event", "team", "venue", "fixture", "result", "announce", "token"] {
        let json = desk.does(&format!("timely {what} list --json")).await;
        let page: timely_core::body::Page<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert!(!page.items.is_empty() && page.next.is_none(), "{what}: {json}");
        assert_eq!(desk.does(&format!("timely {what} list")).await.lines().count(), page.items.len(), "{what}");
    }
    let status: serde_json::Value = serde_json::from_str(&desk.does("timely status --json").await).unwrap();
    assert_eq!(status["servers"][0]["events"][0]["finished"], 1);
    desk.close().await;
}
