//! The only place where a refusal or a failure becomes a status code and a body.
//!
//! Every failure is `application/problem+json`: clients branch on `type`, people read `detail`. The
//! cause of a 5xx may name tables or files: it goes to the log, never to the client.

use std::any::Any;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use timely_core::problem::{FieldError, Problem, ProblemCode};
use tracing::error;

use crate::error::Error;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// After how many seconds an unavailable server is worth another try.
const RETRY_AFTER_S: u64 = 1;
/// Longest text of a foreign refusal that is passed on, in bytes.
const FOREIGN_TEXT_BYTES_MAX: usize = 1024;

/// What really happened, on its way to the log.
#[derive(Clone)]
struct Cause(String);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code, title) = classify(&self);
        let cause = status.is_server_error().then(|| Cause(self.to_string()));
        let extra_header: Option<(HeaderName, HeaderValue)> = match &self {
            Self::Unauthenticated => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::BadCredential | Self::CredentialInQuery => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\"")))
            }
            Self::RateLimited { retry_after_s } => Some((header::RETRY_AFTER, (*retry_after_s).into())),
            Self::Unavailable(_) | Self::Pool(_) => Some((header::RETRY_AFTER, RETRY_AFTER_S.into())),
            _ => None,
        };
        let detail = match &self {
            Self::Sqlite(_) | Self::Internal(_) => {
                "something failed here, not in your request; the server's log says what".to_owned()
            }
            Self::Pool(_) => "the server is too busy to read its data; nothing was written, try again".to_owned(),
            refusal => refusal.to_string(),
        };
        let (errors, current, yours) = match self {
            Self::Invalid(fields) => {
                (fields.into_iter().map(|(pointer, detail)| FieldError { pointer, detail }).collect(), None, None)
            }
            Self::Version { current, yours, .. } => (Vec::new(), some(current), some(yours)),
            Self::VersionRequired { current, .. } => (Vec::new(), some(current), None),
            Self::CursorGone { current, .. } => (Vec::new(), Some(Value::String(current.to_string())), None),
            _ => (Vec::new(), None, None),
        };
        let kind = format!("/problems/{code}");
        let mut response = respond(&Problem {
            kind,
            title: title.to_owned(),
            status: status.as_u16(),
            detail,
            errors,
            current,
            yours,
        });
        if let Some((name, value)) = extra_header {
            response.headers_mut().insert(name, value);
        }
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

fn classify(error: &Error) -> (StatusCode, ProblemCode, &'static str) {
    use ProblemCode as C;
    use StatusCode as S;
    match error {
        Error::NotFound | Error::NoRoute => (S::NOT_FOUND, C::NotFound, "Not found"),
        Error::Unauthenticated | Error::BadCredential | Error::CredentialInQuery => {
            (S::UNAUTHORIZED, C::Unauthenticated, "Not signed in")
        }
        Error::Forbidden(_) => (S::FORBIDDEN, C::Forbidden, "Not allowed"),
        Error::Malformed(_) => (S::BAD_REQUEST, C::Invalid, "Not understood"),
        Error::Invalid(_) => (S::UNPROCESSABLE_ENTITY, C::Invalid, "Not valid"),
        Error::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, C::UnsupportedMediaType, "Not JSON"),
        Error::TooLarge { .. } => (S::PAYLOAD_TOO_LARGE, C::TooLarge, "Too large"),
        Error::Timeout { .. } => (S::REQUEST_TIMEOUT, C::Unavailable, "Too slow"),
        Error::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, C::MethodNotAllowed, "Method not allowed"),
        Error::RateLimited { .. } => (S::TOO_MANY_REQUESTS, C::RateLimited, "Too many requests"),
        Error::Version { .. } => (S::CONFLICT, C::Version, "Changed meanwhile"),
        Error::VersionRequired { .. } => (S::PRECONDITION_REQUIRED, C::VersionRequired, "Version required"),
        Error::CursorGone { .. } => (S::GONE, C::Invalid, "Cursor gone"),
        Error::KeyReused => (S::CONFLICT, C::KeyReused, "Key used before"),
        Error::Rule(_) => (S::CONFLICT, C::Rule, "Against the rules"),
        Error::Unavailable(_) | Error::Pool(_) => (S::SERVICE_UNAVAILABLE, C::Unavailable, "Unavailable"),
        Error::OutcomeUnknown => (S::INTERNAL_SERVER_ERROR, C::Internal, "Outcome unknown"),
        Error::Sqlite(_) | Error::Internal(_) => (S::INTERNAL_SERVER_ERROR, C::Internal, "Internal error"),
    }
}

fn some(value: Value) -> Option<Value> {
    (!value.is_null()).then_some(value)
}

fn respond(problem: &Problem) -> Response {
    // Texts, numbers and JSON values always serialise; were it otherwise, the status still says it.
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response()
}

/// The answer to a handler that panicked; the panic itself is in the log already.
pub fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Error::Internal("a handler panicked".to_owned()).into_response()
}

/// No route.
pub async fn no_route() -> Error {
    Error::NoRoute
}

/// A route, but not with this method; axum adds `Allow`.
pub async fn wrong_method() -> Error {
    Error::MethodNotAllowed
}

/// Sees to it that every failure is a problem, whoever answered, and logs the cause of each 5xx.
pub async fn complete(request: Request, next: Next) -> Response {
    // Without the query: it says nothing about the failure and may hold what a log must not.
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if let Some(Cause(cause)) = response.extensions().get::<Cause>() {
        error!(http.method = %method, http.path = path, "{method} {path} failed: {cause}");
    }
    // Pages refuse in words for people; nothing else of ours answers in HTML.
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind == Some(&PROBLEM_JSON) || kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html")) {
        return response;
    }
    adopted(response).await
}

