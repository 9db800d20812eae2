//! Tests that start their own test program again, to run one test in a process of its own.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// This test program, told to run this test and no other.
pub(crate) fn this_program<T: Fn()>(_test: T) -> Command {
    let path = std::any::type_name::<T>();
    // The test runner leaves out the crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["--exact", name, "--nocapture"]);
    command
}

/// As `this_program`, without the settings of Mallory that this process was given.
pub(crate) fn this_program_without_settings<T: Fn()>(test: T) -> Command {
    let mut command = this_program(test);
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("MALLORY_") {
            command.env_remove(key);
        }
    }
    command
}

/// What a child printed between `<` and `>`, which is where it prints its report.
#[track_caller]
pub(crate) fn report_of(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let all = str::from_utf8(&output.stdout).expect("reports are text");
    let (_, rest) = all.split_once('<').expect("the begin of the report");
    let (report, _) = rest.rsplit_once('>').expect("the end of the report");
    report.to_owned()
}

/// Runs the body of this test while no other test runs in the same process: what it changes belongs
/// to the whole process. Under `cargo test` that takes a process of its own; nextest makes one for
/// each test anyway.
#[track_caller]
pub(crate) fn alone<T: Fn()>(test: T, body: impl FnOnce()) {
    const IS_ALONE: &str = "TEST_IS_ALONE";
    let one_each = |mode| mode == OsStr::new("process-per-test");
    let by_nextest = std::env::var_os("NEXTEST_EXECUTION_MODE").is_some_and(one_each);
    if by_nextest || std::env::var_os(IS_ALONE).is_some() {
        return body();
    }
    let output = this_program(test).env(IS_ALONE, "1").output().expect("it starts");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "the test was not run: {printed}");
}
