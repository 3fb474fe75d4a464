//! The live stream of an event or a team: connect, apply the client's rule, reconnect, go on.
//!
//! A [`Subscription`] gives every change once and in order as long as the server can; when it cannot
//! (`recovered: false`), the current state follows. It never gives up by itself: only the server's
//! final word (a refusal, or close codes 4000 to 4099) ends it. What is shown meanwhile is left to
//! its owner, who hears of every loss.

mod rule;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::Timestamp;
use reqwest::header::AUTHORIZATION;
use reqwest::{StatusCode, Url};
use timely_core::cursor::Cursor;
use timely_core::id::{EventId, TeamId};
use timely_core::live::{Control, close};
use timely_core::topic::Stream;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub use crate::live::rule::{Header, Message, Rule, Said};

use crate::client::{CONNECT_TIMEOUT, Client, chain};
use crate::error::Error;

/// Longest time for the handshake, connection included.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// The server says `status` every 5 s; without a word for so long the connection is dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Without a word for so long, what is shown is stale: two `status` are missing.
pub const STALE_AFTER: Duration = Duration::from_secs(12);
/// Longest first wait before the next try; it doubles with each failure.
const BACK_OFF_FIRST: Duration = Duration::from_millis(500);
/// Longest wait of all.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// Largest message that is read: a whole schedule of thousands of fixtures.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Event(EventId),
    Team(TeamId),
}

/// Which protocol to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What the guide describes. There is no heartbeat: a silent connection is taken as it is.
    V1,
    /// With cursor, `live`, `resync` and `status`.
    V2,
}

/// How the messages travel; they are the same on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    /// Server-Sent Events: gets through wherever HTTP does.
    Sse,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "ws",
            Self::Sse => "sse",
        })
    }
}

/// What to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub about: About,
    pub streams: Vec<Stream>,
    /// Everything after this is wanted; `None` starts with the current state.
    pub since: Option<Cursor>,
    pub version: Version,
    /// The one transport to use; `None` is WebSocket, and SSE where that is blocked.
    pub only: Option<Transport>,
}

/// What a subscription has to tell.
#[derive(Clone, Debug)]
pub enum Update {
    /// A connection stands; nothing was heard over it yet.
    Open(Transport),
    /// News. Frames that the client has are left out.
    Message(Message),
    /// How long the server took to answer over a WebSocket; at most once per `status`.
    RoundTrip(Duration),
    /// Nothing was heard for [`STALE_AFTER`], connected or not; told once per silence.
    Stale { age: Duration },
    /// The connection is lost, or was not made; it is tried again by itself.
    Lost {
        cause: String,
        /// The how-manieth failure in a row.
        failures: u32,
        retry_in: Duration,
    },
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Connecting = Pin<Box<dyn Future<Output = Result<Socket, Failure>> + Send>>;

/// A stream that goes on where it was after every cut.
pub struct Subscription {
    client: Client,
    target: Target,
    rule: Rule,
    link: Link,
    failures: u32,
}

enum Link {
    Waiting(Instant),
    // Kept across calls: a caller with a timer must not start the handshake again with every tick.
    Connecting(Connecting),
    Open {
        socket: Box<Socket>,
        heard: Instant,
    },
    /// The server has said its last word.
    Ended(Error),
}

/// Why there is no connection.
enum Failure {
    /// Trying again is of no use.
    Final(Error),
    Passing(String),
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("target", &self.target)
            .field("cursor", &self.cursor())
            .finish_non_exhaustive()
    }
}

impl Subscription {
    /// A subscription that connects with the first [`Subscription::next`].
    pub fn new(client: &Client, target: Target) -> Self {
        let rule = Rule::from(target.since.clone());
        Self { client: client.clone(), target, rule, link: Link::Waiting(Instant::now()), failures: 0 }
    }

    /// Everything up to here was given out: where another subscription would go on.
    pub const fn cursor(&self) -> Option<&Cursor> {
        self.rule.cursor()
    }

    /// Whether messages can arrive now.
    pub const fn is_connected(&self) -> bool {
        matches!(self.link, Link::Open { .. })
    }

    /// Tries at once instead of at the end of the wait.
    pub fn retry_now(&mut self) {
        if let Link::Waiting(until) = &mut self.link {
            *until = Instant::now();
        }
    }

