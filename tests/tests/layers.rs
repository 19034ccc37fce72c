//! The house keeps its floors: what each layer may import, read from the sources (`ARCHITECTURE.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each layer may import besides itself.
const LAYERS: [(&str, &[&str]); 6] = [
    ("settings", &[]),
    ("keeper", &["settings"]),
    ("socket", &["settings"]),
    ("endpoint", &["settings", "keeper"]),
    ("dispatch", &["settings", "keeper", "socket", "endpoint"]),
    ("server", &["settings", "socket", "dispatch"]),
];

/// Imports that reach further than their layer may, each for its reason. One that is not needed fails, too.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    ("server::setup", "endpoint::check", "faults of the setup are told together with the server's own"),
    ("server::setup", "endpoint::record", "what is mounted are records"),
    ("server::setup", "keeper::hub", "the hub is there before the server is"),
    ("server::builder", "endpoint::record", "mounting is looking records up"),
    ("server::builder", "endpoint", "`BoxError` stands in the bounds of a fallback"),
    ("server::builder", "endpoint::outcome", "it stands in the bounds of what runs after the drain"),
    ("server::builder", "keeper::hub", "the hub is handed to the application"),
    ("server::drive_hyper", "endpoint", "`BoxError` stands in the bounds of what hyper calls"),
    ("server::handle", "keeper::hub", "the hub is handed to the application"),
    ("server::handle", "keeper::audit", "what an audit found is handed to the application"),
    ("server::audit", "keeper::hub", "the hub is told what a look found"),
];

/// Other crates that a layer must not know.
const STRANGERS: [(&str, &[&str]); 3] = [
    ("keeper", &["parking_lot", "http", "hyper", "axum_core", "nix", "socket2"]),
    ("socket", &["http", "hyper", "axum_core"]),
    ("endpoint", &["hyper", "nix", "socket2"]),
];

/// Where dispatch knows hyper, and why: a request's body is a type of hyper's.
const BODIES: [&str; 4] = ["dispatch", "dispatch::admit", "dispatch::fallback", "dispatch::client_post"];

/// A module of the runtime and the code in it that is not for tests.
struct Module {
    /// As in `keeper::outbox`; empty for the crate's root.
    name: String,
    code: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn modules() -> Vec<Module> {
    let folder = root().join("runtime/src");
    let mut modules = Vec::new();
    for path in sources(&folder) {
        let relative = path.strip_prefix(&folder).expect("inside").with_extension("");
        let mut names: Vec<_> = relative.iter().map(|name| name.to_str().expect("text").to_owned()).collect();
        // The root only lists; what generated code needs is no layer.
        if names.iter().any(|name| name == "tests")
            || names == ["lib"]
            || names == ["private"]
            || names == ["fuzzing"]
            || names == ["guide"]
            || names[0] == "model"
        {
            continue;
        }
        if names.last().is_some_and(|name| name == "mod") {
            names.pop();
        }
        let text = fs::read_to_string(&path).expect("text");
        modules.push(Module { name: names.join("::"), code: without_tests(&text) });
    }
    assert!(modules.len() > 60, "only {} files were read", modules.len());
    modules
}

/// The code up to its tests, which stand last, without comments.
fn without_tests(text: &str) -> String {
    let is_module = |rest: &str| rest.lines().nth(1).is_some_and(|line| line.ends_with("mod tests {"));
    let end = text.match_indices("#[cfg(test)]").map(|(at, _)| at).find(|at| is_module(&text[*at..]));
    let end = end.unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.split(" // ").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Every path in `code` that begins at the crate's root or above `module`, as seen from the root.
fn imports(module: &str, code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':' | '$')) {
            continue;
        }
        for path in paths(&code[at..]) {
            let mut base: Vec<&str> = module.split("::").collect();
            let mut names: Vec<&str> = path.split("::").collect();
            if names[0] == "crate" {
                base.clear();
                names.remove(0);
            }
            while names.first() == Some(&"super") {
                base.pop();
                names.remove(0);
            }
            base.extend(names);
            found.insert(base.join("::"));
        }
    }
    found
}

/// The paths that a path with groups in braces stands for.
fn paths(code: &str) -> Vec<String> {
    let end = code
        .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | ':')))
        .unwrap_or(code.len());
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

/// The modules behind what the crate's root exports, by name.
fn exports() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("runtime/src/lib.rs")).expect("text");
    let mut found = BTreeMap::new();
    // Of this crate, and not the macros, which look like it from here.
    let ours = |line: &&str| !line.starts_with("abeyance_macros");
    for line in text.lines().filter_map(|line| line.strip_prefix("pub use ")).filter(ours) {
        for path in paths(line) {
            if let Some((module, item)) = path.rsplit_once("::") {
                found.insert(item.to_owned(), module.to_owned());
            }
        }
    }
    found
}

