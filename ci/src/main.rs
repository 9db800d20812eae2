//! Continuous integration as a program: the README's test command, `.ci/run` and the workflow
//! files call it, and say nothing of their own.

mod fuzz;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

const USAGE: &str = "\
usage: cargo run -p ci -- COMMAND

  test     the tests (cargo nextest) and the doctests; installs cargo-nextest if it is missing
  lint     formatting, clippy and documentation, warnings being errors
  smoke    the main job as a user runs it, the C examples, and the canary that must fail
  header   writes harness/c/mallory.h anew
  matrix   debug and release × kill switch off and on × N in {1, 3, 7, 37},
           and AddressSanitizer with LeakSanitizer, and ThreadSanitizer, where a nightly
           toolchain is installed
  explore  the order of threads under shuttle and loom: their tests, all scenarios to two
           preemptions, and planted bugs found and replayed; some minutes
  foreign  the feature `foreign`: needs a C compiler and make, and takes a while to build
  fuzz     the fuzz targets in turn over all cores: --minutes N (480 unless given), --resume,
           and names of targets; --smoke tries each for a moment, --planted reaches planted bugs,
           --address builds with AddressSanitizer (nightly)
  all      lint, test, smoke, matrix and explore";

/// What one step came to.
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
        ["fuzz", options @ ..] => {
            let options: Vec<String> = options.iter().map(|word| (*word).to_owned()).collect();
            fuzz::Options::read(&options).and_then(|options| fuzz::fuzz(&options))
        }
        ["all"] => [lint, test, smoke, matrix, explore].iter().try_for_each(|step| step()),
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

/// A cargo of the same toolchain, in the workspace's folder, with nothing of this run's settings.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    let ours = std::env::vars().map(|(name, _)| name);
    for name in ours.filter(|name| name.starts_with("MALLORY_")) {
        command.env_remove(name);
    }
    command
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Runs a command that has to succeed.
fn run(command: &mut Command) -> Step {
    exits(command, 0)
}

/// Runs a command that has to end with this code.
fn exits(command: &mut Command, code: i32) -> Step {
    let said = said(command);
    eprintln!("$ {said}");
    let start = Instant::now();
    let status = command.status().map_err(|error| format!("cannot start `{said}`: {error}"))?;
    eprintln!("  {:.1} s", start.elapsed().as_secs_f64());
    if status.code() == Some(code) {
        return Ok(());
    }
    Err(format!("`{said}` ended with {status}, expected exit code {code}"))
}

