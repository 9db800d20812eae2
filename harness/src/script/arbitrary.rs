//! Generates a script (operations, faults and modes) from bytes, by the crate `arbitrary`. Fuzz targets
//! pass a fuzzer's bytes, property tests random ones.

use arbitrary::{Arbitrary, Result, Unstructured};

use crate::plan::syntax::{Shortage, Shortages};
use crate::system::script::{Mode, Script};
use crate::trace::Coordinate;

/// Which scripts are generated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptRange {
    /// The most operations.
    pub(crate) operations: usize,
    /// Whether a script may have modes: the kill switch on, the adversarial heap.
    pub(crate) modes: bool,
    /// Whether a script has two or three threads instead of one.
    pub(crate) threads: bool,
}

/// Generates a script for this system. It has fewer operations than allowed if the bytes end.
///
/// # Errors
/// If an operation's `Arbitrary` returns one.
pub(crate) fn script<'a, Op: Arbitrary<'a>>(
    system: &str,
    range: ScriptRange,
    u: &mut Unstructured<'a>,
) -> Result<Script<Op>> {
    let modes = if range.modes { modes(u.arbitrary()?) } else { Vec::new() };
    let count = if range.threads { 2 + u16::from(u.arbitrary::<bool>()?) } else { 1 };
    let fault = shortages(u, count)?;
    let mut threads: Vec<Vec<Op>> = (0..count).map(|_| Vec::new()).collect();
    // The remaining bytes are operations.
    for _ in 0..range.operations {
        if u.is_empty() {
            break;
        }
        let thread = usize::from(choose_thread(u, count)?);
        match u.arbitrary() {
            Ok(op) => threads[thread].push(op),
            Err(arbitrary::Error::NotEnoughData) => break,
            Err(error) => return Err(error),
        }
    }
    while threads.len() > 1 && threads.last().is_some_and(Vec::is_empty) {
        threads.pop();
    }
    let mut script = Script::of(system, Vec::new());
    script.threads = threads;
    script.fault = (!fault.0.is_empty()).then(|| fault.to_string());
    script.modes = modes;
    Ok(script)
}

/// The kill switch for a quarter of all bytes; the adversarial heap, which is slow, for a sixteenth.
fn modes(byte: u8) -> Vec<Mode> {
    let mut modes = Vec::new();
    if byte & 3 == 3 {
        modes.push(Mode::Bypass);
    }
    if byte >> 4 == 15 {
        modes.push(Mode::Adversary);
    }
    modes
}

/// One of `count` threads. Consumes no bytes if there is only one.
fn choose_thread(u: &mut Unstructured<'_>, count: u16) -> Result<u16> {
    if count > 1 { Ok(u16::from(u.arbitrary::<u8>()?) % count) } else { Ok(0) }
}

fn shortages(u: &mut Unstructured<'_>, threads: u16) -> Result<Shortages> {
    let form = u.arbitrary::<u8>()? % 8;
    let at = |u: &mut Unstructured<'_>| -> Result<Coordinate> {
        let thread = choose_thread(u, threads)?;
        // Most scripts are short, so most ordinals are small.
        let near = u64::from(u.arbitrary::<u8>()?);
        if threads > 1 {
            return Ok(Coordinate { thread, ordinal: 1 + near / 16 });
        }
        let far = if near & 7 == 7 { u64::from(u.arbitrary::<u8>()?) * 32 } else { 0 };
        Ok(Coordinate { thread, ordinal: 1 + near / 4 + far })
    };
    Ok(Shortages(match form {
        0 => Vec::new(),
        1..=3 => vec![Shortage::Once(at(u)?)],
        4 => vec![Shortage::ForGood(at(u)?)],
        5 => {
            let from = at(u)?;
            vec![Shortage::Burst(from, from.ordinal + u64::from(u.arbitrary::<u8>()? % 16))]
        }
        6 => vec![Shortage::Budget(usize::from(u.arbitrary::<u16>()?))],
        _ => vec![Shortage::Once(at(u)?), Shortage::Once(at(u)?)],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Arbitrary)]
    enum Op {
        Push(u16),
        Name { text: String, of: Option<u8> },
        Pop,
    }

    /// The script of `length` random bytes.
    fn generated(seed: u64, length: usize) -> Script<Op> {
        let mut state = seed;
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = crate::trace::mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15));
                state as u8
            })
            .collect();
        let range = ScriptRange { operations: 100, modes: true, threads: seed % 4 == 3 };
        script("generated", range, &mut Unstructured::new(&bytes)).expect("a script")
    }

    #[test]
    fn every_generated_script_is_read_back_as_it_was_printed() {
        let mut faults = Vec::new();
        for seed in 0..500 {
            let script = generated(seed, 10 + seed as usize);
            let text = script.print().expect("text");
            let again = Script::<Op>::read(&text, "generated.ron").expect("a script");
            assert_eq!(again, script);
            assert_eq!(again.print().expect("text"), text);
            faults.extend(script.fault);
        }
        for shape in ["..=", ", ", "budget="] {
            assert!(faults.iter().any(|fault| fault.contains(shape)), "{shape}");
        }
        assert!(faults.iter().any(|fault| fault.ends_with("..")));
        assert_eq!(generated(4, 0), Script::of("generated", Vec::new()));
        let threads = |seed: u64| generated(seed, 300).threads.len();
        assert!((0..40).all(|seed| (threads(seed) > 1) == (seed % 4 == 3)));
    }
}
