//! The ways in which a child ends: what each is called, and that the sweep continues.
#![allow(unsafe_code, reason = "the subjects misuse memory and raise signals")]

use std::hint::black_box;
use std::io::Write as _;
use std::time::Duration;

use crate::common::{Oom, Owned, the};
use crate::subject::{expect, sweep};
use mallory::{Faults, Finding, Heap, Kind, Outcome, Port, Sweep};

/// How a subject ends.
type End = fn(&Heap);

fn raise(signal: i32) {
    // SAFETY: sends a signal to this thread.
    unsafe { libc::raise(signal) };
}

/// Recurses endlessly, with some data in each frame.
#[allow(unconditional_recursion)]
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    deeper(depth + 1) + black_box(room)[3]
}

#[test]
fn a_bad_access_is_a_crash_by_its_signal() {
    let wild = |_: &Heap| {
        let nowhere = black_box(std::ptr::without_provenance_mut::<u64>(8));
        // SAFETY: none, nothing is mapped there.
        unsafe { nowhere.write_volatile(1) };
    };
    expect(wild, Kind::Crash, Outcome::Crashed, "it died of SIGSEGV");
}

#[test]
fn a_write_beyond_a_file_is_a_bus_error() {
    let beyond = |_: &Heap| {
        let name = std::env::temp_dir().join(format!("mallory-test-{}", std::process::id()));
        let mut options = std::fs::File::options();
        let file = options.create(true).truncate(false).read(true).write(true).open(&name);
        let file = file.expect("a file");
        std::fs::remove_file(name).expect("removed");
        // SAFETY: none, it maps a page of an empty file and writes to it.
        unsafe {
            use std::os::fd::AsRawFd;
            let (prot, fd) = (libc::PROT_WRITE, file.as_raw_fd());
            let page = libc::mmap(std::ptr::null_mut(), 4096, prot, libc::MAP_SHARED, fd, 0);
            page.cast::<u8>().write_volatile(1);
        }
    };
    expect(beyond, Kind::Crash, Outcome::Crashed, "it died of SIGBUS");
}

#[test]
fn a_stack_overflow_is_told_from_an_abort_and_from_a_bad_access() {
    let note = "it died of a stack overflow";
    expect(|_| assert_ne!(black_box(deeper(0)), 1), Kind::Crash, Outcome::Crashed, note);
    let spawned = |_: &Heap| {
        let _ = std::thread::spawn(|| black_box(deeper(0))).join();
    };
    expect(spawned, Kind::Crash, Outcome::Crashed, note);
}

/// A thread that was not started by std has no stack for a signal handler, so the cause is unknown.
#[test]
fn a_stack_overflow_where_no_handler_can_run_says_so() {
    extern "C" fn overflow(_: *mut libc::c_void) -> *mut libc::c_void {
        black_box(deeper(0));
        std::ptr::null_mut()
    }
    let raw = |_: &Heap| {
        // SAFETY: the thread is joined.
        unsafe {
            let mut thread = std::mem::zeroed();
            libc::pthread_create(&raw mut thread, std::ptr::null(), overflow, std::ptr::null_mut());
            libc::pthread_join(thread, std::ptr::null_mut());
        }
    };
    let note = "it died of SIGSEGV, and no handler could run: its stack may have overflowed";
    expect(raw, Kind::Crash, Outcome::Crashed, note);
}

/// Also the exit codes that a harness might reserve for itself are the subject's.
#[test]
fn an_exit_is_an_exit_with_whatever_code() {
    let exits: [(End, i32); 5] = [
        (|_| std::process::exit(0), 0),
        (|_| std::process::exit(101), 101),
        (|_| std::process::exit(103), 103),
        // SAFETY: ends the process at once.
        (|_| unsafe { libc::_exit(0) }, 0),
        // SAFETY: as above.
        (|_| unsafe { libc::_exit(42) }, 42),
    ];
    for (end, code) in exits {
        let note = format!("it ended the process with exit code {code}");
        expect(end, Kind::Exit, Outcome::Exited, &note);
    }
}

#[test]
fn a_program_that_takes_the_childs_place_has_its_exit_code() {
    let exec = |_: &Heap| {
        let (path, command) = (c"/bin/sh".as_ptr(), c"exit 5".as_ptr());
        // SAFETY: the list of arguments ends in null.
        unsafe { libc::execl(path, path, c"-c".as_ptr(), command, std::ptr::null::<i8>()) };
    };
    expect(exec, Kind::Exit, Outcome::Exited, "it ended the process with exit code 5");
}

