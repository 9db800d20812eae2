//! circuit-breaker: calls to backends, of which one that fails too often is left alone.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::circuit_breaker::Gateway);
