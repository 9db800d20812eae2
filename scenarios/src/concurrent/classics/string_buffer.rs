//! `StringBuffer.append`: the length of another buffer is read under its lock, and its text is copied
//! under the same lock, but another thread may shorten it in between. Cormac Flanagan and Shaz Qadeer,
//! A Type and Effect System for Atomicity, 2003.
//!
//! The bug: the copy ends outside of the text, which panics.

use super::Classic;
use super::shared::{lock, together};
use crate::sync::{Arc, Mutex};

pub(super) const CLASSIC: Classic = Classic {
    name: "string-buffer-append",
    about: "a buffer is shortened after its length was read and before its text is copied",
    source: "Flanagan and Qadeer, A Type and Effect System for Atomicity, 2003",
    threads: 3,
    bug: || append_beside_clear(copy_in_two_steps),
    corrected: || append_beside_clear(|source| copy(&lock(source))),
};

const TEXT: &str = "abc";

fn append_beside_clear(copy: fn(&Mutex<String>) -> String) {
    let source = Arc::new(Mutex::new(TEXT.to_owned()));
    let copies = together(&source, 2, move |source, number| {
        if number == 0 {
            return copy(source);
        }
        lock(source).clear();
        String::new()
    });
    assert!(copies[0].is_empty() || copies[0] == TEXT, "the copy is {:?}", copies[0]);
}

fn copy(source: &str) -> String {
    source[..source.len()].to_owned()
}

fn copy_in_two_steps(source: &Mutex<String>) -> String {
    let length = lock(source).len();
    lock(source)[..length].to_owned()
}
