//! Wrong error: settings that are read from text into a list.

use std::fmt;

use allocator_api2::vec::Vec;
use mallory::{Heap, Kind, Options, Report, Sweep};

use super::pair::Pair;

pub(super) const PAIR: Pair = Pair {
    kind: Kind::WrongError,
    wrong: "reports settings as broken if there is no memory to read them",
    right: "reports that there is no memory to read the settings",
    options: Options::new,
    planted: |sweep| run(sweep, planted),
    near_miss: |sweep| run(sweep, near_miss),
};

const TEXT: &str = "jobs = 2\nlimit = 400\nseed = 7\nstrict = 1";
/// The most settings that are read.
const LINES_MAX: usize = 16;

/// Why settings could not be read.
#[derive(Debug)]
enum SettingsError {
    /// A line that is no setting, counted from 1.
    Broken {
        line: usize,
    },
    NoMemory,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingsError::Broken { line } => write!(f, "line {line} is no setting"),
            SettingsError::NoMemory => f.write_str("out of memory"),
        }
    }
}

fn run(sweep: Sweep, load: fn(&Heap) -> Result<usize, SettingsError>) -> Report {
    sweep.oom(|error: &SettingsError| matches!(error, SettingsError::NoMemory)).run(load)
}

/// A name and its number.
fn parse(line: &str) -> Option<(&str, u32)> {
    let (name, number) = line.split_once('=')?;
    Some((name.trim(), number.trim().parse().ok()?))
}

fn copied(heap: &Heap, text: &str) -> Option<Vec<u8, Heap>> {
    let mut copy = Vec::new_in(heap.clone());
    copy.try_reserve_exact(text.len()).ok()?;
    copy.extend_from_slice(text.as_bytes());
    Some(copy)
}

/// The bug: a name that could not be copied is reported as a line that could not be parsed.
fn planted(heap: &Heap) -> Result<usize, SettingsError> {
    let mut settings = Vec::new_in(heap.clone());
    settings.try_reserve(LINES_MAX).map_err(|_| SettingsError::NoMemory)?;
    for (line, text) in (1..).zip(TEXT.lines().take(LINES_MAX)) {
        let (name, number) = parse(text).ok_or(SettingsError::Broken { line })?;
        let name = copied(heap, name).ok_or(SettingsError::Broken { line })?;
        settings.push((name, number));
    }
    Ok(settings.len())
}

fn near_miss(heap: &Heap) -> Result<usize, SettingsError> {
    let mut settings = Vec::new_in(heap.clone());
    settings.try_reserve(LINES_MAX).map_err(|_| SettingsError::NoMemory)?;
    for (line, text) in (1..).zip(TEXT.lines().take(LINES_MAX)) {
        let (name, number) = parse(text).ok_or(SettingsError::Broken { line })?;
        let name = copied(heap, name).ok_or(SettingsError::NoMemory)?;
        settings.push((name, number));
    }
    Ok(settings.len())
}
