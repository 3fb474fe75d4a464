//! The stream over a WebSocket.
//!
//! One connection, its messages and how long the server takes to answer; what becomes of a lost one is
//! left to the subscription.

use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use reqwest::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::client::{Client, chain};
use crate::error::Error;
use crate::live::MESSAGE_BYTES_MAX;
use crate::live::failure::{Cut, Failure};
use crate::live::wire::Heard;

/// Close code of a goodbye without one.
const NO_CODE: u16 = 1005;

/// An open WebSocket.
pub(super) struct Socket {
    frames: Box<WebSocketStream<MaybeTlsStream<TcpStream>>>,
    ping: Ping,
    /// Tells a pong that answers from one that nobody asked for.
    pings: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    Idle,
    Wanted,
    /// Handed over, but perhaps not yet on its way.
    Leaving(Instant),
    Away(Instant),
}

/// Connects and shakes hands.
pub(super) async fn open(client: &Client, url: &Url) -> Result<Socket, Failure> {
    let unusable = |error: tungstenite::Error| Failure::Final(Error::Unusable(format!("{url}: {error}")));
    let mut request = url.as_str().into_client_request().map_err(unusable)?;
    if let Some(authorization) = client.authorization() {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match connect_async_with_config(request, Some(config), true).await {
        Ok((frames, _)) => Ok(Socket { frames: Box::new(frames), ping: Ping::Idle, pings: 0 }),
        // Of the body only what came with the head is there. A problem of the server is small and
        // comes in one piece; a torn one counts as foreign, and SSE is told the same as a whole.
        Err(tungstenite::Error::Http(response)) => {
            let body = response.body().as_deref().unwrap_or_default();
            Err(Failure::refusal(client, response.status(), response.headers(), body))
        }
        Err(error) => Err(Failure::blocked(chain(&error))),
    }
}

impl Socket {
    /// The next thing that is heard. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Heard, Cut> {
        loop {
            match poll_fn(|cx| self.poll_frame(cx)).await {
                Some(Ok(Frame::Text(text))) => return Ok(Heard::Text(text.as_str().to_owned())),
                Some(Ok(Frame::Pong(payload))) => {
                    if let Ping::Leaving(sent) | Ping::Away(sent) = self.ping
                        && payload[..] == self.pings.to_be_bytes()
                    {
                        self.ping = Ping::Idle;
                        return Ok(Heard::RoundTrip(sent.elapsed()));
                    }
                }
                Some(Ok(Frame::Close(close))) => {
                    return Err(Cut::Closed(close.map_or(NO_CODE, |close| u16::from(close.code))));
                }
                // Pongs are queued by the library and go out with the next read.
                Some(Ok(Frame::Binary(_) | Frame::Ping(_) | Frame::Frame(_))) => {}
                Some(Err(error)) => return Err(Cut::Broken(chain(&error))),
                None => return Err(Cut::Broken("the connection ended".to_owned())),
            }
        }
    }

    /// Measures a round trip, unless one is being measured.
    pub(super) fn ping(&mut self) {
        if self.ping == Ping::Idle {
            self.ping = Ping::Wanted;
        }
    }

    /// Writes what can be written at once and reads. Neither waits for the other: a server that reads
    /// nothing is still heard.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, tungstenite::Error>>> {
        // What cannot be written is not measured. Why not, the read below will tell, after what the
        // server has said before: perhaps the very reason.
        if self.ping == Ping::Wanted
            && let Poll::Ready(ready) = self.frames.poll_ready_unpin(cx)
        {
            let payload = (self.pings + 1).to_be_bytes().to_vec();
            let sent = ready.and_then(|()| self.frames.start_send_unpin(Frame::Ping(payload.into())));
            self.pings += 1;
            self.ping = sent.map_or(Ping::Idle, |()| Ping::Leaving(Instant::now()));
        }
        if let Ping::Leaving(sent) = self.ping
            && let Poll::Ready(flushed) = self.frames.poll_flush_unpin(cx)
        {
            self.ping = flushed.map_or(Ping::Idle, |()| Ping::Away(sent));
        }
        self.frames.poll_next_unpin(cx)
    }
}
