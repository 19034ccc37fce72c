//! Short answers that the server writes without hyper. The connection closes after them.

use http::StatusCode;

use crate::dispatch::http_date;

/// A whole answer. `retry` is when the client may come back, in seconds.
pub(super) fn plain_answer(status: StatusCode, retry: Option<u8>, text: &str) -> String {
    let (date, length) = (http_date(), text.len());
    let retry = retry.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
    let content = if text.is_empty() { "" } else { "Content-Type: text/plain; charset=utf-8\r\n" };
    format!(
        "HTTP/1.1 {status}\r\nDate: {date}\r\nConnection: close\r\nCache-Control: no-store\r\n{retry}{content}\
         Content-Length: {length}\r\n\r\n{text}"
    )
}
