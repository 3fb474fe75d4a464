//! Every message on the wire, held against a file: a change here is a change for every client.
//!
//! `docs/PROTOCOL.md` shows these files, and the last test holds the two against each other. To
//! accept a deliberate change run the tests once with `TIMELY_BLESS=1`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use timely_core::announcement::RemovalReason;
use timely_core::live::{Control, DataMessage};
use timely_core::topic::MessageType;
use timely_server::clock::Clock;

use crate::server::{Cup, TestServer};
use crate::stream::{Socket, Sse};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/golden")
}

/// Compares with the file `name`, or writes it when blessing.
#[track_caller]
fn hold(name: &str, text: &str) {
    let path = folder().join(name);
    if std::env::var_os("TIMELY_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let held = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, held, "{name} changed; if that is meant, run with TIMELY_BLESS=1 and tell it in the changelog");
}

/// Compares a message with the file `name.json`.
#[track_caller]
fn golden(name: &str, message: &Value, epoch: &str) {
    let text = serde_json::to_string_pretty(message).unwrap().replace(epoch, "k3f9a2c4") + "\n";
    hold(&format!("{name}.json"), &text);
}

#[tokio::test]
async fn messages_look_as_documented() {
    let clock = Clock::simulated("2026-05-02T09:00:00Z".parse().unwrap(), 0.0);
    let server = TestServer::start_with_clock(clock).await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/?v=2", cup.event)).await;
    let epoch = server.epoch.clone();
    let check = |name: &str, message: &Value| golden(name, message, &epoch);

    check("connected", &socket.next().await);
    socket.send(json!({"type": "subscribe_results", "id": 7})).await;
    check("subscribed", &socket.until_type("subscribed").await);
    check("leaderboard_update", &socket.until(|message| message["data"]["group"] == "B").await.pop().unwrap());
    check("live", &socket.until_type("live").await);
    server
        .put(
            &format!("/api/fixtures/{}/result/", cup.fixtures[&7]),
            json!({"home_score": 2, "away_score": 1, "goals": [
                {"team_id": cup.teams["Owls"], "minute": 12, "player": "Kim"},
                {"team_id": cup.teams["Kites"], "minute": 45, "added": 2, "penalty": true}]}),
        )
        .await
        .ok();
    check("result_update", &socket.until_type("result_update").await);
    server.delete(&format!("/api/fixtures/{}/result/", cup.fixtures[&7])).await.ok();
    check("result_update_annulled", &socket.until_type("result_update").await);

    socket.send(json!({"type": "subscribe_schedule"})).await;
    socket.until_type("subscribed").await;
    let mut schedule = socket.until_type("schedule_update").await;
    schedule["data"]["schedule"].as_array_mut().unwrap().drain(..6);
    check("schedule_update", &schedule);
    server.command(&format!("/api/fixtures/{}/start/", cup.fixtures[&1])).await.ok();
    check("fixture_update", &socket.until_type("fixture_update").await);

    socket.send(json!({"type": "subscribe_announcements"})).await;
    socket.until_type("live").await;
    let body = json!({"title": "Gate 4 is closed", "message": "Please use gate 6.", "priority": "HIGH", "expires_at": "2026-05-02T11:00:00Z"});
    let made = server.post(&format!("/api/events/{}/announcements/", cup.event), body).await.ok();
    check("announcement_update", &socket.until_type("announcement_update").await);
    server.command(&format!("/api/announcements/{}/withdraw/", made["id"])).await.ok();
    check("announcement_removed", &socket.until_type("announcement_removed").await);

    server.patch(&format!("/api/events/{}/", cup.event), json!({"name": "Spring Cup"})).await.ok();
    check("event_update", &socket.until_type("event_update").await);
    socket.send(json!({"type": "unsubscribe_results", "id": 8})).await;
    check("unsubscribed", &socket.until_type("unsubscribed").await);
    socket.send(json!({"type": "ping", "timestamp": 1_777_711_200})).await;
    check("pong", &socket.until_type("pong").await);
    socket.send(json!({"type": "subscribe_weather", "id": 9})).await;
    check("error", &socket.until_type("error").await);
    check("status", &socket.until_type("status").await);

    let token = server.owner_token.clone();
    let mut team =
        Socket::open_as(&server, &format!("/ws/teams/{}/", cup.teams["Reds"]), Some(&token)).await.ok().unwrap();
    check("connected_team", &team.next().await);
    server.patch(&format!("/api/teams/{}/", cup.teams["Reds"]), json!({"code": "RDS"})).await.ok();
    let update =
        team.until(|message| message["type"] == "team_update" && message["data"]["team"]["code"] == "RDS").await;
    check("team_update", update.last().unwrap());
}

#[tokio::test]
async fn refusals_and_resumes_look_as_documented() {
    let clock = Clock::simulated("2026-05-02T09:00:00Z".parse().unwrap(), 0.0);
    let server = TestServer::start_with_clock(clock).await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    let cursor = socket.until_type("connected").await["cursor"].clone();
    let check = |name: &str, message: &Value| golden(name, message, &server.epoch);
    socket.send_text("hello").await;
    check("error_bad_json", &socket.until_type("error").await);
    socket.send(json!({"type": "subscribe_results", "id": 10, "since": "yesterday"})).await;
    check("error_bad_request", &socket.until_type("error").await);
    socket.send(json!({"type": "subscribe_results", "since": cursor})).await;
    check("subscribed_recovered", &socket.until_type("subscribed").await);
    // The three above count.
    for id in 4..=21 {
        socket.send(json!({"type": "subscribe_weather", "id": id})).await;
    }
    check("error_rate_limited", socket.until(|message| message["code"] == "rate_limited").await.last().unwrap());
}

#[tokio::test]
async fn messages_to_a_team_look_as_documented() {
    let clock = Clock::simulated("2026-05-02T09:00:00Z".parse().unwrap(), 0.0);
    let server = TestServer::start_with_clock(clock).await;
    let cup = Cup::public(&server).await;
    let check = |name: &str, message: &Value| golden(name, message, &server.epoch);
    let owls = cup.teams["Owls"];
    let member = server.token(json!({"role": "viewer", "event_id": cup.event, "team_id": owls})).await;
    let mut team = Socket::open_as(&server, &format!("/ws/teams/{owls}/?v=2"), Some(&member)).await.ok().unwrap();
    let opening = team.until(|message| message["type"] == "live").await;
    for (name, kind) in [("leaderboard_update_team", "leaderboard_update"), ("schedule_update_team", "schedule_update")]
    {
        check(name, opening.iter().find(|message| message["type"] == kind).unwrap());
    }
    check("live_team", opening.last().unwrap());
    server.command(&format!("/api/fixtures/{}/start/", cup.fixtures[&7])).await.ok();
    check("fixture_update_team", &team.until_type("fixture_update").await);
    server
        .put(&format!("/api/fixtures/{}/result/", cup.fixtures[&7]), json!({"home_score": 0, "away_score": 0}))
        .await
        .ok();
    check("result_update_team", &team.until_type("result_update").await);
    let body = json!({"title": "Bus", "message": "It leaves at six.", "team_ids": [owls]});
    server.post(&format!("/api/events/{}/announcements/", cup.event), body).await.ok();
    check("announcement_update_team", &team.until_type("announcement_update").await);
}

#[tokio::test]
async fn each_reason_of_a_removal_looks_as_documented() {
    let start: Timestamp = "2026-05-02T09:00:00Z".parse().unwrap();
    let server = TestServer::start_with_clock(Clock::simulated(start, 0.0)).await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/?topics=announcements", cup.event)).await;
    socket.until_type("subscribed").await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    let body = json!({"title": "Lunch", "message": "In the tent.", "expires_at": "2026-05-02T10:00:00Z"});
    let lunch = server.post(&announcements, body).await.ok();
    let volunteers =
        server.post(&announcements, json!({"title": "Volunteers", "message": "Meet at the desk."})).await.ok();
    server.patch(&format!("/api/announcements/{}/", volunteers["id"]), json!({"is_public": false})).await.ok();
    golden("announcement_removed_audience", &socket.until_type("announcement_removed").await, &server.epoch);
    server.clock.set(start + SignedDuration::from_hours(1), 0.0);
    let removed = socket.until_type("announcement_removed").await;
    assert_eq!(removed["data"]["announcement"]["id"], lunch["id"]);
    golden("announcement_removed_expired", &removed, &server.epoch);
}

/// Everything that an event stream writes up to its first comment, and one change.
async fn opening_of(server: &TestServer, cup: &Cup, path: &str) -> String {
    // Without the patience of the other requests: the first comment comes after 15 s.
    let http = reqwest::Client::builder().build().unwrap();
    let mut stream = Sse::open_with(http.get(server.url(&format!("/api/events/{}/{path}", cup.event)))).await;
    let mut text = String::new();
    loop {
        let block = stream.raw_block().await.expect("the stream goes on");
        text.push_str(&block);
        // What comes after the comment stands beside it.
        if block.starts_with(':') {
            text.push_str(&stream.raw_block().await.expect("the stream goes on"));
            return text.replace(&server.epoch, "k3f9a2c4");
        }
        // The snapshot is through.
        if block.starts_with("id:") && !block.contains("data:") {
            server.score(cup.fixtures[&7], 2, 1).await;
        }
    }
}

#[tokio::test]
async fn event_streams_look_as_documented_byte_for_byte() {
    let held = async |name: &str, path: &str| {
        let clock = Clock::simulated("2026-05-02T09:00:00Z".parse().unwrap(), 0.0);
        let server = TestServer::start_with_clock(clock).await;
        let cup = Cup::public(&server).await;
        hold(name, &opening_of(&server, &cup, path).await);
    };
    tokio::join!(held("sse_stream.txt", "stream/?topics=results"), held("sse_results.txt", "stream/results/"));
}

#[tokio::test]
async fn lines_of_the_whole_log_look_as_documented() {
    let clock = Clock::simulated("2026-05-02T09:00:00Z".parse().unwrap(), 0.0);
    let server = TestServer::start_with_clock(clock).await;
    let cup = Cup::public(&server).await;
    let since = format!("{}.{}", server.epoch, 16);
    server
        .put(&format!("/api/fixtures/{}/result/", cup.fixtures[&7]), json!({"home_score": 0, "away_score": 0}))
        .await
        .ok();
    server.post("/api/tokens/", json!({"role": "relay"})).await.ok();
    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PRIVATE"})).await.ok();
    let log = server.get(&format!("/api/feed/?since={since}")).await;
    let kinds = ["result_update", "changed", "access"];
    let mut shown = String::new();
    for kind in kinds {
        let line = log.text.lines().rfind(|line| line.contains(&format!(r#""type":"{kind}""#))).unwrap();
        let parsed: Value = serde_json::from_str(line).unwrap();
        // The one real time in it.
        shown += &line.replace(parsed["committed_at"].as_str().unwrap(), "2026-05-02T09:00:00.25Z");
        shown.push('\n');
    }
    hold("log_lines.txt", &shown);
}

#[tokio::test]
async fn closes_say_why_as_documented() {
    let held = std::fs::read_to_string(folder().join("close.txt")).unwrap();
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut said = Vec::new();

    let made = server.post("/api/tokens/", json!({"role": "viewer", "event_id": cup.event})).await.ok();
    let mut viewer = Socket::open_as(&server, &path, made["token"].as_str()).await.ok().unwrap();
    viewer.until_type("connected").await;
    server.delete(&format!("/api/tokens/{}/", made["id"])).await.ok();
    said.push(viewer.closed_with().await.unwrap());

    let mut talker = Socket::open(&server, &path).await;
    talker.send_text(&"x".repeat(4_097)).await;
    said.push(talker.closed_with().await.unwrap());

    let mut stranger = Socket::open(&server, &path).await;
    stranger.until_type("connected").await;
    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PRIVATE"})).await.ok();
    said.push(stranger.closed_with().await.unwrap());

    let token = server.owner_token.clone();
    let mut chatterer = Socket::open_as(&server, &path, Some(&token)).await.ok().unwrap();
    for _ in 0..=40 {
        chatterer.send(json!({"type": "ping"})).await;
    }
    said.push(chatterer.closed_with().await.unwrap());

    let mut owner = Socket::open_as(&server, &path, Some(&token)).await.ok().unwrap();
    owner.until_type("connected").await;
    let stopping = tokio::spawn(server.stop());
    said.push(owner.closed_with().await.unwrap());
    stopping.await.unwrap();

    let codes: Vec<u16> = said.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [4001, 1009, 4004, 4129, 4200]);
    for (code, reason) in said {
        assert!(held.contains(&format!("{code} {reason}\n")), "{code} {reason}: not in close.txt");
    }
}

/// A new kind of control message does not compile here until it has a name, and has no file until one
/// is made.
const fn name(control: &Control) -> &'static str {
    match control {
        Control::Connected { .. } => "connected",
        Control::Subscribed { .. } => "subscribed",
        Control::Unsubscribed { .. } => "unsubscribed",
        Control::Live { .. } => "live",
        Control::Resync { .. } => "resync",
        Control::Status { .. } => "status",
        Control::Pong { .. } => "pong",
        Control::Error { .. } => "error",
    }
}

const CONTROLS: [&str; 8] = ["connected", "subscribed", "unsubscribed", "live", "resync", "status", "pong", "error"];

#[test]
fn every_kind_of_message_has_a_golden_file() {
    let (mut kinds, mut codes, mut removals) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let message: Value = serde_json::from_str(&text).unwrap();
        let kind = message["type"].as_str().unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(stem.starts_with(kind), "{stem} holds a {kind}");
        kinds.insert(kind.to_owned());
        codes.extend(message["code"].as_str().map(str::to_owned));
        removals.extend(message["data"]["announcement"]["reason"].as_str().map(str::to_owned));
        if CONTROLS.contains(&kind) {
            let control: Control = serde_json::from_value(message.clone()).unwrap();
            assert_eq!(name(&control), kind);
        } else {
            let data: DataMessage<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(data.kind.as_str(), kind);
            assert_eq!(data.team_id, data.topic.team(), "{stem}");
        }
    }
    let expected: BTreeSet<String> =
        MessageType::ALL.iter().map(ToString::to_string).chain(CONTROLS.map(str::to_owned)).collect();
    assert_eq!(kinds, expected);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(codes, words(&["bad_json", "bad_request", "rate_limited", "unknown_type"]), "codes that are sent");
    assert_eq!(removals, RemovalReason::ALL.iter().map(ToString::to_string).collect());
}

/// `docs/PROTOCOL.md` includes each file word for word.
#[test]
fn the_protocol_document_shows_the_golden_messages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut shown = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let language = match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => "json",
            Some("txt") => "text",
            _ => panic!("{} is neither a message nor a text", path.display()),
        };
        let block = format!("```{language}\n{text}```");
        assert!(document.contains(&block), "docs/PROTOCOL.md does not show {}", path.display());
        shown += 1;
    }
    assert!(shown >= 30, "{shown} messages");
}
