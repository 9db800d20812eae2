//! The concurrent subjects in every order of threads up to a bound, with every fault: no finding.

use allocator_api2::boxed::Box;
use mallory::{Explore, Heap, Kind, Options, Outcome, Refused, Report, Verdict, sync, thread};
use mallory_scenarios::concurrent::{SUBJECTS, Subject};
use mallory_scenarios::memory::slab_over;

/// Under the kill switch there are more requests, so one preemption has to be enough.
fn explore(subject: &Subject, bypass: bool) -> Report {
    let preemptions = if bypass { 1 } else { 2 };
    let explore = Explore::new(subject.name).shuttle().preemptions(preemptions);
    let explore = explore.options(Options::new().bypass(bypass)).jobs(2);
    explore.oom(|_: &Refused| true).run(subject.run)
}

fn is_clean_in_every_schedule(name: &str) {
    let subject = SUBJECTS.iter().find(|subject| subject.name == name).expect("it is there");
    for bypass in [false, true] {
        let report = explore(subject, bypass);
        report.assert_clean();
        assert_eq!(report.verdict(), Verdict::Clean, "{report}");
        let coverage = report.coverage();
        assert!(coverage.complete && coverage.runs > 2 * coverage.requests, "{report}");
        assert_ne!(report.outcomes(Outcome::Propagated), 0, "{report}");
    }
}

/// The tests that each subject gets.
macro_rules! each {
    ($($module:ident $name:literal;)*) => {
        $(#[test]
        fn $module() {
            is_clean_in_every_schedule($name);
        })*

        /// The subjects that have the test above.
        const TESTED: &[&str] = &[$($name),*];
    };
}

each! {
    cache_rebuild "concurrent/cache-rebuild";
    intern "concurrent/intern";
    intern_three "concurrent/intern-three";
    journal "concurrent/journal";
    lfs_batch "concurrent/lfs-batch";
    message_queue "concurrent/message-queue";
    pool "concurrent/pool";
    slab "concurrent/slab";
    state_listener "concurrent/state-listener";
    system_port "concurrent/system-port";
}

#[test]
fn every_subject_is_explored() {
    assert_eq!(SUBJECTS.map(|subject| subject.name), TESTED);
}

/// A block of one thread's slab is handed to another thread, which hands it back or frees it.
fn handed_over(heap: &Heap, gives_back: bool) -> Result<u64, Refused> {
    let slab = slab_over(heap);
    let value = Box::try_new_in(7_u64, slab.clone()).map_err(|_| Refused)?;
    let place = sync::Arc::new(sync::Mutex::new(Some(value)));
    let theirs = sync::Arc::clone(&place);
    let other = thread::spawn(move || {
        let value = theirs.lock().expect("nobody panics").take().expect("it is there");
        let seen = *value;
        if gives_back {
            *theirs.lock().expect("nobody panics") = Some(value);
        } else {
            drop(value);
        }
        seen
    });
    let seen = other.join().expect("it doesn't panic");
    drop(place.lock().expect("nobody panics").take());
    Ok(seen)
}

#[test]
fn a_thread_of_a_model_may_read_anothers_block_and_not_free_it() {
    let explore = || Explore::new("slab").shuttle().oom(|_: &Refused| true);
    explore().run(|heap| handed_over(heap, true)).assert_clean();
    for bypass in [false, true] {
        let options = Options::new().bypass(bypass);
        let report = explore().options(options).run(|heap| handed_over(heap, false));
        let kinds: Vec<Kind> = report.findings().iter().map(|found| found.kind()).collect();
        assert_eq!(kinds, [Kind::WrongThread], "{report}");
        let said = "free of 8 bytes (align 8) on heap `slab` from a thread that it does not";
        assert!(report.to_string().contains(said), "{report}");
    }
}
