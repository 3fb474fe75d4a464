//! Raw listeners: what a browser would see, message by message.

use std::net::SocketAddr;

use futures_util::stream::BoxStream;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::server::{PATIENCE, TestServer};

/// A WebSocket that knows nothing but the protocol of the guide.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(server: &TestServer, path: &str) -> Self {
        Self::open_as(server, path, None).await.unwrap_or_else(|(status, body)| panic!("refused: {status} {body}"))
    }

    /// Opens with a bearer token; a refused handshake answers its status and body.
    pub(crate) async fn open_as(server: &TestServer, path: &str, token: Option<&str>) -> Result<Self, (u16, String)> {
        match Self::try_open(server.address, path, token).await {
            Ok(socket) => Ok(socket),
            Err(Error::Http(response)) => {
                let body = response.body().as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
                Err((response.status().as_u16(), body.unwrap_or_default()))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Opens at any address, for example through a network that may cut the handshake.
    pub(crate) async fn try_open(address: SocketAddr, path: &str, token: Option<&str>) -> Result<Self, Error> {
        let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let opening = tokio_tungstenite::connect_async(request);
        tokio::time::timeout(PATIENCE, opening).await.expect("a handshake").map(|(socket, _)| Self(socket))
    }

    /// Opens over a connection that stands already.
    pub(crate) async fn over(stream: TcpStream, address: SocketAddr, path: &str) -> Self {
        let request = format!("ws://{address}{path}").into_client_request().unwrap();
        let opening = tokio_tungstenite::client_async(request, MaybeTlsStream::Plain(stream));
        Self(tokio::time::timeout(PATIENCE, opening).await.expect("a handshake").unwrap().0)
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: &str) {
        self.send_raw(Message::text(text)).await;
    }

    /// Says something over a connection that may have been cut; whether it could be said.
    pub(crate) async fn try_send(&mut self, message: Value) -> bool {
        self.0.send(Message::text(message.to_string())).await.is_ok()
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// The next message; panics on a close or when nothing comes.
    #[track_caller]
    pub(crate) fn next(&mut self) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            match self.next_or_close().await {
                Ok(message) => message,
                Err(code) => panic!("closed with {code:?} while a message was awaited at {caller}"),
            }
        }
    }

    /// The next message, or the code of the close.
    pub(crate) async fn next_or_close(&mut self) -> Result<Value, Option<u16>> {
        let text = tokio::time::timeout(PATIENCE, self.next_text()).await;
        let text = text.expect("a message within the patience of the test")?;
        Ok(serde_json::from_str(&text).expect("messages are JSON"))
    }

    /// The next message as it came, or the code of the close; however long it takes.
    pub(crate) async fn next_text(&mut self) -> Result<String, Option<u16>> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Messages up to and including the first that fits.
    pub(crate) async fn until(&mut self, mut fits: impl FnMut(&Value) -> bool) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            let last = fits(&message);
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    pub(crate) async fn until_type(&mut self, kind: &str) -> Value {
        self.until(|message| message["type"] == kind).await.pop().unwrap()
    }

    /// Subscribes as the guide does and reads the acknowledgement.
    pub(crate) async fn subscribe(&mut self, stream: &str) -> Value {
        self.send(json!({"type": format!("subscribe_{stream}")})).await;
        self.until(|message| message["type"] == "subscribed" && message["stream"] == stream).await.pop().unwrap()
    }

    /// Everything up to now: an answered ping stands behind all that was sent before it.
    pub(crate) async fn settle(&mut self) -> Vec<Value> {
        let mark = json!(format!("mark-{}", line!()));
        self.send(json!({"type": "ping", "timestamp": mark})).await;
        let mut messages = self.until(|message| message["type"] == "pong" && message["timestamp"] == mark).await;
        messages.pop();
        messages
    }

    /// The code and the reason of the close; what still comes before it is dropped. `None`: the
    /// connection just ended.
    pub(crate) async fn closed_with(&mut self) -> Option<(u16, String)> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a close");
            match message {
                Some(Ok(Message::Close(frame))) => {
                    return frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits for the close; what still comes before it is dropped.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next_or_close().await {
                return code;
            }
        }
    }
}

/// One block of an event stream.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<Value>,
    pub(crate) retry: Option<String>,
    pub(crate) comment: bool,
}

/// An event stream, block by block: also those that an `EventSource` does not show.
pub(crate) struct Sse {
    pub(crate) headers: reqwest::header::HeaderMap,
    body: BoxStream<'static, Vec<u8>>,
    buffer: String,
}

impl Sse {
    pub(crate) async fn open(server: &TestServer, path: &str) -> Self {
        Self::open_with(server.anonymous(reqwest::Method::GET, path)).await
    }

