//! The rules of the house, read off the source, so that a change that breaks one fails a test instead
//! of being noticed later: imports point down and never in a circle, files stay short, a type has one
//! home, `unsafe` stays in its list, and texts use the words that a stranger knows.
//!
//! The tables of this folder are the rules; each exception gives its reason, and one that is no longer
//! needed has to leave its table.

mod files;
mod imports;
mod rules;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use files::{File, sources, texts};
use imports::Tree;

#[test]
fn imports_point_down() {
    let tree = Tree::of(&sources("src"));
    assert!(tree.edges.len() > 300, "only {} imports were read", tree.edges.len());
    let up = tree.edges.iter().filter_map(|(from, to)| {
        let (above, below) = (rules::layer(from)?, rules::layer(to)?);
        let within = rules::folder(from) == rules::folder(to);
        (below <= above && !within).then(|| format!("{from} imports {to}"))
    });
    let up: Vec<String> = up.collect();
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
        assert!(path.matches('/').count() <= 1, "{path} is in a folder of a folder");
    }
    let root = files.iter().filter(|file| !file.path.contains('/')).count();
    assert!(root <= rules::ROOT_FILES_MAX, "{root} files lie flat in src");
}

#[test]
fn a_long_file_has_a_reason() {
    let mut long = BTreeSet::new();
    for folder in ["src", "tests"] {
        for File { path, text } in sources(folder) {
            let lines = text.lines().count();
            let path = format!("{folder}/{path}");
            let known = rules::LONG.iter().any(|(known, _)| *known == path);
            assert!(
                known || lines <= rules::LINES_MAX,
                "{path} has {lines} lines: split it, or give its reason in LONG"
            );
            if known && lines > rules::LINES_MAX {
                long.insert(path);
            }
        }
    }
    for (path, _) in rules::LONG {
        assert!(long.contains(*path), "{path} is not long: take it out of LONG");
    }
}

#[test]
fn a_type_has_one_name_and_one_home() {
    let tree = Tree::of(&sources("src"));
    let mut homes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, path) in &tree.types {
        homes.entry(name).or_default().push(path);
    }
    for (name, paths) in &homes {
        assert!(paths.len() == 1, "`{name}` is the name of several types: {paths:?}");
    }
    let mut second = BTreeSet::new();
    for (name, path) in &tree.impls {
        let Some(home) = homes.get(name.as_str()).map(|paths| paths[0]) else { continue };
        if home != path {
            second.insert((name.as_str(), path.as_str()));
        }
    }
    let known: BTreeSet<(&str, &str)> =
        rules::SECOND_IMPLS.iter().map(|(name, path, _)| (*name, *path)).collect();
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
        for File { path, text } in sources(folder) {
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
    for File { path, text } in sources("src") {
        let lines: Vec<&str> = text.lines().collect();
        for (nth, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            if !code.contains("unsafe {") && !code.contains("unsafe impl") {
                continue;
            }
            let before = &lines[nth.saturating_sub(8)..nth];
            let said = before.iter().chain([line]).any(|line| line.contains("SAFETY:"));
            assert!(said, "{path}:{}: no SAFETY comment near `{}`", nth + 1, line.trim());
        }
    }
}
