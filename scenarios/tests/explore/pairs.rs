//! What the tests of the planted bugs that need threads share, whichever model checker finds them.

use mallory_scenarios::planted::racy::{PAIRS, RacyPair};
use serde_json::Value;

use crate::program::{findings, is_as_reviewed, printed, report};

/// The pair with this name.
pub(crate) fn pair(name: &str) -> &'static RacyPair {
    PAIRS.iter().find(|pair| pair.name == name).expect("there is a pair of this name")
}

/// The subcommand finds the bug as its kind and as nothing else; the report is the reviewed one.
pub(crate) fn is_found_and_its_report_is_as_reviewed(command: &str, name: &str) {
    let found = report(command, &[name], 1);
    let kinds: Vec<&Value> = findings(&found).iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, [pair(name).kind.name()], "{found:#}");
    is_as_reviewed(name, &printed(&[command, name], 1));
}

/// The subcommand explores this scenario to the end and finds nothing.
pub(crate) fn is_clean(command: &str, arguments: &[&str]) {
    let clean = report(command, arguments, 0);
    assert_eq!(clean["verdict"], "clean", "{clean:#}");
    assert_eq!(clean["coverage"]["complete"], true, "{clean:#}");
}
