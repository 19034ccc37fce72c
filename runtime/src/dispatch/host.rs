//! For which host a request is (RFC 9110 §7.2, RFC 9112 §3.2): one, and one that everybody reads alike.

use http::header::{self, HeaderValue};
use http::uri::Uri;
use http::{Method, Request, Version};

/// Judges the target and `Host`, and has `Host` say what counts; the error is what is wrong.
pub(super) fn settle<B>(request: &mut Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err("there is more than one `Host`"),
        (Some(host), None) if !is_host(host.as_bytes()) => return Err("`Host` names no host"),
        (None, _) if request.version() >= Version::HTTP_11 => return Err("`Host` is missing"),
        _ => {}
    }
    let target = request.uri();
    let is_alone = target.scheme().is_none() && target.authority().is_some();
    match (request.method(), target.path()) {
        (&Method::CONNECT, _) => return if is_alone { Ok(()) } else { Err("the target is no authority") },
        (method, "*") if *method != Method::OPTIONS => return Err("only `OPTIONS` is for all targets"),
        _ if is_alone => return Err("only `CONNECT` has an authority as its target"),
        _ => {}
    }
    if let Some(host) = of_target(target)? {
        // What a client says in an absolute target outweighs what it says elsewhere (RFC 9112 §3.2.2).
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(())
}

/// The host of a target that names one.
fn of_target(target: &Uri) -> Result<Option<HeaderValue>, &'static str> {
    let Some(scheme) = target.scheme_str() else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("the target's scheme is not served here");
    }
    let authority = target.authority().map_or("", |authority| authority.as_str());
    match HeaderValue::try_from(authority) {
        Ok(host) if !authority.is_empty() && is_host(authority.as_bytes()) => Ok(Some(host)),
        _ => Err("the target names no host"),
    }
}

/// Whether this is a host and perhaps a port (RFC 3986 §3.2.2), or empty, as where the target has no authority.
///
/// A comma, though RFC 3986 lets names have one, makes a list of hosts for others.
fn is_host(text: &[u8]) -> bool {
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, port) = (&rest[..end], &rest[end + 1..]);
            if !is_literal(address) {
                return false;
            }
            match port {
                [] => return true,
                [b':', port @ ..] => return is_port(port),
                _ => return false,
            }
        }
        _ => match text.iter().position(|byte| *byte == b':') {
            Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
            None => (text, None),
        },
    };
    is_name(host) && port.is_none_or(|port| !host.is_empty() && is_port(port))
}

fn is_port(text: &[u8]) -> bool {
    let number = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    number.is_some_and(|number| number.is_empty() || number.parse::<u16>().is_ok())
}

fn is_literal(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_name(text: &[u8]) -> bool {
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return true,
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest,
            [byte, rest @ ..] if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(byte) => rest,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(method: &str, target: &str, hosts: &[&[u8]]) -> Result<Option<String>, &'static str> {
        let mut request = Request::builder().method(method).uri(target).body(()).unwrap();
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_bytes(host).unwrap());
        }
        settle(&mut request)?;
        Ok(request.headers().get(header::HOST).map(|host| host.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for host in
            ["", "a", "a.example:8080", "a:", "127.0.0.1", "[::1]", "[::1]:80", "a_b", "%c3%a9", "h:65535"]
        {
            assert_eq!(settled("GET", "/", &[host.as_bytes()]), Ok(Some(host.to_owned())), "{host}");
        }
        for host in [
            &b"a b"[..],
            b"u@h",
            b"h/x",
            b"h?x",
            b"h#x",
            b"[::1",
            b"::1",
            b"[::1]80",
            b"[a]",
            b"[]",
            b"h:99999",
            b"h:x",
            b"h:-1",
            b"h:+1",
            b":80",
            b"a,b",
            b"a%2",
            b"\xc3\xa9",
            b"http://h",
        ] {
            assert_eq!(settled("GET", "/", &[host]), Err("`Host` names no host"), "{host:?}");
        }
        assert_eq!(settled("GET", "/", &[]), Err("`Host` is missing"));
        assert_eq!(settled("GET", "/", &[b"a", b"a"]), Err("there is more than one `Host`"));
        let old = &mut Request::get("/").version(Version::HTTP_10).body(()).unwrap();
        assert_eq!(settle(old), Ok(()));
    }

    #[test]
    fn a_host_in_the_target_outweighs_the_field() {
        assert_eq!(settled("GET", "http://a:81/x", &[b"b"]), Ok(Some("a:81".to_owned())));
        assert_eq!(settled("OPTIONS", "*", &[b"b"]), Ok(Some("b".to_owned())));
        assert_eq!(settled("CONNECT", "a:80", &[b"a:80"]), Ok(Some("a:80".to_owned())));
        for (method, target) in [
            ("GET", "http://u@a/x"),
            ("GET", "ftp://a/x"),
            ("GET", "a:80"),
            ("GET", "*"),
            ("CONNECT", "http://a/"),
            ("CONNECT", "/"),
        ] {
            assert!(settled(method, target, &[b"b"]).is_err(), "{method} {target}");
        }
    }
}
