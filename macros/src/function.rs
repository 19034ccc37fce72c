//! The function under an attribute: its signature is read, its body stays as it is.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, GenericParam, Signature, Type, Visibility};

use crate::faults::Faults;

/// A function, taken apart as far as attributes need.
pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Function {
            attributes: input.call(Attribute::parse_outer)?,
            visibility: input.parse()?,
            signature: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl Function {
    /// Reads a function; of anything else, a fault that names the attribute.
    pub(crate) fn read(item: TokenStream, attribute: &str, faults: &mut Faults) -> Option<Function> {
        match syn::parse2(item.clone()) {
            Ok(function) => Some(function),
            Err(_) => {
                let head: TokenStream = item.into_iter().take_while(|tree| !is_block(tree)).collect();
                faults.at(head, format_args!("`#[{attribute}]` stands on an `async fn`"));
                None
            }
        }
    }

    /// The `#[cfg(..)]`s of the function, for what is generated beside it.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }

    /// Judges what no attribute of ours can work with.
    pub(crate) fn judge(&self, attribute: &str, faults: &mut Faults) {
        let signature = &self.signature;
        if signature.asyncness.is_none() {
            faults.at(
                signature.fn_token,
                format_args!("a `#[{attribute}]` function is async: write `async fn`"),
            );
        }
        if signature.constness.is_some() {
            faults.at(signature.constness, format_args!("a `#[{attribute}]` function cannot be `const`"));
        }
        if !matches!(signature.safety, syn::Safety::Default) {
            faults.at(
                &signature.safety,
                format_args!("a `#[{attribute}]` function is safe: the server calls it without a promise"),
            );
        }
        if let Some(abi) = &signature.abi {
            faults.at(abi, format_args!("a `#[{attribute}]` function has Rust's own calling convention"));
        }
        if let Some(variadic) = &signature.variadic {
            faults
                .at(variadic, format_args!("a `#[{attribute}]` function takes a fixed number of arguments"));
        }
        for parameter in &signature.generics.params {
            let (what, why) = match parameter {
                GenericParam::Type(parameter) => {
                    (parameter.ident.to_string(), "be generic: nothing says what")
                }
                GenericParam::Const(parameter) => {
                    (parameter.ident.to_string(), "be generic: nothing says what")
                }
                GenericParam::Lifetime(parameter) => {
                    (parameter.lifetime.to_string(), "borrow: nothing outlives the request for")
                }
            };
            let end = if why.starts_with("be") { "is" } else { "" };
            let message = format!("a `#[{attribute}]` function cannot {why} `{what}` {end}");
            faults.at(parameter, message.trim_end());
        }
    }
}

/// Judges the type of an argument.
pub(crate) fn judge_argument(argument: &Type, faults: &mut Faults) {
    judge_tokens(argument.to_token_stream(), faults);
}

fn judge_tokens(tokens: TokenStream, faults: &mut Faults) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Group(group) => judge_tokens(group.stream(), faults),
            TokenTree::Ident(word) if word == "impl" => {
                faults.at(word, "an argument has a named type: nothing says what `impl` stands for");
                return;
            }
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                let lifetime = tokens.next();
                if !matches!(&lifetime, Some(TokenTree::Ident(name)) if name == "static") {
                    faults.at(lifetime, BORROWED);
                    return;
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let next = tokens.peek();
                if !matches!(next, Some(TokenTree::Punct(quote)) if quote.as_char() == '\'') {
                    faults.at(token, BORROWED);
                    return;
                }
            }
            TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
}

const BORROWED: &str = "an argument cannot borrow from the request: take an owned type, such as `String`";

fn is_block(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Group(group) if group.delimiter() == proc_macro2::Delimiter::Brace)
}
