//! What operations are drawn with: few names and ids, so that the same ones come again, and now
//! and then anything at all.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};
use sha2::{Digest, Sha256};

/// Paths of the sample log, and one that nobody knows.
const PATHS: [&str; 6] =
    ["src/lib.rs", "src/parse.rs", "README.md", "docs/old.md", "nowhere", "Cargo.toml"];

/// Contents of objects.
const CONTENTS: [&str; 4] = ["", "a", "RIFF....WAVEfmt intro", "\u{89}PNG not really"];

/// Requests of the fixture: one a line.
const LINES: usize = 57;

/// One of these in seven of eight, and anything else.
fn mostly(u: &mut Unstructured<'_>, known: &[&str]) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 224 {
        return u.arbitrary();
    }
    Ok(known[usize::from(how) % known.len()].to_owned())
}

/// A path.
pub(crate) fn path(u: &mut Unstructured<'_>) -> Result<String> {
    mostly(u, &PATHS)
}

/// A small number in most cases.
pub(crate) fn count(u: &mut Unstructured<'_>) -> Result<usize> {
    let near = u.arbitrary::<u8>()?;
    if near == 255 { u.arbitrary() } else { Ok(usize::from(near % 24)) }
}

/// A line of the fixture.
pub(crate) fn line(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(1 + usize::from(u.arbitrary::<u8>()?) % LINES)
}

/// A content.
pub(crate) fn content(u: &mut Unstructured<'_>) -> Result<String> {
    mostly(u, &CONTENTS)
}

fn oid_of(content: &str) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An object's id: of one of the contents, in most cases.
pub(crate) fn oid(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 {
        return u.arbitrary();
    }
    Ok(oid_of(CONTENTS[usize::from(how) % CONTENTS.len()]))
}

/// A pointer file, or what only resembles one.
pub(crate) fn pointer(u: &mut Unstructured<'_>) -> Result<String> {
    if u.arbitrary::<u8>()? >= 224 {
        return u.arbitrary();
    }
    let (oid, size) = (oid(u)?, count(u)?);
    Ok(format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"))
}

/// A request's JSON, or what only resembles it.
pub(crate) fn request(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 {
        return u.arbitrary();
    }
    if how >= 192 {
        return object(u);
    }
    let operation = mostly(u, &["upload", "download", "verify"])?;
    let mut text = format!("{{\"operation\":{operation:?}");
    if how & 1 != 0 {
        let transfer = mostly(u, &["basic", "ssh"])?;
        let _ = write!(text, ",\"transfers\":[{transfer:?}]");
    }
    if how & 2 != 0 {
        let _ = write!(text, ",\"ref\":{{\"name\":{:?}}}", mostly(u, &["refs/heads/main"])?);
    }
    text.push_str(",\"objects\":[");
    for nth in 0..u.arbitrary::<u8>()? % 5 {
        text.push_str(if nth == 0 { "" } else { "," });
        text.push_str(&object(u)?);
    }
    text.push(']');
    if how & 4 != 0 {
        text.push_str(",\"hash_algo\":\"sha256\"");
    }
    text.push('}');
    Ok(text)
}

fn object(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(format!("{{\"oid\":{:?},\"size\":{}}}", oid(u)?, count(u)?))
}
