//! What a request says, read in the order in which it may be refused.
//!
//! Who asks and for what is judged before a header or a byte of the body is looked at: a stranger
//! learns nothing from a 422. So a write arrives as [`Write`], becomes a [`PermittedWrite`] by the
//! store's verdict, and only then a [`Request`] with its parsed parts. What the values mean is left
//! to the store and the rules.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;
use timely_core::access::{Actor, Bearer};
use timely_core::id::EventId;

use crate::App;
use crate::clock::{Clock, real_now};
use crate::config::{BODY_BYTES_MAX, BODY_TIMEOUT};
use crate::error::Error;
use crate::store::{Caller, Expected, Paging, RequestKey, Thing, Wish};

/// Most items of one page.
const PAGE_ITEMS_MAX: usize = 500;
/// Items of a page when the caller names no number.
const PAGE_ITEMS: usize = 100;
/// Longest `Idempotency-Key`, in characters.
const KEY_CHARS_MAX: usize = 200;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Ids in the path. What is no number answers like an id that never existed.
#[derive(Debug)]
pub struct Ids<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Ids<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        // What axum has to say about the id would tell it from an unknown one.
        let Path(ids) = Path::from_request_parts(parts, state).await.map_err(|_| Error::NotFound)?;
        Ok(Self(ids))
    }
}

/// The query of a read. It is kept as an error until the caller's right to read is known.
#[derive(Debug)]
pub struct Query<T>(Result<T, Error>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let query = axum::extract::Query::try_from_uri(&parts.uri)
            .map(|axum::extract::Query(query)| query)
            .map_err(|rejection| Error::Malformed(query_words(&rejection.body_text())));
        Ok(Self(query))
    }
}

impl<T> Query<T> {
    /// The query of a read of something that everybody may ask for.
    pub fn known(self) -> Result<T, Error> {
        self.0
    }

    /// The query of a read of this event: a bad one is refused only to those who may read it.
    pub async fn of_event(self, app: &App, actor: &Actor, event: EventId) -> Result<T, Error> {
        if self.0.is_err() {
            app.store.authorise(actor.clone(), None, Thing::Event(event), Wish::Read).await?;
        }
        self.0
    }

    /// Goes on with what the query says, still without refusing it.
    pub fn and_then<U>(self, next: impl FnOnce(T) -> Result<U, Error>) -> Query<U> {
        Query(self.0.and_then(next))
    }
}

/// `?limit=&after=` of a list.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    limit: Option<usize>,
    after: Option<i64>,
}

impl PageQuery {
    /// The page asked for.
    pub fn paging(self) -> Result<Paging, Error> {
        paging(self.limit, self.after)
    }
}

/// The page that `limit` and `after` ask for.
pub fn paging(limit: Option<usize>, after: Option<i64>) -> Result<Paging, Error> {
    let limit = limit.unwrap_or(PAGE_ITEMS);
    if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
        return Err(Error::Malformed(format!("limit={limit} is not a page size; use 1 to {PAGE_ITEMS_MAX}")));
    }
    let after = after.unwrap_or(0);
    if after < 0 {
        return Err(Error::Malformed(format!(
            "after={after} is no place in a list; use the `next` of the page before"
        )));
    }
    Ok(Paging { after, limit })
}

/// A write of which nothing has been read yet but its address.
pub struct Write {
    method: Method,
    address: String,
    headers: HeaderMap,
    body: Body,
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Headers hold the credential.
        write!(f, "Write({} {})", self.method, self.address)
    }
}

impl<S: Send + Sync> FromRequest<S> for Write {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: axum::extract::Request, _: &S) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let address = parts.uri.path_and_query().map_or("/", |address| address.as_str()).to_owned();
        Ok(Self { method: parts.method, address, headers: parts.headers, body })
    }
}

impl Write {
    /// Asks the store whether `by` may do this to `thing`, which must be part of the event `within`
    /// if the path names one.
    pub async fn permitted(
        self,
        app: &App,
        by: Bearer,
        within: Option<EventId>,
        thing: Thing,
        wish: Wish,
    ) -> Result<PermittedWrite, Error> {
        app.store.authorise(Some(by.clone()), within, thing, wish).await?;
        Ok(PermittedWrite { write: self, by, clock: app.clock.clone() })
    }

    /// For the few writes whose right is decided by the store alone.
    pub fn unjudged(self, app: &App, by: Bearer) -> PermittedWrite {
        PermittedWrite { write: self, by, clock: app.clock.clone() }
    }
}

