//! One fuzz target at work: a turn of fuzzing, whose crashes become cases, and a smoke test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fuzz::folder;
use crate::fuzz::progress::cases;
use crate::{Step, root};

/// The number of inputs of a smoke test.
const SMOKE_RUNS: u32 = 3_000;
/// A turn ends after this many crashes.
const CRASHES_MAX: u32 = 20;
/// A target may use 2,048 MB, and 60 seconds for one input.
pub(crate) const LIMITS: [&str; 3] = ["-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"];

/// The options of AddressSanitizer for a target. Targets request impossible sizes on purpose, which
/// have to be refused; and one kind of corruption loses a block, so leaks are not checked there.
fn asan(target: &str) -> String {
    let leaks = u8::from(target != "corruption");
    format!("detect_leaks={leaks}:allocator_may_return_null=1")
}

/// Turns off libFuzzer's signal handlers, which turn every signal into an exit.
const NO_HANDLERS: [&str; 5] =
    ["-handle_abrt=0", "-handle_segv=0", "-handle_bus=0", "-handle_fpe=0", "-handle_ill=0"];

/// The result of one turn of a target, or of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turn {
    pub(crate) executions: u64,
    pub(crate) coverage: u64,
    pub(crate) findings: BTreeSet<String>,
}

impl Turn {
    pub(crate) fn add(&mut self, other: &Turn) {
        self.executions += other.executions;
        self.coverage = self.coverage.max(other.coverage);
        self.findings.extend(other.findings.iter().cloned());
    }
}

/// Executions and coverage, from the statistics that a fuzzer prints at the end.
pub(crate) fn read_stats(text: &str) -> (u64, u64) {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let executions =
        text.lines().find_map(|line| number(line.strip_prefix("stat::number_of_executed_units:")?));
    let coverage = text.lines().rev().find_map(|line| {
        let after = line.split_once("cov: ")?.1;
        number(after.split(' ').next()?)
    });
    (executions.unwrap_or(0), coverage.unwrap_or(0))
}

/// A built target.
pub(crate) struct Attack<'a> {
    pub(crate) name: &'a str,
    pub(crate) program: PathBuf,
}

