//! Defects that another system had, each a test that this one has not.

use proptest::prelude::*;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::server::{Cup, TestServer, names_and_points, send};
use crate::stream::Socket;

async fn results_socket(server: &TestServer, event: i64) -> Socket {
    let mut socket = Socket::open(server, &format!("/ws/events/{event}/stream/")).await;
    socket.until_type("connected").await;
    socket.subscribe("results").await;
    socket
}

fn board_of(group: &str) -> impl Fn(&Value) -> bool {
    move |message| message["type"] == "leaderboard_update" && message["data"]["group"] == group
}

#[tokio::test]
async fn b4_a_result_brings_the_board_with_the_right_rows() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = results_socket(&server, cup.event).await;
    socket.settle().await;

    server.score(cup.fixtures[&1], 2, 1).await;

    let messages = socket.until(board_of("A")).await;
    assert!(messages.iter().any(|message| message["type"] == "result_update"), "{messages:?}");
    let board = &messages.last().unwrap()["data"]["leaderboard"];
    let first = &board[0];
    for (key, value) in [
        ("position", json!(1)),
        ("team_id", json!(cup.teams["Reds"])),
        ("team_name", json!("Reds")),
        ("points", json!(3)),
        ("played", json!(1)),
        ("won", json!(1)),
        ("drawn", json!(0)),
        ("lost", json!(0)),
        ("gf", json!(2)),
        ("ga", json!(1)),
        ("gd", json!(1)),
    ] {
        assert_eq!(first[key], value, "{key}");
    }
    assert_eq!(board.as_array().unwrap().len(), 4, "teams without a result stand in the table too");
}

#[tokio::test]
async fn b5_a_correction_replaces_the_match_and_is_not_added_to_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&1], 7, 0).await;
    server.score(cup.fixtures[&1], 7, 1).await;
    let boards = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
    let first = &boards["boards"][0]["leaderboard"][0];
    assert_eq!(
        (&first["played"], &first["points"], &first["gf"], &first["ga"]),
        (&json!(1), &json!(3), &json!(7), &json!(1))
    );
}

#[derive(Clone, Debug)]
enum Step {
    Enter { fixture: u32, home: u16, away: u16 },
    Remove { fixture: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..=6_u32, 0..4_u16, 0..4_u16).prop_map(|(fixture, home, away)| Step::Enter { fixture, home, away }),
        1 => (1..=6_u32).prop_map(|fixture| Step::Remove { fixture }),
    ]
}

#[test]
fn b5_any_history_of_results_equals_entering_the_last_ones_alone() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::start());
    let counter = std::sync::atomic::AtomicU32::new(0);
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in prop::collection::vec(step(), 1..14))| {
        runtime.block_on(async {
            let number = counter.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
            let history = group_of_four(&server, number).await;
            let fresh = group_of_four(&server, number + 1).await;
            let mut last = std::collections::BTreeMap::new();
            for step in &steps {
                match *step {
                    Step::Enter { fixture, home, away } => {
                        server.score(history.fixtures[&fixture], home, away).await;
                        last.insert(fixture, (home, away));
                    }
                    Step::Remove { fixture } => {
                        let removed = server.delete(&format!("/api/fixtures/{}/result/", history.fixtures[&fixture])).await;
                        prop_assert_eq!(removed.status, if last.remove(&fixture).is_some() { 200 } else { removed.status });
                    }
                }
            }
            for (fixture, (home, away)) in last {
                server.score(fresh.fixtures[&fixture], home, away).await;
            }
            prop_assert_eq!(rows(&server, &history).await, rows(&server, &fresh).await);
            Ok(())
        })?;
    });
    runtime.block_on(server.stop());
}

async fn group_of_four(server: &TestServer, number: u32) -> Cup {
    let event =
        server.post("/api/events/", json!({"name": format!("Cup {number}"), "starts_on": "2026-05-02"})).await.ok();
    let event = event["id"].as_i64().unwrap();
    let mut teams = std::collections::BTreeMap::new();
    for name in ["Reds", "Blues", "Greens", "Golds"] {
        let team = server.post(&format!("/api/events/{event}/teams/"), json!({"name": name, "group": "A"})).await.ok();
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
    ] {
        let body =
            json!({"home_team_id": teams[home], "away_team_id": teams[away], "start_at": "2026-05-02T09:00:00Z"});
        let fixture = server.post(&format!("/api/events/{event}/fixtures/"), body).await.ok();
        fixtures.insert(number, fixture["fixture_id"].as_i64().unwrap());
    }
    Cup { event, teams, fixtures, venue: 0 }
}

