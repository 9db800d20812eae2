//! Schedules: how they are written, and how they are searched. Nothing here runs a thread: a host
//! does, and asks a [`Search`](search::Search) which thread continues.
//!
//! A schedule is written as its deviations from the default one, in which each thread runs until it
//! has to wait. `T1@8>T2`: when thread 1 reaches its 8th scheduling point, thread 2 continues. Points
//! count from 1, per thread. When a thread has to wait or ends, the lowest-numbered thread that is
//! ready continues. When it yields or sleeps, the next higher-numbered one does, or else the lowest.
//! If none is ready, the earliest sleep or timed wait ends.
//!
//! A task also chooses by itself: `T1@8>drop` drops its future at an await, `T1@8>drop2` the second
//! `cancellable` one that waits in it, and `T1@8>branch1` polls branch 1 of a `select!` first, counted
//! from 0.
//!
//! Loom's schedules are its own: `loom.2.417` is the 417th iteration of its search with at most two
//! preemptions, and stands for all of a run's deviations.
//!
//! | question | file |
//! |---|---|
//! | How is a schedule written and parsed, and what does a report say of one? | `mod` (this file) |
//! | Which schedules are run, in which order, and when is the search complete? | `search` |
//! | Which thread continues by default, and what does a deviation cost? | `default_order` |
//! | Which schedules wait in the bounded search? | `bounded` |
//! | Which other schedules can show something that this one did not? | `races` |
//! | Where does a fault change what threads do, and which schedules come first for that? | `fault_focus` |
//! | Which ways of searching take turns? What may a search do beside switching? | `part`, `options` |
//! | How does PCT choose? | `pct` |
//! | Which accesses of memory does nothing order? | `data_races` |
//! | Which of them waits where only a random sample is run? | `reservoir` |

#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod bounded;
#[cfg_attr(not(mallory_model), allow(dead_code, reason = "only a model's run has a log"))]
pub(crate) mod data_races;
pub(crate) mod default_order;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod fault_focus;
#[cfg(all(test, mallory_model))]
mod fault_focus_tests;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod options;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod part;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod pct;
#[cfg_attr(not(feature = "shuttle"), allow(dead_code, reason = "loom has a search of its own"))]
pub(crate) mod races;
pub(crate) mod reservoir;
#[cfg_attr(
    not(all(feature = "shuttle", feature = "loom")),
    allow(dead_code, reason = "each host uses a part of it")
)]
pub(crate) mod search;
#[cfg(all(test, mallory_model))]
mod search_tests;

use std::fmt;
use std::str::FromStr;

use crate::rt::own_choice::OwnChoice;

/// One deviation from the default schedule: when `thread` reaches its scheduling point number
/// `point`, thread `to` continues. Most deviations preempt a thread; where `thread` blocks, yields
/// or ends there, they only choose another successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Preemption {
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) to: u16,
}

/// A schedule that shows a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundSchedule {
    pub(crate) preemptions: Vec<Preemption>,
    /// The number of schedules that showed it, of the `of` that were run.
    pub(crate) seen: u64,
    pub(crate) of: u64,
    /// Two operations of which the first has to come before the second, or nothing.
    pub(crate) pair: Vec<ScheduledOp>,
    /// What shrinking left out, and what is needed.
    pub(crate) notes: Vec<String>,
}

/// The run's `step`th operation: `thread`, which has reached `point` scheduling points, does
/// `what`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduledOp {
    pub(crate) step: u64,
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) what: String,
}

/// The number of deviations that a written schedule can have. A shrunk schedule has a handful.
const PREEMPTIONS_MAX: usize = 64;

/// A thread number that marks a position in loom's search: `to` is the bound, `point` the
/// iteration.
const LOOM: u16 = u16::MAX;

impl Preemption {
    /// An iteration, numbered from 1, of loom's search with at most `bound` preemptions.
    pub(crate) fn of_loom(bound: u32, iteration: u64) -> Preemption {
        let point = u32::try_from(iteration).unwrap_or(u32::MAX);
        Preemption { thread: LOOM, point, to: bound.min(u32::from(u16::MAX)) as u16 }
    }

    /// The bound and the iteration of a schedule of loom's; `None` for any other.
    pub(crate) fn loom_iteration(schedule: &[Preemption]) -> Option<(u32, u32)> {
        let [Preemption { thread: LOOM, point, to }] = schedule else { return None };
        Some((u32::from(*to), *point))
    }

    /// What may have been impossible at its point.
    pub(crate) fn obstacle(&self) -> String {
        match OwnChoice::split(self.to) {
            (to, OwnChoice::Nothing) => format!("T{to} could not run there"),
            (_, OwnChoice::Drop(_)) => "no such future waited there".to_owned(),
            (_, OwnChoice::Branch(_)) => "no such branch was polled there".to_owned(),
        }
    }

    /// The deviation in one word, for shared memory.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.point) << 32 | u64::from(self.thread) << 16 | u64::from(self.to)
    }

    /// What [`pack`](Self::pack) packed.
    pub(crate) fn unpack(word: u64) -> Preemption {
        Preemption { thread: (word >> 16) as u16, point: (word >> 32) as u32, to: word as u16 }
    }
}

impl fmt::Display for Preemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.thread == LOOM {
            return write!(f, "loom.{}.{}", self.to, self.point);
        }
        write!(f, "T{}@{}>", self.thread, self.point)?;
        match OwnChoice::split(self.to) {
            (to, OwnChoice::Nothing) => write!(f, "T{to}"),
            (_, OwnChoice::Drop(0)) => f.write_str("drop"),
            (_, OwnChoice::Drop(nth)) => write!(f, "drop{nth}"),
            (_, OwnChoice::Branch(nth)) => write!(f, "branch{nth}"),
        }
    }
}

