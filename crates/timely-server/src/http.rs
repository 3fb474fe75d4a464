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

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use timely_core::announcement::Announcement;
use timely_core::body::{Imported, TokenInfo};
use timely_core::event::Event;
use timely_core::fixture::ScheduleItem;
use timely_core::result::FixtureResult;
use timely_core::team::Team;
use timely_core::venue::Venue;

use crate::store::{Done, Effect};

const TIMELY_POS: HeaderName = HeaderName::from_static("timely-pos");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

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
