//! Requests: addresses, credentials, time limits, versions and keys; which failure means what.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use timely_core::body::Page;
use timely_core::problem::{Problem, ProblemCode};
use uuid::Uuid;

use crate::error::Error;

/// Longest time to reach the server.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time for a request and its whole answer; streams have none.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept for the next request.
const POOL_IDLE: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Items asked for at a time.
const PAGE_ITEMS: usize = 500;

/// Which version of a thing a write is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// None is named: enough for a first result.
    Unsaid,
    /// Whatever stands there is to be replaced.
    Any,
    /// The version that was read.
    Version(i64),
}

/// What a write led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    pub value: T,
    /// Place in the change log of the last row of this change.
    pub pos: Option<u64>,
    /// Version of the thing after the write.
    pub version: Option<i64>,
    /// Something new came into being.
    pub created: bool,
    /// The thing already was as wanted.
    pub unchanged: bool,
    /// The key had been used for this same request: its effect is the earlier one.
    pub replayed: bool,
}

/// A new idempotency key: a UUID of version 7.
pub fn new_key() -> String {
    Uuid::now_v7().to_string()
}

/// A server and a credential. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    key: Option<String>,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the credential.
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server at `address` (`http://127.0.0.1:8000`, `127.0.0.1:8000`).
    ///
    /// # Errors
    /// [`Error::Unusable`] for an address that is no HTTP address, or a token that cannot be sent.
    pub fn new(address: &str, token: Option<&str>) -> Result<Self, Error> {
        Self::with_timeout(address, token, REQUEST_TIMEOUT)
    }

    /// The same with another time limit for whole requests.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_timeout(address: &str, token: Option<&str>, timeout: Duration) -> Result<Self, Error> {
        let base = base_url(address)?;
        let authorization = token.map(bearer).transpose()?;
        let http = http(timeout, Kept::ForTheNext)?;
        Ok(Self { http, base, authorization, key: None, timeout })
    }

    /// The same client whose writes carry this idempotency key instead of a new one each.
    #[must_use]
    pub fn with_key(&self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self.clone() }
    }

    /// Where the server is, without a slash at the end.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether requests carry a credential.
    pub const fn has_token(&self) -> bool {
        self.authorization.is_some()
    }

    /// The header that stands for the caller.
    pub(crate) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Absolute address of `path`, which is relative to the base and may have a query.
    pub(crate) fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|error| Error::Unusable(format!("`{path}` is no path: {error}")))
    }

    /// Asks for a stream: without a limit of time, which is its reader's matter, and over a connection
    /// that nothing else shares.
    pub(crate) fn stream(&self, url: Url) -> Result<RequestBuilder, Error> {
        Ok(self.credited(http(self.timeout, Kept::Never)?.get(url)))
    }

    /// Reads one thing.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self.signed(self.http.get(self.url(path)?));
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, _, body) = self.read(response).await.map_err(|cut| cut.of_read(self))?;
        self.value(status, &body)
    }

    /// Reads a whole list, page by page.
    pub(crate) async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Error> {
        let (mut items, mut after) = (Vec::new(), 0);
        let sign = if path.contains('?') { '&' } else { '?' };
        loop {
            let page: Page<T> = self.get(&format!("{path}{sign}limit={PAGE_ITEMS}&after={after}")).await?;
            items.extend(page.items);
            match page.next {
                None => return Ok(items),
                Some(next) if next > after => after = next,
                Some(next) => return Err(self.protocol(format!("the page after {after} leads to {next}"))),
            }
        }
    }

    /// Writes. The key is sent with it; without one of the caller's a new one is made.
    pub(crate) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        expected: Expected,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<Answer<T>, Error> {
        let key = self.key.clone().unwrap_or_else(new_key);
        let key_header = HeaderValue::from_str(&key)
            .map_err(|_| Error::Unusable(format!("`{key}` cannot be a key; use letters, digits and dashes")))?;
        let mut request = self.signed(self.http.request(method, self.url(path)?)).header("Idempotency-Key", key_header);
        request = match expected {
            Expected::Unsaid => request,
            Expected::Any => request.header(IF_MATCH, "*"),
            Expected::Version(version) => request.header(IF_MATCH, format!("\"{version}\"")),
        };
        if let Some(body) = body {
            let json = serde_json::to_vec(body).map_err(|error| Error::Unusable(format!("cannot be sent: {error}")))?;
            request = request.header(CONTENT_TYPE, "application/json").body(json);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_builder() => return Err(self.unreachable(&error)),
            Err(error) => {
                return Err(Error::OutcomeUnknown { address: self.address().to_owned(), cause: cause(&error), key });
            }
        };
        let (status, headers, body) = self.read(response).await.map_err(|cut| cut.of_write(self, key))?;
        let version = header(&headers, ETAG.as_str()).and_then(|tag| tag.trim_matches('"').parse().ok());
        let is_true = |name| header(&headers, name) == Some("true");
        let replayed = is_true("idempotency-replayed");
        let same_version = matches!((expected, version), (Expected::Version(had), Some(has)) if had == has);
        Ok(Answer {
            value: self.value(status, if body.is_empty() { b"null" } else { &body })?,
            pos: header(&headers, "timely-pos").and_then(|pos| pos.parse().ok()),
            version,
            created: status == StatusCode::CREATED && !replayed,
            unchanged: !replayed && (is_true("timely-unchanged") || same_version),
            replayed,
        })
    }

    fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        self.credited(request.timeout(self.timeout))
    }

    fn credited(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value),
            None => request,
        }
    }

    async fn read(&self, mut response: Response) -> Result<(StatusCode, HeaderMap, Vec<u8>), Cut> {
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(Cut::Lost)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(Cut::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body))
    }

    fn value<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Error> {
        if !status.is_success() {
            return Err(self.refused(status, body));
        }
        serde_json::from_slice(body).map_err(|error| self.protocol(format!("its answer is not understood ({error})")))
    }

    /// The problem in the body; a plain one if something between here and the server answered.
    pub(crate) fn refused(&self, status: StatusCode, body: &[u8]) -> Error {
        match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => Error::Refused(Box::new(problem)),
            Err(_) if status.is_client_error() || status.is_server_error() => Error::Refused(Box::new(Problem {
                kind: format!("/problems/{}", foreign_code(status)),
                title: status.canonical_reason().unwrap_or("Refused").to_owned(),
                status: status.as_u16(),
                detail: format!("{} answered {status}, not in the way of a Timely server", self.address()),
                errors: Vec::new(),
                current: None,
                yours: None,
            })),
            Err(_) => self.protocol(format!("it answered {status}")),
        }
    }

    pub(crate) fn protocol(&self, detail: String) -> Error {
        Error::Protocol { address: self.address().to_owned(), detail }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        Error::Unreachable { address: self.address().to_owned(), cause: cause(error) }
    }
}

