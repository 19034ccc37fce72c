//! Whether everybody who reads a request agrees where it ends. Where a proxy in front of us may read it otherwise, one
//! request can hide in another.

use http::Request;
use http::header;

/// Judges a request's head; the error is what is wrong with it.
///
/// hyper has refused most of it before: lengths that differ or are no numbers, a coding whose last is not `chunked`. Of
/// `Content-Length` beside `Transfer-Encoding` it leaves no trace here, but reads the chunks and closes after the answer.
pub(super) fn judge<B>(request: &Request<B>) -> Result<(), &'static str> {
    let headers = request.headers();
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err("the only `Transfer-Encoding` is one `chunked`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_at_most_one_coding() {
        for (fields, is_right) in [
            (&[][..], true),
            (&[("transfer-encoding", "Chunked")], true),
            (&[("transfer-encoding", "identity, chunked")], false),
            (&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")], false),
        ] {
            let mut request = Request::get("/");
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            assert_eq!(judge(&request.body(()).unwrap()).is_ok(), is_right, "{fields:?}");
        }
    }
}
