//! What is written in `#[suspend(..)]` and `#[main(..)]`, and below them: the user's function is always emitted, faults are
//! told under the user's own words, and without faults the expansion is Rust.

use std::path::Path;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

/// Nesting that no program has, and where syn's own recursion would end.
const LONGEST: usize = 2048;
const DEEPEST: usize = 24;

#[test]
fn any_annotation_is_expanded_or_told_its_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    abeyance_fuzz::corpus::explore(&folder, "annotations", 2000, annotations);
}

/// An annotation, a line of dashes, and what it stands on.
fn annotations(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > LONGEST || depth(text) > DEEPEST {
        return;
    }
    let (annotation, item) = text.split_once("\n----\n").unwrap_or((text, "async fn main() -> Suspend {}"));
    if let (Ok(annotation), Ok(item)) = (annotation.parse::<TokenStream>(), item.parse::<TokenStream>()) {
        // As rustc does: nothing is expanded that stands on nothing, or on a block.
        if !matches!(item.clone().into_iter().next(), None | Some(TokenTree::Group(_))) {
            suspends(annotation.clone(), item.clone());
            mains(annotation, item);
        }
    }
    // The texts of all that was parsed are kept for its spans.
    proc_macro2::extra::invalidate_current_thread_spans();
}

fn suspends(annotation: TokenStream, item: TokenStream) {
    let expanded = crate::suspend::suspend(annotation, item.clone());
    let (whole, own) = (expanded.to_string(), item.to_string());
    assert!(whole.starts_with(&own), "the function is not as it was");
    let beside: TokenStream = expanded.into_iter().skip(item.clone().into_iter().count()).collect();
    let is_faulty = judge(&beside);
    let is_record = beside.to_string().contains("inventory :: submit !");
    assert!(is_faulty != is_record, "{beside}");
    if !is_faulty && syn::parse2::<syn::ItemFn>(item).is_ok() {
        assert!(syn::parse2::<syn::File>(beside.clone()).is_ok(), "{beside}");
    }
}

fn mains(annotation: TokenStream, item: TokenStream) {
    let expanded = crate::entry::main(annotation, item.clone());
    let is_faulty = judge(&expanded);
    let text = expanded.to_string();
    if let Ok(function) = syn::parse2::<syn::ItemFn>(item) {
        let body = quote::ToTokens::to_token_stream(&function.block).to_string();
        assert!(letters(&text).contains(&letters(&body)), "the function is lost: {text}");
        assert!(syn::parse2::<syn::File>(expanded).is_ok(), "{text}");
    }
    assert!(is_faulty || text.contains("__private :: main"), "{text}");
}

/// Without white space, of which some is lost where syn has read punctuation.
fn letters(text: &str) -> String {
    text.replace(char::is_whitespace, "")
}

/// Whether these tokens tell faults: each in words, and at a place.
fn judge(tokens: &TokenStream) -> bool {
    let mut trees = tokens.clone().into_iter().peekable();
    let mut is_faulty = false;
    while let Some(tree) = trees.next() {
        let TokenTree::Ident(name) = &tree else { continue };
        if name != "compile_error" {
            continue;
        }
        let Some(TokenTree::Punct(_)) = trees.next() else { continue };
        let Some(TokenTree::Group(group)) = trees.next() else { continue };
        if group.delimiter() != Delimiter::Brace {
            continue;
        }
        // Of `main`, the user's own stand here, too.
        let Ok(message) = syn::parse2::<syn::LitStr>(group.stream()) else { continue };
        let message = message.value();
        let is_at_an_end = message.starts_with("expected") || message.starts_with("unexpected end");
        assert!(is_at_an_end || is_somewhere(name.span()), "at no place: {message}");
        is_faulty = true;
    }
    is_faulty
}

/// Whether a span is of something that was written.
fn is_somewhere(span: Span) -> bool {
    span.byte_range().end > 0
}

/// How deep brackets, and what else syn goes into, lie in one another at most.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for letter in text.chars() {
        match letter {
            '(' | '[' | '{' | '<' | '&' | '*' | '!' | '-' | '|' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' | ';' => {}
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}
