//! The metadata store: what the server knows of each object, behind a trait small enough for a
//! map in memory and for a database alike.
//!
//! The changes of a batch become visible together, or not at all.

use hashbrown::HashMap;
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use super::fields::{Fields, HeapFields};
use super::oid::Oid;
use crate::memory::bytes::{refused, try_push, try_with_capacity};
use crate::memory::hash::FixedState;

/// The state of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectState {
    /// Announced; its content has not been uploaded yet.
    Pending,
    /// Its content has come and has the right id.
    Stored,
    /// A client has verified the upload.
    Verified,
}

impl ObjectState {
    /// All of them, in the order in which an object passes through them.
    pub const ALL: [ObjectState; 3] =
        [ObjectState::Pending, ObjectState::Stored, ObjectState::Verified];

    /// Its name in replies.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ObjectState::Pending => "pending",
            ObjectState::Stored => "stored",
            ObjectState::Verified => "verified",
        }
    }
}

/// All that is kept of an object, lent by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectRecord<'a> {
    /// Bytes.
    pub size: u64,
    /// Its state.
    pub state: ObjectState,
    /// The ref that it was announced for.
    pub reference: Option<&'a str>,
    /// The content type that its uploader named.
    pub content_type: Option<&'a str>,
}

/// What a call needs to know of an object, as it was when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownObject {
    /// Bytes.
    pub size: u64,
    /// Its state.
    pub state: ObjectState,
}

/// One change of a batch.
#[derive(Clone, Copy, Debug)]
pub enum StoreChange<'a> {
    /// A new object is to come. One that is known already stays as it is.
    Announce {
        /// Which.
        oid: Oid,
        /// Bytes.
        size: u64,
        /// The ref that it is for.
        reference: Option<&'a str>,
    },
    /// The content has come. Nothing happens to an object that was not announced.
    Receive {
        /// Whose.
        oid: Oid,
        /// The content type that the uploader names.
        content_type: Option<&'a str>,
    },
    /// A client has verified the upload. Nothing happens to an object that is not known.
    Verify(Oid),
    /// The object is forgotten, if it is known.
    Remove(Oid),
}

impl<'a> StoreChange<'a> {
    /// The text that it brings.
    fn text(&self) -> Option<&'a str> {
        match *self {
            StoreChange::Announce { reference, .. } => reference,
            StoreChange::Receive { content_type, .. } => content_type,
            StoreChange::Verify(_) | StoreChange::Remove(_) => None,
        }
    }
}

/// Where metadata is kept. Every call may run out of memory and then changes nothing.
pub trait Store {
    /// What is known of an object.
    ///
    /// # Errors
    /// Out of memory.
    fn get(&self, oid: &Oid) -> Result<Option<KnownObject>, Refused>;

    /// Lends all objects, in the order of their ids.
    ///
    /// # Errors
    /// Out of memory, or the error of `each`.
    fn visit(
        &self,
        scratch: &Heap,
        each: &mut dyn FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused>;

    /// Makes all changes in their order, or none.
    ///
    /// # Errors
    /// Out of memory; the store is then as it was.
    fn commit(&mut self, scratch: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused>;
}

/// A store in memory: every byte is in the heap that it is made on. Its texts are kept as `F` does
/// it.
#[derive(Debug)]
pub struct MemoryStore<F: Fields = HeapFields> {
    objects: HashMap<Oid, Kept<F::Text>, FixedState, Heap>,
    fields: F,
}

#[derive(Debug)]
struct Kept<T> {
    size: u64,
    state: ObjectState,
    reference: Option<T>,
    content_type: Option<T>,
}

impl MemoryStore {
    /// An empty store with a block for each text.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        MemoryStore::with_fields(heap)
    }
}

impl<F: Fields> MemoryStore<F> {
    /// An empty store.
    #[must_use]
    pub fn with_fields(heap: &Heap) -> Self {
        let objects = HashMap::with_hasher_in(FixedState::default(), heap.clone());
        MemoryStore { objects, fields: F::new(heap) }
    }

    /// Lends all objects in no useful order; needs no memory.
    pub fn iter(&self) -> impl Iterator<Item = (&Oid, ObjectRecord<'_>)> {
        self.objects.iter().map(|(oid, kept)| (oid, self.lend(kept)))
    }

    fn lend<'s>(&'s self, kept: &'s Kept<F::Text>) -> ObjectRecord<'s> {
        let lend = |text| self.fields.lend(text);
        ObjectRecord {
            size: kept.size,
            state: kept.state,
            reference: kept.reference.as_ref().map(lend),
            content_type: kept.content_type.as_ref().map(lend),
        }
    }
}

impl<F: Fields> Store for MemoryStore<F> {
    fn get(&self, oid: &Oid) -> Result<Option<KnownObject>, Refused> {
        let kept = self.objects.get(oid);
        Ok(kept.map(|kept| KnownObject { size: kept.size, state: kept.state }))
    }

    fn visit(
        &self,
        scratch: &Heap,
        each: &mut dyn FnMut(&Oid, ObjectRecord<'_>) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let mut sorted = try_with_capacity(self.objects.len(), scratch)?;
        for entry in &self.objects {
            try_push(&mut sorted, entry)?;
        }
        sorted.sort_unstable_by_key(|(oid, _)| **oid);
        sorted.iter().try_for_each(|(oid, kept)| each(oid, self.lend(kept)))
    }

    fn commit(&mut self, scratch: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused> {
        // All that can fail comes first: room in the map, and then the new texts, all at once,
        // because an arena can't give one back.
        let announced =
            changes.iter().filter(|change| matches!(change, StoreChange::Announce { .. }));
        self.objects.try_reserve(announced.count()).map_err(refused)?;
        let texts = self.fields.take(changes.iter().map(StoreChange::text), scratch)?;

        for (change, text) in changes.iter().zip(texts) {
            match *change {
                StoreChange::Announce { oid, size, .. } => {
                    let (state, content_type) = (ObjectState::Pending, None);
                    let kept = Kept { size, state, reference: text, content_type };
                    self.objects.entry(oid).or_insert(kept);
                }
                StoreChange::Receive { oid, .. } => {
                    if let Some(kept) = self.objects.get_mut(&oid) {
                        kept.state = ObjectState::Stored;
                        kept.content_type = text;
                    }
                }
                StoreChange::Verify(oid) => {
                    if let Some(kept) = self.objects.get_mut(&oid) {
                        kept.state = ObjectState::Verified;
                    }
                }
                StoreChange::Remove(oid) => {
                    self.objects.remove(&oid);
                }
            }
        }
        Ok(())
    }
}
