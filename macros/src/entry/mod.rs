//! `#[abeyance::main(..)]`: the body of `main` runs first, then the server.

mod check;
mod expand;
mod parse;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;

use crate::faults::Faults;
use crate::function::Function;

/// A `main` that runs the server, or what is wrong with it.
pub(crate) fn main(annotation: TokenStream, item: TokenStream) -> TokenStream {
    let mut faults = Faults::default();
    let parsed = parse::parse(annotation, item.clone(), &mut faults);
    if let Some(parsed) = &parsed {
        check::check(parsed, &mut faults);
    }
    match (faults.or(()), parsed) {
        (Ok(()), Some(parsed)) => expand::expand(parsed),
        (Ok(()), None) => item,
        (Err(faults), parsed) => {
            let function = parsed.map(|parsed| aside(parsed.function)).unwrap_or(item);
            quote!(#faults #function fn main() {})
        }
    }
}

/// The user's function under another name, so that rustc judges its body too and adds nothing about `main`.
fn aside(mut function: Function) -> TokenStream {
    function.signature.ident = Ident::new("__abeyance_main", function.signature.ident.span());
    let Function { attributes, visibility, signature, body } = function;
    quote!(#(#attributes)* #[allow(dead_code)] #visibility #signature #body)
}
