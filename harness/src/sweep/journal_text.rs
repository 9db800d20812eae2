//! The text of a journal: what its header says, its lines with their checksums, and how it is read.

use std::io::BufRead;
#[cfg(feature = "arbitrary")]
use std::io::BufReader;
use std::path::Path;
use std::sync::OnceLock;

use crate::error::Error;
use crate::report::outcome::Outcome;
use crate::trace::{hash_bytes, mix};

/// What must be equal in a journal and in the sweep that resumes from it.
pub(crate) struct Key<'a> {
    pub(crate) scenario: &'a str,
    pub(crate) settings: String,
    pub(crate) input: &'a [u8],
    pub(crate) fingerprint: u64,
    pub(crate) points: usize,
}

impl Key<'_> {
    fn hash(&self) -> u64 {
        let mut hash = executable();
        for part in [hash_bytes(self.settings.as_bytes()), hash_bytes(self.input), self.fingerprint]
        {
            hash = mix(hash.rotate_left(17) ^ part);
        }
        hash
    }

    pub(crate) fn header(&self) -> String {
        format!(
            "mallory journal v2 {} key={:016x} points={}",
            self.scenario,
            self.hash(),
            self.points
        )
    }
}

/// The hash of the running program's file, or 0 where it can't be read.
fn executable() -> u64 {
    // The file is large, and a program may make many sweeps.
    static HASH: OnceLock<u64> = OnceLock::new();
    *HASH.get_or_init(hash_executable)
}

fn hash_executable() -> u64 {
    let bytes = std::env::current_exe().ok().and_then(|path| std::fs::read(path).ok());
    let Some(bytes) = bytes else { return 0 };
    // Eight bytes at a time, since the file is large. The result is never printed.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = hash_bytes(rest);
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash = hash.rotate_left(29);
    }
    mix(hash)
}

/// The checksum after another line, whose text is without its own checksum.
pub(crate) fn sum_with(sum: u64, line: &str) -> u64 {
    mix(sum.rotate_left(17) ^ hash_bytes(line.as_bytes()))
}

/// The line of a point, with the checksum after it.
pub(crate) fn line(sum: &mut u64, point: usize, outcome: Outcome) -> String {
    let text = format!("{point} {}", outcome.name());
    *sum = sum_with(*sum, &text);
    format!("{text} {sum:016x}\n")
}

/// The points in a journal. A last line without an end was cut off by a kill, and is ignored.
///
/// # Errors
/// A line that is malformed or was changed, or a header of another sweep.
pub(crate) fn read(
    path: &Path,
    mut journal: impl BufRead,
    header: &str,
    points_total: usize,
) -> Result<Vec<(usize, Outcome)>, Error> {
    const HELP: &str = "start over without --resume";
    const LINE_MAX: u64 = 200;
    let wrong = |line: u64, what: &str| {
        Error::new(what).at(format!("{}:{line}", path.display())).help(HELP)
    };
    let mut points = Vec::new();
    let mut sum = sum_with(0, header);
    for line in 1.. {
        let mut text = Vec::new();
        let mut piece = std::io::Read::take(&mut journal, LINE_MAX);
        let got = piece.read_until(b'\n', &mut text);
        got.map_err(|error| wrong(line, &format!("the journal cannot be read: {error}")))?;
        if line == 1 && text.is_empty() {
            // It was made to be locked, and a kill came before the first line.
            return Ok(points);
        }
        if text.pop() != Some(b'\n') {
            if line == 1 || text.len() as u64 >= LINE_MAX - 1 {
                return Err(wrong(line, "this is not a journal"));
            }
            break;
        }
        let text = String::from_utf8(text).map_err(|_| wrong(line, "this line is not text"))?;
        if line == 1 {
            if text != header {
                return Err(if text.starts_with("mallory journal v2 ") {
                    let what = "this journal is stale: it is of another program, other arguments or \
                                another input";
                    wrong(line, what)
                } else {
                    wrong(line, "this is not a journal that this version can read")
                });
            }
            continue;
        }
        let expected = "expected a point, its outcome and a checksum";
        let (entry, check) = text.rsplit_once(' ').ok_or_else(|| wrong(line, expected))?;
        sum = sum_with(sum, entry);
        if check != format!("{sum:016x}") {
            return Err(wrong(line, "the journal was changed: the checksum is wrong"));
        }
        let entry = entry.split_once(' ').and_then(|(point, outcome)| {
            let point = point.parse().ok().filter(|point| *point < points_total)?;
            let known = Outcome::ALL.iter().find(|known| known.name() == outcome)?;
            Some((point, *known))
        });
        points.push(entry.ok_or_else(|| wrong(line, expected))?);
    }
    Ok(points)
}

/// Reads bytes as a journal of 64 points, and returns how many points are in it. For fuzzing.
#[cfg(feature = "arbitrary")]
pub(crate) fn check(bytes: &[u8]) -> Result<usize, Error> {
    const HEADER: &str = "mallory journal v2 it key=0000000000000000 points=64";
    let path = Path::new("it.journal");
    let as_it_is = read(path, BufReader::new(bytes), HEADER, 64);
    // A fuzzer hardly finds the header by itself.
    let with_header = [HEADER.as_bytes(), b"\n", bytes].concat();
    as_it_is
        .or_else(|_| read(path, BufReader::new(&*with_header), HEADER, 64))
        .map(|points| points.len())
}
