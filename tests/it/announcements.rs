//! Who hears an announcement, until when.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use timely_server::clock::Clock;

use crate::server::{Cup, TestServer, send};
use crate::stream::Socket;

async fn listener(server: &TestServer, cup: &Cup, token: Option<&str>) -> Socket {
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut socket = Socket::open_as(server, &path, token).await.ok().unwrap();
    socket.subscribe("announcements").await;
    socket
}

#[tokio::test]
async fn each_audience_hears_its_own_and_each_listener_once() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let reds = cup.teams["Reds"];
    let participant = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
    let member = server.token(json!({"role": "viewer", "event_id": cup.event, "team_id": reds})).await;
    let scorer = server.token(json!({"role": "scorer", "event_id": cup.event})).await;
    let mut listeners = Vec::new();
    for token in [None, Some(&participant), Some(&member), Some(&scorer)] {
        listeners.push(listener(&server, &cup, token.map(String::as_str)).await);
    }
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    for (title, more) in [
        ("public", json!({})),
        ("participants", json!({"is_public": false})),
        ("reds", json!({"team_ids": [reds]})),
        ("last", json!({})),
    ] {
        let mut body = json!({"title": title, "message": ""});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.post(&announcements, body).await.ok();
    }
    let expected = [
        ("anonymous", &["public", "last"][..]),
        ("participant", &["public", "participants", "last"]),
        ("member", &["public", "participants", "reds", "last"]),
        ("staff", &["public", "participants", "reds", "last"]),
    ];
    for (socket, (who, titles)) in listeners.iter_mut().zip(expected) {
        let messages = socket.until(|message| message["data"]["announcement"]["title"] == "last").await;
        let heard: Vec<_> = messages
            .iter()
            .filter(|message| message["type"] == "announcement_update")
            .map(|message| message["data"]["announcement"]["title"].as_str().unwrap())
            .collect();
        assert_eq!(heard, titles, "{who}");
    }
    // The list obeys the same audiences.
    for (token, count) in [(None, 2), (Some(&participant), 3), (Some(&member), 4), (Some(&scorer), 4)] {
        let request = server.anonymous(Method::GET, &announcements);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        assert_eq!(send(request).await.ok()["items"].as_array().unwrap().len(), count);
    }
}

#[tokio::test]
async fn who_comes_later_gets_what_is_still_true_oldest_first() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    let mut ids = Vec::new();
    for title in ["one", "two", "three"] {
        ids.push(
            server.post(&announcements, json!({"title": title, "message": ""})).await.ok()["id"].as_i64().unwrap(),
        );
    }
    server.command(&format!("/api/announcements/{}/withdraw/", ids[1])).await.ok();
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    socket.send(json!({"type": "subscribe_announcements"})).await;
    socket.until_type("subscribed").await;
    let heard = socket.settle().await;
    let titles: Vec<_> =
        heard.iter().map(|message| message["data"]["announcement"]["title"].as_str().unwrap_or("?")).collect();
    assert_eq!(titles, ["one", "three"]);
}

#[tokio::test]
async fn an_announcement_ends_by_the_clock_and_by_hand() {
    let start: Timestamp = "2026-05-02T10:00:00Z".parse().unwrap();
    let server = TestServer::start_with_clock(Clock::simulated(start, 0.0)).await;
    let cup = Cup::public(&server).await;
    let mut socket = listener(&server, &cup, None).await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    let expiring = server
        .post(&announcements, json!({"title": "Lunch", "message": "", "expires_at": "2026-05-02T10:30:00Z"}))
        .await
        .ok();
    let lasting = server.post(&announcements, json!({"title": "Gate 4", "message": ""})).await.ok();
    server.clock.set(start + SignedDuration::from_mins(31), 0.0);
    let removed = socket.until_type("announcement_removed").await;
    assert_eq!(removed["data"]["announcement"], json!({"id": expiring["id"], "reason": "expired"}));
    server.command(&format!("/api/announcements/{}/withdraw/", lasting["id"])).await.ok();
    let removed = socket.until_type("announcement_removed").await;
    assert_eq!(removed["data"]["announcement"], json!({"id": lasting["id"], "reason": "withdrawn"}));
    let left = send(server.anonymous(Method::GET, &announcements)).await.ok();
    assert_eq!(left["items"], json!([]));
}

#[tokio::test]
async fn an_edit_that_narrows_the_audience_takes_it_from_those_who_lost_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let scorer = server.token(json!({"role": "scorer", "event_id": cup.event})).await;
    let mut outside = listener(&server, &cup, None).await;
    let mut staff = listener(&server, &cup, Some(&scorer)).await;
    let made = server
        .post(&format!("/api/events/{}/announcements/", cup.event), json!({"title": "Draw", "message": "first"}))
        .await
        .ok();
    outside.until_type("announcement_update").await;
    staff.until_type("announcement_update").await;
    server
        .patch(
            &format!("/api/announcements/{}/", made["id"]),
            json!({"message": "second", "team_ids": [cup.teams["Owls"]]}),
        )
        .await
        .ok();
    let removed = outside.until_type("announcement_removed").await;
    assert_eq!(removed["data"]["announcement"]["reason"], "audience");
    let update = staff.until(|message| message["data"]["announcement"]["message"] == "second").await;
    assert_eq!(update.last().unwrap()["type"], "announcement_update");
}

#[tokio::test]
async fn an_emergency_needs_the_word_and_an_urgent_one_an_end() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    for (why, body, pointer) in [
        ("no word", json!({"title": "Leave", "message": "", "type": "EMERGENCY"}), "/confirm"),
        ("wrong word", json!({"title": "Leave", "message": "", "type": "EMERGENCY", "confirm": "yes"}), "/confirm"),
        (
            "urgent without the word",
            json!({"title": "Rain", "message": "", "priority": "URGENT", "expires_at": "2099-01-01T00:00:00Z"}),
            "/confirm",
        ),
        (
            "urgent without an end",
            json!({"title": "Rain", "message": "", "priority": "URGENT", "confirm": "URGENT"}),
            "/expires_at",
        ),
        (
            "an end in the past",
            json!({"title": "Rain", "message": "", "expires_at": "2001-01-01T00:00:00Z"}),
            "/expires_at",
        ),
    ] {
        let problem = server.post(&announcements, body).await.refused(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{why}");
    }
    let left = server.get(&announcements).await.ok();
    assert_eq!(left["items"], json!([]), "nothing was written");
    let mut socket = listener(&server, &cup, None).await;
    server
        .post(
            &announcements,
            json!({"title": "Leave", "message": "Exits A and C", "type": "EMERGENCY", "confirm": "EMERGENCY"}),
        )
        .await
        .ok();
    assert_eq!(socket.until_type("announcement_update").await["data"]["announcement"]["type"], "EMERGENCY");
    let refused: Vec<Value> = {
        let mut refused = Vec::new();
        for _ in 0..8 {
            let answer = server
                .post(
                    &announcements,
                    json!({"title": "Leave", "message": "", "type": "EMERGENCY", "confirm": "EMERGENCY"}),
                )
                .await;
            if answer.status == 429 {
                assert!(answer.header("retry-after").is_some());
                refused.push(answer.refused(429, "rate_limited"));
            }
        }
        refused
    };
    assert_eq!(refused.len(), 3, "six a minute");
}
