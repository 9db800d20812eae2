//! A durable metadata store: SQLite, with its memory from the heap that it is opened on.
//!
//! A batch is a transaction. One that failed is taken back at once, or, where there was no memory
//! for that either, before anything else is done.

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

use mallory::{Heap, Refused};

use super::oid::Oid;
use super::store::{Change, Known, Record, State, Store};
use crate::foreign::sqlite::library::{Bound, Connection, Failure, Library};

/// A store in a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    library: Rc<Library>,
    /// What went wrong that has nothing to do with memory.
    failure: RefCell<Option<Failure>>,
}

/// What is done to a database when it is opened. What is tried here is the death of a process, not
/// of the machine: nothing waits for the disk.
const OPENING: [&str; 3] = [
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = MEMORY",
    "CREATE TABLE IF NOT EXISTS object (oid TEXT PRIMARY KEY, size INTEGER NOT NULL,
       state INTEGER NOT NULL, reference TEXT, content_type TEXT) WITHOUT ROWID",
];

/// Why visiting stopped.
enum Stopped {
    Here(Failure),
    There(Refused),
}

impl From<Failure> for Stopped {
    fn from(failure: Failure) -> Self {
        Stopped::Here(failure)
    }
}

impl SqliteStore {
    /// Opens the store in this file, which is made where it is missing.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn open(heap: &Heap, file: &CStr) -> Result<Self, Failure> {
        let library = Library::begin(heap)?;
        let connection = Connection::open(&library, file)?;
        for sql in OPENING {
            connection.run(sql, &[])?;
        }
        Ok(SqliteStore { connection, library, failure: RefCell::new(None) })
    }

    /// Closes the file and opens it again.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says. The store is then as before.
    pub fn reopen(&mut self, file: &CStr) -> Result<(), Failure> {
        self.settle()?;
        let connection = Connection::open(&self.library, file)?;
        for sql in OPENING {
            connection.run(sql, &[])?;
        }
        self.connection = connection;
        Ok(())
    }

    /// What went wrong since the last time it was asked, memory apart.
    pub fn take_failure(&self) -> Option<Failure> {
        self.failure.take()
    }

    /// What another process would find in this file: all objects, and whether the file is whole.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn look(
        &self,
        file: &CStr,
        mut each: impl FnMut(&Oid, Record<'_>),
    ) -> Result<String, Failure> {
        let other = Connection::open(&self.library, file)?;
        visit(&other, |oid, record| {
            each(oid, record);
            Ok(())
        })
        .map_err(|stopped: Stopped| match stopped {
            Stopped::Here(failure) => failure,
            Stopped::There(Refused) => Failure::NoMemory,
        })?;
        let mut found = String::new();
        other.each("PRAGMA integrity_check", &[], |row| {
            found.push_str(row.text(0)?.unwrap_or("null"));
            Ok::<(), Failure>(())
        })?;
        Ok(found)
    }

    /// Takes back what a failed batch has left.
    fn settle(&self) -> Result<(), Failure> {
        if self.connection.in_transaction() {
            self.connection.run("ROLLBACK", &[])?;
        }
        Ok(())
    }

    /// In the words of a store, which knows of no failure but one.
    fn refused(&self, failure: Failure) -> Refused {
        if !failure.is_oom() {
            *self.failure.borrow_mut() = Some(failure);
        }
        Refused
    }

    fn find(&self, oid: &Oid) -> Result<Option<Known>, Failure> {
        self.settle()?;
        let mut known = None;
        let mut room = [0; Oid::DIGITS];
        let values = [oid.write(&mut room).into()];
        let sql = "SELECT size, state FROM object WHERE oid = ?";
        self.connection.each(sql, &values, |row| {
            known = Some(Known { size: row.number(0) as u64, state: state(row.number(1))? });
            Ok::<(), Failure>(())
        })?;
        Ok(known)
    }

    fn change(&self, change: &Change<'_>) -> Result<(), Failure> {
        let mut room = [0; Oid::DIGITS];
        let mut run = |sql, oid: &Oid, values: &[Bound<'_>]| {
            let mut all = [Bound::Null; 4];
            all[0] = oid.write(&mut room).into();
            all[1..=values.len()].copy_from_slice(values);
            self.connection.run(sql, &all[..=values.len()])
        };
        match *change {
            Change::Announce { oid, size, reference } => {
                let sql = "INSERT INTO object VALUES (?1, ?2, 0, ?3, NULL) ON CONFLICT DO NOTHING";
                run(sql, &oid, &[(size as i64).into(), reference.into()])
            }
            Change::Receive { oid, content_type } => {
                let sql = "UPDATE object SET state = 1, content_type = ?2 WHERE oid = ?1";
                run(sql, &oid, &[content_type.into()])
            }
            Change::Verify(oid) => run("UPDATE object SET state = 2 WHERE oid = ?1", &oid, &[]),
            Change::Remove(oid) => run("DELETE FROM object WHERE oid = ?1", &oid, &[]),
        }
    }

    fn batch(&self, changes: &[Change<'_>]) -> Result<(), Failure> {
        self.settle()?;
        if changes.is_empty() {
            return Ok(());
        }
        self.connection.run("BEGIN IMMEDIATE", &[])?;
        changes.iter().try_for_each(|change| self.change(change))?;
        self.connection.run("COMMIT", &[])
    }
}

fn state(number: i64) -> Result<State, Failure> {
    let state = usize::try_from(number).ok().and_then(|number| State::ALL.get(number));
    state.copied().ok_or_else(|| Failure::Code(-1, format!("there is no state {number}")))
}

fn visit(
    connection: &Connection,
    mut each: impl FnMut(&Oid, Record<'_>) -> Result<(), Refused>,
) -> Result<(), Stopped> {
    let sql = "SELECT oid, size, state, reference, content_type FROM object ORDER BY oid";
    connection.each(sql, &[], |row| {
        let oid = row.text(0)?.and_then(Oid::parse);
        let oid = oid.ok_or_else(|| Failure::Code(-1, "an id is none".to_owned()))?;
        let record = Record {
            size: row.number(1) as u64,
            state: state(row.number(2))?,
            reference: row.text(3)?,
            content_type: row.text(4)?,
        };
        each(&oid, record).map_err(Stopped::There)
    })
}

impl Store for SqliteStore {
    fn get(&self, oid: &Oid) -> Result<Option<Known>, Refused> {
        self.find(oid).map_err(|failure| self.refused(failure))
    }

    fn visit(
        &self,
        _: &Heap,
        each: &mut dyn FnMut(&Oid, Record<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let visited = self.settle().map_err(Stopped::Here);
        visited.and_then(|()| visit(&self.connection, each)).map_err(|stopped| match stopped {
            Stopped::Here(failure) => self.refused(failure),
            Stopped::There(refused) => refused,
        })
    }

    fn commit(&mut self, _: &Heap, changes: &[Change<'_>]) -> Result<(), Refused> {
        self.batch(changes).map_err(|failure| {
            // Where there is no memory for this either, the next call does it first.
            let _ = self.settle();
            self.refused(failure)
        })
    }
}
