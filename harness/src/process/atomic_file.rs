//! Replaces a file atomically: readers, other processes and a kill see the old contents or the new
//! ones, never a part.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;

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
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary).and_then(|mut file| {
        write(&mut file)?;
        std::fs::rename(&temporary, path)?;
        Ok(file)
    });
    if written.is_err() {
        // The first error is reported; this one would hide it.
        let _ = std::fs::remove_file(&temporary);
    }
    written
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
}
