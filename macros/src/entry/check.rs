//! Whether this can be a `main`.

use super::parse::Parsed;
use crate::faults::Faults;

/// Tells all that is wrong.
pub(super) fn check(parsed: &Parsed, faults: &mut Faults) {
    parsed.function.judge("abeyance::main", faults);
    parsed.written.judge(faults);
    let signature = &parsed.function.signature;
    if signature.ident != "main" {
        faults.at(&signature.ident, format_args!("expected `main`, found `{}`", signature.ident));
    }
    if !signature.inputs.is_empty() {
        faults.at(&signature.inputs, "`main` takes no arguments: read `std::env::args()` in its body");
    }
}
