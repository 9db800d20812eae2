//! Script files and case files: finds them in folders, reads them up to a maximum size, and reads from
//! them which system they are for.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::script::dyn_system::Source;
use crate::system::script;
use crate::system::script::SCRIPT_MAX;

/// The scripts in a folder, sorted by name. A folder that doesn't exist is empty.
///
/// # Errors
/// If the folder can't be read.
#[cfg(feature = "script-tests")]
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.0)
}

/// The scripts in a folder, followed by those in its subfolders.
#[cfg(feature = "cli")]
pub(crate) fn tree(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, folders) = entries(folder)?;
    for inner in folders {
        files.extend(tree(&inner)?);
    }
    Ok(files)
}

/// The scripts in a folder, and its subfolders, sorted by name. Symbolic links to folders are left out.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("the folder can't be read: {error}"))
            .at(folder.display().to_string())
            .help("name a folder of scripts")
    };
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                if entry.file_type().map_err(failed)?.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "ron") {
                    files.push(path);
                }
            }
        }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

/// The text of a script file, cut off after the largest size that is accepted.
///
/// # Errors
/// If the file can't be read, or isn't UTF-8.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("the script can't be read: {error}"))
            .at(path.display().to_string())
            .help("name a script file")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SCRIPT_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::new("the script is not text")
            .at(format!("{}:{line}", path.display()))
            .help("write it in UTF-8")
    })
}

/// The part of a script that doesn't depend on its system.
#[derive(Deserialize)]
struct Header {
    system: String,
}

/// The system that a script is for.
///
/// # Errors
/// If the script is too long, isn't RON, or names no system.
pub(crate) fn system_of(source: Source<'_>) -> Result<String, Error> {
    script::limit(source.text, source.file)?;
    let header: Header = script::parse(source.text, source.file)?;
    Ok(header.system)
}

/// The error of a script for an unknown system.
pub(crate) fn unknown(source: Source<'_>, name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    Error::new(format!("there is no system `{shown}`"))
        .at(source.file)
        .help("write the name of a system; `list` shows them")
}
