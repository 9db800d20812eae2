//! Scripts: operations on a [`System`](crate::System) as data, run, searched and shrunk.
//!
//! # Map of the source
//!
//! | question | file |
//! |---|---|
//! | How is a script prepared as a subject? | `prepared` |
//! | How is it run once, here or in a child process, and which findings does that run have? | `prepared_runner`, and `runner` for a system's type; the result is a `script_run` |
//! | In which schedule of its threads does it show something? | `schedule_search` |
//! | Which of many random scripts shows something? | `failure_search` |
//! | What is a script with its finding, and its case file? | `failing_script` |
//! | How does a failing script become a case in a report? | `case` |
//! | In which order is a script shrunk? | `shrink_script` |
//! | How is one candidate tried, and where does a fault move? | `shrink` |
//! | What does each pass try? | `shrink_faults`, `shrink_schedule`, `shrink_operations`; values in `shrink_value` |
//! | How are bytes made a script? | `arbitrary` |
//! | What do scripts demand of operations? | `bounds` |
//! | What do users start? | `property` (proptest), `fuzz` (fuzz targets), `test_harness` (files as tests), [`minimise`] |
//! | How do command lines and tests use a system whose type they don't know? | `dyn_system`; files are found and read in `files` |
//!
//! The flow: a file, bytes or a random seed → [`Script`] → `runner` → findings → `case` → `shrink_script` →
//! report and case file.

#[cfg(feature = "arbitrary")]
pub(crate) mod arbitrary;
pub(crate) mod bounds;
pub(crate) mod case;
#[cfg(any(feature = "cli", feature = "script-tests"))]
pub(crate) mod dyn_system;
pub(crate) mod failing_script;
#[cfg(feature = "proptest")]
pub(crate) mod failure_search;
#[cfg(any(feature = "cli", feature = "script-tests"))]
pub(crate) mod files;
#[cfg(feature = "arbitrary")]
pub(crate) mod fuzz;
pub(crate) mod prepared;
pub(crate) mod prepared_runner;
#[cfg(feature = "proptest")]
pub(crate) mod property;
pub(crate) mod runner;
pub(crate) mod schedule_search;
pub(crate) mod script_run;
pub(crate) mod shrink;
pub(crate) mod shrink_faults;
pub(crate) mod shrink_operations;
pub(crate) mod shrink_schedule;
pub(crate) mod shrink_script;
pub(crate) mod shrink_value;
#[cfg(feature = "script-tests")]
pub(crate) mod test_harness;

#[cfg(feature = "arbitrary")]
pub use self::bounds::DrawnOperation;
pub use self::bounds::ScriptOperation;
pub use self::case::{Minimised, minimise};
pub use self::shrink::{Limits, Removed};
#[cfg(feature = "script-tests")]
pub use self::test_harness::ScriptTests;
#[cfg(feature = "script-tests")]
pub use crate::__script_tests as script_tests;
pub use crate::system::script::{Allowed, Expect, Found, Mode, Script};
