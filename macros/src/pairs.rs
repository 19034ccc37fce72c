//! The keys and values of an annotation, each read by itself, so that a fault in one cannot spoil its neighbour.

use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::LitStr;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};

use crate::faults::{Faults, nearest};

/// `key = value`, or `key(value, value)`.
pub(crate) struct Pair {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

/// What was written for a key.
pub(crate) enum Value {
    /// After `=`; never empty.
    Tokens(TokenStream),
    /// In parentheses.
    List(Group),
}

impl Pair {
    /// The key as the user wrote it.
    pub(crate) fn name(&self) -> String {
        self.key.unraw().to_string()
    }
}

impl ToTokens for Value {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Value::Tokens(value) => value.to_tokens(tokens),
            Value::List(list) => list.to_tokens(tokens),
        }
    }
}

/// Takes an annotation apart. Keys that are not `known`, or stand there twice, are faults and left out.
pub(crate) fn pairs(annotation: TokenStream, known: &[&'static str], faults: &mut Faults) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = Vec::new();
    for piece in pieces(annotation, faults) {
        let bare = syn::parse2::<LitStr>(piece.clone()).ok();
        if let Some((key, value)) = bare.as_ref().and_then(|text| Some((key_of(text, known)?, text))) {
            let value = value.to_token_stream();
            faults.at(&bare, format_args!("expected `key = value`: write `{key} = {value}`"));
            continue;
        }
        let pair = match pair.parse2(piece) {
            Ok(pair) => pair,
            Err(fault) => {
                faults.add(fault);
                continue;
            }
        };
        let name = pair.name();
        if !known.contains(&&*name) {
            faults.at(&pair.key, unknown(&name, known));
        } else if pairs.iter().any(|before| before.name() == name) {
            faults.at(&pair.key, format_args!("`{name}` stands here twice"));
        } else {
            pairs.push(pair);
        }
    }
    pairs
}

/// What stands between the commas; those within brackets do not count.
pub(crate) fn pieces(tokens: TokenStream, faults: &mut Faults) -> Vec<TokenStream> {
    let mut pieces = vec![TokenStream::new()];
    for token in tokens {
        let comma = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ',');
        match pieces.last_mut() {
            Some(piece) if comma && piece.is_empty() => {
                faults.at(token, "expected something before this comma")
            }
            Some(piece) if !comma => piece.extend([token]),
            _ => pieces.push(TokenStream::new()),
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

fn pair(input: ParseStream<'_>) -> syn::Result<Pair> {
    // `crate` is a keyword; `parse_any` takes it.
    let Ok(key) = input.call(Ident::parse_any) else {
        return Err(input.error("expected `key = value`"));
    };
    let name = key.unraw();
    if input.is_empty() {
        return Err(syn::Error::new_spanned(
            &key,
            format_args!("`{name}` has no value: write `{name} = ..`"),
        ));
    }
    if input.peek(syn::Token![=]) {
        let equals: syn::Token![=] = input.parse()?;
        let value: TokenStream = input.parse()?;
        if value.is_empty() {
            return Err(syn::Error::new_spanned(equals, format_args!("`{name}` has no value after its `=`")));
        }
        return Ok(Pair { key, value: Value::Tokens(value) });
    }
    let rest: TokenStream = input.parse()?;
    let mut trees = rest.clone().into_iter();
    match (trees.next(), trees.next()) {
        (Some(TokenTree::Group(list)), None) if list.delimiter() == Delimiter::Parenthesis => {
            Ok(Pair { key, value: Value::List(list) })
        }
        _ => {
            let message = format_args!("expected `=` after `{name}`, or a comma before this").to_string();
            Err(syn::Error::new_spanned(rest, message))
        }
    }
}

/// Whose value a text without a key is, as other frameworks have paths and addresses.
fn key_of(text: &LitStr, known: &[&'static str]) -> Option<&'static str> {
    let text = text.value();
    let meant = if text.starts_with('/') {
        "path"
    } else if text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        "listen"
    } else {
        return None;
    };
    known.iter().find(|key| **key == meant).copied()
}

/// What only a `Server` has: the nearest key of an attribute would be another bound.
const OF_THE_SERVER: [&str; 23] = [
    "after_drain",
    "allowed_headers",
    "allowed_origins",
    "fallback",
    "function_timeout",
    "head_timeout",
    "history",
    "hook_timeout",
    "keep_alive",
    "last_ends",
    "max_admitting",
    "max_connections",
    "max_connects_per_peer",
    "max_head",
    "max_per_key",
    "max_requests",
    "max_scheduled",
    "max_topics",
    "max_unheld_per_peer",
    "memory",
    "close_timeout",
    "topic",
    "write_timeout",
];

fn unknown(name: &str, known: &[&str]) -> String {
    if OF_THE_SERVER.contains(&name) {
        return format!("there is no key `{name}` here: it is a setting of the server, `Server::{name}`");
    }
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("there is no key `{name}`; did you mean `{meant}`?"),
        None => format!("there is no key `{name}`; there are {}", known.join(", ")),
    }
}
