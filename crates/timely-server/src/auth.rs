//! Who is asking.
//!
//! One middleware reads the credential of every request, whatever the route: a bad one is 401
//! everywhere. Handlers take [`MaybeSignedIn`] or [`SignedIn`]; what the caller may do is judged by
//! the store. A credential stands in a header, never in an address, and never in a log.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use timely_core::access::{Actor, Bearer};

use crate::App;
use crate::clock::real_now;
use crate::error::Error;

/// The caller, signed in or anonymous.
#[derive(Clone, Debug)]
pub struct MaybeSignedIn(pub Actor);

/// The caller of what nobody does anonymously. First among a handler's arguments, so that 401 comes
/// before anything is said about an id.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Bearer);

impl<S: Send + Sync> FromRequestParts<S> for MaybeSignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let who = parts.extensions.get::<Self>().cloned();
        who.ok_or_else(|| Error::Internal("a route stands outside of `authenticate`".to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let MaybeSignedIn(actor) = MaybeSignedIn::from_request_parts(parts, state).await?;
        actor.map(Self).ok_or(Error::Unauthenticated)
    }
}

/// Finds out who is asking, once for every request.
pub async fn authenticate(State(app): State<App>, mut request: Request, next: Next) -> Result<Response, Error> {
    if names_a_credential(request.uri()) {
        return Err(Error::CredentialInQuery);
    }
    let actor = match credential(request.headers())? {
        None => None,
        Some(token) => Some(app.store.bearer(token, real_now()).await?.ok_or(Error::BadCredential)?),
    };
    request.extensions_mut().insert(MaybeSignedIn(actor));
    Ok(next.run(request).await)
}

/// Whether the request carries anything that could make its answer private.
pub fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(header::COOKIE)
        || !matches!(subprotocol_token(headers), Ok(None))
}

/// The token of the request: of its `Authorization` header, else of a WebSocket handshake.
fn credential(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return subprotocol_token(headers) };
    if all.next().is_some() {
        return Err(Error::BadCredential);
    }
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Error::BadCredential)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("Bearer") && is_token(token) { Ok(Some(token)) } else { Err(Error::BadCredential) }
}

/// Browsers cannot set headers on a WebSocket: they offer `timely.token.<t>` beside `timely.v2`.
fn subprotocol_token(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut found = None;
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        let Ok(offered) = value.to_str() else { return Err(Error::BadCredential) };
        for protocol in offered.split(',') {
            let Some(token) = protocol.trim().strip_prefix("timely.token.") else { continue };
            if found.is_some() || !is_token(token) {
                return Err(Error::BadCredential);
            }
            found = Some(token);
        }
    }
    Ok(found)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether the address has a token in its query, where proxies and browsers would keep it.
fn names_a_credential(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| {
        query.split('&').filter_map(|pair| pair.split('=').next()).any(|name| matches!(name, "token" | "access_token"))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap())).collect()
    }

    #[test]
    fn a_token_comes_in_a_header_or_as_a_subprotocol() {
        let authorization = |value| vec![(header::AUTHORIZATION, value)];
        let protocols = |value| vec![(header::SEC_WEBSOCKET_PROTOCOL, value)];
        for (why, given, token) in [
            ("nothing", vec![], None),
            ("bearer", authorization("Bearer tml_1"), Some("tml_1")),
            ("the scheme takes any case", authorization("bearer tml_1"), Some("tml_1")),
            ("beside the protocol", protocols("timely.v2, timely.token.tml_1"), Some("tml_1")),
            ("another protocol alone", protocols("timely.v2"), None),
            (
                "the header wins",
                vec![(header::AUTHORIZATION, "Bearer tml_1"), (header::SEC_WEBSOCKET_PROTOCOL, "timely.token.tml_2")],
                Some("tml_1"),
            ),
        ] {
            let headers = headers(&given);
            assert_eq!(credential(&headers).unwrap(), token, "{why}");
            assert_eq!(has_credential(&headers), token.is_some(), "{why}");
        }
    }

    #[test]
    fn what_is_no_credential_is_refused_and_never_taken_for_none() {
        let twice = {
            let mut headers = HeaderMap::new();
            for token in ["Bearer a", "Bearer b"] {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(token));
            }
            headers
        };
        for (why, headers) in [
            ("another scheme", headers(&[(header::AUTHORIZATION, "Basic dGltZWx5")])),
            ("no token", headers(&[(header::AUTHORIZATION, "Bearer ")])),
            ("no scheme", headers(&[(header::AUTHORIZATION, "tml_1")])),
            ("empty", headers(&[(header::AUTHORIZATION, "")])),
            ("two words", headers(&[(header::AUTHORIZATION, "Bearer a b")])),
            ("not ASCII", headers(&[(header::AUTHORIZATION, "Bearer t\u{e9}")])),
            ("two headers", twice),
            ("an empty subprotocol token", headers(&[(header::SEC_WEBSOCKET_PROTOCOL, "timely.token.")])),
            ("two of them", headers(&[(header::SEC_WEBSOCKET_PROTOCOL, "timely.token.a,timely.token.b")])),
        ] {
            assert!(matches!(credential(&headers), Err(Error::BadCredential)), "{why}");
            assert!(has_credential(&headers), "{why}: the refusal is private too");
        }
    }

    #[test]
    fn tokens_in_addresses_are_noticed() {
        for (address, is_one) in [
            ("/api/me?token=x", true),
            ("/ws/events/1/stream?v=2&token=x", true),
            ("/api/me?access_token=x", true),
            ("/api/me?token", true),
            ("/api/tokens?limit=2", false),
            ("/api/tokens/token", false),
            ("/api/me", false),
        ] {
            assert_eq!(names_a_credential(&address.parse().unwrap()), is_one, "{address}");
        }
    }
}
