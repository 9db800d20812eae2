//! The service task-repository-sqlite: tasks in an SQLite file that several workers share, each with a
//! connection of its own. Nobody locks a task: an update says which version it is based on, and is a
//! conflict if there is a newer one.

mod model;
pub mod repository;
mod system;

pub use model::{Model, Row};
pub use repository::TaskRepository;
pub use system::{Error, Op, Reply, TaskRepositories, Worker};
