//! Runs the fuzz targets, overnight or for a moment. All targets take turns on all cores; the
//! corpus is kept and reduced, crashes become cases, and a summary lists the findings. It needs
//! nothing but cargo: the targets are built here in the way of cargo-fuzz.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::{Step, cargo, root, run};

/// The options of `ci fuzz`.
pub(crate) struct Options {
    minutes: u64,
    smoke: bool,
    planted: bool,
    resume: bool,
    address: bool,
    only: Vec<String>,
}

impl Options {
    /// Reads the arguments after `fuzz`.
    ///
    /// # Errors
    /// An unknown flag, or a number of minutes that is none.
    pub(crate) fn read(words: &[String]) -> Result<Options, String> {
        let (smoke, planted, resume, address) = (false, false, false, false);
        let mut options =
            Options { minutes: 480, smoke, planted, resume, address, only: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--minutes" => {
                    let minutes = words.next().and_then(|number| number.parse().ok());
                    let minutes = minutes.filter(|minutes| *minutes > 0);
                    options.minutes = minutes.ok_or("--minutes: expected a number, 1 or more")?;
                }
                "--smoke" => options.smoke = true,
                "--planted" => options.planted = true,
                "--resume" => options.resume = true,
                "--address" => options.address = true,
                flag if flag.starts_with('-') => return Err(format!("fuzz: no flag `{flag}`")),
                name => options.only.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}

/// The number of inputs of a smoke test, and the most until a planted bug has to be found.
const SMOKE_RUNS: u32 = 3_000;
const PLANTED_RUNS: u32 = 100_000;
/// Seconds of a target's turn: short enough that every target has had several after a night.
const TURN: u64 = 600;
/// A turn ends after this many crashes.
const CRASHES_MAX: u32 = 20;
/// A target may use 2,048 MB, and 60 seconds for one input.
const LIMITS: [&str; 3] = ["-rss_limit_mb=2048", "-timeout=60", "-print_final_stats=1"];

/// The options of AddressSanitizer for a target. Targets request impossible sizes on purpose, which
/// have to be refused; and one kind of corruption loses a block, so leaks are not checked there.
fn asan(target: &str) -> String {
    let leaks = u8::from(target != "corruption");
    format!("detect_leaks={leaks}:allocator_may_return_null=1")
}

/// Turns off libFuzzer's signal handlers, which turn every signal into an exit.
const NO_HANDLERS: [&str; 5] =
    ["-handle_abrt=0", "-handle_segv=0", "-handle_bus=0", "-handle_fpe=0", "-handle_ill=0"];

/// The compiler flags of a libFuzzer target, as cargo-fuzz passes them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Ccodegen-units=1 --cfg fuzzing";

fn folder() -> PathBuf {
    root().join("fuzz")
}

/// The names of the chosen targets, which are those of their files.
fn targets(options: &Options) -> Result<Vec<String>, String> {
    let files = std::fs::read_dir(folder().join("fuzz_targets")).map_err(|e| e.to_string())?;
    let stem = |entry: std::fs::DirEntry| {
        entry.file_name().to_string_lossy().strip_suffix(".rs").map(str::to_owned)
    };
    let mut all: Vec<String> = files.flatten().filter_map(stem).collect();
    all.sort();
    all.retain(|name| name != "planted");
    if let Some(unknown) = options.only.iter().find(|name| !all.contains(name)) {
        return Err(format!("fuzz: there is no target `{unknown}`; there are {}", all.join(", ")));
    }
    all.retain(|name| options.only.is_empty() || options.only.contains(name));
    Ok(all)
}

fn host() -> Result<String, String> {
    let out = Command::new("rustc").arg("-vV").output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// Builds all targets, and returns their folder.
fn build(address: bool) -> Result<PathBuf, String> {
    let host = host()?;
    let mut flags = COVERAGE.to_owned();
    let mut command = cargo(&["build", "--release", "--target", &host, "--manifest-path"]);
    let mut target = folder().join("target");
    if address {
        flags.push_str(" -Zsanitizer=address");
        target = target.join("address");
        command = Command::new("cargo");
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(name);
        }
        command.args(["+nightly", "build", "--release", "--target", &host, "--manifest-path"]);
        command.current_dir(root());
    }
    command.arg(folder().join("Cargo.toml")).env("RUSTFLAGS", flags);
    run(command.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join(host).join("release"))
}

/// The result of one turn of a target, or of several.
#[derive(Clone, Debug, Default)]
struct Turn {
    executions: u64,
    coverage: u64,
    findings: BTreeSet<String>,
}

impl Turn {
    fn add(&mut self, other: &Turn) {
        self.executions += other.executions;
        self.coverage = self.coverage.max(other.coverage);
        self.findings.extend(other.findings.iter().cloned());
    }
}

/// Executions and coverage, from the statistics that a fuzzer prints at the end.
fn read_stats(text: &str) -> (u64, u64) {
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
struct Attack<'a> {
    name: &'a str,
    program: PathBuf,
}

impl Attack<'_> {
    fn command(&self) -> Command {
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
    fn turn(&self, time: Duration) -> Result<Turn, String> {
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
    fn smoke(&self) -> Step {
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

pub(crate) fn fuzz(options: &Options) -> Step {
    let targets = targets(options)?;
    let programs = build(options.address)?;
    let attack = |name| Attack { name, program: programs.join(name) };
    if options.planted {
        return planted(&attack("planted"));
    }
    if options.smoke {
        return targets.iter().try_for_each(|name| attack(name).smoke());
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seconds = options.minutes * 60 * cores as u64 / targets.len() as u64;
    let progress = Progress::open(options.resume)?;
    // All targets have their first turn before any has its second.
    let turns = seconds.div_ceil(TURN);
    let next = Mutex::new((0..turns).flat_map(|turn| targets.iter().map(move |name| (turn, name))));
    let failed = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no one panics").next();
                    let Some((turn, name)) = taken else { break };
                    let time = TURN.min(seconds - turn * TURN);
                    if progress.has(name, turn) {
                        continue;
                    }
                    let done = attack(name).turn(Duration::from_secs(time));
                    let noted = done.and_then(|done| progress.note(name, turn, &done));
                    if let Err(error) = noted {
                        *failed.lock().expect("no one panics") = Some(error);
                        break;
                    }
                }
            });
        }
    });
    if let Some(error) = failed.into_inner().expect("no one panics") {
        return Err(error);
    }
    progress.summary()
}

