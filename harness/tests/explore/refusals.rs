//! Subjects and tokens that cannot be explored are refused with a reason and a help.

#[cfg(feature = "shuttle")]
use crate::common::Owned;
use crate::common::mistake;
use mallory::{Explore, Heap, Refused, Sweep, Token};

fn token(line: &str) -> Token {
    line.parse().expect("a token")
}

fn nothing(_: &Heap) -> Result<(), Refused> {
    Ok(())
}

#[test]
#[cfg(not(feature = "shuttle"))]
fn exploring_needs_its_feature() {
    let error = mistake(&Explore::new("nothing").shuttle().run(nothing));
    assert!(error.contains("--features shuttle"), "{error}");
}

#[test]
fn a_schedule_is_nothing_for_a_sweep() {
    let report = Sweep::new("nothing").replay(token("v1 nothing s=T0@1>T1 fp=000000")).run(nothing);
    assert!(mistake(&report).contains("the token holds a schedule"), "{report}");
}

#[cfg(feature = "shuttle")]
mod by_shuttle {
    use mallory::sync::Arc;
    use mallory::sync::atomic::{AtomicUsize, Ordering};
    use mallory::thread;

    use mallory::{Kind, Report};

    use super::*;

    fn two(_: &Heap) -> Result<(), Refused> {
        let count = Arc::new(AtomicUsize::new(0));
        let other = Arc::clone(&count);
        let thread = thread::spawn(move || other.fetch_add(1, Ordering::SeqCst));
        count.fetch_add(1, Ordering::SeqCst);
        thread.join().map(|_| ()).map_err(|_| Refused)
    }

    #[test]
    fn a_subject_without_threads_is_one_for_a_sweep() {
        let report = Explore::new("alone").shuttle().run(|heap| Owned::new(heap, 16).map(drop));
        report.assert_clean();
        assert!(report.to_string().contains("starts no thread"), "{report}");
    }

    #[test]
    fn a_subject_without_threads_and_requests_is_an_error() {
        let error = mistake(&Explore::new("nothing").shuttle().run(nothing));
        assert!(error.contains("no request reached the heap, and no thread"), "{error}");
        // What threads do to each other is explored also where nobody asks for memory.
        Explore::new("two").shuttle().run(two).assert_clean();
    }

    #[test]
    fn a_subject_that_never_ends_is_told_so() {
        let report = Explore::new("endless").shuttle().run(|_| {
            loop {
                thread::yield_now();
            }
            #[allow(unreachable_code, reason = "it names the type of the errors")]
            Ok::<(), Refused>(())
        });
        let [finding] = report.findings() else { panic!("{report}") };
        assert_eq!(finding.kind(), Kind::NoProgress, "{report}");
    }

    /// Waits for a flag, and yields meanwhile or not.
    fn spins(yields: bool) -> Report {
        Explore::new("spins").shuttle().preemptions(1).run(|_| {
            let flag = Arc::new(AtomicUsize::new(0));
            let its = Arc::clone(&flag);
            let other = thread::spawn(move || its.store(1, Ordering::SeqCst));
            while flag.load(Ordering::SeqCst) == 0 {
                if yields {
                    thread::yield_now();
                }
            }
            other.join().map_err(|_| Refused)
        })
    }

    #[test]
    fn a_loop_that_waits_without_giving_way_is_told_how() {
        spins(true).assert_clean();
        let report = spins(false);
        assert_eq!(report.findings()[0].kind(), Kind::NoProgress, "{report}");
        let text = report.to_string();
        assert!(text.contains("its threads never end"), "{report}");
        assert!(text.contains("thread::yield_now"), "{report}");
    }

    /// Never ends if the other thread runs up to its second store first.
    fn caught(_: &Heap) -> Result<(), Refused> {
        let flag = Arc::new(AtomicUsize::new(0));
        let its = Arc::clone(&flag);
        let other = thread::spawn(move || {
            its.store(1, Ordering::SeqCst);
            its.store(0, Ordering::SeqCst);
        });
        if flag.load(Ordering::SeqCst) == 1 {
            loop {
                thread::yield_now();
            }
        }
        other.join().map_err(|_| Refused)
    }

    #[test]
    fn one_schedule_that_never_ends_is_a_finding_and_replays() {
        let explore = || Explore::new("caught").shuttle();
        let report = explore().run(caught);
        let [finding] = report.findings() else { panic!("{report}") };
        assert_eq!(finding.kind(), mallory::Kind::NoProgress, "{report}");
        assert!(report.to_string().contains("its threads never ended"), "{report}");
        let again = explore().replay(finding.token().clone()).run(caught);
        assert!(again.row().contains("reproduced"), "{again}");
    }

    #[test]
    fn a_schedule_of_looms_is_none_of_shuttles() {
        let report = Explore::new("two").shuttle().replay(token("v1 two s=loom.2.7 fp=000000"));
        let error = mistake(&report.run(two));
        assert!(error.contains("loom"), "{error}");
    }

    #[test]
    fn a_crowd_is_too_many() {
        let report = Explore::new("crowd").shuttle().run(|_| {
            let threads: Vec<_> = (0..256).map(|_| thread::spawn(|| {})).collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
            Ok::<(), Refused>(())
        });
        assert!(mistake(&report).contains("more than 256 threads"), "{report}");
    }

    #[test]
    fn a_sweeps_token_and_another_scenarios_are_refused() {
        let explore = || Explore::new("two").shuttle();
        let report = explore().replay(token("v1 two f=T0#1 fp=000000")).run(two);
        assert!(mistake(&report).contains("the token holds no schedule"), "{report}");
        let report = explore().replay(token("v1 three s=- fp=000000")).run(two);
        assert!(mistake(&report).contains("the token is of `three`"), "{report}");
    }

    #[test]
    fn a_schedule_that_does_not_fit_is_told_where() {
        for (schedule, place) in [("T0@99>T1", "T0@99>T1"), ("T0@2>T9", "T0@2>T9")] {
            let line = format!("v1 two s={schedule} fp=000000");
            let report = Explore::new("two").shuttle().replay(token(&line)).run(two);
            assert!(report.row().contains(&format!("diverged at {place}")), "{report}");
            assert_eq!(report.exit_code(), 2, "it is never a pass: {report}");
        }
    }
}
