//! A session of a client with the server, over the requests of the fixture: the operations that
//! the tests share.

use mallory_scenarios::services::lfs_batch::{Op, Request};

/// The fixture: one request a line.
pub(crate) const REQUESTS: &[u8] = include_bytes!("../../../fixtures/lfs-requests.jsonl");

/// The contents of the fixture's objects, and their types.
const CONTENTS: [(&str, Option<&str>, &str); 6] = [
    (LOGO, Some("image/png"), "\u{89}PNG not really, but a logo all the same\n"),
    (INTRO, None, "RIFF....WAVEfmt intro music of the trailer\n"),
    (MESH, Some("model/obj"), "o spaceship\nv 0.0 1.0 0.0\nv 1.0 0.0 0.0\nf 1 2 3\n"),
    (FONT, Some("font/otf; charset=\"utf-8\""), "OTTO naïve façade Ωmega\n"),
    (MAP, None, "terrain: höhenmodell, Zürich 2024\n"),
    (EMPTY, Some(""), ""),
];

pub(crate) const LOGO: &str = "7032678ab7d043a2b00556a79f773edff24739aa486b83ae48abdeb825929483";
const INTRO: &str = "0edbb3b2fd763c13a57a42526a3ad281de4ce89373b067b0d1a38cd28feb97c4";
pub(crate) const MESH: &str = "9addc09d31b5bb6f48daced5ebd07ce7de91b5eed32343bddc2e75b3fac6370a";
const FONT: &str = "d70c75363b203310e4d8aa7e1d4324966fa24327181d2558e5e5238a77211f99";
const MAP: &str = "e836d894a433e16c01b78943264427f0a506643609e1176b4daecdce2d365191";
pub(crate) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Uploads the `nth` of [`CONTENTS`].
fn upload(nth: usize) -> Op {
    let (oid, content_type, content) = CONTENTS[nth];
    Op::Upload {
        oid: oid.to_owned(),
        content_type: content_type.map(str::to_owned),
        content: content.to_owned(),
    }
}

/// A pointer file with an extension.
fn pointer(oid: &str, size: u64) -> Op {
    Op::Pointer(format!(
        "version https://hawser.github.com/spec/v1\n\
         ext-0-scan sha256:{EMPTY}\n\
         oid sha256:{oid}\n\
         size {size}\n"
    ))
}

fn batch(line: usize) -> Op {
    Op::Batch(Request::Line(line))
}

fn verify(line: usize) -> Op {
    Op::Verify(Request::Line(line))
}

/// A first push, and pushes and pulls of branches after it.
pub(crate) fn pushes() -> Vec<Op> {
    let mut ops = vec![Op::List, upload(0), verify(2), batch(1), verify(2), upload(1), upload(0)];
    ops.extend([upload(0), verify(2), verify(2), verify(3), upload(2), verify(4)]);
    ops.extend([batch(5), upload(3), verify(6)]);
    ops.extend((7..=15).map(batch));
    ops.extend([upload(5), verify(16), verify(17), upload(4), verify(17), verify(18), Op::List]);
    ops
}

/// Requests that are unusual but correct, and some that are partly correct.
pub(crate) fn oddities() -> Vec<Op> {
    let mut ops = vec![batch(1), upload(0)];
    ops.extend((19..=26).map(batch));
    ops.push(Op::List);
    ops
}

/// Requests that are rejected as a whole.
pub(crate) fn mistakes() -> Vec<Op> {
    (27..=57).map(batch).collect()
}

/// Pointer files, a content that is not the object's, and removals.
pub(crate) fn upkeep() -> Vec<Op> {
    let zeroes = "0".repeat(64);
    let mut ops = vec![batch(5), upload(0), upload(3)];
    ops.extend([pointer(FONT, 27), pointer(FONT, 28), pointer(&zeroes, 5)]);
    ops.push(Op::Pointer("not a pointer\n".to_owned()));
    ops.push(Op::Upload { oid: zeroes, content_type: None, content: "wrong".to_owned() });
    ops.extend([LOGO, LOGO, "no oid"].map(|oid| Op::Remove(oid.to_owned())));
    ops.extend([batch(5), batch(7), Op::List]);
    ops
}

/// All of it, one after the other.
pub(crate) fn session() -> Vec<Op> {
    [pushes(), oddities(), mistakes(), upkeep()].concat()
}
