//! Under the global allocator each detector finds the planted bug, and does not report its
//! correction.
#![allow(unsafe_code, reason = "memory is misused on purpose")]

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::collections::{HashMap, TryReserveError};
use std::fmt::Write as _;
use std::hint::black_box;
use std::mem::ManuallyDrop;

use crate::common::again::this_program;
use crate::common::ports::Bump;
use crate::common::{CloneBits, Oom, Owned, bytes, kinds, layout, mistake, only, outcomes};
use crate::{boxed, sweep};
use mallory::{Finding, Heap, Kind, Options, Outcome, Port, Refused, Report};

/// The error that a reservation returns.
fn refused() -> TryReserveError {
    Vec::<u8>::new().try_reserve(usize::MAX).expect_err("no address space is that large")
}

fn words(text: &str) -> usize {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    black_box(words).len()
}

fn infallible() -> Result<u64, Refused> {
    Ok(words("an infallible function") as u64 + boxed(4))
}

#[test]
fn what_aborts_is_listed_by_call_site_with_counts() {
    let report = sweep("inventory").run(|_| infallible());
    assert_eq!(kinds(&report), [Kind::Abort; 2]);
    let counts: Vec<u64> = report.findings().iter().map(Finding::count).collect();
    assert_eq!(counts, [4, 1], "{report}");
    let text = report.to_string();
    assert!(text.contains("global::boxed") && text.contains("detectors::words"), "{text}");
    assert_eq!(outcomes(&report), [(Outcome::Aborted, 10)]);
}

/// If the environment asks for backtraces, std prints one before it aborts. It reads that setting at
/// the first panic.
#[test]
fn an_abort_is_one_with_backtraces_as_well() {
    const IS_CHILD: &str = "TEST_BACKTRACES";
    if std::env::var_os(IS_CHILD).is_some() {
        let _ = std::panic::catch_unwind(|| panic!("std reads the setting"));
        let report = sweep("backtraces").run(|_| infallible());
        assert_eq!(outcomes(&report), [(Outcome::Aborted, 10)], "{report}");
        return;
    }
    let mut again = this_program(an_abort_is_one_with_backtraces_as_well);
    let output = again.env(IS_CHILD, "1").env("RUST_BACKTRACE", "1").output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_function_that_promises_an_error_and_aborts_is_a_finding() {
    let report = sweep("broken-promise").run(|_| {
        let list = bytes(16)?;
        Ok::<_, TryReserveError>(boxed(list.len() as u64))
    });
    assert!(only(&report).to_string().contains("global::boxed"), "{report}");
    assert_eq!(only(&report).kind(), Kind::Abort);
    assert_eq!(outcomes(&report), [(Outcome::Propagated, 2), (Outcome::Aborted, 2)]);
    sweep("kept-promise").run(|_| bytes(16)?.try_reserve(99)).assert_clean();
}

fn leaky(leaks: bool) -> Result<(), TryReserveError> {
    let first = ManuallyDrop::new(bytes(64)?);
    let second = bytes(32);
    if !leaks || second.is_ok() {
        drop(ManuallyDrop::into_inner(first));
    }
    second.map(drop)
}

#[test]
fn a_leak_on_the_error_path_names_both_sites() {
    let report = sweep("error-path").run(|_| leaky(true));
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::Leak);
    assert!(text.contains("1 block, 64 bytes") && text.contains("every run leaves some"), "{text}");
    assert!(text.contains("allocated  common::bytes"), "{text}");
    assert!(text.contains("lost when T0#2 fails: 32 bytes in common::bytes"), "{text}");
    sweep("error-path").run(|_| leaky(false)).assert_clean();
}

fn double(twice: bool) -> Result<(), TryReserveError> {
    let first = ManuallyDrop::new(bytes(64)?);
    let second = bytes(32);
    drop(ManuallyDrop::into_inner(first.clone_bits()));
    if twice && second.is_err() {
        drop(ManuallyDrop::into_inner(first.clone_bits()));
    }
    second.map(drop)
}

#[test]
fn a_double_free_shows_three_steps() {
    let report = sweep("double").run(|_| double(true));
    let text = only(&report).to_string();
    assert_eq!(only(&report).kind(), Kind::DoubleFree);
    for step in
        ["a1  allocated    common::bytes", "first free   detectors::double", "second free  "]
    {
        assert!(text.contains(step), "{step}: {text}");
    }
    sweep("double").run(|_| double(false)).assert_clean();
}

/// Allocates 64 bytes, misuses them, and frees what `misuse` returns.
pub(crate) fn by_hand(
    misuse: impl Fn(*mut u8) -> *mut u8,
    free_as: Layout,
) -> Result<(), TryReserveError> {
    // SAFETY: none, if the caller misuses the block.
    unsafe {
        let block = black_box(alloc(layout(64, 8)));
        if block.is_null() {
            return Err(refused());
        }
        let back = misuse(block);
        if !back.is_null() {
            dealloc(back, free_as);
        }
    }
    Ok(())
}

