//! Aborts that are allowed: a number that may go down and not up, in the text and in the JSON.

mod common;

use std::convert::Infallible;
use std::hint::black_box;

use common::{kinds, mistake};
use mallory::{GlobalHeap, Kind, Sweep};

#[global_allocator]
static HEAP: GlobalHeap = GlobalHeap::system();

fn sweep() -> Sweep {
    Sweep::new("ratchet").global(&HEAP)
}

fn words(text: &str) -> usize {
    let words: Vec<&str> = text.split(' ').collect();
    black_box(words).len()
}

/// Aborts at two sites.
fn infallible() -> Result<u64, Infallible> {
    Ok(words("an infallible function") as u64 + *black_box(Box::new(4)))
}

#[test]
fn allowed_aborts_are_a_ratchet_that_turns_one_way() {
    let allowed = |sites| sweep().allow_aborts(sites).run(|_| infallible());
    allowed(2).assert_clean();
    assert!(allowed(2).to_string().contains("global_ratchet::words"), "what is allowed is listed");
    assert_eq!(kinds(&allowed(1)), [Kind::Abort; 2]);
    assert!(mistake(&allowed(3)).contains("failures abort at only 2 call sites"));
}

#[cfg(feature = "json")]
#[test]
fn allowed_aborts_stand_in_the_json_apart_from_the_findings() {
    let line = |sites| sweep().allow_aborts(sites).run(|_| infallible()).to_json("sweep");
    let allowed = line(2).expect("no error");
    assert!(allowed.contains(r#""findings":[],"allowed":[{"id":"#), "{allowed}");
    assert_eq!(allowed.matches(r#""kind":"abort""#).count(), 2, "{allowed}");
    let found = line(1).expect("no error");
    assert!(!found.contains("allowed"), "what is too many is a finding: {found}");
}
