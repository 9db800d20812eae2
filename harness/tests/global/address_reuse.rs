//! Code that tells objects apart by their addresses works until an address is given out again.
#![allow(unsafe_code, reason = "the address of a block is kept beyond its life")]

use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;

use crate::common::{Oom, kinds};
use crate::sweep;
use mallory::{Kind, Report};

const OBJECT: Layout = Layout::new::<[u64; 4]>();

/// The addresses of objects that are done. `forgets` is the correction: an object that dies is taken
/// out.
fn works_by_address(objects: usize, forgets: bool) -> Result<usize, Oom> {
    let mut done: Vec<usize> = Vec::new();
    done.try_reserve_exact(objects).map_err(|_| Oom)?;
    let mut worked = 0;
    for _ in 0..objects {
        // SAFETY: the layout has a size, and the block is freed once, with it.
        let object = unsafe { alloc(black_box(OBJECT)) };
        if object.is_null() {
            return Err(Oom);
        }
        if !done.contains(&(object as usize)) {
            worked += 1;
            done.push(object as usize);
        }
        // SAFETY: as above.
        unsafe { dealloc(black_box(object), OBJECT) };
        if forgets {
            done.retain(|address| *address != object as usize);
        }
    }
    Ok(worked)
}

fn swept(forgets: bool) -> Report {
    sweep("by-address").oom(|_: &Oom| true).run(move |_| works_by_address(3, forgets))
}

#[test]
fn a_result_that_depends_on_reused_addresses_is_found() {
    let report = swept(false);
    assert_eq!(kinds(&report), [Kind::Nondeterminism], "{report}");
    let text = report.to_string();
    assert!(text.contains("whether addresses of freed blocks are given out again"), "{text}");
    assert!(text.contains("- 3") && text.contains("+ 1"), "the results are shown: {text}");
    assert!(report.coverage().runs > 0, "it is swept all the same: {text}");
    swept(true).assert_clean();
}

/// A result that has an address in it differs between all runs, which says nothing about reuse.
#[test]
fn an_address_in_a_result_is_nothing_to_accuse() {
    let report = sweep("pointer").run(|_| {
        let mut list: Vec<u8> = Vec::new();
        list.try_reserve(10).map_err(|_| Oom)?;
        let first = list.as_ptr() as usize;
        drop(list);
        Ok::<_, Oom>(first)
    });
    assert!(!report.to_string().contains("given out again"), "{report}");
}
