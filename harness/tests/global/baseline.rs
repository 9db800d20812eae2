//! What shows without any fault: all of it is reported, whatever else is, and the sweep goes on. A
//! death is reported with its place, and stray reads are found by the guarded runs.
#![allow(unsafe_code, reason = "memory is misused on purpose")]

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::common::{kinds, layout, only};
use crate::{boxed, sweep};
use mallory::{Finding, Kind, Options, Refused, Report, Verdict};

const SIZE: usize = 40;

fn set_layout() -> Layout {
    layout(SIZE, 8)
}

/// A block of [`SIZE`] bytes that are all set; none if there is no memory.
fn set_block() -> Result<*mut u8, Refused> {
    // SAFETY: the layout has a size; all bytes of the block are written.
    unsafe {
        let block = alloc(set_layout());
        if block.is_null() {
            return Err(Refused);
        }
        block.write_bytes(3, SIZE);
        Ok(black_box(block))
    }
}

/// Frees a block of [`set_block`].
fn free(block: *mut u8) {
    // SAFETY: the callers pass each block once, or, where the bug is planted, twice.
    unsafe { dealloc(black_box(block), set_layout()) }
}

#[inline(never)]
fn forgets() -> Result<u64, Refused> {
    set_block().map(|_| 1)
}

#[inline(never)]
fn frees_twice() -> Result<u64, Refused> {
    let block = set_block()?;
    free(block);
    free(block);
    Ok(2)
}

/// The findings that show without a fault.
fn faultless(report: &Report) -> Vec<&Finding> {
    report.findings().iter().filter(|finding| finding.fault().is_none()).collect()
}

#[test]
fn a_leak_hides_no_double_free_and_ends_no_sweep() {
    let report = sweep("both").run(|_| Ok::<_, Refused>(forgets()? + frees_twice()?));
    assert_eq!(kinds(&report), [Kind::Leak, Kind::DoubleFree], "{report}");
    assert_eq!(faultless(&report).len(), 2, "{report}");
    let coverage = report.coverage();
    assert_eq!((coverage.requests, coverage.runs, coverage.complete), (2, 4, true), "{report}");
}

#[test]
fn a_detector_that_is_off_hides_nothing_else() {
    let options = Options::new().without(Kind::Leak);
    let report =
        sweep("one").options(options).run(|_| Ok::<_, Refused>(forgets()? + frees_twice()?));
    assert_eq!(only(&report).kind(), Kind::DoubleFree, "{report}");
}

#[test]
fn a_bug_that_shows_without_a_fault_hides_none_that_needs_one() {
    let report = sweep("later").run(|_| {
        let kept = forgets()?;
        let Ok(second) = set_block() else { return Ok::<_, Refused>(kept + 1) };
        free(second);
        Ok(kept)
    });
    assert_eq!(kinds(&report), [Kind::Leak, Kind::SilentWrong], "{report}");
}

/// Reads or writes the byte at this distance from a live block's start.
#[inline(never)]
fn touches(offset: isize, writes: usize) -> Result<u64, Refused> {
    let block = set_block()?;
    let place = black_box(block).wrapping_offset(offset);
    for nth in 0..writes {
        // SAFETY: none beyond the block: these are the planted bugs.
        unsafe { place.add(nth).write_volatile(1) };
    }
    if writes == 0 {
        // SAFETY: as above.
        black_box(unsafe { place.read_volatile() });
    }
    free(block);
    Ok(1)
}

#[inline(never)]
fn reads_freed(early: bool) -> Result<u64, Refused> {
    let block = set_block()?;
    if early {
        free(block);
    }
    // SAFETY: none if it was freed: that is the planted bug.
    black_box(unsafe { block.add(5).read_volatile() });
    if !early {
        free(block);
    }
    Ok(1)
}

/// A subject without parameters, and a function that makes up an address.
type Body = fn() -> Result<u64, Refused>;
type Address = fn() -> *mut u8;

