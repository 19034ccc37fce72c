//! `#[suspend(..)]`: an async function becomes an endpoint, and stays the function it was.

mod check;
mod expand;
mod parse;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;

pub(crate) use expand::{duration, when_full};
pub(crate) use parse::read_runtime;

use crate::faults::Faults;

/// The function as it was, and the record of it, or what is wrong with the annotation.
pub(crate) fn suspend(annotation: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let parsed = parse::parse(annotation, item.clone(), &mut faults);
    let checked = parsed.and_then(|parsed| check::check(parsed, &mut faults));
    let beside = match faults.or(checked) {
        Ok(checked) => checked.map(expand::expand).unwrap_or_default(),
        Err(faults) => faults,
    };
    TokenStream::from_iter([item, beside])
}
