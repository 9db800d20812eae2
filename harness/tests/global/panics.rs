//! Panics under the global allocator: memory that a panic itself allocates is no request, leaks and
//! double frees of an unwinding subject are found, and requests during unwinding can be failed.

use std::collections::TryReserveError;
use std::mem::ManuallyDrop;

use crate::common::{CloneBits, bytes, kinds, only, outcomes, the};
use crate::{boxed, sweep};
use mallory::{Heap, Kind, Outcome};

#[test]
fn a_panic_is_an_outcome_and_what_it_leaks_a_finding() {
    let held = |leaks: bool| {
        move |_: &Heap| {
            let first = ManuallyDrop::new(bytes(64)?);
            let guard = (!leaks).then(|| first.clone_bits()).map(ManuallyDrop::into_inner);
            let second = bytes(32).expect("memory");
            if leaks {
                drop(ManuallyDrop::into_inner(first));
            }
            drop(guard);
            Ok::<_, TryReserveError>(second.len())
        }
    };
    let clean = sweep("panics").run(held(false));
    assert_eq!(only(&clean).kind(), Kind::Panic);
    assert_eq!(outcomes(&clean), [(Outcome::Propagated, 2), (Outcome::Panicked, 2)]);
    let leaks = sweep("panics").run(held(true));
    assert_eq!(kinds(&leaks), [Kind::Leak, Kind::Panic], "{leaks}");
    assert!(the(&leaks, Kind::Leak).to_string().contains("64 bytes"), "{leaks}");
}

/// Frees its list a second time if it is dropped while a panic unwinds.
struct TwiceInPanic(ManuallyDrop<Vec<u8>>);

impl Drop for TwiceInPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(ManuallyDrop::into_inner(self.0.clone_bits()));
        }
        drop(ManuallyDrop::into_inner(self.0.clone_bits()));
    }
}

#[test]
fn a_double_free_by_what_unwinds_is_a_finding() {
    let report = sweep("twice").run(|_| {
        let _guard = TwiceInPanic(ManuallyDrop::new(bytes(64)?));
        let second = bytes(32).expect("memory");
        Ok::<_, TryReserveError>(second.len())
    });
    assert_eq!(kinds(&report), [Kind::DoubleFree, Kind::Panic], "{report}");
}

#[test]
fn a_payload_made_before_the_panic_is_no_leak() {
    let report = sweep("payload").run(|_| {
        let kept = bytes(64)?;
        if bytes(32).is_err() {
            std::panic::panic_any(kept);
        }
        Ok::<_, TryReserveError>(())
    });
    assert_eq!(only(&report).kind(), Kind::Panic, "{report}");
}

#[test]
fn a_panic_that_the_subject_catches_is_its_own() {
    let caught = |_: &Heap| {
        let list = bytes(16)?;
        let result = std::panic::catch_unwind(|| panic!("{} bytes", list.len()));
        let said = result.expect_err("it panics").downcast::<String>().expect("a text");
        let more = bytes(said.len())?;
        Ok::<_, TryReserveError>(more.len())
    };
    let report = sweep("caught").run(caught);
    assert_eq!(report.coverage().requests, 2, "what the panic allocates is no request: {report}");
    report.assert_clean();
}

/// Allocates when it is dropped, in a way that cannot return an error.
struct Flushing;

impl Drop for Flushing {
    fn drop(&mut self) {
        boxed(7);
    }
}

fn flushes(_: &Heap) -> Result<usize, TryReserveError> {
    let list = bytes(16)?;
    let result = std::panic::catch_unwind(|| {
        let _flushing = Flushing;
        panic!("{} bytes", list.len());
    });
    drop(result);
    Ok(list.len())
}

#[test]
fn requests_of_what_unwinds_fail_where_that_is_wanted() {
    let spared = sweep("spared").run(flushes);
    assert_eq!(spared.coverage().requests, 1, "{spared}");
    spared.assert_clean();
    let report = sweep("unwinding").unwinding().run(flushes);
    assert_eq!(report.coverage().requests, 2, "what the panic allocates is no request: {report}");
    assert_eq!(only(&report).kind(), Kind::Abort);
    assert!(only(&report).to_string().contains("Flushing"), "{report}");
}