/// A write whose caller may do it; body and headers are still unread.
#[derive(Debug)]
pub struct PermittedWrite {
    write: Write,
    by: Bearer,
    clock: Arc<Clock>,
}

/// A write with all its parts.
pub struct Request<T> {
    pub caller: Caller,
    pub expected: Expected,
    pub body: T,
}

impl<T: fmt::Debug> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({:?})", self.body)
    }
}

impl PermittedWrite {
    /// Reads a JSON body of at most 64 KiB.
    pub async fn body<T: DeserializeOwned + Serialize>(self) -> Result<Request<T>, Error> {
        self.body_up_to(BODY_BYTES_MAX).await
    }

    /// Reads a JSON body of at most `limit_bytes`.
    pub async fn body_up_to<T: DeserializeOwned + Serialize>(self, limit_bytes: usize) -> Result<Request<T>, Error> {
        let Self { write: Write { method, address, headers, body }, by, clock } = self;
        require_json(&headers)?;
        let expected = expected(&headers)?;
        let key = idempotency_key(&headers)?;
        let bytes = read(&headers, body, limit_bytes, BODY_TIMEOUT).await?;
        let body: T = parse(&bytes)?;
        let key = match key {
            None => None,
            // The typed body written out again: spacing, order of fields and defaults left out or
            // spelled out do not make another request.
            Some(key) => Some(RequestKey {
                request: canonical(
                    &method,
                    &address,
                    &headers,
                    &serde_json::to_string(&body).map_err(|error| unwritable(&error))?,
                ),
                key,
            }),
        };
        Ok(Request { caller: Caller { actor: Some(by), key, at: clock.now(), real: real_now() }, expected, body })
    }

    /// For commands that need no body: none, or an empty object.
    pub async fn no_body(self) -> Result<Request<()>, Error> {
        let Self { write: Write { method, address, headers, body }, by, clock } = self;
        let expected = expected(&headers)?;
        let key = idempotency_key(&headers)?;
        let bytes = read(&headers, body, BODY_BYTES_MAX, BODY_TIMEOUT).await?;
        if !bytes.is_empty() {
            require_json(&headers)?;
            let Nothing {} = parse(&bytes)?;
        }
        let key = key.map(|key| RequestKey { request: canonical(&method, &address, &headers, ""), key });
        let caller = Caller { actor: Some(by), key, at: clock.now(), real: real_now() };
        Ok(Request { caller, expected, body: () })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn unwritable(error: &serde_json::Error) -> Error {
    Error::Internal(format!("a body that was read cannot be written again: {error}"))
}

/// What makes two requests under one key the same request.
fn canonical(method: &Method, address: &str, headers: &HeaderMap, body: &str) -> String {
    let if_match = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    format!("{method} {address}\n{if_match}\n{body}")
}

async fn read(headers: &HeaderMap, body: Body, limit_bytes: usize, within: Duration) -> Result<Bytes, Error> {
    // A body that says how large it is need not be received to be refused.
    let said = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if said.is_some_and(|bytes| bytes > limit_bytes) {
        return Err(Error::TooLarge { limit_bytes });
    }
    let whole = async {
        let mut whole = BytesMut::with_capacity(said.unwrap_or(0));
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| {
                Error::Malformed(format!("the body did not arrive whole ({error}); nothing was written, send it again"))
            })?;
            if whole.len() + chunk.len() > limit_bytes {
                return Err(Error::TooLarge { limit_bytes });
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    };
    let late = Error::Timeout { limit_s: within.as_secs() };
    tokio::time::timeout(within, whole).await.unwrap_or(Err(late))
}

fn require_json(headers: &HeaderMap) -> Result<(), Error> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind.eq_ignore_ascii_case("application/json")
        || (kind.len() > 17
            && kind.is_ascii()
            && kind[..12].eq_ignore_ascii_case("application/")
            && kind[kind.len() - 5..].eq_ignore_ascii_case("+json"));
    if is_json { Ok(()) } else { Err(Error::UnsupportedMediaType) }
}

/// `If-Match`: the version the writer saw.
fn expected(headers: &HeaderMap) -> Result<Expected, Error> {
    let mut all = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = all.next() else { return Ok(Expected::Unsaid) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    let malformed = |why: &str| {
        Error::Malformed(format!("{why}; send If-Match: \"3\" for the version you saw, or If-Match: * to insist"))
    };
    if all.next().is_some() || text.contains(',') {
        return Err(malformed("If-Match names more than one version"));
    }
    if text == "*" {
        return Ok(Expected::Any);
    }
    if text.starts_with("W/") {
        return Err(malformed("a weak tag cannot guard a write"));
    }
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .map(Expected::Version)
        .ok_or_else(|| malformed("If-Match is not a version in double quotes"))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let key = value.as_bytes();
    if all.next().is_some() || !(1..=KEY_CHARS_MAX).contains(&key.len()) || !key.iter().all(u8::is_ascii_graphic) {
        return Err(Error::Malformed(format!(
            "Idempotency-Key is one key of 1 to {KEY_CHARS_MAX} visible ASCII characters, for example a UUID"
        )));
    }
    Ok(value.to_str().ok().map(str::to_owned))
}

/// Reads a body: not JSON is [`Error::Malformed`], JSON of another shape [`Error::Invalid`].
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    // Syntax first, over the whole text, so that the answer does not depend on which field comes
    // before the broken bracket.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|error| malformed(&error))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().clone();
        let error = error.into_inner();
        if error.is_data() { invalid(&path, &error) } else { malformed(&error) }
    })
}

