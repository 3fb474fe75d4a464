//! The HTTP API: one file per resource, each handler a sentence (who, which, what; ask the store;
//! answer).
//!
//! Rights, rules and the change log are the store's; what is answered here is what it committed.

pub mod announcements;
pub mod events;
pub mod fixtures;
pub mod health;
pub mod import;
pub mod problem;
pub mod results;
pub mod standings;
pub mod teams;
pub mod tokens;
pub mod venues;

use std::fmt;

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use timely_core::access::Actor;
use timely_core::announcement::Announcement;
use timely_core::body::{Imported, TokenInfo};
use timely_core::cursor::Epoch;
use timely_core::event::Event;
use timely_core::fixture::ScheduleItem;
use timely_core::result::FixtureResult;
use timely_core::team::Team;
use timely_core::venue::Venue;

use crate::store::{Done, Effect};

const TIMELY_POS: HeaderName = HeaderName::from_static("timely-pos");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What an answer depends on besides the address: where the log is, and who asked for what of it.
///
/// Two answers with one tag are the same bytes. A tag may change while the answer does not: it names
/// the last change of all, because `pos` in the answers does.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(String);

impl Tag {
    /// Of what everybody who may read it reads alike.
    pub fn new(epoch: &Epoch, pos: u64) -> Self {
        Self(format!("{epoch}.{pos}"))
    }

    /// Of one of several answers at an address; `which` has letters and digits.
    pub fn which(self, which: Option<impl fmt::Display>) -> Self {
        match which {
            Some(which) => Self(format!("{}.{which}", self.0)),
            None => self,
        }
    }

    /// Of an answer that is made for the caller.
    pub fn made_for(self, actor: &Actor) -> Self {
        self.which(actor.as_ref().map(|bearer| format!("t{}", bearer.token)))
    }

    /// Whether a request says that the caller has this.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"') == self.0)
    }
}