/// Checks that each planted bug is found from an empty corpus with a fixed seed, and prints how
/// soon.
fn planted(attack: &Attack<'_>) -> Step {
    let source = std::fs::read_to_string(root().join("scenarios/src/planted/shelf.rs"));
    let source = source.map_err(|error| error.to_string())?;
    let names = source.lines().filter(|line| line.contains("Some(Kind::") && line.contains('"'));
    let names: Vec<&str> = names.filter_map(|line| line.split('"').nth(1)).collect();
    let artifacts = root().join("target/fuzz-smoke/planted");
    std::fs::create_dir_all(&artifacts).map_err(|error| error.to_string())?;
    for name in &names {
        let mut command = attack.command();
        command.env("MALLORY_PLANTED", name).args(LIMITS).args(["-seed=1", "-max_len=256"]);
        command.arg(format!("-runs={PLANTED_RUNS}"));
        command.arg(format!("-artifact_prefix={}/", artifacts.display()));
        let out = command.output().map_err(|error| format!("{name}: {error}"))?;
        let output = String::from_utf8_lossy(&out.stderr);
        if out.status.success() {
            return Err(format!("{name} was not reached in {PLANTED_RUNS} executions"));
        }
        let (executions, _) = read_stats(&output);
        eprintln!("  {name:<28} reached after {executions} executions");
    }
    if names.len() < 8 { Err(format!("only {} shelves have a bug", names.len())) } else { Ok(()) }
}

