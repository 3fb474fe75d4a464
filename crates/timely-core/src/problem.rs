//! Failures as clients see them: `application/problem+json` of RFC 9457.

use serde::{Deserialize, Serialize};

crate::word::words! {
    /// The last part of a problem's `type`; clients branch on it.
    ProblemCode, "problem code":
    Internal = "internal",
    Invalid = "invalid",
    Unauthenticated = "unauthenticated",
    Forbidden = "forbidden",
    NotFound = "not_found",
    MethodNotAllowed = "method_not_allowed",
    TooLarge = "too_large",
    UnsupportedMediaType = "unsupported_media_type",
    RateLimited = "rate_limited",
    Version = "version",
    VersionRequired = "version_required",
    Clash = "clash",
    KeyReused = "key_reused",
    Rule = "rule",
    Unavailable = "unavailable",
}

/// One field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// JSON pointer into the body, for example `/home_score`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `/problems/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// What stands now, when a write was too late or named no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<serde_json::Value>,
    /// What the refused write wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yours: Option<serde_json::Value>,
}

impl Problem {
    /// The code at the end of `type`.
    pub fn code(&self) -> Option<ProblemCode> {
        self.kind.strip_prefix("/problems/")?.parse().ok()
    }
}
