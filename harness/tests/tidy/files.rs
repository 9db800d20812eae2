//! The files that the rules look at.

use std::path::{Path, PathBuf};

/// A source file: its path below its root, with slashes, and its text.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

fn harness() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a directory entry").path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                walk(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

fn below(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).expect("below its root").to_string_lossy().replace('\\', "/")
}

/// The Rust files of a folder of the crate, sorted by path.
pub(crate) fn sources(folder: &str) -> Vec<File> {
    let root = harness().join(folder);
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    let mut files: Vec<File> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .map(|path| File {
            path: below(&root, path),
            text: std::fs::read_to_string(path).expect("source is text"),
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(files.len() > 3, "there is something to read in {}", root.display());
    files
}

/// What people read in the whole workspace: Rust, C and Markdown files, with their paths.
pub(crate) fn texts() -> Vec<(String, String)> {
    let root = harness().parent().expect("the workspace's folder").to_owned();
    let mut paths = Vec::new();
    for folder in ["harness", "scenarios", "fuzz", "ci", "docs", "precision"] {
        walk(&root.join(folder), &mut paths);
    }
    for entry in std::fs::read_dir(&root).expect("the workspace") {
        let path = entry.expect("a directory entry").path();
        paths.extend(path.is_file().then_some(path));
    }
    let is_read = |path: &&PathBuf| {
        let ext = path.extension().and_then(|ext| ext.to_str());
        matches!(ext, Some("rs" | "md" | "c" | "h" | "toml"))
    };
    let mut texts: Vec<(String, String)> = paths
        .iter()
        .filter(is_read)
        .filter_map(|path| Some((below(&root, path), std::fs::read_to_string(path).ok()?)))
        // The rules themselves have to name what they forbid.
        .filter(|(path, _)| !path.starts_with("harness/tests/tidy/"))
        .collect();
    texts.sort();
    assert!(texts.len() > 100, "there is something to read");
    texts
}
