//! Scripts: files that are read or refused, operations that are generated and shrunk, and the tests
//! that a folder of scripts becomes.
#![cfg(feature = "ron")]

#[cfg(feature = "proptest")]
mod attacks;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "proptest")]
mod properties;
#[cfg(any(feature = "proptest", all(feature = "script-tests", feature = "arbitrary")))]
mod queue;
mod refused;
#[cfg(all(feature = "script-tests", feature = "arbitrary"))]
mod rows;
