//! Continuing from a cursor: everything missed and nothing twice, or the reason why not.

use serde_json::{Value, json};

use crate::server::{Cup, TestServer};
use crate::stream::{Socket, Sse};

#[tokio::test]
async fn four_kinds_of_cursor_that_cannot_be_continued_give_their_reasons() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&1], 1, 0).await;
    let epoch = server.epoch.clone();
    for (since, reason) in [
        (String::new(), "fresh"),
        (format!("&since={epoch}.999999"), "ahead"),
        ("&since=another1.3".to_owned(), "epoch"),
    ] {
        let mut socket =
            Socket::open(&server, &format!("/ws/events/{}/stream/?v=2&topics=results{since}", cup.event)).await;
        let messages = socket.until(|message| message["type"] == "live").await;
        let subscribed = messages.iter().find(|message| message["type"] == "subscribed").unwrap();
        assert_eq!((&subscribed["recovered"], &subscribed["reason"]), (&json!(false), &json!(reason)));
        let replayed: Vec<_> = messages.iter().filter(|message| message["type"] == "result_update").collect();
        assert_eq!(replayed.len(), 1, "{reason}: the recent tail comes unasked");
        assert_eq!(replayed[0]["replay"], true);
        assert!(messages.iter().any(|message| message["type"] == "leaderboard_update"), "{reason}: and the state");
    }
}

#[tokio::test]
async fn an_expired_cursor_says_so() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/?v=2&topics=results", cup.event)).await;
    let cursor = socket.until_type("live").await["cursor"].as_str().unwrap().to_owned();
    server.score(cup.fixtures[&1], 1, 0).await;
    let database = server.database();
    let server = {
        let clock = server.clock.clone();
        let directory = server.stop().await;
        // Age the log by more than the replay window.
        let connection = rusqlite::Connection::open(&database).unwrap();
        let aged = connection
            .execute("UPDATE change_log SET committed_at = committed_at - 8 * 24 * 3600 * 1000000", [])
            .unwrap();
        assert!(aged > 0);
        drop(connection);
        TestServer::start_on(directory, clock).await
    };
    server.score(cup.fixtures[&2], 1, 0).await;
    let path = format!("/ws/events/{}/stream/?v=2&topics=results&since={cursor}", cup.event);
    let subscribed = Socket::open(&server, &path).await.until_type("subscribed").await;
    assert_eq!((&subscribed["recovered"], &subscribed["reason"]), (&json!(false), &json!("expired")));
}

#[tokio::test]
async fn a_cursor_survives_a_restart() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/?v=2&topics=results,schedule,announcements", cup.event);
    let mut socket = Socket::open(&server, &path).await;
    let cursor = socket.until_type("live").await["cursor"].as_str().unwrap().to_owned();
    for goals in 0..3 {
        server.score(cup.fixtures[&1], goals, 0).await;
    }
    let epoch = server.epoch.clone();
    let server = server.restart().await;
    assert_eq!(server.epoch, epoch);
    server.score(cup.fixtures[&1], 3, 0).await;

    let mut socket = Socket::open(&server, &format!("{path}&since={cursor}")).await;
    let messages = socket.until(|message| message["type"] == "live").await;
    let subscribed: Vec<_> = messages.iter().filter(|message| message["type"] == "subscribed").collect();
    assert_eq!(subscribed.len(), 3);
    assert!(subscribed.iter().all(|message| message["recovered"] == true && message["reason"] == Value::Null));
    let scores: Vec<_> = messages
        .iter()
        .filter(|message| message["type"] == "result_update")
        .map(|message| message["data"]["result"]["home_score"].as_i64().unwrap())
        .collect();
    assert_eq!(scores, [0, 1, 2, 3]);
    let positions: Vec<_> = messages
        .iter()
        .filter(|message| ["result_update", "fixture_update"].contains(&message["type"].as_str().unwrap()))
        .map(|message| message["pos"].as_u64().unwrap())
        .collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "merged in commit order: {positions:?}");
}

#[tokio::test]
async fn an_event_stream_resumes_from_its_last_id() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/api/events/{}/stream/", cup.event);
    let mut stream = Sse::open(&server, &path).await;
    server.score(cup.fixtures[&1], 1, 0).await;
    let (mut id, mut message) = stream.until_type("result_update").await;
    while message["replay"] == true {
        (id, message) = stream.until_type("result_update").await;
    }
    let id = id.expect("live log frames carry an id");
    drop(stream);
    for goals in 2..5 {
        server.score(cup.fixtures[&1], goals, 0).await;
    }
    for by_header in [true, false] {
        let request = if by_header {
            server.anonymous(reqwest::Method::GET, &path).header("last-event-id", "").header("last-event-id", &id)
        } else {
            server.anonymous(reqwest::Method::GET, &format!("{path}?since={id}"))
        };
        let mut stream = Sse::open_with(request).await;
        let mut scores = Vec::new();
        while scores.len() < 3 {
            let (_, message) = stream.until_type("result_update").await;
            scores.push(message["data"]["result"]["home_score"].as_i64().unwrap());
        }
        assert_eq!(scores, [2, 3, 4], "by header: {by_header}");
    }
}

#[tokio::test]
async fn a_later_subscribe_with_a_cursor_is_replayed_before_its_live() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/?v=2&topics=schedule", cup.event)).await;
    let cursor = socket.until_type("live").await["cursor"].clone();
    server.score(cup.fixtures[&1], 1, 0).await;
    socket.until_type("fixture_update").await;
    socket.send(json!({"type": "subscribe_results", "id": "r1", "since": cursor})).await;
    let messages = socket.until(|message| message["type"] == "live").await;
    let kinds: Vec<_> = messages
        .iter()
        .map(|message| message["type"].as_str().unwrap())
        .filter(|kind| *kind != "schedule_update")
        .collect();
    assert_eq!(kinds.first(), Some(&"subscribed"), "{kinds:?}");
    assert!(kinds.contains(&"result_update"), "{kinds:?}");
    let subscribed = &messages[messages.iter().position(|message| message["type"] == "subscribed").unwrap()];
    assert_eq!((&subscribed["id"], &subscribed["recovered"]), (&json!("r1"), &json!(true)));
    assert_eq!(messages.last().unwrap()["topics"], json!([format!("event_{}_results", cup.event)]));
}

#[tokio::test]
async fn status_tells_how_far_the_log_is() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/?v=2", cup.event)).await;
    socket.until_type("connected").await;
    let status = socket.until_type("status").await;
    assert!(status["pos"].as_u64().unwrap() > 0);
    assert_eq!(status["clock_rate"], 1.0);
    assert!(status["server_time"].is_string());
}
