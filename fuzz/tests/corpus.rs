//! Every target over its whole corpus, and over mutations of it: the same in each run.

use std::fs;
use std::path::{Path, PathBuf};

use abeyance_fuzz::corpus::explore;
use abeyance_fuzz::{TARGETS, run};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

macro_rules! targets {
    ($($name:ident $mutations:literal)*) => {
        $(
            #[test]
            fn $name() {
                explore(&folder("corpus"), stringify!($name), $mutations, |input| run(stringify!($name), input));
            }
        )*

        #[test]
        fn no_target_and_no_corpus_is_forgotten() {
            let here = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name), here);
            let files = |path: &str, end: &str| {
                let entries = fs::read_dir(folder(path)).expect("a folder");
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
