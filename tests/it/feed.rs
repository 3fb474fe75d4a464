//! The change log over plain HTTP, line by line.

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use reqwest::Method;
use serde_json::{Value, json};
use timely_core::access::AccessChange;
use timely_core::live::LogLine;

use crate::server::{Answer, Cup, PATIENCE, TestServer, send};
use crate::stream::Socket;

const STATES: [&str; 4] = ["event_update", "leaderboard_update", "schedule_update", "team_update"];

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(answer.text.is_empty() || answer.text.ends_with('\n'), "every line is whole");
    answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_state(line: &Value) -> bool {
    STATES.contains(&line["type"].as_str().unwrap())
}

fn positions(lines: &[Value]) -> Vec<u64> {
    lines.iter().map(|line| line["pos"].as_u64().unwrap()).collect()
}

/// A feed that is followed, line by line.
struct Lines {
    body: BoxStream<'static, reqwest::Result<Vec<u8>>>,
    buffer: String,
}

impl Lines {
    async fn open(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let body = response.bytes_stream().map(|chunk| chunk.map(|chunk| chunk.to_vec())).boxed();
        Self { body, buffer: String::new() }
    }

    /// The next line; `None` at a proper end, an error when the answer was cut off.
    async fn next(&mut self) -> Option<Result<Value, reqwest::Error>> {
        loop {
            if let Some(end) = self.buffer.find('\n') {
                let line: String = self.buffer.drain(..=end).collect();
                return Some(Ok(serde_json::from_str(&line).unwrap()));
            }
            match tokio::time::timeout(PATIENCE, self.body.next()).await.expect("a line in time")? {
                Ok(chunk) => self.buffer.push_str(std::str::from_utf8(&chunk).unwrap()),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Lines up to and including the first that fits.
    async fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut lines = Vec::new();
        loop {
            let line = self.next().await.expect("the feed goes on").expect("the feed is not cut");
            let is_last = fits(&line);
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }
}

#[tokio::test]
async fn a_feed_has_the_frames_of_a_resume_and_ends_with_what_stands() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let announcements = format!("/api/events/{}/announcements/", cup.event);
    server.score(cup.fixtures[&1], 1, 0).await;
    let withdrawn = server.post(&announcements, json!({"title": "Gone", "message": ""})).await.ok();
    server.post(&announcements, json!({"title": "All", "message": ""})).await.ok();
    server.post(&announcements, json!({"title": "Inside", "message": "", "is_public": false})).await.ok();
    let to_team = json!({"title": "Bus", "message": "", "team_ids": [cup.teams["Reds"]]});
    server.post(&announcements, to_team).await.ok();
    server.command(&format!("/api/announcements/{}/withdraw/", withdrawn["id"])).await.ok();
    server.score(cup.fixtures[&1], 2, 0).await;

    let viewer = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
    let of_reds = server.token(json!({"role": "viewer", "event_id": cup.event, "team_id": cup.teams["Reds"]})).await;
    let since = format!("{}.0", server.epoch);
    for (who, token, titles) in [
        ("anonymous", None, &["All"][..]),
        ("a viewer", Some(&viewer), &["All", "Inside"]),
        ("a member", Some(&of_reds), &["All", "Inside", "Bus"]),
        ("the owner", Some(&server.owner_token), &["All", "Inside", "Bus"]),
    ] {
        let address = format!("/api/events/{}/feed/", cup.event);
        let ask = |path: &str| {
            let request = server.anonymous(Method::GET, path);
            match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            }
        };
        let answer = send(ask(&format!("{address}?since={since}"))).await;
        let fed = lines(&answer);
        let path = format!("/ws/events/{}/stream/?v=2&topics=results,schedule,announcements&since={since}", cup.event);
        let mut socket = Socket::open_as(&server, &path, token.map(String::as_str)).await.ok().unwrap();
        let streamed: Vec<_> = socket
            .until(|message| message["type"] == "live")
            .await
            .into_iter()
            .filter(|message| message.get("data").is_some())
            .collect();
        let logs = |lines: &[Value]| lines.iter().filter(|line| !is_state(line)).cloned().collect::<Vec<_>>();
        assert_eq!(logs(&fed), logs(&streamed), "{who}: the same frames in the same order");
        let states = |lines: &[Value]| {
            let mut states: Vec<_> = lines
                .iter()
                .filter(|line| is_state(line))
                .map(|line| {
                    let mut line = line.clone();
                    // When it was read is the one thing in which they differ.
                    line["timestamp"].take();
                    line["data"]["timestamp"].take();
                    line.to_string()
                })
                .collect();
            states.sort();
            states
        };
        assert_eq!(states(&fed), states(&streamed), "{who}: and the same state");
        let last_log = fed.iter().rposition(|line| !is_state(line)).unwrap();
        assert!(fed[..last_log].iter().all(|line| !is_state(line)), "{who}: the state stands at the end");
        let said: Vec<_> = fed
            .iter()
            .filter(|line| line["type"] == "announcement_update")
            .map(|line| line["data"]["announcement"]["title"].as_str().unwrap())
            .collect();
        assert_eq!(said, titles, "{who}");
        assert_eq!(fed.iter().filter(|line| line["type"] == "announcement_removed").count(), 1, "{who}: one removal");
        let at = positions(&logs(&fed));
        assert!(at.windows(2).all(|pair| pair[0] < pair[1]), "{who}: {at:?}");

        // Without a cursor it begins as far back as is replayed.
        assert_eq!(logs(&lines(&send(ask(&address)).await)), logs(&fed), "{who}");
        // From its end on there is nothing new, and the state is told again.
        let cursor = answer.header("timely-cursor").unwrap();
        let rest = lines(&send(ask(&format!("{address}?since={cursor}"))).await);
        assert!(!rest.is_empty() && rest.iter().all(is_state), "{who}: {rest:?}");
    }
}

#[tokio::test]
async fn a_long_feed_comes_in_pages_without_a_gap() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    // More than a page of rows.
    for round in 0..300_u16 {
        server.score(cup.fixtures[&1], round % 9, round % 7).await;
    }
    let fed = lines(&send(server.anonymous(Method::GET, &format!("/api/events/{}/feed/", cup.event))).await);
    for kind in ["result_update", "fixture_update"] {
        let numbers: Vec<_> = fed.iter().filter(|line| line["type"] == kind).map(|line| line["seq"].clone()).collect();
        let dense: Vec<_> = (1..=numbers.len()).map(|seq| json!(seq)).collect();
        assert_eq!(numbers, dense, "{kind}");
    }
    assert_eq!(fed.iter().filter(|line| line["type"] == "result_update").count(), 300);