impl FromStr for Preemption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a preemption like T1@8>T2";
        let parts = text.strip_prefix("loom.").map(|rest| rest.split_once('.'));
        if let Some(parts) = parts {
            const EXPECTED: &str = "expected a bound and an iteration like loom.2.417";
            let (bound, iteration) = parts.ok_or(EXPECTED)?;
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if !digits(bound) || !digits(iteration) || iteration == "0" {
                return Err(EXPECTED);
            }
            let to = bound.parse().map_err(|_| "the bound is out of range")?;
            let point = iteration.parse().map_err(|_| "the iteration is out of range")?;
            return Ok(Preemption { thread: LOOM, point, to });
        }
        let parts = text.strip_prefix('T').and_then(|rest| {
            let (thread, rest) = rest.split_once('@')?;
            let (point, to) = rest.split_once('>')?;
            Some((thread, point, to))
        });
        let (thread, point, to) = parts.ok_or(EXPECTED)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = |text: &str| {
            let number: Option<u16> = text.parse().ok().filter(|number| *number < 1 << 15);
            number.ok_or("the thread's number is out of range")
        };
        if !digits(thread) || !digits(point) {
            return Err(EXPECTED);
        }
        let thread = number(thread)?;
        let to = match to.strip_prefix('T') {
            Some(to) if digits(to) => number(to)?,
            _ => {
                let own = own_choice(to).ok_or(EXPECTED)?;
                if OwnChoice::split(own.by(thread)) != (thread, own) {
                    return Err("the thread's number, or that of its choice, is out of range");
                }
                own.by(thread)
            }
        };
        let point = point.parse().map_err(|_| "the point's number is out of range")?;
        if point == 0 {
            return Err("points count from 1");
        }
        Ok(Preemption { thread, point, to })
    }
}

/// A task's own choice as it is written: `drop`, `drop2`, `branch1`. The default has no text.
fn own_choice(text: &str) -> Option<OwnChoice> {
    let nth = |text: &str| {
        let is_number = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
        let nth: u8 = text.parse().ok().filter(|_| is_number)?;
        Some(nth)
    };
    match (text.strip_prefix("drop"), text.strip_prefix("branch")) {
        (Some(""), _) => Some(OwnChoice::Drop(0)),
        (Some(text), _) => nth(text).map(OwnChoice::Drop),
        (_, Some(text)) => nth(text).map(OwnChoice::Branch),
        _ => None,
    }
}

/// Writes a schedule as its deviations, with commas between them.
pub(crate) fn format_schedule(schedule: &[Preemption]) -> String {
    schedule.iter().map(Preemption::to_string).collect::<Vec<String>>().join(",")
}

/// Parses what [`format_schedule`] writes.
///
/// # Errors
/// With what is wrong, if the text is no schedule, or has more than 64 deviations.
pub(crate) fn parse_schedule(text: &str) -> Result<Vec<Preemption>, &'static str> {
    if text.contains("loom") && text.contains(',') {
        return Err("an iteration of loom is a whole schedule and allows no preemption beside it");
    }
    if text.split(',').count() > PREEMPTIONS_MAX {
        return Err("a schedule has at most 64 preemptions");
    }
    text.split(',').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_written_and_read_back() {
        let schedule = [
            Preemption { thread: 1, point: 8, to: 2 },
            Preemption { thread: 2, point: u32::MAX, to: 0 },
            Preemption { thread: 32767, point: 1, to: 32767 },
            Preemption { thread: 3, point: 2, to: OwnChoice::Drop(0).by(3) },
            Preemption { thread: 255, point: 2, to: OwnChoice::Drop(63).by(255) },
            Preemption { thread: 0, point: 5, to: OwnChoice::Branch(1).by(0) },
        ];
        assert_eq!(
            format_schedule(&schedule),
            "T1@8>T2,T2@4294967295>T0,T32767@1>T32767,T3@2>drop,T255@2>drop63,T0@5>branch1"
        );
        assert_eq!(parse_schedule(&format_schedule(&schedule)), Ok(schedule.to_vec()));
        for preemption in schedule {
            assert_eq!(Preemption::unpack(preemption.pack()), preemption);
        }
    }

    #[test]
    fn an_iteration_of_looms_is_written_and_read_back() {
        let schedule = [Preemption::of_loom(2, 417)];
        assert_eq!(format_schedule(&schedule), "loom.2.417");
        assert_eq!(parse_schedule("loom.2.417"), Ok(schedule.to_vec()));
        assert_eq!(Preemption::loom_iteration(&schedule), Some((2, 417)));
        assert_eq!(Preemption::loom_iteration(&[Preemption { thread: 1, point: 8, to: 2 }]), None);
        let huge = ["loom.70000.1", "loom.1.5000000000"];
        for bad in ["loom", "loom.2", "loom.2.0", "loom.-1.2", "loom.2.3,loom.2.4", "T65535@1>T0"]
            .into_iter()
            .chain(huge)
        {
            assert!(parse_schedule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in [
            "T256@8>drop",
            "T1@8>drop0",
            "T1@8>drop64",
            "T1@8>branch",
            "T1@8>branch0",
            "T1@8>drop-1",
        ] {
            assert!(parse_schedule(bad).is_err(), "{bad}");
        }
        for bad in ["", "T1@8", "T1>T2", "T1@8>2", "T1@0>T2", "T1@8>T2,", "T1@-8>T2", "T70000@1>T2"]
        {
            assert!(parse_schedule(bad).is_err(), "{bad}");
        }
        assert!(parse_schedule(&"T1@8>T2,".repeat(100_000)).is_err());
    }
}
