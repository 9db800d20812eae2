//! The systems `lfs-batch` and `lfs-batch-arena`: a Git LFS server's batch API over a metadata store
//! in memory, with a block for each text or with all texts in an arena.
//!
//! Its input is a file of requests, one JSON text a line, which operations refer to by number.

use std::fmt::Debug;

use arbitrary::Arbitrary;
use mallory::system::World;
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use super::fields::{ArenaFields, Fields, HeapFields};
use super::model::{Model, ModelReply, Object};
use super::oid::Oid;
use super::response::Reply;
use super::server::{Call, Server};
use super::store::{MemoryStore, ObjectRecord};
use crate::services::generate;

/// The system. Its store keeps texts as `F` does it.
#[derive(Debug)]
pub struct LfsServer<F: Fields> {
    server: Server<MemoryStore<F>>,
}

/// The server whose store has a block for each text.
pub type LfsBatch = LfsServer<HeapFields>;

/// The server whose store has all texts in an arena.
pub type LfsBatchArena = LfsServer<ArenaFields>;

/// A call of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Op {
    /// Asks how to upload or download objects.
    Batch(Request),
    /// Asks whether an upload has arrived.
    Verify(Request),
    /// Sends an object's content.
    Upload {
        /// The object's id.
        #[arbitrary(with = generate::oid)]
        oid: String,
        /// The content type that the client names.
        #[serde(default)]
        content_type: Option<String>,
        /// The content.
        #[arbitrary(with = generate::content)]
        content: String,
    },
    /// Looks up, or announces, what a pointer file names.
    Pointer(#[arbitrary(with = generate::pointer)] String),
    /// Forgets an object.
    Remove(#[arbitrary(with = generate::oid)] String),
    /// Lists all objects.
    List,
}

/// Where a request's JSON is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Arbitrary)]
pub enum Request {
    /// In the operation itself.
    Text(#[arbitrary(with = generate::request)] String),
    /// In the line of the input with this number, from 1.
    Line(#[arbitrary(with = generate::line)] usize),
}

impl Request {
    fn bytes<'a>(&'a self, world: &World<'a>) -> Result<&'a [u8], Error> {
        match self {
            Request::Text(text) => Ok(text.as_bytes()),
            Request::Line(number) => line(world.input, *number).ok_or(Error::NoLine(*number)),
        }
    }
}

fn line(input: &[u8], number: usize) -> Option<&[u8]> {
    let input = input.strip_suffix(b"\n").unwrap_or(input);
    input.split(|byte| *byte == b'\n').nth(number.checked_sub(1)?)
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Out of memory.
    OutOfMemory,
    /// The input has no line of this number.
    NoLine(usize),
}

impl From<Refused> for Error {
    fn from(_: Refused) -> Self {
        Error::OutOfMemory
    }
}

impl<F: Fields> System for LfsServer<F> {
    const NAME: &'static str = F::SYSTEM;

    type Op = Op;
    type Reply = Reply;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Error> {
        Ok(LfsServer { server: Server::new(heap, MemoryStore::with_fields(heap)) })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Reply, Error> {
        Ok(self.server.answer(op.call(world)?)?)
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        let objects = self.server.store().iter();
        Model { objects: objects.map(|(oid, record)| entry(oid, record)).collect() }
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        op.answer(model, world)
    }
}

/// What a store knows of an object, in the model's types.
pub(crate) fn entry(oid: &Oid, record: ObjectRecord<'_>) -> (String, Object) {
    let object = Object {
        size: record.size,
        state: record.state.name().to_owned(),
        reference: record.reference.map(str::to_owned),
        content_type: record.content_type.map(str::to_owned),
    };
    (oid.to_string(), object)
}

impl Op {
    /// As a call of the server.
    pub(crate) fn call<'a>(&'a self, world: &World<'a>) -> Result<Call<'a>, Error> {
        Ok(match self {
            Op::Batch(request) => Call::Batch(request.bytes(world)?),
            Op::Verify(request) => Call::Verify(request.bytes(world)?),
            Op::Upload { oid, content_type, content } => {
                let (content_type, content) = (content_type.as_deref(), content.as_bytes());
                Call::Upload { oid, content_type, content }
            }
            Op::Pointer(text) => Call::Pointer(text),
            Op::Remove(oid) => Call::Remove(oid),
            Op::List => Call::List,
        })
    }

    /// The model's reply.
    pub(crate) fn answer(&self, model: &mut Model, world: &World<'_>) -> ModelReply {
        // `apply` returns an error for a missing line, whatever the model says.
        let bytes = |request: &Request| request.bytes(world).unwrap_or_default().to_owned();
        match self {
            Op::Batch(request) => model.batch(&bytes(request)),
            Op::Verify(request) => model.verify(&bytes(request)),
            Op::Upload { oid, content_type, content } => {
                model.upload(oid, content_type.as_deref(), content)
            }
            Op::Pointer(text) => model.pointer(text),
            Op::Remove(oid) => model.remove(oid),
            Op::List => model.list(),
        }
    }
}
