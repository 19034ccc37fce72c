//! What compiles, what does not, and how it is told: the texts beside the programs in `ui/fail` are part of the surface.
//!
//! After a change that is meant, `TRYBUILD=overwrite cargo test -p abeyance-tests --test ui` writes them anew.

#[test]
fn programs_compile_or_are_told_why_not() {
    let programs = trybuild::TestCases::new();
    programs.pass("ui/pass/*.rs");
    programs.compile_fail("ui/fail/*.rs");
}
