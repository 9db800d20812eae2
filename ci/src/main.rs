//! Continuous integration as a program. The README's test command, `.ci/run` and the workflow files
//! only call it, so that a person runs the same as CI does.

mod clones;
mod fuzz;
mod guards;
mod newcomers;
mod precision;
mod programs;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use std::time::Instant;

const USAGE: &str = "\
usage: cargo run -p ci -- COMMAND

  test     runs the tests (cargo nextest) and the doctests; installs cargo-nextest if it is missing
  lint     checks formatting, clippy and the documentation; a warning is an error
  smoke    sweeps as a user does, builds and runs the C examples, and checks that planted bugs are
           found and replayed
  header   regenerates harness/c/mallory.h
  matrix   sweeps in debug and release builds, with and without memory parts, and with every request
           after the Nth failing; then runs AddressSanitizer, LeakSanitizer and ThreadSanitizer if a
           nightly toolchain is installed
  explore  explores all scenarios up to two preemptions under shuttle and loom, and checks that
           planted bugs are found and replayed
  foreign  tests the features `foreign` and `foreign-allocators`: needs a C compiler and make, and
           takes long to build
  repeat   sweeps programs that corrupt memory 50 times each, which has to print the same each time,
           and correct threads 1,000 times, which has to find nothing
  hostile  attacks the harness: subjects that do what they can to it, damaged tokens, journals,
           lists and scripts, sweeps that are killed at random moments, full disks; takes minutes
  newcomers  does what the README says in empty folders, as four kinds of new users would, and compiles
           the fuzz set-up that the docs print
  guards   checks in the sources of the services that all memory comes from the heap, and that
           every public function says what gives back what it hands out
  clones   counts calls of `clone` by file, and requests for memory by service, which must not be
           more than ci/clones.toml allows; --update writes the file anew
  precision  sweeps popular crates in their published versions, which must show no false finding,
           and compares the table with precision/README.md; --update writes the file anew
  programs  sweeps programs of Debian's packages, and writes the table of docs/programs.md; takes
           --install      installs the packages that are missing, which are left out otherwise
           --complete     fails if packages are missing
           --only NAME    sweeps only programs with this in their names
           --limit RUNS   the most runs of each program (default: 400)
           --seconds N    how long one program may take (default: 60)
           --binary FILE  the `mallory` to use, instead of building it
           --trophies     replays the bugs of docs/TROPHIES.md instead; --update looks for those
                          that no longer show, and writes their lines anew
  fuzz     runs the fuzz targets in turn on all cores; takes the names of targets, and
           --minutes N    how long in all (default: 480)
           --resume       continues a run that was killed
           --smoke        tries each target for a moment instead
           --planted      checks that planted bugs are found instead
           --address      builds with AddressSanitizer (needs a nightly toolchain)
  all      lint, guards, clones, test, smoke, matrix and explore

example: cargo run -p ci -- fuzz --minutes 10 blocks";

/// The result of a step: what went wrong, if anything did.
type Step = Result<(), String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test"] => test(),
        ["lint"] => lint(),
        ["smoke"] => smoke(),
        ["header"] => header(),
        ["matrix"] => matrix(),
        ["explore"] => explore(),
        ["foreign"] => foreign(),
        ["repeat"] => run(&mut cargo(&["run", "--release", "--example", "repeated"])),
        ["hostile"] => run(&mut cargo(&["run", "--release", "--example", "hostile"])),
        ["guards"] => guards::guards(),
        ["clones"] => clones::clones(false),
        ["clones", "--update"] => clones::clones(true),
        ["newcomers"] => newcomers::newcomers(),
        ["precision"] => precision::precision(false),
        ["precision", "--update"] => precision::precision(true),
        ["programs", options @ ..] => {
            programs::Options::read(options).and_then(|options| programs::programs(&options))
        }
        ["fuzz", options @ ..] => {
            let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
            fuzz::Options::read(&options).and_then(|options| fuzz::fuzz(&options))
        }
        ["all"] => [lint, guards::guards, || clones::clones(false), test, smoke, matrix, explore]
            .iter()
            .try_for_each(|step| step()),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{what}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    let ci = Path::new(env!("CARGO_MANIFEST_DIR"));
    ci.parent().expect("the crate lies in the workspace").to_owned()
}

