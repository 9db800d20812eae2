//! A cache that is made anew while look-ups go on: each sees the old cache or the new one, whole.

use mallory::{Heap, Refused};

use super::join::join;
use crate::memory::bytes::refused;
use crate::services::cache_rebuild::Error;
use crate::services::cache_rebuild::shared::SharedCache;
use crate::sync::Arc;
use crate::thread;

/// Two commits; the newer one touches both paths, the older one the first.
const LOG: &[u8] = b"commit 2222222222222222222222222222222222222222\n\n\
:100644 100644 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb M\ta\n\
:000000 100644 0000000000000000000000000000000000000000 cccccccccccccccccccccccccccccccccccccccc A\tb\n\n\
commit 1111111111111111111111111111111111111111\n\n\
:000000 100644 0000000000000000000000000000000000000000 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa A\ta\n";

/// No memory is an error; anything else is a bug.
fn only_oom<T>(result: Result<T, Error>) -> Result<T, Refused> {
    result.map_err(|error| {
        assert_eq!(error, Error::OutOfMemory);
        refused(error)
    })
}

/// How many commits touched the path `a`, by two look-ups.
fn look(cache: &SharedCache) -> Result<(), Refused> {
    let count = || Ok(only_oom(cache.commits(b"a"))?.map_or(0, |ids| ids.len()));
    let (first, second) = (count()?, count()?);
    assert!(1 <= first && first <= second && second <= 2, "{first} commits, then {second}");
    Ok(())
}

/// The subject: returns how many commits touched a path in the end.
///
/// # Errors
/// [`Refused`] where one of the threads ran out of memory.
pub fn rebuild_beside_look_ups(heap: &Heap) -> Result<usize, Refused> {
    let cache = Arc::new(SharedCache::new(heap));
    only_oom(cache.rebuild(LOG, 1))?;
    let reader = {
        let cache = Arc::clone(&cache);
        thread::spawn(move || look(&cache))
    };
    let rebuilt = only_oom(cache.rebuild(LOG, 2));
    let looked = join(reader);
    let commits = only_oom(cache.commits(b"a"))?.map_or(0, |ids| ids.len());
    assert_eq!(commits, if rebuilt.is_ok() { 2 } else { 1 });
    looked.and(rebuilt).map(|_| commits)
}
