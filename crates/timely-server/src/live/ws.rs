//! WebSockets: `/ws/events/{event}/stream/` and `/ws/teams/{team}/`.
//!
//! Carries the bytes of a session and nothing else. Who may look is settled before the upgrade.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{self, Path, State};
use axum::response::Response;
use futures_util::{SinkExt as _, StreamExt as _};
use timely_core::live::close;
use timely_core::topic::Stream;
use tokio::time::timeout;
use tracing::debug;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::error::Error;
use crate::live::driver::Connection;
use crate::live::hub::{Base, Join, Viewer};
use crate::live::session::{About, Speaks, Wire, Write};
use crate::live::{Query, Wanted, viewer_of_event, viewer_of_team};

/// Largest message a client may send.
const INBOUND_BYTES_MAX: usize = 4 * 1024;
/// Read buffer of a connection; clients say little.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Bytes gathered before they are handed to the kernel.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;
/// Largest single message that can be sent.
const WRITE_BUFFER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Without any progress in writing for so long, the connection is given up.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Close code of a message that is too large.
const TOO_LARGE: u16 = 1009;
/// The subprotocol of clients that know cursors.
const V2: &str = "timely.v2";

type Asked = Result<extract::Query<Query>, QueryRejection>;
type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// `GET /ws/events/{event}/stream/`
pub(super) async fn event(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    upgrade: Upgrade,
) -> Result<Response, Error> {
    let viewer = viewer_of_event(&app, actor, &event).await?;
    accept(&app, viewer, query, upgrade)
}

/// `GET /ws/teams/{team}/`: all streams of the team at once.
pub(super) async fn team(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(team): Path<String>,
    query: Asked,
    upgrade: Upgrade,
) -> Result<Response, Error> {
    let viewer = viewer_of_team(&app, actor, &team).await?;
    accept(&app, viewer, query, upgrade)
}

fn accept(app: &App, (viewer, about): (Viewer, About), query: Asked, upgrade: Upgrade) -> Result<Response, Error> {
    let Wanted { topics, since, speaks } = super::query(query)?.read()?;
    let upgrade = upgrade
        .map_err(|rejection| Error::Malformed(format!("open this address as a WebSocket: {rejection}")))?
        .protocols([V2])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(INBOUND_BYTES_MAX)
        .max_frame_size(INBOUND_BYTES_MAX);
    let is_v2 = speaks == Speaks::V2 || since.is_some() || upgrade.selected_protocol().is_some();
    let speaks = if is_v2 { Speaks::V2 } else { Speaks::V1 };
    let join = match (topics, viewer.team) {
        (Some(streams), _) => Join { streams, base: Base::Show, since },
        (None, Some(_)) => Join { streams: Stream::ALL.to_vec(), base: Base::Show, since },
        // A cursor covers the topics named with it: here none.
        (None, None) => Join { streams: Vec::new(), base: Base::Follow, since: None },
    };
    let name = viewer.base_topic();
    let connection = app.live.connect(Wire::WebSocket, speaks, (viewer, about), Stream::ALL.to_vec(), join);
    Ok(upgrade
        .on_failed_upgrade(move |error| debug!(topic = %name, "a WebSocket of {name} did not open: {error}"))
        .on_upgrade(move |socket| converse(socket, connection)))
}

/// Carries messages both ways until either side ends.
async fn converse(mut socket: WebSocket, mut connection: Connection) {
    let code = loop {
        let reads = connection.takes_commands();
        let step = tokio::select! {
            taken = connection.next() => {
                let ended = connection.ended();
                match write(&mut socket, taken.writes, ended).await {
                    Ok(()) => taken.close.map_or(ControlFlow::Continue(()), |code| ControlFlow::Break(Some(code))),
                    Err(code) => ControlFlow::Break(code),
                }
            }
            message = socket.recv(), if reads => hear(&connection, message),
        };
        if let ControlFlow::Break(code) = step {
            break code;
        }
    };
    // Nothing more is shown to this viewer, and no topic kept for it.
    let last_word = connection.last_word();
    drop(connection);
    if timeout(CLOSE_TIMEOUT, farewell(socket, code)).await.is_err() {
        debug!("a WebSocket did not answer its close and is cut");
    }
    drop(last_word);
}

/// Writes and sends; the close code if that is not possible.
async fn write(socket: &mut WebSocket, writes: Vec<Write>, ended: impl Future<Output = ()>) -> Result<(), Option<u16>> {
    if writes.is_empty() {
        return Ok(());
    }
    let sent = async {
        for write in writes {
            let message = match write {
                Write::Bytes(bytes) => Message::Text(Utf8Bytes::try_from(bytes).map_err(axum::Error::new)?),
                Write::Ping => Message::Ping(bytes::Bytes::new()),
            };
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    let cut_short = async {
        ended.await;
        // A frame partly written may still be finished.
        tokio::time::sleep(CLOSE_TIMEOUT).await;
    };
    tokio::select! {
        sent = timeout(STALL_TIMEOUT, sent) => match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                debug!("a WebSocket was lost while writing: {error}");
                Err(None)
            }
            Err(_) => Err(Some(close::STALLED)),
        },
        () = cut_short => Err(None),
    }
}

/// What the client says; breaks with a close code when the conversation is over.
fn hear(connection: &Connection, message: Option<Result<Message, axum::Error>>) -> ControlFlow<Option<u16>> {
    match message {
        Some(Ok(Message::Text(text))) => connection.heard(Some(text.as_str())),
        Some(Ok(Message::Binary(_))) => connection.heard_binary(),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => connection.heard(None),
        Some(Ok(Message::Close(_))) | None => return ControlFlow::Break(None),
        Some(Err(error)) => {
            let cause = error.into_inner();
            let code = match cause.downcast_ref::<tungstenite::Error>() {
                Some(tungstenite::Error::Capacity(_)) => Some(TOO_LARGE),
                Some(tungstenite::Error::Utf8(_)) => Some(1007),
                Some(tungstenite::Error::Protocol(_)) => Some(1002),
                _ => None,
            };
            debug!("a WebSocket was lost while reading: {cause}");
            return ControlFlow::Break(code);
        }
    }
    ControlFlow::Continue(())
}

/// Closes politely: says why, and waits for the other side to have read it.
async fn farewell(mut socket: WebSocket, code: Option<u16>) {
    let said = match code {
        Some(code) => {
            let reason = Utf8Bytes::from_static(reason(code));
            socket.send(Message::Close(Some(CloseFrame { code, reason }))).await
        }
        // The answer to the close of the client.
        None => socket.flush().await,
    };
    if let Err(error) = said {
        debug!("a WebSocket ended without its close: {error}");
        return;
    }
    // A connection dropped with unread bytes is reset, and takes the close with it.
    while let Some(Ok(_)) = socket.next().await {}
}

const fn reason(code: u16) -> &'static str {
    match code {
        close::CREDENTIAL => "the credential has ended",
        close::GONE => "there is nothing here",
        close::STALLED => "nothing was read for too long",
        close::RESUME => "come back and resume",
        TOO_LARGE => "commands have at most 4096 bytes",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_code_has_the_reason_that_is_documented() {
        let held = include_str!("../../../../tests/it/golden/close.txt");
        let codes = [TOO_LARGE, close::CREDENTIAL, close::GONE, close::STALLED, close::RESUME];
        let said = codes.map(|code| format!("{code} {}", reason(code)));
        assert_eq!(said.as_slice(), held.lines().collect::<Vec<_>>());
    }
}
