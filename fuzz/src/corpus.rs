//! A target over its whole corpus, and over mutations of it: the same in each run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

use crate::mutation::Mutation;

/// Panics so far, also those that a server has caught or a task has kept to itself.
static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Runs a target over all inputs of its corpus, and over so many mutations of them unless `MUTATIONS` says otherwise.
///
/// # Panics
/// When the target finds something: the panic says in which input, and where a copy of the input is kept.
pub fn explore(folder: &Path, name: &str, mutations: usize, target: impl Fn(&[u8])) {
    // One target at a time: whose panic it was must be known, and more at once are no faster on few cores.
    static TURN: Mutex<()> = Mutex::new(());
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, SeqCst);
            told(panic);
        }));
    });
    let turn = TURN.lock();
    let corpus = read(&folder.join(name));
    for (title, input) in &corpus {
        run(name, title, input, &target);
    }
    let mut mutation = Mutation::new(name, corpus.iter().map(|(_, input)| input.clone()).collect());
    let wanted = std::env::var("MUTATIONS").ok();
    let wanted = wanted.map_or(mutations, |wanted| wanted.parse().expect("MUTATIONS is a number"));
    for round in 0..wanted {
        run(name, &format!("mutation {round}"), &mutation.draw(), &target);
    }
    drop(turn);
}

/// The inputs of a corpus that have chosen names, in the order of the names.
fn read(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        let title = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_hash = title.len() == 40 && title.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            inputs.push((title, fs::read(&path).expect("an input")));
        }
    }
    inputs.sort();
    assert!(inputs.len() >= 3, "the corpus {} is all but empty", folder.display());
    inputs
}

/// Runs one input. A panic is told with the input, in a form that can be kept as a file.
fn run(name: &str, origin: &str, input: &[u8], target: impl Fn(&[u8])) {
    let before = PANICS.load(SeqCst);
    let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
    if outcome.is_err() || PANICS.load(SeqCst) > before {
        let artifact = std::env::temp_dir().join(format!("abeyance-fuzz-{name}"));
        let kept = fs::write(&artifact, input)
            .map_or_else(|error| error.to_string(), |()| artifact.display().to_string());
        panic!("{name} found something in {origin}, which is kept in {kept}: b\"{}\"", input.escape_ascii());
    }
}
