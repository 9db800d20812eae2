//! Programs of textbooks and of the literature on concurrency, written anew from their descriptions:
//! each with its bug, and corrected.
//!
//! A bug shows as a failed assertion or as a deadlock, in some schedules only. All memory is
//! sequentially consistent, no program needs more than a few steps of each thread, and all threads
//! are joined. The programs allocate nothing from a heap.

mod account;
mod barrier;
mod bluetooth_driver;
mod bounded_buffer;
mod cigarette_smokers;
mod circular_buffer;
mod dekker;
mod dining_philosophers;
mod lazy;
mod light_switch;
mod linked_list;
mod lost_wake_up;
mod michael_scott_queue;
mod mutual_exclusion;
mod nested_monitor;
mod publish_subscribe;
mod put_if_absent;
mod read_copy_update;
mod readers_writers;
mod reorder;
mod semaphore;
mod sequence_lock;
mod shared;
mod shared_sum;
mod string_buffer;
mod ticket_lock;
mod token_ring;
mod treiber_stack;
mod two_stage;
mod work_stealing;
mod wrong_lock;

use mallory::{Heap, Refused};

/// A program with a bug, and its corrected twin.
#[derive(Clone, Copy, Debug)]
pub struct Classic {
    /// Its name.
    pub name: &'static str,
    /// What goes wrong, in one line.
    pub about: &'static str,
    /// Where it was described: author, title, year.
    pub source: &'static str,
    /// How many threads it has, the one that starts the others included.
    pub threads: usize,
    /// The program with its bug.
    pub bug: fn(),
    /// The corrected program.
    pub corrected: fn(),
}

/// Every program, in the order of the names.
pub const CLASSICS: [Classic; 49] = [
    account::LOCK_ORDER,
    account::LOST_UPDATE,
    account::STALE_CHECK,
    mutual_exclusion::BAKERY,
    barrier::GENERATION,
    barrier::SENSE,
    bluetooth_driver::CLASSIC,
    bounded_buffer::IF,
    bounded_buffer::WRONG_KIND,
    cigarette_smokers::CLASSIC,
    circular_buffer::CLASSIC,
    dekker::CLASSIC,
    dining_philosophers::TWO,
    dining_philosophers::THREE,
    dining_philosophers::FIVE,
    dining_philosophers::SEVEN,
    mutual_exclusion::HYMAN,
    lazy::EARLY_FLAG,
    lazy::SECOND_CHECK,
    light_switch::CLASSIC,
    linked_list::CLASSIC,
    lost_wake_up::CLASSIC,
    michael_scott_queue::CLASSIC,
    nested_monitor::CLASSIC,
    mutual_exclusion::PETERSON,
    publish_subscribe::CLASSIC,
    put_if_absent::CLASSIC,
    read_copy_update::CLASSIC,
    readers_writers::CLASSIC,
    reorder::TEN,
    reorder::TWENTY,
    reorder::THREE,
    reorder::FOUR,
    reorder::FIVE,
    semaphore::CLASSIC,
    sequence_lock::CLASSIC,
    shared_sum::MISSING_LOCK,
    shared_sum::SIGMA,
    string_buffer::CLASSIC,
    ticket_lock::CLASSIC,
    token_ring::CLASSIC,
    treiber_stack::CLASSIC,
    two_stage::HUNDRED,
    two_stage::TWO,
    two_stage::TWENTY,
    work_stealing::CHASE_LEV,
    work_stealing::THE,
    wrong_lock::THREE,
    wrong_lock::EIGHT,
];

/// A program as a subject: it ignores the heap, and its result is always the same.
pub fn on_heap(program: fn()) -> impl Fn(&Heap) -> Result<usize, Refused> + Send + Sync {
    move |_| {
        program();
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::CLASSICS;

    #[test]
    fn names_are_in_order_and_plain() {
        assert!(CLASSICS.is_sorted_by(|one, next| one.name < next.name));
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(CLASSICS.iter().all(|classic| classic.name.chars().all(is_plain)));
    }

    /// Outside of a model the threads are real ones.
    #[test]
    fn corrected_programs_run_on_real_threads() {
        for classic in CLASSICS {
            (classic.corrected)();
        }
    }
}
