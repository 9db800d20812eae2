//! What the test of a script prints where it fails: where, and how to run it again by the same test.
//! This program is both: the tests of a folder's scripts, and the test that starts those.

#[path = "common/queue.rs"]
mod queue;

use std::path::Path;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Trial};
use mallory::script::{Script, ScriptTests};
use queue::{Op, Queue};

/// Names the folder below which scripts are.
const FOLDER: &str = "SCRIPTS_BELOW";

fn main() -> ExitCode {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return ScriptTests::new(folder).system::<Queue>().scripts("scripts").main();
    }
    let trial = Trial::test("a_failing_script_says_how_to_run_it_again", || {
        a_failing_script_says_how_to_run_it_again();
        Ok(())
    });
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit_code()
}

/// What that test of a script prints, which fails.
fn fails(folder: &Path, test: &str, replay: Option<&str>) -> String {
    let program = std::env::current_exe().expect("a path");
    let mut command = Command::new(program);
    command.arg(test).env(FOLDER, folder).env_remove("MALLORY_REPLAY");
    if let Some(token) = replay {
        command.env("MALLORY_REPLAY", token);
    }
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let printed = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(101), "{printed}");
    printed
}

fn a_failing_script_says_how_to_run_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("made");
    let push = |text: &str| Op::Push(text.to_owned());
    let script = Script::of("queue", vec![push("first"), push("second"), push("third")]);
    std::fs::write(scripts.join("full.ron"), script.print().expect("text")).expect("written");

    let printed = fails(folder.path(), "scripts/full::sweep", None);
    assert!(printed.contains("  harness/tests/common/queue.rs:"), "{printed}");
    let line =
        printed.lines().find_map(|line| line.trim().strip_prefix("replay  ")).expect("a line");
    let rest = line.strip_prefix("MALLORY_REPLAY='").expect("a token");
    let (token, command) = rest.split_once("' ").expect("a command");
    assert_eq!(command, "cargo nextest run scripts/full::sweep");
    let printed = fails(folder.path(), "scripts/full::sweep", Some(token));
    assert!(printed.contains("reproduced"), "{printed}");
    // A replay is never a passing test.
    let printed = fails(folder.path(), "scripts/full::sweep", Some("v1 queue f=T0#99 fp=000000"));
    assert!(printed.contains("no failure"), "{printed}");
}
