//! The table of popular crates: swept anew, it has to be the committed one.

use std::process::Stdio;

use crate::{Step, cargo, output, root, run};

/// The committed page, which ends with the table.
const PAGE: &str = "precision/README.md";
/// The first words of the table.
const HEAD: &str = "| crate |";
const UPDATE: &str = "cargo run -p ci -- precision --update";

fn manifest() -> String {
    root().join("precision/Cargo.toml").to_string_lossy().into_owned()
}

/// Checks the crate `precision`, which is outside of the workspace, and sweeps its subjects.
pub(crate) fn precision(update: bool) -> Step {
    let manifest = manifest();
    let of_crate = |args: &[&str]| {
        let mut command = cargo(args);
        command.args(["--manifest-path", &manifest]);
        command.env("CARGO_TARGET_DIR", root().join("precision/target"));
        command
    };
    run(of_crate(&["fmt"]).arg("--check"))?;
    let clippy = ["clippy", "--release", "--locked", "--quiet"];
    run(of_crate(&clippy).args(["--", "-D", "warnings"]))?;
    let table = ["run", "--release", "--locked", "--quiet"];
    // It takes minutes, and says on standard error how far it is.
    let printed = output(of_crate(&table).args(["--", "table"]).stderr(Stdio::inherit()), 0)?;
    let page = root().join(PAGE);
    let committed = std::fs::read_to_string(&page).map_err(|e| format!("error: {PAGE}: {e}"))?;
    // The page ends with the table.
    let start = committed.find(HEAD).unwrap_or(committed.len());
    if committed[start..] == printed {
        return Ok(());
    }
    if update {
        let whole = format!("{}{printed}", &committed[..start]);
        return std::fs::write(page, whole).map_err(|error| format!("error: {PAGE}: {error}"));
    }
    Err(difference(&committed, start, &printed))
}

/// The lines that differ, and what to do.
fn difference(committed: &str, start: usize, printed: &str) -> String {
    let old: Vec<&str> = committed[start..].lines().collect();
    let new: Vec<&str> = printed.lines().collect();
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| format!("- {line}"));
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| format!("+ {line}"));
    let lines: Vec<String> = gone.chain(come).collect();
    let line = committed[..start].lines().count() + 1;
    format!(
        "error: the table of popular crates is not the committed one\n  --> {PAGE}:{line}\n{}\n\
         help: look for the reason of each finding that is new; `{UPDATE}` writes the file anew\n\
         help: another version of rustc has other call sites",
        lines.join("\n")
    )
}
