//! A server for tests that does exactly what it is told, one connection at a time.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::client::Client;
use crate::live::Transport;

/// What a test waits for at most; only reached when it fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Server {
    listener: TcpListener,
    pub(super) client: Client,
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::from(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn from(listener: TcpListener) -> Self {
        let client = client_of(listener.local_addr().unwrap());
        Self { listener, client }
    }

    /// The next connection, with its request.
    pub(super) async fn visit(&self) -> Visit {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("nobody comes").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        Visit { stream, head: String::from_utf8(head).unwrap() }
    }

    /// The next connection, which is over `transport`.
    #[track_caller]
    pub(super) fn visit_over(&self, transport: Transport) -> impl Future<Output = Visit> + '_ {
        let caller = std::panic::Location::caller();
        async move {
            let visit = self.visit().await;
            assert_eq!(visit.transport(), transport, "{caller}: {}", visit.head);
            visit
        }
    }

    /// Whether somebody stands at the door already.
    pub(super) async fn is_visited(&self) -> bool {
        timeout(Duration::from_millis(50), self.listener.accept()).await.is_ok()
    }
}

/// A port that is taken and closed until it listens.
pub(super) fn closed_port() -> (TcpSocket, Client) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let client = client_of(socket.local_addr().unwrap());
    (socket, client)
}

fn client_of(address: SocketAddr) -> Client {
    Client::new(&address.to_string(), Some("t0")).unwrap()
}

/// A request that is not answered yet.
pub(super) struct Visit {
    stream: TcpStream,
    pub(super) head: String,
}

impl Visit {
    pub(super) fn transport(&self) -> Transport {
        if self.header("Upgrade").is_some() { Transport::WebSocket } else { Transport::Sse }
    }

    pub(super) fn query(&self) -> &str {
        self.head.split_whitespace().nth(1).and_then(|path| path.split_once('?')).map_or("", |(_, query)| query)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(header, _)| header.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub(super) async fn answer(mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        self.stream.write_all(answer.as_bytes()).await.unwrap();
    }

    /// As a firewall does it.
    pub(super) async fn page(self, status: &str) {
        self.answer(status, "Content-Type: text/html\r\n", "<html>").await;
    }

    /// As the server itself does it.
    pub(super) async fn problem(self, status: u16, headers: &str) {
        let headers = format!("Content-Type: application/problem+json\r\n{headers}");
        let body =
            format!(r#"{{"type":"/problems/x","title":"t","status":{status},"detail":"refused with {status}"}}"#);
        self.answer(&format!("{status} Refused"), &headers, &body).await;
    }

    pub(super) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    pub(super) async fn upgrade_after(self, wait: Duration) -> WebSocketStream<TcpStream> {
        tokio::time::sleep(wait).await;
        self.upgrade().await
    }

    pub(super) async fn events_after(self, wait: Duration) -> Stream {
        tokio::time::sleep(wait).await;
        self.events().await
    }

    pub(super) async fn upgrade(mut self) -> WebSocketStream<TcpStream> {
        let key = self.header("Sec-WebSocket-Key").unwrap();
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(key.as_bytes())
        );
        self.stream.write_all(head.as_bytes()).await.unwrap();
        WebSocketStream::from_raw_socket(self.stream, Role::Server, None).await
    }

    pub(super) async fn events(mut self) -> Stream {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        self.stream.write_all(head.as_bytes()).await.unwrap();
        Stream(self.stream)
    }
}

/// The server's end of an event stream; it ends when it is dropped.
pub(super) struct Stream(TcpStream);

impl Stream {
    /// Sends as it stands.
    pub(super) async fn send(&mut self, text: &str) {
        self.try_send(text).await.unwrap();
    }

    pub(super) async fn try_send(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// Sends a message.
    pub(super) async fn say(&mut self, json: &str) {
        self.send(&format!("data: {json}\n\n")).await;
    }

    /// Until the other side has left.
    pub(super) async fn has_ended(&mut self) {
        let left = async { while !matches!(self.0.read(&mut [0; 1024]).await, Ok(0) | Err(_)) {} };
        timeout(PATIENCE, left).await.expect("the other side stays");
    }
}

pub(super) fn connected() -> String {
    let time = "2026-07-18T12:00:00Z";
    format!(
        r#"{{"type":"connected","event_id":1,"message":"m","topics":[],"epoch":"e","cursor":"e.5","timestamp":"{time}"}}"#
    )
}

pub(super) fn result(pos: u64) -> String {
    let time = "2026-07-18T12:00:00Z";
    format!(
        r#"{{"type":"result_update","data":{{}},"timestamp":"{time}","topic":"event_1_results","seq":{pos},"pos":{pos}}}"#
    )
}

pub(super) fn live(pos: u64) -> String {
    format!(r#"{{"type":"live","topics":["event_1_results"],"cursor":"e.{pos}"}}"#)
}

pub(super) fn status() -> String {
    r#"{"type":"status","pos":9,"server_time":"2026-07-18T12:00:00Z","clock_rate":1.0}"#.to_owned()
}