#[test]
fn signals_go_by_their_names() {
    let signals: [(End, &str); 7] = [
        (|_| raise(libc::SIGILL), "SIGILL"),
        (|_| raise(libc::SIGFPE), "SIGFPE"),
        (|_| raise(libc::SIGTERM), "SIGTERM"),
        (|_| raise(libc::SIGKILL), "SIGKILL"),
        (|_| raise(libc::SIGUSR1), "SIGUSR1"),
        (|_| raise(libc::SIGXCPU), "SIGXCPU"),
        (|_| raise(libc::SIGSYS), "SIGSYS"),
    ];
    for (end, name) in signals {
        expect(end, Kind::Crash, Outcome::Crashed, &format!("it died of {name}"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_only_has_a_number_goes_by_its_place() {
    let end = |_: &Heap| raise(libc::SIGRTMIN() + 2);
    expect(end, Kind::Crash, Outcome::Crashed, "it died of SIGRTMIN+2");
}

#[cfg(target_os = "linux")]
#[test]
fn a_child_that_stops_itself_is_not_waited_for() {
    let note = "it stopped itself by SIGSTOP";
    expect(|_| raise(libc::SIGSTOP), Kind::NoProgress, Outcome::Hung, note);
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in a destructor");
    }
}

extern "C" fn must_not_unwind() {
    panic!("out of here");
}

#[test]
fn aborts_are_told_from_each_other() {
    let failed = |_: &Heap| std::alloc::handle_alloc_error(crate::common::layout(64, 8));
    let note = "memory allocation failed and the program aborted (handle_alloc_error)";
    expect(failed, Kind::Abort, Outcome::Aborted, note);
    let twice = |_: &Heap| {
        let _bomb = Bomb;
        panic!("at first");
    };
    let note = "it panicked while a panic unwound, and the program aborted";
    expect(twice, Kind::Abort, Outcome::Aborted, note);
    let note = "it panicked in a function that must not unwind, and the program aborted";
    expect(|_| must_not_unwind(), Kind::Abort, Outcome::Aborted, note);
    expect(|_| std::process::abort(), Kind::Abort, Outcome::Aborted, "it died of SIGABRT");
    expect(|_| raise(libc::SIGABRT), Kind::Abort, Outcome::Aborted, "it died of SIGABRT");
}

#[test]
fn asking_without_end_is_counted_and_standing_still_is_timed() {
    let requests = |heap: &Heap| loop {
        let _again = Owned::new(heap, 8);
    };
    let report = sweep(requests);
    let told = the(&report, Kind::NoProgress).to_string();
    assert!(
        told.contains("it kept making requests, also when none of them failed any longer"),
        "{told}"
    );
    let still = |_: &Heap| loop {
        black_box(());
    };
    let told = the(&sweep(still), Kind::NoProgress).to_string();
    assert!(told.contains("it made no request for too long and was killed"), "{told}");
}

/// Takes several times the patience, but never pauses for half of it.
#[test]
fn a_slow_run_that_makes_requests_is_no_hang() {
    let slow = |heap: &Heap| -> Result<(), Oom> {
        let failed = Owned::new(heap, 16).is_err();
        for _ in 0..40 {
            if failed {
                std::thread::sleep(Duration::from_millis(25));
            }
            drop(Owned::new(heap, 16)?);
        }
        Ok(())
    };
    let report =
        Sweep::new("slow").faults(Faults::Transient).patience(Duration::from_millis(300)).run(slow);
    assert_eq!(report.outcomes(Outcome::Hung), 0, "{report}");
    assert_eq!(report.outcomes(Outcome::Absorbed), 1, "{report}");
}

/// A result whose text takes longer to write than the patience, piece by piece.
struct Slow;

impl std::fmt::Debug for Slow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for _ in 0..24 {
            std::thread::sleep(Duration::from_millis(25));
            f.write_str("a part of a large result\n")?;
        }
        Ok(())
    }
}

#[test]
fn writing_and_comparing_a_large_result_is_no_hang() {
    let sweep = Sweep::new("large").faults(Faults::Transient).patience(Duration::from_millis(300));
    let report = sweep.quick().run(|heap| {
        drop(Owned::new(heap, 16));
        Ok::<_, Oom>(Slow)
    });
    assert_eq!(report.outcomes(Outcome::Absorbed), 1, "{report}");
    report.assert_clean();
}

#[test]
fn patience_applies_to_runs_without_a_fault() {
    let sweep = Sweep::new("stands-still").patience(Duration::from_millis(300));
    let report = sweep.quick().run(|heap| {
        std::thread::sleep(Duration::from_secs(3));
        Owned::new(heap, 16).map(drop)
    });
    let [finding] = report.findings() else { panic!("{report}") };
    assert_eq!(finding.kind(), Kind::NoProgress, "{report}");
    assert!(report.to_string().contains("no faulted run was made"), "{report}");
}

#[test]
fn threads_that_run_on_do_not_hide_how_it_ended() {
    fn spin() {
        for _ in 0..4 {
            std::thread::spawn(|| {
                loop {
                    drop(black_box(vec![0_u8; 64]));
                }
            });
        }
    }
    let abort = |_: &Heap| {
        spin();
        std::process::abort();
    };
    expect(abort, Kind::Abort, Outcome::Aborted, "it died of SIGABRT");
    let exit = |_: &Heap| {
        spin();
        std::process::exit(4);
    };
    expect(exit, Kind::Exit, Outcome::Exited, "it ended the process with exit code 4");
}

#[test]
fn a_hundred_megabytes_of_output_go_nowhere() {
    let write = |_: &Heap| {
        let line = [b'x'; 1 << 16];
        for _ in 0..1600 {
            std::io::stdout().write_all(&line).expect("written");
            std::io::stderr().write_all(&line).expect("written");
        }
        std::process::exit(6);
    };
    expect(write, Kind::Exit, Outcome::Exited, "it ended the process with exit code 6");
}

#[test]
fn what_was_found_before_the_death_stands_beside_it() {
    let end = |heap: &Heap| {
        let block = Owned::new(heap, 24).expect("there is memory");
        let (start, layout) = (block.start(), block.layout());
        drop(block);
        // SAFETY: none, it was freed before. The heap refuses it.
        unsafe { heap.free(start, layout) };
        deeper(0);
    };
    let report = sweep(end);
    assert_eq!(the(&report, Kind::DoubleFree).count(), 1, "{report}");
    assert!(the(&report, Kind::Crash).to_string().contains("a stack overflow"), "{report}");
    assert_eq!(report.findings().iter().filter(|f: &&Finding| f.fault().is_some()).count(), 2);
}
