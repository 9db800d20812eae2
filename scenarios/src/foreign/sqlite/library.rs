//! The part of SQLite's interface that the scenarios need, with SQLite's memory taken from a heap.
//! Its table of memory functions has no context argument, so the heap is kept in a static slot.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{null, null_mut};
use std::rc::Rc;
use std::sync::OnceLock;

use libsqlite3_sys as ffi;
use mallory::Heap;
use mallory::c::{InSlot, Occupied};

mallory::c::c_slot! {
    /// Where SQLite's memory comes from.
    struct Memory;
}

/// An error of SQLite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SqliteFailure {
    /// Out of memory.
    NoMemory,
    /// Any other error: its extended code and message.
    Code(c_int, String),
}

impl SqliteFailure {
    /// Whether memory ran out.
    #[must_use]
    pub fn is_oom(&self) -> bool {
        *self == SqliteFailure::NoMemory
    }

    /// The error that a code means.
    fn of(code: c_int, text: impl FnOnce() -> String) -> Result<(), SqliteFailure> {
        match code {
            ffi::SQLITE_OK => Ok(()),
            ffi::SQLITE_NOMEM | ffi::SQLITE_IOERR_NOMEM => Err(SqliteFailure::NoMemory),
            code => Err(SqliteFailure::Code(code, text())),
        }
    }
}

/// The size of the block that SQLite gets for a request: exactly the size asked for.
unsafe extern "C" fn x_roundup(size: c_int) -> c_int {
    size
}

unsafe extern "C" fn x_init(_: *mut c_void) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn x_shutdown(_: *mut c_void) {}

static METHODS: Methods = Methods(ffi::sqlite3_mem_methods {
    xMalloc: Some(Memory::malloc_int),
    xFree: Some(Memory::free),
    xRealloc: Some(Memory::realloc_int),
    xSize: Some(Memory::usable_size_int),
    xRoundup: Some(x_roundup),
    xInit: Some(x_init),
    xShutdown: Some(x_shutdown),
    pAppData: null_mut(),
});

/// SQLite copies them.
struct Methods(ffi::sqlite3_mem_methods);

// SAFETY: functions, and a pointer to nothing.
unsafe impl Sync for Methods {}

/// SQLite, initialized on a heap until this is dropped. Only one can exist in a process at a time.
#[derive(Debug)]
pub struct Library {
    /// Dropped after SQLite has given everything back.
    _stay: Occupied,
}

impl Library {
    /// Initializes SQLite for one thread, without statistics and without its own pool (lookaside),
    /// so that each of its requests is a request of the heap. Its random numbers are seeded.
    ///
    /// # Errors
    /// Out of memory, or that the slot is taken.
    pub fn begin(heap: &Heap) -> Result<Rc<Library>, SqliteFailure> {
        let taken =
            |error: mallory::Error| SqliteFailure::Code(ffi::SQLITE_MISUSE, error.to_string());
        let library = Library { _stay: Memory::slot().occupy(heap).map_err(taken)? };
        let said = || "sqlite3_config or sqlite3_initialize refused".to_owned();
        // SAFETY: nothing of SQLite is in use: there is one library at a time, and each is shut
        // down before it leaves its slot. The arguments of each option have its types.
        let codes = unsafe {
            [
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_SINGLETHREAD),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const METHODS.0),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int),
                ffi::sqlite3_config(ffi::SQLITE_CONFIG_LOOKASIDE, 0 as c_int, 0 as c_int),
                ffi::sqlite3_initialize(),
                ffi::sqlite3_test_control(
                    ffi::SQLITE_TESTCTRL_PRNG_SEED,
                    1 as c_int,
                    null_mut::<c_void>(),
                ),
            ]
        };
        codes.into_iter().try_for_each(|code| SqliteFailure::of(code, said))?;
        Ok(Rc::new(library))
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: connections hold the library, so none is left.
        unsafe { ffi::sqlite3_shutdown() };
    }
}

/// The name of the file system below.
const FILES: &CStr = c"as-named";

