//! What a peer asked for: the requests in its bytes, as a foreign parser reads them.

use abeyance::Message;
use http::Uri;

/// One request.
#[derive(Debug)]
pub(super) struct SentRequest {
    pub(super) method: String,
    uri: Option<Uri>,
    /// Names in lower case.
    fields: Vec<(String, Vec<u8>)>,
    /// `None` where it did not all come, or cannot be read.
    body: Option<Vec<u8>>,
}

/// What a message may have at `/hold/`.
const LONGEST: usize = 1024;

/// All requests, until one that is not whole, or of which a careful reader would not say where it ends.
pub(super) fn sent_requests(mut bytes: &[u8]) -> Vec<SentRequest> {
    let mut all = Vec::new();
    while let Some((request, rest)) = one(bytes) {
        bytes = rest;
        let is_last = request.body.is_none() || request.method == "CONNECT";
        all.push(request);
        if is_last {
            break;
        }
    }
    all
}

fn one(bytes: &[u8]) -> Option<(SentRequest, &[u8])> {
    let mut fields = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = request.parse(bytes) else { return None };
    let mut request = SentRequest {
        method: request.method?.to_owned(),
        uri: request.path?.parse().ok(),
        fields: request
            .headers
            .iter()
            .map(|field| (field.name.to_lowercase(), field.value.to_vec()))
            .collect(),
        body: None,
    };
    let (body, rest) = request.cut(&bytes[end..]).unzip();
    request.body = body;
    Some((request, rest.unwrap_or_default()))
}

impl SentRequest {
    /// The first field of this name.
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The body, and what stands behind it.
    fn cut<'a>(&self, bytes: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
        let mut codings = self.all("transfer-encoding");
        match (codings.next(), codings.next()) {
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => return dechunked(bytes),
            (None, _) => {}
            _ => return None,
        }
        let mut lengths = self.all("content-length");
        let Some(length) = lengths.next() else { return Some((Vec::new(), bytes)) };
        if lengths.any(|other| other != length) || !length.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let length = std::str::from_utf8(length).ok()?.parse().ok()?;
        let (body, rest) = bytes.split_at_checked(length)?;
        Some((body.to_vec(), rest))
    }

    /// Whether it speaks at `/hold/` with this token, and nothing else.
    pub(super) fn is_by(&self, token: &str) -> bool {
        let Some(uri) = &self.uri else { return false };
        let how = uri.path().strip_prefix("/hold/");
        let named = match self.field("abeyance-hold") {
            Some(named) => String::from_utf8_lossy(named).into_owned(),
            None => {
                let pairs =
                    serde_urlencoded::from_str::<Vec<(String, String)>>(uri.query().unwrap_or_default());
                let pair = pairs.unwrap_or_default().into_iter().find(|(name, _)| name == "hold");
                pair.map(|(_, value)| value).unwrap_or_default()
            }
        };
        how.is_some_and(|how| !how.is_empty() && !how.contains('/')) && named == token
    }

    /// The message in it, if it is a good one.
    pub(super) fn message(&self) -> Option<Message> {
        let body = self.body.clone().filter(|body| self.method == "POST" && body.len() <= LONGEST)?;
        match self.is_binary() {
            true => Some(Message::from(body)),
            false => String::from_utf8(body).ok().map(Message::from),
        }
    }

    fn is_binary(&self) -> bool {
        let said = self.field("content-type").unwrap_or_default();
        let is_plain = said.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        let media_type = said.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        is_plain && media_type.eq_ignore_ascii_case(b"application/octet-stream")
    }
}

/// A body in chunks, and what stands behind it.
fn dechunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes) else {
            return None;
        };
        bytes = &bytes[start..];
        if size == 0 {
            let mut trailers = [httparse::EMPTY_HEADER; 100];
            return match httparse::parse_headers(bytes, &mut trailers) {
                Ok(httparse::Status::Complete((end, _))) => Some((body, &bytes[end..])),
                _ => None,
            };
        }
        let (chunk, rest) = bytes.split_at_checked(usize::try_from(size).ok()?)?;
        body.extend_from_slice(chunk);
        bytes = rest.strip_prefix(b"\r\n")?;
    }
}
