//! What fuzzers have found is replayed without a fuzzer: the bytes in `fuzz/regressions/TARGET` are
//! passed to the targets' functions. The list of targets must be complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mallory_scenarios::fuzz_targets::{PLANTED, TARGETS, random_bytes};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn stem(path: &Path) -> String {
    path.file_stem().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn every_target_has_a_file_and_every_file_is_a_target() {
    let files: BTreeSet<String> =
        files(&fuzz().join("fuzz_targets")).iter().map(|path| stem(path)).collect();
    let names = TARGETS.iter().map(|(name, _)| (*name).to_owned());
    assert_eq!(files, names.chain(["planted".to_owned()]).collect());
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    for file in &files {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{file}.rs\"")), "{file}");
    }
}

#[test]
fn what_was_found_once_stays_fixed() {
    let mut replayed = 0;
    for folder in files(&fuzz().join("regressions")) {
        let name = stem(&folder);
        let target = TARGETS.iter().find(|(known, _)| *known == name);
        let (_, attack) = target.unwrap_or_else(|| panic!("{name} is not a target"));
        for path in files(&folder) {
            attack(&std::fs::read(&path).expect("bytes"));
            replayed += 1;
        }
    }
    assert!(replayed > 0, "nothing was replayed");
}

#[test]
fn every_target_takes_random_bytes() {
    for (_, attack) in TARGETS {
        for seed in 0..150 {
            attack(&random_bytes(seed, seed as usize * 3));
        }
    }
}

#[test]
fn every_planted_bug_is_reached_by_random_bytes() {
    const EXECUTIONS: u64 = 5_000;
    for (name, attack) in PLANTED.iter().filter(|(name, _)| *name != "shelf-abort") {
        let reached = (0..EXECUTIONS).find(|seed| {
            let run = || attack(&random_bytes(*seed, 120));
            std::panic::catch_unwind(run).is_err()
        });
        assert!(reached.is_some(), "{name} is not reached in {EXECUTIONS} executions");
    }
}
