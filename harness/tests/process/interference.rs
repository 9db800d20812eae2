//! Subjects that interfere with the harness: with its file descriptors and its processes.
#![allow(unsafe_code, reason = "the subjects fork, and close the harness's descriptors")]

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Oom, Owned, outcomes, the};
use crate::subject::{dies, expect, sweep};
use mallory::{Faults, Heap, Kind, Outcome, Sweep};

fn close(descriptor: i32) {
    // SAFETY: none, the descriptor may belong to someone else, on purpose.
    unsafe { libc::close(descriptor) };
}

/// Processes that a subject leaves behind are killed with the child, even if they hold its pipe.
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
    let (mut far, end) = std::io::pipe().expect("a pipe, which the children inherit");
    expect(fork, Kind::Exit, Outcome::Exited, "it ended the process with exit code 3");
    drop(end);
    let started = Instant::now();
    let left = far.read(&mut [0]).expect("it is open here");
    assert_eq!(left, 0, "nothing was written");
    assert!(started.elapsed() < Duration::from_secs(50), "the grandchildren were not killed");
}

/// Starts a daemon, which has left the group and the session of the process that started it. It holds
/// what this process has open.
fn start_daemon() {
    // SAFETY: the process in between only starts the daemon, which only waits.
    unsafe {
        let between = libc::fork();
        if between == 0 {
            libc::setsid();
            if libc::fork() == 0 {
                libc::setpgid(0, 0);
                libc::sleep(100);
            }
            libc::_exit(0);
        }
        libc::waitpid(between, std::ptr::null_mut(), 0);
    }
}

/// A program that has left the group, and doesn't even have the name of the process any longer.
fn start_program() {
    let started = std::process::Command::new("setsid").args(["--fork", "sleep", "100"]).status();
    assert!(started.is_ok_and(|status| status.success()), "setsid is there");
}

/// Sweeps a subject that calls `leaves`, which leaves a process behind, and dies or not. All
/// processes that have the pipe open have ended then, but for one of the test's own.
fn leaves_nothing(leaves: impl Fn() + Sync, dies: bool) {
    let own = std::process::Command::new("sleep").arg("100").spawn();
    let mut own = own.expect("the test starts a process of its own");
    let (mut far, end) = std::io::pipe().expect("a pipe, which the daemons inherit");
    // A program inherits only what is not closed at an `exec`.
    // SAFETY: a plain flag of an open descriptor.
    unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&end), libc::F_SETFD, 0) };
    let report = Sweep::new("leaves").faults(Faults::Transient).quick().run(|heap| {
        leaves();
        let refused = Owned::new(heap, 16).is_err();
        if refused && dies {
            std::process::abort();
        }
        Ok::<_, Oom>(())
    });
    assert_eq!(report.outcomes(if dies { Outcome::Aborted } else { Outcome::Absorbed }), 1);
    drop(end);
    let started = Instant::now();
    let left = far.read(&mut [0]).expect("it is open here");
    assert_eq!(left, 0, "nothing was written");
    assert!(started.elapsed() < Duration::from_secs(50), "the daemons were not killed");
    assert!(own.try_wait().is_ok_and(|ended| ended.is_none()), "the test's own process lives");
    own.kill().and_then(|()| own.wait()).expect("it ends");
}

#[test]
fn a_daemon_that_left_its_group_is_ended() {
    leaves_nothing(start_daemon, false);
    leaves_nothing(start_daemon, true);
}

#[test]
fn a_program_that_left_its_group_is_ended() {
    leaves_nothing(start_program, false);
    leaves_nothing(start_program, true);
}

/// The grandchild is a copy of the harness: it must not continue the sweep a second time.
#[test]
fn a_grandchild_that_comes_back_into_the_harness_is_ended_there() {
    static FORKS: AtomicU64 = AtomicU64::new(0);
    let folder = tempfile::tempdir().expect("a folder");
    let runs = folder.path().join("runs");
    let report = Sweep::new("forks").faults(Faults::Transient).run(|heap| {
        // SAFETY: the grandchild takes no lock that another thread may hold.
        let grandchild = unsafe { libc::fork() };
        FORKS.fetch_add(1, Ordering::Relaxed);
        let file = std::fs::File::options().create(true).append(true).open(&runs);
        file.and_then(|mut file| file.write_all(b".")).expect("the folder is ours");
        let lost = Owned::new(heap, 16)?;
        let done = Owned::new(heap, 16);
        if grandchild == 0 || done.is_err() {
            lost.lose();
        }
        if grandchild != 0 {
            // SAFETY: it is a child of this process.
            unsafe { libc::waitpid(grandchild, std::ptr::null_mut(), 0) };
        }
        done.map(drop).map_err(Oom::from)
    });
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2)]);
    let runs = std::fs::metadata(runs).expect("written").len();
    assert!(runs < 40, "{runs} runs: some were made by grandchildren");
}

/// Leaks a block and closes every descriptor: the finding must still reach the parent.
#[test]
fn a_subject_that_closes_every_descriptor_is_heard() {
    let closes = |heap: &Heap| {
        let kept = Owned::new(heap, 24);
        (0..256).for_each(close);
        kept.expect("there is memory").lose();
    };
    let report = sweep(closes);
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    // The same if it does so in every run, from the first one on.
    let report = Sweep::new("closes").run(move |heap| {
        (0..256).for_each(close);
        dies(heap, |heap| _ = Owned::new(heap, 24).map(Owned::lose))
    });
    assert_eq!(the(&report, Kind::Leak).count(), 1, "{report}");
    assert_eq!(report.outcomes(Outcome::Propagated), 6, "{report}");
}

/// Descriptors that the subject opens under the harness's numbers belong to the subject.
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

/// A subject that writes to the harness's pipe destroys the result on its way to the parent.
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

/// A panic outside of the subject is not the subject's outcome: it is raised here, with its message.
#[test]
#[should_panic(expected = "a child panicked outside of the subject: no such port")]
fn a_panic_of_the_harness_in_a_child_is_one_in_the_parent() {
    let port = || -> mallory::SystemPort { panic!("no such port") };
    let _ = Sweep::new("port").port(port).run(|heap| dies(heap, |_| ()));
}