/// Whether a connection may carry another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    ForTheNext,
    Never,
}

fn http(timeout: Duration, kept: Kept) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder()
        // Below the total, so that a connection that cannot be made is told from a lost answer.
        .connect_timeout(CONNECT_TIMEOUT.min(timeout.mul_f32(0.8)))
        // A redirect would carry a write, or a credential, to where nobody sent it.
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        // Streams know no proxies; what is reached with one but not with the other confuses.
        .no_proxy()
        // Shorter than the server keeps one: a write must not meet a connection that is being closed.
        .pool_idle_timeout(POOL_IDLE)
        .user_agent(concat!("timely/", env!("CARGO_PKG_VERSION")));
    let builder = if kept == Kept::Never { builder.pool_max_idle_per_host(0) } else { builder };
    builder.build().map_err(|error| Error::Unusable(format!("cannot set up HTTP: {}", chain(&error))))
}

/// An answer that broke off.
enum Cut {
    Lost(reqwest::Error),
    TooLarge,
}

impl Cut {
    fn of_read(self, client: &Client) -> Error {
        match self {
            Self::Lost(error) => client.unreachable(&error),
            Self::TooLarge => client.protocol(format!("its answer is larger than {ANSWER_BYTES_MAX} bytes")),
        }
    }

    fn of_write(self, client: &Client, key: String) -> Error {
        let cause = match &self {
            Self::Lost(error) => cause(error),
            Self::TooLarge => format!("its answer is larger than {ANSWER_BYTES_MAX} bytes"),
        };
        Error::OutcomeUnknown { address: client.address().to_owned(), cause, key }
    }
}

/// What a status means when its body does not say.
fn foreign_code(status: StatusCode) -> ProblemCode {
    match status {
        StatusCode::UNAUTHORIZED => ProblemCode::Unauthenticated,
        StatusCode::FORBIDDEN => ProblemCode::Forbidden,
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::TOO_MANY_REQUESTS => ProblemCode::RateLimited,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::TooLarge,
        status if status.is_client_error() => ProblemCode::Invalid,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            ProblemCode::Unavailable
        }
        _ => ProblemCode::Internal,
    }
}

