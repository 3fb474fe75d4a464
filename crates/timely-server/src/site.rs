//! Under which names the server answers, whose pages may read it, and what kind of server it is.
//!
//! A page of another site can make a browser send requests to `127.0.0.1`, even read the answers if
//! its own name resolves to that address. So a request must name a host that is ours: an address in
//! digits, `localhost`, or the host of `--base-url`.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use anyhow::bail;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use timely_core::running::ServerKind;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Config;
use crate::error::Error;

/// How long a browser may remember which requests of another origin are allowed.
const PREFLIGHT_AGE: std::time::Duration = std::time::Duration::from_hours(1);

/// What the configuration says about the outside, checked once at the start.
#[derive(Debug)]
pub struct Site {
    pub kind: ServerKind,
    /// Whether limits are lifted for a load test.
    pub load_test: bool,
    /// Host of `--base-url`, in lower case.
    host: Option<String>,
    origins: Vec<HeaderValue>,
}

impl Site {
    /// Reads the configuration.
    ///
    /// # Errors
    /// The option that cannot be meant, and what to write instead.
    pub fn new(config: &Config, kind: ServerKind) -> anyhow::Result<Self> {
        if config.load_test && !config.address().ip().is_loopback() {
            bail!(
                "--load-test lifts limits and works on loopback only; leave out {}",
                if config.lan { "--lan" } else { "--listen, or use --listen 127.0.0.1:8000" }
            );
        }
        let host = config.base_url.as_deref().map(host_of_base_url).transpose()?;
        let origins = config.allow_origin.iter().map(|origin| exact_origin(origin)).collect::<anyhow::Result<_>>()?;
        Ok(Self { kind, load_test: config.load_test, host, origins })
    }

    /// Lets pages of the allowed origins read the API; `None` if there are none besides our own.
    pub fn cors(&self) -> Option<CorsLayer> {
        if self.origins.is_empty() {
            return None;
        }
        let exposed = ["timely-pos", "timely-cursor", "idempotency-replayed"].map(HeaderName::from_static);
        let exposed = [header::ETAG, header::LOCATION, header::RETRY_AFTER].into_iter().chain(exposed);
        Some(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(self.origins.clone()))
                .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
                .allow_headers([
                    header::AUTHORIZATION,
                    header::CONTENT_TYPE,
                    header::IF_MATCH,
                    header::IF_NONE_MATCH,
                    HeaderName::from_static("idempotency-key"),
                    HeaderName::from_static("last-event-id"),
                ])
                .expose_headers(exposed.collect::<Vec<_>>())
                .max_age(PREFLIGHT_AGE),
        )
    }

    fn is_known(&self, host: &str) -> bool {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match literal {
            Some(v6) => v6.parse::<Ipv6Addr>().is_ok(),
            None => {
                host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
                    || host.eq_ignore_ascii_case("localhost")
                    || self.host.as_deref().is_some_and(|known| host.eq_ignore_ascii_case(known))
            }
        }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
        let mut named = uri.authority().map(Authority::host).into_iter().map(str::to_owned).collect::<Vec<_>>();
        for value in headers.get_all(header::HOST) {
            let authority: Option<Authority> = value.to_str().ok().and_then(|value| value.parse().ok());
            match authority {
                Some(authority) => named.push(authority.host().to_owned()),
                None => return Err(Error::Malformed("the Host header names no host".to_owned())),
            }
        }
        if named.is_empty() {
            return Err(Error::Malformed("the request names no host; send a Host header".to_owned()));
        }
        match named.iter().find(|host| !self.is_known(host)) {
            None => Ok(()),
            Some(host) => Err(Error::Malformed(format!(
                "this server does not answer as `{host}`; use its address in digits, \
                 or start it with --base-url http://{host}"
            ))),
        }
    }
}

/// Refuses requests that name a host that is not ours.
pub async fn known_host(State(site): State<Arc<Site>>, request: Request, next: Next) -> Result<Response, Error> {
    site.check_host(request.uri(), request.headers())?;
    Ok(next.run(request).await)
}

