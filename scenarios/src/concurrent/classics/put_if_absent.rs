//! Put if absent: a list whose operations are each locked. Brian Goetz and others, Java Concurrency
//! in Practice, 2006.
//!
//! The bug: a caller asks whether an element is there and adds it in a second operation, so two
//! callers add it.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::{Arc, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "put-if-absent",
    about: "an element is looked for and added in two operations of a list",
    source: "Goetz and others, Java Concurrency in Practice, 2006",
    threads: 3,
    bug: || put_twice(put_in_two_operations),
    corrected: || put_twice(put_in_one_operation),
};

type List = Mutex<Vec<usize>>;

fn put_twice(put: fn(&List, usize)) {
    let list = Arc::new(List::default());
    together(&list, 2, move |list, _| put(list, 1));
    assert_eq!(*lock(&list), [1], "an element is there once");
}

fn put_in_two_operations(list: &List, element: usize) {
    let is_there = lock(list).contains(&element);
    if !is_there {
        lock(list).push(element);
    }
}

fn put_in_one_operation(list: &List, element: usize) {
    let mut elements = lock(list);
    if !elements.contains(&element) {
        elements.push(element);
    }
}