fn malformed(error: &serde_json::Error) -> Error {
    let (line, column) = (error.line(), error.column());
    let what = without_place(error);
    if line == 1 && column == 0 {
        return Error::Malformed("the body is empty; send a JSON object".to_owned());
    }
    Error::Malformed(format!("the body is not JSON: {what} at line {line} column {column}"))
}

/// The message of `serde_json` without its ` at line 1 column 7`.
fn without_place(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&place).unwrap_or(&message).to_owned()
}

fn invalid(path: &serde_path_to_error::Path, error: &serde_json::Error) -> Error {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push_key(&mut pointer, &index.to_string()),
            Segment::Map { key } => push_key(&mut pointer, key),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    let message = without_place(error);
    let quoted = |start: &str| message.strip_prefix(start).and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    let detail = if let Some(name) = quoted("missing field `") {
        push_key(&mut pointer, name);
        match example(name) {
            Some(example) => format!("is missing; for example {example}"),
            None => "is missing".to_owned(),
        }
    } else if let Some(name) = quoted("unknown field `") {
        if !pointer.ends_with(&format!("/{}", escaped(name))) {
            push_key(&mut pointer, name);
        }
        match message.split_once("expected ") {
            Some((_, known)) => format!("is not a field here; known: {}", known.trim_start_matches("one of ")),
            None => "is not a field here; leave it out".to_owned(),
        }
    } else if let Some(name) = quoted("duplicate field `") {
        if !pointer.ends_with(&format!("/{}", escaped(name))) {
            push_key(&mut pointer, name);
        }
        "stands twice; send it once".to_owned()
    } else {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        match example(name) {
            Some(example) => format!("{}; write for example {example}", in_words(&message)),
            None => in_words(&message),
        }
    };
    Error::invalid(pointer, detail)
}

fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&escaped(key));
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// What a field of this name looks like when its type does not say it.
fn example(field: &str) -> Option<&'static str> {
    match field {
        "start" => Some("\"2026-11-23 14:30\""),
        "score" | "half_time" | "full_time" | "shoot_out" => Some("\"2-1\""),
        "timezone" => Some("\"Europe/Berlin\""),
        _ if field.ends_with("_at") => Some("\"2026-11-23T14:30:00Z\""),
        _ if field.ends_with("_on") => Some("\"2026-11-23\""),
        _ => None,
    }
}