    pub(crate) async fn open_with(request: reqwest::RequestBuilder) -> Self {
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 200, "the stream opens");
        let headers = response.headers().clone();
        let body = response.bytes_stream();
        let body = futures_util::StreamExt::map(body, |chunk| chunk.map(|chunk| chunk.to_vec()).unwrap_or_default())
            .take_while(|chunk| std::future::ready(!chunk.is_empty()))
            .boxed();
        Self { headers, body, buffer: String::new() }
    }

    /// The next block, or `None` at the end of the stream.
    pub(crate) async fn block(&mut self) -> Option<Block> {
        self.raw_block().await.map(|text| parse(&text))
    }

    /// The next block as it stands, with the blank line that ends it.
    pub(crate) async fn raw_block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.find("\n\n") {
                return Some(self.buffer.drain(..end + 2).collect());
            }
            // A stream at rest says something every 15 s.
            let chunk = tokio::time::timeout(PATIENCE * 2, self.body.next())
                .await
                .expect("a block within the patience of the test")?;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("blocks are UTF-8"));
        }
    }

    /// The next block that carries data.
    pub(crate) async fn next(&mut self) -> (Option<String>, Value) {
        loop {
            let block = self.block().await.expect("the stream goes on");
            if let Some(data) = block.data {
                assert_eq!(block.event, None, "events are unnamed, so that onmessage fires");
                return (block.id, data);
            }
        }
    }

    pub(crate) async fn until_type(&mut self, kind: &str) -> (Option<String>, Value) {
        loop {
            let (id, data) = self.next().await;
            if data["type"] == kind {
                return (id, data);
            }
        }
    }

    /// Waits for the end of the stream.
    pub(crate) async fn ended(&mut self) {
        while self.block().await.is_some() {}
    }
}

fn parse(text: &str) -> Block {
    let mut block = Block::default();
    let mut data = Vec::new();
    for line in text.lines() {
        match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("", _)) => block.comment = true,
            Some(("id", id)) => block.id = Some(id.to_owned()),
            Some(("event", event)) => block.event = Some(event.to_owned()),
            Some(("retry", retry)) => block.retry = Some(retry.to_owned()),
            Some(("data", line)) => data.push(line),
            other => assert!(line.is_empty(), "unknown line {other:?} {line:?}"),
        }
    }
    if !data.is_empty() {
        block.data = Some(serde_json::from_str(&data.join("\n")).expect("data is JSON"));
    }
    block
}

/// A block, as an [`EventSource`] takes it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Dispatched: `onmessage` fires.
    Data(String),
    /// An `id:` alone: kept, and nothing fires.
    Id,
    /// A comment, or `retry:`.
    Nothing,
}

/// What the `EventSource` of a browser keeps and dispatches, over one connection after another: the
/// rules of the HTML standard, section "Interpreting an event stream".
#[derive(Default)]
pub(crate) struct EventSource {
    /// What goes back as `Last-Event-ID`; empty at first.
    pub(crate) last_event_id: String,
    pub(crate) retry_ms: Option<u64>,
    body: Option<BoxStream<'static, Option<Vec<u8>>>>,
    /// Read and not interpreted yet.
    bytes: Vec<u8>,
    id_buffer: String,
    has_id: bool,
    data_buffer: String,
}

impl EventSource {
    /// One that has seen an event with this id.
    pub(crate) fn with_id(id: &str) -> Self {
        Self { last_event_id: id.to_owned(), ..Self::default() }
    }

    /// Connects (again); whether it stands. A connection that was cut leaves nothing but the id.
    pub(crate) async fn connect(&mut self, request: reqwest::RequestBuilder) -> bool {
        self.body = None;
        self.bytes.clear();
        self.data_buffer.clear();
        self.has_id = false;
        // Browsers start with the id they have, so that a block without one does not take it away.
        self.id_buffer.clone_from(&self.last_event_id);
        let request = request.header("accept", "text/event-stream");
        let request = match self.last_event_id.as_str() {
            "" => request,
            id => request.header("last-event-id", id),
        };
        let Ok(response) = request.send().await else { return false };
        assert_eq!(response.status(), 200, "a browser that is refused never comes back");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        self.body = Some(response.bytes_stream().map(|chunk| chunk.ok().map(|chunk| chunk.to_vec())).boxed());
        true
    }

    /// The next whole block; `None` when the connection is gone, and with it the block that was under
    /// way. Cancelling loses nothing.
    pub(crate) async fn block(&mut self) -> Option<Sent> {
        loop {
            while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                let line = std::str::from_utf8(&line[..end]).expect("lines are UTF-8");
                assert!(!line.contains('\r'), "lines end in LF alone");
                if line.is_empty() {
                    self.last_event_id.clone_from(&self.id_buffer);
                    let has_id = std::mem::take(&mut self.has_id);
                    let data = std::mem::take(&mut self.data_buffer);
                    return Some(match data.strip_suffix('\n') {
                        Some(data) => Sent::Data(data.to_owned()),
                        None if has_id => Sent::Id,
                        None => Sent::Nothing,
                    });
                }
                let (field, value) = line.split_once(':').unwrap_or((line, ""));
                let value = value.strip_prefix(' ').unwrap_or(value);
                match field {
                    "data" => {
                        self.data_buffer.push_str(value);
                        self.data_buffer.push('\n');
                    }
                    "id" => {
                        value.clone_into(&mut self.id_buffer);
                        self.has_id = true;
                    }
                    "retry" => self.retry_ms = value.parse().ok().or(self.retry_ms),
                    "event" => panic!("a named event does not reach onmessage: {line}"),
                    // A comment begins with the colon.
                    "" => {}
                    other => panic!("field {other}"),
                }
            }
            let Some(chunk) = self.body.as_mut()?.next().await.flatten() else {
                self.body = None;
                return None;
            };
            self.bytes.extend(chunk);
        }
    }
}