/// What a command prints; it has to end with this code.
fn output(command: &mut Command, code: i32) -> Result<String, String> {
    let said = said(command);
    eprintln!("$ {said}");
    let out = command.output().map_err(|error| format!("cannot start `{said}`: {error}"))?;
    if out.status.code() != Some(code) {
        eprintln!("{}", String::from_utf8_lossy(&out.stdout));
        eprintln!("{}", String::from_utf8_lossy(&out.stderr));
        return Err(format!("`{said}` ended with {}, expected exit code {code}", out.status));
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

/// Every feature but `foreign`, whose crates take longer to build than all the rest.
const FEATURES: &str = "mallory/allocator-api2-04,mallory/c,mallory/cli,mallory/proptest,\
    mallory/script-tests,mallory/shuttle,mallory/loom,\
    mallory-scenarios/shuttle,mallory-scenarios/loom";

/// What `foreign` adds: other people's crates, C libraries and allocators.
fn foreign() -> Step {
    install_nextest()?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--all-features", "--quiet"];
    run(cargo(&clippy).args(["--", "-D", "warnings"]))?;
    run(&mut cargo(&["nextest", "run", "-p", "mallory-scenarios", "--all-features"]))
}

fn lint() -> Step {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--features", FEATURES, "--quiet"];
    run(cargo(&clippy).args(["--", "-D", "warnings"]))?;
    // The library by itself, as its users get it.
    let alone = ["clippy", "-p", "mallory", "--quiet"];
    run(cargo(&alone).args(["--all-targets", "--", "-D", "warnings"]))?;
    run(cargo(&alone).args(["--no-default-features", "--", "-D", "warnings"]))?;
    let doc = ["doc", "--workspace", "--no-deps", "--features", FEATURES, "--quiet"];
    run(cargo(&doc).env("RUSTDOCFLAGS", "-D warnings"))
}

fn mallory(release: bool, args: &[&str]) -> Command {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    let mut command = cargo(&["run", "--quiet", "-p", "mallory-scenarios"]);
    command.args(profile).arg("--").args(args);
    command
}

/// The same with the crates that know nothing of Mallory.
fn mallory_foreign(args: &[&str]) -> Command {
    let run = ["run", "--quiet", "--release", "-p", "mallory-scenarios", "--features", "foreign"];
    let mut command = cargo(&run);
    command.arg("--").args(args);
    command
}

/// The header for C, as the code is now.
fn header() -> Step {
    let test = ["test", "--quiet", "-p", "mallory-c", "--test", "header"];
    run(cargo(&test).env("WRITE_HEADER", "1"))
}

/// The C examples, built and run by the README's lines: what is mended is clean, what is planted is
/// found, and the line that is printed finds it again.
fn c_examples() -> Step {
    // Where the README's lines look for it, also where this program itself was built elsewhere.
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
    run(&mut mallory(true, &["sweep"]))?;
    c_examples()?;
    run(&mut mallory_foreign(&["sweep", "foreign"]))?;
    // The canary: planted bugs that are not found are a broken harness.
    let planted = output(&mut mallory(true, &["sweep", "planted"]), 1)?;
    let replay = planted.lines().find_map(|line| line.trim().strip_prefix("replay  "));
    let token = replay.and_then(|line| line.split('\'').nth(1)).ok_or("no replay line")?;
    let replayed = output(&mut mallory(true, &["replay", token]), 1)?;
    if !replayed.contains("reproduced") {
        return Err(format!("`{token}` was not reproduced:\n{replayed}"));
    }
    output(&mut mallory(true, &["replay", "v1 broken"]), 2)?;
    let way = |way| {
        let sweep = ["sweep", "planted", "--format", "json", "--strategy", way];
        output(&mut mallory(true, &sweep), 1)
    };
    if way("rerun")? != way("fork")? {
        return Err("the JSON of the two strategies differ".to_owned());
    }
    // Cases have the same ids in either build.
    if output(&mut mallory(true, &["cases"]), 0)? != output(&mut mallory(false, &["cases"]), 0)? {
        return Err("the cases of the two profiles differ".to_owned());
    }
    let json = |jobs| output(&mut mallory(true, &["sweep", "--format", "json", "--jobs", jobs]), 0);
    if json("1")? != json("2")? {
        return Err("the JSON of one job and of two differ".to_owned());
    }
    Ok(())
}

fn matrix() -> Step {
    for release in [false, true] {
        for bypass in ["0", "1"] {
            let switched = |mut command: Command| {
                command.env("MALLORY_DISABLE_CUSTOM_ALLOCATORS", bypass);
                command
            };
            run(&mut switched(mallory(release, &["sweep"])))?;
            for n in ["1", "3", "7", "37"] {
                eprintln!("release {release}, kill switch {bypass}, N {n}");
                run(switched(mallory(release, &["sweep"])).env("MALLORY_OOM_AFTER", n))?;
            }
        }
    }
    sanitizers()
}

/// Schedules of each fault that are run here, where the whole bound is more: `explore` says then that
/// it was cut off, and where.
const SCHEDULES: &str = "2000";

/// The order of threads, under each model checker.
fn explore() -> Step {
    install_nextest()?;
    // Without a model checker, what says that there is none; the rest of the profile `std` is run
    // by `test`, in a build that has both.
    run(&mut cargo(&["nextest", "run", "-p", "mallory", "--test", "explore_refusals"]))?;
    for profile in ["shuttle", "loom"] {
        // The same build as the tests'.
        let build = ["nextest", "run", "--workspace", "--features", FEATURES];
        run(cargo(&build).args(["--profile", profile]))?;
    }
    let mallory = |args: &[&str]| {
        let both = ["--features", "shuttle,loom"];
        let mut command = cargo(&["run", "--quiet", "--release", "-p", "mallory-scenarios"]);
        command.args(both).arg("--").args(args);
        command
    };
    run(&mut mallory(&["explore", "--preemptions", "2", "--schedules", SCHEDULES]))?;
    run(&mut mallory(&["loom", "--preemptions", "2", "--schedules", SCHEDULES]))?;
    // A build with a model checker sweeps as any other.
    run(&mut mallory(&["sweep"]))?;
    // The canary, and the same bytes for any number of jobs.
    let planted = |jobs| {
        let explore = ["explore", "racy", "--jobs", jobs];
        output(&mut mallory(&explore), 1)
    };
    let found = planted("2")?;
    if found != planted("1")? {
        return Err("what one job and what two find differs".to_owned());
    }
    let replay = found.lines().find_map(|line| line.trim().strip_prefix("replay  "));
    let token = replay.and_then(|line| line.split('\'').nth(1)).ok_or("no replay line")?;
    let replayed = output(&mut mallory(&["replay", token]), 1)?;
    if !replayed.contains("reproduced") {
        return Err(format!("`{token}` was not reproduced:\n{replayed}"));
    }
    output(&mut self::mallory(true, &["explore"]), 2).map(|_| ())
}

/// The services, and ports over std's own trait, under AddressSanitizer and LeakSanitizer, and what is
/// shared by real threads under ThreadSanitizer.
fn sanitizers() -> Step {
    let nightly = |args: &[&str]| {
        let mut command = Command::new("cargo");
        command.arg("+nightly").args(args).current_dir(root());
        for name in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC"] {
            command.env_remove(name);
        }
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
    // A planted bug is one for the sanitizers as well: they see the services only, and what only
    // this toolchain has.
    let test = ["test", "--quiet", "--target", target, "-p", "mallory-scenarios", "-p", "mallory"];
    run(nightly(&test)
        .args(["--test", "services", "--test", "std_allocator"])
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
        .env("CARGO_TARGET_DIR", root().join("target/sanitizers")))?;
    // The system port's counters under real threads. Std itself is not built anew for it, so only
    // what is compiled here is watched: its atomics are, being inlined.
    let test = ["test", "--quiet", "--target", target, "-p", "mallory", "--test", "system_port"];
    run(nightly(&test)
        .env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer")
        .env("TSAN_OPTIONS", format!("suppressions={}", root().join("ci/tsan.supp").display()))
        .env("CARGO_TARGET_DIR", root().join("target/thread-sanitizer")))
}
