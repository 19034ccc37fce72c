//! Every target over its whole corpus, and over mutations of it: the same in each run.

mod mutation;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use abeyance_fuzz::{TARGETS, run};

use mutation::Mutation;

/// Panics so far, also those that a server has caught or a task has kept to itself.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// How many mutations of its corpus a target gets, unless `MUTATIONS` says otherwise.
fn mutations(usual: usize) -> usize {
    let wanted = std::env::var("MUTATIONS").ok();
    wanted.map_or(usual, |wanted| wanted.parse().expect("MUTATIONS is a number"))
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}

/// What lies in the corpus under a name that somebody gave it, in the order of the names.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("the corpus of {name}: {error}")) {
        let path = entry.expect("an entry").path();
        let title = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_hash = title.len() == 40 && title.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            inputs.push((title, fs::read(&path).expect("an input")));
        }
    }
    inputs.sort();
    assert!(inputs.len() >= 3, "the corpus of {name} is all but empty");
    inputs
}

/// Runs one input. What panics is told with it, in a form that can be kept as a file.
fn tried(name: &str, origin: &str, input: &[u8]) {
    let before = PANICS.load(SeqCst);
    let outcome = catch_unwind(AssertUnwindSafe(|| run(name, input)));
    if outcome.is_err() || PANICS.load(SeqCst) > before {
        let artifact = std::env::temp_dir().join(format!("abeyance-fuzz-{name}"));
        let kept = fs::write(&artifact, input)
            .map_or_else(|error| error.to_string(), |()| artifact.display().to_string());
        panic!("{name} found something in {origin}, which is kept in {kept}: b\"{}\"", input.escape_ascii());
    }
}

fn explore(name: &str, usual: usize) {
    // One target at a time: whose panic it was must be known, and more at once are no faster on few cores.
    static TURN: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, SeqCst);
            told(panic);
        }));
    });
    let turn = TURN.lock();
    let corpus = corpus(name);
    for (title, input) in &corpus {
        tried(name, title, input);
    }
    let mut mutation = Mutation::new(name, corpus.iter().map(|(_, input)| input.clone()).collect());
    for round in 0..mutations(usual) {
        tried(name, &format!("mutation {round}"), &mutation.draw());
    }
    drop(turn);
}

macro_rules! targets {
    ($($name:ident $mutations:literal)*) => {
        $(
            #[test]
            fn $name() {
                explore(stringify!($name), $mutations);
            }
        )*

        #[test]
        fn no_target_and_no_corpus_is_forgotten() {
            let here = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), here);
            let files = |path: &str, end: &str| {
                let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a folder");
                let mut names: Vec<_> = entries
                    .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
                    .map(|name| name.trim_end_matches(end).to_owned())
                    .collect();
                names.sort();
                names
            };
            assert_eq!(files("corpus", ""), here);
            assert_eq!(files("fuzz_targets", ".rs"), here);
        }
    };
}

targets! {
    amounts 4000
    annotations 2000
    behind 300
    connections 300
    event_ids 4000
    frames 2000
    heads 2000
    messages 500
    origins 4000
    paths 1000
    tokens 2000
    topics 2000
    variables 1000
}