#[test]
fn a_free_with_another_layout_shows_both() {
    for (wrong, said) in [(layout(48, 8), "given 48 (align 8)"), (layout(64, 4), "64 (align 4)")] {
        let report = sweep("layout").run(|_| by_hand(|block| block, wrong));
        let text = only(&report).to_string();
        assert_eq!(only(&report).kind(), Kind::LayoutMismatch);
        assert!(text.contains(said) && text.contains("recorded 64 (align 8)"), "{text}");
    }
    sweep("layout").run(|_| by_hand(|block| block, layout(64, 8))).assert_clean();
}

#[test]
fn a_free_inside_of_a_block_is_invalid() {
    // SAFETY: stays inside of the block.
    let inside = |block: *mut u8| unsafe { block.add(16) };
    let report = sweep("interior").run(|_| by_hand(inside, layout(48, 8)));
    assert_eq!(only(&report).kind(), Kind::InvalidFree);
    assert!(report.to_string().contains("1 block, 64 bytes"), "{report}");
}

#[test]
fn a_resize_of_a_block_that_is_gone_never_reaches_the_allocator() {
    // SAFETY: none, the block is resized after it was freed.
    let resized = |block: *mut u8| unsafe {
        dealloc(block, layout(64, 8));
        realloc(block, layout(64, 8), 128)
    };
    let report = sweep("resized").run(|_| by_hand(resized, layout(128, 8)));
    assert_eq!(only(&report).kind(), Kind::DoubleFree, "{report}");
    // SAFETY: the block is alive and has this layout.
    let correct = |block: *mut u8| unsafe { realloc(block, layout(64, 8), 128) };
    let free_as = layout(128, 8);
    let report = sweep("resized").run(|_| by_hand(correct, free_as));
    assert_eq!(
        only(&report).kind(),
        Kind::Leak,
        "realloc's failure leaves the old block: {report}"
    );
}

#[test]
fn a_stray_write_is_seen_on_either_side_and_after_the_free() {
    type Misuse = fn(*mut u8) -> *mut u8;
    let cases: [(Kind, Misuse); 4] = [
        // SAFETY: none, but this byte belongs to a red zone.
        (Kind::HeapBufferOverflow, |block| unsafe {
            block.add(64).write(1);
            block
        }),
        // SAFETY: as above.
        (Kind::HeapBufferUnderflow, |block| unsafe {
            block.sub(1).write(1);
            block
        }),
        // SAFETY: none, but the block is in quarantine.
        (Kind::UseAfterFree, |block| unsafe {
            dealloc(block, layout(64, 8));
            block.write(1);
            std::ptr::null_mut()
        }),
        (Kind::Leak, |_| std::ptr::null_mut()),
    ];
    for (kind, misuse) in cases {
        let report = sweep("stray").run(|_| by_hand(misuse, layout(64, 8)));
        assert_eq!(only(&report).kind(), kind, "{report}");
    }
    // SAFETY: the last byte is the block's.
    let last = |block: *mut u8| unsafe { block.add(63).write(1) };
    let inside = |block: *mut u8| {
        last(block);
        block
    };
    sweep("stray").run(|_| by_hand(inside, layout(64, 8))).assert_clean();
}

/// Options that change how a run is watched.
fn all_options() -> [Options; 6] {
    let new = Options::new;
    [
        new(),
        new().ledger_only(),
        new().ledger_only().moving(false),
        new().ledger_only().moving(false).wipe_on_free(),
        new().wipe_on_free().histogram(),
        new().budget(1 << 20).parallel(),
    ]
}

/// Grows, zeroes, over-aligns, formats and hashes.
fn thorough() -> Result<String, TryReserveError> {
    #[repr(align(256))]
    struct Wide([u8; 300]);
    let mut list = Vec::new();
    for n in 0..100_u64 {
        list.try_reserve(1)?;
        list.push(n);
    }
    list.truncate(10);
    let mut wide: Vec<Wide> = Vec::new();
    wide.try_reserve_exact(2)?;
    wide.push(Wide([1; 300]));
    let mut map = HashMap::new();
    map.try_reserve(50)?;
    map.extend((0..50_u32).map(|n| (n, n * 2)));
    // SAFETY: the layout is not empty.
    let zeroed = unsafe { std::alloc::alloc_zeroed(layout(5000, 64)) };
    if zeroed.is_null() {
        return Err(refused());
    }
    // SAFETY: the block is alive and has this length; it is freed once.
    let sum: u64 = unsafe {
        let sum = std::slice::from_raw_parts(zeroed, 5000).iter().map(|b| u64::from(*b)).sum();
        dealloc(zeroed, layout(5000, 64));
        sum
    };
    let mut text = String::new();
    text.try_reserve(100)?;
    let _ = write!(text, "{list:?} {:?} {sum} {}", map.get(&7), wide[0].0.len());
    Ok(text)
}

#[test]
fn collections_maps_and_formatting_are_clean_whatever_is_watched() {
    for options in all_options() {
        let report = sweep("thorough").options(options.clone()).run(|_| thorough());
        assert_eq!(kinds(&report), [], "{options:?}\n{report}");
        assert_eq!(report.outcomes(Outcome::Aborted), 0, "{options:?}\n{report}");
    }
}

