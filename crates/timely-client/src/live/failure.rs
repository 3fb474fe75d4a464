//! Why there is no connection, and whether trying again, or another way, is of use.
//!
//! What matters is who spoke. A Timely server that refuses means it, over whichever transport; what a
//! proxy, a firewall or the sign-in page of a hotel says about a WebSocket is true of WebSockets there
//! and of nothing else.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use timely_core::live::close;
use timely_core::problem::Problem;

use crate::client::Client;
use crate::error::Error;

/// A connection that was not made.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server itself refuses, for good.
    Final(Error),
    /// The server itself asks for patience: the other transport leads to the same server.
    Busy(Passing),
    /// Nobody answered, or something that is not the server: the other transport may get through.
    Blocked(Passing),
}

/// A failure that is worth another try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passing {
    /// In words for people.
    pub(super) cause: String,
    /// The other side wants to be left alone for so long.
    pub(super) retry_after: Option<Duration>,
}

/// The end of a connection.
#[derive(Debug)]
pub(super) enum Cut {
    /// The other side said goodbye with this code.
    Closed(u16),
    Broken(String),
}

impl From<String> for Passing {
    fn from(cause: String) -> Self {
        Self { cause, retry_after: None }
    }
}

impl Failure {
    pub(super) fn blocked(cause: impl Into<String>) -> Self {
        Self::Blocked(cause.into().into())
    }

    /// What an HTTP answer means that is not a stream.
    pub(super) fn refusal(client: &Client, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let error = client.refused(status, body);
        let passing = Passing { cause: error.to_string(), retry_after: retry_after(headers) };
        if !is_problem(headers, body) {
            return Self::Blocked(passing);
        }
        match status.as_u16() {
            400 | 401 | 403 | 404 | 410 => Self::Final(error),
            429 | 500.. => Self::Busy(passing),
            // The server was not asked what we asked: something changed the request on its way.
            _ => Self::Blocked(passing),
        }
    }
}

impl From<Cut> for Failure {
    /// What an end means before anything was said.
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Closed(code @ 4000..=4099) => Self::Final(Error::Closed { code, reason: reason(code) }),
            Cut::Closed(code @ 4100..=4299) => Self::Busy(closed(code).into()),
            Cut::Closed(code) => Self::blocked(closed(code)),
            Cut::Broken(cause) => Self::blocked(cause),
        }
    }
}

/// Why the server does not want this viewer any more: codes 4000 to 4099.
pub(super) const fn reason(code: u16) -> &'static str {
    match code {
        close::CREDENTIAL => "the credential was revoked or has expired",
        close::GONE => "it is gone, or no longer visible with this credential",
        _ => "for good",
    }
}

pub(super) fn closed(code: u16) -> String {
    format!("the server closed the connection (code {code})")
}

/// Whether a Timely server said this, and not something in front of it.
fn is_problem(headers: &HeaderMap, body: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/problem+json"))
        && serde_json::from_slice::<Problem>(body).is_ok()
}

/// Only seconds are read. A date would need a clock that agrees with the server's; without it the
/// ordinary wait will do.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_refusal_counts_and_nobody_elses() {
        let client = Client::new("127.0.0.1:1", None).unwrap();
        let problem = br#"{"type":"/problems/forbidden","title":"t","status":403,"detail":"because"}"#;
        let (json, html) = ("application/problem+json", "text/html");
        for (why, status, kind, body, expected) in [
            ("not allowed", 403, json, &problem[..], "final"),
            ("not known", 404, json, problem, "final"),
            ("too often", 429, json, problem, "busy"),
            ("restarting", 503, json, problem, "busy"),
            ("the upgrade was taken out on the way", 426, json, problem, "blocked"),
            ("a firewall", 403, html, b"<html>", "blocked"),
            ("a firewall that copies", 403, html, problem, "blocked"),
            ("a proxy that names the type", 403, json, b"{}", "blocked"),
            ("a sign-in page", 200, html, b"<html>", "blocked"),
            ("a sign-in page elsewhere", 302, html, b"", "blocked"),
            ("a balancer without a server", 503, html, b"", "blocked"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            let status = StatusCode::from_u16(status).unwrap();
            let got = match Failure::refusal(&client, status, &headers, body) {
                Failure::Final(error) => {
                    assert_eq!(error.to_string(), "because");
                    "final"
                }
                Failure::Busy(_) => "busy",
                Failure::Blocked(_) => "blocked",
            };
            assert_eq!(got, expected, "{why}");
        }
    }

    #[test]
    fn patience_is_asked_for_in_seconds() {
        for (given, expected) in
            [("7", Some(7)), (" 7 ", Some(7)), ("-1", None), ("Sun, 19 Jul 2026 12:00:00 GMT", None)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(given));
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{given}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
