//! The reference page of the guide, `docs/settings.md`: made from the two tables of settings.
//!
//! `REFERENCE=overwrite cargo test -p abeyance --lib reference` writes it anew.

use std::fmt::Write;
use std::path::Path;

use crate::settings::ServerKey;
use abeyance_settings::endpoint::EndpointKey;
use abeyance_settings::table::Description;

const HEAD: &str = "\
# Settings

Made from the tables in the code: `settings/src/endpoint.rs` and `runtime/src/settings/mod.rs`.

Durations are written as `30s` or `1h30m`, sizes as `64KiB` or `1MiB`, lists with commas. `none` switches a clock off. What
cannot be meant is an error: at compile time in an annotation, at start in code and in the environment, with every fault told
at once.

[limits](crate::guide::limits) tells how the bounds work together.

# Of an endpoint

Keys of `#[suspend]`, beside `path`. The variable of a key is `ABEYANCE_`, the name of the function and the key, as in
`ABEYANCE_ENTER_MAX_IDLE=1m` for a function `enter`; it overrides the annotation.
";

const SERVER: &str = "\
# Of the server

Methods of [`Server`](crate::Server), which tell more. The variable of a setting is `ABEYANCE_` and its name, as in
`ABEYANCE_DRAIN=30s`; it overrides code. `listen`, `max_suspended`, `max_per_peer`, `when_full` and `drain` can stand in
`#[abeyance::main]` as well.
";

const CODE: &str = "\
## In code only

| setting | what it is | default |
|---|---|---|
| [`topic`](crate::Server::topic) | Which topics keep how much of their past. | none |
| [`allow_origins_if`](crate::Server::allow_origins_if) | Lets the pages of further origins connect. | none |
";

fn page() -> String {
    let endpoint = sections(EndpointKey::ALL.iter().map(EndpointKey::describe), |name| format!("`{name}`"));
    let link = |name: &str| format!("[`{name}`](crate::Server::{name})");
    let server = sections(ServerKey::ALL.iter().map(ServerKey::describe), link);
    format!("{HEAD}{endpoint}\n{SERVER}{server}\n{CODE}")
}

/// A table for each section.
fn sections(settings: impl Iterator<Item = Description>, name: impl Fn(&str) -> String) -> String {
    let mut page = String::new();
    let mut section = "";
    for setting in settings {
        if setting.section != section {
            section = setting.section;
            let _ = write!(page, "\n## {section}\n\n| setting | what it is | default |\n|---|---|---|\n");
        }
        let (name, text) = (name(setting.name), setting.first_paragraph());
        let _ = writeln!(page, "| {name} | {text} | {} |", setting.default);
    }
    page
}

#[test]
fn the_reference_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let page = page();
    if std::env::var("REFERENCE").is_ok_and(|word| word == "overwrite") {
        std::fs::write(&path, &page).expect("a page");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "the page is not what the table says: run this test with REFERENCE=overwrite");
}
