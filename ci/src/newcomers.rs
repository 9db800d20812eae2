//! Four kinds of new users, each in an empty folder outside of the workspace: what the README prints is
//! taken literally, with one mistake made in it, and has to find that mistake under each test runner. The
//! replay line that is printed is typed as it is, and has to show it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Step, root};

/// How long the first finding should take at most. It is said if it takes longer, and not checked, since
/// machines differ.
const WANTED: Duration = Duration::from_secs(120);

/// A new user.
struct Newcomer {
    who: &'static str,
    /// The README's block that holds this is what they copy.
    block: &'static str,
    /// What they write differently: the mistake.
    mistake: (&'static str, &'static str),
    /// The dependencies that the README names, beside Mallory, and Mallory's features.
    dependencies: &'static str,
    features: &'static str,
    /// What has to be found.
    finds: &'static str,
}

const NEWCOMERS: [Newcomer; 3] = [
    Newcomer {
        who: "the author of a collection",
        block: "fn index(heap: &Heap",
        mistake: ("seen.try_reserve(1)?;", "if seen.try_reserve(1).is_err() { continue; }"),
        dependencies: "hashbrown = \"0.17\"\n",
        features: "",
        finds: "silent-wrong ",
    },
    Newcomer {
        who: "the owner of an application",
        block: "fn parsing_aborts_at_one_known_place",
        mistake: (".allow_aborts(1)", ""),
        dependencies: "",
        features: "",
        finds: "abort ",
    },
    Newcomer {
        who: "the author of threaded code",
        block: "fn adding_is_right_in_every_order",
        mistake: (
            "*sum.lock().unwrap() += 4;",
            "let now = *sum.lock().unwrap();\n    *sum.lock().unwrap() = now + 4;\n    \
             other.join().unwrap();\n    assert_eq!(*sum.lock().unwrap(), 7);\n    \
             let other = thread::spawn(|| ());",
        ),
        dependencies: "",
        features: ", features = [\"shuttle\"]",
        finds: "panic ",
    },
];

/// The block of code in the README that contains this.
fn block(part: &str) -> Result<String, String> {
    let readme = fs::read_to_string(root().join("README.md"));
    let readme = readme.map_err(|error| format!("error: README.md: {error}"))?;
    let blocks = readme.split("```").skip(1).step_by(2);
    let found = blocks.map(|block| block.split_once('\n').map_or("", |(_, code)| code));
    let found = found.into_iter().find(|code| code.contains(part));
    found.map(str::to_owned).ok_or_else(|| format!("error: README.md has no block with `{part}`"))
}

/// An empty folder outside of the workspace.
fn empty_folder(name: &str) -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("newcomer-{}-{name}", std::process::id()));
    fs::create_dir(&folder).map_err(|error| format!("error: {}: {error}", folder.display()))?;
    Ok(folder)
}

fn write(path: &Path, text: &str) -> Step {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(path, text))
        .map_err(|e| format!("error: {}: {e}", path.display()))
}

/// Runs a shell's line in a folder, and returns all that it prints.
fn shell(folder: &Path, line: &str) -> Result<String, String> {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env_remove("CARGO_TARGET_DIR");
    // What `cargo run` sets for this program is nothing that a user has.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG")) {
        command.env_remove(name);
    }
    let output = command.output().map_err(|error| format!("error: {line}: {error}"))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The line behind the first `replay` in a report.
fn replay_line(printed: &str) -> Option<String> {
    printed.lines().find_map(|line| line.trim().strip_prefix("replay  ")).map(str::to_owned)
}

/// Runs `line`, which has to find something, and then what it prints to replay that.
fn finds_and_replays(
    who: &str,
    folder: &Path,
    line: &str,
    finds: &str,
) -> Result<Duration, String> {
    let started = Instant::now();
    let printed = shell(folder, line)?;
    let took = started.elapsed();
    let wrong = |what: &str, printed: &str| Err(format!("error: {who}: {what}\n{printed}"));
    if !printed.lines().any(|line| line.trim_start().starts_with(finds)) {
        return wrong(&format!("`{line}` finds no `{}`", finds.trim()), &printed);
    }
    let Some(replay) = replay_line(&printed) else {
        return wrong("there is no replay line", &printed);
    };
    let again = shell(folder, &replay)?;
    if !again.contains("reproduced") {
        return wrong(&format!("`{replay}` doesn't reproduce it"), &again);
    }
    println!("{who}: {line}: {} after {:.1} s; {replay}", finds.trim(), took.as_secs_f64());
    Ok(took)
}