fn base_url(address: &str) -> Result<Url, Error> {
    let unusable = |why: &str| {
        Error::Unusable(format!("`{address}` is no server address ({why}); write it like http://127.0.0.1:8000"))
    };
    let with_scheme = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let mut url = Url::parse(&with_scheme).map_err(|error| unusable(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unusable("it is not http or https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unusable("credentials do not belong in an address"));
    }
    url.set_query(None);
    url.set_fragment(None);
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn bearer(token: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| Error::Unusable("the token has characters that no token has; read it again".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it took too long".to_owned() } else { chain(error) }
}

/// The innermost cause: what the outer layers add says nothing to people.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (given, address) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("https://cup.example/timely", "https://cup.example/timely"),
        ] {
            let client = Client::new(given, None).unwrap();
            assert_eq!(client.address(), address);
            let url = client.url("api/events/").unwrap();
            assert_eq!(url.as_str(), format!("{address}/api/events/"), "{given}");
        }
        for given in ["", "ftp://x", "http://user:secret@host", "http://"] {
            let error = Client::new(given, None).unwrap_err();
            assert!(error.to_string().contains("http://127.0.0.1:8000"), "{given}: {error}");
        }
    }

    #[test]
    fn a_credential_is_never_printed() {
        let client = Client::new("127.0.0.1:1", Some("secret")).unwrap();
        assert!(!format!("{client:?}").contains("secret"));
    }

    #[tokio::test]
    async fn nobody_listening_changed_nothing() {
        // Bound and closed again: nothing listens there.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let client = Client::new(&address, None).unwrap();
        let error = client.write::<()>(Method::POST, "api/x/", Expected::Unsaid, None::<&()>).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_lost_after_sending_leaves_a_write_open_and_a_read_done() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string(), None).unwrap().with_key("k1");
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut socket, _) = listener.accept().await.unwrap();
                let read = socket.read(&mut [0; 4096]).await.unwrap();
                assert!(read > 0);
            }
        });
        let error = client.write::<()>(Method::POST, "api/x/", Expected::Unsaid, None::<&()>).await.unwrap_err();
        assert!(matches!(&error, Error::OutcomeUnknown { key, .. } if key == "k1"), "{error:?}");
        let error = client.get::<()>("api/x/").await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        server.await.unwrap();
    }

    #[tokio::test]
    async fn status_and_headers_say_what_became_of_a_write() {
        for (why, expected, head, created, unchanged, replayed, version) in [
            ("new", Expected::Unsaid, "201 Created\r\nTimely-Pos: 7", true, false, false, None),
            ("replayed", Expected::Unsaid, "201 Created\r\nIdempotency-Replayed: true", false, false, true, None),
            ("changed", Expected::Version(2), "200 OK\r\nETag: \"3\"", false, false, false, Some(3)),
            ("same version", Expected::Version(3), "200 OK\r\nETag: \"3\"", false, true, false, Some(3)),
            ("said so", Expected::Unsaid, "200 OK\r\nTimely-Unchanged: true", false, true, false, None),
        ] {
            let client = answering(head, "1").await;
            let answer = client.write::<i64>(Method::PUT, "x", expected, None::<&()>).await.unwrap();
            let got = (answer.created, answer.unchanged, answer.replayed, answer.version);
            assert_eq!(got, (created, unchanged, replayed, version), "{why}");
        }
        let answer = answering("204 No Content\r\nTimely-Pos: 9", "").await;
        let answer = answer.write::<()>(Method::DELETE, "x", Expected::Any, None::<&()>).await.unwrap();
        assert_eq!(answer.pos, Some(9));
    }

    #[tokio::test]
    async fn a_foreign_answer_is_still_a_refusal_with_its_meaning() {
        for (head, code) in
            [("401 Unauthorized", ProblemCode::Unauthenticated), ("502 Bad Gateway", ProblemCode::Unavailable)]
        {
            let error = answering(head, "<html>").await.get::<i64>("x").await.unwrap_err();
            assert_eq!(error.code(), Some(code), "{error}");
        }
        let error = answering("200 OK", "<html>").await.get::<i64>("x").await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
        let error = answering("302 Found\r\nLocation: http://elsewhere", "").await.get::<i64>("x").await.unwrap_err();
        assert!(matches!(error, Error::Protocol { .. }), "{error:?}");
    }

    /// A client of a server that gives one answer.
    async fn answering(head: &'static str, body: &'static str) -> Client {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string(), None).unwrap();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let read = socket.read(&mut [0; 4096]).await.unwrap();
            assert!(read > 0);
            let length = body.len();
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        client
    }
}
