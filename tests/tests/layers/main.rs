//! What Cargo cannot say of the insides of our crates (`ARCHITECTURE.md`): who may import whom. Read from the sources.

mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{Import, Sources, every_source, names_crate};

/// The layers of the runtime, lowest first: which other layers each may import, and which crates it must not know.
const LAYERS: [(&str, &[&str], &[&str]); 6] = [
    ("settings", &[], &["tokio", "http", "hyper", "axum_core", "nix", "socket2", "parking_lot"]),
    ("keeper", &["settings"], &["http", "hyper", "axum_core", "nix", "socket2", "parking_lot"]),
    ("socket", &["settings"], &["http", "hyper", "axum_core"]),
    ("endpoint", &["settings", "keeper"], &["hyper", "nix", "socket2"]),
    ("dispatch", &["settings", "keeper", "socket", "endpoint"], &["nix", "socket2"]),
    ("server", &["settings", "socket", "dispatch"], &[]),
];

/// Imports that reach further, each for its reason. One that is not needed fails, too.
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

/// Where dispatch knows hyper: the body of a request is a type of hyper's.
const BODIES: [&str; 4] = ["dispatch", "dispatch::admit", "dispatch::fallback", "dispatch::client_post"];

/// What decides how threads meet. The model replaces what `sync` exports, and sees nothing else.
const SYNC: [&str; 8] = ["Mutex", "RwLock", "Condvar", "Barrier", "Once", "mpsc", "RandomState", "Atomic"];

fn layer(module: &str) -> &str {
    module.split("::").next().unwrap_or_default()
}

#[test]
fn a_file_imports_its_own_layer_or_a_lower_one_and_no_inside_of_a_neighbour() {
    let runtime = Sources::read("runtime/src");
    let (mut faults, mut used) = (Vec::new(), BTreeSet::new());
    for Import { by, path, named, .. } in runtime.imports() {
        let Some(named) = named else {
            faults.push(format!("{by} imports {path}, which is in no file"));
            continue;
        };
        if let Some(exception) = EXCEPTIONS.iter().find(|exception| (exception.0, exception.1) == (by, named))
        {
            used.insert(*exception);
            continue;
        }
        let (from, to) = (layer(by), layer(named));
        let allowed =
            LAYERS.iter().find(|(layer, ..)| *layer == from).map_or(&[][..], |(_, allowed, _)| allowed);
        if from != to && !allowed.contains(&to) {
            faults.push(format!("{by} imports {path}: {from} may not know {to}"));
        }
        let shared = by.split("::").zip(named.split("::")).take_while(|(a, b)| a == b).count();
        if from == to && !named.starts_with(by) && named.split("::").count() > shared + 1 {
            faults.push(format!("{by} imports {path}: that is inside of a neighbour"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let unused: Vec<_> = EXCEPTIONS.iter().filter(|exception| !used.contains(*exception)).collect();
    assert!(unused.is_empty(), "not needed any more: {unused:?}");
}

/// A folder's `mod.rs` is the parent of its files, which use what stands in it; only edges among the others are looked at.
#[test]
fn no_files_import_one_another_in_a_circle() {
    for folder in ["settings/src", "core/src", "macros/src", "runtime/src"] {
        let sources = Sources::read(folder);
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for Import { by, real, .. } in sources.imports() {
            edges.entry(by).or_default().extend(real.filter(|real| *real != by));
        }
        assert!(edges.len() > 3, "{folder}: only {} files with imports were read", edges.len());
        // What imports nothing that is left is in no circle, and is left out.
        let mut left: BTreeSet<&str> = edges.keys().copied().collect();
        while let Some(free) = left.iter().copied().find(|name| edges[name].is_disjoint(&left)) {
            left.remove(free);
        }
        let circles: Vec<_> = left.iter().map(|name| (name, edges[name].intersection(&left))).collect();
        assert!(circles.is_empty(), "{folder}: these are in circles, or lead to one: {circles:#?}");
    }
}

#[test]
fn a_layer_knows_no_crate_above_it() {
    for (name, code) in Sources::read("runtime/src").modules() {
        let unknown =
            LAYERS.iter().find(|(of, ..)| *of == layer(name)).map_or(&[][..], |(.., unknown)| unknown);
        for unknown in unknown {
            assert!(!names_crate(code, unknown), "{name} knows {unknown}");
        }
        if layer(name) == "dispatch" {
            let body = "hyper::body::Incoming";
            assert!(!names_crate(&code.replace(body, ""), "hyper"), "{name} knows more of hyper than a body");
            assert_eq!(code.contains(body), BODIES.contains(&name), "{name}: {BODIES:?} know bodies");
        }
    }
}

#[test]
fn the_keeper_takes_locks_and_atomics_from_sync_alone() {
    for (name, code) in Sources::read("runtime/src").modules().filter(|(name, _)| layer(name) == "keeper") {
        for path in sources::paths_from(code, "std::") {
            let decides = path.split("::").any(|part| {
                SYNC.contains(&part) || part.strip_prefix("Atomic").is_some_and(|rest| !rest.is_empty())
            });
            assert!(!decides, "{name} has {path}, not `abeyance_core::sync`'s");
        }
    }
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let folders = [
        "settings/src",
        "core/src",
        "macros/src",
        "runtime/src",
        "tests/src",
        "tests/tests",
        "fuzz",
        "examples",
    ];
    for path in folders.into_iter().chain(["benches"]).flat_map(every_source) {
        // What the macros generate is compared with these files as it is.
        if path.iter().any(|name| name == "expansions") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.starts_with("//! "), "{} does not start with `//!`", path.display());
    }
}
