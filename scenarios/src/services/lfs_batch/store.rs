//! The metadata store: what the server knows of each object, behind a trait small enough for a
//! map in memory and for a database alike.
//!
//! The changes of a batch become visible together, or not at all.

use allocator_api2::vec::Vec;
use hashbrown::HashMap;
use mallory::{Heap, Refused};
use serde::{Deserialize, Serialize};

use super::oid::Oid;
use crate::memory::bytes::{refused, try_copy, try_push, try_with_capacity};
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

/// A store in memory: every byte is in the heap that it is made on.
#[derive(Debug)]
pub struct MemoryStore {
    objects: HashMap<Oid, Kept, FixedState, Heap>,
}

type HeapText = Vec<u8, Heap>;

#[derive(Debug)]
struct Kept {
    size: u64,
    state: ObjectState,
    reference: Option<HeapText>,
    content_type: Option<HeapText>,
}

impl Kept {
    fn lend(&self) -> ObjectRecord<'_> {
        ObjectRecord {
            size: self.size,
            state: self.state,
            reference: self.reference.as_ref().map(lend),
            content_type: self.content_type.as_ref().map(lend),
        }
    }
}

fn lend(text: &HeapText) -> &str {
    std::str::from_utf8(text).expect("copied from a str")
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(heap: &Heap) -> Self {
        MemoryStore { objects: HashMap::with_hasher_in(FixedState::default(), heap.clone()) }
    }

    /// Lends all objects in no useful order; needs no memory.
    pub fn iter(&self) -> impl Iterator<Item = (&Oid, ObjectRecord<'_>)> {
        self.objects.iter().map(|(oid, kept)| (oid, kept.lend()))
    }
}

impl Store for MemoryStore {
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
        sorted.iter().try_for_each(|(oid, kept)| each(oid, kept.lend()))
    }

    fn commit(&mut self, scratch: &Heap, changes: &[StoreChange<'_>]) -> Result<(), Refused> {
        // All that can fail comes first: room in the map, and the new texts, one for each change.
        let heap = self.objects.allocator().clone();
        let mut texts = try_with_capacity(changes.len(), scratch)?;
        let mut announced = 0;
        for change in changes {
            let text = match *change {
                StoreChange::Announce { reference, .. } => {
                    announced += 1;
                    reference
                }
                StoreChange::Receive { content_type, .. } => content_type,
                StoreChange::Verify(_) | StoreChange::Remove(_) => None,
            };
            let copied = text.map(|text| try_copy(text.as_bytes(), heap.clone())).transpose()?;
            try_push(&mut texts, copied)?;
        }
        self.objects.try_reserve(announced).map_err(refused)?;

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