/// The turns that are done, kept in a file so that a killed run can be resumed.
struct Progress {
    path: PathBuf,
    done: Mutex<BTreeMap<(String, u64), Turn>>,
    /// Findings whose cases existed before this run.
    committed: BTreeSet<String>,
}

impl Progress {
    fn open(resume: bool) -> Result<Progress, String> {
        let path = folder().join("target/night.txt");
        let mut done = BTreeMap::new();
        if resume {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for line in text.lines() {
                let mut words = line.split('\t');
                let (Some(name), Some(turn), Some(executions), Some(coverage), Some(findings)) =
                    (words.next(), words.next(), words.next(), words.next(), words.next())
                else {
                    continue;
                };
                let number = |word: &str| word.parse::<u64>().unwrap_or(0);
                let found = findings.split('|').filter(|one| !one.is_empty()).map(str::to_owned);
                let (executions, coverage) = (number(executions), number(coverage));
                let result = Turn { executions, coverage, findings: found.collect() };
                done.insert((name.to_owned(), number(turn)), result);
            }
        } else {
            let _ = std::fs::remove_file(&path);
        }
        Ok(Progress { path, done: Mutex::new(done), committed: committed() })
    }

    fn has(&self, name: &str, turn: u64) -> bool {
        self.done.lock().expect("no one panics").contains_key(&(name.to_owned(), turn))
    }

    fn note(&self, name: &str, turn: u64, result: &Turn) -> Step {
        use std::io::Write as _;
        let mut done = self.done.lock().expect("no one panics");
        let findings: Vec<&str> = result.findings.iter().map(String::as_str).collect();
        let line = format!(
            "{name}\t{turn}\t{}\t{}\t{}\n",
            result.executions,
            result.coverage,
            findings.join("|")
        );
        eprint!("{}", row(name, result));
        done.insert((name.to_owned(), turn), result.clone());
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&self.path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    /// Prints the results of all turns. New findings are an error.
    fn summary(&self) -> Step {
        let mut by_name: BTreeMap<String, Turn> = BTreeMap::new();
        for ((name, _), result) in self.done.lock().expect("no one panics").iter() {
            by_name.entry(name.clone()).or_default().add(result);
        }
        println!("{:<16} {:>14} {:>10}  findings", "target", "executions", "covered");
        let mut all = BTreeSet::new();
        for (name, result) in &by_name {
            print!("{}", row(name, result));
            all.extend(result.findings.iter().cloned());
        }
        let new: Vec<&String> = all.difference(&self.committed).collect();
        let places = "cases lie in scenarios/cases, bytes in fuzz/regressions";
        println!("{} findings, {} new; {places}", all.len(), new.len());
        if new.is_empty() { Ok(()) } else { Err(format!("new findings: {new:?}")) }
    }
}

fn row(name: &str, result: &Turn) -> String {
    let findings: Vec<&str> = result.findings.iter().map(String::as_str).collect();
    let (executions, coverage) = (result.executions, result.coverage);
    let row = format!("{name:<16} {executions:>14} {coverage:>10}  {}", findings.join(", "));
    row.trim_end().to_owned() + "\n"
}

/// The folder of cases. Each case is a test.
fn cases() -> PathBuf {
    root().join("scenarios/cases")
}

/// The ids of the existing cases.
fn committed() -> BTreeSet<String> {
    let files = std::fs::read_dir(cases()).into_iter().flatten().flatten();
    let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    files.filter_map(|entry| stem(entry.path())).collect()
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
    fn flags_are_read_and_others_refused() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options = Options::read(&words("--minutes 3 --resume blocks")).expect("read");
        assert_eq!((options.minutes, options.resume, options.smoke), (3, true, false));
        assert_eq!(options.only, ["blocks"]);
        for wrong in ["--minutes", "--minutes 0", "--minutes x", "--fast"] {
            assert!(Options::read(&words(wrong)).is_err(), "{wrong}");
        }
        assert!(targets(&Options { only: words("nothing"), ..options }).is_err());
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
