//! A connection over either transport, as far as the subscription needs to know.

use std::time::Duration;

use timely_core::cursor::Cursor;
use tokio::time::timeout;

use crate::client::Client;
use crate::live::address::address;
use crate::live::failure::{Cut, Failure};
use crate::live::rule::Message;
use crate::live::{Target, Transport, sse, ws};

/// What is heard over a connection.
pub(super) enum Heard {
    Text(String),
    /// The answer to [`Wire::ping`].
    RoundTrip(Duration),
}

pub(super) enum Wire {
    WebSocket(ws::Socket),
    Sse(sse::Events),
}

/// A connection over which the server speaks.
pub(super) struct Connection {
    pub(super) wire: Wire,
    /// The message that showed it.
    pub(super) first: Message,
}

impl Wire {
    /// The next thing that is heard. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Heard, Cut> {
        match self {
            Self::WebSocket(socket) => socket.next().await,
            Self::Sse(events) => events.next().await.map(Heard::Text),
        }
    }

    pub(super) const fn transport(&self) -> Transport {
        match self {
            Self::WebSocket(_) => Transport::WebSocket,
            Self::Sse(_) => Transport::Sse,
        }
    }

    /// Measures a round trip where that can be done: events only come.
    pub(super) fn ping(&mut self) {
        if let Self::WebSocket(socket) = self {
            socket.ping();
        }
    }
}

/// Connects and waits for the first message, for so long in all. A handshake alone shows nothing:
/// there are proxies that complete it and then carry no frame.
pub(super) async fn connect(
    client: Client,
    target: Target,
    transport: Transport,
    since: Option<Cursor>,
    patience: Duration,
) -> Result<Connection, Failure> {
    let url = address(&client, &target, transport, since.as_ref()).map_err(Failure::Final)?;
    let connecting = async {
        let mut wire = match transport {
            Transport::WebSocket => Wire::WebSocket(ws::open(&client, &url).await?),
            Transport::Sse => Wire::Sse(sse::open(&client, &url).await?),
        };
        loop {
            if let Heard::Text(text) = wire.next().await? {
                let first = understand(&client, text).map_err(Failure::Final)?;
                return Ok(Connection { wire, first });
            }
        }
    };
    let too_long = || Failure::blocked(format!("no answer within {:.1} s", patience.as_secs_f32()));
    timeout(patience, connecting).await.unwrap_or_else(|_| Err(too_long()))
}

/// Reads a message of the stream.
pub(super) fn understand(client: &Client, text: String) -> Result<Message, crate::Error> {
    Message::parse(text)
        .map_err(|error| client.protocol(format!("a message of the stream is not understood ({error})")))
}
