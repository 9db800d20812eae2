//! The system `lfs-batch`: its protocol, its manners with bad input, and its sweep.

#[path = "../common/mod.rs"]
mod common;
mod protocol;
mod robustness;
mod session;
mod sweep;

/// The fixture as it was reviewed; a change of it is one of this line as well.
const FIXTURE: &str = "3c2487d584ecb720540b4dc4243177f04f9b79b2c0d21cf5924a5649293cf490";

#[test]
fn the_fixture_is_the_one_that_was_reviewed() {
    assert_eq!(mallory_scenarios::lfs::Oid::of(session::REQUESTS).to_string(), FIXTURE);
}
