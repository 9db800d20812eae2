//! Every request for memory of a session is refused in turn, alone and with all later ones, with
//! the memory parts on and off; and a snapshot contains every object.

use std::path::Path;

use mallory::system::World;
use mallory::{Heap, Options, System as _};
use mallory_scenarios::services::lfs_batch::model::Model;
use mallory_scenarios::services::lfs_batch::{LfsBatch, LfsBatchArena, Op};

use super::session::{REQUESTS, mistakes, oddities, pushes, session, upkeep};
use crate::by_hand::{agree, survive};

#[test]
fn a_session_goes_as_the_model_says() {
    for bypass in [false, true] {
        let requests = agree::<LfsBatch>(&session(), REQUESTS, Options::new().bypass(bypass));
        assert!(requests > 500, "only {requests} requests");
    }
}

#[test]
fn a_session_over_an_arena_goes_as_the_model_says() {
    for bypass in [false, true] {
        agree::<LfsBatchArena>(&session(), REQUESTS, Options::new().bypass(bypass));
    }
}

#[test]
fn pushes_survive_every_refused_request() {
    survive::<LfsBatch>(&pushes(), REQUESTS);
    survive::<LfsBatchArena>(&pushes(), REQUESTS);
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
    survive::<LfsBatchArena>(&upkeep(), REQUESTS);
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
        // The same by an operation of the server.
        system.apply(&Op::Remove(oid.clone()), &world).unwrap();
        assert_ne!(system.snapshot(), whole);
        assert_eq!(system.snapshot().objects.get(oid), None);
    }
    assert_eq!(system.snapshot(), Model::default());
}
