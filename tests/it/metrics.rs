//! What a monitor reads while streams come and go.

use reqwest::Method;

use crate::server::{Cup, PATIENCE, TestServer, send};
use crate::stream::{Socket, Sse};

/// The value of a figure; 0 if it was never counted.
async fn figure(server: &TestServer, name: &str) -> u64 {
    let answer = send(server.anonymous(Method::GET, "/metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    let line = answer.text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

async fn until(server: &TestServer, name: &str, value: u64) {
    let reached = async {
        while figure(server, name).await != value {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{name} is never {value}"));
}

#[tokio::test]
async fn streams_and_frames_are_counted_and_nobody_is_named() {
    let server = TestServer::start().await;
    let cup = Cup::create(&server, "PRIVATE").await;
    let (ws, sse) = (r#"timely_connections{transport="ws"}"#, r#"timely_connections{transport="sse"}"#);
    assert_eq!((figure(&server, ws).await, figure(&server, sse).await), (0, 0));

    let path = format!("/ws/events/{}/stream/?topics=results", cup.event);
    let token = server.owner_token.clone();
    let mut socket = Socket::open_as(&server, &path, Some(&token)).await.ok().unwrap();
    let stream = Sse::open_with(server.owner(Method::GET, &format!("/api/events/{}/stream/", cup.event))).await;
    socket.until_type("leaderboard_update").await;
    until(&server, ws, 1).await;
    until(&server, sse, 1).await;
    until(&server, "timely_sessions", 2).await;

    server.score(cup.fixtures[&1], 2, 1).await;
    socket.until_type("result_update").await;
    // The result to both, the fixture that it finished to the event stream alone.
    until(&server, r#"timely_frames_sent_total{lane="log"}"#, 3).await;
    let head = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok()["pos"].as_u64().unwrap();
    until(&server, "timely_outbox_pos", head).await;

    drop(stream);
    until(&server, sse, 0).await;
    server.patch(&format!("/api/events/{}/", cup.event), serde_json::json!({"visibility": "DRAFT"})).await.ok();
    server.delete(&format!("/api/events/{}/", cup.event)).await.ok();
    assert_eq!(socket.closed().await, Some(4004));
    until(&server, r#"timely_close_total{code="4004"}"#, 1).await;
    drop(socket);
    until(&server, ws, 0).await;

    let text = send(server.anonymous(Method::GET, "/metrics")).await.text;
    for name in ["Spring Cup", "Reds", "Park", "event_"] {
        assert!(!text.contains(name), "{name} is nobody's business");
    }
}
