//! Working folders, of which each run gets a copy.

use std::fs;
use std::io;
use std::path::Path;

/// Copies a folder with the files, folders and links in it. Links are copied as links.
///
/// # Errors
/// The system's error, if something can't be read or written.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Whether a folder has more files, or bytes in them, than this.
#[cfg(feature = "exec")]
pub(crate) fn is_bigger(folder: &Path, files: u64, bytes: u64) -> bool {
    let mut left = (files, bytes);
    takes_more(folder, &mut left)
}

/// Takes what is in a folder from what is left. Returns whether that is too little.
#[cfg(feature = "exec")]
fn takes_more(folder: &Path, left: &mut (u64, u64)) -> bool {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let (files, bytes) = (left.0.checked_sub(1), left.1.checked_sub(metadata.len()));
        let (Some(files), Some(bytes)) = (files, bytes) else { return true };
        *left = (files, bytes);
        if metadata.is_dir() && takes_more(&entry.path(), left) {
            return true;
        }
    }
    false
}
