//! Case files and script files: found in folders, read with a limit, and asked which system they
//! are for.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::Error;
use crate::script::dyn_system::Source;
use crate::system::script;
use crate::system::script::SCRIPT_MAX;

/// The scripts in a folder, by name.
///
/// # Errors
/// A folder that can't be read. One that isn't there is empty.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(entries(folder)?.0)
}

/// The same, and after them those of the folders in it.
#[cfg(feature = "cli")]
pub(crate) fn tree(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut files, folders) = entries(folder)?;
    for inner in folders {
        files.extend(tree(&inner)?);
    }
    Ok(files)
}

/// The scripts in a folder, and the folders in it, by name. A link to a folder is none.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("{}: {error}", folder.display())).help("name a folder of scripts")
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

/// A script's text.
///
/// # Errors
/// A file that can't be read, is too large, or is no text.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let shown = path.display();
    let failed = |error: std::io::Error| {
        Error::new(format!("{shown}: {error}")).help("name a script's file")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(SCRIPT_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Error::new(format!("{shown}:{line}: this is no text")).help("a script is UTF-8")
    })
}

/// What all scripts have, whatever their operations are.
#[derive(Deserialize)]
struct Header {
    system: String,
}

/// Which system a script is for.
///
/// # Errors
/// Where it says of none.
pub(crate) fn system_of(source: Source<'_>) -> Result<String, Error> {
    script::limit(source.text, source.file)?;
    let header: Header = script::parse(source.text, source.file)?;
    Ok(header.system)
}

/// The error where nobody knows that system.
pub(crate) fn unknown(source: Source<'_>, name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    Error::new(format!("{}: there is no system `{shown}`", source.file))
        .help("write a system's name: `list` shows what there is")
}
