//! request-context: a board of players, handled in pooled contexts.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::request_context::Board);
