//! Whose business a request at an endpoint's path is: the endpoint's, or that of the fallback, which may have a route of
//! the same path.

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request};

use abeyance_core::mechanisms::wire::head::HOLD;

use super::client_post;
use abeyance_core::request::negotiate::query_value;

/// Whether it is the endpoint's: it wants to be held, or speaks for a hold; or it is a preflight of such a request.
pub(super) fn to_endpoint<B>(request: &Request<B>) -> bool {
    match *request.method() {
        // A `HEAD` asks about what `GET` gives, and that is held.
        Method::GET | Method::HEAD => true,
        Method::POST | Method::DELETE => client_post::token(request).is_some(),
        Method::OPTIONS => match request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD) {
            None => true,
            Some(method) if method == "GET" || method == "HEAD" => true,
            Some(method) if method == "POST" || method == "DELETE" => will_bring_token(request),
            Some(_) => false,
        },
        _ => false,
    }
}

/// Whether the request that a preflight announces will bring the token of a hold.
fn will_bring_token<B>(preflight: &Request<B>) -> bool {
    names(preflight.headers(), header::ACCESS_CONTROL_REQUEST_HEADERS, HOLD.as_str())
        || preflight.uri().query().is_some_and(|query| query_value(query, "hold").is_some())
}

fn names(headers: &HeaderMap, list: HeaderName, name: &str) -> bool {
    let values = headers.get_all(list).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(name))
}

/// Whether a method is one of HTTP's own, or PATCH. Of another it cannot be said that it is not allowed here.
pub(super) fn is_known(method: &Method) -> bool {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    known.contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_neither_holds_nor_speaks_is_the_fallbacks() {
        const ASKS: &str = "access-control-request-method";
        const WITH: &str = "access-control-request-headers";
        for (method, uri, fields, is_ours) in [
            ("GET", "/a", &[][..], true),
            ("HEAD", "/a", &[], true),
            ("POST", "/a", &[], false),
            ("POST", "/a?hold=x", &[], true),
            ("DELETE", "/a", &[("abeyance-hold", "x")], true),
            ("PUT", "/a?hold=x", &[], false),
            ("PATCH", "/a", &[], false),
            ("BREW", "/a", &[], false),
            ("OPTIONS", "/a", &[], true),
            ("OPTIONS", "/a", &[(ASKS, "GET")], true),
            ("OPTIONS", "/a", &[(ASKS, "PUT")], false),
            ("OPTIONS", "/a", &[(ASKS, "POST")], false),
            ("OPTIONS", "/a?hold=x", &[(ASKS, "POST")], true),
            ("OPTIONS", "/a", &[(ASKS, "DELETE"), (WITH, "content-type, abeyance-hold")], true),
        ] {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            assert_eq!(to_endpoint(&request.body(()).unwrap()), is_ours, "{method} {uri} {fields:?}");
        }
    }
}
