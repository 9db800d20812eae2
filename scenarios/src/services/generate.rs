//! Random parameters of operations. Most are taken from a few known names and ids, so that
//! different operations refer to the same thing; some are arbitrary.

use std::fmt::Write as _;

use arbitrary::{Arbitrary, Result, Unstructured};
use sha2::{Digest, Sha256};

use super::circuit_breaker::Policy;

/// Paths of the sample log, and one that is not in it.
const PATHS: [&str; 6] =
    ["src/lib.rs", "src/parse.rs", "README.md", "docs/old.md", "nowhere", "Cargo.toml"];

/// Contents of objects.
const CONTENTS: [&str; 4] = ["", "a", "RIFF....WAVEfmt intro", "\u{89}PNG not really"];

/// How many requests the fixture has, one a line.
const LINES: usize = 57;

/// One of these with a probability of seven eighths, otherwise any string.
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

/// A name: usually one of a few, sometimes around the length of a block or beyond any limit.
pub(crate) fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    Ok(match how {
        ..192 => {
            ["anna", "bela", "chloé", "d\"Artagnan", "", "zoe"][usize::from(how) % 6].to_owned()
        }
        192..208 => "n".repeat(usize::from(how) + 56),
        208..216 => "x".repeat(usize::from(how) + 300),
        216.. => u.arbitrary()?,
    })
}

/// A region: usually one of a few, written in different ways.
pub(crate) fn region(u: &mut Unstructured<'_>) -> Result<String> {
    mostly(u, &["north", " North", "south", "NORTH ", "global", "île"])
}

/// A container's id: usually one of a few, sometimes around the greatest length.
pub(crate) fn container(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    Ok(match how {
        ..224 => ["web", "db", "cache", "queue", "é"][usize::from(how) % 5].to_owned(),
        224..232 => "c".repeat(usize::from(how) + 29),
        232.. => u.arbitrary()?,
    })
}

/// A few values: at most eight.
pub(crate) fn few<'a, T: Arbitrary<'a>>(u: &mut Unstructured<'a>) -> Result<Vec<T>> {
    (0..u.arbitrary::<u8>()? % 9).map(|_| u.arbitrary()).collect()
}

/// A key of a value: usually one of a few, sometimes around the greatest length.
pub(crate) fn key(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    Ok(match how {
        ..232 => ["a", "b", "c", "total", "", "é"][usize::from(how) % 6].to_owned(),
        232..240 => "k".repeat(usize::from(how) - 107),
        240.. => u.arbitrary()?,
    })
}

/// A template, most of whose keys are known; sometimes one that is too long when it is expanded.
pub(crate) fn template(u: &mut Unstructured<'_>) -> Result<String> {
    let known = ["", "1", "x\"y\n", "${a}", "${a}-${b}", "$${é} {}", "${c}${c}${c}", "${a", "${}"];
    let text = mostly(u, &known)?;
    Ok(match u.arbitrary::<u8>()? {
        how @ 240.. => text.repeat(usize::from(how) * 4),
        _ => text,
    })
}

/// A listener's name: usually one of a few, sometimes around the greatest length.
pub(crate) fn listener(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    Ok(match how {
        ..240 => ["ui", "audit", "retry", "é", "", "mail", "1", "2", "3"][usize::from(how) % 9]
            .to_owned(),
        240..248 => "l".repeat(usize::from(how) - 115),
        248.. => u.arbitrary()?,
    })
}

/// Lines of a few kinds, most of them well formed.
fn lines(u: &mut Unstructured<'_>, known: &[&str]) -> Result<String> {
    let mut text = String::new();
    for _ in 0..u.arbitrary::<u8>()? % 5 {
        text.push_str(&mostly(u, known)?);
        text.push('\n');
    }
    Ok(text)
}

/// A container's specification.
pub(crate) fn specification(u: &mut Unstructured<'_>) -> Result<String> {
    let known = ["limit=16384", "env=A=1", "env=PATH=/bin", "limit=0", "", "env=", "image=b"];
    let image = if u.arbitrary::<u8>()? >= 16 { "image=alpine\n" } else { "" };
    Ok(format!("{image}{}", lines(u, &known)?))
}

/// The daemon's configuration.
pub(crate) fn configuration(u: &mut Unstructured<'_>) -> Result<String> {
    let known =
        ["name=lxd", "container_limit=8192", "daemon_limit=20000", "daemon_limit=9000", "x="];
    lines(u, &known)
}

/// A service's name: usually one of a few, sometimes around the greatest length.
pub(crate) fn service(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    Ok(match how {
        ..224 => ["web", "db", "mail", "queue", "dns", "é"][usize::from(how) % 6].to_owned(),
        224..232 => "s".repeat(usize::from(how) - 100),
        232.. => u.arbitrary()?,
    })
}

/// The key of a setting.
pub(crate) fn setting(u: &mut Unstructured<'_>) -> Result<String> {
    mostly(u, &["host", "port", "mode", "user", "größe", "a=b", ""])
}

/// Settings that a service is configured with.
pub(crate) fn settings(u: &mut Unstructured<'_>) -> Result<String> {
    let known = ["host=a.example", " port = 80", "mode=", "user=b=c", "größe=7", "", "# x", "port"];
    lines(u, &known)
}

/// Settings that override others.
pub(crate) fn overrides(u: &mut Unstructured<'_>) -> Result<Vec<(String, String)>> {
    let mut overrides = Vec::new();
    for _ in 0..u.arbitrary::<u8>()? % 4 {
        overrides.push((setting(u)?, mostly(u, &["80", "a.example", "", "7", "two\nlines"])?));
    }
    Ok(overrides)
}

/// When a circuit opens: usually after few failures, and not for long.
pub(crate) fn policy(u: &mut Unstructured<'_>) -> Result<Policy> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 {
        return u.arbitrary();
    }
    Ok(Policy { failures: how % 4, open_ms: milliseconds(u)?, trials: how / 4 % 4 })
}

/// Usually a round number of milliseconds.
pub(crate) fn milliseconds(u: &mut Unstructured<'_>) -> Result<u32> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 { u.arbitrary() } else { Ok(u32::from(how % 8) * 250) }
}

/// Usually a small number.
pub(crate) fn count(u: &mut Unstructured<'_>) -> Result<usize> {
    let near = u.arbitrary::<u8>()?;
    if near == 255 { u.arbitrary() } else { Ok(usize::from(near % 24)) }
}

/// The number of a line of the fixture.
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

/// Usually the id of one of the contents.
pub(crate) fn oid(u: &mut Unstructured<'_>) -> Result<String> {
    let how = u.arbitrary::<u8>()?;
    if how >= 240 {
        return u.arbitrary();
    }
    Ok(oid_of(CONTENTS[usize::from(how) % CONTENTS.len()]))
}

/// A pointer file, or text that resembles one.
pub(crate) fn pointer(u: &mut Unstructured<'_>) -> Result<String> {
    if u.arbitrary::<u8>()? >= 224 {
        return u.arbitrary();
    }
    let (oid, size) = (oid(u)?, count(u)?);
    Ok(format!("version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"))
}

/// A request's JSON, or text that resembles it.
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
