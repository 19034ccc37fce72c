//! The macros judge an annotation by the runtime's own files.

use std::fs;
use std::path::Path;

#[test]
fn the_macros_read_the_very_files_of_the_runtime() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for file in ["amount.rs", "terms.rs", "terms/key.rs", "terms/contradiction.rs"] {
        let read = |member: &str| fs::read(root.join(member).join("src/words").join(file)).expect(file);
        assert!(read("macros") == read("runtime"), "macros/src/words/{file} is not the runtime's");
    }
}

#[test]
fn no_shared_file_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/words/terms");
    let mut files: Vec<_> = fs::read_dir(root)
        .expect("the folder of the terms")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["contradiction.rs", "key.rs"],
        "link new files in macros/src/words/terms, and compare them above"
    );
}
