//! What the guide promises to a client that knows nothing more.

use serde_json::{Value, json};

use crate::server::{Cup, TestServer};
use crate::stream::{Socket, Sse};

#[tokio::test]
async fn the_websocket_sample_gets_a_board_a_schedule_a_result_and_an_announcement() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    let connected = socket.next().await;
    assert_eq!(connected["type"], "connected");
    assert_eq!(connected["event_id"], cup.event);
    assert_eq!(connected["message"], "Connected to event updates");
    assert_eq!(connected["topics"], json!(["results", "schedule", "announcements"]));
    for stream in ["results", "schedule", "announcements"] {
        socket.send(json!({"type": format!("subscribe_{stream}")})).await;
    }
    let messages = socket.until(|message| message["stream"] == "announcements").await;
    let kinds: Vec<_> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"leaderboard_update") && kinds.contains(&"schedule_update"), "{kinds:?}");
    let schedule = messages.iter().find(|message| message["type"] == "schedule_update").unwrap();
    assert_eq!(schedule["data"]["schedule"].as_array().unwrap().len(), 8);
    let last = &schedule["data"]["schedule"][7];
    assert_eq!(last["home_team"], json!({"id": null, "name": "TBD"}));
    assert_eq!(last["home_slot"], "1st of A");

    server.score(cup.fixtures[&1], 2, 1).await;
    let result = socket.until_type("result_update").await;
    let expected = [
        ("fixture_id", json!(cup.fixtures[&1])),
        ("home_team_id", json!(cup.teams["Reds"])),
        ("away_team_id", json!(cup.teams["Blues"])),
        ("home_score", json!(2)),
        ("away_score", json!(1)),
        ("winner_id", json!(cup.teams["Reds"])),
        ("is_draw", json!(false)),
        ("state", json!("PROVISIONAL")),
    ];
    for (key, value) in expected {
        assert_eq!(result["data"]["result"][key], value, "{key}");
    }
    assert!(result["timestamp"].is_string() && result["data"]["timestamp"].is_string());

    server
        .post(
            &format!("/api/events/{}/announcements/", cup.event),
            json!({"title": "Match postponed", "message": "Rain", "type": "schedule", "priority": "high"}),
        )
        .await
        .ok();
    let announcement = socket.until_type("announcement_update").await;
    assert_eq!(announcement["data"]["announcement"]["type"], "SCHEDULE");
    assert_eq!(announcement["data"]["announcement"]["priority"], "HIGH");
}

#[tokio::test]
async fn ping_brings_back_what_it_was_given() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream", cup.event)).await;
    socket.until_type("connected").await;
    for timestamp in [json!(1), json!("then"), json!({"a": [1]}), Value::Null] {
        socket.send(json!({"type": "ping", "timestamp": timestamp})).await;
        assert_eq!(socket.next().await, json!({"type": "pong", "timestamp": timestamp}));
    }
}

#[tokio::test]
async fn the_base_topic_carries_no_results_until_they_are_subscribed_and_none_after_unsubscribing() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    let mut marker = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    marker.subscribe("results").await;
    server.score(cup.fixtures[&1], 1, 0).await;
    marker.until(|message| message["type"] == "result_update").await;
    socket.subscribe("results").await;
    socket.send(json!({"type": "unsubscribe_results"})).await;
    let unsubscribed = socket.until_type("unsubscribed").await;
    assert_eq!(unsubscribed["stream"], "results");
    server.score(cup.fixtures[&1], 2, 0).await;
    marker.until(|message| message["data"]["result"]["home_score"] == 2).await;
    let after = socket.settle().await;
    assert!(after.iter().all(|message| message["type"] != "result_update"), "{after:?}");
}

#[tokio::test]
async fn the_sse_sample_finds_a_board_in_every_message() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    for path in ["stream/results/", "stream/results", "results/stream/"] {
        let mut stream = Sse::open(&server, &format!("/api/events/{}/{path}", cup.event)).await;
        assert_eq!(stream.headers["content-type"], "text/event-stream");
        assert_eq!(stream.headers["cache-control"], "no-cache");
        assert_eq!(stream.headers["x-accel-buffering"], "no");
        let score = server.score(cup.fixtures[&1], 1, 0).await;
        let version = score["version"].as_i64().unwrap();
        loop {
            let (_, message) = stream.next().await;
            assert!(message["leaderboard"].is_array(), "{path}: {message}");
            assert!(
                !["connected", "subscribed", "status"].contains(&message["type"].as_str().unwrap()),
                "{path}: {message}"
            );
            if message["data"]["result"]["version"] == version {
                break;
            }
        }
        server.delete(&format!("/api/fixtures/{}/result/", cup.fixtures[&1])).await.ok();
    }
}

