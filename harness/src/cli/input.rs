//! The input that `--input` gives a scenario, and the default number of jobs.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::scenario::Scenario;

/// The largest input that is read, in bytes.
pub(crate) const INPUT_MAX: u64 = 1 << 30;

/// Reads a file, or standard input for `-`.
///
/// # Errors
/// An input that can't be read, or one of more than [`INPUT_MAX`] bytes.
pub(crate) fn read_input(path: &Path) -> Result<Arc<[u8]>, Error> {
    let failed = |error: std::io::Error| {
        Error::new(format!("cannot read the input: {error}"))
            .at(format!("--input {}", path.display()))
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
        return Err(Error::new(format!("the input has more than {INPUT_MAX} bytes"))
            .at(format!("--input {}", path.display()))
            .help("give a smaller input"));
    }
    Ok(Arc::from(bytes))
}

/// The input for those of the selected scenarios that read one.
///
/// # Errors
/// None of them reads an input, or the file can't be read.
pub(crate) fn input_for(
    path: Option<&Path>,
    selected: &[&Scenario],
) -> Result<Option<Arc<[u8]>>, Error> {
    let Some(path) = path else { return Ok(None) };
    if !selected.iter().any(|scenario| scenario.input.is_some()) {
        return Err(Error::new("none of these scenarios reads an input")
            .at("--input")
            .help("`list` shows which do"));
    }
    read_input(path).map(Some)
}

/// The input that replaces a scenario's own, if the scenario reads one.
pub(crate) fn own_input<'a>(
    scenario: &Scenario,
    input: Option<&'a Arc<[u8]>>,
) -> Option<&'a Arc<[u8]>> {
    input.filter(|_| scenario.input.is_some())
}

/// The default number of jobs: one for each core.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
