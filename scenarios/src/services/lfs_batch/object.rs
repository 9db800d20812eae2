//! The calls about one object (upload, verification, pointer file, removal), and the list of all.

use std::fmt;

use mallory::Heap;

use super::fault::{Error, Fault, Problem};
use super::oid::Oid;
use super::pointer::Pointer;
use super::request;
use super::response::{Json, Response};
use super::store::{ObjectRecord, ObjectState, Store, StoreChange};
use crate::memory::bytes::{refused, try_push};

type CallResult<'a> = Result<Response<'a>, Error>;

/// Takes the content of an object that was announced. Content that was uploaded before is checked
/// again and changes nothing: a client may repeat a call.
///
/// # Errors
/// What is wrong with the content, or out of memory.
pub(super) fn upload<'a>(
    store: &impl Store,
    oid: &str,
    content_type: Option<&'a str>,
    content: &[u8],
    arena: &'a Heap,
) -> CallResult<'a> {
    let oid = checked(oid)?;
    let record = store.get(&oid)?.ok_or(Problem::Absent)?;
    if record.size != content.len() as u64 {
        return Err(Problem::Size.into());
    }
    if oid != Oid::of(content) {
        return Err(Problem::Content.into());
    }
    let mut response = done(arena)?;
    if record.state == ObjectState::Pending {
        try_push(&mut response.changes, StoreChange::Receive { oid, content_type })?;
    }
    Ok(response)
}

/// Replies to a verify request: has the upload arrived?
///
/// # Errors
/// It has not, or out of memory.
pub(super) fn verify<'a>(store: &impl Store, request: &'a [u8], arena: &'a Heap) -> CallResult<'a> {
    let wanted = request::verify(request, arena)?;
    let oid = checked(wanted.oid)?;
    let record = store.get(&oid)?.filter(|record| record.state != ObjectState::Pending);
    let record = record.ok_or(Problem::Absent)?;
    if record.size != wanted.size {
        return Err(Problem::Size.into());
    }
    let mut response = done(arena)?;
    if record.state == ObjectState::Stored {
        try_push(&mut response.changes, StoreChange::Verify(oid))?;
    }
    Ok(response)
}

/// Reads a pointer file: the object that it names is looked up, or announced where it is new.
/// The response contains the file, written in the current version.
///
/// # Errors
/// What is wrong with the file, or out of memory.
pub(super) fn pointer<'a>(store: &impl Store, text: &str, arena: &'a Heap) -> CallResult<'a> {
    let pointer = Pointer::parse(text).map_err(Fault::Pointer)?;
    let Pointer { oid, size, .. } = pointer;
    let known = store.get(&oid)?;
    if known.is_some_and(|record| record.size != size) {
        return Err(Problem::Size.into());
    }
    let state = known.map_or(ObjectState::Pending, |record| record.state);
    let is_new = known.is_none();
    let mut response = Response::new(arena, 200, |json| {
        write_head(json, &oid, size, state)?;
        json.key("pointer")?;
        json.string(pointer)
    })?;
    if is_new {
        let change = StoreChange::Announce { oid, size, reference: None };
        try_push(&mut response.changes, change)?;
    }
    Ok(response)
}

/// Forgets an object.
///
/// # Errors
/// It is not there, or out of memory.
pub(super) fn remove<'a>(store: &impl Store, oid: &str, arena: &'a Heap) -> CallResult<'a> {
    let oid = checked(oid)?;
    store.get(&oid)?.ok_or(Problem::Absent)?;
    let mut response = done(arena)?;
    try_push(&mut response.changes, StoreChange::Remove(oid))?;
    Ok(response)
}

/// Lists all objects.
///
/// # Errors
/// Out of memory.
pub(super) fn list<'a>(store: &impl Store, arena: &'a Heap) -> CallResult<'a> {
    let response = Response::new(arena, 200, |json| {
        json.key("objects")?;
        json.array(|json| {
            let mut each = |oid: &Oid, record: ObjectRecord<'_>| {
                write_record(json, oid, record).map_err(refused)
            };
            store.visit(arena, &mut each).map_err(|_| fmt::Error)
        })
    })?;
    Ok(response)
}

fn checked(oid: &str) -> Result<Oid, Problem> {
    Oid::parse(oid).ok_or(Problem::Oid)
}

/// The empty response to a call that succeeded.
fn done(arena: &Heap) -> CallResult<'_> {
    Ok(Response::new(arena, 200, |_| Ok(()))?)
}

fn write_head(json: &mut Json<'_>, oid: &Oid, size: u64, state: ObjectState) -> fmt::Result {
    json.key("oid")?;
    json.string(oid)?;
    json.key("size")?;
    json.literal(size)?;
    json.key("state")?;
    json.string(state.name())
}

fn write_record(json: &mut Json<'_>, oid: &Oid, record: ObjectRecord<'_>) -> fmt::Result {
    json.object(|json| {
        write_head(json, oid, record.size, record.state)?;
        if let Some(reference) = record.reference {
            json.key("ref")?;
            json.string(reference)?;
        }
        if let Some(content_type) = record.content_type {
            json.key("content_type")?;
            json.string(content_type)?;
        }
        Ok(())
    })
}
