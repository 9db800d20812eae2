//! What `mallory exec` costs: its start, a run without a fault, and a point.
//!
//! `cargo bench -p mallory-scenarios --bench exec`. Three programs are compiled by the C compiler: one
//! that mostly allocates, one that mostly computes, and one that ends at once. Each runs by itself,
//! under Mallory (the ledger alone; all detectors), under AddressSanitizer, which needs a build of its
//! own, and under valgrind's memcheck and heaptrack where they are installed. The median of the rounds
//! is compared with that of the program by itself. On a noisy machine rely on the ratios.
//!
//! A run under Mallory is a fork of the program at the entry of `main`: it saves what the system and
//! the dynamic linker do before.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
/// Runs of a round under Mallory.
const RUNS: u32 = 20;

const ALLOCATES: &str = "
#include <stdlib.h>
int main(void) {
    static void *blocks[1000];
    unsigned long seed = 1;
    for (int n = 0; n < 1000000; n++) {
        seed = seed * 6364136223846793005ul + 1442695040888963407ul;
        int place = (seed >> 33) % 1000;
        free(blocks[place]);
        blocks[place] = malloc(16 + (seed >> 50) % 200);
        if (!blocks[place]) return 1;
        *(char *)blocks[place] = 1;
    }
    return 0;
}";
const COMPUTES: &str = "
#include <stdlib.h>
int main(void) {
    unsigned *table = malloc(1 << 16), sum = 1;
    if (!table) return 1;
    for (int n = 0; n < 1 << 14; n++) table[n] = n * 2654435761u;
    for (int n = 0; n < 60000000; n++) sum = sum * 31 + table[(sum >> 8) & 16383];
    free(table);
    return sum == 12345;
}";
const ENDS: &str = "
#include <stdlib.h>
int main(void) {
    char *block = malloc(100);
    if (!block) return 1;
    free(block);
    return 0;
}";

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (text, file) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&text, source).expect("the folder can be written to");
    let status =
        Command::new("cc").args(["-O2", "-g", "-o"]).arg(&file).arg(&text).args(flags).status();
    assert!(status.is_ok_and(|status| status.success()), "cc compiles {name}");
    file
}

/// How long a command takes, which must succeed.
fn time(command: &mut Command) -> Duration {
    let started = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}: {status}");
    started.elapsed()
}

fn mallory(options: &[&str], program: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mallory"));
    command.arg("exec").args(options).arg("--").arg(program);
    command
}

/// How long a run under Mallory takes.
fn watched(options: &[&str], program: &Path) -> Duration {
    let runs = RUNS.to_string();
    let output =
        mallory(&[options, &["--time", &runs]].concat(), program).output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_micros(text.trim().parse().unwrap_or_else(|_| panic!("{output:?}")))
}

fn is_installed(tool: &str) -> bool {
    let mut command = Command::new(tool);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn row(what: &str, time: Duration, alone: Duration) {
    let ratio = time.as_secs_f64() / alone.as_secs_f64();
    println!("  {what:<28} {:>10.2} ms  {ratio:>7.2} x", time.as_secs_f64() * 1e3);
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    for (name, source) in [("allocates", ALLOCATES), ("computes", COMPUTES), ("ends", ENDS)] {
        let program = compile(folder, name, source, &[]);
        let checked = compile(folder, &format!("{name}-asan"), source, &["-fsanitize=address"]);
        let mut all: [Vec<Duration>; 4] = Default::default();
        for _ in 0..ROUNDS {
            all[0].push(time(&mut Command::new(&program)));
            all[1].push(watched(&["--ledger"], &program));
            all[2].push(watched(&[], &program));
            all[3].push(time(Command::new(&checked).env("ASAN_OPTIONS", "detect_leaks=0")));
        }
        let [alone, ledger, detectors, asan] = all.map(median);
        println!("{name}");
        row("by itself", alone, alone);
        row("mallory, ledger", ledger, alone);
        row("mallory, all detectors", detectors, alone);
        row("AddressSanitizer (rebuilt)", asan, alone);
        for (tool, words) in [("valgrind", &["-q"][..]), ("heaptrack", &["-o", "/dev/null"])] {
            if is_installed(tool) {
                row(tool, time(Command::new(tool).args(words).arg(&program)), alone);
            }
        }
    }
    let program = folder.join("ends");
    let start =
        |command: &mut dyn FnMut() -> Duration| median((0..ROUNDS).map(|_| command()).collect());
    let alone = start(&mut || time(&mut Command::new(&program)));
    let whole = start(&mut || time(&mut mallory(&["--time", "1"], &program)));
    println!("start");
    row("by itself", alone, alone);
    row("mallory exec, one run", whole, alone);
    let many = compile(
        folder,
        "many",
        &ENDS.replace(
            "char *block",
            // Out of the optimiser's sight: it deletes a block that nobody uses.
            "void *(*volatile request)(size_t) = malloc;
    for (int n = 0; n < 500; n++) free(request(n));
    char *block",
        ),
        &[],
    );
    let alone = start(&mut || time(&mut Command::new(&many)));
    let (jobs, points) = (["--all", "--jobs", "1", "--format", "json"], 1002);
    let sweep = start(&mut || {
        let started = Instant::now();
        let output = mallory(&jobs, &many).output().expect("it starts");
        assert!(String::from_utf8_lossy(&output.stdout).contains("\"runs\":1002"), "{output:?}");
        started.elapsed()
    });
    println!("a point, of {points} on one core, with the fault-free runs and the report");
    row("by itself", alone, alone);
    row("mallory exec, a fork each", sweep / points, alone);
}
