//! A command of the user's that judges whether two results of a program mean the same: some programs
//! do less well where memory is short, and are still right.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::outcome::EXIT_STATUS;

/// Whether the command takes the two results for equal: it is given two files, which are written to
/// `folder`, is run in `home`, and exits with 0.
///
/// # Errors
/// It can't be run.
pub(crate) fn takes_for_equal(
    command: &str,
    usual: &str,
    other: &str,
    folder: &Path,
    home: &Path,
) -> io::Result<bool> {
    fs::create_dir_all(folder)?;
    let folder = folder.canonicalize()?;
    let file = |name: &str, result: &str| {
        let path = folder.join(name);
        fs::write(&path, written(result)).map(|()| path)
    };
    let files = [file("usual", usual)?, file("other", other)?];
    let mut shell = Command::new("/bin/sh");
    shell.current_dir(home).args(["-c", &format!("{command} \"$1\" \"$2\""), "sh"]).args(files);
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(shell.status()?.success())
}

/// What the program wrote, without its exit status.
fn written(result: &str) -> &str {
    match result.strip_prefix(EXIT_STATUS) {
        Some(rest) => rest.split_once('\n').map_or("", |(_, written)| written),
        None => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_decides_on_what_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let judged = |command: &str, other: &str| {
            let folder = folder.path();
            takes_for_equal(command, "exit status 0\na b\n", other, folder, folder)
                .expect("it runs")
        };
        assert!(judged("diff", "exit status 0\na b\n"));
        assert!(!judged("diff", "exit status 0\na  b\n"));
        assert!(judged("diff -b", "exit status 0\na  b\n"));
        assert!(!judged("no-such-command", "exit status 0\na b\n"));
    }
}