#[test]
fn stray_reads_are_found_at_their_instruction() {
    let cases: [(&str, Kind, &str, Body); 3] = [
        ("behind", Kind::HeapBufferOverflow, "a read of 1 byte: 1 byte past the end of a1", || {
            touches(SIZE as isize, 0)
        }),
        ("before", Kind::HeapBufferUnderflow, "a read of 1 byte: 3 bytes before a1", || {
            touches(-3, 0)
        }),
        ("freed", Kind::UseAfterFree, "a read of 1 byte: byte 5 of a1", || reads_freed(true)),
    ];
    for (name, kind, note, run) in cases {
        let report = sweep(name).run(|_| run());
        let finding = only(&report);
        assert_eq!((finding.kind(), finding.fault()), (kind, None), "{report}");
        let text = report.to_string();
        assert!(text.contains(note) && text.contains("accessed   baseline::"), "{text}");
        assert!(text.contains("tests/global/baseline.rs:"), "{text}");
        sweep(name).quick().run(|_| run()).assert_clean();
    }
    for run in [|| touches(SIZE as isize - 1, 0), || touches(0, 0), || reads_freed(false)] {
        sweep("inside").run(|_| run()).assert_clean();
    }
}

#[test]
fn an_overflow_of_any_length_is_one_finding_with_the_place_of_the_write() {
    for length in [3, 17, 100, 4096] {
        let report = sweep("overflow").run(move |_| touches(SIZE as isize, length));
        let found = faultless(&report);
        assert_eq!(found.len(), 1, "{length}: {report}");
        assert_eq!(found[0].kind(), Kind::HeapBufferOverflow, "{length}: {report}");
        let text = report.to_string();
        assert!(text.contains("baseline::touches"), "{length}: {text}");
        assert!(text.contains("written") || text.contains("accessed"), "{length}: {text}");
        let again = sweep("overflow").run(move |_| touches(SIZE as isize, length));
        assert_eq!(text, again.to_string(), "{length}");
    }
    sweep("overflow").run(|_| touches(0, SIZE)).assert_clean();
}

/// Sums all bytes of a block of which only the first `set` were set.
fn sums(set: usize) -> Result<u64, Refused> {
    let other = set_block()?;
    // SAFETY: the layout has a size; in the planted bug, bytes are read that were never written.
    let sum = unsafe {
        let block = alloc(set_layout());
        if block.is_null() {
            free(other);
            return Err(Refused);
        }
        black_box(block).write_bytes(1, set);
        let sum = (0..SIZE).map(|nth| u64::from(block.add(nth).read_volatile())).sum();
        free(block);
        sum
    };
    free(other);
    Ok(sum)
}

#[test]
fn a_result_that_depends_on_fresh_memory_names_its_block() {
    let report = sweep("sums").run(|_| sums(SIZE - 1));
    let finding = only(&report);
    assert_eq!((finding.kind(), finding.fault()), (Kind::UninitRead, None), "{report}");
    assert!(report.to_string().contains("allocated  baseline::sums"), "{report}");
    sweep("sums").run(|_| sums(SIZE)).assert_clean();
}

#[inline(never)]
fn aborts_here() -> Result<u64, Refused> {
    std::process::abort()
}

#[inline(never)]
fn aborts_there() -> Result<u64, Refused> {
    std::process::abort()
}

#[test]
fn a_death_without_a_fault_has_a_place_and_an_id_of_its_own() {
    let (here, there) =
        (sweep("dies").run(|_| aborts_here()), sweep("dies").run(|_| aborts_there()));
    for (report, place) in [(&here, "died  baseline::aborts_here"), (&there, "aborts_there")] {
        assert_eq!(only(report).kind(), Kind::Abort, "{report}");
        assert_eq!(report.verdict(), Verdict::Findings);
        let text = report.to_string();
        assert!(text.contains(place) && text.contains("no faulted run was made"), "{text}");
    }
    assert_ne!(only(&here).id(), only(&there).id());
}

#[test]
fn what_was_found_before_a_death_is_kept() {
    let report = sweep("dies-late").run(|_| {
        frees_twice()?;
        aborts_here()
    });
    assert_eq!(kinds(&report), [Kind::DoubleFree, Kind::Abort], "{report}");
}

