//! Runs the fuzz targets, overnight or for a moment. All targets take turns on all cores; the
//! corpus is kept and reduced, crashes become cases, and a summary lists the findings. It needs
//! nothing but cargo: the targets are built here in the way of cargo-fuzz.

mod attack;
mod progress;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use crate::fuzz::attack::{Attack, LIMITS, read_stats};
use crate::fuzz::progress::Progress;
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

/// The most inputs until a planted bug has to be found.
const PLANTED_RUNS: u32 = 100_000;
/// Seconds of a target's turn: short enough that every target has had several after a night.
const TURN: u64 = 600;

/// The compiler flags of a libFuzzer target, as cargo-fuzz passes them.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0 --cfg fuzzing";

/// The folder of the fuzz targets.
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

/// Builds all targets, and returns their folder. For a smoke test they are hardly optimised, which
/// takes half the time.
fn build(options: &Options) -> Result<PathBuf, String> {
    let host = host()?;
    let mut flags = COVERAGE.to_owned();
    let profile = if options.smoke { "smoke" } else { "release" };
    if !options.smoke {
        flags.push_str(" -Ccodegen-units=1");
    }
    let build = ["build", "--profile", profile, "--target", &host, "--manifest-path"];
    let mut command = cargo(&build);
    let mut target = folder().join("target");
    if options.address {
        flags.push_str(" -Zsanitizer=address");
        target = target.join("address");
        command = Command::new("cargo");
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(name);
        }
        command.arg("+nightly").args(build).current_dir(root());
    }
    command.arg(folder().join("Cargo.toml")).env("RUSTFLAGS", flags);
    run(command.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join(host).join(profile))
}

/// Does what the options ask for.
pub(crate) fn fuzz(options: &Options) -> Step {
    let targets = targets(options)?;
    let programs = build(options)?;
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
        command.env("PLANTED_SHELF", name).args(LIMITS).args(["-seed=1", "-max_len=256"]);
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
