//! The text form of plans, as scripts write it: printed and read back unchanged.
//!
//! ```text
//! plan       = item *63( "," item )        ; spaces around an item are ignored when read
//! item       = coordinate                  ; this request fails, once:             T0#18
//!            / coordinate ".."             ; this request and all later ones fail: T0#18..
//!            / coordinate "..=" ordinal    ; this request to the one with that
//!                                          ; ordinal of the same thread fail:      T0#18..=20
//!            / "budget=" bytes             ; requests that would raise the live
//!                                          ; bytes above this fail:                budget=4096
//! coordinate = "T" thread "#" ordinal
//! thread     = number                      ; logical thread, from 0, in spawn order
//! ordinal    = number                      ; request of that thread, from 1
//! bytes      = number
//! number     = 1*DIGIT
//! ```
//!
//! A request fails if any item says so.

use std::fmt;
use std::str::FromStr;

use crate::plan::Plan;
use crate::trace::Coordinate;

/// One item of a plan's text: which requests fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// This request.
    Once(Coordinate),
    /// This request and all later ones.
    ForGood(Coordinate),
    /// This request and the later ones of its thread, to this ordinal inclusive.
    Burst(Coordinate, u64),
    /// Requests that would raise the live bytes above this.
    Budget(usize),
}

/// A plan's text: a request fails if any of these says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortages(pub(crate) Vec<Shortage>);

/// The most items of a text.
const SHORTAGES_MAX: usize = 64;

impl Shortages {
    pub(crate) fn plan(&self) -> Plan {
        self.0.iter().fold(Plan::none(), |plan, shortage| plan.or(shortage.plan()))
    }

    /// Whether requests may fail again after the first error, in later operations of the script. Then
    /// the run continues after an error instead of being disarmed.
    pub(crate) fn insists(&self) -> bool {
        self.0.len() > 1
            || self.0.iter().any(|one| matches!(one, Shortage::Burst(..) | Shortage::Budget(_)))
    }
}

impl Shortage {
    fn plan(self) -> Plan {
        match self {
            Shortage::Once(at) => Plan::at(at, false),
            Shortage::ForGood(at) => Plan::at(at, true),
            Shortage::Burst(at, last) => {
                Plan::burst(at.ordinal, last - at.ordinal + 1).thread(at.thread)
            }
            Shortage::Budget(bytes) => Plan::budget(bytes),
        }
    }

    /// Where it begins; `None` for a budget, which depends on the live bytes.
    pub(crate) fn at(self) -> Option<Coordinate> {
        match self {
            Shortage::Once(at) | Shortage::ForGood(at) | Shortage::Burst(at, _) => Some(at),
            Shortage::Budget(_) => None,
        }
    }

    /// The same, beginning at another ordinal.
    pub(crate) fn moved(self, ordinal: u64) -> Shortage {
        let to = |at| Coordinate { ordinal, ..at };
        match self {
            Shortage::Once(at) => Shortage::Once(to(at)),
            Shortage::ForGood(at) => Shortage::ForGood(to(at)),
            Shortage::Burst(at, last) => Shortage::Burst(to(at), ordinal + (last - at.ordinal)),
            Shortage::Budget(bytes) => Shortage::Budget(bytes),
        }
    }
}

#[cfg(feature = "ron")]
impl Shortage {
    /// The same in another thread.
    pub(crate) fn of(self, thread: u16) -> Shortage {
        let to = |at| Coordinate { thread, ..at };
        match self {
            Shortage::Once(at) => Shortage::Once(to(at)),
            Shortage::ForGood(at) => Shortage::ForGood(to(at)),
            Shortage::Burst(at, last) => Shortage::Burst(to(at), last),
            Shortage::Budget(bytes) => Shortage::Budget(bytes),
        }
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortage::Once(at) => write!(f, "{at}"),
            Shortage::ForGood(at) => write!(f, "{at}.."),
            Shortage::Burst(at, last) => write!(f, "{at}..={last}"),
            Shortage::Budget(bytes) => write!(f, "budget={bytes}"),
        }
    }
}

impl FromStr for Shortage {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(bytes) = text.strip_prefix("budget=") {
            let bytes = bytes.parse().map_err(|_| "expected a number of bytes after `budget=`")?;
            return Ok(Shortage::Budget(bytes));
        }
        let Some((at, last)) = text.split_once("..") else {
            return Ok(Shortage::Once(text.parse()?));
        };
        let at: Coordinate = at.parse()?;
        match last.strip_prefix('=') {
            None if last.is_empty() => Ok(Shortage::ForGood(at)),
            None => Err("expected nothing, or `=` and an ordinal, after `..`"),
            Some(last) => match last.parse() {
                Ok(last) if last >= at.ordinal => Ok(Shortage::Burst(at, last)),
                Ok(_) => Err("a burst ends before it begins"),
                Err(_) => Err("expected an ordinal after `..=`"),
            },
        }
    }
}

impl fmt::Display for Shortages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<String> = self.0.iter().map(Shortage::to_string).collect();
        f.write_str(&items.join(", "))
    }
}

impl FromStr for Shortages {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split(',').count() > SHORTAGES_MAX {
            return Err("more than 64 faults");
        }
        text.split(',').map(|one| one.trim().parse()).collect::<Result<_, _>>().map(Shortages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Request;
    use crate::trace::Op;

    /// The ordinals that a text refuses, of the first twelve requests of thread 0 of 100 bytes each.
    fn refused(text: &str) -> Vec<u64> {
        let mut plan = text.parse::<Shortages>().expect(text).plan();
        let request = |ordinal| Request {
            at: Coordinate { thread: 0, ordinal },
            heap: "main",
            op: Op::Alloc,
            size: 100,
            align: 8,
            live: 0,
            live_after: ordinal as usize * 100,
        };
        (1..=12).filter(|ordinal| plan.refuses(&request(*ordinal))).collect()
    }

    #[test]
    fn each_text_fails_what_it_says_and_is_printed_back() {
        for (text, expected) in [
            ("T0#3", vec![3]),
            ("T0#10..", vec![10, 11, 12]),
            ("T0#4..=6", vec![4, 5, 6]),
            ("T1#4..=6", vec![]),
            ("budget=1000", vec![11, 12]),
            ("T0#2, T0#5..=6, T0#12..", vec![2, 5, 6, 12]),
        ] {
            assert_eq!(refused(text), expected, "{text}");
            assert_eq!(text.parse::<Shortages>().expect(text).to_string(), text);
        }
        let burst: Shortage = "T0#4..=6".parse().expect("a burst");
        assert_eq!(burst.moved(9).to_string(), "T0#9..=11");
    }

    #[test]
    fn bad_plans_are_refused() {
        for text in ["", ",", "T0", "T0#0", "T0#3..2", "T0#3..=2", "T0#3..=", "budget=", "budget=x"]
        {
            assert!(text.parse::<Shortages>().is_err(), "{text}");
        }
        assert!("T0#1,".repeat(65).trim_end_matches(',').parse::<Shortages>().is_err());
    }
}
