//! The service journal-intern: an append-only journal of changes whose paths and object ids are
//! handles of an intern table, so that a string that occurs many times is stored once.
//!
//! Every operation first reserves what it needs and then changes the journal: nothing can fail once
//! the first record is touched, so an error leaves everything as it was, reference counts too.

mod journal;
mod model;
mod operation;
mod record;
mod system;

pub use journal::JournalIntern;
pub use model::Model;
pub use operation::{Error, Op, Path, Reply};
pub use record::Entry;
