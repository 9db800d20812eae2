//! state-listener: reports that each listener gets once, in order.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::state_listener::StateHub);
