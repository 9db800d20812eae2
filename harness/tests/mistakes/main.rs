//! Errors of the compiler that teach: mistakes that users of the public API are likely to make, each a
//! program in `cases`. The compiler's words differ by version, so a case says (by `//~`) which sentences
//! have to be among them: those of our own, or else the code of the error.

#[path = "../common/build.rs"]
mod build;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates that the cases use, as files of this build.
struct Crates {
    files: BTreeMap<String, PathBuf>,
}

impl Crates {
    /// Asks cargo which files this test program was built from. It is the build that has just been made,
    /// so nothing is built.
    fn of_this_build() -> Crates {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["test", "--no-run", "--message-format=json", "--test", "mistakes"]);
        let output = cargo
            .args(build::flags())
            .env("CARGO_NET_OFFLINE", "true")
            .current_dir(build::root())
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut files = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let name = line["target"]["name"].as_str().unwrap_or("").replace('-', "_");
            let all = line["filenames"].as_array().into_iter().flatten();
            let library = all.filter_map(Value::as_str).find(|file| file.ends_with(".rlib"));
            if let Some(library) = library
                && ["mallory", "serde", "arbitrary"].contains(&&*name)
            {
                files.insert(name, PathBuf::from(library));
            }
        }
        assert!(files.contains_key("mallory") && files.contains_key("serde"), "{files:?}");
        Crates { files }
    }

    /// What the compiler says of a program; `None` if it is right.
    fn errors(&self, program: &Path) -> Option<String> {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--emit=metadata", "--crate-type=bin", "--color=never"]);
        for (name, file) in &self.files {
            rustc.arg("--extern").arg(format!("{name}={}", file.display()));
        }
        let libraries = self.files["mallory"].parent().expect("it is in a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let output = rustc
            .arg(format!("-Ldependency={}", libraries.display()))
            .arg(format!("-Ldependency={}", libraries.join("deps").display()))
            .arg("-o")
            .arg(folder.path().join("out"))
            .arg(program)
            .output()
            .expect("rustc starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (!output.status.success()).then_some(said)
    }
}

/// A text without its line breaks: the compiler breaks long notes.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether this build has the feature that a case needs.
fn is_built(feature: &str) -> bool {
    match feature {
        "ron" => cfg!(feature = "ron"),
        "proptest" => cfg!(feature = "proptest"),
        "shuttle" => cfg!(feature = "shuttle"),
        other => panic!("unknown: {other}"),
    }
}

#[test]
fn each_mistake_is_explained() {
    let crates = Crates::of_this_build();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes/cases");
    let files = std::fs::read_dir(cases).expect("the folder is there");
    let mut files: Vec<PathBuf> =
        files.map(|entry| entry.expect("it can be read").path()).collect();
    files.sort();
    let (mut explained, mut wrong) = (0, Vec::new());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let name = file.file_name().and_then(|name| name.to_str()).expect("text");
        let marked = |mark: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix(mark)).map(flat).collect()
        };
        if marked("//@ feature ").iter().any(|feature| !is_built(feature)) {
            continue;
        }
        let sentences = marked("//~ ");
        match crates.errors(&file) {
            None if sentences.is_empty() => {}
            None => wrong.push(format!("{name}: it compiles")),
            Some(said) if sentences.is_empty() => wrong.push(format!("{name}: {said}")),
            Some(said) => {
                let whole = flat(&said);
                let missing = sentences.iter().filter(|sentence| !whole.contains(&**sentence));
                wrong.extend(missing.map(|missing| format!("{name}: no `{missing}` in\n{said}")));
                explained += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(explained >= 17, "{explained}");
}
