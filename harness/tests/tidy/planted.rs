//! Each rule of the house broken on purpose, in sources of a few lines, beside a near miss.

use crate::files::File;
use crate::imports::{Tree, says};
use crate::rules;
use crate::words;

/// Sources of a small crate.
fn files(sources: &[(&str, &str)]) -> Vec<File> {
    let file = |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
    sources.iter().map(file).collect()
}

fn tree(sources: &[(&str, &str)]) -> Tree {
    let mut all = vec![("lib.rs", "")];
    all.extend_from_slice(sources);
    Tree::of(&files(&all))
}

#[test]
fn an_import_that_points_up_is_seen() {
    let heap = ("heap/mod.rs", "pub struct Heap;");
    let down = tree(&[heap, ("run/mod.rs", "use crate::heap::Heap;")]);
    assert!(down.upward().is_empty());
    let trace = |text| tree(&[heap, ("trace.rs", text)]).upward();
    assert_eq!(trace("use crate::heap::Heap;"), ["trace.rs imports heap/mod.rs"]);
    assert_eq!(trace("fn f() { crate::heap::g() }"), ["trace.rs imports heap/mod.rs"]);
    assert_eq!(trace("m!(crate::heap::Heap);"), ["trace.rs imports heap/mod.rs"]);
    assert_eq!(trace("use super::heap;"), ["trace.rs imports heap/mod.rs"]);
    assert!(trace("// use crate::heap::Heap;").is_empty());
    assert!(trace("#[cfg(test)] mod tests { use crate::heap::Heap; }").is_empty());
}

#[test]
fn folders_of_one_row_know_nothing_of_each_other() {
    let process = ("process/mod.rs", "pub struct Child;");
    let up = tree(&[process, ("detect/leak.rs", "use crate::process::Child;")]).upward();
    assert_eq!(up, ["detect/leak.rs imports process/mod.rs"]);
}

#[test]
fn a_circle_is_seen_also_through_others_and_inside_a_folder() {
    let a = ("heap/a.rs", "use crate::heap::b::B; pub struct A;");
    let b = ("heap/b.rs", "use crate::heap::c::C; pub struct B;");
    let mod_rs = ("heap/mod.rs", "mod a; mod b; mod c; pub use a::A;");
    let open = tree(&[mod_rs, a, b, ("heap/c.rs", "pub struct C;")]);
    assert!(open.circles().is_empty(), "{:?}", open.circles());
    let shut = tree(&[mod_rs, a, b, ("heap/c.rs", "use crate::heap::a::A; pub struct C;")]);
    assert_eq!(shut.circles(), ["heap/a.rs ↔ heap/b.rs ↔ heap/c.rs"]);
    // A name that the folder passes on is an import of the file where it is defined.
    let shut = tree(&[mod_rs, a, b, ("heap/c.rs", "use crate::heap::A; pub struct C;")]);
    assert_eq!(shut.circles().len(), 1);
}

#[test]
fn a_long_file_is_seen() {
    let text = |lines: usize| "//\n".repeat(lines);
    let (short, long) = (text(rules::LINES_MAX), text(rules::LINES_MAX + 1));
    let files = files(&[("short.rs", &short), ("long.rs", &long)]);
    assert_eq!(rules::long(&files).collect::<Vec<_>>(), ["long.rs"]);
}

#[test]
fn a_second_home_and_a_second_name_are_seen() {
    let tree = tree(&[
        ("heap/mod.rs", "pub struct Heap; impl Heap {} impl Clone for Heap {}"),
        ("heap/fast_path.rs", "use crate::heap::Heap; impl Heap {} impl Drop for Heap {}"),
        ("trace.rs", "enum Heap {}"),
        ("port.rs", "trait Port {}"),
    ]);
    assert_eq!(tree.names_used_twice(), ["Heap: heap/mod.rs, trace.rs"]);
    let second = tree.second_impls();
    assert_eq!(second.len(), 1, "{second:?}");
    assert!(second.contains(&("Heap".into(), "heap/fast_path.rs".into())));
}

#[test]
fn unsafe_code_is_seen_and_comments_about_it_are_not() {
    let file = |text: &str| File { path: "x.rs".into(), text: text.into() };
    assert!(says(&file("fn f() { unsafe { g() } }"), "unsafe"));
    assert!(!says(&file("// unsafe\n#![allow(unsafe_code)]\nmod tests { unsafe {} }"), "unsafe"));
    let bare = rules::unsafe_without_reason(&file("fn f() {\n    unsafe { g() }\n}"));
    assert_eq!(bare, ["x.rs:2: unsafe { g() }"]);
    let said = "// SAFETY: checked above.\nunsafe { g() }";
    assert!(rules::unsafe_without_reason(&file(said)).is_empty());
}

#[test]
fn a_word_that_has_to_be_decoded_is_seen_and_its_neighbours_are_not() {
    let count = |text: &str| words::forbidden("x.rs", text).len();
    assert_eq!(count("help: mend it"), 1);
    assert_eq!(count("let brood_size = 1;"), 1);
    assert_eq!(count("/// Answers the sum."), 1);
    assert_eq!(count("a schedule drawn by chance, so many times"), 2);
    assert_eq!(count("I recommend a moment to amend the answers"), 0);
}
