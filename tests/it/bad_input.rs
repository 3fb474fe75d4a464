//! Wrong input gets an error that names the field and what would be right, and writes nothing.

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, Cup, TestServer, send};

fn head(server: &TestServer) -> u64 {
    let connection = rusqlite::Connection::open(server.database()).unwrap();
    connection
        .query_row("SELECT coalesce(max(pos), 0) FROM change_log", [], |row| row.get::<_, i64>(0))
        .unwrap()
        .unsigned_abs()
}

#[tokio::test]
async fn absurd_results_name_their_field() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.command(&format!("/api/fixtures/{}/cancel/", cup.fixtures[&2])).await.ok();
    let before = head(&server);
    let path = |number: u32| format!("/api/fixtures/{}/result/", cup.fixtures[&number]);
    for (why, body, pointer) in [
        ("negative", json!({"home_score": -1, "away_score": 0}), "/home_score"),
        ("text", json!({"home_score": "x", "away_score": 0}), "/home_score"),
        ("fraction", json!({"home_score": 1.5, "away_score": 0}), "/home_score"),
        ("absurd", json!({"home_score": 99_999_999_999_i64, "away_score": 0}), "/home_score"),
        ("just too high", json!({"home_score": 0, "away_score": 1000}), "/away_score"),
        ("missing", json!({"home_score": 1}), "/away_score"),
        ("unknown field", json!({"home_score": 1, "away_score": 0, "winner": 3}), "/winner"),
        ("unknown state", json!({"home_score": 1, "away_score": 0, "state": "DONE"}), "/state"),
        ("official by the back door", json!({"home_score": 1, "away_score": 0, "state": "OFFICIAL"}), "/state"),
        ("half a shoot-out", json!({"home_score": 1, "away_score": 1, "pen_home": 4}), "/pen_away"),
        (
            "shoot-out of a won match",
            json!({"home_score": 2, "away_score": 1, "pen_home": 4, "pen_away": 2}),
            "/pen_home",
        ),
        (
            "goal of a stranger",
            json!({"home_score": 1, "away_score": 0, "goals": [{"team_id": 99, "minute": 3}]}),
            "/goals",
        ),
        (
            "goal without a minute",
            json!({"home_score": 1, "away_score": 0, "goals": [{"team_id": 99}]}),
            "/goals/0/minute",
        ),
    ] {
        let problem = server.put(&path(1), body).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{why}: {problem}");
        assert!(problem["errors"][0]["detail"].as_str().is_some_and(|detail| detail.len() > 8), "{why}: {problem}");
    }
    for (why, number) in [("cancelled", 2), ("teams unknown", 8)] {
        let problem = server.put(&path(number), json!({"home_score": 1, "away_score": 0})).await.refused(409, "rule");
        assert!(problem["detail"].as_str().unwrap().contains('#'), "{why}: {problem}");
    }
    assert_eq!(head(&server), before, "nothing was written");
}

#[tokio::test]
async fn other_resources_refuse_as_clearly() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let before = head(&server);
    let event = cup.event;
    let teams = format!("/api/events/{event}/teams/");
    let fixtures = format!("/api/events/{event}/fixtures/");
    let start_at = "2026-05-03T10:00:00Z";
    let (reds, blues) = (cup.teams["Reds"], cup.teams["Blues"]);
    for (why, path, body, status, pointer) in [
        ("an event without a name", "/api/events/", json!({"starts_on": "2026-05-02"}), 422, "/name"),
        ("an empty name", "/api/events/", json!({"name": " ", "starts_on": "2026-05-02"}), 422, "/name"),
        ("a day that is none", "/api/events/", json!({"name": "x", "starts_on": "2026-02-30"}), 422, "/starts_on"),
        (
            "an end before the start",
            "/api/events/",
            json!({"name": "x", "starts_on": "2026-05-02", "ends_on": "2026-05-01"}),
            422,
            "/ends_on",
        ),
        (
            "a zone that is none",
            "/api/events/",
            json!({"name": "x", "starts_on": "2026-05-02", "timezone": "Mars/Olympus"}),
            422,
            "/timezone",
        ),
        (
            "rules nobody knows",
            "/api/events/",
            json!({"name": "x", "starts_on": "2026-05-02", "rules": "calvinball"}),
            422,
            "/rules",
        ),
        ("too long a name", teams.as_str(), json!({"name": "x".repeat(300)}), 422, "/name"),
        (
            "an unknown team",
            fixtures.as_str(),
            json!({"home_team_id": 4711, "away_team_id": blues, "start_at": start_at}),
            422,
            "/home_team_id",
        ),
        (
            "an unknown venue",
            fixtures.as_str(),
            json!({"home_team_id": reds, "away_team_id": blues, "start_at": start_at, "venue_id": 4711}),
            422,
            "/venue_id",
        ),
        (
            "an unknown area",
            fixtures.as_str(),
            json!({"home_team_id": reds, "away_team_id": blues, "start_at": start_at, "venue_id": cup.venue, "area": "Pitch 9"}),
            422,
            "/area",
        ),
        (
            "a time without a zone",
            fixtures.as_str(),
            json!({"home_team_id": reds, "away_team_id": blues, "start_at": "2026-05-03 10:00"}),
            422,
            "/start_at",
        ),
        (
            "a slot nobody can read",
            fixtures.as_str(),
            json!({"home_slot": "best of the rest", "away_team_id": blues, "start_at": start_at}),
            422,
            "/home_slot",
        ),
    ] {
        let problem = server.post(path, body).await.refused(status, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{why}: {problem}");
    }
    for (why, path, body) in [
        ("a name taken, but for case", &teams, json!({"name": "REDS"})),
        ("a code taken", &teams, json!({"name": "Roses", "code": "red"})),
        ("a team against itself", &fixtures, json!({"home_team_id": reds, "away_team_id": reds, "start_at": start_at})),
    ] {
        let problem = server.post(path, body).await.refused(409, "rule");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("another") || detail.contains("itself"), "{why}: {problem}");
    }
    assert_eq!(head(&server), before, "nothing was written");
}

