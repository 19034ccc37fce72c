//! What was written becomes what is meant: after this nothing can be wrong.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Ident, ReturnType, Type};

use super::parse::Parsed;
use crate::faults::Faults;
use crate::function::judge_argument;
use abeyance_settings::endpoint::EndpointOptions;
use abeyance_settings::path;

/// An endpoint that can be expanded.
pub(super) struct Checked {
    pub(super) path: String,
    pub(super) has_captures: bool,
    pub(super) runtime: Option<syn::Path>,
    pub(super) settings: EndpointOptions,
    pub(super) conditions: Vec<Attribute>,
    pub(super) function: Ident,
    pub(super) arguments: Vec<Type>,
    /// Where the return type stands.
    pub(super) answer: Span,
}

/// Checks everything, and tells all that is wrong.
pub(super) fn check(parsed: Parsed, faults: &mut Faults) -> Option<Checked> {
    let Parsed { path, runtime, written, function } = parsed;
    function.judge("suspend", faults);
    written.judge(faults);

    let signature = &function.signature;
    let (text, place): (String, TokenStream) = match &path {
        Some(path) => (path.value(), path.to_token_stream()),
        None => (format!("/{}", signature.ident.unraw()), signature.ident.to_token_stream()),
    };
    let captures = path::captures(&text).map_err(|fault| faults.at(place, fault));

    let mut arguments = Vec::new();
    for argument in &signature.inputs {
        match argument {
            FnArg::Typed(argument) => {
                judge_argument(&argument.ty, faults);
                arguments.push((*argument.ty).clone());
            }
            FnArg::Receiver(receiver) => faults.at(
                receiver,
                "a `#[suspend]` function is not a method: there is no `self` to call it on; take `State<T>`",
            ),
        }
    }
    if matches!(signature.output, ReturnType::Default) {
        faults.at(
            &signature.ident,
            format_args!(
                "`{}` returns nothing: write `-> Suspend` or `-> Result<Suspend, E>`",
                signature.ident
            ),
        );
    }
    let answer = match &signature.output {
        ReturnType::Default => signature.ident.span(),
        ReturnType::Type(_, answer) => answer.span(),
    };
    Some(Checked {
        path: text,
        has_captures: !captures.ok()?.is_empty(),
        runtime,
        settings: written.settings,
        conditions: function.conditions().cloned().collect(),
        function: signature.ident.clone(),
        arguments,
        answer,
    })
}

impl Checked {
    /// The hidden module of the runtime, said at this place: rustc takes a path's place from its first token.
    pub(super) fn private(&self, span: Span) -> TokenStream {
        match &self.runtime {
            Some(runtime) => quote!(#runtime::__private),
            None => quote::quote_spanned!(span=> ::abeyance::__private),
        }
    }
}
