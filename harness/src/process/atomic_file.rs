//! Replacing a file as a whole: a reader, another process and a kill see the old contents or the new
//! ones, never a part.

use std::fs::File;
use std::io;
#[cfg(any(test, feature = "ron"))]
use std::io::Write;
use std::path::Path;

/// Writes a file beside this one and renames it into its place. Returns the new file, open for more.
///
/// The name of the temporary file holds this process's number, so that two processes that write the
/// same file at once don't disturb each other. It is removed if anything fails.
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
        // The first error is the one to report.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// Replaces the contents of a file by this text.
#[cfg(feature = "ron")]
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
