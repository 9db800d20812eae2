//! Sweeps that are killed at random moments, and resumed.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::ptr::NonNull;
use std::time::Duration;

use mallory::{Heap, Port, Refused, Report, Sweep};

use crate::{Part, names};

/// The blocks that the subject asks for, which is how long its journal gets.
const BLOCKS: usize = 30;
/// The same for a journal of some ten pages.
const MANY_BLOCKS: usize = 600;

/// Asks for blocks one after the other, loses one in the end if another one is refused, and takes its
/// time if `pause` is not zero.
fn asks(heap: &Heap, blocks: usize, pause: Duration) -> Result<usize, Refused> {
    let layout = std::alloc::Layout::new::<[u64; 3]>();
    for nth in 0..blocks {
        std::thread::sleep(pause);
        let block = heap.alloc(layout)?;
        let free = |block: NonNull<[u8]>| {
            // SAFETY: allocated above with this layout, and freed once.
            #[allow(unsafe_code)]
            unsafe {
                heap.free(block.cast(), layout);
            }
        };
        if nth + 1 == blocks {
            free(heap.alloc(layout)?);
        }
        free(block);
    }
    Ok(blocks)
}

/// The subject without pauses.
pub(crate) fn subject(heap: &Heap) -> Result<usize, Refused> {
    asks(heap, BLOCKS, Duration::ZERO)
}

fn swept(folder: &Path, resume: bool, blocks: usize, pause: Duration) -> Report {
    Sweep::new("killed").quick().journal(folder, resume).run(move |heap| asks(heap, blocks, pause))
}

/// The sweep without pauses.
pub(crate) fn quick(folder: &Path, resume: bool) -> Report {
    swept(folder, resume, BLOCKS, Duration::ZERO)
}

/// What the program does when it is started for this: sweeps, and prints the report. It takes its time,
/// so that it can be killed, or else keeps a long journal.
pub(crate) fn sweep(what: &str, folder: &Path, resume: bool) -> ExitCode {
    let report = match what {
        "long" => swept(folder, resume, MANY_BLOCKS, Duration::ZERO),
        _ => swept(folder, resume, BLOCKS, Duration::from_micros(300)),
    };
    for line in report.to_string().lines() {
        // A line that replays goes on with the words of this program, which say where it works.
        println!("{}", line.split(" cargo ").next().unwrap_or_default());
    }
    ExitCode::SUCCESS
}

/// The program itself, with its temporary files in a folder of their own.
pub(crate) fn command(what: &str, folder: &Path, temporary: &Path, resume: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this program"));
    command.args(["sweep", what]).arg(folder).arg(if resume { "resume" } else { "anew" });
    command.env("TMPDIR", temporary).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// The report of a sweep that ends.
fn report(folder: &Path, temporary: &Path, resume: bool) -> String {
    let output = command("slow", folder, temporary, resume).output().expect("it starts");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The processes of the sweep with this folder, also those whose parent is gone.
fn processes(folder: &Path) -> usize {
    let folder = folder.to_string_lossy().into_owned();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_its = |path: &Path| {
        let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&folder)
    };
    all.filter(|entry| is_its(&entry.path())).count()
}

/// Kills sweeps, and resumes them: the report is the same, and no process and no file is left.
pub(crate) fn attack(attempts: u64) -> Part {
    let mut random = fastrand::Rng::with_seed(5);
    let mut wrong = Vec::new();
    let base = tempfile::tempdir().expect("a folder");
    let (whole, temporary) = (base.path().join("whole"), base.path().join("temporary"));
    std::fs::create_dir(&temporary).expect("made");
    let expected = report(&whole, &temporary, false);
    if !expected.contains("1 finding") {
        wrong.push(format!("the sweep shows something else:\n{expected}"));
    }
    let mut killed = 0;
    for nth in 0..attempts {
        let folder = base.path().join(format!("killed-{nth}"));
        let mut sweep = command("slow", &folder, &temporary, false)
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_micros(random.u64(..700_000)));
        if random.bool() {
            let _ = sweep.kill();
        } else {
            let pid = sweep.id().to_string();
            let signal = ["-TERM", "-INT", "-HUP", "-QUIT"][random.usize(..4)];
            let _ = Command::new("kill").args([signal, &pid]).stderr(Stdio::null()).status();
        }
        let ended = sweep.wait().expect("it was started");
        killed += u64::from(!ended.success());
        // Its processes are killed with it, and have a moment to end.
        let is_gone = (0..500).any(|_| {
            let is_gone = processes(&folder) == 0;
            if !is_gone {
                std::thread::sleep(Duration::from_millis(10));
            }
            is_gone
        });
        if !is_gone {
            wrong.push(format!("sweep {nth}: a process is left"));
        }
        let resumed = report(&folder, &temporary, true);
        if resumed != expected {
            wrong.push(format!("sweep {nth}: another report:\n{resumed}"));
        }
        if names(&folder) != ["killed.journal"] {
            wrong.push(format!("sweep {nth}: files are left: {:?}", names(&folder)));
        }
    }
    let left = names(&temporary);
    if !left.is_empty() {
        wrong.push(format!("temporary files are left: {left:?}"));
    }
    let note = format!(", {killed} were killed before their end");
    Part { name: "killed sweeps", attempts, wrong, note }
}