    let log = lines(&server.get("/api/feed/").await);
    assert_eq!(positions(&log), (1..=log.len() as u64).collect::<Vec<_>>());
    assert!(log.len() > 300, "more than a page");
}

#[tokio::test]
async fn a_feed_that_is_followed_goes_on_live_and_ends_with_the_server() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&1], 1, 0).await;
    let path = format!("/api/events/{}/feed/?follow=1", cup.event);
    let mut feed = Lines::open(server.anonymous(Method::GET, &path)).await;
    let missed = feed.until(|line| line["type"] == "live").await;
    assert!(missed.iter().any(|line| line["type"] == "result_update"));
    let cursor = missed.last().unwrap()["cursor"].as_str().unwrap().to_owned();

    server.score(cup.fixtures[&1], 2, 0).await;
    let live = feed.until(|line| line["type"] == "leaderboard_update" && line["data"]["group"] == "A").await;
    let result = live.iter().find(|line| line["type"] == "result_update").unwrap();
    assert_eq!((&result["data"]["result"]["home_score"], result.get("replay")), (&json!(2), None));
    let board = live.last().unwrap();
    assert!(board["pos"].as_u64() >= result["pos"].as_u64() && board.get("replay").is_none());

    // A change without a message shows in the state.
    let team = format!("/api/teams/{}/", cup.teams["Reds"]);
    server.patch(&team, json!({"name": "Scarlets"})).await.ok();
    feed.until(|line| {
        line["type"] == "leaderboard_update" && line["data"]["leaderboard"].to_string().contains("Scarlets")
    })
    .await;
    let status = feed.until(|line| line["type"] == "status").await.pop().unwrap();
    assert!(status["pos"].as_u64().unwrap() > result["pos"].as_u64().unwrap());

    // What was live is what another reader is told from the same cursor.
    let path = format!("/api/events/{}/feed/?since={cursor}", cup.event);
    let again = lines(&send(server.anonymous(Method::GET, &path)).await);
    assert!(again.contains(result), "{again:?}");

    server.stop().await;
    while let Some(line) = feed.next().await {
        line.expect("the feed ends and is not cut");
    }
}

