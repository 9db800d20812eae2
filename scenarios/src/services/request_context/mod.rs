//! The service request-context: a board of players, whose every request is handled in a context
//! from a pool.
//!
//! The `board` keeps the players; their names are in blocks of a string pool. A request takes a
//! context, does its work in the context's arena, buffers and pooled collections (`reply`), and
//! gives the context back, empty, however it ends. A change is made last, in a step that can't fail.
//! `system` is the board as Mallory's `System`.

mod board;
mod model;
mod operation;
mod reply;
mod system;

pub use board::{Board, BoardPools};
pub use model::Model;
pub use operation::{NAME_MAX, Op, Reply, SHOWN_MAX};
