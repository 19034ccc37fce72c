//! What was written: the annotation's values and the function's signature.

use proc_macro2::TokenStream;
use syn::LitStr;

use crate::faults::Faults;
use crate::function::Function;
use crate::pairs::{Value, pairs};
use crate::setting::Written;
use abeyance_settings::endpoint::EndpointKey;

/// An annotation and its function, as written.
pub(super) struct Parsed {
    pub(super) path: Option<LitStr>,
    pub(super) runtime: Option<syn::Path>,
    pub(super) written: Written,
    pub(super) function: Function,
}

/// Reads what was written; `None` if there is no function to go on with.
pub(super) fn parse(annotation: TokenStream, item: TokenStream, faults: &mut Faults) -> Option<Parsed> {
    let mut known = vec!["path"];
    known.extend(EndpointKey::ALL.iter().map(EndpointKey::as_str));
    known.push("crate");

    let mut path = None;
    let mut runtime = None;
    let mut written = Written::default();
    for pair in pairs(annotation, &known, faults) {
        match (&*pair.name(), EndpointKey::named(&pair.name())) {
            (_, Some(key)) => written.read(key, &pair.value, faults),
            ("path", _) => path = read_path(&pair.value, faults),
            _ => runtime = read_runtime(&pair.value, faults),
        }
    }
    let function = Function::read(item, "suspend", faults)?;
    Some(Parsed { path, runtime, written, function })
}

fn read_path(value: &Value, faults: &mut Faults) -> Option<LitStr> {
    let read = match value {
        Value::Tokens(tokens) => syn::parse2(tokens.clone()).ok(),
        Value::List(_) => None,
    };
    if read.is_none() {
        let found = quote::ToTokens::to_token_stream(value);
        faults.at(value, format_args!("expected a path such as \"/rooms/{{room}}\", found `{found}`"));
    }
    read
}

/// The path to the runtime, for crates that re-export it.
pub(crate) fn read_runtime(value: &Value, faults: &mut Faults) -> Option<syn::Path> {
    let read = match value {
        Value::Tokens(tokens) => syn::parse2(tokens.clone()).ok(),
        Value::List(_) => None,
    };
    if read.is_none() {
        let found = quote::ToTokens::to_token_stream(value);
        faults.at(value, format_args!("expected a path such as `::my_crate::abeyance`, found `{found}`"));
    }
    read
}