    /// The next thing to know. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Closed`] when the server does not want this viewer (any more),
    /// [`Error::Protocol`] when it speaks something else; the same again from then on.
    pub async fn next(&mut self) -> Result<Update, Error> {
        loop {
            match &mut self.link {
                Link::Ended(error) => return Err(error.clone()),
                Link::Waiting(until) => {
                    sleep_until(*until).await;
                    self.link = Link::Connecting(self.connecting()?);
                }
                Link::Connecting(connecting) => match connecting.await {
                    Ok(socket) => {
                        self.link = Link::Open { socket: Box::new(socket), heard: Instant::now() };
                        return Ok(Update::Open(Transport::WebSocket));
                    }
                    Err(failure) => return self.fail(failure),
                },
                Link::Open { socket, heard } => {
                    let frame = match self.target.version {
                        Version::V1 => socket.next().await,
                        Version::V2 => {
                            let Ok(frame) = timeout_at(*heard + SILENCE_MAX, socket.next()).await else {
                                let silence = format!("nothing heard for {} s", SILENCE_MAX.as_secs());
                                return self.fail(Failure::Passing(silence));
                            };
                            frame
                        }
                    };
                    *heard = Instant::now();
                    match frame {
                        Some(Ok(Frame::Text(text))) => {
                            if let Some(update) = self.text(text.as_str())? {
                                return Ok(update);
                            }
                        }
                        Some(Ok(Frame::Close(close))) => {
                            let code = close.map_or(1005, |close| u16::from(close.code));
                            return self.closed(code);
                        }
                        // Pongs are queued by the library and go out with the next read.
                        Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                        Some(Err(error)) => return self.fail(Failure::Passing(chain(&error))),
                        None => return self.fail(Failure::Passing("the connection ended".to_owned())),
                    }
                }
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<Option<Update>, Error> {
        let message = match Message::parse(text.to_owned()) {
            Ok(message) => message,
            Err(error) => {
                let error = self.client.protocol(format!("a message of the stream is not understood ({error})"));
                self.link = Link::Ended(error.clone());
                return Err(error);
            }
        };
        // Heard and understood: the next failure is a first one again. Not before: a server that
        // accepts and drops must not be asked in a tight loop.
        if matches!(&message.said, Said::Data(_) | Said::Control(Control::Live { .. } | Control::Status { .. })) {
            self.failures = 0;
        }
        Ok(self.rule.apply(&message).then_some(Update::Message(message)))
    }

    fn closed(&mut self, code: u16) -> Result<Update, Error> {
        match code {
            4000..=4099 => {
                let reason = match code {
                    close::CREDENTIAL => "the credential was revoked or has expired",
                    close::GONE => "it is gone, or no longer visible with this credential",
                    _ => "for good",
                };
                self.fail(Failure::Final(Error::Closed { code, reason }))
            }
            // Meant to be resumed at once; but one that closes each time is backed off from.
            4200..=4299 if self.failures == 0 => {
                self.failures = 1;
                self.link = Link::Waiting(Instant::now());
                let cause = format!("the server asked to connect again (code {code})");
                Ok(Update::Lost { cause, failures: 1, retry_in: Duration::ZERO })
            }
            _ => self.fail(Failure::Passing(format!("the server closed the connection (code {code})"))),
        }
    }

    fn fail(&mut self, failure: Failure) -> Result<Update, Error> {
        match failure {
            Failure::Final(error) => {
                self.link = Link::Ended(error.clone());
                Err(error)
            }
            Failure::Passing(cause) => {
                self.failures = self.failures.saturating_add(1);
                let retry_in = back_off(self.failures, random());
                self.link = Link::Waiting(Instant::now() + retry_in);
                Ok(Update::Lost { cause, failures: self.failures, retry_in })
            }
        }
    }

    fn connecting(&self) -> Result<Connecting, Error> {
        let url = address(&self.client, &self.target, self.rule.cursor())?;
        let client = self.client.clone();
        Ok(Box::pin(async move { open(&client, &url).await }))
    }
}

/// The time of the event: that of the server, simulated in a demo.
///
/// # Errors
/// As any read.
pub async fn event_time(client: &Client, event: EventId) -> Result<Timestamp, Error> {
    let target =
        Target { about: About::Event(event), streams: Vec::new(), since: None, version: Version::V1, only: None };
    let unreachable = |cause| Error::Unreachable { address: client.address().to_owned(), cause };
    let url = address(client, &target, None)?;
    let mut socket = match open(client, &url).await {
        Ok(socket) => socket,
        Err(Failure::Final(error)) => return Err(error),
        Err(Failure::Passing(cause)) => return Err(unreachable(cause)),
    };
    let greeting = timeout(HANDSHAKE_TIMEOUT, async {
        while let Some(Ok(frame)) = socket.next().await {
            if let Frame::Text(text) = frame
                && let Ok(Control::Connected { timestamp, .. }) = serde_json::from_str(text.as_str())
            {
                return Some(timestamp);
            }
        }
        None
    });
    greeting.await.ok().flatten().ok_or_else(|| unreachable("it did not say what time it is".to_owned()))
}

/// Address of the stream. Streams and cursor go with it, so that one round trip does it all.
fn address(client: &Client, target: &Target, since: Option<&Cursor>) -> Result<Url, Error> {
    let mut url = match target.about {
        About::Event(event) => client.url(&format!("ws/events/{event}/stream/"))?,
        About::Team(team) => client.url(&format!("ws/teams/{team}/"))?,
    };
    let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
    url.set_scheme(scheme).map_err(|()| Error::Unusable(format!("{url} cannot be a WebSocket")))?;
    let mut query = Vec::new();
    if target.version == Version::V2 {
        query.push(("v", "2".to_owned()));
    }
    if !target.streams.is_empty() {
        let streams: Vec<_> = target.streams.iter().map(|stream| stream.as_str()).collect();
        query.push(("topics", streams.join(",")));
    }
    if let Some(since) = since {
        query.push(("since", since.to_string()));
    }
    if !query.is_empty() {
        let text: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        url.set_query(Some(&text.join("&")));
    }
    Ok(url)
}

async fn open(client: &Client, url: &Url) -> Result<Socket, Failure> {
    let unusable = |error: tungstenite::Error| Failure::Final(Error::Unusable(format!("{url}: {error}")));
    let mut request = url.as_str().into_client_request().map_err(unusable)?;
    if let Some(authorization) = client.authorization() {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = connect_async_with_config(request, Some(config), true);
    match timeout(HANDSHAKE_TIMEOUT.max(CONNECT_TIMEOUT), connecting).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let status = StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
            let error = client.refused(status, response.body().as_deref().unwrap_or_default());
            let passes = status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
            Err(if passes { Failure::Passing(error.to_string()) } else { Failure::Final(error) })
        }
        Ok(Err(error)) => Err(Failure::Passing(chain(&error))),
        Err(_) => Err(Failure::Passing("it took too long".to_owned())),
    }
}

/// Full jitter: anything between nothing and a bound that doubles. `random` is 0 to 1.
fn back_off(failures: u32, random: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    BACK_OFF_FIRST.saturating_mul(doubled).min(BACK_OFF_MAX).mul_f64(random)
}

/// 0 to 1. It need not be good, only different in each program: without a source of randomness
/// the half will do.
fn random() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;

    use super::*;

    fn target(since: Option<&str>) -> Target {
        Target {
            about: About::Event(EventId(1)),
            streams: vec![Stream::Results, Stream::Schedule],
            since: since.map(|cursor| cursor.parse().unwrap()),
            version: Version::V2,
            only: None,
        }
    }

    #[test]
    fn waits_grow_to_a_bound_and_spread_from_nothing() {
        for (failures, most) in [(1, 500), (2, 1_000), (3, 2_000), (7, 30_000), (1_000, 30_000)] {
            assert_eq!(back_off(failures, 1.0), Duration::from_millis(most));
            assert_eq!(back_off(failures, 0.0), Duration::ZERO);
        }
    }

    #[test]
    fn one_address_says_everything() {
        let client = Client::new("https://cup.example/timely", None).unwrap();
        for (about, streams, since, version, address_) in [
            (About::Event(EventId(1)), vec![], None, Version::V1, "wss://cup.example/timely/ws/events/1/stream/"),
            (
                About::Team(TeamId(5)),
                vec![Stream::Results, Stream::Announcements],
                Some("k3.7"),
                Version::V2,
                "wss://cup.example/timely/ws/teams/5/?v=2&topics=results,announcements&since=k3.7",
            ),
        ] {
            let since: Option<Cursor> = since.map(|text| text.parse().unwrap());
            let target = Target { about, streams, since: since.clone(), version, only: None };
            assert_eq!(address(&client, &target, since.as_ref()).unwrap().as_str(), address_);
        }
    }

    fn result(pos: u64) -> Frame {
        Frame::text(format!(
            r#"{{"type":"result_update","data":{{}},"timestamp":"2026-07-18T12:00:00Z","topic":"event_1_results","seq":{pos},"pos":{pos}}}"#
        ))
    }

    fn connected() -> Frame {
        Frame::text(
            r#"{"type":"connected","event_id":1,"message":"m","topics":[],"epoch":"e","cursor":"e.5","timestamp":"2026-07-18T12:00:00Z"}"#,
        )
    }

    /// A server that takes one connection per script and says, then closes with a code (0: just drops
    /// it). It answers with the query of each handshake.
    async fn server(scripts: Vec<(Vec<Frame>, u16)>) -> (Client, tokio::task::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string(), Some("t0")).unwrap();
        let task = tokio::spawn(async move {
            let mut queries = Vec::new();
            for (says, code) in scripts {
                let (stream, _) = listener.accept().await.unwrap();
                let mut query = String::new();
                #[expect(clippy::result_large_err, reason = "the signature of the handshake's callback")]
                let look = |request: &Request, response: Response| {
                    query = request.uri().query().unwrap_or_default().to_owned();
                    assert_eq!(request.headers()["authorization"], "Bearer t0");
                    Ok(response)
                };
                let mut socket = accept_hdr_async(stream, look).await.unwrap();
                queries.push(query);
                for frame in says {
                    socket.send(frame).await.unwrap();
                }
                if code != 0 {
                    let frame = CloseFrame { code: code.into(), reason: "".into() };
                    socket.send(Frame::Close(Some(frame))).await.unwrap();
                    // Until the other side has answered.
                    while let Some(Ok(_)) = socket.next().await {}
                }
            }
            queries
        });
        (client, task)
    }

