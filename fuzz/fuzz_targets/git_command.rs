//! git-command: runs git for a server, here from a recording.
#![no_main]

mallory::fuzz::fuzz_target!(mallory_scenarios::services::git_command::GitCommand);