/// Registers a file system that opens files by the names as given. By default SQLite makes them
/// absolute; blocks that hold a path would then have another size on every machine.
fn files() -> Result<(), SqliteFailure> {
    unsafe extern "C" fn as_named(
        _: *mut ffi::sqlite3_vfs,
        name: *const c_char,
        room: c_int,
        out: *mut c_char,
    ) -> c_int {
        // SAFETY: SQLite passes a string, and room for this many bytes.
        unsafe {
            let name = CStr::from_ptr(name).to_bytes_with_nul();
            if usize::try_from(room).is_ok_and(|room| name.len() <= room) {
                out.cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), name.len());
                return ffi::SQLITE_OK;
            }
        }
        ffi::SQLITE_CANTOPEN
    }
    /// A copy of the default file system with another function in it.
    struct Files(usize);
    static KEPT: OnceLock<Files> = OnceLock::new();
    let kept = KEPT.get_or_init(|| {
        // SAFETY: SQLite is begun, so there is a default, which stays where it is.
        let system = unsafe { ffi::sqlite3_vfs_find(null()) };
        // SAFETY: as above; its functions look at nothing in it but what is copied.
        let mut files = unsafe { system.read() };
        files.zName = FILES.as_ptr();
        files.xFullPathname = Some(as_named);
        files.pNext = null_mut();
        Files(Box::into_raw(Box::new(files)) as usize)
    });
    // SAFETY: it stays where it is from here on; registering it again moves it in SQLite's list.
    let code = unsafe { ffi::sqlite3_vfs_register(kept.0 as *mut ffi::sqlite3_vfs, 0) };
    SqliteFailure::of(code, || "the file system is not taken".to_owned())
}

/// The value for a question mark in a statement.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// Nothing.
    Null,
    /// A number.
    Number(i64),
    /// A text.
    Text(&'a str),
}

impl From<i64> for Bound<'_> {
    fn from(number: i64) -> Self {
        Bound::Number(number)
    }
}

impl<'a> From<&'a str> for Bound<'a> {
    fn from(text: &'a str) -> Self {
        Bound::Text(text)
    }
}

impl<'a> From<Option<&'a str>> for Bound<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Bound::Null, Bound::Text)
    }
}

/// A connection to a database.
#[derive(Debug)]
pub struct Connection {
    raw: *mut ffi::sqlite3,
    /// Goes after the connection is closed.
    _library: Rc<Library>,
}

impl Connection {
    /// Opens the database with this name; `:memory:` is one in memory.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn open(library: &Rc<Library>, name: &CStr) -> Result<Self, SqliteFailure> {
        files()?;
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE;
        let mut raw = null_mut();
        // SAFETY: strings, and a place for the result.
        let code =
            unsafe { ffi::sqlite3_open_v2(name.as_ptr(), &raw mut raw, flags, FILES.as_ptr()) };
        // Even a failed call returns a handle, unless there was no memory for it; this closes it.
        let connection = Connection { raw, _library: Rc::clone(library) };
        connection.check(code)?;
        Ok(connection)
    }

    fn check(&self, code: c_int) -> Result<(), SqliteFailure> {
        SqliteFailure::of(code, || {
            // SAFETY: the handle is open; the text is copied at once.
            unsafe {
                let code = ffi::sqlite3_extended_errcode(self.raw);
                let text = CStr::from_ptr(ffi::sqlite3_errmsg(self.raw)).to_string_lossy();
                format!("{text} ({code})")
            }
        })
    }

    /// Runs one statement with these values for its question marks.
    ///
    /// # Errors
    /// Out of memory, or what SQLite says.
    pub fn run(&self, sql: &str, values: &[Bound<'_>]) -> Result<(), SqliteFailure> {
        self.each(sql, values, |_| Ok(()))
    }

    /// Runs one statement and calls `see` with each of its rows.
    ///
    /// # Errors
    /// Out of memory, what SQLite says, or the error of `see`.
    pub fn each<E: From<SqliteFailure>>(
        &self,
        sql: &str,
        values: &[Bound<'_>],
        mut see: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut statement = Statement { raw: null_mut(), connection: self };
        let length = c_int::try_from(sql.len()).expect("a statement is short");
        // SAFETY: the text is this long, and there is a place for the result.
        let code = unsafe {
            let raw = &raw mut statement.raw;
            ffi::sqlite3_prepare_v2(self.raw, sql.as_ptr().cast(), length, raw, null_mut())
        };
        self.check(code)?;
        for (place, value) in (1..).zip(values) {
            statement.bind(place, *value)?;
        }
        while statement.step()? {
            see(&Row(&statement))?;
        }
        Ok(())
    }

    /// How many rows the latest statement has inserted, changed or removed.
    #[must_use]
    pub fn changes(&self) -> i64 {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_changes64(self.raw) }
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        // SAFETY: the handle is open.
        unsafe { ffi::sqlite3_get_autocommit(self.raw) == 0 }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: no statement is left, they borrow the connection; null is allowed.
        let code = unsafe { ffi::sqlite3_close(self.raw) };
        debug_assert_eq!(code, ffi::SQLITE_OK, "closing has nothing to wait for");
    }
}

