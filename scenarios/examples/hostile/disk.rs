//! Full disks: a sweep whose journal and temporary files are on a small file system.

use std::path::Path;
use std::process::Command;

use crate::{Part, kills, names};

/// Mounts a file system of this size in memory. Returns whether this process may.
fn mount(folder: &Path, bytes: u64) -> bool {
    let size = format!("size={bytes}");
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(folder).output();
    mount.is_ok_and(|output| output.status.success())
}

fn unmount(folder: &Path) {
    let _ = Command::new("umount").arg(folder).output();
}

/// Sweeps on disks that have room for less and less beside what fills them: the report is the same, or
/// the command says what it can't write; and no part of a file is left.
pub(crate) fn attack(attempts: u64) -> Part {
    let name = "full disks";
    let base = tempfile::tempdir().expect("a folder");
    let whole = base.path().join("whole");
    let expected = kills::report(&whole, base.path(), false);
    let disk = base.path().join("disk");
    std::fs::create_dir(&disk).expect("made");
    let mut wrong = Vec::new();
    let mut full = 0;
    for nth in 0..attempts {
        if !mount(&disk, 64 << 10) {
            let note = ": no file system can be mounted here, so nothing was tried".to_owned();
            return Part { name, attempts: 0, wrong, note };
        }
        // Sixteen pages, of which all but some are taken.
        let filler = vec![0_u8; ((16 - nth % 16) << 12) as usize];
        let _ = std::fs::write(disk.join("filler"), &filler);
        let report = kills::report(&disk.join("journals"), &disk, false);
        if report.contains("! error") {
            full += 1;
        } else if report != expected {
            wrong.push(format!("disk {nth}: another report:\n{report}"));
        }
        let journals = names(&disk.join("journals"));
        if !journals.iter().all(|name| name == "killed.journal") {
            wrong.push(format!("disk {nth}: files are left: {journals:?}"));
        }
        let others: Vec<String> = names(&disk)
            .into_iter()
            .filter(|name| name != "filler" && name != "journals")
            .collect();
        if !others.is_empty() {
            wrong.push(format!("disk {nth}: temporary files are left: {others:?}"));
        }
        unmount(&disk);
    }
    let note = format!(", {full} could not keep a journal and said so");
    Part { name, attempts, wrong, note }
}
