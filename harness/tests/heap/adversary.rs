//! Code that works on a friendly `malloc` and fails on the adversarial heap, mode by mode; and next
//! to each example its correction, which works on both.
#![allow(unsafe_code, reason = "the planted bugs are wrong unsafe code")]

use std::ptr::NonNull;

use crate::common::{Oom, Owned, layout, only};
use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::{Heap, Kind, Options, Port, Report, Sweep, SystemPort, conformance};

type Body = fn(&Heap) -> Result<u64, Oom>;

fn friendly(body: Body) -> Report {
    let options = Options::new().ledger_only().moving(false);
    Sweep::new("friendly").options(options).quick().run(body)
}

fn adversarial(modes: Adversary, body: Body) -> Report {
    Sweep::new("adversarial").adversary(modes).run(body)
}

/// The body is clean on `malloc`, and `correct` is clean everywhere. Returns what the adversarial
/// heap reports of the body.
#[track_caller]
fn only_there(modes: Adversary, body: Body, correct: Body) -> Report {
    friendly(body).assert_clean();
    friendly(correct).assert_clean();
    adversarial(modes.clone(), correct).assert_clean();
    adversarial(Adversary::new(), correct).assert_clean();
    let report = adversarial(modes.clone(), body);
    assert_ne!(report.exit_code(), 0, "{report}");
    assert_eq!(report.to_string(), adversarial(modes, body).to_string(), "the same bytes");
    report
}

/// The only finding is of this kind, and its text contains all of these.
#[track_caller]
fn dies(report: &Report, kind: Kind, said: &[&str]) {
    let finding = only(report);
    assert_eq!(finding.kind(), kind, "{report}");
    for said in said {
        assert!(finding.to_string().contains(said), "{said}\n{report}");
    }
}

fn read(start: NonNull<u8>, at: usize) -> u64 {
    // SAFETY: none, this is the planted bug.
    u64::from(unsafe { start.add(at).read_volatile() })
}

/// Grows a block, and reads its first byte through the old or through the new pointer.
fn grown(heap: &Heap, stale: bool) -> Result<u64, Oom> {
    let mut block = Owned::new(heap, 20)?;
    block.bytes().fill(7);
    let before = block.start();
    // `malloc` rounds both sizes up to the same one, so it never moves such a block.
    block.resize(24)?;
    Ok(read(if stale { before } else { block.start() }, 0))
}

#[test]
fn a_pointer_kept_across_a_grow() {
    let modes = Adversary::friendly().moves(true).reuse(Reuse::Never).guard(Guard::After);
    let report = only_there(modes, |heap| grown(heap, true), |heap| grown(heap, false));
    let said = "byte 0 of a1 (20 bytes, align 8), which was freed";
    dies(&report, Kind::UseAfterFree, &[said, "a1  accessed   adversary::read", "a1  freed "]);
    // Without guard pages the byte is rubbish, and differs between two runs.
    let modes = Adversary::friendly().moves(true).rubbish(true).reuse(Reuse::Never);
    let report = only_there(modes, |heap| grown(heap, true), |heap| grown(heap, false));
    assert_eq!(only(&report).kind(), Kind::Nondeterminism);
}

/// Puts a flag into the lowest bits of an address, which are zero if it is aligned to `align`.
fn flagged(heap: &Heap, align: usize) -> Result<u64, Oom> {
    let block = Owned::aligned(heap, 48, align)?;
    let flagged = block.start().as_ptr() as usize | 8;
    // The message contains no address, since it is compared.
    assert!(flagged & !8 == block.start().as_ptr() as usize, "the flag hid a bit");
    Ok(1)
}

#[test]
fn more_alignment_than_was_asked_for() {
    let modes = Adversary::friendly().tight(true);
    let report = only_there(modes, |heap| flagged(heap, 8), |heap| flagged(heap, 16));
    assert!(report.to_string().contains("the flag hid a bit"), "{report}");
}

/// Sums up a block that was never written. `malloc` maps a block of this size anew, so there it is
/// zero.
fn summed(heap: &Heap, zeroed: bool) -> Result<u64, Oom> {
    const LARGE: usize = 1 << 20;
    let block = if zeroed { Owned::zeroed(heap, LARGE)? } else { Owned::new(heap, LARGE)? };
    Ok((0..64).map(|at| read(block.start(), at)).sum())
}

#[test]
fn uninitialised_bytes() {
    let modes = Adversary::friendly().rubbish(true);
    let report = only_there(modes, |heap| summed(heap, false), |heap| summed(heap, true));
    assert_eq!(only(&report).kind(), Kind::Nondeterminism, "{report}");
    assert!(report.to_string().contains("different results"), "{report}");
}

/// Mistakes a block for an earlier one if it has the same address.
fn compared(heap: &Heap, by_address: bool) -> Result<u64, Oom> {
    let known = Owned::new(heap, 200)?;
    let (place, version) = (known.start(), 1_u64);
    drop(known);
    // `malloc` rounds it up to the same size, so it reuses the free address.
    let _between = Owned::new(heap, 199)?;
    let fresh = Owned::new(heap, 200)?;
    let seen = if by_address && fresh.start() == place { version } else { version + 1 };
    assert_eq!(seen, 2, "an old version was taken for the new one");
    Ok(seen)
}

#[test]
fn an_address_that_comes_again() {
    let modes = Adversary::friendly().reuse(Reuse::AtOnce);
    let report = only_there(modes, |heap| compared(heap, true), |heap| compared(heap, false));
    assert!(report.to_string().contains("an old version was taken for the new one"), "{report}");
    let never = Adversary::friendly().reuse(Reuse::Never);
    adversarial(never, |heap| compared(heap, true)).assert_clean();
}

