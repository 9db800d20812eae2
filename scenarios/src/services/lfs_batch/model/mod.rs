//! The plain model of the server: std collections and serde_json, infallible allocation.
//!
//! It shares no code with the server, so that a mistake in one shows as a difference: it has its
//! own rule for where JSON is malformed, its own parser of pointer files, and its own messages.

mod complaint;
mod json;
mod pointer;
mod server;

pub use server::{Model, ModelReply, Object};
