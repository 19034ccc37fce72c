//! What the application writes: annotated functions, contexts with their hooks, and what a function takes and returns.

pub(crate) mod answer;
pub(crate) mod check;
pub(crate) mod erased;
pub(crate) mod extract;
pub(crate) mod lifecycle;
pub(crate) mod need;
pub(crate) mod outcome;
pub(crate) mod record;
pub(crate) mod refusal;
pub(crate) mod router;
pub(crate) mod states;
pub(crate) mod suspend;
pub(crate) mod suspension;

use std::pin::Pin;

/// An error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A future of any type.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An answer that is not held.
pub type Response = http::Response<axum_core::body::Body>;

#[cfg(test)]
mod tests;
