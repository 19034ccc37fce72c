//! A `main` that hands the user's own to the runtime.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, ReturnType};

use super::parse::Parsed;
use crate::function::Function;
use crate::setting::option_of;
use crate::suspend::{duration, when_full};

/// The new `main`, with the user's own inside.
pub(super) fn expand(parsed: Parsed) -> TokenStream {
    let Parsed { listen, written, drain, runtime, function } = parsed;
    let Function { attributes, visibility, signature, body } = function;
    let private = |span: Span| match &runtime {
        Some(runtime) => quote!(#runtime::__private),
        None => quote_spanned!(span=> ::abeyance::__private),
    };
    let here = Span::mixed_site();
    let at = match &signature.output {
        ReturnType::Default => here,
        ReturnType::Type(_, output) => output.span().resolved_at(here),
    };
    let p = private(here);
    let run = private(at);
    let run = quote_spanned!(at=> #run::main);

    // What says whether and how the item appears belongs to the new `main`; all else to the user's own.
    let (outer, inner): (Vec<Attribute>, Vec<Attribute>) = attributes
        .into_iter()
        .partition(|attribute| OUTER.iter().any(|name| attribute.path().is_ident(name)));
    let listen = option_of(listen);
    let max_suspended = option_of(written.settings.max_suspended);
    let max_per_peer = option_of(written.settings.max_per_peer);
    let when_full = option_of(written.settings.when_full.map(|rule| when_full(rule, &p)));
    let drain = option_of(drain.map(|drain| duration(drain, &p)));
    quote! {
        #(#outer)*
        #visibility fn main() -> ::std::process::ExitCode {
            #(#inner)*
            #signature #body
            #run(main, #p::Main {
                listen: #listen,
                max_suspended: #max_suspended,
                max_per_peer: #max_per_peer,
                when_full: #when_full,
                drain: #drain,
            })
        }
    }
}

const OUTER: [&str; 7] = ["cfg", "doc", "allow", "expect", "warn", "deny", "forbid"];
