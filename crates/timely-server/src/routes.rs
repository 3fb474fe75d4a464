//! Every address of the server, and what a request passes on its way there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state, map_request};
use axum::response::Response;
use axum::routing::{delete, get, post};
use futures_util::StreamExt as _;
use timely_core::fixture::MatchCommand;
use tower_http::catch_panic::CatchPanicLayer;

use crate::config::IMPORT_BYTES_MAX;
use crate::http::{
    announcements, events, fixtures, health, import, problem, results, standings, teams, tokens, venues,
};
use crate::store::Judgement;
use crate::{App, auth, live, metrics, page, site};

/// Most bytes of a refused body that are read to be thrown away.
const DISCARD_BYTES_MAX: usize = 2 * IMPORT_BYTES_MAX;
/// Longest time spent on that.
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// The whole server behind a socket.
pub fn router(app: &App) -> Router {
    let routes = table()
        .merge(live::routes())
        .merge(page::routes())
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::wrong_method)
        .with_state(app.clone());

    // A layer wraps what stands above it. `fallback_service` puts them before the routing, so that
    // they see addresses that are none, and may rewrite those that are.
    let mut layered = Router::new()
        .fallback_service(routes)
        .layer(map_request(without_trailing_slash))
        .layer(from_fn_with_state(app.clone(), auth::authenticate));
    // Outside of the rights: a page must be able to read why it was refused, and preflights carry no
    // credential.
    if let Some(cors) = app.site.cors() {
        layered = layered.layer(cors);
    }
    layered
        .layer(from_fn_with_state(app.site.clone(), site::known_host))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(from_fn(keep_private))
        .layer(from_fn(problem::complete))
        .layer(from_fn(hear_out))
        .layer(from_fn(never_sniffed))
}

/// Paths stand without their trailing slash: both forms arrive here the same.
fn table() -> Router<App> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route("/api/me", get(tokens::me))
        .route("/api/tokens", get(tokens::list).post(tokens::create))
        .route("/api/tokens/{token}", delete(tokens::revoke))
        .route("/api/events", get(events::list).post(events::create))
        .route("/api/events/import", post(import::import))
        .route("/api/events/{event}", get(events::show).patch(events::edit).delete(events::delete))
        .route("/api/events/{event}/cancel", post(events::cancel))
        .route("/api/events/{event}/leaderboard", get(standings::leaderboard))
        .route("/api/events/{event}/schedule", get(standings::schedule))
        .route("/api/events/{event}/results", get(results::list))
        .merge(teams())
        .merge(venues())
        .merge(fixtures())
        .merge(announcements())
}

fn teams() -> Router<App> {
    let team = || get(teams::show).patch(teams::edit).delete(teams::delete);
    Router::new()
        .route("/api/events/{event}/teams", get(teams::list).post(teams::create))
        .route("/api/events/{event}/teams/{team}", team())
        .route("/api/teams/{team}", team())
}

fn venues() -> Router<App> {
    Router::new()
        .route("/api/events/{event}/venues", get(venues::list).post(venues::create))
        .route("/api/events/{event}/venues/{venue}", get(venues::show).patch(venues::edit).delete(venues::delete))
}

fn fixtures() -> Router<App> {
    let fixture = || get(fixtures::show).patch(fixtures::edit).delete(fixtures::delete);
    Router::new()
        .route("/api/events/{event}/fixtures", get(fixtures::list).post(fixtures::create))
        .route("/api/events/{event}/fixtures/{fixture}", fixture())
        .route("/api/fixtures/{fixture}", fixture())
        .route("/api/fixtures/{fixture}/start", fixtures::command(MatchCommand::Start))
        .route("/api/fixtures/{fixture}/pause", fixtures::command(MatchCommand::Pause))
        .route("/api/fixtures/{fixture}/finish", fixtures::command(MatchCommand::Finish))
        .route("/api/fixtures/{fixture}/abandon", fixtures::command(MatchCommand::Abandon))
        .route("/api/fixtures/{fixture}/postpone", fixtures::command(MatchCommand::Postpone))
        .route("/api/fixtures/{fixture}/cancel", fixtures::command(MatchCommand::Cancel))
        .route("/api/fixtures/{fixture}/restore", fixtures::command(MatchCommand::Restore))
        .route("/api/fixtures/{fixture}/result", get(results::show).put(results::put).delete(results::annul))
        .route("/api/fixtures/{fixture}/result/verify", results::judge(Judgement::Verify))
        .route("/api/fixtures/{fixture}/result/finalise", results::judge(Judgement::Finalise))
        .route("/api/fixtures/{fixture}/result/reopen", results::judge(Judgement::Reopen))
}