#[tokio::test]
async fn the_whole_stream_says_connected_and_carries_everything() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut stream = Sse::open(&server, &format!("/api/events/{}/stream/", cup.event)).await;
    let (_, connected) = stream.next().await;
    assert_eq!(connected["type"], "connected");
    stream.until_type("leaderboard_update").await;
    stream.until_type("schedule_update").await;
    // An id of its own stands behind the snapshot, so that a reconnect resumes from there.
    loop {
        let block = stream.block().await.unwrap();
        if block.data.is_none() && block.id.is_some() {
            break;
        }
        assert_eq!(block.id, None, "a snapshot moves no cursor: {block:?}");
    }
    server
        .post(&format!("/api/events/{}/announcements/", cup.event), json!({"title": "Hello", "message": ""}))
        .await
        .ok();
    let (id, announcement) = stream.until_type("announcement_update").await;
    assert_eq!(id, Some(format!("{}.{}", server.epoch, announcement["pos"])));
    assert_eq!(announcement.get("leaderboard"), None, "the alias belongs to the results stream alone");
}

#[tokio::test]
async fn websocket_and_event_stream_say_the_same() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("schedule").await;
    socket.subscribe("announcements").await;
    let mut stream = Sse::open(&server, &format!("/api/events/{}/stream/", cup.event)).await;
    stream.until_type("schedule_update").await;
    server.command(&format!("/api/fixtures/{}/start/", cup.fixtures[&1])).await.ok();
    server
        .post(&format!("/api/events/{}/announcements/", cup.event), json!({"title": "Hello", "message": "you"}))
        .await
        .ok();
    for kind in ["fixture_update", "announcement_update"] {
        let over_socket = socket.until_type(kind).await;
        let (_, over_stream) = stream.until_type(kind).await;
        assert_eq!(over_socket, over_stream);
    }
}

#[tokio::test]
async fn a_team_hears_of_its_fixtures_results_table_and_what_is_said_to_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let reds = cup.teams["Reds"];
    let token = server.owner_token.clone();
    let mut socket = Socket::open_as(&server, &format!("/ws/teams/{reds}/"), Some(&token)).await.ok().unwrap();
    let connected = socket.next().await;
    assert_eq!((&connected["team_id"], &connected["team_name"]), (&json!(reds), &json!("Reds")));
    assert_eq!(connected["topics"], json!(["results", "schedule", "announcements"]));
    let schedule = socket.until_type("schedule_update").await;
    assert_eq!(schedule["data"]["schedule"].as_array().unwrap().len(), 3, "its own fixtures");
    assert_eq!(schedule["team_id"], reds);

    let mut stream = Sse::open_with(server.owner(reqwest::Method::GET, &format!("/api/teams/{reds}/stream/"))).await;
    stream.until_type("schedule_update").await;

    // A match of two other teams changes its board, not its results.
    server.score(cup.fixtures[&4], 5, 0).await;
    let board = socket
        .until(|message| message["type"] == "leaderboard_update" && message["data"]["leaderboard"][0]["points"] == 3)
        .await
        .pop()
        .unwrap();
    assert_eq!((&board["team_id"], &board["data"]["group"]), (&json!(reds), &json!("A")));
    server.score(cup.fixtures[&1], 0, 0).await;
    let result = socket.until_type("result_update").await;
    assert_eq!(result["topic"], format!("team_{reds}_results"));
    assert_eq!(result["data"]["result"]["fixture_id"], cup.fixtures[&1]);

    server
        .post(
            &format!("/api/events/{}/announcements/", cup.event),
            json!({"title": "Bus", "message": "Car park 2", "team_ids": [reds]}),
        )
        .await
        .ok();
    assert_eq!(socket.until_type("announcement_update").await["data"]["announcement"]["title"], "Bus");
    assert_eq!(stream.until_type("announcement_update").await.1["team_id"], reds);
}

#[tokio::test]
async fn a_team_that_leaves_a_fixture_is_told() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let token = server.owner_token.clone();
    let mut sockets = Vec::new();
    for team in ["Reds", "Golds"] {
        let path = format!("/ws/teams/{}/", cup.teams[team]);
        let mut socket = Socket::open_as(&server, &path, Some(&token)).await.ok().unwrap();
        socket.until_type("schedule_update").await;
        sockets.push(socket);
    }
    // Reds v Blues becomes Golds v Blues.
    server
        .patch(&format!("/api/fixtures/{}/", cup.fixtures[&1]), json!({"home_team_id": cup.teams["Golds"]}))
        .await
        .ok();
    for socket in &mut sockets {
        let update = socket.until_type("fixture_update").await;
        assert_eq!(update["data"]["home_team"]["name"], "Golds");
    }
    let left = sockets[0].until_type("schedule_update").await;
    assert_eq!(left["data"]["schedule"].as_array().unwrap().len(), 2);
}
