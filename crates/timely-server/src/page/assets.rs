//! The files a page loads: in the binary, under an address that changes with their contents.
//!
//! All of them share one folder named by a digest of them all, so that a script finds its modules
//! beside itself, and a browser may keep each forever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// Bytes of the digest that name the folder.
const DIGEST_BYTES: usize = 8;

/// One file.
pub(super) struct Asset {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) text: &'static str,
}

macro_rules! assets {
    ($($name:literal: $kind:literal),+ $(,)?) => {
        pub(super) const ASSETS: &[Asset] = &[
            $(Asset { name: $name, kind: $kind, text: include_str!(concat!("assets/", $name)) }),+
        ];
    };
}

assets! {
    "page.css": "text/css; charset=utf-8",
    "theme.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "link.js": "text/javascript; charset=utf-8",
    "state.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in ASSETS {
        digest.update(asset.name);
        digest.update([0]);
        digest.update(asset.text);
        digest.update([0]);
    }
    hex(&digest.finalize()[..DIGEST_BYTES])
});
static FOLDER: LazyLock<String> = LazyLock::new(|| format!("/assets/{}", *VERSION));

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where they are: `/assets/<digest>`.
pub(super) fn folder() -> &'static str {
    &FOLDER
}

/// `GET /assets/{version}/{name}`
///
/// A page of an older program may ask for files of its own version: it gets those there are, and no
/// cache keeps them under the old name.
pub(super) async fn serve(path: Result<Path<(String, String)>, PathRejection>, headers: HeaderMap) -> Response {
    let Ok(Path((version, name))) = path else { return Error::NotFound.into_response() };
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else { return Error::NotFound.into_response() };
    let tag = format!("\"{}\"", *VERSION);
    let is_known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|known| known.trim().trim_start_matches("W/"))
        .any(|known| known == "*" || known == tag);
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { asset.text.into_response() };
    let lifetime = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime));
    // Digits and letters in quotes are always a header value.
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(header::ETAG, tag);
    }
    if !is_known {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    }
    response
}
