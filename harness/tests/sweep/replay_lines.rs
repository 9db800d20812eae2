//! Replay lines work where they are printed: each kind of program is started for real, and the line that
//! it prints is given to a shell.

use std::process::Command;

use mallory::{Heap, Sweep};

use crate::common::{Oom, Owned, build};

/// Set for the test that these tests start.
const IN_RUNNER: &str = "TEST_IN_RUNNER";

/// The finding whose replay line is looked at: a block that is lost if there is no second one.
#[test]
fn planted() {
    if std::env::var_os(IN_RUNNER).is_none() {
        return;
    }
    let lossy = |heap: &Heap| {
        let first = Owned::new(heap, 16)?;
        let second = Owned::new(heap, 32);
        if second.is_err() {
            std::mem::forget(first);
        }
        second.map(|_| ()).map_err(Oom::from)
    };
    Sweep::new("planted").run(lossy).assert_clean();
}

/// A command in the workspace that knows nothing of the runner of this test.
fn in_workspace(program: &str) -> Command {
    let mut command = Command::new(program);
    let is_ours = |name: &String| {
        ["MALLORY_", "NEXTEST", "CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in std::env::vars().filter(|(name, _)| is_ours(name)) {
        command.env_remove(name);
    }
    command.current_dir(build::root()).env(IN_RUNNER, "1").env("CARGO_NET_OFFLINE", "true");
    command
}

/// What a command prints.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Runs a program, checks the line that it prints, gives that line to a shell, and checks that the
/// finding shows again.
#[track_caller]
fn replays(mut first: Command, expected: &[&str]) {
    let report = printed(&mut first);
    let line = report.lines().find_map(|line| line.trim().strip_prefix("replay  "));
    let line = line.unwrap_or_else(|| panic!("no replay line:\n{report}"));
    for part in expected {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    let again = printed(in_workspace("sh").args(["-c", line]));
    assert!(again.contains(" reproduced\n"), "{line}\n{again}");
}

fn cargo(words: &[&str]) -> Command {
    let mut command = in_workspace(env!("CARGO"));
    let (subcommand, rest) = words.split_first().expect("a subcommand");
    command.args(subcommand.split(' ')).args(build::flags()).args(rest);
    command
}

const NAME: &str = "replay_lines::planted";

#[test]
fn a_test_is_replayed_by_cargo_test() {
    let test = cargo(&["test", "--test", "sweep", NAME, "--", "--exact"]);
    let again = "cargo test -p mallory ";
    let exact = "--test sweep replay_lines::planted -- --exact";
    replays(test, &["MALLORY_REPLAY='v1 planted f=T0#2", again, exact]);
}

#[test]
fn a_test_is_replayed_by_nextest() {
    if std::env::var_os("NEXTEST").is_none() {
        return;
    }
    let test = cargo(&["nextest run", "--test", "sweep", NAME]);
    let again = "cargo nextest run -p mallory ";
    replays(
        test,
        &["MALLORY_REPLAY='v1 planted f=T0#2", again, "--test sweep replay_lines::planted"],
    );
}

#[cfg(feature = "allocator-api2")]
#[test]
fn an_example_is_replayed_by_cargo_run() {
    let example = cargo(&["run", "--example", "first", "--", "leak"]);
    replays(example, &["MALLORY_REPLAY='v1 pair f=T0#2", "--example first -- leak"]);
    // What was started without cargo is started so again.
    let profile =
        if build::flags().contains(&"--release".to_owned()) { "release" } else { "debug" };
    let program = std::env::current_exe().expect("it has a file");
    let target =
        program.ancestors().nth(3).and_then(|folder| folder.strip_prefix(build::root()).ok());
    if let Some(target) = target {
        let program = target.join(profile).join("examples/first");
        let program = program.to_str().expect("text");
        let mut direct = in_workspace(program);
        direct.arg("leak");
        replays(direct, &["MALLORY_REPLAY='v1 pair f=T0#2", &format!("' {program} leak")]);
    }
}
