//! Subjects that meddle with what is the harness's: its descriptors, and its processes.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "subjects fork, and close what is not theirs")]

mod common;

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::deaths::{dies, expect, sweep};
use common::{Oom, Owned, outcomes, the};
use mallory::{Faults, Heap, Kind, Outcome, Sweep};

fn close(descriptor: i32) {
    // SAFETY: closes what may not be its own, on purpose.
    unsafe { libc::close(descriptor) };
}

/// What a subject starts and leaves is ended with the child, wherever it holds the pipe.
#[test]
fn a_grandchild_that_survives_is_ended_and_nobody_waits_for_it() {
    let fork = |_: &Heap| {
        // SAFETY: the grandchild waits and ends.
        unsafe {
            if libc::fork() == 0 {
                libc::sleep(100);
                libc::_exit(0);
            }
        }
        std::process::exit(3);
    };
    let (mut far, end) = std::io::pipe().expect("a pipe, which every child has as well");
    expect(fork, Kind::Exit, Outcome::Exited, "it ended the process with exit code 3");
    drop(end);
    let started = Instant::now();
    let left = far.read(&mut [0]).expect("it is open here");
    assert_eq!(left, 0, "nobody wrote");
    assert!(started.elapsed() < Duration::from_secs(50), "the grandchildren lived on");
}

/// It comes back with a copy of everything: it must not go on with the sweep a second time.
#[test]
fn a_grandchild_that_comes_back_into_the_harness_is_ended_there() {
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let report = Sweep::new("forks").faults(Faults::Transient).run(|heap| {
        // SAFETY: the grandchild touches nothing that a lock of another thread guards.
        let grandchild = unsafe { libc::fork() };
        TURNS.fetch_add(1, Ordering::Relaxed);
        let file = std::fs::File::options().create(true).append(true).open(&runs);
        file.and_then(|mut file| file.write_all(b".")).expect("the folder is ours");
        let lost = Owned::new(heap, 16)?;
        let done = Owned::new(heap, 16);
        if grandchild == 0 || done.is_err() {
            lost.lose();
        }
        if grandchild != 0 {
            // SAFETY: a process of ours.
            unsafe { libc::waitpid(grandchild, std::ptr::null_mut(), 0) };
        }
        done.map(drop).map_err(Oom::from)
    });
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2)]);
    let runs = std::fs::metadata(runs).expect("written").len();
    assert!(runs < 40, "{runs} runs: grandchildren made some of them");
}

/// Loses a block and closes everything: what is found then has to come through all the same.
#[test]
fn a_subject_that_closes_every_descriptor_is_heard() {
    let closes = |heap: &Heap| {
        let kept = Owned::new(heap, 24);
        (0..256).for_each(close);
        kept.expect("there is memory").lose();
    };
    let report = sweep(closes);
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    // And if it always does so, from the first run on.
    let report = Sweep::new("closes").run(move |heap| {
        (0..256).for_each(close);
        dies(heap, |heap| _ = Owned::new(heap, 24).map(Owned::lose))
    });
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), 6, "{report}");
}

/// Descriptors that the subject opens under the harness's numbers are the subject's.
#[test]
fn nothing_is_written_to_a_file_that_took_the_pipes_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::File::create(&file).expect("created");
    let report = Sweep::new("reopens").faults(Faults::Transient).run(|heap| {
        let lost = Owned::new(heap, 16)?;
        if Owned::new(heap, 32).is_err() {
            lost.lose();
            (3..64).for_each(close);
            for _ in 3..64 {
                std::mem::forget(std::fs::File::options().append(true).open(&file));
            }
            return Err(Oom);
        }
        Ok(())
    });
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    assert_eq!(std::fs::read(&file).expect("there"), b"", "the harness wrote to it");
}

/// And one that writes to the harness's pipe loses what was to come through it.
#[test]
fn what_was_lost_on_the_way_is_found_again() {
    let report = Sweep::new("writes").faults(Faults::Transient).run(|heap| {
        let lost = Owned::new(heap, 16)?;
        if Owned::new(heap, 32).is_err() {
            for descriptor in 3..64 {
                // SAFETY: writes text to whatever is open.
                unsafe { libc::write(descriptor, c"a log line, as it were".as_ptr().cast(), 22) };
            }
            lost.lose();
            return Err(Oom);
        }
        Ok(())
    });
    assert_eq!(report.exit_code(), 1, "never a pass:\n{report}");
    assert!(report.to_string().contains("never reached the parent"), "{report}");
}

/// A panic outside of the subject is no outcome of its: it comes out here, with what it said.
#[test]
#[should_panic(expected = "a child panicked outside of the subject: no such port")]
fn a_panic_of_the_harness_in_a_child_is_one_in_the_parent() {
    let port = || -> mallory::SystemPort { panic!("no such port") };
    let _ = Sweep::new("port").port(port).run(|heap| dies(heap, |_| ()));
}