struct Statement<'c> {
    raw: *mut ffi::sqlite3_stmt,
    connection: &'c Connection,
}

impl Statement<'_> {
    fn bind(&self, place: c_int, value: Bound<'_>) -> Result<(), SqliteFailure> {
        // SAFETY: the statement is prepared; texts are copied (`SQLITE_TRANSIENT`).
        let code = unsafe {
            match value {
                Bound::Null => ffi::sqlite3_bind_null(self.raw, place),
                Bound::Number(number) => ffi::sqlite3_bind_int64(self.raw, place, number),
                Bound::Text(text) => {
                    let length = c_int::try_from(text.len()).expect("a text is short");
                    let start = text.as_ptr().cast();
                    let copied = ffi::SQLITE_TRANSIENT();
                    ffi::sqlite3_bind_text(self.raw, place, start, length, copied)
                }
            }
        };
        self.connection.check(code)
    }

    fn step(&self) -> Result<bool, SqliteFailure> {
        // SAFETY: the statement is prepared; one of nothing but blanks is null, and misused.
        match unsafe { ffi::sqlite3_step(self.raw) } {
            ffi::SQLITE_ROW => Ok(true),
            ffi::SQLITE_DONE => Ok(false),
            code => self.connection.check(code).map(|()| false),
        }
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: prepared here, or null, which is allowed.
        unsafe { ffi::sqlite3_finalize(self.raw) };
    }
}

/// The current row of a statement.
pub struct Row<'s>(&'s Statement<'s>);

impl Row<'_> {
    /// How many columns it has.
    #[must_use]
    pub fn columns(&self) -> c_int {
        // SAFETY: the statement is prepared.
        unsafe { ffi::sqlite3_column_count(self.0.raw) }
    }

    /// The number in this column, from 0.
    #[must_use]
    pub fn number(&self, column: c_int) -> i64 {
        // SAFETY: there is a row; a column that isn't there is null, and zero.
        unsafe { ffi::sqlite3_column_int64(self.0.raw, column) }
    }

    /// The text in this column, from 0; `None` if it is null.
    ///
    /// # Errors
    /// Out of memory.
    pub fn text(&self, column: c_int) -> Result<Option<&str>, SqliteFailure> {
        let wrong = || SqliteFailure::Code(ffi::SQLITE_MISMATCH, "a text is not UTF-8".to_owned());
        // SAFETY: there is a row; a text lives until the next step, which `&self` keeps away.
        unsafe {
            if ffi::sqlite3_column_type(self.0.raw, column) == ffi::SQLITE_NULL {
                return Ok(None);
            }
            let text = ffi::sqlite3_column_text(self.0.raw, column);
            if text.is_null() {
                return Err(SqliteFailure::NoMemory);
            }
            CStr::from_ptr(text.cast()).to_str().map(Some).map_err(|_| wrong())
        }
    }
}
