//! What the runners leave for the command that waits for them: a file for each test in a folder, so that
//! runners at the same time don't meet, and none is lost.

use std::path::{Path, PathBuf};

use crate::exec::order::SentReport;
use crate::process::atomic_file;
use crate::process::codec::{self, Codec, codec_struct};
use crate::trace::hash_bytes;

/// How a test ended.
#[derive(Clone, Debug)]
pub(super) enum Ending {
    /// It was swept, or that failed.
    Swept(SentReport),
    /// It can't be watched, and why.
    NotWatched(String),
    /// It is ignored, as `cargo test` does.
    Ignored,
    /// A doctest, which ran unwatched.
    Doctest,
}

impl Codec for Ending {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Ending::Swept(report) => {
                0_u64.put(out);
                report.put(out);
            }
            Ending::NotWatched(why) => {
                1_u64.put(out);
                why.put(out);
            }
            Ending::Ignored => 2_u64.put(out),
            Ending::Doctest => 3_u64.put(out),
        }
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Some(match u64::get(from)? {
            0 => Ending::Swept(Codec::get(from)?),
            1 => Ending::NotWatched(Codec::get(from)?),
            2 => Ending::Ignored,
            3 => Ending::Doctest,
            _ => return None,
        })
    }
}

/// A test, and how it ended.
#[derive(Clone, Debug)]
pub(super) struct TestResult {
    /// The program that contains it, as people call it.
    pub(super) program: String,
    /// Its file, which tells apart programs of one name.
    pub(super) file: String,
    /// The test's name; empty for a whole program.
    pub(super) test: String,
    pub(super) ending: Ending,
}

codec_struct!(TestResult { program, file, test, ending });

impl TestResult {
    /// The program and the test.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.program, self.test).trim_end().to_owned()
    }
}

/// Makes the folder of the results.
///
/// # Errors
/// The system's error.
pub(super) fn prepare(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir(place(folder))
}

fn place(folder: &Path) -> PathBuf {
    folder.join("results")
}

/// Leaves a result. A test that runs again replaces its first result.
///
/// # Errors
/// The system's error.
pub(super) fn write(folder: &Path, result: &TestResult) -> std::io::Result<()> {
    let key = hash_bytes(format!("{}\n{}", result.file, result.test).as_bytes());
    let path = place(folder).join(format!("{key:016x}"));
    let bytes = codec::message(result);
    atomic_file::replace(&path, |file| std::io::Write::write_all(file, &bytes))?;
    Ok(())
}

/// All results, in the order of their names.
pub(super) fn read_all(folder: &Path) -> Vec<TestResult> {
    let files = std::fs::read_dir(place(folder)).into_iter().flatten().flatten();
    let mut results: Vec<TestResult> = files
        .filter_map(|file| {
            let mut bytes = std::fs::read(file.path()).ok()?;
            codec::next_message(&mut bytes).and_then(|body| codec::unpack(&body))
        })
        .collect();
    let key =
        |result: &TestResult| (result.program.clone(), result.test.clone(), result.file.clone());
    results.sort_by_cached_key(key);
    results
}
