//! What the threads of a run do to what they share, heard by whoever asks for it: written down, with
//! the call sites of single operations.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::process::backtrace;
use crate::process::backtrace::Stack;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::kind::Kind;
use crate::rt;
use crate::rt::{Blocked, Listen, Touch, Want, What};
use crate::schedule::Act;

/// What was heard of a run.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) acts: Vec<Act>,
    pub(crate) taken: BTreeMap<Moment, Stack>,
}

/// Listens to a run.
pub(crate) struct Ear {
    heard: Rc<RefCell<Heard>>,
    wanted: BTreeSet<u64>,
    writes: bool,
}

impl Ear {
    /// Listens from here on: takes the call sites of these moments, and with `writes` notes every
    /// operation. What is heard stands in what is answered.
    pub(crate) fn open(moments: &BTreeSet<Moment>, writes: bool) -> Option<Rc<RefCell<Heard>>> {
        let step = |moment: &Moment| match moment {
            Moment::Step(step) => Some(*step),
            _ => None,
        };
        let wanted: BTreeSet<u64> = moments.iter().filter_map(step).collect();
        if wanted.is_empty() && !writes {
            return None;
        }
        let heard = Rc::new(RefCell::new(Heard::default()));
        let ear = Ear { heard: Rc::clone(&heard), wanted, writes };
        rt::listen(Some(Box::new(ear)));
        Some(heard)
    }
}

impl Listen for Ear {
    fn touched(&mut self, step: u64, thread: u16, point: u32, touch: Touch) {
        let mut heard = self.heard.borrow_mut();
        if self.writes {
            heard.acts.push(Act { step, thread, point, what: words(touch) });
        }
        if self.wanted.contains(&step) {
            heard.taken.entry(Moment::Step(step)).or_insert_with(backtrace::stack);
        }
    }

    fn stuck(&mut self, _: &[Blocked]) {}
}

/// An operation as reports say it. What threads share is `o0`, `o1`, … in the order of its first use.
fn words(Touch { what, object }: Touch) -> String {
    match what {
        What::Lock => format!("locks o{object}"),
        What::Unlock => format!("unlocks o{object}"),
        What::Load => format!("loads o{object}"),
        What::Store => format!("stores o{object}"),
        What::Rmw => format!("updates o{object}"),
        What::Wait => format!("waits for o{object}"),
        What::Notify => format!("notifies o{object}"),
        What::Request => "requests".to_owned(),
        What::Free => "frees".to_owned(),
        What::Spawn => format!("starts T{object}"),
        What::Join => format!("joins T{object}"),
        What::Yield => "yields".to_owned(),
        What::End => "ends".to_owned(),
    }
}

/// Who waits for whom, where none can go on, and where each began to wait or took what another one
/// wants.
pub(crate) fn deadlock(blocked: &[Blocked]) -> Evidence {
    let mut evidence = Evidence::new(Kind::Deadlock);
    for Blocked { thread, want, since, holders } in blocked {
        let wanted = match want {
            Want::Lock(lock, _) => format!("o{lock}"),
            Want::Notice(notices) => format!("a notice of o{notices}"),
            Want::End(other) => format!("the end of T{other}"),
        };
        let names: Vec<String> = holders.iter().map(|(holder, _)| format!("T{holder}")).collect();
        let whose = match names.as_slice() {
            [] => String::new(),
            [one] if *one == format!("T{thread}") => ", which it has itself".to_owned(),
            names => format!(", which {} has", names.join(" and ")),
        };
        evidence = evidence.note(format!("T{thread} waits for {wanted}{whose}"));
        let role = if matches!(want, Want::End(_)) { Role::Joins } else { Role::Waits };
        let label = format!("T{thread} waits for {wanted}");
        evidence = evidence.labelled(label, role, Moment::Step(*since));
        for (holder, taken) in holders {
            let label = format!("T{holder} locked {wanted}");
            evidence = evidence.labelled(label, Role::Holds, Moment::Step(*taken));
        }
    }
    evidence
}