/// Reads the last of `length` bytes from a block of 64.
fn scanned(heap: &Heap, length: usize) -> Result<u64, Oom> {
    let mut block = Owned::new(heap, 64)?;
    block.bytes().fill(1);
    std::hint::black_box(read(block.start(), length - 1));
    Ok(block.bytes().iter().map(|byte| u64::from(*byte)).sum::<u64>())
}

#[test]
fn a_read_past_the_end() {
    let modes = Adversary::friendly().guard(Guard::After);
    let report = only_there(modes, |heap| scanned(heap, 67), |heap| scanned(heap, 64));
    let said = "3 bytes past the end of a1 (64 bytes, align 8)";
    let places = ["a1  accessed   adversary::read ", "← adversary::scanned", "a1  allocated "];
    dies(&report, Kind::HeapBufferOverflow, &places);
    dies(&report, Kind::HeapBufferOverflow, &[said]);
}

/// Reads the byte before a block.
fn peeked(heap: &Heap, before: bool) -> Result<u64, Oom> {
    let mut block = Owned::new(heap, 64)?;
    block.bytes().fill(1);
    // SAFETY: none, this is the planted bug.
    let start = if before { unsafe { block.start().sub(1) } } else { block.start() };
    std::hint::black_box(read(start, 0));
    Ok(0)
}

#[test]
fn a_read_before_the_start() {
    let modes = Adversary::friendly().guard(Guard::Before);
    let report = only_there(modes, |heap| peeked(heap, true), |heap| peeked(heap, false));
    dies(&report, Kind::HeapBufferUnderflow, &["1 byte before a1 (64 bytes, align 8)"]);
}

/// Reads a freed block after its second request has failed.
fn read_late(heap: &Heap, after: bool) -> Result<u64, Oom> {
    let block = Owned::new(heap, 48)?;
    let start = block.start();
    // SAFETY: the block is alive.
    unsafe { start.write(1) };
    match Owned::new(heap, 96) {
        Ok(_) => Ok(1),
        Err(_) => {
            let early = read(start, 0);
            drop(block);
            if after {
                std::hint::black_box(read(start, 0));
            }
            if early == 1 { Err(Oom) } else { Ok(2) }
        }
    }
}

#[test]
fn a_read_after_a_free_on_the_way_of_a_failure() {
    let modes = Adversary::friendly().reuse(Reuse::AtOnce).guard(Guard::After);
    let report = only_there(modes, |heap| read_late(heap, true), |heap| read_late(heap, false));
    let said = "byte 0 of a1 (48 bytes, align 8), which was freed";
    let places =
        [said, "a1  accessed   adversary::read ", "adversary::read_late", "when T0#2 fails"];
    dies(&report, Kind::UseAfterFree, &places);
}

#[test]
fn whatever_it_does_the_contract_permits() {
    let all = Adversary::new();
    for modes in [
        Adversary::friendly(),
        all.clone(),
        all.clone().seed(7).guard(Guard::Before).reuse(Reuse::Never),
        all.clone().guard(Guard::None).reuse(Reuse::Never),
        all.clone().guard(Guard::None).tight(false).refuse_shrinks(true),
        all.clone().moves(false).guard(Guard::None),
        all.slack(false).reuse(Reuse::AsPort),
    ] {
        let port = || modes.over(SystemPort::new());
        let suite = conformance(port).operations(2048).max_size(8192);
        suite.run().assert_clean();
    }
}

#[test]
fn each_mode_does_what_it_says() {
    let request = layout(24, 8);
    let block = |port: &dyn Port, request| port.alloc(request).expect("memory");
    let address = |block: NonNull<[u8]>| block.cast::<u8>().as_ptr() as usize;
    let on = Adversary::friendly;

    let port = on().tight(true).over(SystemPort::new());
    for align in [1, 8, 64, 4096] {
        let at = address(block(&port, layout(24, align)));
        assert!(at.is_multiple_of(align) && !at.is_multiple_of(2 * align), "{align}");
    }
    let port = on().slack(true).over(SystemPort::new());
    assert!((0..8).all(|_| block(&port, request).len() > 24));
    let port = on().reuse(Reuse::AtOnce).over(SystemPort::new());
    let (first, other) = (block(&port, request), block(&port, request));
    // SAFETY: both are alive, and freed with their layout; so below.
    unsafe { port.free(other.cast(), request) };
    // SAFETY: as above.
    unsafe { port.free(first.cast(), request) };
    assert_eq!(
        [address(block(&port, request)), address(block(&port, request))],
        [address(first), address(other)]
    );
    let port = on().reuse(Reuse::Never).over(SystemPort::new());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let block = block(&port, request);
        assert!(seen.insert(address(block)), "no address comes twice");
        // SAFETY: as above.
        unsafe { port.free(block.cast(), request) };
    }
    let port = on().refuse_shrinks(true).over(SystemPort::new());
    let first = block(&port, request);
    // SAFETY: it is alive and has this layout.
    assert!(unsafe { port.shrink(first.cast(), request, layout(8, 8)) }.is_err());
    let modes = on().rubbish(true);
    let bytes = |block: NonNull<[u8]>| -> Vec<u8> {
        // SAFETY: alive, and written full by the port.
        unsafe { std::slice::from_raw_parts(block.cast().as_ptr(), 24) }.to_vec()
    };
    let (one, two) = (modes.over(SystemPort::new()), modes.over(SystemPort::new()));
    let (one, two) = (bytes(block(&one, request)), bytes(block(&two, request)));
    assert!(one.iter().zip(&two).all(|(a, b)| *a == !*b), "every bit differs: {one:?} {two:?}");
}
