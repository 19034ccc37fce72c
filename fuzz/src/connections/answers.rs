//! What a peer was answered, as a foreign parser reads it: one answer for each request, well-formed as far as it goes.

use super::requests::SentRequest;

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) content_type: String,
    /// With which its client may speak.
    pub(super) token: Option<String>,
    /// How much was heard when its head was.
    pub(super) end: usize,
    /// As far as it came, without its framing.
    pub(super) body: Vec<u8>,
}

/// Reads all answers to these requests, until one that was cut, or that ends with its connection.
pub(super) fn answers(requests: &[SentRequest], heard: &[u8]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut rest = heard;
    while let Some(head) = Head::read(rest) {
        rest = &rest[head.length..];
        if head.is_interim() {
            continue;
        }
        let end = heard.len() - rest.len();
        let request = requests.get(answers.len());
        // What cannot be read is refused, and then nothing more can be.
        assert!(request.is_some() || (400..=499).contains(&head.code), "{} to no request", head.code);
        let is_last = request.is_none() || head.token.is_some();
        let (body, behind) = head.cut(rest, request.is_some_and(|request| request.method == "HEAD"));
        let Head { code, content_type, token, .. } = head;
        answers.push(Answer { code, content_type, token, end, body });
        let Some(behind) = behind else { break };
        assert!(!is_last || behind.is_empty(), "behind the last answer: {}", behind.escape_ascii());
        rest = behind;
    }
    answers
}

struct Head {
    length: usize,
    code: u16,
    content_type: String,
    token: Option<String>,
    framing: Framing,
}

enum Framing {
    Chunks,
    Length(usize),
    Close,
}

impl Head {
    /// `None` if it is not whole.
    fn read(bytes: &[u8]) -> Option<Head> {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return None,
            Err(error) => panic!("{error}: {}", bytes.escape_ascii()),
        };
        let field = |name: &str| {
            let mut values = response.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            let value = values.next().map(|field| String::from_utf8_lossy(field.value).into_owned());
            assert!(values.next().is_none(), "{name} twice: {}", bytes[..length].escape_ascii());
            value
        };
        let framing = match (field("transfer-encoding"), field("content-length")) {
            (None, None) => Framing::Close,
            (None, Some(length)) => Framing::Length(length.parse().expect("a length")),
            (Some(coding), None) if coding == "chunked" => Framing::Chunks,
            both => panic!("{both:?}"),
        };
        let code = response.code.filter(|code| (100..=599).contains(code)).expect("a status");
        let content_type = field("content-type").unwrap_or_default();
        Some(Head { length, code, content_type, token: field("abeyance-hold"), framing })
    }

    fn is_interim(&self) -> bool {
        self.code < 200 && self.code != 101
    }

    /// The body as far as it came, and what stands behind it if it is whole.
    fn cut<'a>(&self, rest: &'a [u8], is_bare: bool) -> (Vec<u8>, Option<&'a [u8]>) {
        match self.framing {
            _ if is_bare || matches!(self.code, 204 | 304) => (Vec::new(), Some(rest)),
            _ if self.code == 101 => (rest.to_vec(), None),
            Framing::Chunks => dechunked(rest),
            Framing::Length(length) => match rest.split_at_checked(length) {
                Some((body, behind)) => (body.to_vec(), Some(behind)),
                None => (rest.to_vec(), None),
            },
            Framing::Close => (rest.to_vec(), None),
        }
    }
}

/// What stands in chunks, as far as they are whole, and what stands behind the last one.
fn dechunked(mut rest: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut body = Vec::new();
    while let httparse::Status::Complete((start, size)) = httparse::parse_chunk_size(rest).expect("a chunk") {
        let Some((payload, end)) = rest[start..].split_at_checked(size as usize) else { break };
        let Some(next) = end.strip_prefix(b"\r\n") else {
            assert!(end.len() < 2, "a chunk longer than it says");
            break;
        };
        body.extend_from_slice(payload);
        if size == 0 {
            return (body, Some(next));
        }
        rest = next;
    }
    (body, None)
}
