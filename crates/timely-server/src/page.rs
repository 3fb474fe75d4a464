//! The pages people open in a browser: `/` and `/e/{event}`.
//!
//! A page is complete without JavaScript; its script (`page/assets/`) then keeps it live. What is
//! shown is read by the same store functions and under the same rights as the API; how it is laid
//! out stands in `templates/`, which escape every word. Nothing comes from another host, and nothing
//! runs that is not a file of ours.

pub mod assets;
mod scoreboard;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use timely_core::event::Event;
use timely_core::id::EventId;
use timely_core::running::ServerKind;
use timely_core::text::display_safe;
use tracing::error;

use crate::App;
use crate::auth::MaybeSignedIn;
use crate::error::Error;
use crate::page::scoreboard::Scoreboard;
use crate::store::Paging;

/// What a page may load and run: its own files, and the streams and reads of its own server.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Items read at a time.
const PAGE_ITEMS: usize = 500;

/// An answer that is a page, also when it is a failure.
#[derive(Clone, Copy, Debug)]
pub struct IsPage;

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    demo: bool,
    events: Vec<Listed>,
}

struct Listed {
    id: EventId,
    name: String,
    when: String,
    status: String,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Failure {
    title: &'static str,
    detail: String,
}

/// `GET /`: the events; straight to the only one.
pub async fn index(State(app): State<App>, MaybeSignedIn(actor): MaybeSignedIn) -> Response {
    let events = match app.store.events(actor, Paging { after: 0, limit: PAGE_ITEMS }).await {
        Ok(events) => events.items,
        Err(error) => return failed(&error),
    };
    if let [only] = &events[..] {
        return Redirect::to(&format!("/e/{}", only.id)).into_response();
    }
    let demo = app.site.kind == ServerKind::Demo;
    shown(StatusCode::OK, &Index { demo, events: events.iter().map(listed).collect() })
}

/// `GET /e/{event}`: scores, tables, fixtures and announcements of an event.
pub async fn event(State(app): State<App>, MaybeSignedIn(actor): MaybeSignedIn, Path(event): Path<String>) -> Response {
    let Ok(id) = event.parse() else { return failed(&Error::NotFound) };
    match Scoreboard::read(&app, actor, EventId(id)).await {
        Ok(page) => shown(StatusCode::OK, &page),
        Err(error) => failed(&error),
    }
}

fn listed(event: &Event) -> Listed {
    let when = if event.starts_on == event.ends_on {
        event.starts_on.strftime("%-d %b %Y").to_string()
    } else {
        format!("{} to {}", event.starts_on.strftime("%-d %b %Y"), event.ends_on.strftime("%-d %b %Y"))
    };
    Listed { id: event.id, name: safe(&event.name), when, status: event.status.to_string() }
}

/// Words from outside, without what could reorder or steer a line. Markup is escaped by the templates.
fn safe(text: &str) -> String {
    display_safe(text).into_owned()
}

/// A failure as a page. What may not be known is answered like what does not exist.
fn failed(error: &Error) -> Response {
    let (status, title, detail) = match error {
        Error::NotFound => (
            StatusCode::NOT_FOUND,
            "Nothing here",
            "There is no event at this address, or it is not open to everybody.".to_owned(),
        ),
        Error::Unavailable(why) => (StatusCode::SERVICE_UNAVAILABLE, "Not now", why.clone()),
        // The cause may name tables or files: it goes to the log.
        error => {
            error!("a page failed: {error}");
            let detail = "This page could not be made. The reason is in the log of the server.".to_owned();
            (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", detail)
        }
    };
    shown(status, &Failure { title, detail })
}

fn shown(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let mut response = (status, Html(html)).into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            let opener = HeaderName::from_static("cross-origin-opener-policy");
            headers.insert(opener, HeaderValue::from_static("same-origin"));
            response.extensions_mut().insert(IsPage);
            response
        }
        Err(error) => Error::Internal(format!("a page cannot be written: {error}")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_in_every_page() {
        let evil = "<script>alert(1)</script>\"'&\u{202e}";
        let page = Index {
            demo: true,
            events: vec![Listed { id: EventId(1), name: safe(evil), when: String::new(), status: String::new() }],
        };
        let html = page.render().unwrap();
        assert!(!html.contains("<script>alert") && !html.contains('\u{202e}'), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)&#60;/script&#62;"), "{html}");
        let html = Failure { title: "t", detail: evil.to_owned() }.render().unwrap();
        assert!(!html.contains("<script>alert"), "{html}");
    }

    #[test]
    fn the_policy_lets_nothing_in_from_elsewhere() {
        let policy = POLICY.to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none';"));
        for hole in ["unsafe", "http:", "https:", "*", "data:"] {
            assert!(!policy.contains(hole), "{hole}");
        }
    }

    #[tokio::test]
    async fn what_is_hidden_and_what_never_was_are_the_same_page() {
        let page = failed(&Error::NotFound);
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        assert_eq!(page.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
        let internal = failed(&Error::Internal("/var/lib/secret.db".into()));
        let body = axum::body::to_bytes(internal.into_body(), usize::MAX).await.unwrap();
        assert!(!String::from_utf8(body.to_vec()).unwrap().contains("secret"));
    }
}
