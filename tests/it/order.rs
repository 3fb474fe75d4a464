//! What a listener may conclude from a frame.

use serde_json::json;

use crate::server::{Cup, TestServer};
use crate::stream::Socket;

#[tokio::test]
async fn a_read_after_a_frame_is_never_older_than_the_frame() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("results").await;
    socket.subscribe("schedule").await;
    let writing = async {
        for round in 0..15_u16 {
            server.score(cup.fixtures[&1], round, 0).await;
            server.score(cup.fixtures[&2], 0, round).await;
        }
    };
    let reading = async {
        let mut results = 0;
        while results < 30 {
            let message = socket.next().await;
            let pos = message["pos"].as_u64().unwrap_or(0);
            match message["type"].as_str().unwrap() {
                "result_update" if message["replay"] != true => {
                    results += 1;
                    let told = &message["data"]["result"];
                    let read = server.get(&format!("/api/fixtures/{}/result/", told["fixture_id"])).await.ok();
                    assert!(read["version"].as_i64() >= told["version"].as_i64(), "told {told}, read {read}");
                }
                "leaderboard_update" => {
                    let read = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
                    assert!(read["pos"].as_u64().unwrap() >= pos);
                }
                _ => {}
            }
        }
    };
    tokio::join!(writing, reading);
}

#[tokio::test]
async fn log_frames_of_all_topics_leave_a_connection_in_commit_order() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    for stream in ["results", "schedule", "announcements"] {
        socket.subscribe(stream).await;
    }
    socket.settle().await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    // Three desks at once.
    let desk = |fixture: u32| {
        let (server, id, announcements) = (&server, cup.fixtures[&fixture], &announcements);
        async move {
            for round in 0..10_u16 {
                server.score(id, round, 0).await;
                server
                    .post(announcements, json!({"title": format!("#{fixture} round {round}"), "message": ""}))
                    .await
                    .ok();
            }
        }
    };
    tokio::join!(desk(1), desk(2), desk(3));
    server.post(&announcements, json!({"title": "Last", "message": ""})).await.ok();
    let messages = socket.until(|message| message["data"]["announcement"]["title"] == "Last").await;
    let positions: Vec<_> = messages
        .iter()
        .filter(|message| {
            ["result_update", "fixture_update", "announcement_update"].contains(&message["type"].as_str().unwrap())
        })
        .map(|message| message["pos"].as_u64().unwrap())
        .collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    assert_eq!(
        positions.len(),
        30 + 3 + 31,
        "30 results, 3 fixtures that finish with their first result, 31 announcements"
    );
}

#[tokio::test]
async fn a_burst_brings_few_boards_and_the_last_one_is_right() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("results").await;
    socket.settle().await;
    for goals in 1..=40_u16 {
        server.score(cup.fixtures[&1], goals, 0).await;
    }
    let messages = socket
        .until(|message| message["type"] == "leaderboard_update" && message["data"]["leaderboard"][0]["gf"] == 40)
        .await;
    let boards: Vec<_> = messages.iter().filter(|message| message["type"] == "leaderboard_update").collect();
    assert!(boards.len() < 40, "{} boards for 40 results", boards.len());
    let seqs: Vec<_> = boards.iter().map(|board| board["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
}