#[test]
fn a_subject_may_use_its_heap_and_the_global_one() {
    let both = |heap: &Heap| {
        let one = Owned::new(heap, 40)?;
        let two = bytes(50).map_err(|_| Oom)?;
        let three = Owned::new(&heap.named("other"), 60)?;
        Ok::<_, Oom>(one.layout().size() + two.len() + three.layout().size())
    };
    let report = sweep("both").run(both);
    assert_eq!(report.coverage().requests, 3);
    report.assert_clean();
    let crossed = sweep("crossed").run(|heap: &Heap| {
        let block = Owned::new(&heap.named("other"), 64)?.lose();
        // SAFETY: none, the block belongs to another heap.
        unsafe { dealloc(block.as_ptr(), layout(64, 8)) };
        Ok::<_, Oom>(())
    });
    assert_eq!(only(&crossed).kind(), Kind::CrossAllocatorFree, "{crossed}");
}

/// A port that keeps a list on the global heap.
struct Noting {
    below: Bump,
    notes: std::cell::RefCell<Vec<usize>>,
}

// SAFETY: the blocks are the arena's, which keeps the contract.
unsafe impl Port for Noting {
    fn alloc(&self, layout: Layout) -> Result<std::ptr::NonNull<[u8]>, Refused> {
        self.notes.borrow_mut().try_reserve(1).map_err(|_| Refused)?;
        self.notes.borrow_mut().push(layout.size());
        self.below.alloc(layout)
    }

    unsafe fn free(&self, block: std::ptr::NonNull<u8>, layout: Layout) {
        self.notes.borrow_mut().retain(|size| *size != layout.size());
        self.notes.borrow_mut().shrink_to_fit();
        // SAFETY: passed on unchanged.
        unsafe { self.below.free(block, layout) }
    }
}

#[test]
fn a_port_of_the_subject_may_use_the_global_heap() {
    let noted = |heap: &Heap| {
        let mut notes = Vec::new();
        notes.try_reserve(3).map_err(|_| Oom)?;
        notes.push(1);
        let port = Noting { below: Bump::new(heap), notes: notes.into() };
        let arena = heap.wrap("arena", port);
        let kept = (1..6).map(|n| Owned::new(&arena, n * 8)).collect::<Vec<_>>();
        let kept: Result<Vec<Owned>, Refused> = kept.into_iter().collect();
        Ok::<_, Oom>(kept?.len())
    };
    for options in [Options::new(), Options::new().ledger_only()] {
        let report = sweep("noted").options(options).run(noted);
        assert!(kinds(&report).iter().all(|kind| *kind == Kind::Abort), "{report}");
        assert!(report.outcomes(Outcome::Propagated) > 4, "{report}");
    }
}

#[test]
fn memory_of_the_c_library_passes() {
    let mixed = |_: &Heap| {
        bytes(24)?;
        for _ in 0..100 {
            // SAFETY: `System` frees blocks of `malloc` on this platform.
            unsafe {
                let block = libc::malloc(48).cast::<u8>();
                dealloc(black_box(block), layout(48, 8));
                let block = libc::calloc(1, 48).cast::<u8>();
                dealloc(realloc(black_box(block), layout(48, 8), 480), layout(480, 8));
            }
        }
        Ok::<_, TryReserveError>(())
    };
    // Without faults: `realloc` of such a block is a request, whose failure is not checked here.
    let report = sweep("mixed").plan(mallory::Plan::none()).run(mixed);
    assert_eq!(kinds(&report), [], "{report}");
}

#[test]
fn a_port_beside_a_global_heap_is_a_mistake() {
    let report = sweep("clash").port(mallory::SystemPort::default).run(|_| bytes(8));
    assert!(mistake(&report).contains("both a port and a global heap"));
}

#[test]
fn the_report_is_the_same_for_any_number_of_jobs() {
    let all = |jobs: usize| -> String {
        let mixed = |_: &Heap| {
            leaky(true)?;
            double(true)?;
            infallible().map_err(|_| refused())
        };
        let report: Report = sweep("jobs").jobs(jobs).run(mixed);
        report.to_string()
    };
    assert_eq!(all(1), all(2));
    assert!(all(1).contains("4 findings"), "{}", all(1));
}

#[test]
fn every_token_reproduces_what_it_was_printed_for() {
    let mixed = |_: &Heap| {
        leaky(true)?;
        double(true)?;
        let list = bytes(8).expect("memory");
        infallible().map_err(|_| refused()).map(|n| n + list.len() as u64)
    };
    let run = |token: Option<mallory::Token>| match token {
        Some(token) => sweep("tokens").replay(token).run(mixed),
        None => sweep("tokens").run(mixed),
    };
    let found = run(None);
    assert!(found.findings().len() >= 4, "{found}");
    for finding in found.findings() {
        let again = run(Some(finding.token().clone()));
        assert!(again.row().ends_with("reproduced"), "{}\n{again}", finding.token());
        let ids: Vec<&str> = again.findings().iter().map(Finding::id).collect();
        assert!(ids.contains(&finding.id()), "{finding}\n{again}");
    }
}