impl Attack<'_> {
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder()).env("ASAN_OPTIONS", asan(self.name));
        for name in ["MALLORY_CASES", "MALLORY_KNOWN", "MALLORY_TRIAGE", "MALLORY_REPLAY"] {
            command.env_remove(name);
        }
        command
    }

    fn own(&self, kind: &str) -> Result<PathBuf, String> {
        let path = folder().join(kind).join(self.name);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Fuzzes for this long. A crash becomes a case, and the turn continues, ignoring that finding.
    pub(crate) fn turn(&self, time: Duration) -> Result<Turn, String> {
        let (corpus, artifacts) = (self.own("corpus")?, self.own("artifacts")?);
        let end = Instant::now() + time;
        let mut turn = Turn::default();
        for _ in 0..CRASHES_MAX {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            if left == 0 {
                break;
            }
            let mut command = self.command();
            command.arg(&corpus).args(LIMITS).arg(format!("-max_total_time={left}"));
            command.arg(format!("-artifact_prefix={}/", artifacts.display()));
            let known: Vec<&str> = turn.findings.iter().map(String::as_str).collect();
            command.env("MALLORY_KNOWN", known.join(","));
            let out = command.output().map_err(|error| format!("{}: {error}", self.name))?;
            let output = String::from_utf8_lossy(&out.stderr).into_owned();
            let (executions, coverage) = read_stats(&output);
            turn.executions += executions;
            turn.coverage = turn.coverage.max(coverage);
            if out.status.success() {
                break;
            }
            let before = turn.findings.len();
            let found = self.triage(&artifacts, &turn.findings)?;
            turn.findings.extend(found);
            if turn.findings.len() == before {
                // Only known findings, but the fuzzer died: it would die again.
                turn.findings.insert(format!("{}: {}", self.name, cause_of_death(&output)));
                break;
            }
        }
        self.minimise(&corpus)?;
        Ok(turn)
    }

    /// Turns crashes into cases, named by their findings. A target without a system keeps the bytes
    /// instead, one file for each place of a panic.
    fn triage(
        &self,
        artifacts: &Path,
        known: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        let (cases, bytes) = (cases(), folder().join("regressions").join(self.name));
        let files = std::fs::read_dir(artifacts).map_err(|error| error.to_string())?;
        let mut files: Vec<PathBuf> = files.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let mut command = self.command();
            command.arg(&file).args(NO_HANDLERS);
            command.env("MALLORY_TRIAGE", "1").env("MALLORY_CASES", &cases);
            let out = command.output().map_err(|error| format!("{}: {error}", self.name))?;
            let output = String::from_utf8_lossy(&out.stderr).into_owned();
            match output.lines().find_map(|line| line.trim().strip_prefix("id: \"")) {
                Some(id) => {
                    found.insert(id.trim_end_matches("\",").to_owned());
                }
                None if !out.status.success() => {
                    let finding = format!("{}: {}", self.name, cause_of_death(&output));
                    if !known.contains(&finding) && found.insert(finding) {
                        std::fs::create_dir_all(&bytes).map_err(|error| error.to_string())?;
                        let name = file.file_name().unwrap_or_default();
                        std::fs::copy(&file, bytes.join(name))
                            .map_err(|error| error.to_string())?;
                    }
                }
                // It does not crash again: flaky, or fixed.
                None => {}
            }
            std::fs::remove_file(&file).map_err(|error| error.to_string())?;
        }
        Ok(found)
    }

    /// Reduces the corpus to the smallest inputs with the same coverage.
    fn minimise(&self, corpus: &Path) -> Step {
        let fresh = corpus.with_extension("fresh");
        let _ = std::fs::remove_dir_all(&fresh);
        std::fs::create_dir_all(&fresh).map_err(|error| error.to_string())?;
        let mut command = self.command();
        command.arg("-merge=1").arg(&fresh).arg(corpus).args(LIMITS);
        command.arg(format!("-artifact_prefix={}/", self.own("artifacts")?.display()));
        let done = command.output().map_err(|error| format!("{}: {error}", self.name))?;
        let is_there = std::fs::read_dir(&fresh).is_ok_and(|mut files| files.next().is_some());
        if done.status.success() && is_there {
            std::fs::remove_dir_all(corpus).map_err(|error| error.to_string())?;
            return std::fs::rename(&fresh, corpus).map_err(|error| error.to_string());
        }
        std::fs::remove_dir_all(&fresh).map_err(|error| error.to_string())
    }

    /// Runs [`SMOKE_RUNS`] inputs from a fixed seed and an empty corpus, which all have to pass.
    pub(crate) fn smoke(&self) -> Step {
        let corpus = root().join("target/fuzz-smoke").join(self.name);
        let _ = std::fs::remove_dir_all(&corpus);
        std::fs::create_dir_all(&corpus).map_err(|error| error.to_string())?;
        let mut command = self.command();
        command.arg(&corpus).args(LIMITS).args(["-seed=1", "-max_len=512"]);
        command.arg(format!("-runs={SMOKE_RUNS}"));
        command.arg(format!("-artifact_prefix={}/", corpus.display()));
        let out = command.output().map_err(|error| format!("{}: {error}", self.name))?;
        let output = String::from_utf8_lossy(&out.stderr);
        if !out.status.success() {
            return Err(format!("fuzz target {}:\n{output}", self.name));
        }
        let (executions, coverage) = read_stats(&output);
        eprintln!("  {:<16} {executions:>9} executions  {coverage:>6} covered", self.name);
        Ok(())
    }
}

/// Why a fuzzer died: the place of its panic, which identifies the bug, or the signal.
fn cause_of_death(output: &str) -> String {
    let root = root().display().to_string() + "/";
    let place = output.lines().find_map(|line| line.split_once("panicked at ")).map(|(_, at)| at);
    let place = place.map(|at| at.trim_end_matches(':').replace(&root, ""));
    let error = output.lines().find_map(|line| line.split_once("ERROR: ")).map(|(_, what)| what);
    place.or(error.map(str::to_owned)).unwrap_or_else(|| "it died".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_target_that_loses_blocks_skips_leak_checks() {
        assert!(asan("corruption").contains("detect_leaks=0"));
        assert!(asan("blocks").contains("detect_leaks=1"));
    }

    #[test]
    fn the_output_of_a_fuzzer_is_read() {
        let output = "#8\tpulse cov: 17 ft: 20\n#9\tDONE   cov: 21 ft: 30 corp: 3/9b\n\
                    stat::number_of_executed_units: 3000\nstat::average_exec_per_sec:     0\n";
        assert_eq!(read_stats(output), (3000, 21));
        assert_eq!(read_stats(""), (0, 0));
        let panicked = "thread 'x' (7) panicked at src/a.rs:1:5:\nit broke\n==7== ERROR: deadly";
        assert_eq!(cause_of_death(panicked), "src/a.rs:1:5");
        assert_eq!(cause_of_death("==7== ERROR: libFuzzer: timeout"), "libFuzzer: timeout");
    }
}
