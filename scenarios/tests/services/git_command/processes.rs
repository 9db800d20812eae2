//! The installed git, and programs in its place that misbehave.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mallory::{Heap, Plan, Sweep};
use mallory_scenarios::services::fixture::GIT_ANSWERS;
use mallory_scenarios::services::git_command::{
    Ending, Executor, GitCommand, Installed, InstalledGit, Invocation, Op, RecordedGit, Runner,
    RunnerError, SAID_MAX, Stream, fixture,
};
use tempfile::TempDir;

fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fixture::make(folder.path()).expect("a repository");
    folder
}

#[test]
fn the_recording_is_what_the_installed_git_does() {
    let recording = fixture::record(repository().path()).expect("git runs");
    if recording.as_bytes() != GIT_ANSWERS {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("git-answers.log");
        std::fs::write(&path, recording).expect("the folder can be written to");
        panic!("git answers otherwise: compare fixtures/git-answers.log with {}", path.display());
    }
}

/// Each request of a few commands fails, with a process for each command of each run.
#[test]
fn a_sweep_over_processes_is_clean() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let ops = [
        Op::Output { arguments: words("rev-parse HEAD"), cap: 64 },
        Op::Output { arguments: words("flood"), cap: 5000 },
        Op::Digest { arguments: words("die") },
        Op::Commits { revision: "main".into() },
        Op::Count,
    ];
    let repository = repository();
    let sweep = Sweep::new("git-command-installed").input(repository.path().as_os_str().as_bytes());
    let report = sweep.limit(60).script::<GitCommand<Installed>>(&ops);
    report.assert_clean();
    assert!(report.coverage().runs >= 60, "{report}");
}

/// A program that is this shell script, in a folder.
fn program(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("git");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("the folder can be written to");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    path
}

/// What the executor replies with this shell script in the place of git.
fn reply_of(script: &str, limit: Duration) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let program = program(folder.path(), script);
    let git = InstalledGit::new(folder.path()).program(&program).limit(limit);
    let heap = Heap::new();
    let op = Op::Output { arguments: vec!["log".into()], cap: 100 };
    let reply = Executor::new(&heap).handle(&op, &git).expect("there is memory");
    format!("{reply:?}")
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_git_that_fails_or_is_killed_says_how_and_why() {
    assert_eq!(
        reply_of("echo no such thing >&2; exit 77", LONG),
        r#"Failed { ending: Exited(77), said: "no such thing\n" }"#
    );
    let killed = reply_of("echo oh >&2; kill -9 $$", LONG);
    assert_eq!(killed, r#"Failed { ending: Killed(9), said: "oh\n" }"#);
}

#[test]
fn much_on_standard_error_neither_blocks_git_nor_is_kept() {
    let reply = reply_of("yes 0123456 | head -c 300000 >&2; echo late; exit 1", LONG);
    assert!(reply.starts_with("Failed { ending: Exited(1), said: \"0123456"), "{reply}");
    assert_eq!(reply.matches("0123456").count(), SAID_MAX / 8);
}

/// Neither of them would end by itself.
#[test]
fn a_git_that_writes_for_ever_or_does_nothing_is_killed() {
    assert_eq!(reply_of("yes", LONG), "TooMuch");
    let limit = Duration::from_millis(200);
    assert_eq!(reply_of("sleep 1000 & wait", limit), "Unfinished(TimedOut)");
    assert_eq!(reply_of("exec >&- 2>&-; sleep 1000", limit), "Unfinished(TimedOut)");
}

#[test]
fn a_git_that_is_not_there_is_said_to_be_missing() {
    let heap = Heap::new();
    let git = InstalledGit::new(Path::new("/")).program(Path::new("/nonexistent/git"));
    let op = Op::Digest { arguments: vec!["log".into()] };
    let reply = Executor::new(&heap).handle(&op, &git).expect("there is memory");
    assert_eq!(format!("{reply:?}"), "Unfinished(NotStarted(NotFound))");
}

/// Counts how often git is started.
struct Counted<'a> {
    git: RecordedGit<'a>,
    starts: Cell<u32>,
}

impl Runner for Counted<'_> {
    fn run(
        &self,
        invocation: &Invocation<'_>,
        buffer: &mut [u8],
        each: &mut dyn FnMut(Stream, &[u8]) -> ControlFlow<()>,
    ) -> Result<Ending, RunnerError> {
        self.starts.set(self.starts.get() + 1);
        self.git.run(invocation, buffer, each)
    }
}

/// A command that changes something must not be lost for want of memory after it has run.
#[test]
fn a_digest_has_all_its_memory_before_git_is_started() {
    for command in ["flood", "die"] {
        let op = Op::Digest { arguments: vec![command.into()] };
        for n in 1.. {
            let heap = Heap::new();
            let git = Counted { git: RecordedGit::new(GIT_ANSWERS), starts: Cell::new(0) };
            heap.arm(Plan::nth(n));
            let done = Executor::new(&heap).handle(&op, &git);
            heap.disarm();
            assert_eq!(git.starts.get(), u32::from(done.is_ok()), "{command}, request {n}");
            if done.is_ok() {
                assert!(n > 20, "only {n} requests");
                break;
            }
        }
    }
}
