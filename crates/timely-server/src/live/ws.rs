//! WebSockets: `/ws/events/{event}/stream/` and `/ws/teams/{team}/`.
//!
//! Carries the bytes of a session and nothing else. Who may look is settled before the upgrade.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{self, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::response::Response;
use timely_core::topic::Stream;
use tungstenite::handshake::server::create_response_with_body;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::connections::{Leaves, MayLeave};
use crate::error::Error;
use crate::live::driver::Opened;
use crate::live::hub::{Base, Join, Viewer};
use crate::live::session::{About, Speaks, Wire};
use crate::live::{Query, Wanted, viewer_of_event, viewer_of_team};

/// The subprotocol of clients that know cursors.
const V2: &str = "timely.v2";

type Asked = Result<extract::Query<Query>, QueryRejection>;

/// `GET /ws/events/{event}/stream/`
pub(super) async fn event(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    handshake: Handshake,
) -> Result<Response, Error> {
    let viewer = viewer_of_event(&app, actor, &event).await?;
    accept(&app, viewer, query, &handshake)
}

/// `GET /ws/teams/{team}/`: all streams of the team at once.
pub(super) async fn team(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(team): Path<String>,
    query: Asked,
    handshake: Handshake,
) -> Result<Response, Error> {
    let viewer = viewer_of_team(&app, actor, &team).await?;
    accept(&app, viewer, query, &handshake)
}

fn accept(app: &App, viewer: (Viewer, About), query: Asked, handshake: &Handshake) -> Result<Response, Error> {
    let Wanted { topics, since, speaks } = super::query(query)?.read()?;
    let mut response = handshake.answer()?;
    if !super::has_room(app, &viewer.0) {
        return Err(Error::Unavailable("as many are watching as this server can take; try again later".to_owned()));
    }
    let is_v2 = speaks == Speaks::V2 || since.is_some() || handshake.offers(V2);
    if handshake.offers(V2) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(V2));
    }
    let speaks = if is_v2 { Speaks::V2 } else { Speaks::V1 };
    let (viewer, about) = viewer;
    let join = match (topics, viewer.team) {
        (Some(streams), _) => Join { streams, base: Base::Show, since },
        (None, Some(_)) => Join { streams: Stream::ALL.to_vec(), base: Base::Show, since },
        // A cursor covers the topics named with it: here none.
        (None, None) => Join { streams: Vec::new(), base: Base::Follow, since: None },
    };
    let offers = Stream::ALL.to_vec();
    let opened = Opened { wire: Wire::WebSocket, speaks, viewer, about, offers, join };
    response.extensions_mut().insert(Leaves(opened));
    Ok(response)
}

/// The request of a handshake, as far as the answer needs it.
pub(super) struct Handshake {
    request: Request<()>,
    may_leave: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Handshake {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        Ok(Self { request, may_leave: parts.extensions.get::<MayLeave>().is_some() })
    }
}

impl Handshake {
    /// 101, or why this is no handshake.
    fn answer(&self) -> Result<Response, Error> {
        let refused =
            |why: &dyn std::fmt::Display| Error::Malformed(format!("open this address as a WebSocket: {why}"));
        if !self.may_leave {
            return Err(refused(&"its handshake is a GET"));
        }
        let headers = self.request.headers();
        if headers.contains_key(header::TRANSFER_ENCODING)
            || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
        {
            // It would be read as the first frames.
            return Err(refused(&"its handshake has no body"));
        }
        create_response_with_body(&self.request, Body::empty).map_err(|error| refused(&error))
    }

    fn offers(&self, protocol: &str) -> bool {
        let offered = self.request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
        offered
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|name| name.trim() == protocol)
    }
}
