//! What scripts demand of a system's operations, as traits that say what to do where it is missing.
//! Everything that has serde's (and arbitrary's) traits has these.

#[cfg(feature = "arbitrary")]
use arbitrary::Arbitrary;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An operation that can stand in a script file. Derive serde's `Serialize` and `Deserialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be written to a script file and read from it",
    label = "an operation of a script needs serde's `Serialize` and `Deserialize`",
    note = "write `#[derive(serde::Serialize, serde::Deserialize)]` above it, and above each type in \
            it"
)]
pub trait ScriptOperation: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<Op: Serialize + DeserializeOwned> ScriptOperation for Op {}

/// An operation that can be drawn at random, by proptest or a fuzzer, and stand in a case. Derive
/// `Arbitrary` too.
#[cfg(feature = "arbitrary")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be drawn at random and written to a case",
    label = "it needs arbitrary's `Arbitrary`, and serde's `Serialize` and `Deserialize`",
    note = "write `#[derive(arbitrary::Arbitrary, serde::Serialize, serde::Deserialize)]` above it, \
            and above each type in it; the crate `arbitrary` needs its feature `derive`"
)]
pub trait DrawnOperation: ScriptOperation + for<'a> Arbitrary<'a> {}

#[cfg(feature = "arbitrary")]
#[diagnostic::do_not_recommend]
impl<Op: ScriptOperation + for<'a> Arbitrary<'a>> DrawnOperation for Op {}
