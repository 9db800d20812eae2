//! git-command behaves like its model, survives every refused request, and says how a git ended that
//! failed, was killed, wrote too much or went on for ever; and the recording is what the installed
//! git does.

mod processes;

use mallory::Options;
use mallory_scenarios::services::fixture::GIT_ANSWERS;
use mallory_scenarios::services::git_command::{GitCommand, Op};

use crate::by_hand::{agree, survive};
use crate::operations::git_command as script;

#[test]
fn behaves_like_the_model() {
    for bypass in [false, true] {
        let options = Options::new().bypass(bypass);
        let requests = agree::<GitCommand>(&script(), GIT_ANSWERS, options);
        assert!(requests > 200, "only {requests} requests");
    }
}

#[test]
fn survives_every_refused_request() {
    survive::<GitCommand>(&script(), GIT_ANSWERS);
}

#[test]
fn operations_are_written_and_read_back() {
    let text = ron::to_string(&script()).unwrap();
    assert_eq!(ron::from_str::<Vec<Op>>(&text).unwrap(), script());
}
