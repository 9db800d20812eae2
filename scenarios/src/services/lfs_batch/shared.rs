//! One metadata store for several workers, each with a server of its own.
//!
//! A call reads the store, decides, and commits later: another worker may have committed in
//! between. The store's changes allow for that: announcing a known object and receiving the content
//! of a removed one do nothing.

use mallory::{Heap, Refused};

use super::oid::Oid;
use super::store::{KnownObject, MemoryStore, ObjectRecord, Store, StoreChange};
use crate::sync::{Arc, PoisonError, RwLock};

/// A handle on a store that it shares with its clones.
#[derive(Clone, Debug)]
pub struct SharedStore {
    store: Arc<RwLock<MemoryStore>>,
}

impl SharedStore {
    /// Shares a store.
    #[must_use]
    pub fn new(store: MemoryStore) -> Self {
        SharedStore { store: Arc::new(RwLock::new(store)) }
    }
}

// A commit changes all or nothing, and a visitor that panics changes nothing: poison means nothing.
impl Store for SharedStore {
    fn get(&self, oid: &Oid) -> Result<Option<KnownObject>, Refused> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).get(oid)
    }

    fn visit(
        &self,
        scratch: &Heap,
        each: &mut dyn FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.store.read().unwrap_or_else(PoisonError::into_inner).visit(scratch, each)
    }

    fn commit(&mut self, scratch: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused> {
        let store = self.store.write();
        store.unwrap_or_else(PoisonError::into_inner).commit(scratch, changes)
    }
}
