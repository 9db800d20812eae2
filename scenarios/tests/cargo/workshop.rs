//! A copy of the crate in `fixture`, and the command in it.

use std::path::Path;
use std::process::{Command, Output};

/// A crate in a folder of its own.
pub(crate) struct Workshop(tempfile::TempDir);

/// What a command printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workshop {
    pub(crate) fn new() -> Workshop {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("src")).expect("made");
        for (name, text) in [
            ("Cargo.toml", include_str!("fixture/manifest.toml")),
            ("build.rs", include_str!("fixture/build_script.rs")),
            ("src/lib.rs", include_str!("fixture/library.rs")),
            ("src/allocators.rs", include_str!("fixture/allocators.rs")),
        ] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        Workshop(folder)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    /// The command `cargo mallory WORDS`, in an environment without what runs this test.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-mallory"));
        for (name, _) in std::env::vars() {
            let is_ours = ["CARGO", "RUST", "MALLORY", "NEXTEST", "LD_"];
            let is_kept = ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"];
            if is_ours.iter().any(|start| name.starts_with(start)) && !is_kept.contains(&&*name) {
                command.env_remove(name);
            }
        }
        command.current_dir(self.folder()).env("CARGO_NET_OFFLINE", "true");
        command.arg("mallory").args(words);
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Printed {
        Printed::of(self.command(words).output().expect("the program starts"))
    }

    /// What the command prints, which must exit with this code.
    pub(crate) fn printed(&self, words: &[&str], code: i32) -> String {
        let printed = self.run(words);
        assert_eq!(printed.code, Some(code), "{words:?}\n{}\n{}", printed.out, printed.err);
        printed.out
    }
}

impl Printed {
    pub(crate) fn of(output: Output) -> Printed {
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        let (out, err) = (text(output.stdout), text(output.stderr));
        Printed { code: output.status.code(), out, err }
    }
}

/// The line of a test in the table, without the gaps between the columns.
pub(crate) fn row(out: &str, test: &str) -> String {
    let is_row = |line: &&str| line.split_whitespace().nth(1) == Some(test);
    let line = out.lines().find(is_row).unwrap_or_else(|| panic!("{test} has no line in\n{out}"));
    line.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")
}
