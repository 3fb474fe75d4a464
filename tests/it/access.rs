//! What may not be known is answered like what does not exist.

use reqwest::Method;
use serde_json::json;

use crate::server::{Cup, TestServer, send};
use crate::stream::{Socket, Sse};

/// An id that never existed.
const UNKNOWN: i64 = 987_654;

/// Every read of an event, its teams, fixtures and announcements.
fn reads(event: i64, venue: i64, fixture: i64, announcement: i64) -> Vec<String> {
    let mut paths: Vec<String> =
        ["", "teams/", "venues/", "fixtures/", "results/", "announcements/", "leaderboard/", "schedule/", "feed/"]
            .iter()
            .map(|what| format!("/api/events/{event}/{what}"))
            .collect();
    paths.extend([
        format!("/api/events/{event}/venues/{venue}/"),
        format!("/api/fixtures/{fixture}/"),
        format!("/api/fixtures/{fixture}/result/"),
        format!("/api/announcements/{announcement}/"),
    ]);
    paths
}

fn streams(event: i64) -> Vec<String> {
    ["stream/", "stream/results/", "stream/schedule/", "stream/announcements/", "results/stream/"]
        .iter()
        .map(|what| format!("/api/events/{event}/{what}"))
        .collect()
}

fn writes(event: i64, team: i64, venue: i64, fixture: i64, announcement: i64) -> Vec<(Method, String)> {
    let mut writes = Vec::new();
    for what in ["teams/", "venues/", "fixtures/", "announcements/", "cancel/"] {
        writes.push((Method::POST, format!("/api/events/{event}/{what}")));
    }
    for path in [
        format!("/api/events/{event}/"),
        format!("/api/events/{event}/venues/{venue}/"),
        format!("/api/teams/{team}/"),
        format!("/api/fixtures/{fixture}/"),
        format!("/api/announcements/{announcement}/"),
    ] {
        writes.push((Method::PATCH, path.clone()));
        writes.push((Method::DELETE, path));
    }
    for command in ["start", "pause", "finish", "abandon", "postpone", "cancel", "restore"] {
        writes.push((Method::POST, format!("/api/fixtures/{fixture}/{command}/")));
    }
    writes.push((Method::PUT, format!("/api/fixtures/{fixture}/result/")));
    writes.push((Method::DELETE, format!("/api/fixtures/{fixture}/result/")));
    for command in ["verify", "finalise", "reopen"] {
        writes.push((Method::POST, format!("/api/fixtures/{fixture}/result/{command}/")));
    }
    for command in ["broadcast", "withdraw"] {
        writes.push((Method::POST, format!("/api/announcements/{announcement}/{command}/")));
    }
    writes
}

#[tokio::test]
async fn a_hidden_event_answers_like_an_unknown_one_on_every_route_and_stream() {
    let server = TestServer::start().await;
    for visibility in ["PRIVATE", "DRAFT"] {
        let cup = Cup::create(&server, visibility).await;
        let other = server
            .post("/api/events/", json!({"name": format!("Other {visibility}"), "starts_on": "2026-06-01"}))
            .await
            .ok();
        let announcement = server
            .post(&format!("/api/events/{}/announcements/", cup.event), json!({"title": "Secret", "message": "Secret"}))
            .await
            .ok()["id"]
            .as_i64()
            .unwrap();
        server.score(cup.fixtures[&1], 1, 0).await;
        let fixture = cup.fixtures[&1];
        let team = cup.teams["Reds"];
        let stranger = server.token(json!({"role": "organiser", "event_id": other["id"]})).await;

        for token in [None, Some(stranger.as_str())] {
            let ask = |method: Method, path: &str| {
                let request = server.anonymous(method, path);
                match token {
                    Some(token) => request.bearer_auth(token),
                    None => request,
                }
            };
            let mut hidden = reads(cup.event, cup.venue, fixture, announcement);
            let mut unknown = reads(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN);
            hidden.extend(streams(cup.event));
            unknown.extend(streams(UNKNOWN));
            hidden.push(format!("/api/teams/{team}/"));
            unknown.push(format!("/api/teams/{UNKNOWN}/"));
            for (hidden, unknown) in hidden.iter().zip(&unknown) {
                let answers = (send(ask(Method::GET, hidden)).await, send(ask(Method::GET, unknown)).await);
                same(&answers.0, &answers.1, hidden, 404);
            }
            let status = if token.is_none() { 401 } else { 404 };
            for ((method, hidden), (_, unknown)) in writes(cup.event, team, cup.venue, fixture, announcement)
                .into_iter()
                .zip(writes(UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN))
            {
                let answers = (send(ask(method.clone(), &hidden)).await, send(ask(method.clone(), &unknown)).await);
                same(&answers.0, &answers.1, &format!("{method} {hidden}"), status);
            }
            let team_stream = |id: i64| format!("/api/teams/{id}/stream/");
            let answers =
                (send(ask(Method::GET, &team_stream(team))).await, send(ask(Method::GET, &team_stream(UNKNOWN))).await);
            same(&answers.0, &answers.1, "team stream", status);
            for (hidden, unknown, status) in [
                (format!("/ws/events/{}/stream/", cup.event), format!("/ws/events/{UNKNOWN}/stream/"), 404),
                (format!("/ws/teams/{team}/"), format!("/ws/teams/{UNKNOWN}/"), status),
            ] {
                let hidden = Socket::open_as(&server, &hidden, token).await.err().expect("refused before the upgrade");
                let unknown =
                    Socket::open_as(&server, &unknown, token).await.err().expect("refused before the upgrade");
                assert_eq!((hidden.0, &hidden), (status, &unknown));
            }
        }
        let listed = send(server.anonymous(Method::GET, "/api/events/")).await;
        assert!(!listed.text.contains("Spring Cup"), "{}", listed.text);
    }
}

