//! Every message on the wire, held against a file: a change here is a change for every client.
//!
//! `docs/PROTOCOL.md` shows these files, and the last test holds the two against each other. To
//! accept a deliberate change run the tests once with `TIMELY_BLESS=1`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use timely_server::clock::Clock;

use crate::server::{Cup, TestServer};
use crate::stream::Socket;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("it/golden")
}

/// Compares with the file `name.json`, or writes it when blessing.
#[track_caller]
fn golden(name: &str, message: &Value, epoch: &str) {
    let text = serde_json::to_string_pretty(message).unwrap().replace(epoch, "k3f9a2c4") + "\n";
    let path = folder().join(format!("{name}.json"));
    if std::env::var_os("TIMELY_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, text).unwrap();
        return;
    }
    let held = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, held, "{name} changed; if that is meant, run with TIMELY_BLESS=1 and tell it in the changelog");
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

/// `docs/PROTOCOL.md` includes each file word for word.
#[test]
fn the_protocol_document_shows_the_golden_messages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut shown = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let block = format!("```json\n{text}```");
        assert!(document.contains(&block), "docs/PROTOCOL.md does not show {}", path.display());
        shown += 1;
    }
    assert!(shown >= 17, "{shown} messages");
}
