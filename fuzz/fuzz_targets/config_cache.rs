//! config-cache: a cache of configurations, with times to live and a least recently used order.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::config_cache::ConfigCache);
