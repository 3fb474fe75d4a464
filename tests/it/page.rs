//! The pages as they are sent: complete without a script, the caller's rights in every word.

use reqwest::{Method, redirect};
use serde_json::json;

use crate::server::{Answer, Cup, PATIENCE, TestServer, send};

/// A request as browsers make it, without following a redirect.
async fn look(server: &TestServer, path: &str, token: Option<&str>) -> Answer {
    let http = reqwest::Client::builder().timeout(PATIENCE).redirect(redirect::Policy::none()).build().unwrap();
    let request = http.get(server.url(path)).header("accept", "text/html");
    send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

#[track_caller]
fn page(answer: &Answer, status: u16) -> &str {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    &answer.text
}

async fn announce(server: &TestServer, cup: &Cup, body: serde_json::Value) -> i64 {
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    server.post(&announcements, body).await.ok()["id"].as_i64().unwrap()
}

#[tokio::test]
async fn the_first_page_lists_events_and_goes_straight_to_a_lone_one() {
    let server = TestServer::start().await;
    let answer = look(&server, "/", None).await;
    let html = page(&answer, 200);
    assert!(html.contains("No event yet") && html.contains("timely event create"), "{html}");

    let first = Cup::public(&server).await.event;
    let answer = look(&server, "/", None).await;
    assert_eq!((answer.status, answer.header("location")), (303, Some(&*format!("/e/{first}"))));

    // What one caller may see beside it, another is not told of.
    let hidden = Cup::create(&server, "PRIVATE").await.event;
    let draft = Cup::create(&server, "DRAFT").await.event;
    assert_eq!(look(&server, "/", None).await.status, 303);
    let answer = look(&server, "/", Some(&server.owner_token)).await;
    let html = page(&answer, 200);
    for event in [first, hidden, draft] {
        assert!(html.contains(&format!("href=\"/e/{event}\"")), "{event}: {html}");
    }
    assert!(html.contains("PRIVATE") && html.contains("DRAFT"), "{html}");
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));

    let second = Cup::public(&server).await.event;
    let answer = look(&server, "/", None).await;
    let html = page(&answer, 200);
    assert!(html.contains(&format!("/e/{first}\"")) && html.contains(&format!("/e/{second}\"")), "{html}");
    assert!(!html.contains("PRIVATE") && !html.contains("DRAFT"), "{html}");
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    server.stop().await;
}

#[tokio::test]
async fn the_scoreboard_is_complete_without_a_script() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let reds = cup.teams["Reds"];
    server.command(&format!("/api/fixtures/{}/start/", cup.fixtures[&1])).await.ok();
    let live = json!({"home_score": 3, "away_score": 2, "state": "LIVE", "minute": 70,
                      "goals": [{"team_id": reds, "minute": 58, "player": "Kim"}]});
    server.put(&format!("/api/fixtures/{}/result/", cup.fixtures[&1]), live).await.ok();
    server.score(cup.fixtures[&7], 4, 1).await;
    announce(&server, &cup, json!({"title": "Gate 4 is closed", "message": "Use gate 6.", "priority": "HIGH"})).await;
    let loud = json!({"title": "Leave the hall", "message": "", "type": "EMERGENCY", "confirm": "EMERGENCY"});
    let emergency = announce(&server, &cup, loud).await;

    let path = format!("/e/{}", cup.event);
    let answer = look(&server, &path, None).await;
    let html = page(&answer, 200);
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    for words in [
        "<h1 id=\"name\"><bdi>Spring Cup PUBLIC</bdi></h1>",
        "<noscript><meta http-equiv=\"refresh\" content=\"30\"></noscript>",
        "This page reloads every 30 s",
        "as of 70&#39;",
        "<bdi>Kim 58&#39;</bdi>",
        "<b class=\"points\">3</b>",
        "<bdi>Group A</bdi> <span class=\"standing\">UNOFFICIAL, 1 live</span>",
        "<bdi>Group B</bdi> <span class=\"standing\">UNOFFICIAL</span>",
        "<th scope=\"row\" class=\"name\"><bdi>Reds</bdi> <span class=\"live\">LIVE</span></th>",
        "<bdi>Owls</bdi> <b>4-1</b> <bdi>Kites</bdi>",
        "<bdi>1st of A</bdi> <b>v</b> <bdi>Owls</bdi>",
        "Saturday 2 May 2026",
        "<bdi>Gate 4 is closed</bdi>",
        "role=\"alert\"",
    ] {
        assert!(html.contains(words), "{words} is missing in {html}");
    }
    assert!(html.find("Leave the hall").unwrap() < html.find("Gate 4").unwrap(), "the loudest comes first");
    assert!(!html.contains("DEMO"), "this is no demo");

    server.command(&format!("/api/announcements/{emergency}/withdraw/")).await.ok();
    for fixture in cup.fixtures.values().take(6) {
        server.score(*fixture, 1, 0).await;
    }
    server.command(&format!("/api/fixtures/{}/result/finalise/", cup.fixtures[&7])).await.ok();
    let slashed = look(&server, &format!("{path}/"), None).await;
    let html = page(&slashed, 200);
    assert!(!html.contains("Leave the hall") && !html.contains("role=\"alert\""), "withdrawn");
    assert!(html.contains("<bdi>Group B</bdi> <span class=\"standing\">OFFICIAL</span>"), "{html}");
    assert!(html.contains("Nothing is being played now"), "{html}");
    server.stop().await;
}

