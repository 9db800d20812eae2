//! Code that is fine on a friendly `malloc` and not on the adversarial heap, mode by mode; and
//! beside each the code as it should be, which is fine on both.
#![allow(unsafe_code, reason = "what is planted here is unsafe code that is wrong")]

mod common;

use std::ptr::NonNull;

use common::{Oom, Owned, layout, only};
use mallory::adversary::{Adversary, Guard, Reuse};
use mallory::{Heap, Kind, Options, Port, Report, Sweep, SystemPort, conformance};

type Body = fn(&Heap) -> Result<u64, Oom>;

fn friendly(body: Body) -> Report {
    let options = Options::new().ledger_only().moving(false);
    Sweep::new("friendly").options(options).run(body)
}

fn adversarial(modes: Adversary, body: Body) -> Report {
    Sweep::new("adversarial").adversary(modes).run(body)
}

/// The body is fine on `malloc`; `mended` is fine everywhere. Answers what the adversary says.
#[track_caller]
fn only_there(modes: Adversary, body: Body, mended: Body) -> Report {
    friendly(body).assert_clean();
    friendly(mended).assert_clean();
    adversarial(modes.clone(), mended).assert_clean();
    adversarial(Adversary::new(), mended).assert_clean();
    let report = adversarial(modes.clone(), body);
    assert_ne!(report.exit_code(), 0, "{report}");
    assert_eq!(report.to_string(), adversarial(modes, body).to_string(), "the same bytes");
    report
}

/// A crash whose note says this.
#[track_caller]
fn crashes(report: &Report, said: &[&str]) {
    let finding = only(report);
    assert_eq!(finding.kind(), Kind::Crash, "{report}");
    for said in said {
        assert!(finding.to_string().contains(said), "{said}\n{report}");
    }
}

fn read(start: NonNull<u8>, at: usize) -> u64 {
    // SAFETY: none: that is what is planted.
    u64::from(unsafe { start.add(at).read_volatile() })
}

/// A block of seven, grown; and what its first byte is by the pointer from before or after.
fn grown(heap: &Heap, stale: bool) -> Result<u64, Oom> {
    let mut block = Owned::new(heap, 20)?;
    block.bytes().fill(7);
    let before = block.start();
    // Within what `malloc` rounds sizes up to: it never moves such a block.
    block.resize(24)?;
    Ok(read(if stale { before } else { block.start() }, 0))
}

#[test]
fn a_pointer_kept_across_a_grow() {
    let modes = Adversary::friendly().moves(true).reuse(Reuse::Never).guard(Guard::After);
    let report = only_there(modes, |heap| grown(heap, true), |heap| grown(heap, false));
    let said = "byte 0 of a1 (20 bytes, align 8), which was freed";
    crashes(&report, &[said, "accessed in adversary::read", "freed in "]);
    // Without guard pages the byte is rubbish, another each time.
    let modes = Adversary::friendly().moves(true).rubbish(true).reuse(Reuse::Never);
    let report = only_there(modes, |heap| grown(heap, true), |heap| grown(heap, false));
    assert_eq!(only(&report).kind(), Kind::Nondeterminism);
}

/// Puts a flag where the last bits of an address aligned to `align` are zero.
fn flagged(heap: &Heap, align: usize) -> Result<u64, Oom> {
    let block = Owned::aligned(heap, 48, align)?;
    let flagged = block.start().as_ptr() as usize | 8;
    // The addresses themselves stay out of the message, which is compared.
    assert!(flagged & !8 == block.start().as_ptr() as usize, "the flag hid a bit");
    Ok(1)
}

#[test]
fn more_alignment_than_was_asked_for() {
    let modes = Adversary::friendly().tight(true);
    let report = only_there(modes, |heap| flagged(heap, 8), |heap| flagged(heap, 16));
    assert!(report.to_string().contains("the flag hid a bit"), "{report}");
}

/// Sums up a block of which nothing was written. So large a one is fresh from the system, and zero
/// there.
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

/// Takes a block for the one from before if it stands at the same place.
fn compared(heap: &Heap, by_address: bool) -> Result<u64, Oom> {
    let known = Owned::new(heap, 200)?;
    let (place, version) = (known.start(), 1_u64);
    drop(known);
    // For `malloc` this is as large, so it takes the place that is free.
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

/// Reads as many bytes as this of a block of 64.
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
    crashes(&report, &[said, "accessed in adversary::read ← adversary::scanned", "allocated in "]);
}

/// Reads the byte before a block.
fn peeked(heap: &Heap, before: bool) -> Result<u64, Oom> {
    let mut block = Owned::new(heap, 64)?;
    block.bytes().fill(1);
    // SAFETY: none: that is what is planted.
    let start = if before { unsafe { block.start().sub(1) } } else { block.start() };
    std::hint::black_box(read(start, 0));
    Ok(0)
}

#[test]
fn a_read_before_the_start() {
    let modes = Adversary::friendly().guard(Guard::Before);
    let report = only_there(modes, |heap| peeked(heap, true), |heap| peeked(heap, false));
    crashes(&report, &["1 byte before a1 (64 bytes, align 8)"]);
}

/// Reads a block that was given back, once its second request fails.
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
    crashes(
        &report,
        &[said, "accessed in adversary::read ← adversary::read_late", "when T0#2 fails"],
    );
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
    let ask = layout(24, 8);
    let block = |port: &dyn Port, ask| port.alloc(ask).expect("memory");
    let address = |block: NonNull<[u8]>| block.cast::<u8>().as_ptr() as usize;
    let on = Adversary::friendly;

    let port = on().tight(true).over(SystemPort::new());
    for align in [1, 8, 64, 4096] {
        let at = address(block(&port, layout(24, align)));
        assert!(at.is_multiple_of(align) && !at.is_multiple_of(2 * align), "{align}");
    }
    let port = on().slack(true).over(SystemPort::new());
    assert!((0..8).all(|_| block(&port, ask).len() > 24));
    let port = on().reuse(Reuse::AtOnce).over(SystemPort::new());
    let (first, other) = (block(&port, ask), block(&port, ask));
    // SAFETY: both are alive, and freed as they were asked for; so below.
    unsafe { port.free(other.cast(), ask) };
    // SAFETY: as above.
    unsafe { port.free(first.cast(), ask) };
    assert_eq!(
        [address(block(&port, ask)), address(block(&port, ask))],
        [address(first), address(other)]
    );
    let port = on().reuse(Reuse::Never).over(SystemPort::new());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let block = block(&port, ask);
        assert!(seen.insert(address(block)), "no address comes twice");
        // SAFETY: as above.
        unsafe { port.free(block.cast(), ask) };
    }
    let port = on().refuse_shrinks(true).over(SystemPort::new());
    let first = block(&port, ask);
    // SAFETY: alive, and as it was asked for.
    assert!(unsafe { port.shrink(first.cast(), ask, layout(8, 8)) }.is_err());
    let modes = on().rubbish(true);
    let bytes = |block: NonNull<[u8]>| -> Vec<u8> {
        // SAFETY: alive, and written full by the port.
        unsafe { std::slice::from_raw_parts(block.cast().as_ptr(), 24) }.to_vec()
    };
    let (one, two) = (modes.over(SystemPort::new()), modes.over(SystemPort::new()));
    let (one, two) = (bytes(block(&one, ask)), bytes(block(&two, ask)));
    assert!(one.iter().zip(&two).all(|(a, b)| *a == !*b), "every bit differs: {one:?} {two:?}");
}
