//! Every request for memory of a session is refused in turn, once and for good, with the
//! memory parts on and off; and a snapshot leaves nothing out.

use std::path::Path;

use mallory::system::World;
use mallory::{Heap, Options, System as _};
use mallory_scenarios::lfs::model::Model;
use mallory_scenarios::lfs_batch::{LfsBatch, Op};

use super::common::{agree, survive};
use super::session::{REQUESTS, mistakes, oddities, pushes, session, upkeep};

#[test]
fn a_session_goes_as_the_model_says() {
    for bypass in [false, true] {
        let requests = agree::<LfsBatch>(&session(), REQUESTS, Options::new().bypass(bypass));
        assert!(requests > 500, "only {requests} requests");
    }
}

#[test]
fn pushes_survive_every_refused_request() {
    survive::<LfsBatch>(&pushes(), REQUESTS);
}

#[test]
fn oddities_survive_every_refused_request() {
    survive::<LfsBatch>(&oddities(), REQUESTS);
}

#[test]
fn mistakes_survive_every_refused_request() {
    survive::<LfsBatch>(&mistakes(), REQUESTS);
}

#[test]
fn upkeep_survives_every_refused_request() {
    survive::<LfsBatch>(&upkeep(), REQUESTS);
}

#[test]
fn a_snapshot_without_any_one_entry_is_another() {
    let world = World::new(REQUESTS, Path::new("/nonexistent"));
    let heap = Heap::new();
    let mut system = LfsBatch::open(&heap, &world).unwrap();
    for op in session() {
        system.apply(&op, &world).unwrap();
    }
    let whole = system.snapshot();
    assert!(whole.objects.len() >= 8);
    for oid in whole.objects.keys() {
        let mut poorer = whole.clone();
        poorer.objects.remove(oid);
        assert_ne!(poorer, whole);
        // The same by the server's own means: nothing else of its state is left out.
        system.apply(&Op::Remove(oid.clone()), &world).unwrap();
        assert_ne!(system.snapshot(), whole);
        assert_eq!(system.snapshot().objects.get(oid), None);
    }
    assert_eq!(system.snapshot(), Model::default());
}