/// The table without ids.
async fn rows(server: &TestServer, cup: &Cup) -> Vec<Value> {
    let boards = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
    let mut rows = boards["boards"][0]["leaderboard"].as_array().unwrap().clone();
    for row in &mut rows {
        row.as_object_mut().unwrap().remove("team_id");
    }
    rows
}

#[tokio::test]
async fn b6_a_draw_is_a_point_for_both() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&7], 1, 1).await;
    assert_eq!(server.table(cup.event, "B").await, ["Kites 1", "Owls 1"]);
}

#[tokio::test]
async fn b7_every_change_between_win_draw_and_loss_is_taken() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let (owls, kites) = (cup.teams["Owls"], cup.teams["Kites"]);
    let outcomes = [((2, 1), Some(owls)), ((1, 1), None), ((0, 2), Some(kites))];
    for (before, _) in outcomes {
        for (after, winner) in outcomes {
            server.score(cup.fixtures[&7], before.0, before.1).await;
            let result = server.score(cup.fixtures[&7], after.0, after.1).await;
            assert_eq!(
                (&result["winner_id"], &result["is_draw"]),
                (&json!(winner), &json!(winner.is_none())),
                "{before:?} to {after:?}"
            );
        }
    }
}

#[tokio::test]
async fn b8_a_removed_result_and_a_deleted_fixture_leave_no_trace_in_the_table() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = results_socket(&server, cup.event).await;
    let zero = ["Blues 0", "Golds 0", "Greens 0", "Reds 0"];
    for removal in
        [format!("/api/fixtures/{}/result/", cup.fixtures[&1]), format!("/api/fixtures/{}/", cup.fixtures[&2])]
    {
        let fixture = if removal.ends_with("result/") { cup.fixtures[&1] } else { cup.fixtures[&2] };
        server.score(fixture, 3, 0).await;
        socket.until(|message| board_of("A")(message) && message["data"]["leaderboard"][0]["points"] == 3).await;
        let status = server.delete(&removal).await.status;
        assert!(status == 200 || status == 204, "{removal}: {status}");
        let mut messages =
            socket.until(|message| board_of("A")(message) && message["data"]["leaderboard"][0]["points"] == 0).await;
        let board = messages.pop().unwrap();
        assert_eq!(names_and_points(&board["data"]["leaderboard"]), zero, "{removal}");
        assert_eq!(server.table(cup.event, "A").await, zero, "{removal}");
        let removed = messages.iter().find(|message| message["type"] == "result_update").expect("the removal is told");
        assert_eq!(removed["data"]["result"]["state"], "ANNULLED");
        assert_eq!(removed["data"]["result"]["home_score"], Value::Null);
    }
}

#[tokio::test]
async fn b10_answer_row_and_message_of_an_announcement_agree() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("announcements").await;
    let answer = server
        .post(
            &format!("/api/events/{}/announcements/", cup.event),
            json!({"title": "Gate 4", "message": "Gate 4 is closed", "type": "GENERAL", "priority": "HIGH"}),
        )
        .await
        .ok();
    let message = socket.until_type("announcement_update").await;
    let row = server.get(&format!("/api/announcements/{}/", answer["id"])).await.ok();
    assert_eq!(message["data"]["announcement"], row);
    assert_eq!(answer, row);
    assert_eq!(row["created_by"]["id"], 1);
}

