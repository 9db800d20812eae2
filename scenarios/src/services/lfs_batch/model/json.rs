//! The model's reading of requests, by serde_json, and its own rule for where JSON goes wrong: at
//! the first token that no continuation makes valid.

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::Value;

use super::complaint::Complaint;

fn complain<T>(status: u16, message: String) -> Result<T, Complaint> {
    Err((status, message))
}

/// Reads a request as JSON.
pub(super) fn parse(request: &[u8]) -> Result<Value, Complaint> {
    if request.len() > 262_144 {
        return complain(413, "request: longer than 262144 bytes".to_owned());
    }
    let text = match std::str::from_utf8(request) {
        Ok(text) => text,
        Err(error) => return complain(400, format!("not UTF-8 at byte {}", error.valid_up_to())),
    };
    let tokens = tokens(text);
    let start = |nth: usize| tokens.get(nth).map_or(text.len(), |token| token.start);

    let lexical = tokens.iter().position(|token| !is_token(&text[token.clone()]));
    let viable = |token: &Range<usize>| is_viable(&text[..token.end]);
    let bad = tokens.partition_point(viable).min(lexical.unwrap_or(tokens.len()));
    let deep = too_deep(text, &tokens);
    if deep < bad {
        let at = start(deep);
        return complain(400, format!("JSON nested deeper than 32 levels at byte {at}"));
    }
    if bad < tokens.len() || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return complain(400, format!("malformed JSON at byte {}", start(bad)));
    }
    let value = serde_json::from_str(&plain_numbers(text, &tokens)).expect("checked above");
    if matches!(value, Value::Object(_)) {
        Ok(value)
    } else {
        complain(422, "request: not an object".to_owned())
    }
}

/// Strings (to their end, or the text's), words and numbers, and single characters.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match first {
            ' ' | '\t' | '\r' | '\n' => {
                at += 1;
                continue;
            }
            '"' => {
                let mut escaped = true;
                let end = rest.bytes().position(|byte| {
                    let ends = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped || ends;
                    ends
                });
                end.map_or(rest.len(), |end| end + 1)
            }
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        tokens.push(at..at + length);
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+-.".contains(c)
}

fn is_token(token: &str) -> bool {
    if token.starts_with('"') {
        return serde_json::from_str::<String>(token).is_ok();
    }
    if token.starts_with(is_word) {
        return serde_json::from_str::<IgnoredAny>(token).is_ok();
    }
    matches!(token, "[" | "]" | "{" | "}" | "," | ":")
}

/// Whether more text can make this valid JSON, or it is already.
fn is_viable(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).map_or_else(|error| error.is_eof(), |_| true)
}

/// The first bracket that is one too many inside others.
fn too_deep(text: &str, tokens: &[Range<usize>]) -> usize {
    let mut depth = 0_usize;
    let found = tokens.iter().position(|token| {
        match &text[token.clone()] {
            "[" | "{" => depth += 1,
            "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > 32
    });
    found.unwrap_or(tokens.len())
}

/// The text with every number that is not a `u64` made 0.5: they are all alike to the protocol,
/// but serde_json refuses those that no `f64` can hold.
fn plain_numbers(text: &str, tokens: &[Range<usize>]) -> String {
    let mut plain = String::new();
    for token in tokens {
        let token = &text[token.clone()];
        let number = token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        plain += if number && token.parse::<u64>().is_err() { "0.5" } else { token };
    }
    plain
}

fn member<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    object.get(key).filter(|value| !value.is_null())
}

type BatchParts = (bool, Option<String>, Vec<(String, u64)>);

/// A batch request: whether it uploads, for which ref, and what.
pub(super) fn batch(request: &Value) -> Result<BatchParts, Complaint> {
    let wrong = |message: &str| complain(422, message.to_owned());
    let uploads = match member(request, "operation") {
        None => return wrong("operation: missing"),
        Some(Value::String(name)) if name == "upload" => true,
        Some(Value::String(name)) if name == "download" => false,
        Some(Value::String(_)) => return wrong("operation: neither upload nor download"),
        Some(_) => return wrong("operation: not a string"),
    };
    match member(request, "transfers") {
        None => {}
        Some(Value::Array(names)) if names.is_empty() => {}
        Some(Value::Array(names)) if !names.iter().all(Value::is_string) => {
            return wrong("transfers: not a list of strings");
        }
        Some(Value::Array(names)) if names.contains(&Value::from("basic")) => {}
        Some(Value::Array(_)) => return wrong("transfers: only basic is served"),
        Some(_) => return wrong("transfers: not a list of strings"),
    }
    let reference = match member(request, "ref") {
        None => None,
        Some(Value::Object(of)) if of.get("name").is_some_and(Value::is_string) => {
            of["name"].as_str().map(str::to_owned)
        }
        Some(_) => return wrong("ref: not an object with a name"),
    };
    match member(request, "hash_algo") {
        None => {}
        Some(Value::String(name)) if name == "sha256" => {}
        Some(Value::String(_)) => {
            return complain(409, "hash_algo: only sha256 is served".to_owned());
        }
        Some(_) => return wrong("hash_algo: not a string"),
    }
    let items = match member(request, "objects") {
        None => return wrong("objects: missing"),
        Some(Value::Array(items)) if items.len() > 1000 => {
            return complain(413, "objects: more than 1000".to_owned());
        }
        Some(Value::Array(items)) => items,
        Some(_) => return wrong("objects: not a list"),
    };
    let mut objects = Vec::new();
    for (nth, item) in items.iter().enumerate() {
        match item {
            Value::Null => return wrong(&format!("objects[{nth}]: missing")),
            Value::Object(_) => objects.push(wanted(item, &format!("objects[{nth}]."))?),
            _ => return wrong(&format!("objects[{nth}]: not an object")),
        }
    }
    Ok((uploads, reference, objects))
}

/// The object that a request, or an item of it, is about.
pub(super) fn wanted(item: &Value, place: &str) -> Result<(String, u64), Complaint> {
    let oid = match member(item, "oid") {
        None => return complain(422, format!("{place}oid: missing")),
        Some(Value::String(oid)) => oid.clone(),
        Some(_) => return complain(422, format!("{place}oid: not a string")),
    };
    let size = member(item, "size").map(Value::as_u64);
    match size {
        None => complain(422, format!("{place}size: missing")),
        Some(None) => complain(422, format!("{place}size: not a whole number")),
        Some(Some(size)) => Ok((oid, size)),
    }
}