/// The module in which the path's item lies.
fn target(path: &str, names: &BTreeSet<&str>, exports: &BTreeMap<String, String>) -> Option<String> {
    let first = path.split("::").next().unwrap_or_default();
    if let Some(module) = exports.get(first) {
        return Some(module.clone());
    }
    let mut path = path;
    while !names.contains(path) {
        path = path.rsplit_once("::")?.0;
    }
    Some(path.to_owned())
}

#[test]
fn a_file_imports_its_own_module_or_a_lower_layer_never_upward_nor_a_neighbours_inside() {
    let modules = modules();
    let exports = exports();
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let layer = |name: &str| name.split("::").next().unwrap_or_default().to_owned();
    let (mut faults, mut used, mut count) = (Vec::new(), BTreeSet::new(), 0);
    for Module { name, code } in &modules {
        for path in imports(name, code) {
            let Some(target) = target(&path, &names, &exports) else {
                faults.push(format!("{name} imports {path}, and where that is nobody knows"));
                continue;
            };
            count += 1;
            let (from, to) = (layer(name), layer(&target));
            let excepted = EXCEPTIONS.iter().position(|(by, of, _)| *by == *name && *of == target);
            if let Some(excepted) = excepted {
                used.insert(excepted);
                continue;
            }
            if from != to {
                let may = LAYERS.iter().find(|(layer, _)| *layer == from).map_or(&[][..], |(_, may)| may);
                if !may.contains(&to.as_str()) {
                    faults.push(format!("{name} imports {path}: {from} may not know {to}"));
                }
                continue;
            }
            if from == "mechanisms" && !same_mechanism(name, &target) {
                faults.push(format!("{name} imports {path}: mechanisms do not know one another"));
            }
            let shared = name.split("::").zip(target.split("::")).take_while(|(a, b)| a == b).count();
            let is_below = target.starts_with(name.as_str());
            if !is_below && target.split("::").count() > shared + 1 {
                faults.push(format!("{name} imports {path}: that is inside of a neighbour"));
            }
        }
    }
    assert!(count > 200, "only {count} imports were read");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (place, (by, of, why)) in EXCEPTIONS.iter().enumerate() {
        assert!(used.contains(&place), "{by} does not import {of} any more ({why})");
    }
}

fn same_mechanism(one: &str, other: &str) -> bool {
    one.split("::").nth(1) == other.split("::").nth(1)
}

#[test]
fn a_layer_knows_no_crate_above_it() {
    let mut faults = Vec::new();
    for Module { name, code } in modules() {
        let layer = name.split("::").next().unwrap_or_default();
        let strangers = STRANGERS.iter().find(|(of, _)| *of == layer).map_or(&[][..], |(_, names)| names);
        for stranger in strangers {
            if names_crate(&code, stranger) {
                faults.push(format!("{name} knows {stranger}"));
            }
        }
        if layer == "dispatch" {
            let knows = names_crate(&code.replace("hyper::body::Incoming", ""), "hyper");
            let may = BODIES.contains(&name.as_str());
            if knows || names_crate(&code, "hyper") != may {
                faults.push(format!("{name}: hyper is known for the body of a request, in {BODIES:?}"));
            }
        }
        if layer == "keeper" && code.contains("crate::endpoint") {
            faults.push(format!("{name} knows user code"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The model puts a scheduler's in their place; what it does not see, it does not try.
#[test]
fn the_keeper_takes_locks_and_atomics_from_sync_alone() {
    let decides = |name: &str| {
        let others = ["Mutex", "RwLock", "Condvar", "Barrier", "Once", "mpsc", "RandomState"];
        others.contains(&name) || name.starts_with("Atomic")
    };
    for Module { name, code } in modules().iter().filter(|module| module.name.starts_with("keeper")) {
        for (at, _) in code.match_indices("std::") {
            for path in paths(&code[at..]) {
                assert!(!path.split("::").any(decides), "{name} has {path}, not `crate::sync`'s");
            }
        }
    }
}

fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':'))
    })
}

#[test]
fn every_file_says_first_what_it_is_for() {
    for folder in [
        "settings/src",
        "core/src",
        "macros/src",
        "runtime/src",
        "tests/src",
        "tests/tests",
        "fuzz",
        "examples",
        "benches",
    ] {
        for path in sources(&root().join(folder)) {
            // What the macros generate is compared with these files as it is.
            if path.iter().any(|name| name == "expansions") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("text");
            assert!(text.starts_with("//! "), "{} does not start with `//!`", path.display());
        }
    }
}

#[test]
fn paths_are_read_with_their_groups() {
    let code = "use crate::a::{b, c::{self, D}};\nuse super::e; fn f() -> crate::G";
    let found: Vec<_> = imports("x::y", code).into_iter().collect();
    assert_eq!(found, ["G", "a::b", "a::c::D", "a::c::self", "x::e"]);
}