/// A refusal by axum itself, such as a handshake without `Upgrade`, in our form.
async fn adopted(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let status = parts.status;
    let code = match status {
        StatusCode::UNAUTHORIZED => ProblemCode::Unauthenticated,
        StatusCode::FORBIDDEN => ProblemCode::Forbidden,
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::UnsupportedMediaType,
        StatusCode::TOO_MANY_REQUESTS => ProblemCode::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE => ProblemCode::Unavailable,
        status if status.is_server_error() => ProblemCode::Internal,
        _ => ProblemCode::Invalid,
    };
    let title = status.canonical_reason().unwrap_or("Refused");
    let text = if status.is_client_error() {
        // A longer or broken text is no loss: the title stands in for it.
        axum::body::to_bytes(body, FOREIGN_TEXT_BYTES_MAX).await.unwrap_or_default()
    } else {
        bytes::Bytes::new()
    };
    let detail = std::str::from_utf8(&text).ok().filter(|text| !text.is_empty()).unwrap_or(title).to_owned();
    let problem = Problem {
        kind: format!("/problems/{code}"),
        title: title.to_owned(),
        status: status.as_u16(),
        detail,
        errors: Vec::new(),
        current: None,
        yours: None,
    };
    let (new, body): (_, Body) = respond(&problem).into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(new.headers);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn problem(response: Response) -> (Response, Problem) {
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        assert_eq!(parts.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem: Problem = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(problem.status, parts.status.as_u16());
        (Response::from_parts(parts, Body::empty()), problem)
    }

    #[tokio::test]
    async fn each_error_has_its_status_and_code() {
        let version = || (json!({"version": 4}), json!({"home_score": 2}));
        let (current, yours) = version();
        for (error, status, code) in [
            (Error::NotFound, 404, "not_found"),
            (Error::NoRoute, 404, "not_found"),
            (Error::Unauthenticated, 401, "unauthenticated"),
            (Error::BadCredential, 401, "unauthenticated"),
            (Error::CredentialInQuery, 401, "unauthenticated"),
            (Error::Forbidden("no".into()), 403, "forbidden"),
            (Error::Malformed("not JSON".into()), 400, "invalid"),
            (Error::invalid("/name", "is missing"), 422, "invalid"),
            (Error::UnsupportedMediaType, 415, "unsupported_media_type"),
            (Error::TooLarge { limit_bytes: 1 }, 413, "too_large"),
            (Error::Timeout { limit_s: 30 }, 408, "unavailable"),
            (Error::MethodNotAllowed, 405, "method_not_allowed"),
            (Error::RateLimited { retry_after_s: 7 }, 429, "rate_limited"),
            (Error::Version { version: 4, current: current.clone(), yours }, 409, "version"),
            (Error::VersionRequired { version: 4, current }, 428, "version_required"),
            (Error::KeyReused, 409, "key_reused"),
            (Error::Rule("no".into()), 409, "rule"),
            (Error::Unavailable("the disk is full".into()), 503, "unavailable"),
            (Error::Internal("oops".into()), 500, "internal"),
            (Error::Sqlite(rusqlite::Error::InvalidQuery), 500, "internal"),
            (Error::OutcomeUnknown, 500, "internal"),
        ] {
            let words = error.to_string();
            let (response, problem) = problem(error.into_response()).await;
            assert_eq!((problem.status, problem.kind), (status, format!("/problems/{code}")), "{words}");
            assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), status == 401, "{words}");
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), matches!(status, 429 | 503), "{words}");
        }
    }

    #[tokio::test]
    async fn the_cause_of_a_failure_stays_here_and_a_refusal_says_what_to_do() {
        let secret = "no such table: fixture in /home/kim/timely.db";
        let (response, failure) = problem(Error::Internal(secret.into()).into_response()).await;
        assert!(!failure.detail.contains("table"), "{}", failure.detail);
        assert_eq!(response.extensions().get::<Cause>().unwrap().0, secret);

        let error = Error::invalid("/home_score", "1000 is not a score; a score is 0 to 999");
        let (response, refusal) = problem(error.into_response()).await;
        assert_eq!(refusal.detail, "home_score: 1000 is not a score; a score is 0 to 999");
        assert_eq!(refusal.errors[0].pointer, "/home_score");
        assert!(response.extensions().get::<Cause>().is_none());
    }

    #[tokio::test]
    async fn a_lost_race_shows_both_values() {
        let error = Error::Version { version: 4, current: json!({"version": 4}), yours: json!({"home_score": 2}) };
        let (_, problem) = problem(error.into_response()).await;
        assert_eq!((problem.current, problem.yours), (Some(json!({"version": 4})), Some(json!({"home_score": 2}))));
    }

    #[tokio::test]
    async fn refusals_by_others_take_our_form_and_keep_their_headers() {
        let foreign = (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], "Request couldn't be upgraded");
        let (response, adopted) = problem(adopted(foreign.into_response()).await).await;
        assert_eq!((adopted.status, adopted.kind.as_str()), (426, "/problems/invalid"));
        assert_eq!(adopted.detail, "Request couldn't be upgraded");
        assert_eq!(response.headers()[header::UPGRADE], "websocket");

        let (_, panicked) = problem(panicked(Box::new("index out of bounds"))).await;
        assert_eq!(panicked.status, 500);
        assert!(!panicked.detail.contains("index"));
    }
}
