//! The query as a type.

use axum_core::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::super::refusal::Refusal;

/// What the query of the request's URI holds.
///
/// ```
/// use abeyance::{Suspend, extract::Query, suspend};
///
/// #[derive(serde::Deserialize)]
/// struct Who { nick: String }
///
/// #[suspend]
/// async fn enter(Query(who): Query<Who>) -> Suspend {
///     Suspend::new().reply(format!("welcome, {}", who.nick))
/// }
/// ```
///
/// # Rejection
/// `400 Bad Request` when the query cannot be read as a `T`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let read = serde_urlencoded::from_str(parts.uri.query().unwrap_or_default());
        read.map(Query).map_err(|fault| Refusal::bad_request(format!("the query: {fault}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    async fn query<T: DeserializeOwned>(uri: &'static str) -> Result<T, Refusal> {
        let mut request = http::Request::new(());
        *request.uri_mut() = http::Uri::from_static(uri);
        let (mut parts, ()) = request.into_parts();
        Query::<T>::from_request_parts(&mut parts, &()).await.map(|Query(value)| value)
    }

    #[tokio::test]
    async fn a_query_is_read_and_a_faulty_one_is_a_400() {
        let read = query::<HashMap<String, String>>("/?nick=a+b%26c").await;
        assert_eq!(read, Ok(HashMap::from([("nick".into(), "a b&c".into())])));
        assert_eq!(query::<HashMap<String, String>>("/").await, Ok(HashMap::new()));
        let refused = query::<Vec<(String, u32)>>("/?seat=first").await.unwrap_err();
        assert_eq!(refused.status(), http::StatusCode::BAD_REQUEST);
    }
}
