//! The batch call: for each object that a client names, the response says what to do next, and new
//! objects are announced to the store.

use std::fmt;

use allocator_api2::vec::Vec;
use hashbrown::HashMap;
use mallory::{Heap, Refused};

use super::fault::{Error, Fault, Place, Problem};
use super::oid::Oid;
use super::request::{self, Batch, Operation, Wanted};
use super::response::{Json, Response};
use super::store::{ObjectState, Store, StoreChange};
use crate::memory::bytes::{refused, try_push, try_with_capacity};
use crate::memory::hash::FixedState;

/// Where clients send objects and get them.
const OBJECTS: &str = "https://lfs.example.com/objects";

/// Where clients ask whether an upload has arrived.
const VERIFY: &str = "https://lfs.example.com/verify";

/// How many seconds an action is valid.
const EXPIRES_IN: u32 = 3600;

const BINARY: &str = "application/octet-stream";
const LFS_JSON: &str = "application/vnd.git-lfs+json";

/// The answer about one object.
#[derive(Clone, Copy)]
enum ObjectAnswer {
    Download(Oid),
    Upload(Oid),
    /// The server has it already.
    Nothing,
    Error(Problem),
}

/// Replies to a batch request.
///
/// # Errors
/// What is wrong with the request as a whole, or out of memory.
pub(super) fn answer<'a>(
    store: &impl Store,
    request: &'a [u8],
    arena: &'a Heap,
) -> Result<Response<'a>, Error> {
    let batch = request::batch(request, arena)?;
    let mut changes = Vec::new_in(arena);
    let answers = match batch.operation {
        Operation::Download => downloads(store, &batch, arena)?,
        Operation::Upload => uploads(store, &batch, arena, &mut changes)?,
    };
    let bad = answers.iter().all(|answer| matches!(answer, ObjectAnswer::Error(_)));
    if bad && batch.operation == Operation::Upload && !answers.is_empty() {
        let place = Place::Member("objects");
        return Err(Fault::Invalid(place, "none of them is valid").into());
    }
    let response = Response::new(arena, 200, |json| {
        json.key("transfer")?;
        json.string("basic")?;
        json.key("objects")?;
        json.array(|json| {
            let mut pairs = batch.objects.iter().zip(&answers);
            pairs.try_for_each(|(wanted, answer)| write_object(json, wanted, *answer))
        })?;
        json.key("hash_algo")?;
        json.string("sha256")
    })?;
    Ok(Response { changes, ..response })
}

type Answers<'a> = Vec<ObjectAnswer, &'a Heap>;

fn downloads<'a>(
    store: &impl Store,
    batch: &Batch<'a>,
    arena: &'a Heap,
) -> Result<Answers<'a>, Refused> {
    let mut answers = try_with_capacity(batch.objects.len(), arena)?;
    for wanted in &batch.objects {
        let answer = match Oid::parse(wanted.oid) {
            None => ObjectAnswer::Error(Problem::Oid),
            Some(oid) => match store.get(&oid)? {
                None => ObjectAnswer::Error(Problem::Absent),
                Some(record) if record.state == ObjectState::Pending => {
                    ObjectAnswer::Error(Problem::Absent)
                }
                Some(record) if record.size != wanted.size => ObjectAnswer::Error(Problem::Size),
                Some(_) => ObjectAnswer::Download(oid),
            },
        };
        try_push(&mut answers, answer)?;
    }
    Ok(answers)
}

fn uploads<'a>(
    store: &impl Store,
    batch: &Batch<'a>,
    arena: &'a Heap,
    changes: &mut Vec<StoreChange<'a>, &'a Heap>,
) -> Result<Answers<'a>, Refused> {
    let mut answers = try_with_capacity(batch.objects.len(), arena)?;
    // What this batch announces itself: the store doesn't know it yet.
    let mut announced = HashMap::with_hasher_in(FixedState::default(), arena);
    announced.try_reserve(batch.objects.len()).map_err(refused)?;
    for &Wanted { oid, size } in &batch.objects {
        let Some(oid) = Oid::parse(oid) else {
            try_push(&mut answers, ObjectAnswer::Error(Problem::Oid))?;
            continue;
        };
        let known = match store.get(&oid)? {
            Some(record) => Some((record.size, record.state)),
            None => announced.get(&oid).map(|size| (*size, ObjectState::Pending)),
        };
        let answer = match known {
            Some((known, _)) if known != size => ObjectAnswer::Error(Problem::Size),
            Some((_, ObjectState::Stored | ObjectState::Verified)) => ObjectAnswer::Nothing,
            Some((_, ObjectState::Pending)) => ObjectAnswer::Upload(oid),
            None => {
                announced.insert(oid, size);
                let reference = batch.reference;
                try_push(changes, StoreChange::Announce { oid, size, reference })?;
                ObjectAnswer::Upload(oid)
            }
        };
        try_push(&mut answers, answer)?;
    }
    Ok(answers)
}

fn write_object(json: &mut Json<'_>, wanted: &Wanted<'_>, answer: ObjectAnswer) -> fmt::Result {
    json.object(|json| {
        json.key("oid")?;
        json.string(wanted.oid)?;
        json.key("size")?;
        json.literal(wanted.size)?;
        if let ObjectAnswer::Error(problem) = answer {
            json.key("error")?;
            return json.object(|json| {
                json.key("code")?;
                json.literal(problem.code())?;
                json.key("message")?;
                json.string(problem)
            });
        }
        json.key("authenticated")?;
        json.literal(true)?;
        match answer {
            ObjectAnswer::Download(oid) => {
                json.key("actions")?;
                json.object(|json| {
                    let href = format_args!("{OBJECTS}/{oid}");
                    write_action(json, "download", href, ("Accept", BINARY))
                })
            }
            ObjectAnswer::Upload(oid) => {
                json.key("actions")?;
                json.object(|json| {
                    let href = format_args!("{OBJECTS}/{oid}");
                    write_action(json, "upload", href, ("Content-Type", BINARY))?;
                    write_action(json, "verify", format_args!("{VERIFY}"), ("Accept", LFS_JSON))
                })
            }
            ObjectAnswer::Nothing | ObjectAnswer::Error(_) => Ok(()),
        }
    })
}

fn write_action(
    json: &mut Json<'_>,
    name: &'static str,
    href: fmt::Arguments<'_>,
    (header, value): (&'static str, &str),
) -> fmt::Result {
    json.key(name)?;
    json.object(|json| {
        json.key("href")?;
        json.string(href)?;
        json.key("header")?;
        json.object(|json| {
            json.key(header)?;
            json.string(value)
        })?;
        json.key("expires_in")?;
        json.literal(EXPIRES_IN)
    })
}
