//! The head of a request, written as text: the target of the request, then a field a line.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Version};

/// Reads a head; what cannot stand in one is left out. `None` if the target is none.
pub(crate) fn head(text: &[u8]) -> Option<Parts> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let target = lines.next()?;
    let (version, target) = match target.strip_prefix(b"1.0 ") {
        Some(target) => (Version::HTTP_10, target),
        None => (Version::HTTP_11, target),
    };
    let mut request = Request::builder().uri(target).version(version).body(()).ok()?;
    *request.headers_mut() = fields(lines);
    Some(request.into_parts().0)
}

/// Reads fields, one a line.
pub(crate) fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in lines.take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let value = line[colon + 1..].trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    fields
}
