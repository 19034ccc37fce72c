//! The last message a returning client has seen.

use std::borrow::Cow;
use std::convert::Infallible;

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use abeyance_core::words::stay_away;

/// The id of the last message the client has seen: the `Last-Event-ID` header that a returning `EventSource` sends, or
/// else `?last_event_id=`; `None` for a client that is new.
///
/// Replay does not need it: what was missed in topics that [keep their past](crate::Retention) comes by itself, behind what
/// the function [replies](crate::Suspend::reply). It is for functions that treat a newcomer otherwise than one who comes
/// back:
///
/// ```
/// use abeyance::extract::{LastEventId, State};
/// use abeyance::{Suspend, suspend};
///
/// #[derive(Clone)]
/// struct Motto(String);
///
/// #[suspend]
/// async fn news(LastEventId(last): LastEventId, State(Motto(motto)): State<Motto>) -> Suspend {
///     let hold = Suspend::new().join("news");
///     if last.is_none() { hold.reply(motto) } else { hold }
/// }
/// ```
///
/// That a client has one does not say that it is good: it may be of another start of the server, and then the client is
/// told to load anew what it shows. It may also be what another server gave that lived at this URL, so it can be any text.
/// Where the function joins a topic that keeps its past, an id of this start of the server that is yet to come
/// is refused with `400` after the function; where it joins none, the text is the application's own affair, for
/// instance the client's place in a log that the application keeps. A long poll's answer then says the next one by
/// `Suspend::header("last-event-id", ..)`.
///
/// What is given twice is read as HTTP combines it, `a, b`: which of them is meant is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LastEventId(pub Option<String>);

impl LastEventId {
    /// Reads it from the head of a request. Bytes that are not UTF-8 are read as far as they go.
    pub(crate) fn of(parts: &Parts) -> Self {
        let fields = parts.headers.get_all("last-event-id").iter();
        let header = combined(fields.map(|value| String::from_utf8_lossy(value.as_bytes())));
        let query = || {
            let pairs = parts.uri.query()?.split('&');
            let values = pairs.filter_map(|pair| pair.strip_prefix("last_event_id="));
            combined(values.map(|value| percent_decode_str(value).decode_utf8_lossy()))
        };
        let id = header.or_else(query);
        // A client that comes back all the same resumes where it was.
        let behind_mark = |id: String| match stay_away::behind_mark(&id) {
            Some("") => None,
            Some(behind) => Some(behind.to_owned()),
            None => Some(id),
        };
        LastEventId(id.and_then(behind_mark))
    }

    /// Whether it is an `EventSource` that was told to stay away, and comes back by itself. A page that comes back because
    /// its user wants it to opens a new one, which has no such header.
    pub(crate) fn says_stay_away(parts: &Parts) -> bool {
        let mut fields = parts.headers.get_all("last-event-id").iter();
        fields.any(|value| value.to_str().is_ok_and(|id| stay_away::behind_mark(id).is_some()))
    }
}

/// What was given; where it was given more than once, all of it (RFC 9110 §5.3).
fn combined<'a>(values: impl Iterator<Item = Cow<'a, str>>) -> Option<String> {
    let given: Vec<_> = values.filter(|id| !id.is_empty()).collect();
    (!given.is_empty()).then(|| given.join(", "))
}

impl<S: Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(LastEventId::of(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uri: &'static str, header: Option<&'static str>) -> Option<String> {
        let mut request = http::Request::builder().uri(uri);
        if let Some(header) = header {
            request = request.header("Last-Event-ID", header);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        LastEventId::of(&parts).0
    }

    #[test]
    fn the_header_stands_before_the_query() {
        assert_eq!(read("/", None), None);
        assert_eq!(read("/?last_event_id=a%2D1", None).as_deref(), Some("a-1"));
        assert_eq!(read("/?x=1&last_event_id=q", Some("h")).as_deref(), Some("h"));
        assert_eq!(read("/?last_event_id=q", Some("")).as_deref(), Some("q"));
        assert_eq!(read("/?last_event_id=", None), None);
    }

    #[test]
    fn the_mark_of_who_was_to_stay_away_is_no_part_of_the_id() {
        assert_eq!(read("/", Some("abeyance-stay-away")), None);
        assert_eq!(read("/?last_event_id=abeyance-stay-away", None), None);
        assert_eq!(read("/?last_event_id=abeyance-stay-away%2Fa-1", None).as_deref(), Some("a-1"));
    }

    #[test]
    fn what_is_given_twice_is_neither_of_them() {
        assert_eq!(read("/?last_event_id=a&last_event_id=b", None).as_deref(), Some("a, b"));
        assert_eq!(read("/?last_event_id=&last_event_id=b", None).as_deref(), Some("b"));
        let request = http::Request::builder().header("last-event-id", "a").header("last-event-id", "b");
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        assert_eq!(LastEventId::of(&parts).0.as_deref(), Some("a, b"));
    }
}