/// A crate with one test file.
fn rust(newcomer: &Newcomer, folder: &Path) -> Result<Duration, String> {
    let Newcomer { who, block: part, mistake, dependencies, features, finds } = newcomer;
    let code = block(part)?;
    if !code.contains(mistake.0) {
        return Err(format!("error: the README's `{part}` doesn't say `{}`", mistake.0));
    }
    let harness = root().join("harness");
    write(
        &folder.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"newcomer\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dev-dependencies]\nmallory = {{ path = \"{}\"{features} }}\n{dependencies}",
            harness.display()
        ),
    )?;
    write(&folder.join("src/lib.rs"), "")?;
    write(&folder.join("tests/first.rs"), &code.replace(mistake.0, mistake.1))?;
    let took = finds_and_replays(who, folder, "cargo test", finds)?;
    finds_and_replays(who, folder, "cargo nextest run", finds)?;
    finds_and_replays(who, folder, "cargo test --release", finds)?;
    Ok(took)
}

/// A C program, built by the commands of docs/c.md.
fn c(folder: &Path) -> Result<Duration, String> {
    let code = block("static int subject(mallory_heap *heap")?;
    let mistake = "  mallory_free(heap, text);\n";
    if !code.contains(mistake) {
        return Err("error: the README's C program doesn't free its text".to_owned());
    }
    let source = folder.join("first.c");
    write(&source, &code.replace(mistake, ""))?;
    let docs = fs::read_to_string(root().join("docs/c.md")).map_err(|e| format!("error: {e}"))?;
    let commands = docs.split("```").nth(1).unwrap_or_default().trim().replace("\\\n", " ");
    let (library, program) = commands.split_once('\n').ok_or("error: docs/c.md has no commands")?;
    let started = Instant::now();
    shell(&root(), library)?;
    let program = program
        .replace("harness/examples/c/first.c", &source.to_string_lossy())
        .replace("target/first", &folder.join("first").to_string_lossy());
    let built = program.split("&&").next().unwrap_or_default();
    let printed = shell(&root(), built)?;
    if !printed.is_empty() {
        return Err(format!("error: the C compiler says\n{printed}"));
    }
    finds_and_replays("a C programmer", folder, "./first", "leak ")?;
    Ok(started.elapsed())
}

/// A package with the README's system, and the fuzz set-up that docs/scripts.md prints for it, which has
/// to compile. `mallory new --fuzz` writes the same, as a test of it checks.
pub(crate) fn fuzz_set_up() -> Step {
    let folder = empty_folder("fuzz")?;
    let result = checks_fuzz_set_up(&folder);
    let _ = fs::remove_dir_all(&folder);
    result
}

fn checks_fuzz_set_up(folder: &Path) -> Step {
    let harness = root().join("harness").display().to_string();
    let system = block("impl System for Stack")?;
    let system = system.replace("struct Stack", "pub struct Queue").replace("Stack", "Queue");
    write(&folder.join("src/lib.rs"), &system.replace("enum Op", "pub enum Op"))?;
    write(
        &folder.join("Cargo.toml"),
        &format!(
            "[package]\nname = \"my-queue\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [dependencies]\nallocator-api2 = \"0.2\"\narbitrary = {{ version = \"1\", features = \
             [\"derive\"] }}\nmallory = {{ path = \"{harness}\", features = [\"arbitrary\"] }}\n\
             serde = {{ version = \"1\", features = [\"derive\"] }}\n"
        ),
    )?;
    let docs =
        fs::read_to_string(root().join("docs/scripts.md")).map_err(|e| format!("error: {e}"))?;
    let file = |first: &str| {
        let from =
            docs.find(first).ok_or_else(|| format!("error: docs/scripts.md has no `{first}`"))?;
        let text = &docs[from..];
        Ok::<_, String>(text.split("```").next().unwrap_or_default().to_owned())
    };
    let manifest = file("# fuzz/Cargo.toml\n")?.replace("../../mallory/harness", &harness);
    write(&folder.join("fuzz/Cargo.toml"), &manifest)?;
    write(&folder.join("fuzz/fuzz_targets/queue.rs"), &file("//! fuzz/fuzz_targets/queue.rs\n")?)?;
    // The fuzzer itself is C++, and is only linked.
    let line = "CUSTOM_LIBFUZZER_PATH=/dev/null cargo check --quiet && echo it compiles";
    let said = shell(&folder.join("fuzz"), line)?;
    if !said.ends_with("it compiles\n") {
        return Err(format!("error: the fuzz set-up of docs/scripts.md doesn't compile\n{said}"));
    }
    println!("the fuzz set-up of docs/scripts.md compiles");
    Ok(())
}

/// All of them.
pub(crate) fn newcomers() -> Step {
    fuzz_set_up()?;
    for newcomer in &NEWCOMERS {
        let folder = empty_folder(&newcomer.who.replace(' ', "-"))?;
        let result = rust(newcomer, &folder);
        let _ = fs::remove_dir_all(&folder);
        say(newcomer.who, result?);
    }
    let folder = empty_folder("c")?;
    let result = c(&folder);
    let _ = fs::remove_dir_all(&folder);
    say("a C programmer", result?);
    Ok(())
}

fn say(who: &str, took: Duration) {
    let is_late = if took > WANTED { ", which is more than two minutes" } else { "" };
    println!(
        "{who}: the first finding after {:.0} s from an empty folder{is_late}",
        took.as_secs_f64()
    );
}