#[tokio::test]
async fn whoever_loses_the_right_is_cut_off_and_sees_nothing_later() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/api/events/{}/feed/?follow=1", cup.event);
    let made = server.post("/api/tokens/", json!({"role": "viewer", "event_id": cup.event})).await.ok();
    let token = made["token"].as_str().unwrap();
    let made_relay = server.post("/api/tokens/", json!({"role": "relay"})).await.ok();
    let relay_token = made_relay["token"].as_str().unwrap();
    let mut outside = Lines::open(server.anonymous(Method::GET, &path)).await;
    let mut inside = Lines::open(server.anonymous(Method::GET, &path).bearer_auth(token)).await;
    let mut log = Lines::open(server.anonymous(Method::GET, "/api/feed/?follow=1").bearer_auth(relay_token)).await;
    for feed in [&mut outside, &mut inside] {
        feed.until(|line| line["type"] == "live").await;
    }
    log.until(|line| line["type"] == "changed").await;

    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PRIVATE"})).await.ok();
    server.score(cup.fixtures[&1], 1, 0).await;
    assert_cut(&mut outside).await;
    let heard = inside.until(|line| line["type"] == "result_update").await;
    assert!(heard.iter().all(|line| line["data"]["result"]["home_score"] != 9));

    for id in [&made["id"], &made_relay["id"]] {
        server.delete(&format!("/api/tokens/{id}/")).await.ok();
    }
    server.score(cup.fixtures[&1], 9, 9).await;
    assert_cut(&mut inside).await;
    assert_cut(&mut log).await;
    send(server.anonymous(Method::GET, &path).bearer_auth(token)).await.refused(401, "unauthenticated");
    send(server.anonymous(Method::GET, &path)).await.refused(404, "not_found");
}

