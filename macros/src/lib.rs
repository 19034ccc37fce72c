//! The attributes of abeyance. Use them through `abeyance`, which documents them where it re-exports them.
//!
//! Each goes three ways: `parse` what was written, `check` it, `expand` what was checked. Expanding cannot fail; what
//! it generates is a constant record and calls, and all behaviour lives in the runtime.

#[cfg(test)]
mod annotations; // tests with anything that may be written
mod entry;
mod faults;
mod function;
mod pairs;
mod setting;
mod suspend;

use proc_macro::TokenStream;

/// See `abeyance::suspend`.
#[proc_macro_attribute]
pub fn suspend(annotation: TokenStream, item: TokenStream) -> TokenStream {
    suspend::suspend(annotation.into(), item.into()).into()
}

/// See `abeyance::main`.
#[proc_macro_attribute]
pub fn main(annotation: TokenStream, item: TokenStream) -> TokenStream {
    entry::main(annotation.into(), item.into()).into()
}
