//! A durable metadata store: SQLite, with its memory from the heap that it is opened on.
//!
//! A batch is a transaction. A failed one is rolled back at once or, if there is no memory for that
//! either, before the next call does anything else.

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::Rc;

use mallory::{Heap, Refused};

use crate::foreign::sqlite::library::{Bound, Connection, Library, SqliteFailure};
use crate::services::lfs_batch::oid::Oid;
use crate::services::lfs_batch::store::{
    KnownObject, ObjectRecord, ObjectState, Store, StoreChange,
};

/// A store in a file.
#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    library: Rc<Library>,
    /// The latest failure that was not out of memory.
    failure: RefCell<Option<SqliteFailure>>,
}

/// Run when a database is opened. The scenario is about killed processes, not about power failures,
/// so nothing waits for the disk.
const OPENING: [&str; 3] = [
    "PRAGMA synchronous = OFF",
    "PRAGMA temp_store = MEMORY",
    "CREATE TABLE IF NOT EXISTS object (oid TEXT PRIMARY KEY, size INTEGER NOT NULL,
       state INTEGER NOT NULL, reference TEXT, content_type TEXT) WITHOUT ROWID",
];

/// Why visiting stopped.
enum Stopped {
    Here(SqliteFailure),
    There(Refused),
}

impl From<SqliteFailure> for Stopped {
    fn from(failure: SqliteFailure) -> Self {
        Stopped::Here(failure)
    }
}

impl SqliteStore {
    /// Opens the store in this file, which is made where it is missing.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn open(heap: &Heap, file: &CStr) -> Result<Self, SqliteFailure> {
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
    pub fn reopen(&mut self, file: &CStr) -> Result<(), SqliteFailure> {
        self.settle()?;
        let connection = Connection::open(&self.library, file)?;
        for sql in OPENING {
            connection.run(sql, &[])?;
        }
        self.connection = connection;
        Ok(())
    }

    /// The failure since the last call of this function, unless it was out of memory.
    pub fn take_failure(&self) -> Option<SqliteFailure> {
        self.failure.take()
    }

    /// What another process would find in this file: all objects, and whether the file is whole.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn look(
        &self,
        file: &CStr,
        mut each: impl FnMut(&Oid, ObjectRecord<'_>),
    ) -> Result<String, SqliteFailure> {
        let other = Connection::open(&self.library, file)?;
        visit(&other, |oid, record| {
            each(oid, record);
            Ok(())
        })
        .map_err(|stopped: Stopped| match stopped {
            Stopped::Here(failure) => failure,
            Stopped::There(Refused) => SqliteFailure::NoMemory,
        })?;
        let mut found = String::new();
        other.each("PRAGMA integrity_check", &[], |row| {
            found.push_str(row.text(0)?.unwrap_or("null"));
            Ok::<(), SqliteFailure>(())
        })?;
        Ok(found)
    }

    /// Rolls back what a failed batch left.
    fn settle(&self) -> Result<(), SqliteFailure> {
        if self.connection.in_transaction() {
            self.connection.run("ROLLBACK", &[])?;
        }
        Ok(())
    }

    /// A failure as the error of a `Store`, which is always out of memory; another failure is kept.
    fn refused(&self, failure: SqliteFailure) -> Refused {
        if !failure.is_oom() {
            *self.failure.borrow_mut() = Some(failure);
        }
        Refused
    }

    fn find(&self, oid: &Oid) -> Result<Option<KnownObject>, SqliteFailure> {
        self.settle()?;
        let mut known = None;
        let mut room = [0; Oid::DIGITS];
        let values = [oid.write(&mut room).into()];
        let sql = "SELECT size, state FROM object WHERE oid = ?";
        self.connection.each(sql, &values, |row| {
            known = Some(KnownObject { size: row.number(0) as u64, state: state(row.number(1))? });
            Ok::<(), SqliteFailure>(())
        })?;
        Ok(known)
    }

    fn change(&self, change: &StoreChange<'_>) -> Result<(), SqliteFailure> {
        let mut room = [0; Oid::DIGITS];
        let mut run = |sql, oid: &Oid, values: &[Bound<'_>]| {
            let mut all = [Bound::Null; 4];
            all[0] = oid.write(&mut room).into();
            all[1..=values.len()].copy_from_slice(values);
            self.connection.run(sql, &all[..=values.len()])
        };
        match *change {
            StoreChange::Announce { oid, size, reference } => {
                let sql = "INSERT INTO object VALUES (?1, ?2, 0, ?3, NULL) ON CONFLICT DO NOTHING";
                run(sql, &oid, &[(size as i64).into(), reference.into()])
            }
            StoreChange::Receive { oid, content_type } => {
                let sql = "UPDATE object SET state = 1, content_type = ?2 WHERE oid = ?1";
                run(sql, &oid, &[content_type.into()])
            }
            StoreChange::Verify(oid) => {
                run("UPDATE object SET state = 2 WHERE oid = ?1", &oid, &[])
            }
            StoreChange::Remove(oid) => run("DELETE FROM object WHERE oid = ?1", &oid, &[]),
        }
    }

    fn batch(&self, changes: &[StoreChange<'_>]) -> Result<(), SqliteFailure> {
        self.settle()?;
        if changes.is_empty() {
            return Ok(());
        }
        self.connection.run("BEGIN IMMEDIATE", &[])?;
        changes.iter().try_for_each(|change| self.change(change))?;
        self.connection.run("COMMIT", &[])
    }
}

fn state(number: i64) -> Result<ObjectState, SqliteFailure> {
    let state = usize::try_from(number).ok().and_then(|number| ObjectState::ALL.get(number));
    state.copied().ok_or_else(|| SqliteFailure::Code(-1, format!("there is no state {number}")))
}

fn visit(
    connection: &Connection,
    mut each: impl FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
) -> Result<(), Stopped> {
    let sql = "SELECT oid, size, state, reference, content_type FROM object ORDER BY oid";
    connection.each(sql, &[], |row| {
        let oid = row.text(0)?.and_then(Oid::parse);
        let oid = oid.ok_or_else(|| SqliteFailure::Code(-1, "an id is none".to_owned()))?;
        let record = ObjectRecord {
            size: row.number(1) as u64,
            state: state(row.number(2))?,
            reference: row.text(3)?,
            content_type: row.text(4)?,
        };
        each(&oid, record).map_err(Stopped::There)
    })
}

impl Store for SqliteStore {
    fn get(&self, oid: &Oid) -> Result<Option<KnownObject>, Refused> {
        self.find(oid).map_err(|failure| self.refused(failure))
    }

    fn visit(
        &self,
        _: &Heap,
        each: &mut dyn FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let visited = self.settle().map_err(Stopped::Here);
        visited.and_then(|()| visit(&self.connection, each)).map_err(|stopped| match stopped {
            Stopped::Here(failure) => self.refused(failure),
            Stopped::There(refused) => refused,
        })
    }

    fn commit(&mut self, _: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused> {
        self.batch(changes).map_err(|failure| {
            // Where there is no memory for this either, the next call does it first.
            let _ = self.settle();
            self.refused(failure)
        })
    }
}
