//! The runtime's layers, as `ARCHITECTURE.md` tells them: what a file may name is its own module and what is below.

use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first.
const LAYERS: [&str; 7] = ["words", "mechanisms", "keeper", "socket", "endpoint", "dispatch", "server"];

/// What a layer must not name although it is below it, or comes from another crate.
const CLOSED: [(&str, &str); 8] = [
    ("words", "tokio::"),
    ("words", "parking_lot"),
    ("mechanisms", "tokio::"),
    ("mechanisms", "parking_lot"),
    ("mechanisms", "async fn"),
    ("keeper", "tokio::net"),
    ("socket", "crate::keeper"),
    ("endpoint", "crate::socket"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().filter(|file| file.extension().is_some_and(|end| end == "rs")).chain(below).collect()
}

/// Lines of code, with their file and number; comments are free to look up.
fn each_line(mut judge: impl FnMut(&str, &str, &str)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src");
    for layer in LAYERS {
        for file in sources(&root.join(layer)) {
            let text = fs::read_to_string(&file).expect("text");
            for (line, number) in text.lines().zip(1..) {
                if !line.trim_start().starts_with("//") {
                    judge(layer, line, &format!("{}:{number}", file.display()));
                }
            }
        }
    }
}

#[test]
fn nothing_names_a_layer_above_its_own() {
    each_line(|layer, line, place| {
        let own = LAYERS.iter().position(|known| *known == layer);
        assert!(
            !line.contains("crate::{"),
            "{place}: name each module on a line of its own, for this test's sake"
        );
        for named in line.split("crate::").skip(1) {
            let above = LAYERS.iter().position(|known| {
                named.strip_prefix(known).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
            });
            assert!(above <= own, "{place}: {layer} names what is above it: {}", line.trim());
        }
    });
}

#[test]
fn what_a_layer_must_do_without_is_absent() {
    each_line(|layer, line, place| {
        for (_, closed) in CLOSED.iter().filter(|(of, _)| *of == layer) {
            assert!(!line.contains(closed), "{place}: {layer} must not know `{closed}`: {}", line.trim());
        }
    });
}

#[test]
fn mechanisms_do_not_know_one_another() {
    each_line(|layer, line, place| {
        if layer != "mechanisms" {
            return;
        }
        for named in line.split("crate::mechanisms::").skip(1) {
            let neighbour = named.split(|end: char| !end.is_alphanumeric() && end != '_').next();
            let own = place.split("mechanisms/").nth(1).and_then(|file| file.split(['/', '.']).next());
            assert_eq!(neighbour, own, "{place}: {}", line.trim());
        }
    });
}