#[tokio::test]
async fn b11_nothing_a_client_sends_breaks_its_socket_or_anybody_elses() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut neighbour = results_socket(&server, cup.event).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.until_type("connected").await;
    let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
    for (why, text) in [
        ("not JSON", "{"),
        ("an array", "[1,2,3]"),
        ("a number", "7"),
        ("null", "null"),
        ("no type", "{}"),
        ("a type that is no text", r#"{"type":7}"#),
        ("an unknown type", r#"{"type":"subscribe_everything"}"#),
        ("deep nesting", deep.as_str()),
        ("a bad cursor", r#"{"type":"subscribe_results","since":"here"}"#),
        ("a control character", "{\"type\":\"\u{0}\"}"),
        ("an emoji", "🏟"),
        ("empty", ""),
    ] {
        socket.send_text(text).await;
        let answer = socket.next().await;
        assert_eq!(answer["type"], "error", "{why}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|message| !message.is_empty()), "{why}: {answer}");
    }
    socket.send_raw(Message::binary(vec![0, 159, 146, 150])).await;
    assert_eq!(socket.next().await["type"], "error");
    socket.send_text("{").await;
    assert_eq!(socket.next().await["message"], "Invalid JSON");

    socket.subscribe("results").await;
    server.score(cup.fixtures[&1], 1, 0).await;
    socket.until_type("result_update").await;
    neighbour.until_type("result_update").await;
}

#[tokio::test]
async fn b11_too_large_a_message_ends_that_socket_alone() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut neighbour = results_socket(&server, cup.event).await;
    let mut socket = results_socket(&server, cup.event).await;
    socket.send_text(&format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(8_000))).await;
    assert_eq!(socket.closed().await, Some(1009), "message too big");
    server.score(cup.fixtures[&1], 1, 0).await;
    neighbour.until_type("result_update").await;
}

#[tokio::test]
async fn b12_a_refused_change_sends_nothing_and_order_is_commit_order() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = results_socket(&server, cup.event).await;
    server.command(&format!("/api/fixtures/{}/cancel/", cup.fixtures[&2])).await.ok();
    let refused = server
        .put(&format!("/api/fixtures/{}/result/", cup.fixtures[&2]), json!({"home_score": 1, "away_score": 0}))
        .await;
    refused.refused(409, "rule");
    let mut committed = Vec::new();
    for fixture in [3, 1, 4] {
        let answer = send(
            server
                .owner(Method::PUT, &format!("/api/fixtures/{}/result/", cup.fixtures[&fixture]))
                .json(&json!({"home_score": 1, "away_score": 0})),
        )
        .await;
        committed.push((answer.header("timely-pos").unwrap().parse::<u64>().unwrap(), cup.fixtures[&fixture]));
    }
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let message = socket.until_type("result_update").await;
        seen.push((message["pos"].as_u64().unwrap(), message["data"]["result"]["fixture_id"].as_i64().unwrap()));
    }
    let fixtures = |list: &[(u64, i64)]| list.iter().map(|(_, fixture)| *fixture).collect::<Vec<_>>();
    assert_eq!(fixtures(&seen), fixtures(&committed), "the refused one is not among them");
    assert!(seen.is_sorted(), "{seen:?}");
}

#[tokio::test]
async fn b13_every_change_is_told_exactly_once() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    for stream in ["results", "schedule", "announcements"] {
        socket.subscribe(stream).await;
    }
    socket.settle().await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    server.post(&announcements, json!({"title": "One", "message": ""})).await.ok();
    server.score(cup.fixtures[&1], 1, 0).await;
    server
        .patch(&format!("/api/fixtures/{}/", cup.fixtures[&3]), json!({"start_at": "2026-05-02T20:00:00Z"}))
        .await
        .ok();
    server.score(cup.fixtures[&1], 2, 0).await;
    server.post(&announcements, json!({"title": "Last", "message": ""})).await.ok();

    let messages = socket.until(|message| message["data"]["announcement"]["title"] == "Last").await;
    let mut lanes = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for message in &messages {
        let kind = message["type"].as_str().unwrap();
        if !["leaderboard_update", "schedule_update", "event_update"].contains(&kind) {
            lanes.entry(kind.to_owned()).or_default().push(message["seq"].as_u64().unwrap());
        }
    }
    let counts: Vec<_> = lanes.iter().map(|(kind, seqs)| (kind.as_str(), seqs.len())).collect();
    // The first result also finishes the fixture; the correction does not touch it.
    assert_eq!(counts, [("announcement_update", 2), ("fixture_update", 2), ("result_update", 2)], "{messages:#?}");
    for (kind, seqs) in lanes {
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{kind}: {seqs:?}");
    }
}

#[tokio::test]
async fn b14_a_cut_in_a_burst_costs_nothing_after_resume() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/?v=2&topics=results", cup.event);
    let mut socket = Socket::open(&server, &path).await;
    let live = socket.until_type("live").await;
    let mut cursor = live["cursor"].as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    let burst = async {
        for round in 0..20_u16 {
            server.score(cup.fixtures[&1], round, 0).await;
            server.score(cup.fixtures[&7], 0, round + 1).await;
        }
    };
    let listen = async {
        let mut connections = 0;
        while seen.len() < 40 {
            connections += 1;
            let mut in_this_connection = 0;
            // Cut after every third result.
            while in_this_connection < 3 && seen.len() < 40 {
                let message = socket.next().await;
                if message["type"] == "result_update" && message["replay"] != true {
                    seen.push(message["pos"].as_u64().unwrap());
                    cursor = format!("{}.{}", server.epoch, message["pos"]);
                    in_this_connection += 1;
                }
            }
            socket = Socket::open(&server, &format!("{path}&since={cursor}")).await;
            let subscribed = socket.until_type("subscribed").await;
            assert_eq!(subscribed["recovered"], true, "{subscribed}");
        }
        connections
    };
    let ((), connections) = tokio::join!(burst, listen);
    assert!(connections > 10);
    let mut expected = seen.clone();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(seen, expected, "in order and none twice");
    let board = socket.until(board_of("A")).await.pop().unwrap();
    assert_eq!(names_and_points(&board["data"]["leaderboard"]), server.table(cup.event, "A").await);
}
