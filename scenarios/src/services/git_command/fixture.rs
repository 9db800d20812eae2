//! The repository that commands run in: always the same commits with the same ids, made from
//! `fixtures/history.fast-import`; the commands that are recorded there; and random commands.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};

use arbitrary::Unstructured;
use mallory::Heap;

use super::executor::{BUFFER, Executor};
use super::invocation::{FIXED, Invocation};
use super::operation::Op;
use super::process::InstalledGit;
use super::runner::{Ending, Runner, RunnerError, Stream};

/// The commits, as `git fast-import` reads them.
const HISTORY: &[u8] = include_bytes!("../../../fixtures/history.fast-import");

/// Commands that are killed, fail, or write much.
const ALIASES: &str = "[alias]
	die = \"!kill -9 $PPID\"
	grumble = \"!echo the disk is full >&2; exit 3\"
	flood = \"!yes abcdefg | head -c 9000\"
";

/// A command that is recorded.
type Recorded = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const LITERAL: &[(&str, &str)] = &[("GIT_LITERAL_PATHSPECS", "1")];

/// The commands that are recorded: what is set, and the arguments.
pub const COMMANDS: [Recorded; 28] = [
    (&[], &["rev-parse", "HEAD"]),
    (&[], &["rev-parse", "main^{tree}"]),
    (&[], &["rev-parse", "nothing"]),
    (&[], &["cat-file", "-p", "HEAD:README.md"]),
    (&[], &["cat-file", "-p", "nothing"]),
    (&[], &["cat-file", "-s", "HEAD:data/table.txt"]),
    (&[], &["show", "HEAD:data/table.txt"]),
    (&[], &["ls-tree", "-r", "main"]),
    (&[], &["rev-list", "--count", "--all"]),
    (&[], &["rev-list", "--count", "HEAD", "--", "*.md"]),
    (&[], &["rev-list", "--parents", "main"]),
    (&[], &["diff-tree", "-r", "--name-status", "main~4", "main"]),
    (&[], &["for-each-ref", "--format=%(objectname) %(refname)"]),
    (&[], &["show-ref", "--verify", "refs/heads/none"]),
    (&[], &["log", "--raw", "--no-abbrev", "--end-of-options", "main", "--"]),
    (&[], &["log", "--raw", "--no-abbrev", "--end-of-options", "side", "--"]),
    (&[], &["log", "--raw", "--no-abbrev", "--end-of-options", "main~3", "--"]),
    (&[], &["log", "--raw", "--no-abbrev", "--end-of-options", "nothing", "--"]),
    (&[], &["log", "-p", "-1", "side"]),
    (&[], &["flood"]),
    (&[], &["grumble"]),
    (&[], &["die"]),
    (LITERAL, &["rev-parse", "HEAD"]),
    (LITERAL, &["cat-file", "-p", "nothing"]),
    (LITERAL, &["rev-list", "--count", "HEAD", "--", "*.md"]),
    (LITERAL, &["log", "--raw", "--no-abbrev", "--end-of-options", "main", "--"]),
    (LITERAL, &["flood"]),
    (LITERAL, &["die"]),
];

/// Revisions of the repository, and one that it hasn't.
const REVISIONS: [&str; 4] = ["main", "side", "main~3", "nothing"];

/// Makes the repository in this folder, which has to be empty.
///
/// # Errors
/// What the system says, or that git fails.
pub fn make(folder: &Path) -> io::Result<()> {
    let init = [
        "init",
        "--quiet",
        "--bare",
        "--template=",
        "--initial-branch=main",
        "--object-format=sha1",
    ];
    git(folder, &init, &[])?;
    git(folder, &["fast-import", "--quiet"], HISTORY)?;
    OpenOptions::new().append(true).open(folder.join("config"))?.write_all(ALIASES.as_bytes())
}

/// Runs git with this input.
fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> io::Result<()> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).envs(FIXED);
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"] {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    // Git reads its input while it writes nothing; the pipe is closed at the end of the statement.
    child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input))?;
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("git {} in {}: {status}", arguments[0], folder.display())))
}

/// Runs all commands in the repository by the installed git, and returns the recording.
///
/// # Errors
/// Why git did not run.
pub fn record(repository: &Path) -> Result<String, RunnerError> {
    let git = InstalledGit::new(repository);
    let heap = Heap::new();
    let mut recording = String::new();
    for (settings, arguments) in COMMANDS {
        let mut executor = Executor::new(&heap);
        recording.push_str("run\n");
        for (name, value) in settings {
            let op = Op::Set { name: (*name).to_owned(), value: (*value).to_owned() };
            executor.handle(&op, &git).expect("there is memory");
            let _ = writeln!(recording, "set {name}={value}");
        }
        for argument in arguments {
            let _ = writeln!(recording, "arg {argument}");
        }
        let invocation = Invocation::new(&heap, arguments, &executor.settings);
        let [mut output, mut error] = [Vec::new(), Vec::new()];
        let ending = git.run(
            &invocation.expect("there is memory"),
            &mut [0; BUFFER],
            &mut |stream, bytes| {
                match stream {
                    Stream::Output => output.extend_from_slice(bytes),
                    Stream::Error => error.extend_from_slice(bytes),
                }
                ControlFlow::Continue(())
            },
        )?;
        let _ = match ending {
            Ending::Exited(status) => writeln!(recording, "exit {status}"),
            Ending::Killed(signal) => writeln!(recording, "killed {signal}"),
        };
        for (name, bytes) in [("out", output), ("err", error)] {
            let text = String::from_utf8(bytes).expect("the recorded commands write text");
            let _ = writeln!(recording, "{name} {}\n{text}", text.len());
        }
    }
    Ok(recording)
}

/// A command: usually one that is recorded.
pub(super) fn command(u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<String>> {
    let how = u.arbitrary::<u8>()?;
    if how >= 232 {
        return u.arbitrary();
    }
    let (_, arguments) = COMMANDS[usize::from(how) % COMMANDS.len()];
    Ok(arguments.iter().map(|argument| (*argument).to_owned()).collect())
}

/// A variable's name: usually one that matters to what is recorded.
pub(super) fn variable(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match u.arbitrary::<u8>()? {
        ..200 => LITERAL[0].0.to_owned(),
        200..224 => "GIT_ADVICE".to_owned(),
        224..240 => "GIT_DIR".to_owned(),
        240.. => u.arbitrary()?,
    })
}

/// A variable's value.
pub(super) fn value(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match u.arbitrary::<u8>()? {
        ..208 => "1".to_owned(),
        208..240 => u.arbitrary()?,
        240.. => "v".repeat(4090 + usize::from(u.arbitrary::<u8>()? % 16)),
    })
}

/// A revision.
pub(super) fn revision(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 {
        return u.arbitrary();
    }
    Ok(REVISIONS[usize::from(how) % REVISIONS.len()].to_owned())
}
