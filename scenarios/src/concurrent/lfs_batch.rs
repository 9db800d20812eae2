//! Two workers over one metadata store, each with its own server: whatever both do to one object,
//! the store ends as if one had run after the other, and a failed call leaves nothing behind.

use mallory::{Heap, Refused};

use super::join::join;
use crate::services::lfs_batch::Oid;
use crate::services::lfs_batch::server::{Call, Server};
use crate::services::lfs_batch::shared::SharedStore;
use crate::services::lfs_batch::store::{MemoryStore, ObjectState, Store};
use crate::thread;

/// The object's content.
const CONTENT: &[u8] = b"hello";
/// Its SHA-256.
const OID: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const BATCH: &[u8] = br#"{"operation":"upload","ref":{"name":"r"},"objects":[
    {"oid":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","size":5}]}"#;

/// Announces the object and uploads it, as both do.
fn work(heap: &Heap, store: &SharedStore) -> Result<(), Refused> {
    let mut server = Server::new(heap, store.clone());
    let calls = [
        Call::Batch(BATCH),
        Call::Upload { oid: OID, content_type: Some("text"), content: CONTENT },
    ];
    for call in calls {
        let reply = server.answer(call)?;
        assert_eq!(reply.status(), 200, "{reply:?}");
    }
    Ok(())
}

/// The subject: returns the object's size.
///
/// # Errors
/// [`Refused`] where one of the workers ran out of memory.
pub fn two_workers(heap: &Heap) -> Result<usize, Refused> {
    let store = SharedStore::new(MemoryStore::new(heap));
    let other = {
        let (heap, store) = (heap.clone(), store.clone());
        thread::spawn(move || work(&heap, &store))
    };
    let done = [work(heap, &store), join(other)];
    let known = store.get(&Oid::parse(OID).expect("it is an id"))?;
    assert!(known.is_none_or(|known| known.size == CONTENT.len() as u64));
    if done.contains(&Ok(())) {
        assert_eq!(known.map(|known| known.state), Some(ObjectState::Stored), "an upload is lost");
    }
    let [first, second] = done;
    first.and(second).map(|()| known.map_or(0, |known| known.size as usize))
}
