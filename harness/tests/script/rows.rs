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

/// The output of the script's test, which fails.
fn fails(folder: &Path, replay: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["full::sweep", "--nocapture"]).env(FOLDER, folder).env_remove("MALLORY_REPLAY");
    if let Some(token) = replay {
        command.env("MALLORY_REPLAY", token);
    }
    let output = command.output().expect("it starts");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(101), "{printed}");
    // The filter selects one test of the script, and it failed.
    assert!(printed.contains("0 passed; 1 failed"), "{printed}");
    printed
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
    assert_eq!(command, "cargo nextest run scripts/full::sweep");
    let printed = fails(folder.path(), Some(token));
    assert!(printed.contains("reproduced"), "{printed}");
    // A replay is never a passing test.
    let printed = fails(folder.path(), Some("v1 queue f=T0#99 fp=000000"));
    assert!(printed.contains("no failure"), "{printed}");
}
