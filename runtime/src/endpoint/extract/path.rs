//! The captures of the path as a type.

use axum_core::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::super::refusal::Refusal;
use super::captures::Captures;
use super::misfit::Misfit;

/// What the `{captures}` of the path hold: one value, a tuple in their order, a struct or map by their names, or a
/// `Vec`. Percent-encoding is undone once.
///
/// ```
/// use abeyance::{Suspend, extract::Path, suspend};
///
/// #[suspend(path = "/rooms/{room}/seats/{seat}")]
/// async fn enter(Path((room, seat)): Path<(String, u32)>) -> Suspend {
///     Suspend::new().join(format!("{room}-{seat}"))
/// }
/// ```
///
/// # Rejection
/// `400 Bad Request`, naming the capture, when a value cannot be read. A type that does not fit its own path is answered
/// `500 Internal Server Error` and logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let Some(captures) = parts.extensions.get::<Captures>() else {
            tracing::error!("`abeyance::extract::Path` was taken outside of a `#[suspend]` function");
            return Err(unusable());
        };
        let read = captures.decoded().and_then(|decoded| T::deserialize(decoded));
        read.map(Path).map_err(|misfit| match misfit {
            Misfit::Value { .. } => Refusal::bad_request(misfit.to_string()),
            Misfit::Shape(_) => {
                let wanted = std::any::type_name::<T>();
                tracing::error!(path = parts.uri.path(), wanted, %misfit, "`Path` does not fit its path");
                unusable()
            }
        })
    }
}

fn unusable() -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use serde::Deserialize;

    use super::*;

    async fn path<T: DeserializeOwned>(captured: &[(&str, &str)]) -> Result<T, Refusal> {
        let captured = captured.iter().map(|(name, value)| (Arc::from(*name), String::from(*value)));
        let (mut parts, ()) = http::Request::new(()).into_parts();
        parts.extensions.insert(Captures::new(captured.collect()));
        Path::<T>::from_request_parts(&mut parts, &()).await.map(|Path(value)| value)
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Seat {
        room: String,
        seat: u32,
        #[serde(default)]
        side: Option<Side>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Side {
        Left,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Name(String);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Two(String, u8);

    const ROOM: &[(&str, &str)] = &[("room", "a%20b%2Fc%2541")];
    const SEAT: &[(&str, &str)] = &[("room", "x"), ("seat", "7")];

    #[tokio::test]
    async fn one_capture_is_a_value_decoded_once() {
        assert_eq!(path::<String>(ROOM).await, Ok("a b/c%41".into()));
        assert_eq!(path::<Name>(ROOM).await, Ok(Name("a b/c%41".into())));
        assert_eq!(path::<Option<String>>(ROOM).await, Ok(Some("a b/c%41".into())));
        assert_eq!(path::<(String,)>(ROOM).await, Ok(("a b/c%41".into(),)));
        assert_eq!(path::<i64>(&[("n", "-3")]).await, Ok(-3));
        assert_eq!(path::<(char, bool)>(&[("c", "%C3%A9"), ("b", "true")]).await, Ok(('é', true)));
        assert_eq!(path::<Side>(&[("side", "left")]).await, Ok(Side::Left));
    }

    #[tokio::test]
    async fn several_captures_are_a_tuple_a_struct_a_list_or_a_map() {
        assert_eq!(path::<(String, u32)>(SEAT).await, Ok(("x".into(), 7)));
        assert_eq!(path::<Two>(SEAT).await, Ok(Two("x".into(), 7)));
        assert_eq!(path::<Seat>(SEAT).await, Ok(Seat { room: "x".into(), seat: 7, side: None }));
        let sided = [("side", "left"), ("seat", "7"), ("room", "x")];
        assert_eq!(path::<Seat>(&sided).await.map(|seat| seat.side), Ok(Some(Side::Left)));
        assert_eq!(path::<Vec<String>>(SEAT).await, Ok(vec!["x".into(), "7".into()]));
        let pairs: Vec<(String, String)> = vec![("room".into(), "x".into()), ("seat".into(), "7".into())];
        assert_eq!(path::<Vec<(String, String)>>(SEAT).await, Ok(pairs.clone()));
        assert_eq!(path::<HashMap<String, String>>(SEAT).await, Ok(pairs.into_iter().collect()));
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_read_is_a_400_that_names_it() {
        let seat = [("room", "x"), ("seat", "first")];
        for refused in [path::<Seat>(&seat).await.err(), path::<(String, u32)>(&seat).await.err()] {
            let told = "`seat` in the path: expected an integer of type u32, found \"first\"";
            assert_eq!(refused, Some(Refusal::bad_request(told)));
        }
        let utf8 = path::<String>(&[("room", "%FF")]).await.unwrap_err();
        assert_eq!(utf8, Refusal::bad_request("`room` in the path: not UTF-8"));
        let side = path::<Side>(&[("side", "up")]).await.unwrap_err();
        assert_eq!(side.status(), StatusCode::BAD_REQUEST);
        assert!(side.text().starts_with("`side` in the path"), "{side}");
        assert_eq!(
            path::<std::net::IpAddr>(&[("ip", "x")]).await.unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
    }

    #[tokio::test]
    async fn a_type_that_does_not_fit_the_path_is_our_own_fault() {
        let statuses = [
            path::<String>(SEAT).await.map(drop),
            path::<(String,)>(SEAT).await.map(drop),
            path::<(String, u32, u32)>(SEAT).await.map(drop),
            path::<Seat>(ROOM).await.map(drop),
        ];
        for refused in statuses {
            assert_eq!(refused.unwrap_err().status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
    }
}
