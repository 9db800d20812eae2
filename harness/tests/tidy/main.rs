//! The rules of the house, read off the source, so that a change that breaks one fails a test instead
//! of being noticed later: imports point down and never in a circle, files stay short, a type has one
//! home, `unsafe` stays in its list, and texts use the words that a stranger knows.
//!
//! The tables of this folder are the rules; each exception gives its reason, and one that is no longer
//! needed has to leave its table.

mod files;
mod imports;
mod planted;
mod readme;
mod rules;
mod words;

use std::collections::BTreeSet;

use files::{File, sources, texts};
use imports::Tree;

#[test]
fn imports_point_down() {
    let tree = Tree::of(&sources("src"));
    assert!(tree.edges.len() > 300, "only {} imports were read", tree.edges.len());
    let up = tree.upward();
    assert!(up.is_empty(), "imports that don't point down:\n{}", up.join("\n"));
}

#[test]
fn no_file_imports_itself_through_others() {
    let tree = Tree::of(&sources("src"));
    let circles = tree.circles();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

#[test]
fn every_file_has_a_layer_and_the_root_is_small() {
    let files = sources("src");
    for File { path, .. } in files.iter().filter(|file| file.path != "lib.rs") {
        assert!(rules::layer(path).is_some(), "{path} has no layer: add it to LAYERS");
        let is_flat = path.matches('/').count() <= 1 || path.contains("/tests/");
        assert!(is_flat, "{path} is in a folder of a folder");
    }
    let root = files.iter().filter(|file| !file.path.contains('/')).count();
    assert!(root <= rules::ROOT_FILES_MAX, "{root} files lie flat in src");
}

#[test]
fn a_long_file_has_a_reason() {
    let mut long = BTreeSet::new();
    for folder in ["src", "tests"] {
        long.extend(rules::long(&sources(folder)).map(|path| format!("{folder}/{path}")));
    }
    let known: BTreeSet<String> = rules::LONG.iter().map(|(path, _)| (*path).to_owned()).collect();
    let most = rules::LINES_MAX;
    assert_eq!(long, known, "left: files over {most} lines; right: those with a reason in LONG");
}

#[test]
fn a_type_has_one_name_and_one_home() {
    let tree = Tree::of(&sources("src"));
    let twice = tree.names_used_twice();
    assert!(twice.is_empty(), "names of several types:\n{}", twice.join("\n"));
    let known: BTreeSet<(String, String)> = rules::SECOND_IMPLS
        .iter()
        .map(|(name, path, _)| ((*name).to_owned(), (*path).to_owned()))
        .collect();
    let second = tree.second_impls();
    assert_eq!(second, known, "left: `impl`s away from their type; right: those with a reason");
}

#[test]
fn unsafe_stays_in_its_files() {
    let files = sources("src");
    let found: Vec<&str> = files
        .iter()
        .filter(|file| imports::says(file, "unsafe"))
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(found, rules::UNSAFE, "left: files with `unsafe`; right: the list");
}

/// Std's maps draw seeds from their thread's, which a subject's maps then depend on.
#[test]
fn the_harness_draws_no_hash_seeds() {
    for file in sources("src") {
        for name in ["HashMap", "HashSet", "RandomState"] {
            assert!(!imports::says(&file, name), "{}: {name} (use a BTreeMap)", file.path);
        }
    }
}

#[test]
fn texts_use_words_that_a_stranger_knows() {
    let mut found = Vec::new();
    for (path, text) in texts() {
        found.extend(words::forbidden(&path, &text));
    }
    assert!(found.is_empty(), "{} forbidden words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn the_crates_root_is_a_small_front_door() {
    let names = imports::public_root_names();
    assert!(names.len() <= rules::ROOT_NAMES_MAX, "{} names: {names:?}", names.len());
    assert!(names.contains("Sweep") && names.contains("conformance"), "{names:?}");
}

#[test]
fn every_file_says_what_it_is() {
    for folder in ["src", "tests"] {
        // The README's examples are printed as they are.
        let is_example = |file: &File| file.path.starts_with("tidy/readme/");
        for File { path, text } in sources(folder).into_iter().filter(|file| !is_example(file)) {
            let header: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
            let is_sentence = header.len() > 20 && header.contains(['.', ':']);
            assert!(is_sentence, "{folder}/{path} doesn't begin with a sentence about itself");
        }
    }
}

#[test]
fn nothing_is_left_for_later() {
    let later = [
        concat!("to", "do!"),
        concat!("TO", "DO"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
        concat!("FIX", "ME"),
        concat!("db", "g!("),
    ];
    for (path, text) in texts() {
        for mark in later {
            assert!(!text.contains(mark), "{path}: {mark}");
        }
    }
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let bare: Vec<String> = sources("src").iter().flat_map(rules::unsafe_without_reason).collect();
    assert!(bare.is_empty(), "no SAFETY comment near:\n{}", bare.join("\n"));
}
