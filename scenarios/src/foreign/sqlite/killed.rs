//! What another process would find in a database after this one was killed: its file and its journal are
//! copied as they are.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A path as SQLite takes it.
pub(crate) fn name(path: &Path) -> CString {
    CString::new(path.as_os_str().as_encoded_bytes()).expect("a path has no zero in it")
}

/// Copies a file, or removes the copy where there is none.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    match fs::copy(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        copied => copied.map(|_| ()),
    }
}

/// Copies the database in this folder with its journal; returns the copy's name, or what is wrong.
pub(crate) fn copied(folder: &Path, file: &str) -> Result<CString, String> {
    let [file, duplicate] = [folder.join(file), folder.join("copy.db")];
    for end in ["", "-journal"] {
        let with_end = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        copy(&with_end(&file), &with_end(&duplicate)).map_err(|error| error.to_string())?;
    }
    Ok(name(&duplicate))
}
