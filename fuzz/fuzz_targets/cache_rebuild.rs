//! cache-rebuild: a cache file made of a log.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::cache_rebuild::CacheRebuild,
    mallory_scenarios::targets::log()
);
