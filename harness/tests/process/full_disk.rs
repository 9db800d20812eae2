//! A full disk: the sweep ends with its report, says what it could not write, and leaves nothing
//! half-written behind.
//!
//! The sweep is a test of this file, started by name in a child process whose files may only be so
//! long: the system refuses what is more, as it does on a full disk.
#![allow(unsafe_code, reason = "the child limits its own files")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::Owned;
use crate::common::again::{report_of, this_program_without_settings};
use crate::subject::lossy;
use mallory::system::World;
use mallory::{Heap, Refused, Sweep, System};

/// Set in the child process: where the sweep keeps its journal.
const FOLDER: &str = "TEST_FULL_DISK_FOLDER";

#[test]
fn sweeps_on_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let resumes = Path::new(&folder).join("full.journal").exists();
    let report = Sweep::new("full").journal(&folder, resumes).run(lossy);
    println!("<{report}>");
}

#[test]
fn writes_what_aborts_to_a_file() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let report = Sweep::new("full").allowed(Path::new(&folder).join("allowed")).run(|heap| {
        let Err(refused) = Owned::new(heap, 16) else { return Ok(()) };
        assert!(std::env::var_os(FOLDER).is_none(), "it always panics: {refused:?}");
        Err(refused)
    });
    println!("<{report}>");
}

#[test]
fn writes_to_a_directory_of_its_own() {
    if std::env::var_os(FOLDER).is_none() {
        return;
    }
    let report = Sweep::new("writer").script::<Writer>(&[()]);
    println!("<{report}>");
}

/// A system that writes a file.
struct Writer(Heap);

impl System for Writer {
    const NAME: &'static str = "writer";

    type Op = ();
    type Reply = ();
    type Error = Refused;
    type Model = ();

    fn open(heap: &Heap, _: &World<'_>) -> Result<Self, Refused> {
        Ok(Writer(heap.clone()))
    }

    fn apply(&mut self, (): &(), world: &World<'_>) -> Result<(), Refused> {
        let _ = std::fs::write(world.scratch.join("file"), "text");
        Owned::new(&self.0, 16).map(drop)
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) {}

    fn model((): &mut (), (): &(), _: &World<'_>) -> impl std::fmt::Debug {}
}

/// The sweep, with files of at most this many bytes.
fn sweep(folder: &Path, bytes: u64) -> Output {
    limited(this_program_without_settings(sweeps_on_a_full_disk), folder, bytes)
        .output()
        .expect("it starts")
}

/// A test of this file as a child process, with files of at most this many bytes.
fn limited(mut command: Command, folder: &Path, bytes: u64) -> Command {
    command.env(FOLDER, folder);
    // SAFETY: both calls may be made between a fork and an exec.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // Without this the process would be killed instead of refused.
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit);
            Ok(())
        });
    }
    command
}

fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names =
        entries.map(|entry| entry.expect("read").file_name().to_string_lossy().into_owned());
    names.collect()
}

#[test]
fn a_journal_that_becomes_too_long_is_given_up_and_the_sweep_goes_on() {
    let whole = tempfile::tempdir().expect("a folder");
    let expected = report_of(&sweep(whole.path(), 1 << 20));
    let journal = std::fs::read(whole.path().join("full.journal")).expect("a journal");
    let header = journal.iter().position(|byte| *byte == b'\n').expect("a line") as u64 + 1;
    // At every length from none to the whole journal.
    for bytes in (0..journal.len() as u64).step_by(13).chain([header - 1, header, header + 1]) {
        let folder = tempfile::tempdir().expect("a folder");
        let output = sweep(folder.path(), bytes);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(report_of(&output), expected, "{bytes}");
        assert_eq!(said.matches("warning: cannot write the journal").count(), 1, "{bytes}: {said}");
        let left: &[&str] = if bytes < header { &[] } else { &["full.journal"] };
        assert_eq!(files(folder.path()), left, "{bytes}");
        // What is there is resumed from when there is room again.
        assert_eq!(report_of(&sweep(folder.path(), 1 << 20)), expected, "{bytes}");
    }
}

#[test]
fn a_full_disk_keeps_the_journal_that_was_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = report_of(&sweep(folder.path(), 1 << 20));
    let journal = folder.path().join("full.journal");
    let before = std::fs::read(&journal).expect("a journal");
    for bytes in [0, 10, before.len() as u64 - 1] {
        assert_eq!(report_of(&sweep(folder.path(), bytes)), expected, "{bytes}");
        assert_eq!(files(folder.path()), ["full.journal"], "{bytes}");
        assert_eq!(std::fs::read(&journal).expect("a journal"), before, "{bytes}");
    }
}

#[test]
fn a_warning_that_nobody_can_be_told_is_not_what_ends_a_sweep() {
    let folder = tempfile::tempdir().expect("a folder");
    let expected = report_of(&sweep(folder.path(), 1 << 20));
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    for bytes in [0, 100] {
        let folder = tempfile::tempdir().expect("a folder");
        let command = this_program_without_settings(sweeps_on_a_full_disk);
        let output = limited(command, folder.path(), bytes).stderr(full()).output();
        assert_eq!(report_of(&output.expect("it starts")), expected, "{bytes}");
    }
}

#[test]
fn a_full_disk_keeps_the_file_of_what_is_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("allowed");
    let before = "# What was there before.\npanic P-00000000  somewhere\n";
    std::fs::write(&file, before).expect("written");
    let update = || {
        let mut command = this_program_without_settings(writes_what_aborts_to_a_file);
        command.env("MALLORY_UPDATE", "1");
        command
    };
    for bytes in [0, 1, 100] {
        let output = limited(update(), folder.path(), bytes).output().expect("it starts");
        let said = report_of(&output);
        assert!(said.contains("cannot write the allowed call sites"), "{said}");
        assert_eq!(files(folder.path()), ["allowed"], "{bytes}");
        assert_eq!(std::fs::read_to_string(&file).expect("there"), before, "{bytes}");
    }
    report_of(&limited(update(), folder.path(), 1 << 20).output().expect("it starts"));
    assert_ne!(std::fs::read_to_string(&file).expect("there"), before, "there is room");
}

#[test]
fn no_directory_of_a_subject_is_left_on_a_full_disk() {
    for bytes in [0, 1, 1 << 20] {
        let folder = tempfile::tempdir().expect("a folder");
        let here = tempfile::tempdir().expect("a folder");
        let mut command = this_program_without_settings(writes_to_a_directory_of_its_own);
        command.env("TMPDIR", folder.path()).current_dir(here.path());
        let output = limited(command, folder.path(), bytes).output().expect("it starts");
        assert!(report_of(&output).contains("clean"), "{bytes}: {output:?}");
        assert_eq!(files(folder.path()), [""; 0], "{bytes}");
        assert_eq!(files(here.path()), [""; 0], "it writes nowhere else: {bytes}");
    }
}
