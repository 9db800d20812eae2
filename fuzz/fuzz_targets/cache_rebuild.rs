//! cache-rebuild: a cache file built from a log.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::services::cache_rebuild::CacheRebuild,
    mallory_scenarios::fuzz_targets::log()
);
