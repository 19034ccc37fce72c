//! All faults of one annotation, told in one compile.

use std::fmt::Display;

use proc_macro2::TokenStream;
use quote::ToTokens;

/// Faults found so far, each under the user's own words.
#[derive(Default)]
pub(crate) struct Faults(Option<syn::Error>);

impl Faults {
    pub(crate) fn add(&mut self, fault: syn::Error) {
        match &mut self.0 {
            Some(faults) => faults.combine(fault),
            None => self.0 = Some(fault),
        }
    }

    pub(crate) fn at(&mut self, words: impl ToTokens, message: impl Display) {
        self.add(syn::Error::new_spanned(words, message));
    }

    /// What was made, unless there were faults.
    pub(crate) fn or<T>(self, made: T) -> Result<T, TokenStream> {
        match self.0 {
            None => Ok(made),
            Some(faults) => Err(faults.into_compile_error()),
        }
    }
}

/// The candidate that was probably meant: at most a third of its letters are wrong.
pub(crate) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be added, dropped or changed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in to.chars().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        let keys = ["timeout", "transports", "max_idle", "max_message"];
        assert_eq!(nearest("tmeout", keys), Some("timeout"));
        assert_eq!(nearest("transport", keys), Some("transports"));
        assert_eq!(nearest("max_idel", keys), Some("max_idle"));
        assert_eq!(nearest("colour", keys), None);
    }
}
