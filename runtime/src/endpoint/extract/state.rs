//! A value of the application.

use std::any::type_name;

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use super::super::refusal::Refusal;
use super::super::states::States;

/// A clone of the value of this type that the server was given with `Server::state`.
///
/// That the server was given none is told at start, with the function and the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State<T>(pub T);

impl<T: Clone + Send + Sync + 'static> FromRequestParts<States> for State<T> {
    type Rejection = Refusal;

    async fn from_request_parts(_: &mut Parts, states: &States) -> Result<Self, Refusal> {
        states.find::<T>().cloned().map(State).ok_or_else(|| {
            // Only behind another extractor, where the check at start cannot see it.
            tracing::error!(state = type_name::<T>(), "no `Server::state` gave what a function takes");
            Refusal::internal("")
        })
    }
}
