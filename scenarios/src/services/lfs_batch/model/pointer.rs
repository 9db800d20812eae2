//! The model's reading of pointer files, line by line.

use super::complaint::is_oid;

/// The pointer's id and size, and its text in the present version; or a line and what is wrong.
pub(super) fn read(text: &str) -> Result<(String, u64, String), (usize, &'static str)> {
    let present = "version https://git-lfs.github.com/spec/v1\n";
    let earlier = "version https://hawser.github.com/spec/v1\n";
    if text.len() >= 1024 {
        return Err((1, "the file is not smaller than 1024 bytes"));
    }
    let mut written = present.to_owned();
    let (mut oid, mut size, mut last) = (None, None, "");
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        number += 1;
        let wrong = |problem| Err((number, problem));
        if size.is_some() {
            return wrong("more lines than a pointer file has");
        }
        let Some(whole) = line.strip_suffix('\n') else {
            return wrong("no newline at its end");
        };
        let Some((key, value)) = whole.split_once(' ') else {
            return wrong("no space between key and value");
        };
        let hash = value.strip_prefix("sha256:").filter(|hash| is_oid(hash));
        if number == 1 {
            if key != "version" {
                return wrong("another key is expected here");
            }
            if line != present && line != earlier {
                return wrong("an unknown version");
            }
        } else if oid.is_none() && key.starts_with("ext-") {
            let parts: Vec<&str> = key.splitn(3, '-').collect();
            let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
            match parts[..] {
                [_, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9", rest]
                    if !rest.is_empty() && rest.chars().all(name) => {}
                _ => return wrong("not an extension's key"),
            }
            if key <= last {
                return wrong("extensions are not sorted");
            }
            if hash.is_none() {
                return wrong("not a SHA-256 object id");
            }
            last = key;
            written += line;
        } else if oid.is_none() {
            if key != "oid" {
                return wrong("another key is expected here");
            }
            let Some(hash) = hash else {
                return wrong("not a SHA-256 object id");
            };
            oid = Some(hash.to_owned());
            written += line;
        } else {
            if key != "size" {
                return wrong("another key is expected here");
            }
            match value.parse::<u64>() {
                Ok(bytes) if bytes.to_string() == value => size = Some(bytes),
                _ => return wrong("not a size"),
            }
            written += line;
        }
    }
    match (oid, size) {
        (Some(oid), Some(size)) => Ok((oid, size, written)),
        _ => Err((number + 1, "the file ends before it")),
    }
}
