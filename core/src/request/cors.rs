//! Whether a page of another site may hold a connection here (what CORS alone does not answer: WebSockets know no CORS).

use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::words::allowed_origins::{AllowedOrigins, Leave};

/// The answer for a request that may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OriginVerdict {
    /// From this site, or from no page at all.
    #[default]
    Own,
    /// From another site that is allowed: it needs CORS headers that name it.
    Foreign(HeaderValue),
    /// From any site, since all are allowed: without what its browser adds of its own accord.
    Any,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignOrigin {
    /// No browser sends two origins.
    Ambiguous,
    /// It is of another site; what was compared.
    Unknown { origin: String, host: Option<String> },
}

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Judges the request's `Origin`. `is_proxied` says that the peer is a proxy we trust. May run code of the application's.
pub fn judge(
    headers: &HeaderMap,
    is_proxied: bool,
    allowed: &AllowedOrigins<'_>,
) -> Result<OriginVerdict, ForeignOrigin> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(OriginVerdict::Own) };
    if origins.next().is_some() {
        return Err(ForeignOrigin::Ambiguous);
    }
    // Browsers alone can set it, and pages cannot.
    if headers.get(FETCH_SITE).is_some_and(|site| site == "same-origin" || site == "none") {
        return Ok(OriginVerdict::Own);
    }
    let text = origin.to_str().unwrap_or_default();
    let forwarded = forwarded_host(headers).filter(|_| is_proxied);
    let host = forwarded.or_else(|| headers.get(header::HOST)?.to_str().ok());
    if host.is_some_and(|host| is_own(text, host)) {
        return Ok(OriginVerdict::Own);
    }
    match allowed.leave(text) {
        Some(Leave::Named) => Ok(OriginVerdict::Foreign(origin.clone())),
        Some(Leave::Any) => Ok(OriginVerdict::Any),
        None => Err(ForeignOrigin::Unknown { origin: text.to_owned(), host: host.map(str::to_owned) }),
    }
}

/// The host that the client asked the first of the proxies for. Several fields are one list.
fn forwarded_host(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(FORWARDED_HOST).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).find(|host| !host.is_empty())
}

/// Whether the origin is this host's. Only what a browser loads from a host of ours can be.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        _ if scheme.eq_ignore_ascii_case("http") => "80",
        _ if scheme.eq_ignore_ascii_case("https") => "443",
        _ => return false,
    };
    let authority = plain(authority, port);
    !authority.is_empty() && authority.eq_ignore_ascii_case(plain(host, port))
}

/// The authority without the usual port of its scheme, or without an empty one.
fn plain<'a>(authority: &'a str, usual: &str) -> &'a str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.is_empty() || port == usual => host,
        _ => authority,
    }
}

/// Takes from the head what a browser added of its own accord, where its page may not use it.
pub fn disarm(passage: &OriginVerdict, headers: &mut HeaderMap) {
    if *passage != OriginVerdict::Any {
        return;
    }
    headers.remove(header::COOKIE);
    // Of a `fetch` it is the page's own: one that the browser knew would have needed credentials.
    if headers.contains_key(header::UPGRADE) {
        headers.remove(header::AUTHORIZATION);
    }
}

