//! Two desks, repeated requests: nothing is lost and nothing happens twice.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Cup, TestServer, send};

#[tokio::test]
async fn a_write_names_the_version_it_saw() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    let put = |version: Option<&'static str>, home: u16| {
        let request = server.owner(Method::PUT, &path).json(&json!({"home_score": home, "away_score": 0}));
        send(match version {
            Some(version) => request.header("if-match", version),
            None => request,
        })
    };
    let first = put(None, 1).await;
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")));
    let unchanged = put(None, 1).await;
    assert_eq!((unchanged.status, unchanged.header("etag")), (200, Some("\"1\"")), "equal content changes nothing");
    let required = put(None, 2).await.refused(428, "version_required");
    assert_eq!(required["current"]["version"], 1);
    let second = put(Some("\"1\""), 2).await;
    assert_eq!((second.status, second.header("etag")), (200, Some("\"2\"")));
    let lost = put(Some("\"1\""), 3).await.refused(409, "version");
    assert_eq!((&lost["current"]["home_score"], &lost["yours"]["home_score"]), (&json!(2), &json!(3)));
    assert_eq!(put(Some("*"), 3).await.status, 200);
    assert_eq!(server.get(&path).await.ok()["version"], 3);

    let fixture = format!("/api/fixtures/{}/", cup.fixtures[&2]);
    let move_it = json!({"start_at": "2026-05-02T19:00:00Z"});
    send(server.owner(Method::PATCH, &fixture).json(&move_it)).await.refused(428, "version_required");
    send(server.owner(Method::POST, &format!("{fixture}cancel/"))).await.refused(428, "version_required");
    let moved = send(server.owner(Method::PATCH, &fixture).header("if-match", "\"1\"").json(&move_it)).await.ok();
    assert_eq!((&moved["version"], &moved["start_at"]), (&json!(2), &json!("2026-05-02T19:00:00Z")));
}

#[tokio::test]
async fn of_two_desks_at_the_same_version_one_wins() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    server.score(cup.fixtures[&1], 0, 0).await;
    for version in 1..=20 {
        let desk = |home: u16| {
            send(
                server
                    .owner(Method::PUT, &path)
                    .header("if-match", format!("\"{version}\""))
                    .json(&json!({"home_score": home, "away_score": 1})),
            )
        };
        let (one, other) = tokio::join!(desk(version * 2 - 1), desk(version * 2));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
    assert_eq!(server.get(&path).await.ok()["version"], 21);
}

async fn post(server: &TestServer, path: &str, key: &str, title: &str) -> crate::server::Answer {
    let body = json!({"title": title, "message": ""});
    send(server.owner(Method::POST, path).header("idempotency-key", key).json(&body)).await
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_even_over_a_restart() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    let first = post(&server, &announcements, "k1", "Gate 4").await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None));
    let server = server.restart().await;
    let again = post(&server, &announcements, "k1", "Gate 4").await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.json(), first.json());
    assert_eq!(again.header("timely-pos"), first.header("timely-pos"));
    post(&server, &announcements, "k1", "Gate 5").await.refused(409, "key_reused");
    assert_eq!(server.get(&announcements).await.ok()["items"].as_array().unwrap().len(), 1);

    // A refused request is not remembered: with the mistake mended the key is good.
    let result = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    let put = |home: i64| {
        send(
            server
                .owner(Method::PUT, &result)
                .header("idempotency-key", "k2")
                .json(&json!({"home_score": home, "away_score": 0})),
        )
    };
    put(-1).await.refused(422, "invalid");
    assert_eq!(put(1).await.status, 200);
    // The key is looked up before the version.
    server.score(cup.fixtures[&1], 5, 0).await;
    let replayed = put(1).await;
    assert_eq!((replayed.status, replayed.header("idempotency-replayed")), (200, Some("true")));
    assert_eq!(replayed.json()["home_score"], 5, "the resource as it is now");
}

#[tokio::test]
async fn a_repeated_request_for_a_token_does_not_say_the_secret_again() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let ask = || {
        send(
            server
                .owner(Method::POST, "/api/tokens/")
                .header("idempotency-key", "t1")
                .json(&json!({"role": "scorer", "event_id": cup.event})),
        )
    };
    let (first, again) = (ask().await.ok(), ask().await.ok());
    assert!(first["token"].as_str().is_some_and(|token| token.starts_with("tml_")));
    assert_eq!((&again["id"], again.get("token")), (&first["id"], None));
    let listed = server.get("/api/tokens/").await;
    assert!(!listed.text.contains(first["token"].as_str().unwrap()));
}

#[tokio::test]
async fn a_result_goes_from_live_to_official_and_back_by_its_commands() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let fixture = format!("/api/fixtures/{}/", cup.fixtures[&1]);
    let result = format!("{fixture}result/");
    let live = server.put(&result, json!({"home_score": 1, "away_score": 0, "state": "live", "minute": 23})).await.ok();
    assert_eq!((&live["state"], &live["minute"]), (&json!("LIVE"), &json!(23)));
    assert_eq!(server.get(&fixture).await.ok()["status"], "LIVE");
    let boards = server.get(&format!("/api/events/{}/leaderboard/", cup.event)).await.ok();
    assert_eq!(boards["boards"][0]["leaderboard"][0]["live"], 1, "a running score counts and says so");
    let official = server.get(&format!("/api/events/{}/leaderboard/?count=official", cup.event)).await.ok();
    assert_eq!(official["boards"][0]["leaderboard"][0]["played"], 0);

    server.command(&format!("{result}finalise/")).await.refused(409, "rule");
    let ended = server.put(&result, json!({"home_score": 1, "away_score": 0})).await.ok();
    assert_eq!((&ended["state"], &ended["minute"]), (&json!("PROVISIONAL"), &Value::Null));
    assert_eq!(server.get(&fixture).await.ok()["status"], "FINISHED");
    let verified = server.command(&format!("{result}verify/")).await.ok();
    assert_eq!(verified["state"], "PROVISIONAL", "a check records who, and does not confirm");
    let official = server.command(&format!("{result}finalise/")).await.ok();
    assert_eq!(official["state"], "OFFICIAL");
    assert!(official["finalized_at"].is_string());
    server.put(&result, json!({"home_score": 2, "away_score": 0})).await.refused(409, "rule");
    assert_eq!(server.command(&format!("{result}reopen/")).await.ok()["state"], "PROVISIONAL");
    server.put(&result, json!({"home_score": 2, "away_score": 0})).await.ok();
    let annulled = server.delete(&result).await.ok();
    assert_eq!((&annulled["state"], &annulled["home_score"]), (&json!("ANNULLED"), &Value::Null));
}
