//! A schedule, written as its deviations from the one in which each thread runs until it blocks.
//!
//! `T1@8>T2`: where thread 1 comes to its 8th scheduling point, thread 2 goes on. Points count from
//! 1, per thread. Where a thread blocks or ends, the lowest-numbered one that can run goes on; where
//! it yields, the next one in turn.
//!
//! Loom's schedules are its own: `loom.2.417` is the 417th iteration of its search with at most two
//! preemptions, and stands for all of a run's deviations.

pub(crate) mod bounded;
pub(crate) mod fairness;
pub(crate) mod reservoir;
#[cfg_attr(
    not(all(feature = "shuttle", feature = "loom")),
    allow(dead_code, reason = "each host asks for a part of it")
)]
pub(crate) mod search;
#[cfg(test)]
mod search_tests;

use std::fmt;
use std::str::FromStr;

/// One deviation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Preemption {
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) to: u16,
}

/// A schedule that shows something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundSchedule {
    pub(crate) turns: Vec<Preemption>,
    /// Schedules that showed it, and those that were run.
    pub(crate) seen: u64,
    pub(crate) of: u64,
    /// Two operations of which the first has to come before the second.
    pub(crate) pair: Vec<ScheduledOp>,
    /// What was left out, and what is needed.
    pub(crate) notes: Vec<String>,
}

/// What a thread does, having come to so many of its points, as the run's nth operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScheduledOp {
    pub(crate) step: u64,
    pub(crate) thread: u16,
    pub(crate) point: u32,
    pub(crate) what: String,
}

/// The most deviations of a line: a minimised schedule has a handful.
const TURNS_MAX: usize = 64;

/// In the place of a thread: the rest says where in loom's search the run is.
const LOOM: u16 = u16::MAX;

impl Preemption {
    /// A run in loom's search with at most so many preemptions, by its number from 1.
    pub(crate) fn loom(preemptions: u32, iteration: u64) -> Preemption {
        let point = u32::try_from(iteration).unwrap_or(u32::MAX);
        Preemption { thread: LOOM, point, to: preemptions.min(u32::from(u16::MAX)) as u16 }
    }

    /// Where in loom's search a schedule is, if it is one of loom's: the bound, and the number.
    pub(crate) fn loom_of(turns: &[Preemption]) -> Option<(u32, u32)> {
        let [Preemption { thread: LOOM, point, to }] = turns else { return None };
        Some((u32::from(*to), *point))
    }

    /// The same in one word, for memory that is shared.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.point) << 32 | u64::from(self.thread) << 16 | u64::from(self.to)
    }

    pub(crate) fn unpack(word: u64) -> Preemption {
        Preemption { thread: (word >> 16) as u16, point: (word >> 32) as u32, to: word as u16 }
    }
}

impl fmt::Display for Preemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.thread == LOOM {
            return write!(f, "loom.{}.{}", self.to, self.point);
        }
        write!(f, "T{}@{}>T{}", self.thread, self.point, self.to)
    }
}

impl FromStr for Preemption {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected a change of threads like T1@8>T2";
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
            let (point, to) = rest.split_once(">T")?;
            Some([thread, point, to])
        });
        let parts = parts.ok_or(EXPECTED)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !parts.iter().all(|part| digits(part)) {
            return Err(EXPECTED);
        }
        let thread = |text: &str| {
            let thread = text.parse().ok().filter(|thread| *thread != LOOM);
            thread.ok_or("the thread's number is out of range")
        };
        let point = parts[1].parse().map_err(|_| "the point's number is out of range")?;
        if point == 0 {
            return Err("points count from 1");
        }
        Ok(Preemption { thread: thread(parts[0])?, point, to: thread(parts[2])? })
    }
}

/// The deviations of a schedule, with commas between them.
pub(crate) fn line(turns: &[Preemption]) -> String {
    turns.iter().map(Preemption::to_string).collect::<Vec<String>>().join(",")
}

/// What [`line`] wrote.
pub(crate) fn read(text: &str) -> Result<Vec<Preemption>, &'static str> {
    if text.contains("loom") && text.contains(',') {
        return Err("an iteration of loom's is a schedule of its own");
    }
    if text.split(',').count() > TURNS_MAX {
        return Err("that is too long for a schedule");
    }
    text.split(',').map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_written_and_read_back() {
        let turns = [
            Preemption { thread: 1, point: 8, to: 2 },
            Preemption { thread: 2, point: u32::MAX, to: 0 },
            Preemption { thread: 65534, point: 1, to: 65534 },
        ];
        assert_eq!(line(&turns), "T1@8>T2,T2@4294967295>T0,T65534@1>T65534");
        assert_eq!(read(&line(&turns)), Ok(turns.to_vec()));
        for turn in turns {
            assert_eq!(Preemption::unpack(turn.pack()), turn);
        }
    }

    #[test]
    fn an_iteration_of_looms_is_written_and_read_back() {
        let turns = [Preemption::loom(2, 417)];
        assert_eq!(line(&turns), "loom.2.417");
        assert_eq!(read("loom.2.417"), Ok(turns.to_vec()));
        assert_eq!(Preemption::loom_of(&turns), Some((2, 417)));
        assert_eq!(Preemption::loom_of(&[Preemption { thread: 1, point: 8, to: 2 }]), None);
        let huge = ["loom.70000.1", "loom.1.5000000000"];
        for bad in ["loom", "loom.2", "loom.2.0", "loom.-1.2", "loom.2.3,loom.2.4", "T65535@1>T0"]
            .into_iter()
            .chain(huge)
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for bad in ["", "T1@8", "T1>T2", "T1@8>2", "T1@0>T2", "T1@8>T2,", "T1@-8>T2", "T70000@1>T2"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read(&"T1@8>T2,".repeat(100_000)).is_err());
    }
}
