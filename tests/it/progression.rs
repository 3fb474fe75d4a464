//! Slots that fill themselves.

use serde_json::{Value, json};

use crate::server::{Cup, TestServer};
use crate::stream::Socket;

async fn play_group_a(server: &TestServer, cup: &Cup) {
    for (fixture, home, away) in [(1, 2, 0), (2, 1, 0), (3, 1, 0), (4, 0, 1), (5, 3, 0), (6, 0, 0)] {
        server.score(cup.fixtures[&fixture], home, away).await;
    }
}

async fn sides(server: &TestServer, cup: &Cup) -> [Value; 2] {
    let fixture = server.get(&format!("/api/fixtures/{}/", cup.fixtures[&8])).await.ok();
    [fixture["home_team"]["name"].clone(), fixture["away_team"]["name"].clone()]
}

#[tokio::test]
async fn group_winners_take_their_places_and_lose_them_again() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.subscribe("schedule").await;
    play_group_a(&server, &cup).await;
    assert_eq!(sides(&server, &cup).await, ["Reds", "TBD"]);
    let told = socket
        .until(|message| message["type"] == "fixture_update" && message["data"]["fixture_id"] == cup.fixtures[&8])
        .await
        .pop()
        .unwrap();
    assert_eq!(told["data"]["home_team"]["name"], "Reds");

    server.score(cup.fixtures[&7], 0, 1).await;
    assert_eq!(sides(&server, &cup).await, ["Reds", "Kites"]);
    server.score(cup.fixtures[&7], 1, 0).await;
    assert_eq!(sides(&server, &cup).await, ["Reds", "Owls"], "a correction moves the right team on");
    server.delete(&format!("/api/fixtures/{}/result/", cup.fixtures[&7])).await.ok();
    assert_eq!(sides(&server, &cup).await, ["Reds", "TBD"]);
}

#[tokio::test]
async fn a_correction_cannot_pull_a_team_out_of_a_match_that_has_started() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    play_group_a(&server, &cup).await;
    server.score(cup.fixtures[&7], 0, 1).await;
    server.command(&format!("/api/fixtures/{}/start/", cup.fixtures[&8])).await.ok();
    let path = format!("/api/fixtures/{}/result/", cup.fixtures[&7]);
    let problem = server.put(&path, json!({"home_score": 2, "away_score": 1})).await.refused(409, "rule");
    assert!(problem["detail"].as_str().unwrap().contains("#8"), "{problem}");
    assert_eq!(server.get(&path).await.ok()["away_score"], 1, "nothing was written");
    assert_eq!(sides(&server, &cup).await, ["Reds", "Kites"]);
    // Another score with the same winner is fine.
    server.score(cup.fixtures[&7], 0, 4).await;
}

#[tokio::test]
async fn a_place_that_two_teams_share_stays_open() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&7], 1, 1).await;
    assert_eq!(sides(&server, &cup).await, ["TBD", "TBD"]);
    let boards = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
    let rows = boards["boards"][1]["leaderboard"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["position"] == 1 && row["shared"] == true), "{rows:?}");
}

#[tokio::test]
async fn a_knockout_needs_a_winner() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    play_group_a(&server, &cup).await;
    server.score(cup.fixtures[&7], 0, 1).await;
    let path = format!("/api/fixtures/{}/result/", cup.fixtures[&8]);
    server.put(&path, json!({"home_score": 1, "away_score": 1})).await.refused(409, "rule");
    let body = json!({"home_score": 3, "away_score": 3, "ft_home": 2, "ft_away": 2, "pen_home": 4, "pen_away": 2});
    let result = server.put(&path, body).await.ok();
    assert_eq!((&result["winner_id"], &result["is_draw"]), (&json!(cup.teams["Reds"]), &json!(false)));
    let boards = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
    let reds = &boards["boards"][0]["leaderboard"][0];
    assert_eq!((&reds["team_name"], &reds["played"]), (&json!("Reds"), &json!(3)), "a knockout feeds no table");
}
