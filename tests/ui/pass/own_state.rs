//! An extractor of the application's own may be called `State`, too.

use std::convert::Infallible;

use abeyance::http::request::Parts;
use abeyance::{Suspend, suspend};
use axum::extract::FromRequestParts;

struct State(String);

impl<S: Sync> FromRequestParts<S> for State {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(State(parts.uri.path().to_owned()))
    }
}

#[suspend]
async fn enter(State(path): State) -> Suspend {
    Suspend::new().join(path)
}

fn main() {}
