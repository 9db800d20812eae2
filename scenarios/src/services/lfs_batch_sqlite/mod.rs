//! The service lfs-batch-sqlite: the server of lfs-batch over a durable store, SQLite in a file.

pub mod store;
mod system;

pub use system::{Durable, Error, LfsBatchSqlite, Op, ReplyText};
