//! The files of the pages: style, script, icon. They are part of the program.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// A file, its kind, and the tag that names its content.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
    tag: HeaderValue,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        ("page.css", "text/css; charset=utf-8", include_str!("assets/page.css")),
        ("theme.js", SCRIPT, include_str!("assets/theme.js")),
        ("main.js", SCRIPT, include_str!("assets/main.js")),
        ("link.js", SCRIPT, include_str!("assets/link.js")),
        ("state.js", SCRIPT, include_str!("assets/state.js")),
        ("view.js", SCRIPT, include_str!("assets/view.js")),
        ("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    ]
    .map(|(name, kind, content)| Asset { name, kind, content, tag: tag(content) })
    .into()
});

/// `GET /assets/{name}`: asked for again with every visit, sent again only when it has changed.
pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or(Error::NotFound)?;
    let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|tag| {
        let tag = tag.trim();
        tag == "*" || tag.trim_start_matches("W/").as_bytes() == asset.tag.as_bytes()
    });
    let mut response = if is_known { StatusCode::NOT_MODIFIED.into_response() } else { asset.content.into_response() };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(header::ETAG, asset.tag.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The first half of the content's hash, in quotes.
fn tag(content: &str) -> HeaderValue {
    let hash = Sha256::digest(content);
    let mut tag = String::from('"');
    for byte in hash.iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    // Digits and quotes are always a header value.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_sent_once_and_again_when_it_has_changed() {
        let get = async |name: &str, tag: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(tag) = tag {
                headers.insert(header::IF_NONE_MATCH, tag.parse().unwrap());
            }
            asset(Path(name.to_owned()), headers).await
        };
        for file in ASSETS.iter() {
            let first = get(file.name, None).await.unwrap();
            assert_eq!(first.status(), StatusCode::OK);
            let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
            for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
                assert_eq!(get(file.name, Some(&known)).await.unwrap().status(), StatusCode::NOT_MODIFIED, "{known}");
            }
            assert_eq!(get(file.name, Some("\"other\"")).await.unwrap().status(), StatusCode::OK);
        }
        assert!(matches!(get("../secret", None).await, Err(Error::NotFound)));
    }

    #[test]
    fn a_phone_loads_little() {
        let bytes = |kind: &str| -> usize {
            ASSETS.iter().filter(|asset| asset.kind.starts_with(kind)).map(|asset| asset.content.len()).sum()
        };
        // Before compression, which a proxy may add.
        assert!(bytes("text/javascript") < 48 * 1024, "{} bytes of script", bytes("text/javascript"));
        assert!(bytes("text/css") < 16 * 1024, "{} bytes of style", bytes("text/css"));
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in ASSETS.iter() {
            for address in ["http://", "https://", "//cdn"] {
                let found = asset.content.matches(address).count();
                // The name of the namespace of SVG looks like an address.
                let named = asset.content.matches("http://www.w3.org/2000/svg").count();
                let allowed = if address == "http://" { named } else { 0 };
                assert_eq!(found, allowed, "{} names {address}", asset.name);
            }
        }
    }
}