/// Reads to the end, which must not look like one.
async fn assert_cut(feed: &mut Lines) {
    loop {
        match feed.next().await.expect("a feed that is cut does not end") {
            Ok(line) => assert_ne!(line["data"]["result"]["home_score"], 9, "{line}"),
            Err(_) => return,
        }
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_continued_is_410_with_the_current_one() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let old = format!("{}.1", server.epoch);
    let database = server.database();
    let server = {
        let clock = server.clock.clone();
        let directory = server.stop().await;
        let connection = rusqlite::Connection::open(&database).unwrap();
        let aged = connection
            .execute("UPDATE change_log SET committed_at = committed_at - 8 * 24 * 3600 * 1000000", [])
            .unwrap();
        assert!(aged > 2);
        drop(connection);
        TestServer::start_on(directory, clock).await
    };
    let pos = server.score(cup.fixtures[&1], 1, 0).await["version"].as_i64();
    assert_eq!(pos, Some(1));
    let event = format!("/api/events/{}/feed/", cup.event);
    for path in [event.as_str(), "/api/feed/"] {
        let whole = server.get(path).await;
        let current = whole.header("timely-cursor").unwrap().to_owned();
        for (why, since) in
            [("expired", old.clone()), ("ahead", format!("{}.999999", server.epoch)), ("another log", "k3.1".into())]
        {
            let problem = server.get(&format!("{path}?since={since}")).await.refused(410, "invalid");
            assert_eq!(problem["current"], json!(current), "{path} {why}");
        }
        // From the current one on it works, and without one from where the replay begins.
        assert_eq!(server.get(&format!("{path}?since={current}")).await.status, 200);
        let kinds: Vec<_> = lines(&whole).iter().map(|line| line["type"].clone()).collect();
        assert!(kinds.contains(&json!("result_update")), "{kinds:?}");
        let first = lines(&whole).iter().map(|line| line["pos"].as_u64().unwrap()).min().unwrap();
        assert!(first > 2, "{path} begins at {first}");
        for query in ["since=yesterday", "follow=yes", "until=tomorrow"] {
            server.get(&format!("{path}?{query}")).await.refused(400, "invalid");
        }
    }
}

#[tokio::test]
async fn the_whole_log_is_for_the_owner_and_relays_and_has_every_change() {
    let server = TestServer::start().await;
    let cup = Cup::create(&server, "PRIVATE").await;
    server.score(cup.fixtures[&1], 1, 0).await;
    server.patch(&format!("/api/teams/{}/", cup.teams["Reds"]), json!({"name": "Scarlets"})).await.ok();
    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PUBLIC"})).await.ok();
    let token = server.token(json!({"role": "relay", "label": "relay 1"})).await;

    let owner = server.get("/api/feed/").await;
    let relay = send(server.anonymous(Method::GET, "/api/feed/").bearer_auth(&token)).await;
    assert_eq!(owner.text, relay.text);
    assert_eq!(relay.header("cache-control"), Some("private, no-store"));
    let log = lines(&relay);
    assert_eq!(positions(&log), (1..=log.len() as u64).collect::<Vec<_>>(), "dense");
    let cursor = relay.header("timely-cursor").unwrap().to_owned();
    assert_eq!(cursor, format!("{}.{}", server.epoch, log.len()));

    let parsed: Vec<LogLine<'_>> = relay.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let result = parsed.iter().find(|line| line.kind == "result_update").unwrap();
    let topics: Vec<_> = result.topics.iter().map(|announced| announced.topic.to_string()).collect();
    assert!(topics.contains(&format!("event_{}_results", cup.event)), "{topics:?}");
    assert!(topics.contains(&format!("team_{}_results", cup.teams["Blues"])), "{topics:?}");
    assert!(result.topics.iter().all(|announced| announced.seq == 1));
    assert!(result.data.unwrap().get().contains("\"home_score\":1"));
    let access = parsed.iter().find(|line| line.kind == "access").unwrap();
    assert!(matches!(access.access, Some(AccessChange::Visibility { .. })), "{access:?}");
    let renamed = parsed.iter().rfind(|line| line.kind == "changed" && !line.refreshes.is_empty()).unwrap();
    assert!(renamed.topics.is_empty() && renamed.data.is_none());

    // It goes on from there, dense.
    let path = format!("/api/feed/?since={cursor}&follow=1");
    let mut feed = Lines::open(server.anonymous(Method::GET, &path).bearer_auth(&token)).await;
    server.score(cup.fixtures[&2], 3, 3).await;
    let live = feed.until(|line| line["type"] == "result_update").await;
    assert_eq!(positions(&live).first(), Some(&(log.len() as u64 + 1)));
    assert!(positions(&live).windows(2).all(|pair| pair[0] + 1 == pair[1]));

    send(server.anonymous(Method::GET, "/api/feed/")).await.refused(401, "unauthenticated");
    for role in ["organiser", "scorer", "viewer"] {
        let token = server.token(json!({"role": role, "event_id": cup.event})).await;
        let answer = send(server.anonymous(Method::GET, "/api/feed/?since=nonsense").bearer_auth(&token)).await;
        answer.refused(403, "forbidden");
        let answer =
            send(server.anonymous(Method::POST, "/api/tokens/").bearer_auth(&token).json(&json!({"role": "relay"})));
        answer.await.refused(403, "forbidden");
    }
}

#[tokio::test]
async fn a_relay_reads_the_log_and_nothing_else() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    server.score(cup.fixtures[&1], 1, 0).await;
    let token = server.token(json!({"role": "relay"})).await;
    let ask = |method: Method, path: &str| server.anonymous(method, path).bearer_auth(&token).header("if-match", "*");
    for path in [
        format!("/api/events/{}/", cup.event),
        format!("/api/events/{}/leaderboard/", cup.event),
        format!("/api/events/{}/feed/", cup.event),
        format!("/api/events/{}/stream/", cup.event),
        format!("/api/fixtures/{}/result/", cup.fixtures[&1]),
        format!("/api/teams/{}/stream/", cup.teams["Reds"]),
    ] {
        send(ask(Method::GET, &path)).await.refused(404, "not_found");
    }
    let path = format!("/ws/events/{}/stream/", cup.event);
    let refused = Socket::open_as(&server, &path, Some(&token)).await.err().map(|(status, _)| status);
    assert_eq!(refused, Some(404));
    let result = format!("/api/fixtures/{}/result/", cup.fixtures[&1]);
    send(ask(Method::PUT, &result).json(&json!({"home_score": 5, "away_score": 0}))).await.refused(404, "not_found");
    send(ask(Method::POST, "/api/events/").json(&json!({"name": "x", "starts_on": "2026-01-01"})))
        .await
        .refused(403, "forbidden");
    send(ask(Method::GET, "/api/tokens/")).await.refused(403, "forbidden");
    assert_eq!(send(ask(Method::GET, "/api/events/")).await.ok()["items"], json!([]));
    let bound = server.post("/api/tokens/", json!({"role": "relay", "event_id": cup.event})).await;
    bound.refused(422, "invalid");
}

