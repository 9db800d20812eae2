//! container-memory: the memory manager of a container runtime.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::container_memory::MemoryManager);
