//! journal-intern: a journal over an intern table.
#![no_main]

mallory::fuzz::fuzz_target!(
    mallory_scenarios::services::journal_intern::JournalIntern,
    mallory_scenarios::fuzz_targets::log()
);