/// The CORS headers with which a page of another site can hold, poll with `Last-Event-ID`, and speak by `POST`.
pub fn permit(passage: &OriginVerdict, headers: &mut HeaderMap) {
    // No `Vary` for the others: nothing held is cacheable, and a header map costs every long poll memory.
    match passage {
        OriginVerdict::Own => return,
        OriginVerdict::Foreign(origin) => {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        OriginVerdict::Any => {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }
    let exposed = HeaderValue::from_static("Abeyance-Hold, Abeyance-Resync, Last-Event-ID, Retry-After");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// The further headers of a preflight's answer; `allowed` are those that the application's pages send.
pub fn preflight(passage: &OriginVerdict, allowed: &[String], headers: &mut HeaderMap) {
    if *passage == OriginVerdict::Own {
        return;
    }
    let methods = HeaderValue::from_static("GET, POST, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    let names = OURS.iter().copied().chain(allowed.iter().map(String::as_str)).collect::<Vec<_>>().join(", ");
    // What was set up are names of fields, so this always is a value.
    if let Ok(names) = HeaderValue::try_from(names) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
}

/// What a page of another site may always send.
const OURS: [&str; 5] = ["Abeyance-Hold", "Last-Event-ID", "Content-Type", "Cache-Control", "Authorization"];

/// The first header for which a preflight asks and that its page may not send.
pub fn unmet(passage: &OriginVerdict, allowed: &[String], headers: &HeaderMap) -> Option<String> {
    if *passage == OriginVerdict::Own {
        return None;
    }
    let asked = headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names = asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let is_met = |name: &str| {
        let known = OURS.iter().copied().chain(allowed.iter().map(String::as_str));
        name.is_empty() || known.into_iter().any(|known| known.eq_ignore_ascii_case(name))
    };
    names.map(str::trim).find(|name| !is_met(name)).map(str::to_owned)
}

impl fmt::Display for ForeignOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForeignOrigin::Ambiguous => f.write_str("there is more than one `Origin`"),
            ForeignOrigin::Unknown { origin, host } => {
                let host = host.as_deref().unwrap_or("(none)");
                write!(f, "the origin {origin:?} is not the host {host:?}, and not among `allowed_origins`")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(
        headers: &[(&'static str, &'static str)],
        is_proxied: bool,
    ) -> Result<OriginVerdict, ForeignOrigin> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let named = ["https://friend.example", "capacitor://localhost"].map(str::to_owned).to_vec();
        judge(&map, is_proxied, &AllowedOrigins { named: &named, judge: None })
    }

    #[test]
    fn no_origin_and_the_own_origin_pass() {
        assert_eq!(judged(&[("host", "a.example")], false), Ok(OriginVerdict::Own));
        for (origin, host) in [
            ("http://a.example:8080", "a.example:8080"),
            ("https://a.example", "a.example"),
            ("https://a.example", "A.example:443"),
            ("http://a.example:80", "a.example"),
        ] {
            let headers = [("origin", origin), ("host", host)];
            assert_eq!(judged(&headers, false), Ok(OriginVerdict::Own), "{origin} at {host}");
        }
    }

    #[test]
    fn the_browsers_own_word_passes() {
        let headers = [("origin", "https://other.example"), ("host", "a"), ("sec-fetch-site", "same-origin")];
        assert_eq!(judged(&headers, false), Ok(OriginVerdict::Own));
        let cross = [("origin", "https://other.example"), ("host", "a"), ("sec-fetch-site", "cross-site")];
        assert!(judged(&cross, false).is_err());
    }

    #[test]
    fn strangers_are_told_what_was_compared() {
        let foreign_origin =
            judged(&[("origin", "https://evil.example"), ("host", "a.example")], false).unwrap_err();
        let told = "the origin \"https://evil.example\" is not the host \"a.example\", and not among `allowed_origins`";
        assert_eq!(foreign_origin.to_string(), told);
        assert!(judged(&[("origin", "null"), ("host", "null")], false).is_err());
        assert!(judged(&[("origin", "http://a.example:81"), ("host", "a.example")], false).is_err());
    }

    #[test]
    fn only_pages_that_a_host_serves_are_its_own() {
        for (origin, host) in [
            ("://h", "h"),
            ("chrome-extension://h", "h"),
            ("capacitor://h", "h"),
            ("http://", ""),
            ("http://:80", ""),
            ("http://", ":80"),
            ("https://h:80", "h"),
            ("http://h:443", "h"),
            ("h", "h"),
        ] {
            assert!(judged(&[("origin", origin), ("host", host)], false).is_err(), "{origin} at {host}");
        }
        let twice = [("origin", "http://a"), ("origin", "http://a"), ("host", "a")];
        assert_eq!(judged(&twice, false), Err(ForeignOrigin::Ambiguous));
    }

    #[test]
    fn origins_without_a_host_of_their_own_can_be_allowed() {
        let headers = [("origin", "capacitor://localhost"), ("host", "a")];
        let passage = OriginVerdict::Foreign(HeaderValue::from_static("capacitor://localhost"));
        assert_eq!(judged(&headers, false), Ok(passage));
    }

    #[test]
    fn where_all_are_allowed_no_page_brings_cookies() {
        let origin = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static("https://a.example"))]);
        let all = AllowedOrigins { named: &["*".to_owned()], judge: None };
        let passage = judge(&origin, false, &all).unwrap();
        assert_eq!(passage, OriginVerdict::Any);
        let mut answer = HeaderMap::new();
        permit(&passage, &mut answer);
        assert_eq!(answer["access-control-allow-origin"], "*");
        assert!(!answer.contains_key("access-control-allow-credentials"));
        for (upgrade, left) in [(None, 1), (Some("websocket"), 0)] {
            let mut head = HeaderMap::new();
            head.insert(header::COOKIE, HeaderValue::from_static("session=1"));
            head.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
            if let Some(upgrade) = upgrade {
                head.insert(header::UPGRADE, HeaderValue::from_static(upgrade));
            }
            disarm(&passage, &mut head);
            assert_eq!(head.iter().filter(|(name, _)| *name != header::UPGRADE).count(), left);
            assert!(!head.contains_key(header::COOKIE));
        }
    }

    #[test]
    fn of_several_forwarded_hosts_the_first_counts_in_one_field_or_in_many() {
        let asked = |forwarded: &[&'static str], origin| {
            let mut headers = vec![("origin", origin), ("host", "inner")];
            headers.extend(forwarded.iter().map(|host| ("x-forwarded-host", *host)));
            judged(&headers, true)
        };
        for forwarded in [&["a.example, inner"][..], &["a.example", "inner"], &["", "a.example"]] {
            assert_eq!(asked(forwarded, "https://a.example"), Ok(OriginVerdict::Own), "{forwarded:?}");
            assert!(asked(forwarded, "https://inner").is_err(), "{forwarded:?}");
        }
        // One that names no site is none.
        assert_eq!(asked(&[""], "https://inner"), Ok(OriginVerdict::Own));
    }

    #[test]
    fn a_forwarded_host_counts_only_from_a_trusted_proxy() {
        let headers =
            [("origin", "https://a.example"), ("host", "upstream"), ("x-forwarded-host", "a.example")];
        assert_eq!(judged(&headers, true), Ok(OriginVerdict::Own));
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

    #[test]
    fn a_preflight_names_what_the_application_allows_beside_what_we_need() {
        let mut headers = HeaderMap::new();
        preflight(&OriginVerdict::Any, &["X-CSRF-Token".to_owned(), "traceparent".to_owned()], &mut headers);
        let names = headers["access-control-allow-headers"].to_str().unwrap();
        assert!(
            names.starts_with("Abeyance-Hold, ") && names.ends_with(", X-CSRF-Token, traceparent"),
            "{names}"
        );
    }
}
