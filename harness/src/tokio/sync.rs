//! Synchronisation between tasks: tokio's own, with a scheduling point before each poll and each
//! operation. Under loom there are no such points.

pub use ::tokio::sync::{AcquireError, TryAcquireError, TryLockError};

pub use crate::tokio::locks::{
    HeldGuard, Mutex, MutexGuard, OwnedMutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub use crate::tokio::notify::Notify;
pub use crate::tokio::semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use crate::tokio::{broadcast, mpsc, oneshot, watch};
