//! The model of the server: its state and its calls.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Write as _};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::complaint::{Complaint, absent, complain, is_oid, no_oid, other_size};
use super::{json, pointer};

/// Everything that a server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// Objects by id.
    pub objects: BTreeMap<String, Object>,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes.
    pub size: u64,
    /// `pending`, `stored` or `verified`.
    pub state: String,
    /// The ref that it was announced for.
    pub reference: Option<String>,
    /// The content type that its uploader named.
    pub content_type: Option<String>,
}

/// A reply, with the same `Debug` text as the server's.
pub struct ModelReply {
    status: u16,
    body: String,
}

impl Debug for ModelReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.body)
    }
}

#[derive(Serialize)]
struct Message {
    message: String,
}

#[derive(Serialize)]
struct Batch {
    transfer: &'static str,
    objects: Vec<BatchObject>,
    hash_algo: &'static str,
}

#[derive(Default, Serialize)]
struct BatchObject {
    oid: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<Actions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

#[derive(Default, Serialize)]
struct Actions {
    #[serde(skip_serializing_if = "Option::is_none")]
    download: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Action>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verify: Option<Action>,
}

#[derive(Serialize)]
struct Action {
    href: String,
    header: BTreeMap<&'static str, &'static str>,
    expires_in: u32,
}

#[derive(Serialize)]
struct Error {
    code: u16,
    message: String,
}

#[derive(Serialize)]
struct Listed<'a> {
    oid: &'a str,
    size: u64,
    state: &'a str,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
}

#[derive(Serialize)]
struct List<'a> {
    objects: Vec<Listed<'a>>,
}

#[derive(Serialize)]
struct Empty {}

fn answer(result: Result<String, Complaint>) -> ModelReply {
    match result {
        Ok(body) => ModelReply { status: 200, body },
        Err((status, message)) => ModelReply { status, body: written(&Message { message }) },
    }
}

fn written(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain structs")
}

fn action(name: &'static str, oid: &str) -> Action {
    let (path, header) = match name {
        "download" => (format!("objects/{oid}"), ("Accept", "application/octet-stream")),
        "upload" => (format!("objects/{oid}"), ("Content-Type", "application/octet-stream")),
        _ => ("verify".to_owned(), ("Accept", "application/vnd.git-lfs+json")),
    };
    let href = format!("https://lfs.example.com/{path}");
    Action { href, header: BTreeMap::from([header]), expires_in: 3600 }
}

impl Model {
    /// Replies to a batch request.
    pub fn batch(&mut self, request: &[u8]) -> ModelReply {
        answer(self.try_batch(request))
    }

    /// Replies to a verify request.
    pub fn verify(&mut self, request: &[u8]) -> ModelReply {
        answer(self.try_verify(request))
    }

    /// Takes an object's content.
    pub fn upload(&mut self, oid: &str, content_type: Option<&str>, content: &str) -> ModelReply {
        answer(self.try_upload(oid, content_type, content))
    }

    /// Reads a pointer file.
    pub fn pointer(&mut self, text: &str) -> ModelReply {
        answer(self.try_pointer(text))
    }

    /// Forgets an object.
    pub fn remove(&mut self, oid: &str) -> ModelReply {
        let removed = match self.objects.remove(oid) {
            Some(_) => Ok(written(&Empty {})),
            None if is_oid(oid) => absent(),
            None => no_oid(),
        };
        answer(removed)
    }

    /// Lists all objects.
    pub fn list(&self) -> ModelReply {
        let listed = self.objects.iter().map(|(oid, object)| Listed {
            oid,
            size: object.size,
            state: &object.state,
            reference: object.reference.as_deref(),
            content_type: object.content_type.as_deref(),
            pointer: None,
        });
        answer(Ok(written(&List { objects: listed.collect() })))
    }

    /// The object, if its content is there.
    fn uploaded(&mut self, oid: &str, size: u64) -> Result<&mut Object, Complaint> {
        if !is_oid(oid) {
            return no_oid();
        }
        match self.objects.get_mut(oid) {
            None => absent(),
            Some(object) if object.state == "pending" => absent(),
            Some(object) if object.size != size => other_size(),
            Some(object) => Ok(object),
        }
    }

    fn try_batch(&mut self, request: &[u8]) -> Result<String, Complaint> {
        let request = json::parse(request)?;
        let (uploads, reference, wanted) = json::batch(&request)?;
        let mut after = self.clone();
        let mut objects = Vec::new();
        for (oid, size) in wanted {
            let found = if uploads {
                after.announce(&oid, size, reference.as_deref())
            } else {
                self.uploaded(&oid, size).map(|_| vec!["download"])
            };
            let mut object = BatchObject { oid, size, ..BatchObject::default() };
            match found {
                Err((code, message)) => object.error = Some(Error { code, message }),
                Ok(names) => {
                    object.authenticated = Some(true);
                    for name in names {
                        let actions = object.actions.get_or_insert_default();
                        let slot = match name {
                            "download" => &mut actions.download,
                            "upload" => &mut actions.upload,
                            _ => &mut actions.verify,
                        };
                        *slot = Some(action(name, &object.oid));
                    }
                }
            }
            objects.push(object);
        }
        if uploads && !objects.is_empty() && objects.iter().all(|object| object.error.is_some()) {
            return complain(422, "objects: none of them is valid");
        }
        *self = after;
        Ok(written(&Batch { transfer: "basic", objects, hash_algo: "sha256" }))
    }

    /// Announces an object, and names the actions that a client is to take.
    fn announce(
        &mut self,
        oid: &str,
        size: u64,
        reference: Option<&str>,
    ) -> Result<Vec<&'static str>, Complaint> {
        if !is_oid(oid) {
            return no_oid();
        }
        let object = self.objects.entry(oid.to_owned()).or_insert_with(|| Object {
            size,
            state: "pending".to_owned(),
            reference: reference.map(str::to_owned),
            content_type: None,
        });
        if object.size != size {
            return other_size();
        }
        Ok(if object.state == "pending" { vec!["upload", "verify"] } else { Vec::new() })
    }

    fn try_verify(&mut self, request: &[u8]) -> Result<String, Complaint> {
        let request = json::parse(request)?;
        let (oid, size) = json::wanted(&request, "")?;
        self.uploaded(&oid, size)?.state = "verified".to_owned();
        Ok(written(&Empty {}))
    }

    fn try_upload(
        &mut self,
        oid: &str,
        content_type: Option<&str>,
        content: &str,
    ) -> Result<String, Complaint> {
        if !is_oid(oid) {
            return no_oid();
        }
        let Some(object) = self.objects.get_mut(oid) else {
            return absent();
        };
        if object.size != content.len() as u64 {
            return other_size();
        }
        let mut digits = String::new();
        for byte in Sha256::digest(content) {
            write!(digits, "{byte:02x}").expect("a String takes everything");
        }
        if digits != oid {
            return complain(422, "content is not the object's");
        }
        if object.state == "pending" {
            object.state = "stored".to_owned();
            object.content_type = content_type.map(str::to_owned);
        }
        Ok(written(&Empty {}))
    }

    fn try_pointer(&mut self, text: &str) -> Result<String, Complaint> {
        let (oid, size, pointer) = pointer::read(text)
            .map_err(|(line, problem)| (422, format!("pointer file, line {line}: {problem}")))?;
        self.announce(&oid, size, None)?;
        let state = &self.objects[&oid].state;
        let pointer = Some(pointer);
        Ok(written(&Listed {
            oid: &oid,
            size,
            state,
            reference: None,
            content_type: None,
            pointer,
        }))
    }
}