    #[tokio::test]
    async fn a_cut_is_told_and_the_next_connection_goes_on_from_the_cursor() {
        let (client, server) = server(vec![
            (vec![connected(), result(6), result(7)], 4200),
            (vec![connected(), result(7), result(8)], 4004),
        ])
        .await;
        let mut subscription = Subscription::new(&client, target(Some("e.5")));
        let mut seen = Vec::new();
        let error = loop {
            match subscription.next().await {
                Ok(Update::Message(Message { said: Said::Data(header), .. })) => seen.push(header.pos.to_string()),
                Ok(Update::Message(_) | Update::Open(_) | Update::RoundTrip(_) | Update::Stale { .. }) => {}
                Ok(Update::Lost { failures, retry_in, .. }) => {
                    assert_eq!((failures, retry_in), (1, Duration::ZERO), "4200 resumes at once");
                    seen.push("cut".to_owned());
                }
                Err(error) => break error,
            }
        };
        assert_eq!(seen.join(" "), "6 7 cut 8", "7 came twice and is told once");
        assert!(matches!(error, Error::Closed { code: 4004, .. }), "{error}");
        assert!(matches!(subscription.next().await, Err(Error::Closed { code: 4004, .. })), "and stays so");
        assert_eq!(subscription.cursor().unwrap().to_string(), "e.8");
        let queries = server.await.unwrap();
        assert_eq!(queries, ["v=2&topics=results,schedule&since=e.5", "v=2&topics=results,schedule&since=e.7"]);
    }