/// A command in the workspace's folder, without `MALLORY_*` variables.
fn command(program: impl AsRef<OsStr>, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    let ours = std::env::vars().map(|(name, _)| name);
    for name in ours.filter(|name| name.starts_with("MALLORY_")) {
        command.env_remove(name);
    }
    command
}

/// A cargo command of the same toolchain.
fn cargo(args: &[&str]) -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
}

/// A command as one types it.
fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command, and expects it to succeed.
fn run(command: &mut Command) -> Step {
    exits(command, 0)
}

/// Runs a search, which may be cut off by its limits, and expects that it finds nothing.
fn finds_nothing(command: &mut Command) -> Step {
    run(command).or_else(|error| if error.contains("exit status: 3") { Ok(()) } else { Err(error) })
}

/// Runs a command, and expects this exit code.
fn exits(command: &mut Command, code: i32) -> Step {
    let line = command_line(command);
    eprintln!("$ {line}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    eprintln!("  {:.1} s", start.elapsed().as_secs_f64());
    if status.code() == Some(code) {
        return Ok(());
    }
    Err(format!("`{line}` ended with {status}, expected exit code {code}"))
}

/// Runs a command, expects this exit code, and returns what it prints.
fn output(command: &mut Command, code: i32) -> Result<String, String> {
    let line = command_line(command);
    eprintln!("$ {line}");
    let out = command.output().map_err(|error| format!("cannot start `{line}`: {error}"))?;
    if out.status.code() != Some(code) {
        eprintln!("{}", String::from_utf8_lossy(&out.stdout));
        eprintln!("{}", String::from_utf8_lossy(&out.stderr));
        return Err(format!("`{line}` ended with {}, expected exit code {code}", out.status));
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

fn install_nextest() -> Step {
    let there = cargo(&["nextest", "--version"]).output().is_ok_and(|out| out.status.success());
    if there {
        return Ok(());
    }
    run(&mut cargo(&["install", "cargo-nextest", "--locked"]))
}

fn test() -> Step {
    install_nextest()?;
    run(&mut cargo(&["nextest", "run", "--workspace", "--features", FEATURES]))?;
    run(&mut cargo(&["test", "--doc", "--workspace", "--features", FEATURES, "--quiet"]))
}

/// Every feature but `foreign` and `foreign-allocators`, whose crates take longer to build than everything else.
const FEATURES: &str = "mallory/allocator-api2-04,mallory/c,mallory/cli,mallory/proptest,\
    mallory/script-tests,mallory/shuttle,mallory/loom,mallory/tokio,\
    mallory-scenarios/shuttle,mallory-scenarios/loom";

/// Tests other people's crates, C libraries and allocators.
fn foreign() -> Step {
    install_nextest()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet"];
    run(cargo(&clippy).args(["--", "-D", "warnings"]))?;
    // Without `loopback`, which changes what axum asks for.
    let features = "foreign-allocators,loom,shuttle";
    run(&mut cargo(&["nextest", "run", "-p", "mallory-scenarios", "--features", features]))
}

fn lint() -> Step {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--quiet"];
    run(cargo(&clippy).args(["--", "-D", "warnings"]))?;
    // The library alone, as its users build it.
    let alone = ["clippy", "-p", "mallory", "--quiet"];
    run(cargo(&alone).args(["--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&alone).args(["--no-default-features", "--", "-D", "warnings"]))?;
    let doc = ["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"];
    run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The program as a user builds it.
fn mallory(args: &[&str]) -> Command {
    let mut command = cargo(&["run", "--quiet", "--release", "-p", "mallory-scenarios", "--"]);
    command.args(args);
    command
}

/// The same with other people's crates, in the tests' profile, with which it shares dependencies.
fn mallory_foreign(args: &[&str]) -> Command {
    let run = ["run", "--quiet", "-p", "mallory-scenarios", "--features", "foreign", "--"];
    let mut command = cargo(&run);
    command.args(args);
    command
}

/// The program with both model checkers, from the build of the tests.
fn mallory_debug(args: &[&str]) -> Result<Command, String> {
    static BUILT: OnceLock<Step> = OnceLock::new();
    let build = ["test", "--no-run", "--quiet", "--workspace", "--features", FEATURES];
    BUILT.get_or_init(|| run(&mut cargo(&build))).clone()?;
    Ok(command(target().join("debug/mallory"), args))
}

/// The folder of what cargo builds.
fn target() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| root().join("target"))
}

/// Regenerates the header for C from the code.
fn header() -> Step {
    let test = ["test", "--quiet", "-p", "mallory-c", "--test", "c", "header::"];
    run(cargo(&test).env("WRITE_HEADER", "1"))
}

/// Builds and runs the C examples by the README's commands. The correct version is clean, the
/// planted bug is found, and its replay line finds it again.
fn c_examples() -> Step {
    // Where the README's commands look for it, even if this program was built elsewhere.
    run(cargo(&["build", "--quiet", "--release", "-p", "mallory-c"])
        .env("CARGO_TARGET_DIR", root().join("target")))?;
    let in_root = |program: &str, args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args).current_dir(root());
        command
    };
    let library = "target/release/libmallory_c.a";
    for (name, planted) in [("words", "leak"), ("pool", "careless")] {
        let (source, program) = (format!("harness/examples/c/{name}.c"), format!("target/{name}"));
        let cc = ["-g", "-I", "harness/c", &source, library];
        let libraries = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-o", &program];
        run(in_root("cc", &cc).args(libraries))?;
        run(&mut in_root(&program, &[]))?;
        let found = output(&mut in_root(&program, &[planted]), 1)?;
        let line = found.lines().find_map(|line| line.trim().strip_prefix("replay  "));
        let line = line.ok_or("no replay line")?;
        let again = output(&mut in_root("sh", &["-c", line]), 1)?;
        if !again.contains("reproduced") {
            return Err(format!("`{line}` was not reproduced:\n{again}"));
        }
    }
    Ok(())
}

fn smoke() -> Step {
    run(&mut mallory(&["sweep"]))?;
    c_examples()?;
    run(&mut mallory_foreign(&["sweep", "foreign"]))?;
    // If planted bugs are not found, the harness is broken.
    let planted = output(&mut mallory(&["sweep", "planted"]), 1)?;
    let replay = planted.lines().find_map(|line| line.trim().strip_prefix("replay  "));
    let token = replay.and_then(|line| line.split('\'').nth(1)).ok_or("no replay line")?;
    let replayed = output(&mut mallory(&["replay", token]), 1)?;
    if !replayed.contains("reproduced") {
        return Err(format!("`{token}` was not reproduced:\n{replayed}"));
    }
    output(&mut mallory(&["replay", "v1 broken"]), 2)?;
    let by_strategy = |strategy| {
        let sweep = ["sweep", "planted", "--format", "json", "--strategy", strategy];
        output(&mut mallory(&sweep), 1)
    };
    if by_strategy("rerun")? != by_strategy("fork")? {
        return Err("the JSON of the two strategies differ".to_owned());
    }
    // Cases have the same ids in debug and release builds; those with threads need a model checker.
    let cases = output(&mut mallory(&["cases"]), 0)?;
    let debug = output(&mut mallory_debug(&["cases"])?, 0)?;
    if let Some(line) = cases.lines().find(|line| !debug.lines().any(|other| other == *line)) {
        return Err(format!("only the release build says: {line}"));
    }
    let json = |jobs| output(&mut mallory(&["sweep", "--format", "json", "--jobs", jobs]), 0);
    if json("1")? != json("2")? {
        return Err("the JSON of one job and of two differ".to_owned());
    }
    Ok(())
}

fn matrix() -> Step {
    for release in [false, true] {
        for bypass in ["0", "1"] {
            let sweep = || {
                let sweep = ["sweep"];
                let command = if release { Ok(mallory(&sweep)) } else { mallory_debug(&sweep) };
                command.map(|mut command| {
                    command.env("MALLORY_DISABLE_CUSTOM_ALLOCATORS", bypass);
                    command
                })
            };
            run(&mut sweep()?)?;
            for n in ["1", "3", "7", "37"] {
                eprintln!("release {release}, kill switch {bypass}, N {n}");
                run(sweep()?.env("MALLORY_OOM_AFTER", n))?;
            }
        }
    }
    sanitizers()
}

/// The most schedules of each fault that are run here. If the bound holds more, the reports say so.
const SCHEDULES: &str = "2000";

/// Explores the order of threads under each model checker. `test` runs the tests for them.
fn explore() -> Step {
    for engine in ["explore", "loom"] {
        let bounds = ["--preemptions", "2", "--schedules", SCHEDULES];
        finds_nothing(&mut mallory_debug(&[&[engine][..], &bounds].concat())?)?;
    }
    // A build with a model checker still sweeps.
    run(&mut mallory_debug(&["sweep"])?)?;
    // Planted bugs are found, and any number of jobs prints the same bytes.
    let planted = |jobs| {
        let explore = ["explore", "racy", "--jobs", jobs];
        output(&mut mallory_debug(&explore)?, 1)
    };
    let found = planted("2")?;
    if found != planted("1")? {
        return Err("the reports of one job and of two differ".to_owned());
    }
    let replay = found.lines().find_map(|line| line.trim().strip_prefix("replay  "));
    let token = replay.and_then(|line| line.split('\'').nth(1)).ok_or("no replay line")?;
    let replayed = output(&mut mallory_debug(&["replay", token])?, 1)?;
    if !replayed.contains("reproduced") {
        return Err(format!("`{token}` was not reproduced:\n{replayed}"));
    }
    // The build without a model checker names the feature that it lacks.
    let mut explore = mallory(&["explore"]);
    let refused = explore.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    let error = String::from_utf8_lossy(&refused.stderr);
    if refused.status.code() != Some(2) || !error.contains("--features shuttle") {
        return Err(format!("exploring without a model checker says:\n{error}"));
    }
    Ok(())
}

/// Runs the services and the ports over std's own trait under AddressSanitizer and LeakSanitizer,
/// and what real threads share under ThreadSanitizer.
fn sanitizers() -> Step {
    let nightly = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.arg("+nightly").args(args).current_dir(root());
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(name);
        }
        // These tests run once: optimising their dependencies would take longer than it saves.
        command.args(["--config", "profile.dev.package.\"*\".opt-level=0"]);
        command.env("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
        command
    };
    let names = "AddressSanitizer, LeakSanitizer and ThreadSanitizer";
    let there = nightly(&["--version"]).output().is_ok_and(|out| out.status.success());
    if !there {
        eprintln!("no nightly toolchain: {names} were not run");
        return Ok(());
    }
    let target = "x86_64-unknown-linux-gnu";
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        eprintln!("not {target}: {names} were not run");
        return Ok(());
    }
    // Planted bugs would stop the sanitizers, so they run only the services, and the adapter that
    // only a nightly toolchain has.
    let test = ["test", "--quiet", "--target", target, "-p", "mallory", "-p", "mallory-scenarios"];
    run(nightly(&test)
        .args(["--test", "services", "--test", "conformance"])
        .args(["--", "survival::", "std_allocator::"])
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
        .env("CARGO_TARGET_DIR", root().join("target/sanitizers")))?;
    // The system port's counters under real threads. Std is not rebuilt with the sanitizer, so only
    // code compiled here is watched; that includes std's atomics, which are inlined.
    let test = ["test", "--quiet", "--target", target, "-p", "mallory", "--test", "heap"];
    run(nightly(&test)
        .arg("system_port::")
        .env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")
        .env("TSAN_OPTIONS", format!("suppressions={}", root().join("ci/tsan.supp").display()))
        .env("CARGO_TARGET_DIR", root().join("target/thread-sanitizer")))
}
