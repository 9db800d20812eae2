//! The journal behind one lock, with a writer, a reader and a compactor: the reader sees a record
//! as it was written, or an older one, but never an older one after a newer; compaction loses none.

use mallory::{Heap, Refused, System};

use super::join::join;
use crate::services::git_log::{ChangeKind, Id};
use crate::services::journal_intern::{Entry, JournalIntern};
use crate::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use crate::thread;

const PATH: &[u8] = b"src/lib.rs";
const RECORDS: u8 = 2;

#[derive(Clone)]
struct Shared(Arc<RwLock<JournalIntern>>);

// An operation that fails changes nothing, so poison means nothing.
impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, JournalIntern> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, JournalIntern> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object id of twenty times this byte.
fn id(byte: u8) -> Id {
    Id::from_bytes(&[byte; 20]).expect("20 bytes are an id")
}

/// The record with this number, counted from 1; 0 means that there is none.
fn record(number: u8) -> Entry<&'static [u8]> {
    let (old, new) = (id(number - 1), id(number));
    Entry { commit: id(0xc0), path: PATH, kind: ChangeKind::Modified, old, new }
}

fn write(journal: &Shared) -> Result<u8, Refused> {
    for number in 1..=RECORDS {
        journal.write().append(&[record(number)])?;
    }
    Ok(RECORDS)
}

/// The number of the newest record.
fn newest(journal: &Shared) -> Result<u8, Refused> {
    let Some(entry) = journal.read().lookup(PATH)? else {
        return Ok(0);
    };
    let number = entry.new.as_bytes()[0];
    let Entry { commit, path, kind, old, new } = entry;
    let found = Entry { commit, path: path.0.as_slice(), kind, old, new };
    assert_eq!((1..=RECORDS).map(record).find(|written| *written == found), Some(record(number)));
    Ok(number)
}

fn read(journal: &Shared) -> Result<u8, Refused> {
    let first = newest(journal)?;
    let second = newest(journal)?;
    assert!(first <= second, "record {second} after record {first}");
    Ok(second)
}

/// The subject: returns the number of the newest record in the end.
///
/// # Errors
/// [`Refused`] where one of the threads ran out of memory.
pub fn write_read_compact(heap: &Heap) -> Result<usize, Refused> {
    let journal = Shared(Arc::new(RwLock::new(JournalIntern::new(heap))));
    let start = |work: fn(&Shared) -> Result<u8, Refused>| {
        let journal = journal.clone();
        thread::spawn(move || work(&journal))
    };
    let reader = start(read);
    let compactor = start(|journal| journal.write().compact().map(|_| 0));
    let written = write(&journal);
    let (read, compacted) = (join(reader), join(compactor));

    let state = journal.read().snapshot();
    let records = state.records.len();
    assert!(records <= usize::from(RECORDS));
    assert_eq!(
        state.newest.values().copied().collect::<Vec<_>>(),
        Vec::from_iter(records.checked_sub(1))
    );
    let references: u32 = state.references.values().sum();
    assert_eq!(references as usize, 4 * records, "four strings of each record");
    if let Ok(written) = written {
        let last = state.records.last().map(|entry| entry.new);
        assert_eq!(last, Some(id(written)), "the newest record is the last that was written");
    }
    read?;
    compacted?;
    Ok(usize::from(written?))
}
