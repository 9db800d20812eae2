//! What a command line gives a scenario to read, and how many jobs run by default.

use crate::error::Error;
use crate::scenario::Scenario;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn read_input(path: &Path) -> Result<Arc<[u8]>, Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("--input {}: {error}", path.display()))
            .help("name a file that can be read, or - for standard input")
    };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(INPUT_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(INPUT_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > INPUT_MAX {
        let what = format!("--input {}: more than {INPUT_MAX} bytes", path.display());
        return Err(Error::new(what).help("give it less"));
    }
    Ok(Arc::from(bytes))
}

/// The input for scenarios that take one; asking for it where none does is a mistake.
pub(crate) fn input_for(
    path: Option<&Path>,
    selected: &[&Scenario],
) -> Result<Option<Arc<[u8]>>, Error> {
    let Some(path) = path else { return Ok(None) };
    if !selected.iter().any(|scenario| scenario.input.is_some()) {
        return Err(Error::new("--input: none of these scenarios reads an input")
            .help("`list` shows which do"));
    }
    read_input(path).map(Some)
}

/// The input that takes the place of a scenario's own, if it has one.
pub(crate) fn own_input<'a>(
    scenario: &Scenario,
    input: Option<&'a Arc<[u8]>>,
) -> Option<&'a Arc<[u8]>> {
    input.filter(|_| scenario.input.is_some())
}

/// The largest number of jobs that makes sense here.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The largest input that is read.
pub(crate) const INPUT_MAX: u64 = 1 << 30;
