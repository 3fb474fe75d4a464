//! Why a request was not carried out, in the words of the store and the rules.
//!
//! Statuses and bodies are made of it in `http/problem.rs` alone.

use serde_json::Value;
use timely_core::access::Verdict;
use timely_core::announcement::Priority;
use timely_core::cursor::{Cursor, NotRecovered};
use timely_core::fixture::FixtureRefusal;
use timely_core::progression::ProgressionRefusal;
use timely_core::result::{InvalidField, ResultRefusal};

/// A refusal or a failure. Refusals say what to do next; the cause of a failure goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thing does not exist, or the caller may not know that it does.
    #[error("there is nothing here by that id")]
    NotFound,
    /// The address itself is none of ours.
    #[error("nothing answers at this address; the API begins at /api/events/")]
    NoRoute,
    #[error("sign in first: send `Authorization: Bearer <token>`")]
    Unauthenticated,
    #[error("the credential is unknown, expired or revoked; get a new one")]
    BadCredential,
    #[error("a token in an address ends up in logs; send it as `Authorization: Bearer <token>`")]
    CredentialInQuery,
    #[error("{0}")]
    Forbidden(String),
    /// The body is not JSON, the query is not understood, a header is malformed.
    #[error("{0}")]
    Malformed(String),
    /// A field has a wrong type or value; pointers are JSON pointers into the body.
    #[error("{}", in_one_line(.0))]
    Invalid(Vec<(String, String)>),
    #[error("send the body as application/json")]
    UnsupportedMediaType,
    #[error("the body is larger than {limit_bytes} bytes")]
    TooLarge { limit_bytes: usize },
    #[error("the body took longer than {limit_s} s to arrive; nothing was written, send it again")]
    Timeout { limit_s: u64 },
    #[error("this address does not take that method; the `Allow` header names those it takes")]
    MethodNotAllowed,
    #[error("too many requests; try again in {retry_after_s} s")]
    RateLimited { retry_after_s: u64 },
    /// Somebody was faster: the version named is not the current one.
    #[error("it changed meanwhile: version {} is current; look at it and send that version to replace it", .version)]
    Version { version: i64, current: Value, yours: Value },
    #[error("name the version you saw (If-Match: \"{}\") or insist (If-Match: *)", .version)]
    VersionRequired { version: i64, current: Value },
    /// A cursor from which nothing can be continued.
    #[error("{}; go on from the `current` one, after reading what stands now", not_continued(*.reason))]
    CursorGone { reason: NotRecovered, current: Cursor },
    #[error("the idempotency key was used for another request; use a new key")]
    KeyReused,
    /// Against the rules of the sport or the life of a thing.
    #[error("{0}")]
    Rule(String),
    /// The disk is full or the server is stopping: nothing was written, trying again is safe.
    #[error("{0}")]
    Unavailable(String),
    /// The disk failed while the write was made durable; the cause is in the log, and the process ends.
    #[error("the disk failed: whether this was written is unknown; look before you send it again")]
    OutcomeUnknown,
    #[error("the database failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("no database connection is free: {0}")]
    Pool(#[from] r2d2::Error),
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// One field that was refused; `pointer` is a JSON pointer such as `/home_score`.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![(pointer.into(), detail.into())])
    }

    /// The word to type before an emergency or an urgent announcement goes out.
    pub fn unconfirmed(word: &str) -> Self {
        Self::invalid("/confirm", format!("this takes over every screen; send \"confirm\": \"{word}\" to mean it"))
    }

    /// URGENT announcements end by themselves.
    pub fn urgent_without_end() -> Self {
        Self::invalid("/expires_at", format!("{} announcements need a time at which they end", Priority::Urgent))
    }
}

/// Why a cursor is of no use.
const fn not_continued(reason: NotRecovered) -> &'static str {
    match reason {
        NotRecovered::Epoch => "the cursor is of another change log",
        NotRecovered::Ahead => "the cursor is ahead of the change log",
        NotRecovered::Expired | NotRecovered::Fresh | NotRecovered::Lagged => {
            "the cursor has expired: what came after it is not replayed any more"
        }
    }
}

/// `name: is missing; goals.1.minute: …`: for people who see the sentence alone.
fn in_one_line(fields: &[(String, String)]) -> String {
    let field = |(pointer, detail): &(String, String)| match pointer.trim_start_matches('/') {
        "" => format!("the body: {detail}"),
        path => format!("{}: {detail}", path.replace('/', ".")),
    };
    fields.iter().map(field).collect::<Vec<_>>().join("; ")
}

/// Turns a refusal of [`timely_core::access`] into an error; `what` completes "you may not …".
pub fn permit(verdict: Verdict, what: &str) -> Result<(), Error> {
    match verdict {
        Verdict::Allowed => Ok(()),
        Verdict::Unauthenticated => Err(Error::Unauthenticated),
        Verdict::Hidden => Err(Error::NotFound),
        Verdict::Forbidden => Err(Error::Forbidden(format!("your role may not {what}; ask an organiser of the event"))),
    }
}

impl From<FixtureRefusal> for Error {
    fn from(refusal: FixtureRefusal) -> Self {
        Self::Rule(refusal.to_string())
    }
}

impl From<ResultRefusal> for Error {
    fn from(refusal: ResultRefusal) -> Self {
        Self::Rule(refusal.to_string())
    }
}

impl From<ProgressionRefusal> for Error {
    fn from(refusal: ProgressionRefusal) -> Self {
        Self::Rule(refusal.to_string())
    }
}

impl From<InvalidField> for Error {
    fn from(invalid: InvalidField) -> Self {
        Self::invalid(format!("/{}", invalid.field), invalid.detail)
    }
}
