//! Full disks: a sweep whose journal and temporary files are on a small file system, which is full at
//! each of its writes in turn.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Part, kills, names};

/// The blocks of the file system, and of a page each.
const BLOCKS: u64 = 16;
const PAGE: u64 = 4 << 10;
/// The files that it has room for, while blocks are what runs out.
const MANY_FILES: u64 = 100;
/// A file that takes room, and is removed to make some.
const FILLER: &str = "filler";

/// The commands that mount, and unmount, for whoever may: this user, or those that `sudo` lets.
const AS: [&[&str]; 2] = [&[], &["sudo", "-n"]];

fn succeeds(words: &[&str], folder: &Path) -> bool {
    AS.iter().any(|prefix| {
        let words = [prefix, words].concat();
        let mut command = Command::new(words[0]);
        let output = command.args(&words[1..]).arg(folder).stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    })
}

/// Mounts a file system in memory, with room for this many files. Returns whether this process may.
fn mount(folder: &Path, files: u64) -> bool {
    let size = format!("size={},nr_inodes={files}", BLOCKS * PAGE);
    succeeds(&["mount", "-t", "tmpfs", "-o", &size, "none"], folder)
}

/// What a sweep prints, and whether it says that it could not write its journal.
fn sweep(disk: &Path, resume: bool) -> (String, bool) {
    let mut command = kills::command("long", &disk.join("journals"), disk, resume);
    let output = command.stderr(Stdio::piped()).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (String::from_utf8_lossy(&output.stdout).into_owned(), said.contains("the journal: "))
}

/// What goes wrong on a mounted disk, and whether it was full.
fn try_disk(disk: &Path, expected: &str) -> (Vec<String>, bool) {
    let mut wrong = Vec::new();
    let (report, is_full) = sweep(disk, false);
    if report != expected {
        wrong.push(format!("another report:\n{report}"));
    }
    let journals = names(&disk.join("journals"));
    if !journals.iter().all(|name| name == "killed.journal") {
        wrong.push(format!("files are left: {journals:?}"));
    }
    let mut others = names(disk);
    others.retain(|name| name != FILLER && name != "journals");
    if !others.is_empty() {
        wrong.push(format!("temporary files are left: {others:?}"));
    }
    // Whatever it could write is resumed from as soon as there is room.
    let _ = std::fs::remove_file(disk.join(FILLER));
    let (resumed, _) = sweep(disk, true);
    if resumed != expected {
        wrong.push(format!("another report when it is resumed:\n{resumed}"));
    }
    (wrong, is_full)
}

/// Sweeps on disks that have room for less and less beside what fills them, in blocks or in files: the
/// report is the same, the command says what it can't write, and no part of a file is left.
pub(crate) fn attack(attempts: u64) -> Part {
    let name = "full disks";
    let base = tempfile::tempdir().expect("a folder");
    let (expected, _) = sweep(base.path(), false);
    let disk = base.path().join("disk");
    std::fs::create_dir(&disk).expect("made");
    let mut wrong = Vec::new();
    if !expected.contains("1 finding") {
        wrong.push(format!("the sweep shows something else:\n{expected}"));
    }
    let mut full = 0;
    for nth in 0..attempts {
        // Two of three run out of blocks, from none that is free; the others of files.
        let (free, files) = match nth % 3 {
            2 => (BLOCKS - 1, 2 + nth / 3),
            kind => ((nth / 3 * 2 + kind) % BLOCKS, MANY_FILES),
        };
        if !mount(&disk, files) {
            wrong.push("no file system can be mounted here, so nothing was tried".to_owned());
            break;
        }
        let filler = vec![0_u8; ((BLOCKS - free) * PAGE) as usize];
        let _ = std::fs::write(disk.join(FILLER), &filler);
        let (complaints, is_full) = try_disk(&disk, &expected);
        full += u64::from(is_full);
        let of = |what| format!("disk {nth} ({free} blocks free, {files} files): {what}");
        wrong.extend(complaints.into_iter().map(of));
        if !succeeds(&["umount"], &disk) {
            wrong.push(format!("disk {nth} can't be unmounted"));
            break;
        }
    }
    if full == 0 {
        wrong.push("no disk was full".to_owned());
    }
    let note = format!(", {full} could not keep a journal and said so");
    Part { name, attempts, wrong, note }
}
