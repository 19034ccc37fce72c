//! Whether a page of another site may hold a connection here (what CORS alone does not answer: WebSockets know no CORS).

use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The answer for a request that may pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passage {
    /// From this site, or from no page at all.
    Own,
    /// From another site that is allowed: it needs CORS headers that name it.
    Foreign(HeaderValue),
}

/// What was compared when a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    origin: String,
    host: Option<String>,
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Judges the request's `Origin`. `is_proxied` says that the peer is a proxy we trust.
pub(super) fn judge(headers: &HeaderMap, is_proxied: bool, allowed: &[String]) -> Result<Passage, Stranger> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(Passage::Own) };
    // Browsers alone can set it, and pages cannot.
    if headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin" || site == "none") {
        return Ok(Passage::Own);
    }
    let text = origin.to_str().unwrap_or_default();
    let forwarded = headers.get(FORWARDED_HOST).filter(|_| is_proxied);
    let host = forwarded.or(headers.get(header::HOST)).and_then(|host| host.to_str().ok());
    if let Some((scheme, authority)) = text.split_once("://")
        && let Some(host) = host
        && plain(authority, scheme).eq_ignore_ascii_case(plain(host, scheme))
    {
        return Ok(Passage::Own);
    }
    if allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(text)) {
        return Ok(Passage::Foreign(origin.clone()));
    }
    Err(Stranger { origin: text.to_owned(), host: host.map(str::to_owned) })
}

/// The CORS headers with which a page of another site can hold, poll with `Last-Event-ID`, and speak by `POST`.
pub(super) fn permit(passage: &Passage, headers: &mut HeaderMap) {
    // No `Vary` for the others: nothing held is cacheable, and a header map costs every long poll memory.
    let Passage::Foreign(origin) = passage else { return };
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    let exposed = HeaderValue::from_static("Abeyance-Hold, Abeyance-Resync, Last-Event-ID, Retry-After");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// The further headers of a preflight's answer.
pub(super) fn preflight(passage: &Passage, headers: &mut HeaderMap) {
    let Passage::Foreign(_) = passage else { return };
    let methods = HeaderValue::from_static("GET, POST, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let names =
        HeaderValue::from_static("Abeyance-Hold, Last-Event-ID, Content-Type, Cache-Control, Authorization");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
}

/// The authority without its scheme's own port.
fn plain<'a>(authority: &'a str, scheme: &str) -> &'a str {
    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    authority.strip_suffix(port).unwrap_or(authority)
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("(none)");
        write!(f, "the origin {:?} is not the host {host:?}, and not among `allowed_origins`", self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(headers: &[(&'static str, &'static str)], is_proxied: bool) -> Result<Passage, Stranger> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        judge(&headers, is_proxied, &["https://friend.example".to_owned()])
    }

    #[test]
    fn no_origin_and_the_own_origin_pass() {
        assert_eq!(judged(&[("host", "a.example")], false), Ok(Passage::Own));
        for (origin, host) in [
            ("http://a.example:8080", "a.example:8080"),
            ("https://a.example", "a.example"),
            ("https://a.example", "A.example:443"),
            ("http://a.example:80", "a.example"),
        ] {
            let headers = [("origin", origin), ("host", host)];
            assert_eq!(judged(&headers, false), Ok(Passage::Own), "{origin} at {host}");
        }
    }

    #[test]
    fn the_browsers_own_word_passes() {
        let headers = [("origin", "https://other.example"), ("host", "a"), ("sec-fetch-site", "same-origin")];
        assert_eq!(judged(&headers, false), Ok(Passage::Own));
        let cross = [("origin", "https://other.example"), ("host", "a"), ("sec-fetch-site", "cross-site")];
        assert!(judged(&cross, false).is_err());
    }

    #[test]
    fn strangers_are_told_what_was_compared() {
        let stranger =
            judged(&[("origin", "https://evil.example"), ("host", "a.example")], false).unwrap_err();
        let told = "the origin \"https://evil.example\" is not the host \"a.example\", and not among `allowed_origins`";
        assert_eq!(stranger.to_string(), told);
        assert!(judged(&[("origin", "null"), ("host", "null")], false).is_err());
        assert!(judged(&[("origin", "http://a.example:81"), ("host", "a.example")], false).is_err());
    }

    #[test]
    fn a_forwarded_host_counts_only_from_a_trusted_proxy() {
        let headers =
            [("origin", "https://a.example"), ("host", "upstream"), ("x-forwarded-host", "a.example")];
        assert_eq!(judged(&headers, true), Ok(Passage::Own));
        assert!(judged(&headers, false).is_err());
    }

    #[test]
    fn an_allowed_origin_gets_its_cors_headers() {
        let passage = judged(&[("origin", "https://friend.example"), ("host", "a")], false).unwrap();
        let mut headers = HeaderMap::new();
        permit(&passage, &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "https://friend.example");
        assert_eq!(headers["vary"], "Origin");
    }
}