fn host_of_base_url(text: &str) -> anyhow::Result<String> {
    let url = text.parse::<Uri>().ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    match url.as_ref().and_then(Uri::host) {
        Some(host) => Ok(host.to_ascii_lowercase()),
        None => bail!("--base-url {text} is no address; write it like https://live.example.org"),
    }
}

/// An origin as browsers send it: scheme and host, a port if it is not the usual one, nothing else.
fn exact_origin(text: &str) -> anyhow::Result<HeaderValue> {
    let url = text.parse::<Uri>().ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    let exact = url.filter(|url| {
        // The parser gives an address without a path the path `/`.
        url.path_and_query().is_none_or(|path| path.as_str() == "/")
            && !text.ends_with('/')
            && !text.contains('@')
            && text.bytes().all(|byte| !byte.is_ascii_uppercase())
    });
    match (exact, HeaderValue::from_str(text)) {
        (Some(_), Ok(origin)) => Ok(origin),
        _ => bail!(
            "--allow-origin {text} is no origin; name each one exactly as browsers send it, \
             for example https://club.example.org"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn config() -> Config {
        Config {
            data: PathBuf::from("unused"),
            listen: ([127, 0, 0, 1], 8000).into(),
            lan: false,
            base_url: None,
            allow_origin: Vec::new(),
            max_connections: None,
            findable: false,
            load_test: false,
        }
    }

    #[test]
    fn a_request_must_name_a_host_that_is_ours() {
        let base_url = Some("https://Live.Example.org:8443".to_owned());
        let site = Site::new(&Config { base_url, ..config() }, ServerKind::Serve).unwrap();
        let check = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
            site.check_host(&Uri::from_static("/api/events"), &headers)
        };
        for host in [
            "127.0.0.1:8000",
            "192.168.1.20",
            "[::1]:8000",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:8000",
            "live.example.org",
            "live.example.org:8443",
        ] {
            assert!(check(host).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8000",
            "localhost.evil.example",
            "app.localhost",
            "127.0.0.1.evil.example",
            "live.example.org.evil.example",
            "[localhost]",
            "",
            "a b",
            "h\u{e9}",
        ] {
            assert!(matches!(check(host), Err(Error::Malformed(_))), "{host}");
        }
    }

    #[test]
    fn every_name_in_a_request_counts() {
        let site = Site::new(&config(), ServerKind::Serve).unwrap();
        let mut headers = HeaderMap::new();
        assert!(site.check_host(&Uri::from_static("/healthz"), &headers).is_err(), "no name at all");
        assert!(site.check_host(&Uri::from_static("http://localhost/healthz"), &headers).is_ok(), "absolute form");
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(site.check_host(&Uri::from_static("http://evil.example/healthz"), &headers).is_err(), "two names");
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        let error = site.check_host(&Uri::from_static("/healthz"), &headers).unwrap_err();
        assert!(error.to_string().contains("--base-url http://evil.example"), "{error}");
    }

    #[test]
    fn origins_are_exact() {
        for origin in ["https://club.example.org", "http://127.0.0.1:5173"] {
            assert_eq!(exact_origin(origin).unwrap(), origin);
        }
        for origin in [
            "*",
            "null",
            "",
            "club.example.org",
            "https://club.example.org/",
            "https://club.example.org/live",
            "https://Club.example.org",
            "https://*.example.org ",
            "ftp://club.example.org",
        ] {
            assert!(exact_origin(origin).unwrap_err().to_string().contains("https://club.example.org"), "{origin}");
        }
    }

    #[test]
    fn options_that_cannot_be_meant_stop_the_start() {
        for (why, config) in [
            ("a load test for all", Config { load_test: true, lan: true, ..config() }),
            ("the same by address", Config { load_test: true, listen: ([0, 0, 0, 0], 0).into(), ..config() }),
            ("no URL", Config { base_url: Some("live.example.org".to_owned()), ..config() }),
            ("no web", Config { base_url: Some("ftp://live.example.org".to_owned()), ..config() }),
        ] {
            assert!(Site::new(&config, ServerKind::Serve).is_err(), "{why}");
        }
        assert!(Site::new(&Config { load_test: true, ..config() }, ServerKind::Serve).unwrap().load_test);
    }
}
