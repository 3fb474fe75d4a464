//! Connections that leave HTTP for a stream, byte by byte, and clients that break the rules of either.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Cup, PATIENCE, TestServer};
use crate::stream::Socket;

const KEY: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A socket and what was read from it.
struct Raw {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Raw {
    async fn open(server: &TestServer) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::new() }
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads more; whether there is more. A reset is an end.
    async fn more(&mut self) -> bool {
        match tokio::time::timeout(PATIENCE * 2, self.stream.read_buf(&mut self.bytes)).await.expect("bytes or an end")
        {
            Ok(read) => read > 0,
            Err(error) => {
                assert!(matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
                false
            }
        }
    }

    /// Everything up to and including `mark`, which is taken away.
    async fn until(&mut self, mark: &str) -> String {
        loop {
            let found = self.bytes.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let taken: Vec<u8> = self.bytes.drain(..at + mark.len()).collect();
                return String::from_utf8_lossy(&taken).into_owned();
            }
            let so_far = String::from_utf8_lossy(&self.bytes).into_owned();
            assert!(self.more().await, "ended before {mark:?}: {so_far}");
        }
    }

    /// Everything up to the end.
    async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.bytes)
    }

    /// The head of an answer, in lower case but for the status line.
    async fn head(&mut self) -> (String, Vec<(String, String)>) {
        let text = self.until("\r\n\r\n").await;
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        (status, headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
    }

    /// The next frame: its first byte and its payload; `None` at the end.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, used)) = frame_of(&self.bytes) {
                self.bytes.drain(..used);
                return Some((first, payload));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next text message that is none of the opening.
    async fn message(&mut self) -> Value {
        loop {
            let (first, payload) = self.frame().await.expect("a message");
            assert_eq!(first, 0x81, "{payload:?}");
            let message: Value = serde_json::from_slice(&payload).unwrap();
            if !["connected", "event_update", "status"].contains(&message["type"].as_str().unwrap()) {
                return message;
            }
        }
    }

    /// The payload of the close, and that the connection ends after it.
    async fn closed(&mut self) -> Vec<u8> {
        loop {
            match self.frame().await.expect("a close before the end") {
                (0x88, payload) => {
                    assert_eq!(self.rest().await, b"", "nothing after the close");
                    return payload;
                }
                (0x81 | 0x89 | 0x8a, _) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn frame_of(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "servers do not mask");
    let (len, at) = match second {
        126 => (usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?])), 4),
        127 => panic!("no frame here is so large"),
        len => (usize::from(len), 2),
    };
    Some((first, bytes.get(at..at + len)?.to_vec(), at + len))
}

