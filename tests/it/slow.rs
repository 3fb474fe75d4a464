//! A client that reads too slowly loses its backlog and not the news, and nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval, timeout};

use crate::server::{Cup, PATIENCE, TestServer, send};
use crate::stream::Socket;

/// Enough for the backlog, the kernel's share and the ring of a topic to overflow.
const BURST: usize = 900;
/// Bytes of a message: a thousand of them are megabytes.
const MESSAGE_BYTES: usize = 3_000;
/// What a slow client asks the kernel to hold for it.
const RECEIVE_BYTES: u32 = 8 * 1024;

/// A connection that holds little and is read when the test reads.
async fn slow_connection(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BYTES).unwrap();
    socket.connect(address).await.unwrap()
}

async fn slow_socket(server: &TestServer, path: &str) -> Socket {
    Socket::over(slow_connection(server.address).await, server.address, path).await
}

/// An event stream over a connection that holds little.
struct SlowStream {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl SlowStream {
    async fn open(server: &TestServer, path: &str) -> Self {
        let mut stream = slow_connection(server.address).await;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n", server.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// The next block, with its id and its data if it has them.
    async fn block(&mut self) -> (Option<String>, Option<Value>) {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let text = String::from_utf8(block).unwrap();
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                return (field("id: "), field("data: ").map(|data| serde_json::from_str(&data).unwrap()));
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("a block").unwrap();
            assert!(read > 0, "the stream goes on");
        }
    }
}

/// Announces something; the position of the change.
async fn announce(server: &TestServer, event: i64, more: Value) -> u64 {
    let mut body = json!({"title": "Gate 4", "message": "is closed"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = send(server.owner(Method::POST, &format!("/api/events/{event}/announcements/")).json(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.header("timely-pos").unwrap().parse().unwrap()
}

/// Announces so many times, several at once; the positions of the changes, in order.
async fn burst(server: &TestServer, event: i64, count: usize) -> Vec<u64> {
    let message = "x".repeat(MESSAGE_BYTES);
    let mut positions: Vec<u64> = stream::iter(0..count)
        .map(|_| announce(server, event, json!({"message": message})))
        .buffer_unordered(32)
        .collect()
        .await;
    positions.sort_unstable();
    positions
}

fn pos(message: &Value) -> u64 {
    message["pos"].as_u64().unwrap()
}

/// Reads announcements up to `last`: positions as they come, early copies apart, and the other
/// messages by type.
async fn read_to(socket: &mut Socket, last: u64) -> (Vec<u64>, Vec<u64>, Vec<Value>) {
    let (mut turns, mut early, mut others) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        let message = socket.next().await;
        match message["type"].as_str().unwrap() {
            "announcement_update" if message["early"] == true => early.push(pos(&message)),
            "announcement_update" => {
                turns.push(pos(&message));
                if turns.last() == Some(&last) {
                    return (turns, early, others);
                }
            }
            _ => others.push(message),
        }
    }
}

#[tokio::test]
async fn who_stops_reading_during_a_burst_reads_on_without_a_hole_and_nobody_else_notices() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/", cup.event);
    let mut knows = slow_socket(&server, &format!("{path}?v=2&topics=announcements")).await;
    knows.until_type("live").await;
    let mut guide = slow_socket(&server, &path).await;
    guide.subscribe("announcements").await;
    let mut browser = SlowStream::open(&server, &format!("/api/events/{}/stream/announcements/", cup.event)).await;
    while browser.block().await.0.is_none() {}
    let mut fast = Socket::open(&server, &path).await;
    fast.subscribe("announcements").await;

    // Nobody reads but the fast one, which keeps up with what is written.
    let began = Instant::now();
    let reading = async {
        let mut heard = Vec::new();
        while heard.len() < BURST {
            let message = fast.next().await;
            if message["type"] == "announcement_update" {
                heard.push(pos(&message));
            }
        }
        heard
    };
    let (written, heard) = tokio::join!(burst(&server, cup.event, BURST), reading);
    assert_eq!(heard, written, "the others are told everything meanwhile");
    let emergency = announce(&server, cup.event, json!({"type": "EMERGENCY", "confirm": "EMERGENCY"})).await;
    let silent = began.elapsed();
    assert!(silent < Duration::from_secs(8), "the burst took {silent:?}: by now those who read nothing are given up");

    let expected: Vec<u64> = written.iter().copied().chain([emergency]).collect();
    let (turns, early, others) = read_to(&mut knows, emergency).await;
    assert_eq!(turns, expected, "in order and once, on the same connection");
    assert_eq!(early, [emergency], "told before its turn");
    assert!(others.iter().all(|message| message["type"] == "status"), "neither connected nor resync: {others:?}");
    let live = knows.until_type("live").await;
    let cursor = live["cursor"].as_str().unwrap().rsplit_once('.').unwrap().1.parse::<u64>().unwrap();
    assert!(cursor >= emergency, "it says that it fell behind, and is up to date: {live}");

    let (turns, early, others) = read_to(&mut guide, emergency).await;
    assert_eq!(turns, expected, "the guide's client too");
    assert_eq!((early, others), (vec![], vec![]), "and it hears no word that is not the guide's");

    let mut turns = Vec::new();
    while turns.last() != Some(&emergency) {
        let (id, data) = browser.block().await;
        let Some(data) = data else { continue };
        assert_eq!(data["type"], "announcement_update");
        assert_eq!(id, Some(format!("{}.{}", server.epoch, pos(&data))));
        turns.push(pos(&data));
    }
    assert_eq!(turns, expected, "and the browser's stream");

    // From here on everything is live again.
    server
        .post(&format!("/api/events/{}/announcements/", cup.event), json!({"title": "last", "message": ""}))
        .await
        .ok();
    for socket in [&mut knows, &mut guide, &mut fast] {
        socket.until(|message| message["data"]["announcement"]["title"] == "last").await;
    }
}

#[tokio::test]
async fn who_reads_nothing_for_too_long_is_given_up_and_recovers_with_its_cursor() {
    let server = TestServer::start().await;
    let cup = Cup::public(&server).await;
    let path = format!("/ws/events/{}/stream/?v=2&topics=announcements", cup.event);
    let mut stuck = slow_socket(&server, &path).await;
    let cursor = stuck.until_type("live").await["cursor"].as_str().unwrap().to_owned();
    let written = burst(&server, cup.event, 300).await;
    // It reads nothing and hears nothing; that it was given up shows when it speaks. What it says is
    // not read either, so the end is a reset.
    let given_up = async {
        let mut beats = interval(Duration::from_millis(100));
        while stuck.try_send(json!({"type": "ping", "timestamp": 1})).await {
            beats.tick().await;
        }
    };
    // After 10 s without progress; how soon that begins is the machine's matter.
    let began = Instant::now();
    timeout(Duration::from_secs(10) + 2 * PATIENCE, given_up).await.expect("given up after 10 s without progress");
    println!("given up {:.1} s after the burst", began.elapsed().as_secs_f32());
    drop(stuck);

    let mut back = Socket::open(&server, &format!("{path}&since={cursor}")).await;
    assert_eq!(back.until_type("subscribed").await["recovered"], true);
    let (turns, ..) = read_to(&mut back, *written.last().unwrap()).await;
    assert_eq!(turns, written);
}
