//! The HTTP client of tool servers: one pool of connections, own headers, own CA.
//!
//! Data in: an endpoint. Data out: a client, and words for what goes wrong. Invariants: redirects
//! are not followed (a header with a key would go along); a header that holds a key never shows.

use std::error::Error as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;

use super::ToolHostError;
use super::mcp::Endpoint;
use crate::types::Code;
use crate::types::host::without_secrets;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Characters of a body that are shown.
const BODY_CHARACTERS: usize = 300;

/// A client that keeps its connections.
pub(super) fn client(name: &str, endpoint: &Endpoint) -> Result<reqwest::Client, ToolHostError> {
    let failed = |why: String| ToolHostError {
        code: Code::ToolErrorEnv,
        message: format!("{name}: {why}"),
    };
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("toolbench/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(CONNECT_LIMIT)
        .default_headers(headers(endpoint).map_err(failed)?);
    if is_local(&endpoint.url) {
        // A proxy of the environment is for the world outside.
        builder = builder.no_proxy();
    }
    if let Some(pem) = authority(endpoint).map_err(failed)? {
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| {
            failed(format!("the certificate authority cannot be read: {error}"))
        })?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| failed(format!("no HTTP client: {}", words(&error))))
}

/// The endpoint's own headers; their values show as `Sensitive`.
pub(super) fn headers(endpoint: &Endpoint) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::new();
    for (name, value) in &endpoint.headers {
        let key = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("`{name}` is no name of a header"))?;
        let mut value = HeaderValue::try_from(value.reveal())
            .map_err(|_| format!("header `{name}` holds a character that no header may"))?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

/// The text of the endpoint's own certificate authority.
pub(super) fn authority(endpoint: &Endpoint) -> Result<Option<Vec<u8>>, String> {
    let Some(path) = &endpoint.certificate_authority else {
        return Ok(None);
    };
    let pem = std::fs::read(path).map_err(|error| {
        format!(
            "cannot read certificate authority {}: {error}",
            path.display()
        )
    })?;
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(format!(
            "certificate authority {} holds no certificate in PEM form",
            path.display()
        ));
    }
    Ok(Some(pem))
}

/// The address is on this machine.
pub(super) fn is_local(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    host.starts_with("127.")
        || host.starts_with("[::1]")
        || host.split(':').next() == Some("localhost")
}

/// An error with all its causes, without the address's query.
pub(super) fn words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    if let Some(url) = error.url() {
        text = text.replace(url.as_str(), &without_secrets(url.as_str()));
    }
    with_authority_hint(text)
}

/// What helps where a server's certificate is signed by nobody who is known here.
pub(super) fn with_authority_hint(mut text: String) -> String {
    if text.contains("UnknownIssuer") {
        text.push_str("; `--ca FILE` trusts the authority that signed its certificate");
    }
    text
}

/// A status that is no success, with what helps and the beginning of the body.
pub(super) fn status_words(status: reqwest::StatusCode, headers: &HeaderMap, body: &str) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut text = format!("HTTP {status}");
    match status.as_u16() {
        300..=399 => {
            let to = header("location").map_or_else(String::new, without_secrets);
            text.push_str(&format!(
                " to {to}; redirects are not followed, name that address instead"
            ));
        }
        401 => text.push_str(
            "; it takes no request without a token or key of its own: check the one that was given, or give one with `--bearer-env VARIABLE` or `--header 'NAME: $VARIABLE'`",
        ),
        403 => text.push_str("; the token or key that was given may not do this"),
        429 => {
            if let Some(after) = header("retry-after") {
                text.push_str(&format!("; it asks to wait {after} s"));
            }
        }
        _ => {}
    }
    let shown: String = body.trim().chars().take(BODY_CHARACTERS).collect();
    if !shown.is_empty() {
        text.push_str(": ");
        text.push_str(&shown);
    }
    text
}

/// A body, read up to a limit.
pub(super) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Its beginning; it is over the limit.
    Oversized(Vec<u8>),
    /// The connection broke before its end.
    Broken(String),
}

/// Reads a body, never keeping more than `limit` bytes.
pub(super) async fn read_body(mut response: reqwest::Response, limit: usize) -> Body {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() > limit => {
                bytes.truncate(1024);
                return Body::Oversized(bytes);
            }
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return Body::Whole(bytes),
            Err(error) => return Body::Broken(words(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::secret::Secret;

    #[test]
    fn headers_are_checked_and_hidden() {
        let endpoint = |name: &str, value: &str| Endpoint {
            url: "http://127.0.0.1:1".to_owned(),
            headers: vec![(name.to_owned(), Secret::new(value))],
            certificate_authority: None,
        };
        let map = headers(&endpoint("X-Key", "k1")).unwrap();
        assert_eq!(map["x-key"], "k1");
        assert!(!format!("{map:?}").contains("k1"));
        assert!(
            headers(&endpoint("X Key", "k1"))
                .unwrap_err()
                .contains("X Key")
        );
        let bad = headers(&endpoint("X-Key", "k\n1")).unwrap_err();
        assert!(!bad.contains("k\n1"), "{bad}");
    }

    #[test]
    fn local_addresses_are_known() {
        for url in [
            "http://127.0.0.1:80/x",
            "http://localhost",
            "ws://[::1]:3/",
            "http://u@localhost:1",
        ] {
            assert!(is_local(url), "{url}");
        }
        assert!(!is_local("https://example.org/localhost"));
    }
}
