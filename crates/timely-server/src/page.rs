//! The pages: `/` and `/e/{event}`, for whoever has a browser and nothing else.
//!
//! A page is complete without JavaScript and true when it is sent; its script then keeps it true
//! over the streams, as a client of the protocol like any other. What is shown is read through the
//! same store functions that answer the API, with the rights of the caller. Nothing comes from
//! another site: assets are in the binary, and the browser is told to load nothing else.

mod assets;
mod scoreboard;
#[cfg(test)]
mod tests;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use timely_core::event::{Event, Visibility};
use timely_core::id::EventId;
use timely_core::running::ServerKind;
use timely_core::text::display_safe;
use tower_http::compression::CompressionLayer;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::error::Error;
use crate::extract::Ids;
use crate::page::scoreboard::Scoreboard;
use crate::store::Paging;

/// Most events that are listed.
const EVENTS_MAX: usize = 500;
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// What a page may load and do: its own files, its own server, nothing inline, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The addresses of the pages and of what they load. Paths arrive without their trailing slash.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/e/{event}", get(event))
        .route("/assets/{version}/{name}", get(assets::serve))
        // A hall full of phones loads this over one access point. Streams are small and must not wait.
        .layer(CompressionLayer::new())
}

/// What every page has around its contents.
struct Frame {
    assets: &'static str,
    is_demo: bool,
}

impl Frame {
    fn of(app: &App) -> Self {
        Self { assets: assets::folder(), is_demo: app.site.kind == ServerKind::Demo }
    }
}

#[derive(Template)]
#[template(path = "events.html", whitespace = "minimize")]
struct EventsPage {
    frame: Frame,
    events: Vec<Listed>,
}

/// An event in the list of them.
struct Listed {
    id: EventId,
    name: String,
    dates: String,
    /// `PRIVATE` or `DRAFT` if not everybody sees it, else empty.
    word: &'static str,
}

impl Listed {
    fn of(event: &Event) -> Self {
        let word = match event.visibility {
            Visibility::Public => "",
            Visibility::Private => "PRIVATE",
            Visibility::Draft => "DRAFT",
        };
        let (first, last) = (event.starts_on, event.ends_on);
        let day = |date: jiff::civil::Date| date.strftime("%-d %B %Y").to_string();
        let dates = if first == last { day(first) } else { format!("{} to {}", day(first), day(last)) };
        Self { id: event.id, name: display_safe(&event.name).into_owned(), dates, word }
    }
}

#[derive(Template)]
#[template(path = "scoreboard.html", whitespace = "minimize")]
struct ScoreboardPage {
    frame: Frame,
    board: Scoreboard,
}

#[derive(Template)]
#[template(path = "refused.html", whitespace = "minimize")]
struct RefusedPage {
    frame: Frame,
    title: &'static str,
    detail: &'static str,
}

/// `GET /`: the events the caller may see, or straight to the only one.
async fn home(State(app): State<App>, MaybeSignedIn(actor): MaybeSignedIn) -> Response {
    match app.store.events(actor, Paging { after: 0, limit: EVENTS_MAX }).await {
        Err(error) => refused(&app, error),
        Ok(page) => match page.items.as_slice() {
            [event] => guarded(Redirect::to(&format!("/e/{}", event.id)).into_response()),
            events => shown(&EventsPage { frame: Frame::of(&app), events: events.iter().map(Listed::of).collect() }),
        },
    }
}

/// `GET /e/{event}`: the scoreboard.
async fn event(
    State(app): State<App>,
    MaybeSignedIn(actor): MaybeSignedIn,
    event: Result<Ids<EventId>, Error>,
) -> Response {
    let board = match event {
        Ok(Ids(event)) => scoreboard::read(&app, actor, event).await,
        Err(error) => Err(error),
    };
    match board {
        Ok(board) => shown(&ScoreboardPage { frame: Frame::of(&app), board }),
        Err(error) => refused(&app, error),
    }
}

fn shown(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => guarded(Html(html).into_response()),
        Err(error) => Error::Internal(format!("a page cannot be written: {error}")).into_response(),
    }
}

/// A refusal in words. Its status and headers are those of the API; what is hidden reads like what
/// never existed.
fn refused(app: &App, error: Error) -> Response {
    let mut response = error.into_response();
    let (title, detail) = match response.status() {
        StatusCode::NOT_FOUND => ("Nothing to see here", "There is no such event, or it is not open to the public."),
        status if status.is_server_error() => {
            ("Something failed here", "It was not your doing. Load this page again in a moment.")
        }
        _ => ("This cannot be shown", "The address of this page was not understood."),
    };
    let page = RefusedPage { frame: Frame::of(app), title, detail };
    // Were the words missing, the refusal would stand in the form of the API.
    let Ok(html) = page.render() else { return response };
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HTML);
    *response.body_mut() = html.into();
    guarded(response)
}

/// Adds what browsers must know to keep a page to itself.
fn guarded(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