/// serde's words for types, in words of people who never saw Rust.
fn in_words(message: &str) -> String {
    let Some((found, wanted)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let wanted = match wanted {
        "i64" | "isize" => "a whole number",
        "u32" | "u64" | "usize" => "a whole number from 0",
        "u16" => "a whole number from 0 to 65535",
        "u8" => "a whole number from 0 to 255",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a string" | "a borrowed string" => "text in double quotes",
        wanted if wanted.starts_with("struct ") || wanted == "a map" => "an object",
        wanted => wanted,
    };
    let found = found.replace("invalid type: ", "").replace("invalid value: ", "");
    let found = match found.as_str() {
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        _ => found.replace("string ", "text "),
    };
    format!("found {found}, expected {wanted}")
}

/// axum's words for a query it cannot read, without its preamble.
fn query_words(text: &str) -> String {
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(text);
    let text = text.replace("invalid digit found in string", "a whole number is expected");
    format!("the query is not understood: {text}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use timely_core::body::{EditFixture, NewEvent, NewFixture, PutResult};
    use timely_core::tournament::Tournament;

    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_write_names_one_version_insists_or_says_nothing() {
        for (values, version) in [
            (&[][..], Expected::Unsaid),
            (&["*"], Expected::Any),
            (&["\"3\""], Expected::Version(3)),
            (&[" \"12\" "], Expected::Version(12)),
        ] {
            assert_eq!(expected(&headers(&header::IF_MATCH, values)).unwrap(), version, "{values:?}");
        }
        for (values, why) in [
            (&["3"][..], "double quotes"),
            (&["W/\"3\""], "weak"),
            (&["\"3\", \"4\""], "more than one"),
            (&["\"3\"", "\"3\""], "more than one"),
            (&["\"\""], "double quotes"),
            (&["\"-3\""], "double quotes"),
            (&["\"x\""], "double quotes"),
            (&["\"99999999999999999999\""], "double quotes"),
            (&[""], "double quotes"),
            (&["\"3\u{e9}\""], "double quotes"),
        ] {
            let Err(Error::Malformed(detail)) = expected(&headers(&header::IF_MATCH, values)) else {
                panic!("{values:?} was taken");
            };
            assert!(detail.contains(why) && detail.contains("If-Match: \"3\""), "{values:?}: {detail}");
        }
    }

    #[test]
    fn keys_are_short_visible_and_single() {
        let key = |values: &[&str]| idempotency_key(&headers(&IDEMPOTENCY_KEY, values));
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&["a-1"]).unwrap().as_deref(), Some("a-1"));
        let longest = "k".repeat(200);
        assert_eq!(key(&[&longest]).unwrap(), Some(longest.clone()));
        for values in [&[""][..], &["a b"], &["k\u{e9}"], &["a", "b"], &[&format!("{longest}k")]] {
            assert!(matches!(key(values), Err(Error::Malformed(_))), "{values:?}");
        }
    }

    #[test]
    fn only_json_is_read_as_json() {
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(require_json(&headers(&header::CONTENT_TYPE, &[kind])).is_ok(), "{kind}");
        }
        for kind in
            ["", "text/plain", "application/jsonp", "application/+json", "text/x+json", "applicatio\u{e9}n+json"]
        {
            assert!(
                matches!(require_json(&headers(&header::CONTENT_TYPE, &[kind])), Err(Error::UnsupportedMediaType)),
                "{kind}"
            );
        }
        assert!(require_json(&HeaderMap::new()).is_err(), "no type at all");
    }

    fn refused<T: DeserializeOwned>(json: &str) -> (String, String) {
        match parse::<T>(json.as_bytes()) {
            Err(Error::Invalid(fields)) => fields.into_iter().next().unwrap(),
            Err(error) => panic!("{json}: {error:?}"),
            Ok(_) => panic!("{json} was taken"),
        }
    }

    #[test]
    fn a_field_of_the_wrong_shape_is_named_with_what_would_be_right() {
        let event = |json| refused::<NewEvent>(json);
        let result = |json| refused::<PutResult>(json);
        for ((pointer, detail), at, words) in [
            (event(r#"{"starts_on":"2026-11-23"}"#), "/name", "is missing"),
            (event(r#"{"name":"Cup"}"#), "/starts_on", "is missing; for example \"2026-11-23\""),
            (event(r#"{"name":7,"starts_on":"2026-11-23"}"#), "/name", "found integer `7`, expected text"),
            (event(r#"{"name":"Cup","starts_on":"23.11."}"#), "/starts_on", "write for example \"2026-11-23\""),
            (event(r#"{"name":"Cup","starts_on":"2026-11-23","colour":"red"}"#), "/colour", "known: `name`"),
            (event(r#"{"name":"Cup","name":"Cup"}"#), "/name", "twice"),
            (event(r#"{"name":"Cup","starts_on":"2026-11-23","visibility":"secret"}"#), "/visibility", "PRIVATE"),
            (event("[]"), "", "an object"),
            (event("null"), "", "an object"),
            (result(r#"{"home_score":"2","away_score":1}"#), "/home_score", "a whole number"),
            (result(r#"{"home_score":2.5,"away_score":1}"#), "/home_score", "a whole number"),
            (result(r#"{"home_score":2,"away_score":1,"minute":-1}"#), "/minute", "from 0 to 65535"),
            (
                result(r#"{"home_score":2,"away_score":1,"goals":[{"team_id":1,"minute":3},{"team_id":1}]}"#),
                "/goals/1/minute",
                "is missing",
            ),
            (
                result(r#"{"home_score":2,"away_score":1,"goals":[{"team_id":1,"minute":3,"a/b":1}]}"#),
                "/goals/0/a~1b",
                "is not a field here",
            ),
            (refused::<EditFixture>(r#"{"start_at":"tomorrow"}"#), "/start_at", "2026-11-23T14:30:00Z"),
            (refused::<NewFixture>(r#"{"start_at":"2026-11-23T14:30:00Z","round":[]}"#), "/round", "name or a number"),
            (
                refused::<NewFixture>(r#"{"start_at":"2026-11-23T14:30:00Z","home_slot":"best of A"}"#),
                "/home_slot",
                "winner of #49",
            ),
            (
                refused::<Tournament>(r#"{"event":{"name":"Cup","starts_on":"2026-11-23"},"team":[{"name":"Reds"}]}"#),
                "/team/0/code",
                "is missing",
            ),
        ] {
            assert_eq!(pointer, at, "{detail}");
            assert!(detail.contains(words), "{pointer}: {detail}");
            assert!(!detail.contains(" column "), "{pointer}: {detail}");
        }
    }

    #[test]
    fn what_is_not_json_says_where() {
        let deep = "[".repeat(100_000);
        for (json, words) in [
            ("", "empty"),
            ("{", "line 1 column 1"),
            ("{\"name\":\"Cup\",}", "line 1 column 15"),
            ("{\"colour\":1}\n}", "line 2 column 1"),
            ("{\"name\": \"a\nb\"}", "not JSON"),
            ("2-1", "not JSON"),
            (deep.as_str(), "not JSON"),
        ] {
            let Err(Error::Malformed(detail)) = parse::<NewEvent>(json.as_bytes()) else {
                panic!("{json:.40} was taken");
            };
            assert!(detail.contains(words), "{json:.40}: {detail}");
        }
        assert!(matches!(parse::<NewEvent>(b"{\"name\":\"\xff\"}"), Err(Error::Malformed(_))), "not UTF-8");
        let nested = format!("{{\"name\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
        assert!(parse::<serde_json::Value>(nested.as_bytes()).is_err(), "depth is bounded");
    }

    #[test]
    fn pages_have_a_size() {
        assert_eq!(PageQuery::default().paging().unwrap(), Paging { after: 0, limit: 100 });
        assert_eq!(paging(Some(500), Some(7)).unwrap(), Paging { after: 7, limit: 500 });
        for (limit, after) in [(Some(0), None), (Some(501), None), (None, Some(-1))] {
            assert!(matches!(paging(limit, after), Err(Error::Malformed(_))), "{limit:?} {after:?}");
        }
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
        let said = |bytes| headers(&header::CONTENT_LENGTH, &[bytes]);
        assert_eq!(read(&said("8"), Body::from("12345678"), 8, BODY_TIMEOUT).await.unwrap().len(), 8);
        let chunks = || Body::from_stream(futures_util::stream::iter(["12345", "6789"].map(Ok::<_, std::io::Error>)));
        for (why, headers, body) in [
            ("it says so", said("9"), Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>())),
            ("it says nothing", HeaderMap::new(), chunks()),
            ("it says too little", said("8"), chunks()),
        ] {
            assert!(
                matches!(read(&headers, body, 8, BODY_TIMEOUT).await, Err(Error::TooLarge { limit_bytes: 8 })),
                "{why}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let silent = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        assert!(matches!(read(&HeaderMap::new(), silent, 8, Duration::ZERO).await, Err(Error::Timeout { .. })));
    }

    #[test]
    fn the_same_request_is_the_same_text() {
        let mut headers = HeaderMap::new();
        let none = canonical(&Method::PUT, "/api/fixtures/1/result", &headers, "{}");
        headers.insert(header::IF_MATCH, HeaderValue::from_static("\"3\""));
        let three = canonical(&Method::PUT, "/api/fixtures/1/result", &headers, "{}");
        assert_eq!(none, "PUT /api/fixtures/1/result\n\n{}");
        assert_eq!(three, "PUT /api/fixtures/1/result\n\"3\"\n{}");
    }
}