#[tokio::test]
async fn what_was_read_is_not_sent_again_until_something_changed() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let viewer = server.token(json!({"role": "viewer", "event_id": cup.event})).await;
    let inside = json!({"title": "Inside", "message": "", "is_public": false});
    server.post(&format!("/api/events/{}/announcements/", cup.event), inside).await.ok();
    server.score(cup.fixtures[&1], 1, 0).await;
    let mut seen: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for round in 0..3 {
        for what in [
            "leaderboard/",
            "leaderboard/?count=official",
            "leaderboard/?count=LIVE",
            "schedule/",
            "results/",
            "results/?limit=1",
            "announcements/",
        ] {
            let path = format!("/api/events/{}/{what}", cup.event);
            for token in [None, Some(&viewer), Some(&server.owner_token)] {
                let ask = || match token {
                    Some(token) => server.anonymous(Method::GET, &path).bearer_auth(token),
                    None => server.anonymous(Method::GET, &path),
                };
                let whole = send(ask()).await;
                let tag = whole.header("etag").unwrap_or_else(|| panic!("{path} has no tag")).to_owned();
                assert!(tag.starts_with(&format!("\"{}.", server.epoch)), "{tag}");
                // One tag never stands for two contents, whoever asked and for what of it.
                let known = seen
                    .entry(format!("{} {tag}", what.split('?').next().unwrap()))
                    .or_insert_with(|| whole.text.clone());
                assert_eq!(*known, whole.text, "{path} {tag}");
                let again = send(ask().header("if-none-match", &tag)).await;
                assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
                assert_eq!(again.header("etag"), Some(tag.as_str()));
                let caching = if token.is_some() { "private, no-store" } else { "no-cache" };
                for answer in [&whole, &again] {
                    assert_eq!(answer.header("cache-control"), Some(caching), "{path}");
                    let mut vary = answer.headers.get_all("vary").iter();
                    assert!(vary.any(|names| *names == "Authorization, Cookie"), "{path}");
                }
                let other = send(ask().header("if-none-match", "\"k3.1\"")).await;
                assert_eq!((other.status, other.text), (200, whole.text), "{path}");
            }
        }
        server.score(cup.fixtures[&1], 2 + round, 0).await;
    }
    let path = format!("/api/events/{}/leaderboard/", cup.event);
    let tag = server.get(&path).await.header("etag").unwrap().to_owned();
    server.score(cup.fixtures[&2], 4, 0).await;
    let fresh = send(server.owner(Method::GET, &path).header("if-none-match", &tag)).await;
    assert_eq!(fresh.status, 200);
    assert_ne!(fresh.header("etag"), Some(tag.as_str()));
    // What is hidden is hidden from those who know its tag.
    server.patch(&format!("/api/events/{}/", cup.event), json!({"visibility": "PRIVATE"})).await.ok();
    let hidden = send(server.anonymous(Method::GET, &path).header("if-none-match", "*")).await;
    hidden.refused(404, "not_found");
}
