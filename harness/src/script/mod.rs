//! Scripts: operations on a [`System`](crate::System) as data, played, searched and made smaller.

#[cfg(feature = "arbitrary")]
pub(crate) mod arbitrary;
#[cfg(feature = "ron")]
pub(crate) mod case;
pub(crate) mod caught;
#[cfg(any(feature = "cli", feature = "script-tests"))]
pub(crate) mod dyn_system;
#[cfg(any(feature = "cli", feature = "script-tests"))]
pub(crate) mod files;
#[cfg(feature = "arbitrary")]
pub(crate) mod fuzz;
#[cfg(feature = "proptest")]
pub(crate) mod property;
#[cfg(feature = "ron")]
pub(crate) mod runner;
#[cfg(feature = "ron")]
pub(crate) mod schedule_search;
#[cfg(feature = "ron")]
pub(crate) mod shrink;
#[cfg(feature = "ron")]
pub(crate) mod shrink_value;
#[cfg(feature = "script-tests")]
pub(crate) mod test_harness;

pub use self::case::{Minimised, minimise};
pub use self::shrink::{Limits, Removed};
#[cfg(feature = "script-tests")]
pub use self::test_harness::ScriptTests;
#[cfg(feature = "script-tests")]
pub use crate::__script_tests as script_tests;
pub use crate::system::script::{Allowed, Expect, Found, Mode, Script};
