//! Replaces a file atomically: readers, other processes and a kill see the old contents or the new
//! ones, never a part.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How many names of a temporary file are tried.
const NAMES_MAX: u32 = 1_000;

/// A temporary file beside `path`, made anew: neither a file nor a link that was put there before is
/// ever written to.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    for nth in 0..NAMES_MAX {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.{nth}", std::process::id()));
        let temporary = path.with_file_name(name);
        match OpenOptions::new().read(true).write(true).create_new(true).open(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (file, temporary)),
        }
    }
    Err(io::Error::other("the names of its temporary files are all taken"))
}

/// Writes a temporary file beside `path` and renames it to `path`. Returns the new file, open for
/// more.
///
/// The temporary file's name contains this process's id, so that two processes can write the same
/// file at once. It is removed if anything fails.
///
/// # Errors
/// The error of `write`, or the system's.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<File> {
    let (mut file, temporary) = create_beside(path)?;
    let written = write(&mut file).and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first error is reported; this one would hide it.
        let _ = std::fs::remove_file(&temporary);
        return Err(error);
    }
    Ok(file)
}

/// Replaces the contents of a file by this text.
///
/// # Errors
/// The system's error.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    replace(path, |file| file.write_all(text.as_bytes())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_replacement_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("case.ron");
        replace(&path, |file| file.write_all(b"old")).expect("written");
        let failed = replace(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::Error::other("the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(std::fs::read(&path).expect("still there"), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn a_link_in_the_place_of_the_temporary_file_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "important").expect("written");
        let path = folder.path().join("case.ron");
        for nth in 0..20 {
            let planted = folder.path().join(format!("case.ron.{}.{nth}", std::process::id()));
            std::os::unix::fs::symlink(&victim, planted).expect("planted");
        }
        write(&path, "the case").expect("written");
        assert_eq!(std::fs::read_to_string(&victim).expect("there"), "important");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "the case");
        assert!(std::fs::symlink_metadata(&path).expect("there").is_file(), "it is no link");
    }
}
