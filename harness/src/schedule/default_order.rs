//! The default schedule, what a deviation from it costs, and the bounds of a search.
//!
//! In the default schedule each thread runs until it has to wait. Then the lowest-numbered thread
//! that is ready goes on, or after a thread that yields or sleeps, the next higher-numbered one. If
//! none is ready, the earliest sleep or timed wait ends.

use crate::rt::own_choice::OwnChoice;
use crate::rt::run_log::Choices;

/// Whether this successor is possible.
#[inline]
pub(crate) fn is_possible(choices: &Choices, to: u16) -> bool {
    match OwnChoice::split(to) {
        (thread, OwnChoice::Nothing) => choices.all().contains(thread),
        (_, own) => choices.offers.contains(own),
    }
}

/// A limit to the deviations of a schedule from the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// At most this many preemptions: switches away from a thread that could go on. Letting a thread
    /// go on that yields or sleeps, although others could, counts as well, and so does polling another
    /// branch of a `select!` first.
    Preemptions(u32),
    /// At most this many deviations of any kind.
    Delays(u32),
}

impl Bound {
    pub(crate) const NONE: Bound = Bound::Preemptions(u32::MAX);

    pub(crate) fn limit(self) -> u32 {
        match self {
            Bound::Preemptions(limit) | Bound::Delays(limit) => limit,
        }
    }

    /// The name of a search within this bound.
    pub(crate) fn search_name(self) -> &'static str {
        match self {
            Bound::Preemptions(_) => "the preemption-bounded search",
            Bound::Delays(_) => "the delay-bounded search",
        }
    }

    /// What it costs that thread `to` goes on where `thread` has reached a scheduling point.
    pub(crate) fn cost(self, choices: &Choices, thread: u16, to: u16) -> u32 {
        let costs = match self {
            _ if let (_, own @ (OwnChoice::Drop(_) | OwnChoice::Branch(_))) =
                OwnChoice::split(to) =>
            {
                !own.is_drop()
            }
            Bound::Delays(_) => default_thread(choices, thread) != Some(to),
            Bound::Preemptions(_) if choices.ready.is_empty() => {
                choices.next != Some(to) && choices.idle.contains(to)
            }
            Bound::Preemptions(_) => {
                choices.ready.contains(thread) && to != thread || choices.idle.contains(to)
            }
        };
        u32::from(costs)
    }
}

/// The thread that goes on in the default schedule where `thread` has reached a scheduling point.
#[inline]
pub(crate) fn default_thread(choices: &Choices, thread: u16) -> Option<u16> {
    if choices.ready.contains(thread) {
        return Some(thread);
    }
    let first = choices.ready.first();
    if first.is_some() && choices.idle.contains(thread) {
        return choices.ready.from(thread.saturating_add(1)).or(first);
    }
    first.or(choices.next)
}

/// Whether a wait of thread `to` ends early: a notification, or the end of its time, may still come.
#[inline]
pub(crate) fn wakes_early(choices: &Choices, to: u16) -> bool {
    OwnChoice::split(to).1 == OwnChoice::Nothing
        && choices.waking.contains(to)
        && !(choices.ready.is_empty() && choices.next == Some(to))
}