#[tokio::test]
async fn every_failure_is_a_problem() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let events = "/api/events/";
    let result = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    let body = |method: Method, path: &str, kind: &'static str, text: String| {
        server.owner(method, path).header("content-type", kind).body(text)
    };
    for (why, request, status, code) in [
        ("broken JSON", body(Method::POST, events, "application/json", "{\"name\":".into()), 400, "invalid"),
        ("no JSON", body(Method::POST, events, "application/json", "name=x".into()), 400, "invalid"),
        (
            "not UTF-8 is no JSON",
            server.owner(Method::POST, events).header("content-type", "application/json").body(vec![0xff, 0xfe]),
            400,
            "invalid",
        ),
        ("an array", body(Method::POST, events, "application/json", "[]".into()), 422, "invalid"),
        (
            "a form",
            body(Method::POST, events, "application/x-www-form-urlencoded", "name=x".into()),
            415,
            "unsupported_media_type",
        ),
        ("no type", server.owner(Method::PUT, &result).body("{}"), 415, "unsupported_media_type"),
        (
            "oversized",
            body(Method::POST, events, "application/json", format!("{{\"name\":\"{}\"}}", "x".repeat(70_000))),
            413,
            "too_large",
        ),
        ("a wrong method", server.owner(Method::PUT, events), 405, "method_not_allowed"),
        ("no such address", server.owner(Method::GET, "/api/nothing/"), 404, "not_found"),
        ("an id that is no number", server.owner(Method::GET, "/api/events/first/"), 404, "not_found"),
        ("an id out of range", server.owner(Method::GET, "/api/events/99999999999999999999/"), 404, "not_found"),
        ("a bad page", server.owner(Method::GET, "/api/events/?limit=many"), 400, "invalid"),
        ("an empty page", server.owner(Method::GET, "/api/events/?limit=0"), 400, "invalid"),
        (
            "a bad version",
            server
                .owner(Method::PUT, &result)
                .header("if-match", "three")
                .json(&json!({"home_score": 1, "away_score": 0})),
            400,
            "invalid",
        ),
        (
            "a bad key",
            server
                .owner(Method::POST, events)
                .header("idempotency-key", "")
                .json(&json!({"name": "x", "starts_on": "2026-01-01"})),
            400,
            "invalid",
        ),
        ("no credential for a write", server.anonymous(Method::POST, events).json(&json!({})), 401, "unauthenticated"),
        (
            "a bad cursor",
            server.owner(Method::GET, &format!("/api/events/{}/stream/?since=yesterday", cup.event)),
            400,
            "invalid",
        ),
        (
            "a bad topic",
            server.owner(Method::GET, &format!("/api/events/{}/stream/?topics=weather", cup.event)),
            400,
            "invalid",
        ),
    ] {
        let answer: Answer = send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{why}: {}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{why}");
        let problem = answer.json();
        assert_eq!(problem["status"], status, "{why}");
        for key in ["title", "detail"] {
            assert!(problem[key].as_str().is_some_and(|text| !text.is_empty()), "{why}: {key} in {problem}");
        }
        match status {
            401 => assert!(answer.header("www-authenticate").is_some(), "{why}"),
            405 => assert!(answer.header("allow").is_some(), "{why}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn health_is_for_everybody() {
    let server = TestServer::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(server.anonymous(Method::GET, path)).await.status, 200, "{path}");
    }
    assert_eq!(send(server.anonymous(Method::GET, "/healthz")).await.json()["status"], "ok");
}
