//! Allowed aborts: their number may be lowered but not raised; in the text and in the JSON.

use std::convert::Infallible;
use std::hint::black_box;

use crate::common::{kinds, mistake};
use crate::sweep;
use mallory::Kind;

fn words(text: &str) -> usize {
    let words: Vec<&str> = text.split(' ').collect();
    black_box(words).len()
}

/// Aborts at two call sites.
fn infallible() -> Result<u64, Infallible> {
    Ok(words("an infallible function") as u64 + *black_box(Box::new(4)))
}

#[test]
fn allowed_aborts_are_a_ratchet_that_turns_one_way() {
    let allowed = |sites| sweep("ratchet").allow_aborts(sites).run(|_| infallible());
    allowed(2).assert_clean();
    assert!(allowed(2).to_string().contains("ratchet::words"), "allowed aborts are listed");
    assert_eq!(kinds(&allowed(1)), [Kind::Abort; 2]);
    assert!(mistake(&allowed(3)).contains("failures abort at only 2 call sites"));
}

#[cfg(feature = "json")]
#[test]
fn allowed_aborts_stand_in_the_json_apart_from_the_findings() {
    let line = |sites| sweep("ratchet").allow_aborts(sites).run(|_| infallible()).to_json("sweep");
    let allowed = line(2).expect("no error");
    assert!(allowed.contains(r#""findings":[],"allowed":[{"id":"#), "{allowed}");
    assert_eq!(allowed.matches(r#""kind":"abort""#).count(), 2, "{allowed}");
    let found = line(1).expect("no error");
    assert!(!found.contains("allowed"), "above the number each is a finding: {found}");
}