#[tokio::test]
async fn announcements_on_the_page_are_those_for_the_caller() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let reds = cup.teams["Reds"];
    announce(&server, &cup, json!({"title": "For everybody", "message": ""})).await;
    announce(&server, &cup, json!({"title": "For participants", "message": "", "is_public": false})).await;
    announce(&server, &cup, json!({"title": "For the Reds", "message": "", "team_ids": [reds]})).await;
    let participant = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
    let member = server.token(json!({"role": "viewer", "event_id": cup.event, "team_id": reds})).await;
    for (token, shown) in [(None, 1), (Some(&participant), 2), (Some(&member), 3)] {
        let answer = look(&server, &format!("/e/{}", cup.event), token.map(String::as_str)).await;
        let html = page(&answer, 200);
        let told = ["For everybody", "For participants", "For the Reds"].map(|title| html.contains(title));
        assert_eq!(told, [shown > 0, shown > 1, shown > 2], "{shown}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_hidden_reads_like_what_never_existed() {
    let server = TestServer::start().await;
    let private = Cup::create(&server, "PRIVATE").await.event;
    let draft = Cup::create(&server, "DRAFT").await.event;
    let viewer = server.token(json!({"role": "viewer", "event_id": private})).await;
    let unknown = look(&server, "/e/999", None).await;
    let html = page(&unknown, 404).to_owned();
    assert!(!html.contains("Spring Cup"), "{html}");
    let without_date = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        headers
    };
    for path in [
        format!("/e/{private}"),
        format!("/e/{draft}"),
        format!("/e/{draft}/"),
        "/e/cup".to_owned(),
        "/e/-1".to_owned(),
    ] {
        let answer = look(&server, &path, None).await;
        assert_eq!(page(&answer, 404), html, "{path}");
        assert_eq!(without_date(&answer), without_date(&unknown), "{path}");
    }
    assert_eq!(look(&server, &format!("/e/{private}"), Some(&viewer)).await.status, 200);
    assert_eq!(look(&server, &format!("/e/{draft}"), Some(&viewer)).await.status, 404);
    assert_eq!(look(&server, &format!("/e/{draft}"), Some(&server.owner_token)).await.status, 200);
    look(&server, &format!("/e/{private}"), Some("tml_wrong")).await.refused(401, "unauthenticated");
    server.anonymous(Method::POST, "/").send().await.unwrap().error_for_status().unwrap_err();
    server.stop().await;
}

#[tokio::test]
async fn assets_are_kept_forever_and_not_sent_twice() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let html = look(&server, &format!("/e/{}", cup.event), None).await.text;
    let addresses: Vec<_> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(addresses.len() >= 6, "{addresses:?}");
    for address in addresses {
        let answer = look(&server, address, None).await;
        assert_eq!(answer.status, 200, "{address}");
        assert_eq!(answer.header("cache-control"), Some("public, max-age=31536000, immutable"), "{address}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{address}");
        let kind = answer.header("content-type").unwrap();
        assert!(
            ["text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml"].contains(&kind),
            "{kind}"
        );
        let tag = answer.header("etag").expect("a tag").to_owned();
        let again = send(server.anonymous(Method::GET, address).header("if-none-match", &tag)).await;
        assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(&*tag)), "{address}");
    }
    look(&server, "/assets/0/none.js", None).await.refused(404, "not_found");
    server.stop().await;
}

#[tokio::test]
async fn a_phone_loads_little() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let page = format!("/e/{}", cup.event);
    let html = look(&server, &page, None).await.text;
    let mut addresses: Vec<_> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    addresses.push(&page);
    let (mut all, mut script) = (0, 0);
    for address in addresses {
        let answer = send(server.anonymous(Method::GET, address).header("accept-encoding", "gzip")).await;
        assert_eq!(answer.header("content-encoding"), Some("gzip"), "{address}");
        let bytes = answer.body.len();
        all += bytes;
        script += if answer.header("content-type").unwrap().starts_with("text/javascript") { bytes } else { 0 };
    }
    assert!(0 < script && script <= 20 * 1024, "{script} bytes of script");
    assert!(all <= 60 * 1024, "{all} bytes in all");
    server.stop().await;
}

#[tokio::test]
async fn a_head_tells_the_size_of_the_page_and_nothing_of_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    for path in [format!("/e/{}", cup.event), "/e/999".to_owned()] {
        let got = look(&server, &path, None).await;
        let head = send(server.anonymous(Method::HEAD, &path)).await;
        assert_eq!((head.status, head.text.as_str()), (got.status, ""), "{path}");
        let length = got.text.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length), "{path}");
        assert_eq!(head.header("content-security-policy"), got.header("content-security-policy"), "{path}");
    }
    server.stop().await;
}
