//! The `Date` of answers that we write ourselves.

/// Now, as RFC 9110 §6.6.1 wants it.
pub(crate) fn http_date() -> String {
    #[expect(clippy::disallowed_methods, reason = "the one place that tells peers the wall-clock time")]
    let now = std::time::SystemTime::now();
    httpdate::fmt_http_date(now)
}