    #[tokio::test]
    async fn a_dropped_connection_is_tried_again_after_a_while() {
        let (client, server) = server(vec![(vec![connected(), result(6)], 0)]).await;
        let mut subscription = Subscription::new(&client, target(None));
        let lost = loop {
            if let Update::Lost { failures, retry_in, .. } = subscription.next().await.unwrap() {
                break (failures, retry_in);
            }
        };
        assert_eq!(lost.0, 1);
        assert!(lost.1 <= BACK_OFF_FIRST);
        assert!(!subscription.is_connected());
        server.await.unwrap();
        // Nobody listens any more: each try fails and says so.
        subscription.retry_now();
        assert!(matches!(subscription.next().await, Ok(Update::Lost { failures: 2, .. })));
    }

    #[tokio::test]
    async fn a_refused_handshake_is_final_and_keeps_its_reason() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string(), None).unwrap();
        let server = tokio::spawn(async move {
            for (status, body) in [
                (
                    "404 Not Found",
                    r#"{"type":"/problems/not_found","title":"t","status":404,"detail":"no such thing"}"#,
                ),
                ("503 Service Unavailable", ""),
            ] {
                let (mut socket, _) = listener.accept().await.unwrap();
                let read = socket.read(&mut [0; 4096]).await.unwrap();
                assert!(read > 0);
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                socket.write_all(head.as_bytes()).await.unwrap();
            }
        });
        let error = Subscription::new(&client, target(None)).next().await.unwrap_err();
        assert!(error.is_not_found(), "{error:?}");
        let update = Subscription::new(&client, target(None)).next().await.unwrap();
        assert!(matches!(update, Update::Lost { .. }), "a busy server is asked again");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn the_time_of_the_event_is_what_the_server_says() {
        let (client, server) = server(vec![(vec![connected()], 0)]).await;
        let now = event_time(&client, EventId(1)).await.unwrap();
        assert_eq!(now.to_string(), "2026-07-18T12:00:00Z");
        server.await.unwrap();
    }
}