#[test]
fn a_request_that_nobody_can_grant_is_reported_with_its_size() {
    let report = sweep("absurd").run(|_| {
        let bytes: Vec<u8> = Vec::with_capacity(black_box(1 << 46));
        Ok::<_, Refused>(bytes.len())
    });
    assert_eq!(only(&report).kind(), Kind::Abort, "{report}");
    let text = report.to_string();
    assert!(text.contains("refused a request of 70,368,744,177,664 bytes"), "{text}");
    assert!(text.contains("died  baseline::"), "{text}");
}

#[inline(never)]
fn spins(mut at: u64) -> Result<u64, Refused> {
    while black_box(at) < 1000 {
        at = (at * 7 + boxed_nothing(at)) % 1000;
    }
    Ok(at)
}

#[inline(never)]
fn boxed_nothing(at: u64) -> u64 {
    black_box(at) % 3
}

#[test]
fn a_subject_that_hangs_is_reported_with_the_place() {
    let run = || sweep("hangs").patience(Duration::from_secs(1)).run(|_| spins(boxed(1)));
    let report = run();
    assert_eq!(only(&report).kind(), Kind::NoProgress, "{report}");
    let text = report.to_string();
    assert!(text.contains("hung  baseline::spins"), "{text}");
    assert_eq!(text, run().to_string());
}

/// Frees, as a block of [`SIZE`] bytes, what is none; or, where the address is null, a block.
#[inline(never)]
fn frees_wildly(address: Address) -> Result<u64, Refused> {
    let block = set_block()?;
    let other = address();
    if !other.is_null() {
        free(other);
    }
    free(block);
    Ok(1)
}

#[test]
fn an_address_that_can_be_no_block_is_never_handed_on() {
    static DATA: [u64; 8] = [1; 8];
    /// A block from before the runs, whose inside is freed.
    static EARLY: OnceLock<Vec<u64>> = OnceLock::new();
    EARLY.get_or_init(|| vec![0; 64]);
    let cases: [(&str, Address); 5] = [
        ("on a stack", || black_box(&mut [0_u64; 8]).as_mut_ptr().cast()),
        ("static data", || DATA.as_ptr().cast_mut().cast()),
        ("no memory", || std::ptr::without_provenance_mut(0xDBDB_DBDB_DBDB_DBD8)),
        ("not aligned", || {
            EARLY.get().map_or(std::ptr::null_mut(), |v| {
                v.as_ptr().cast::<u8>().cast_mut().wrapping_add(3)
            })
        }),
        ("no block of malloc", || {
            EARLY.get().map_or(std::ptr::null_mut(), |v| {
                v.as_ptr().cast::<u8>().cast_mut().wrapping_add(72)
            })
        }),
    ];
    for (reason, address) in cases {
        let report = sweep("wild").run(move |_| frees_wildly(address));
        assert_eq!(only(&report).kind(), Kind::InvalidFree, "{report}");
        let text = report.to_string();
        assert!(text.contains(reason) && text.contains("freed  baseline::"), "{text}");
    }
    sweep("tame").run(|_| frees_wildly(std::ptr::null_mut)).assert_clean();
}

#[test]
fn blocks_from_before_the_run_may_be_freed_and_resized() {
    static EARLY: Mutex<Vec<Vec<u64>>> = Mutex::new(Vec::new());
    let mut early = EARLY.lock().expect("no test panics");
    early.extend((0..200).map(|nth| vec![nth; 9]));
    drop(early);
    let report = sweep("early").run(|_| {
        let mut early = EARLY.lock().expect("no test panics").pop().ok_or(Refused)?;
        early.try_reserve(40).map_err(|_| Refused)?;
        Ok::<_, Refused>(early.len())
    });
    report.assert_clean();
}

/// A trait of the subject's for a type of std's.
trait Doubled {
    fn doubled(&self) -> Result<u64, Refused>;
}

impl Doubled for Box<u64> {
    #[inline(never)]
    fn doubled(&self) -> Result<u64, Refused> {
        forgets()?;
        Ok(**self * 2)
    }
}

#[test]
fn a_method_that_the_subject_adds_to_a_type_of_std_is_in_call_sites() {
    let report = sweep("doubled").run(|_| Box::new(4_u64).doubled());
    let leak = report.findings().iter().find(|finding| finding.kind() == Kind::Leak);
    let text = leak.expect("a leak").to_string();
    assert!(text.contains("<Box as Doubled>::doubled"), "{text}");
}
