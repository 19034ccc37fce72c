//! The modules of a crate and what they import, as far as paths from the crate's root and from parents tell it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of one crate, by name (`keeper::outbox`), with their code that is not for tests.
pub(crate) struct Sources {
    modules: BTreeMap<String, String>,
    /// What modules export for others: the name outside, and where it really is.
    exports: BTreeMap<String, String>,
}

/// Modules of no layer: the root only lists, and what generated code, fuzzing, the guide and the model need looks at all.
const NO_LAYER: [&str; 6] = ["lib", "private", "fuzzing", "guide", "model", "tests"];

impl Sources {
    pub(crate) fn read(folder: &str) -> Self {
        let root = root().join(folder);
        let mut modules = BTreeMap::new();
        for path in every_source(folder) {
            let relative = path.strip_prefix(&root).expect("inside").with_extension("");
            let names: Vec<_> = relative.iter().map(|name| name.to_str().expect("text")).collect();
            if NO_LAYER.contains(&names[0]) || names.contains(&"tests") || names.contains(&"expansions") {
                continue;
            }
            let name = names.join("::");
            let name = name.strip_suffix("::mod").unwrap_or(&name);
            modules.insert(name.to_owned(), without_tests(&fs::read_to_string(&path).expect("text")));
        }
        assert!(modules.len() > 4, "{folder}: only {} files were read", modules.len());
        let lib = fs::read_to_string(root.join("lib.rs")).expect("text");
        let mut exports = BTreeMap::new();
        for (module, code) in modules.iter().map(|(name, code)| (&**name, &**code)).chain([("", &*lib)]) {
            for path in paths_from(code, "use ").into_iter().filter(|_| code.contains("pub")) {
                exports.extend(exported(module, code, &path));
            }
        }
        Sources { modules, exports }
    }

    /// The modules and their code.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.modules.iter().map(|(name, code)| (&**name, &**code))
    }

    /// Every import.
    pub(crate) fn imports(&self) -> impl Iterator<Item = Import<'_>> {
        self.modules().flat_map(move |(by, code)| {
            let paths = ["crate::", "super::"].into_iter().flat_map(|from| paths_from(code, from));
            paths.map(move |path| {
                let path = absolute(by, &path);
                let (named, real) = (self.module(&path, false), self.module(&path, true));
                Import { by, path, named, real }
            })
        })
    }

    /// The module of a path: as it is named (what the crate's root exports lies where it comes from), or where the item
    /// really is.
    fn module(&self, path: &str, is_real: bool) -> Option<&str> {
        let mut path = path.to_owned();
        // Few names are exported from where they are exported already.
        let mut hops = 4;
        loop {
            if hops > 0
                && let Some(real) = self.exports.get(&path).filter(|_| is_real || !path.contains("::"))
            {
                path.clone_from(real);
                hops -= 1;
            } else if let Some((name, _)) = self.modules.get_key_value(&path) {
                return Some(name);
            } else {
                path = path.rsplit_once("::")?.0.to_owned();
            }
        }
    }
}

/// An import of a module.
pub(crate) struct Import<'a> {
    pub(crate) by: &'a str,
    /// The path, as seen from the crate's root.
    pub(crate) path: String,
    /// The module that it names.
    pub(crate) named: Option<&'a str>,
    /// The module in which the item lies.
    pub(crate) real: Option<&'a str>,
}

/// What `pub use` of this path exports from `module`.
fn exported(module: &str, code: &str, path: &str) -> Option<(String, String)> {
    let item = path.rsplit("::").next()?;
    let is_public = code.match_indices(item).any(|(at, _)| {
        let statement = code[..at].rsplit(';').next().unwrap_or_default();
        statement.trim_start().starts_with("pub") && statement.contains("use ")
    });
    let first = path.split("::").next()?;
    let is_ours = matches!(first, "crate" | "super" | "self") || !first.starts_with("abeyance");
    let outside =
        [module, item].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("::");
    let real = match first {
        "crate" | "super" => absolute(module, path),
        _ if module.is_empty() => path.to_owned(),
        _ => format!("{module}::{}", path.trim_start_matches("self::")),
    };
    (is_public && is_ours && outside != real).then_some((outside, real))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file in a folder of the repository.
pub(crate) fn every_source(folder: &str) -> Vec<PathBuf> {
    fn add(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    add(&root().join(folder), &mut found);
    found.sort();
    found
}

/// The code up to its tests, which stand last, without comments.
fn without_tests(text: &str) -> String {
    let is_module = |rest: &str| rest.lines().nth(1).is_some_and(|line| line.ends_with("mod tests {"));
    let end = text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|at| is_module(&text[*at..]));
    let lines = text[..end.unwrap_or(text.len())].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path in the code that begins so, with groups in braces taken apart. `use ` stands for the path behind it.
pub(crate) fn paths_from(code: &str, from: &str) -> Vec<String> {
    let begins = |at: usize| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '$'))
    };
    let places = code.match_indices(from).map(|(at, _)| at).filter(|at| begins(*at));
    places.flat_map(|at| paths(code[at..].strip_prefix("use ").unwrap_or(&code[at..]))).collect()
}

fn paths(code: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ':');
    let end = code.find(|letter| !is_part(letter)).unwrap_or(code.len());
    let stem = code[..end].trim_end_matches("::");
    if !code[end..].starts_with('{') {
        return vec![stem.to_owned()];
    }
    let (mut depth, mut start, mut found) = (0, end + 1, Vec::new());
    for (at, letter) in code.char_indices().skip_while(|(at, _)| *at < end) {
        match letter {
            '{' => depth += 1,
            '}' | ',' if depth == 1 => {
                let part = code[start..at].trim();
                if !part.is_empty() {
                    found.extend(paths(part).iter().map(|path| format!("{stem}::{path}")));
                }
                start = at + 1;
                if letter == '}' {
                    return found;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    panic!("a group without an end: {code:.60}");
}

/// The path as seen from the crate's root.
fn absolute(module: &str, path: &str) -> String {
    let mut base: Vec<&str> = module.split("::").collect();
    let mut names = path.split("::").peekable();
    if names.next_if_eq(&"crate").is_some() {
        base.clear();
    }
    while names.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.into_iter().chain(names.filter(|name| *name != "self")).collect::<Vec<_>>().join("::")
}

/// Whether the code names a crate.
pub(crate) fn names_crate(code: &str, name: &str) -> bool {
    !paths_from(code, &format!("{name}::")).is_empty()
}

#[test]
fn paths_are_read_with_their_groups() {
    let code = "use crate::a::{b, c::{self, D}};\nuse super::e; fn f() -> crate::G";
    let found = [paths_from(code, "crate::"), paths_from(code, "super::")].concat();
    let found: Vec<_> = found.iter().map(|path| absolute("x::y", path)).collect();
    assert_eq!(found, ["a::b", "a::c", "a::c::D", "G", "x::e"]);
}

#[test]
fn an_item_is_found_where_it_lies_not_where_it_is_exported() {
    let modules = [("a", "mod b;\npub(crate) use b::C;"), ("a::b", "pub struct C;")];
    let sources = Sources {
        modules: modules.map(|(name, code)| (name.to_owned(), code.to_owned())).into(),
        exports: exported("a", modules[0].1, "b::C").into_iter().collect(),
    };
    assert_eq!(sources.module("a::C::new", true), Some("a::b"));
    assert_eq!(sources.module("a::C::new", false), Some("a"));
    assert_eq!(sources.module("a::D", true), Some("a"));
    assert_eq!(sources.module("z", true), None);
}