/// A frame as clients send it.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [7, 1, 255, 42];
    let mut frame = vec![first];
    if payload.len() <= 125 {
        frame.push(0x80 | u8::try_from(payload.len()).unwrap());
    } else {
        frame.push(0xfe);
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn get(path: &str, version: &str, more: &str) -> String {
    format!("GET {path} HTTP/{version}\r\nHost: localhost\r\n{more}\r\n")
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect()
}

#[tokio::test]
async fn an_event_stream_opens_however_it_is_asked_for() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let stream = format!("/api/events/{}/stream/", cup.event);
    let sse = |version: &str, more: &str| get(&stream, version, more);
    for (why, said, before) in [
        ("alone", sse("1.1", ""), 0),
        ("in HTTP/1.0", sse("1.0", ""), 0),
        ("that is to be kept alive", sse("1.0", "Connection: keep-alive\r\n"), 0),
        ("that is to be closed", sse("1.1", "Connection: close\r\n"), 0),
        ("with a body", sse("1.1", "Content-Length: 5\r\n") + "hello", 0),
        ("with a body in chunks", sse("1.1", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n", 0),
        ("with a body that never comes", sse("1.1", "Content-Length: 5\r\n"), 0),
        ("after a request in the same packet", get("/healthz", "1.1", "") + &sse("1.1", ""), 1),
        ("after two", get("/healthz", "1.1", "") + &get("/nothing", "1.1", "") + &sse("1.1", ""), 2),
        ("before a request that is not heard any more", sse("1.1", "") + &get("/healthz", "1.1", ""), 0),
    ] {
        for step in [said.len(), 1] {
            let mut raw = Raw::open(&server).await;
            for piece in said.as_bytes().chunks(step) {
                raw.say(piece).await;
            }
            for _ in 0..before {
                let (status, headers) = raw.head().await;
                assert!(status.starts_with("HTTP/1.1 200") || status.starts_with("HTTP/1.1 404"), "{why}: {status}");
                let len: usize = values(&headers, "content-length")[0].parse().unwrap();
                while raw.bytes.len() < len {
                    assert!(raw.more().await, "{why}");
                }
                raw.bytes.drain(..len);
            }
            let (status, headers) = raw.head().await;
            assert_eq!(status, "HTTP/1.1 200 OK", "{why}");
            assert_eq!(values(&headers, "connection"), ["close"], "{why}");
            assert_eq!(values(&headers, "date").len(), 1, "{why}");
            assert!(values(&headers, "content-length").is_empty(), "{why}");
            assert!(values(&headers, "transfer-encoding").is_empty(), "{why}");
            assert!(raw.until("\n\n").await.starts_with("retry: "), "{why}");
            assert!(raw.until("\n\n").await.contains(r#""type":"connected""#), "{why}");
        }
    }
}

#[tokio::test]
async fn a_request_kept_alive_becomes_a_stream() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut raw = Raw::open(&server).await;
    for _ in 0..3 {
        raw.say(get("/healthz", "1.1", "")).await;
        raw.until("}").await;
    }
    raw.say(get(&format!("/api/events/{}/stream/", cup.event), "1.1", "")).await;
    raw.until(r#""type":"connected""#).await;
    server.score(cup.fixtures[&1], 2, 0).await;
    raw.until(r#""type":"result_update""#).await;
}

#[tokio::test]
async fn the_head_of_a_stream_is_as_complete_as_that_of_any_answer() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/api/events/{}/stream/", cup.event);
    for (why, method) in [("a stream", "GET"), ("its head alone", "HEAD")] {
        let mut raw = Raw::open(&server).await;
        raw.say(get(&path, "1.1", "Origin: https://club.example\r\n").replacen("GET", method, 1)).await;
        let (status, headers) = raw.head().await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{why}");
        for (name, expected) in [
            ("content-type", &["text/event-stream"][..]),
            ("cache-control", &["no-cache"]),
            ("x-accel-buffering", &["no"]),
            ("x-content-type-options", &["nosniff"]),
            ("access-control-allow-origin", &["https://club.example"]),
        ] {
            assert_eq!(values(&headers, name), expected, "{why}: {name}");
        }
        let vary = values(&headers, "vary").join(", ").to_lowercase();
        assert!(vary.contains("origin") && vary.contains("authorization"), "{why}: {vary}");
    }
    // A HEAD ends nothing: the connection goes on.
    let mut raw = Raw::open(&server).await;
    raw.say(get(&path, "1.1", "").replacen("GET", "HEAD", 1)).await;
    raw.head().await;
    raw.say(get("/healthz", "1.1", "Connection: close\r\n")).await;
    assert!(String::from_utf8(raw.rest().await).unwrap().starts_with("HTTP/1.1 200 OK"));

    let mut raw = Raw::open(&server).await;
    raw.say(get(&format!("/ws/events/{}/stream/", cup.event), "1.1", KEY)).await;
    let (status, headers) = raw.head().await;
    assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
    assert_eq!(values(&headers, "sec-websocket-accept"), ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
    assert_eq!(values(&headers, "connection").join(",").to_lowercase(), "upgrade");
    assert_eq!(values(&headers, "upgrade").join(",").to_lowercase(), "websocket");
}

#[tokio::test]
async fn what_is_no_handshake_is_refused() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    for (why, said) in [
        ("a plain request", get(&path, "1.1", "")),
        ("HTTP/1.0", get(&path, "1.0", KEY)),
        ("another version", get(&path, "1.1", &KEY.replace("13", "8"))),
        ("no key", get(&path, "1.1", &KEY.replace("Key", "Kex"))),
        ("a HEAD", get(&path, "1.1", KEY).replacen("GET", "HEAD", 1)),
        (
            "a body that could be taken for frames",
            get(&path, "1.1", &format!("{KEY}Content-Length: 6\r\n")) + "\u{1}\0\0\0\0\0",
        ),
        ("a body in chunks", get(&path, "1.1", &format!("{KEY}Transfer-Encoding: chunked\r\n")) + "0\r\n\r\n"),
    ] {
        let mut raw = Raw::open(&server).await;
        raw.say(said).await;
        let (status, _) = raw.head().await;
        assert!(status.starts_with("HTTP/1.1 400") || status.starts_with("HTTP/1.0 400"), "{why}: {status}");
    }
}

#[tokio::test]
async fn frames_that_come_with_the_handshake_are_heard() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let handshake = get(&format!("/ws/events/{}/stream/", cup.event), "1.1", KEY);
    let ping = client(0x81, br#"{"type":"ping","timestamp":7}"#);
    for (why, cut) in [("whole", ping.len()), ("cut in the head", 1), ("cut in the payload", 12)] {
        let mut raw = Raw::open(&server).await;
        raw.say([handshake.as_bytes(), &ping[..cut]].concat()).await;
        raw.head().await;
        raw.say(&ping[cut..]).await;
        assert_eq!(raw.message().await, json!({"type": "pong", "timestamp": 7}), "{why}");
    }
    let mut raw = Raw::open(&server).await;
    raw.say(get("/healthz", "1.1", "") + &handshake).await;
    raw.until("}").await;
    assert!(raw.head().await.0.contains("101"), "after a request in the same packet");
    raw.say(ping).await;
    assert_eq!(raw.message().await["type"], "pong");
}

#[tokio::test]
async fn frames_are_heard_and_answered_as_rfc_6455_has_it() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let handshake = get(&format!("/ws/events/{}/stream/", cup.event), "1.1", KEY);
    let close = |code: u16, reason: &str| [&code.to_be_bytes(), reason.as_bytes()].concat();
    let text = "{\"type\":\"h\u{e9}\"}".as_bytes();
    let at = text.iter().position(|byte| *byte == 0xc3).unwrap() + 1;
    for (why, said, expected) in [
        ("a close", client(0x88, &close(1000, "bye")), close(1000, "")),
        ("a close without a code", client(0x88, b""), Vec::new()),
        ("a close of our own range", client(0x88, &close(3001, "")), close(3001, "")),
        ("a close, and data after it", [client(0x88, &close(1000, "")), client(0x81, b"{}")].concat(), close(1000, "")),
        ("a close between fragments", [client(0x01, b"{"), client(0x88, &close(1001, ""))].concat(), close(1001, "")),
        ("a close of one byte", client(0x88, &[3]), close(1002, "")),
        ("a code that is never sent", client(0x88, &close(1006, "")), close(1002, "")),
        ("a reason that is not UTF-8", client(0x88, &[3, 0xe8, 0xff]), close(1007, "")),
        ("unmasked", vec![0x81, 2, b'{', b'}'], close(1002, "")),
        ("a reserved bit", client(0xc1, b"{}"), close(1002, "")),
        ("a reserved opcode", client(0x83, b"{}"), close(1002, "")),
        ("a ping in fragments", client(0x09, b""), close(1002, "")),
        ("a long ping", client(0x89, &[0; 126]), close(1002, "")),
        ("a continuation of nothing", client(0x80, b"{}"), close(1002, "")),
        ("text inside a message", [client(0x01, b"{"), client(0x81, b"}")].concat(), close(1002, "")),
        ("text that is not UTF-8", client(0x81, &[0xff]), close(1007, "")),
        ("half a letter", [client(0x01, &text[..at]), client(0x80, b"\"}")].concat(), close(1007, "")),
        ("too large", client(0x81, &[b'x'; 4097]), close(1009, "commands have at most 4096 bytes")),
        (
            "too large in sum",
            [client(0x01, &[b'x'; 4096]), client(0x80, b"x")].concat(),
            close(1009, "commands have at most 4096 bytes"),
        ),
        ("a second request", get("/healthz", "1.1", "").into_bytes(), close(1002, "")),
    ] {
        let mut raw = Raw::open(&server).await;
        raw.say(&handshake).await;
        raw.head().await;
        raw.say(&said).await;
        // The other side of the close is ours to give: then nothing is left to wait for.
        let closed = raw.closed().await;
        assert_eq!(closed, expected, "{why}");
    }

    let mut raw = Raw::open(&server).await;
    raw.say(&handshake).await;
    raw.head().await;
    raw.message_types_until_idle().await;
    for (why, said, expected) in [
        ("a ping", client(0x89, b"abc"), (0x8a, b"abc".to_vec())),
        ("an empty ping", client(0x89, b""), (0x8a, Vec::new())),
        ("the longest ping", client(0x89, &[7; 125]), (0x8a, vec![7; 125])),
        (
            "a ping between fragments",
            [client(0x01, b"{\"type\""), client(0x89, b"in")].concat(),
            (0x8a, b"in".to_vec()),
        ),
        (
            "the rest of the message",
            client(0x80, b":\"ping\",\"timestamp\":1}"),
            (0x81, br#"{"type":"pong","timestamp":1}"#.to_vec()),
        ),
        (
            "a pong that nobody asked for, and a message in many fragments, some of them empty",
            [
                client(0x8a, b"?"),
                client(0x01, b""),
                client(0x00, b"{\"type\":"),
                client(0x00, b""),
                client(0x80, b"\"ping\"}"),
            ]
            .concat(),
            (0x81, br#"{"type":"pong","timestamp":null}"#.to_vec()),
        ),
    ] {
        raw.say(said).await;
        assert_eq!(raw.frame().await.unwrap(), expected, "{why}");
    }
    let large = |text: usize| format!(r#"{{"type":"ping","timestamp":"{}"}}"#, "x".repeat(text));
    let large = large(4096 - large(0).len());
    raw.say(client(0x81, large.as_bytes())).await;
    let pong = large.replace("ping", "pong");
    assert_eq!(raw.frame().await.unwrap(), (0x81, pong.into_bytes()), "the largest command is heard");
}

impl Raw {
    /// Reads the opening of a WebSocket that has subscribed to nothing.
    async fn message_types_until_idle(&mut self) {
        let (_, payload) = self.frame().await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["type"], "connected");
    }
}

#[tokio::test]
async fn a_client_that_half_closes_is_gone() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    for (why, said) in [
        ("an event stream", get(&format!("/api/events/{}/stream/", cup.event), "1.1", "")),
        ("a WebSocket", get(&format!("/ws/events/{}/stream/", cup.event), "1.1", KEY)),
    ] {
        let mut raw = Raw::open(&server).await;
        raw.say(said).await;
        raw.until("\"connected\"").await;
        raw.stream.shutdown().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(5), raw.rest()).await;
        assert!(ended.is_ok(), "{why}: nobody is left to read it");
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_close_is_not_waited_for() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let mut raw = Raw::open(&server).await;
    raw.say(get(&format!("/ws/events/{}/stream/", cup.event), "1.1", KEY)).await;
    raw.head().await;
    // It neither closes nor stops to talk, and the server stops all the same.
    let (mut reads, mut writes) = raw.stream.into_split();
    let talks = tokio::spawn(async move {
        while writes.write_all(&client(0x89, b"")).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut bytes = Vec::new();
    let (_, ended) = tokio::join!(server.stop(), tokio::time::timeout(PATIENCE, reads.read_to_end(&mut bytes)));
    ended
        .expect("the connection ends")
        .map_or_else(|error| assert_eq!(error.kind(), io::ErrorKind::ConnectionReset), drop);
    tokio::time::timeout(PATIENCE, talks).await.expect("and takes nothing more").unwrap();
}

#[tokio::test]
async fn who_sends_and_sends_is_cut_off() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    for (why, noise) in [
        ("pings", client(0x89, b"").repeat(1_000)),
        ("pongs", client(0x8a, b"").repeat(1_000)),
        ("empty fragments", [client(0x01, b""), client(0x00, b"").repeat(1_000), client(0x80, b"")].concat()),
    ] {
        let mut socket = Raw::open(&server).await;
        socket.say(get(&path, "1.1", KEY)).await;
        socket.head().await;
        let (mut reads, mut writes) = socket.stream.into_split();
        let talks = tokio::spawn(async move { while writes.write_all(&noise).await.is_ok() {} });
        let mut bytes = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, reads.read_to_end(&mut bytes)).await.expect(why);
        ended.map_or_else(|error| assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{why}"), drop);
        let said = [&4129_u16.to_be_bytes()[..], b"too much was sent in a short time"].concat();
        assert!(bytes.ends_with(&said) || bytes.windows(said.len()).any(|window| window == said), "{why}");
        talks.await.unwrap();
    }
    let mut stream = Raw::open(&server).await;
    stream.say(get(&format!("/api/events/{}/stream/", cup.event), "1.1", "")).await;
    stream.until("\"connected\"").await;
    let (mut reads, mut writes) = stream.stream.into_split();
    let talks = tokio::spawn(async move { while writes.write_all(&[b'x'; 4096]).await.is_ok() {} });
    let mut bytes = Vec::new();
    let ended =
        tokio::time::timeout(PATIENCE, reads.read_to_end(&mut bytes)).await.expect("an event stream hears nothing");
    ended.map_or_else(|error| assert_eq!(error.kind(), io::ErrorKind::ConnectionReset), drop);
    talks.await.unwrap();
}

#[tokio::test]
async fn who_commands_too_fast_is_refused_then_closed_but_not_in_a_load_test() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut socket = Socket::open(&server, &path).await;
    for number in 1..=30 {
        socket.send(json!({"type": "ping", "timestamp": number})).await;
    }
    let answers = socket.until(|message| message["code"] == "rate_limited").await;
    let pongs: Vec<&Value> =
        answers.iter().filter(|answer| answer["type"] == "pong").map(|answer| &answer["timestamp"]).collect();
    assert!(pongs.len() >= 20, "{pongs:?}");
    assert_eq!(answers.last().unwrap()["retryable"], true);
    for _ in 0..40 {
        if !socket.try_send(json!({"type": "ping"})).await {
            break;
        }
    }
    assert_eq!(socket.closed().await, Some(4129));

    let server = TestServer::start_with(|config| config.load_test = true).await;
    let cup = Cup::public(&server).await;
    let mut socket = Socket::open(&server, &format!("/ws/events/{}/stream/", cup.event)).await;
    for number in 1..=200 {
        socket.send(json!({"type": "ping", "timestamp": number})).await;
        let pong = socket.until_type("pong").await;
        assert_eq!(pong["timestamp"], number);
    }
}

#[tokio::test]
async fn a_full_server_sends_viewers_away_and_lets_those_in_who_are_signed_in() {
    let server = TestServer::start_with(|config| config.max_connections = Some(8)).await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut viewers = Vec::new();
    let (status, body) = loop {
        match Socket::open_as(&server, &path, None).await {
            Ok(socket) => viewers.push(socket),
            Err(refused) => break refused,
        }
        assert!(viewers.len() <= 8, "there are more than 8");
    };
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("/problems/unavailable"), "{body}");

    let mut raw = Raw::open(&server).await;
    raw.say(get(&format!("/api/events/{}/stream/", cup.event), "1.1", "")).await;
    let (status, headers) = raw.head().await;
    assert_eq!(status, "HTTP/1.1 200 OK", "browsers give up on anything else");
    assert_eq!(values(&headers, "content-type"), ["text/event-stream"]);
    let body = String::from_utf8(raw.rest().await).unwrap();
    let retry: u64 = body.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap().parse().unwrap();
    assert!((10_000..=20_000).contains(&retry), "{retry}");

    let token = server.owner_token.clone();
    let mut desk = Socket::open_as(&server, &path, Some(&token)).await.ok().unwrap();
    assert_eq!(desk.until_type("connected").await["type"], "connected");
    assert_eq!(server.get("/healthz").await.status, 200, "requests are answered");

    // Who leaves makes room, as soon as the server has noticed.
    drop((viewers, desk));
    let reopened = async {
        while Socket::open_as(&server, &path, None).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE * 2, reopened).await.expect("room again");
}