#[track_caller]
fn same(hidden: &crate::server::Answer, unknown: &crate::server::Answer, what: &str, status: u16) {
    assert_eq!(hidden.status, status, "{what}: {}", hidden.text);
    assert_eq!((hidden.status, &hidden.text), (unknown.status, &unknown.text), "{what}");
    let headers = |answer: &crate::server::Answer| {
        let mut headers: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| *name != "date")
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect();
        headers.sort();
        headers
    };
    assert_eq!(headers(hidden), headers(unknown), "{what}");
}

#[tokio::test]
async fn a_bad_credential_is_refused_everywhere_even_where_none_is_needed() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let event = |what| format!("/api/events/{}/{what}/", cup.event);
    for path in ["/api/events/", &event("stream"), &event("feed"), "/api/feed/", "/api/me/"] {
        for credential in ["Bearer tml_wrong", "Bearer", "Basic b3duZXI6b3duZXI="] {
            let answer = send(server.anonymous(Method::GET, path).header("authorization", credential)).await;
            answer.refused(401, "unauthenticated");
        }
    }
    let refused = Socket::open_as(&server, &format!("/ws/events/{}/stream/", cup.event), Some("tml_wrong")).await.err();
    assert_eq!(refused.map(|(status, _)| status), Some(401));
    let path = format!("/api/events/?token={}", server.owner_token);
    send(server.anonymous(Method::GET, &path)).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn a_scorer_scores_and_nothing_else_and_only_in_its_area() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let token = server.token(json!({"role": "scorer", "event_id": cup.event, "area": "Pitch 1"})).await;
    let as_scorer =
        |method: Method, path: String| server.anonymous(method, &path).bearer_auth(&token).header("if-match", "*");
    let result = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    let answer = send(as_scorer(Method::PUT, result.clone()).json(&json!({"home_score": 1, "away_score": 0}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    send(as_scorer(Method::DELETE, result.clone())).await.refused(403, "forbidden");
    send(as_scorer(Method::POST, format!("{result}finalise/"))).await.refused(403, "forbidden");
    send(as_scorer(Method::POST, format!("/api/fixtures/{}/cancel/", cup.fixtures[&2])))
        .await
        .refused(403, "forbidden");
    // The final is on pitch 2.
    let elsewhere = format!("/api/fixtures/{}/start/", cup.fixtures[&8]);
    send(as_scorer(Method::POST, elsewhere)).await.refused(403, "forbidden");
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    send(as_scorer(Method::POST, announcements).json(&json!({"title": "x", "message": ""})))
        .await
        .refused(403, "forbidden");
    send(as_scorer(Method::POST, "/api/events/".into()).json(&json!({"name": "x", "starts_on": "2026-01-01"})))
        .await
        .refused(403, "forbidden");
}

#[tokio::test]
async fn a_revoked_token_is_dead_at_once_and_its_streams_close() {
    let server = TestServer::start().await;
    let cup = Cup::create(&server, "PRIVATE").await;
    let made = server.post("/api/tokens/", json!({"role": "viewer", "event_id": cup.event})).await.ok();
    let token = made["token"].as_str().unwrap();
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut socket = Socket::open_as(&server, &path, Some(token)).await.ok().unwrap();
    socket.subscribe("results").await;
    let stream_path = format!("/api/events/{}/stream/", cup.event);
    let mut stream = Sse::open_with(server.anonymous(Method::GET, &stream_path).bearer_auth(token)).await;
    stream.until_type("connected").await;

    server.delete(&format!("/api/tokens/{}/", made["id"])).await.ok();
    server.score(cup.fixtures[&1], 9, 9).await;

    let mut rest = Vec::new();
    let code = loop {
        match socket.next_or_close().await {
            Ok(message) => rest.push(message),
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(4001));
    assert!(rest.iter().all(|message| message["type"] != "result_update"), "{rest:?}");
    stream.ended().await;
    let answer = send(server.anonymous(Method::GET, &format!("/api/events/{}/", cup.event)).bearer_auth(token)).await;
    answer.refused(401, "unauthenticated");
}

#[tokio::test]
async fn an_event_that_turns_private_closes_the_streams_of_those_outside() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut outside = Socket::open(&server, &path).await;
    outside.subscribe("results").await;
    let viewer = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
    let mut inside = Socket::open_as(&server, &path, Some(&viewer)).await.ok().unwrap();
    inside.subscribe("results").await;

    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PRIVATE"})).await.ok();
    server.score(cup.fixtures[&1], 9, 9).await;

    inside.until_type("result_update").await;
    let mut rest = Vec::new();
    let code = loop {
        match outside.next_or_close().await {
            Ok(message) => rest.push(message),
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(4004));
    assert!(rest.iter().all(|message| message["type"] != "result_update"), "{rest:?}");
    assert_eq!(Socket::open_as(&server, &path, None).await.err().map(|(status, _)| status), Some(404));
}

#[tokio::test]
async fn a_page_of_another_site_learns_nothing_and_a_rebound_name_is_refused() {
    let server = TestServer::start().await;
    let ask = |origin: &'static str| server.anonymous(Method::GET, "/api/events/").header("origin", origin);
    assert_eq!(send(ask("https://evil.example")).await.header("access-control-allow-origin"), None);
    assert_eq!(
        send(ask("https://club.example")).await.header("access-control-allow-origin"),
        Some("https://club.example")
    );
    let rebound = send(server.anonymous(Method::GET, "/api/events/").header("host", "evil.example")).await;
    rebound.refused(400, "invalid");
}