fn announcements() -> Router<App> {
    let announcement = || get(announcements::show).patch(announcements::edit).delete(announcements::delete);
    Router::new()
        .route("/api/events/{event}/announcements", get(announcements::list).post(announcements::create))
        .route("/api/events/{event}/announcements/{announcement}", announcement())
        .route("/api/announcements/{announcement}", announcement())
        .route("/api/announcements/{announcement}/broadcast", post(announcements::broadcast))
        .route("/api/announcements/{announcement}/withdraw", post(announcements::withdraw))
}

/// Takes one trailing slash off the path, so that it works with and without.
async fn without_trailing_slash(mut request: Request) -> Request {
    if let Some(uri) = slash_taken(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn slash_taken(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let address = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(address).ok()?);
    Uri::from_parts(parts).ok()
}

/// Keeps answers to credentials out of every cache, and all others out of sight of the wrong
/// caller. What a handler has said itself stands.
async fn keep_private(request: Request, next: Next) -> Response {
    let private = auth::has_credential(request.headers());
    let mut response = next.run(request).await;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let headers: &mut HeaderMap = response.headers_mut();
        headers.entry(header::CACHE_CONTROL).or_insert(if private {
            HeaderValue::from_static("private, no-store")
        } else {
            HeaderValue::from_static("no-cache")
        });
        headers.append(header::VARY, HeaderValue::from_static("Authorization, Cookie"));
    }
    response
}

/// Reads on what a refused client is still sending. To close with unread bytes would reset the
/// connection, and the client would see that instead of why it was refused.
async fn hear_out(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Who asks first does not send before it is told to.
    if body.is_end_stream() || parts.headers.contains_key(header::EXPECT) {
        return next.run(Request::from_parts(parts, body)).await;
    }
    let chunks = Arc::new(Mutex::new(body.into_data_stream()));
    let handed_on = chunks.clone();
    let body =
        Body::from_stream(futures_util::stream::poll_fn(move |context| lock(&handed_on).poll_next_unpin(context)));
    let response = next.run(Request::from_parts(parts, body)).await;
    if response.status().is_client_error() && response.status() != StatusCode::REQUEST_TIMEOUT {
        let mut left_bytes = DISCARD_BYTES_MAX;
        let rest = async {
            while let Some(Ok(chunk)) = std::future::poll_fn(|context| lock(&chunks).poll_next_unpin(context)).await {
                left_bytes = left_bytes.saturating_sub(chunk.len());
                if left_bytes == 0 {
                    break;
                }
            }
        };
        // Whoever sends more than that, or slower, gets the reset.
        drop(tokio::time::timeout(DISCARD_TIME, rest).await);
    }
    response
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A body that panicked while it was polled is not polled again to any harm.
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Browsers take every answer for what it says it is.
async fn never_sniffed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_makes_no_difference() {
        for (address, taken) in [
            ("/api/events/", Some("/api/events")),
            ("/api/events/?limit=2", Some("/api/events?limit=2")),
            ("/api/events/1/teams/", Some("/api/events/1/teams")),
            ("http://localhost:8000/api/me/", Some("http://localhost:8000/api/me")),
            ("/api/events//", Some("/api/events/")),
            ("/", None),
            ("/api/events", None),
            ("/api/events?after=/", None),
        ] {
            let got = slash_taken(&address.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), taken, "{address}");
        }
    }
}
