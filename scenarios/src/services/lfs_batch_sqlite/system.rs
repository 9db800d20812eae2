//! The system `lfs-batch-sqlite`: the server of `lfs-batch` over a durable store, SQLite in a file.
//!
//! Its state is what another process would find after this one was killed: the file and its journal
//! are copied as they are at that moment, and the copy is opened. So a batch that was replied to
//! must be there whatever fails after it, and a failed batch must not, even before it is rolled
//! back.

use std::ffi::CStr;
use std::fmt::{self, Debug};
use std::path::PathBuf;

use mallory::system::World;
use mallory::{Heap, Refused, System};
use serde::{Deserialize, Serialize};

use super::store::SqliteStore;
use crate::foreign::sqlite::killed::{copied, name};
use crate::foreign::sqlite::library::SqliteFailure;
use crate::services::lfs_batch::model::{Model, Object};
use crate::services::lfs_batch::server::Server;
use crate::services::lfs_batch::store::Store;
use crate::services::lfs_batch::system as lfs_batch;

/// The system, over one way to keep a batch in a database.
#[derive(Debug)]
pub struct LfsBatchSqlite<S = SqliteStore> {
    server: Server<S>,
    scratch: PathBuf,
}

/// A store in an SQLite file: the correct one, or one with a planted bug.
pub trait Durable: Store {
    /// The system's name over it.
    const NAME: &'static str;

    /// Over this one.
    fn over(store: SqliteStore) -> Self;

    /// The one below.
    fn sqlite(&self) -> &SqliteStore;

    /// The one below, to be closed and opened.
    fn sqlite_mut(&mut self) -> &mut SqliteStore;
}

impl Durable for SqliteStore {
    const NAME: &'static str = "lfs-batch-sqlite";

    fn over(store: SqliteStore) -> Self {
        store
    }

    fn sqlite(&self) -> &SqliteStore {
        self
    }

    fn sqlite_mut(&mut self) -> &mut SqliteStore {
        self
    }
}

/// What is done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A client's call.
    Call(lfs_batch::Op),
    /// The file is closed and opened again.
    Reopen,
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Out of memory.
    OutOfMemory,
    /// The call refers to a line that the input doesn't have.
    Call(lfs_batch::Error),
    /// The store failed for another reason than memory.
    Store(SqliteFailure),
}

impl From<SqliteFailure> for Error {
    fn from(failure: SqliteFailure) -> Self {
        if failure.is_oom() { Error::OutOfMemory } else { Error::Store(failure) }
    }
}

/// The text of a reply, with the same `Debug` text as the server's.
pub struct ReplyText(String);

impl Debug for ReplyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ReplyText {
    fn reopened() -> ReplyText {
        ReplyText("reopened".to_owned())
    }
}

const FILE: &str = "lfs.db";
impl<S: Durable> LfsBatchSqlite<S> {
    /// Reads the state from a copy of the file, or says what is wrong with it.
    fn look(&self) -> Result<Model, String> {
        let found = |path: &CStr| {
            let mut model = Model::default();
            let store = self.server.store().sqlite();
            let integrity = store.look(path, |oid, record| {
                model.objects.extend([lfs_batch::entry(oid, record)]);
            });
            match integrity {
                Ok(integrity) if integrity == "ok" => Ok(model),
                Ok(integrity) => Err(format!("integrity_check: {integrity}")),
                Err(failure) => Err(format!("{failure:?}")),
            }
        };
        found(&copied(&self.scratch, FILE)?)
    }
}

impl<S: Durable> System for LfsBatchSqlite<S> {
    const NAME: &'static str = S::NAME;

    type Op = Op;
    type Reply = ReplyText;
    type Error = Error;
    type Model = Model;

    fn open(heap: &Heap, world: &World<'_>) -> Result<Self, Error> {
        let store = SqliteStore::open(&heap.named("sqlite"), &name(&world.scratch.join(FILE)))?;
        let server = Server::new(heap, S::over(store));
        Ok(LfsBatchSqlite { server, scratch: world.scratch.to_owned() })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<ReplyText, Error> {
        match op {
            Op::Call(op) => {
                let call = op.call(world).map_err(Error::Call)?;
                let answer = self.server.answer(call);
                match (answer, self.server.store().sqlite().take_failure()) {
                    (_, Some(failure)) => Err(Error::Store(failure)),
                    (Err(Refused), None) => Err(Error::OutOfMemory),
                    (Ok(reply), None) => Ok(ReplyText(format!("{reply:?}"))),
                }
            }
            Op::Reopen => {
                let file = name(&self.scratch.join(FILE));
                self.server.store_mut().sqlite_mut().reopen(&file)?;
                Ok(ReplyText::reopened())
            }
        }
    }

    fn is_oom(error: &Error) -> bool {
        *error == Error::OutOfMemory
    }

    fn snapshot(&self) -> Model {
        self.look().unwrap_or_else(|what| {
            let (size, state) = (0, "damaged".to_owned());
            let object = Object { size, state, reference: Some(what), content_type: None };
            Model { objects: [("the file".to_owned(), object)].into() }
        })
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        match op {
            Op::Call(op) => ReplyText(format!("{:?}", op.answer(model, world))),
            Op::Reopen => ReplyText::reopened(),
        }
    }
}
