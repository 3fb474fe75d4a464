//! Server-sent events: the same streams for everything that only speaks HTTP.
//!
//! Carries the bytes of a session and nothing else. A cut connection is the session's cursor's
//! matter: the browser sends back the last `id:` it saw.

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{self, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use timely_core::cursor::Cursor;
use timely_core::topic::Stream;
use tracing::debug;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::connections::{Leaves, MayLeave};
use crate::error::Error;
use crate::live::driver::Opened;
use crate::live::hub::{Base, Boards, Join, Viewer};
use crate::live::session::{About, Speaks, Wire};
use crate::live::{Query, Wanted, has_room, viewer_of_event, viewer_of_team};

const LAST_EVENT_ID: &str = "last-event-id";

type Asked = Result<extract::Query<Query>, QueryRejection>;

/// What an address joins.
struct Address {
    wire: Wire,
    base: Base,
    streams: &'static [Stream],
}

/// `GET /api/events/{event}/stream/`: everything of the event.
pub(super) async fn event(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    may_leave: Option<Extension<MayLeave>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let viewer = viewer_of_event(&app, actor, &event).await?;
    open(
        &app,
        viewer,
        query,
        (may_leave, &headers),
        &Address { wire: Wire::Sse, base: Base::Show, streams: Stream::ALL },
    )
}

/// `GET /api/events/{event}/stream/results/`: the stream of the guide's sample, a board with
/// everything.
pub(super) async fn results(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    may_leave: Option<Extension<MayLeave>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (mut viewer, about) = viewer_of_event(&app, actor, &event).await?;
    viewer.boards = Boards::Beside;
    let address = Address { wire: Wire::SseResults, base: Base::Leave, streams: &[Stream::Results] };
    open(&app, (viewer, about), query, (may_leave, &headers), &address)
}

/// `GET /api/events/{event}/stream/schedule/`
pub(super) async fn schedule(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    may_leave: Option<Extension<MayLeave>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let viewer = viewer_of_event(&app, actor, &event).await?;
    let address = Address { wire: Wire::Sse, base: Base::Leave, streams: &[Stream::Schedule] };
    open(&app, viewer, query, (may_leave, &headers), &address)
}

/// `GET /api/events/{event}/stream/announcements/`
pub(super) async fn announcements(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(event): Path<String>,
    query: Asked,
    may_leave: Option<Extension<MayLeave>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let viewer = viewer_of_event(&app, actor, &event).await?;
    let address = Address { wire: Wire::Sse, base: Base::Leave, streams: &[Stream::Announcements] };
    open(&app, viewer, query, (may_leave, &headers), &address)
}

/// `GET /api/teams/{team}/stream/`: everything of the team.
pub(super) async fn team(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    Path(team): Path<String>,
    query: Asked,
    may_leave: Option<Extension<MayLeave>>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let viewer = viewer_of_team(&app, actor, &team).await?;
    open(
        &app,
        viewer,
        query,
        (may_leave, &headers),
        &Address { wire: Wire::Sse, base: Base::Show, streams: Stream::ALL },
    )
}

fn open(
    app: &App,
    viewer: (Viewer, About),
    query: Asked,
    (may_leave, headers): (Option<Extension<MayLeave>>, &HeaderMap),
    address: &Address,
) -> Result<Response, Error> {
    let Wanted { topics, since, speaks } = super::query(query)?.read()?;
    let streams: Vec<Stream> = match topics {
        None => address.streams.to_vec(),
        Some(wanted) => wanted.into_iter().filter(|stream| address.streams.contains(stream)).collect(),
    };
    if streams.is_empty() {
        return Err(Error::Malformed("topics: this address has none of these; leave topics out".to_owned()));
    }
    // The page of the guide knows data frames only; it speaks the newer protocol when it says so.
    let is_v2 = speaks == Speaks::V2 || (since.is_some() && address.wire == Wire::Sse);
    let speaks = if is_v2 { Speaks::V2 } else { Speaks::V1 };
    // Browsers keep the address they were given, an old cursor in it included: what they send
    // beside it is newer.
    let since = last_event_id(headers).or(since);
    let join = Join { streams: streams.clone(), base: address.base, since };
    let mut response = Response::new(Body::empty());
    if !has_room(app, &viewer.0) {
        // An `EventSource` gives up on any status but 200; so it is told when to come back, and let go.
        *response.body_mut() = Body::from(format!("retry: {}\n\n", app.gate.retry_ms()));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    } else if may_leave.is_some() {
        let (viewer, about) = viewer;
        let opened = Opened { wire: address.wire, speaks, viewer, about, offers: streams, join };
        response.extensions_mut().insert(Leaves(opened));
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would keep events back until it has a page of them.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The last non-empty `Last-Event-ID`; one that is no cursor counts as none, because a browser that
/// is refused never comes back.
fn last_event_id(headers: &HeaderMap) -> Option<Cursor> {
    let text =
        headers.get_all(LAST_EVENT_ID).iter().filter_map(|value| value.to_str().ok()).rfind(|id| !id.is_empty())?;
    text.parse().inspect_err(|error| debug!("{LAST_EVENT_ID}: {error}; starting over")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cursor_a_browser_sends_counts() {
        for (why, ids, expected) in [
            ("none", &[][..], None),
            ("one", &["k3.7"], Some("k3.7")),
            ("the last", &["k3.7", "k3.9"], Some("k3.9")),
            ("the last that says something", &["k3.7", ""], Some("k3.7")),
            ("not ours", &["42"], None),
        ] {
            let mut headers = HeaderMap::new();
            for id in ids {
                headers.append(LAST_EVENT_ID, HeaderValue::from_static(id));
            }
            assert_eq!(last_event_id(&headers), expected.map(|cursor| cursor.parse().unwrap()), "{why}");
        }
    }
}
