//! A full disk: the sweep ends with its report, says what it could not write, and leaves nothing
//! half-written behind.
//!
//! The sweep is a test of this file, started by name in a child process whose files may only be so
//! long: the system refuses what is more, as it does on a full disk.
#![allow(unsafe_code, reason = "the child limits its own files")]

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;

use crate::common::again::{report_of, this_program_without_settings};
use crate::subject::lossy;
use mallory::Sweep;

/// Set in the child process: where the sweep keeps its journal.
const FOLDER: &str = "TEST_FULL_DISK_FOLDER";

#[test]
fn sweeps_on_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let report = Sweep::new("full").journal(&folder, false).run(lossy);
    println!("<{report}>");
}

/// The sweep, with files of at most this many bytes.
fn sweep(folder: &Path, bytes: u64) -> Output {
    let mut command = this_program_without_settings(sweeps_on_a_full_disk);
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
    command.output().expect("it starts")
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
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if bytes < header {
            assert!(printed.contains("cannot write the journal"), "{bytes}: {printed}");
            assert_eq!(files(folder.path()), [""; 0], "{bytes}");
            continue;
        }
        assert_eq!(report_of(&output), expected, "{bytes}");
        assert_eq!(said.matches("warning: cannot write the journal").count(), 1, "{bytes}: {said}");
        assert_eq!(files(folder.path()), ["full.journal"], "{bytes}");
    }
}
