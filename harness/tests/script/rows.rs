//! The tests that a folder of scripts becomes: a failing one prints where it failed, and how to run
//! it again by the same test.

use std::path::Path;
use std::process::{Command, ExitCode};

use crate::queue::{Op, Queue};
use mallory::script::{Script, ScriptTests};

/// Set in the child process: the folder below which its scripts are.
const FOLDER: &str = "TEST_SCRIPTS_BELOW";

/// The child process: a test of the standard harness that runs the tests of a folder's scripts. Both
/// read the same arguments, so the filter `full::sweep` has to fit this test and the script's.
mod full {
    use super::*;

    #[test]
    fn sweep() -> ExitCode {
        match std::env::var_os(FOLDER) {
            Some(folder) => ScriptTests::new(folder).system::<Queue>().scripts("scripts").main(),
            None => ExitCode::SUCCESS,
        }
    }
}

/// The same for folders without scripts, whose filter is `is_not_empty`.
#[test]
fn is_not_empty() -> ExitCode {
    match std::env::var_os(FOLDER) {
        Some(folder) => {
            let tests = ScriptTests::new(folder).system::<Queue>().scripts("scripts");
            tests.cases("cases").cases_if_any("other").main()
        }
        None => ExitCode::SUCCESS,
    }
}

/// The output of the tests of this program that fit the filter, in the child process.
fn output(folder: &Path, filter: &str, replay: Option<&str>) -> (Option<i32>, String) {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args([filter, "--nocapture"]).env(FOLDER, folder).env_remove("MALLORY_REPLAY");
    if let Some(token) = replay {
        command.env("MALLORY_REPLAY", token);
    }
    let output = command.output().expect("it starts");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code(), printed)
}

/// The output of the script's test, which fails.
fn fails(folder: &Path, replay: Option<&str>) -> String {
    let (code, printed) = output(folder, "full::sweep", replay);
    assert_eq!(code, Some(101), "{printed}");
    // The filter selects one test of the script, and it failed.
    assert!(printed.contains("0 passed; 1 failed"), "{printed}");
    printed
}

#[test]
fn a_folder_without_scripts_is_a_test_that_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    // Neither folder is there.
    let (code, printed) = output(folder.path(), "is_not_empty", None);
    assert_eq!(code, Some(101), "{printed}");
    assert!(printed.contains("0 passed; 2 failed"), "{printed}");
    for folder in ["scripts", "cases"] {
        assert!(printed.contains(&format!("--> {folder}")), "{printed}");
    }
    // One is empty, the other one isn't.
    std::fs::create_dir(folder.path().join("scripts")).expect("made");
    std::fs::create_dir(folder.path().join("cases")).expect("made");
    let script: Script<Op> = Script::of("queue", vec![Op::Push("one".to_owned())]);
    let text = script.print().expect("text");
    std::fs::write(folder.path().join("cases/one.ron"), text).expect("written");
    let (_, printed) = output(folder.path(), "is_not_empty", None);
    assert!(printed.contains("0 passed; 1 failed"), "{printed}");
    assert!(printed.contains("there is no script in this folder"), "{printed}");
}

#[test]
fn a_failing_script_says_how_to_run_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    let push = |text: &str| Op::Push(text.to_owned());
    let script = Script::of("queue", vec![push("first"), push("second"), push("third")]);
    std::fs::write(scripts.join("full.ron"), script.print().expect("text")).expect("written");

    let printed = fails(folder.path(), None);
    assert!(printed.contains("  harness/tests/script/queue.rs:"), "{printed}");
    let line =
        printed.lines().find_map(|line| line.trim().strip_prefix("replay  ")).expect("a line");
    let rest = line.strip_prefix("MALLORY_REPLAY='").expect("a token");
    let (token, command) = rest.split_once("' ").expect("a command");
    let runner = if std::env::var_os("NEXTEST").is_some() { "nextest run" } else { "test" };
    assert!(command.starts_with(&format!("cargo {runner} -p mallory ")), "{command}");
    assert!(command.contains(" scripts/full::sweep"), "{command}");
    let printed = fails(folder.path(), Some(token));
    assert!(printed.contains("reproduced"), "{printed}");
    // A replay is never a passing test.
    let printed = fails(folder.path(), Some("v1 queue f=T0#99 fp=000000"));
    assert!(printed.contains("no failure"), "{printed}");
}
