//! The system `lfs-batch`: its protocol, its robustness against bad input, and its sweep.

mod protocol;
mod robustness;
pub(crate) mod session;
mod sweep;

/// The SHA-256 of the reviewed fixture: whoever changes the fixture has to change this line.
const FIXTURE: &str = "3c2487d584ecb720540b4dc4243177f04f9b79b2c0d21cf5924a5649293cf490";

#[test]
fn the_fixture_is_the_one_that_was_reviewed() {
    assert_eq!(
        mallory_scenarios::services::lfs_batch::Oid::of(session::REQUESTS).to_string(),
        FIXTURE
    );
}
