//! task-executor: tasks of several steps, all of which are done or none.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::task_executor::TaskExecutor);