/// 200 with something as it is, or 304 if the caller has it.
pub fn tagged<T: Serialize>(headers: &HeaderMap, tag: &Tag, value: &T) -> Response {
    let mut response =
        if tag.is_known(headers) { StatusCode::NOT_MODIFIED.into_response() } else { Json(value).into_response() };
    // Letters, digits and dots in quotes are always a header value.
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", tag.0)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// Something with an address of its own.
pub trait Resource: Serialize {
    /// Its path.
    fn location(&self) -> String;

    /// Its version, if writes to it must name one.
    fn version(&self) -> Option<i64> {
        None
    }
}

impl Resource for Event {
    fn location(&self) -> String {
        format!("/api/events/{}/", self.id)
    }
}

impl Resource for Team {
    fn location(&self) -> String {
        format!("/api/teams/{}/", self.id)
    }
}

impl Resource for Venue {
    fn location(&self) -> String {
        format!("/api/events/{}/venues/{}/", self.event_id, self.id)
    }
}

impl Resource for ScheduleItem {
    fn location(&self) -> String {
        format!("/api/fixtures/{}/", self.fixture_id)
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for FixtureResult {
    fn location(&self) -> String {
        format!("/api/fixtures/{}/result/", self.fixture_id)
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for Announcement {
    fn location(&self) -> String {
        format!("/api/announcements/{}/", self.id)
    }

    fn version(&self) -> Option<i64> {
        Some(self.version)
    }
}

impl Resource for TokenInfo {
    fn location(&self) -> String {
        format!("/api/tokens/{}/", self.id)
    }
}

impl Resource for Imported {
    fn location(&self) -> String {
        format!("/api/events/{}/", self.event_id)
    }
}

/// 200 with a thing as it is.
pub fn shown<T: Resource>(thing: &T) -> Response {
    let mut response = Json(thing).into_response();
    tag(&mut response, thing.version());
    response
}

/// 201 with what a POST created, and where it is.
pub fn created<T: Resource>(done: &Done<T>) -> Response {
    let mut response = (StatusCode::CREATED, Json(&done.value)).into_response();
    // A path of digits and letters is always a header value.
    if let Ok(location) = HeaderValue::try_from(done.value.location()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    committed(response, done, done.value.version())
}

/// 200 with what any other write left.
pub fn changed<T: Resource>(done: &Done<T>) -> Response {
    committed(Json(&done.value).into_response(), done, done.value.version())
}

/// 204: it is gone.
pub fn deleted<T>(done: &Done<T>) -> Response {
    committed(StatusCode::NO_CONTENT.into_response(), done, None)
}

/// Adds what a write says about its place in the change log.
fn committed<T>(mut response: Response, done: &Done<T>, version: Option<i64>) -> Response {
    let (pos, version) = match done.effect {
        Effect::Created | Effect::Changed | Effect::Unchanged => (done.pos, version),
        // The body is the thing as it is now, the headers are those of the first answer.
        Effect::Replayed { pos, version: first, .. } => {
            response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
            (pos, first.or(version))
        }
    };
    response.headers_mut().insert(TIMELY_POS, pos.into());
    tag(&mut response, version);
    response
}

fn tag(response: &mut Response, version: Option<i64>) {
    // Digits in quotes are always a header value.
    if let Some(tag) = version.and_then(|version| HeaderValue::try_from(format!("\"{version}\"")).ok()) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use timely_core::id::{EventId, VenueId};

    use super::*;

    fn venue() -> Venue {
        Venue { id: VenueId(3), event_id: EventId(1), name: "Harbour Park".into(), areas: Vec::new() }
    }

    #[test]
    fn a_tag_is_known_by_whoever_names_it_in_any_form_of_the_header() {
        let epoch = Epoch("k3".to_owned());
        let tag = Tag::new(&epoch, 17).which(Some("OFFICIAL"));
        for (values, known) in [
            (&[][..], false),
            (&["\"k3.17.OFFICIAL\""], true),
            (&["W/\"k3.17.OFFICIAL\""], true),
            (&["\"k3.16\", \"k3.17.OFFICIAL\""], true),
            (&["\"k3.16\"", "\"k3.17.OFFICIAL\""], true),
            (&["*"], true),
            (&["\"k3.17\""], false),
            (&["\"k3.17.OFFICIAL.t1\""], false),
            (&["\"k4.17.OFFICIAL\""], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            assert_eq!(tag.is_known(&headers), known, "{values:?}");
            let response = tagged(&headers, &tag, &venue());
            assert_eq!(response.status() == StatusCode::NOT_MODIFIED, known, "{values:?}");
            assert_eq!(response.headers()[header::ETAG], "\"k3.17.OFFICIAL\"");
        }
    }

    #[test]
    fn a_creation_says_where_and_since_when() {
        let response = created(&Done { value: venue(), pos: 17, effect: Effect::Created });
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers()[header::LOCATION], "/api/events/1/venues/3/");
        assert_eq!(response.headers()[TIMELY_POS], "17");
        assert!(!response.headers().contains_key(header::ETAG), "a venue has no version");
        assert!(!response.headers().contains_key(IDEMPOTENCY_REPLAYED));
    }

    #[test]
    fn a_repeated_request_is_answered_with_its_first_place_and_version() {
        let effect = Effect::Replayed { status: 201, pos: 9, version: Some(2) };
        let response = created(&Done { value: venue(), pos: 17, effect });
        assert_eq!(response.headers()[IDEMPOTENCY_REPLAYED], "true");
        assert_eq!(response.headers()[TIMELY_POS], "9");
        assert_eq!(response.headers()[header::ETAG], "\"2\"");
    }

    #[test]
    fn a_deletion_has_no_body_but_a_place() {
        let response = deleted(&Done { value: (), pos: 17, effect: Effect::Changed });
        assert_eq!((response.status(), &response.headers()[TIMELY_POS]), (StatusCode::NO_CONTENT, &17.into()));
    }
}
