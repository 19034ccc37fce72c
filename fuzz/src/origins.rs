//! Whose page asks: no page of another site passes for one of ours.

use http::HeaderMap;

use abeyance_core::request::cors::{OriginVerdict, judge, permit, preflight};
use abeyance_core::words::allowed_origins::{self, AllowedOrigins};

/// Fields as text, a line each; those named `allowed` say what is allowed.
pub(crate) fn origins(data: &[u8]) {
    let mut headers = crate::request::fields(data.split(|byte| *byte == b'\n'));
    let allowed = headers.get_all("allowed").iter().filter_map(|value| value.to_str().ok());
    // Others are refused at start.
    let named: Vec<String> = allowed.filter_map(|origin| allowed_origins::read(origin).ok()).collect();
    let allowed = AllowedOrigins { named: &named, judge: None };
    headers.remove("allowed");
    for is_proxied in [false, true] {
        let judged = judge(&headers, is_proxied, &allowed);
        match &judged {
            Ok(passage) => {
                let mut answer = HeaderMap::new();
                permit(passage, &mut answer);
                preflight(passage, &[], &mut answer);
                match passage {
                    OriginVerdict::Own => {
                        assert!(is_own(&headers, is_proxied), "{headers:?}");
                        assert!(answer.is_empty());
                    }
                    OriginVerdict::Foreign(origin) => {
                        let origin = origin.to_str().expect("allowed are texts");
                        assert!(allowed.named.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)));
                        assert_eq!(answer["access-control-allow-origin"], origin);
                    }
                    OriginVerdict::Any => {
                        assert!(!is_own(&headers, is_proxied), "{headers:?}");
                        assert!(allowed.named.iter().any(|allowed| allowed == "*"));
                        assert_eq!(answer["access-control-allow-origin"], "*");
                        assert!(!answer.contains_key("access-control-allow-credentials"));
                    }
                }
            }
            Err(stranger) => {
                assert!(!is_own(&headers, is_proxied), "{headers:?}");
                assert!(!stranger.to_string().contains(['\r', '\n']), "{stranger}");
            }
        }
    }
}

/// The same rule once more, by comparing hosts and ports.
fn is_own(headers: &HeaderMap, is_proxied: bool) -> bool {
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().ok());
    let Some(origin) = text("origin") else { return true };
    if headers.get_all("origin").iter().count() > 1 {
        return false;
    }
    if matches!(text("sec-fetch-site"), Some(Some("same-origin" | "none"))) {
        return true;
    }
    let forwarded: Vec<_> =
        headers.get_all("x-forwarded-host").iter().flat_map(|host| host.to_str()).collect();
    let forwarded = forwarded.join(",");
    let first = forwarded.split(',').map(str::trim).find(|host| is_proxied && !host.is_empty());
    let (Some(origin), Some(host)) = (origin, first.or(text("host").flatten())) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" => "443",
        "http" => "80",
        _ => return false,
    };
    let own = site(authority, port);
    !own.0.is_empty() && own == site(host, port)
}

/// A host and a port. The colons of an IPv6 address stand in brackets.
fn site(authority: &str, usual: &str) -> (String, String) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, "")) => (host, usual),
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, usual),
    };
    (host.to_ascii_lowercase(), port.to_owned())
}
