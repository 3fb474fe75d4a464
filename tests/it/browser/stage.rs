//! The stage a script plays on: a server, a network in front of it, and data.
//!
//! The script asks for what it needs by lines `> command` on its standard output and reads one line
//! of JSON for each; whatever else it prints is shown when the test fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use timely_core::tournament::Tournament;
use timely_server::clock::Clock;
use tokio::sync::{Semaphore, mpsc};

use super::tools::{Tools, pictures, scripts, workspace};
use crate::proxy::{Network, Proxy, WebSockets, cut_length};
use crate::server::{Cup, TestServer};

/// A browser keeps a core busy: more of them at a time would only slow each other down.
static SEATS: Semaphore = Semaphore::const_new(2);

/// A script that has not ended by then, network cuts aside, never will.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(150);

/// Plays a script of `tests/browser/` to its end; panics unless all of it held.
pub(super) async fn play(scenario: &str) {
    let Some(tools) = Tools::find() else { return };
    let _seat = SEATS.acquire().await.unwrap();
    let mut script = Script::start(&tools, scenario);
    let mut stage = Stage::default();
    let deadline = SCRIPT_TIMEOUT + cut_length();
    let played = tokio::time::timeout(deadline, async {
        while let Some(line) = script.lines.recv().await {
            match line.strip_prefix("> ") {
                Some(command) => {
                    let answer = stage.obey(command).await;
                    script.answer(&answer);
                }
                None => println!("{line}"),
            }
        }
    });
    played.await.unwrap_or_else(|_| panic!("{scenario} has not ended after {deadline:?}"));
    assert!(script.ended_well(), "{scenario} failed: see above");
}

/// A running script. It ends with this value at the latest, and Chromium with it.
struct Script {
    process: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Script {
    fn start(tools: &Tools, scenario: &str) -> Self {
        let mut process = Command::new(&tools.node)
            .arg(scripts().join(format!("{scenario}.mjs")))
            .env("TIMELY_BROWSER_TOOLS", &tools.packages)
            .env("TIMELY_CHROMIUM", &tools.chromium)
            .env("TIMELY_SCREENSHOTS", pictures())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::unbounded_channel();
        // Ends with the script's output, or when nobody listens any more.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { process, lines }
    }

    fn answer(&mut self, answer: &Value) {
        let input = self.process.stdin.as_mut().expect("it is piped");
        writeln!(input, "{answer}").expect("the script waits for its answer");
    }

    /// After its output has ended.
    fn ended_well(&mut self) -> bool {
        self.process.wait().expect("the script was started here").success()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Fails only for a script that has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Default)]
struct Stage {
    server: Option<TestServer>,
    /// What a stopped server left.
    data: Option<Arc<TempDir>>,
    proxy: Option<Proxy>,
}

impl Stage {
    async fn obey(&mut self, command: &str) -> Value {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "start" => return self.start(rest).await,
            "stop" => self.data = Some(self.server.take().expect("a server runs").stop().await),
            "network" => self.proxy().network(match rest {
                "open" => Network::Open,
                "silent" => Network::Silent,
                "down" => Network::Down,
                _ => panic!("no such network: {rest}"),
            }),
            "websockets" => self.proxy().websockets(match rest {
                "pass" => WebSockets::Pass,
                "refuse" => WebSockets::Refuse,
                "swallow" => WebSockets::Swallow,
                "reset" => WebSockets::Reset,
                _ => panic!("no such way with WebSockets: {rest}"),
            }),
            "cut" => return json!({"ms": cut_length().as_millis()}),
            "cup" => {
                let cup = Cup::public(self.server()).await;
                return json!({"event": cup.event, "venue": cup.venue, "teams": cup.teams, "fixtures": cup.fixtures});
            }
            "import" => return self.import(rest).await,
            _ => panic!("no such command: {command}"),
        }
        json!({})
    }

    /// Starts the server on what the last one left; its address changes, the network's does not.
    async fn start(&mut self, origins: &str) -> Value {
        let origins = origins.split_whitespace().map(str::to_owned).collect();
        let data = self.data.take().unwrap_or_else(|| Arc::new(TempDir::new().unwrap()));
        let server = TestServer::start_for(origins, data, Arc::new(Clock::real())).await;
        match &self.proxy {
            Some(proxy) => proxy.moved_to(server.address),
            None => self.proxy = Some(Proxy::to(server.address).await),
        }
        let answer = json!({"server": server.address, "proxy": self.proxy().address, "token": server.owner_token});
        self.server = Some(server);
        answer
    }

    /// Imports a tournament of `data/`.
    async fn import(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(workspace().join("data").join(file)).unwrap();
        let tournament: Tournament = toml::from_str(&text).unwrap();
        let event = self.server().post("/api/events/import/", serde_json::to_value(tournament).unwrap()).await.ok();
        json!({"event": event["event_id"]})
    }

    fn server(&self) -> &TestServer {
        self.server.as_ref().expect("the script has started the server")
    }

    fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("the script has started the server")
    }
}
