//! Whether everybody who reads a request agrees where it ends and for whom it is. Where a proxy in front of us may read it
//! otherwise, one request can hide in another.

use http::header::{self, HeaderMap};
use http::{Request, Version};

/// Judges a request's head; the error is what is wrong with it.
///
/// hyper has refused most of it before: lengths that differ or are no numbers, a coding whose last is not `chunked`. Of
/// `Content-Length` beside `Transfer-Encoding` it leaves no trace here, but reads the chunks and closes after the answer.
pub(super) fn judge<B>(request: &Request<B>) -> Result<(), &'static str> {
    let headers = request.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        _ => return Err("the only `Transfer-Encoding` is one `chunked`"),
    }
    match hosts(headers) {
        1 => Ok(()),
        0 if request.version() < Version::HTTP_11 => Ok(()),
        0 => Err("`Host` is missing"),
        _ => Err("there is more than one `Host`"),
    }
}

fn hosts(headers: &HeaderMap) -> usize {
    headers.get_all(header::HOST).iter().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_one_host_and_at_most_one_coding() {
        for (fields, is_right) in [
            (&[("host", "a")][..], true),
            (&[("host", "a"), ("transfer-encoding", "Chunked")], true),
            (&[("host", "a"), ("transfer-encoding", "identity, chunked")], false),
            (&[("host", "a"), ("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], false),
            (&[("host", "a"), ("host", "b")], false),
            (&[], false),
        ] {
            let mut request = Request::get("/");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            assert_eq!(judge(&request.body(()).unwrap()).is_ok(), is_right, "{fields:?}");
        }
        let old = Request::get("/").version(Version::HTTP_10).body(()).unwrap();
        assert_eq!(judge(&old), Ok(()));
    }
}
