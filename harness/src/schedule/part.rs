//! One way of searching over schedules, and how far it is.

use std::rc::Rc;

use crate::rt::own_choice::{Offers, OwnChoice};
use crate::schedule::Preemption;
use crate::schedule::bounded::Bounded;
use crate::schedule::fault_focus::FaultFocus;
use crate::schedule::pct::Pct;
use crate::trace::Stream;

/// How a part of a search chooses schedules.
pub(crate) enum PartKind {
    Bounded(Box<Bounded>),
    Random,
    Pct(Pct),
    Given,
    /// Loom's own search with this bound of preemptions. Its runs are only counted here.
    Loom(u32),
}

/// One way of searching.
pub(crate) struct Part {
    pub(crate) kind: PartKind,
    pub(crate) name: &'static str,
    pub(crate) seed: u64,
    /// Its share of a portfolio's rounds.
    pub(crate) share: u64,
    /// The number of schedules to run at most.
    pub(crate) limit: u64,
    pub(crate) begun: u64,
    pub(crate) exhausted: bool,
    /// Whether schedules were left out because of the limit.
    pub(crate) cut: bool,
}

impl Part {
    pub(crate) fn new(kind: PartKind, name: &'static str, seed: u64, limit: u64) -> Part {
        Part { kind, name, seed, share: 1, limit, begun: 0, exhausted: false, cut: false }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.exhausted || self.begun >= self.limit
    }

    /// Lets schedules near to what a fault changes come first.
    pub(crate) fn set_focus(&mut self, focus: &Rc<FaultFocus>) {
        match &mut self.kind {
            PartKind::Bounded(bounded) => bounded.set_focus(Rc::clone(focus)),
            PartKind::Pct(pct) => pct.set_focus(focus),
            PartKind::Random | PartKind::Given | PartKind::Loom(_) => {}
        }
    }

    /// Moves the next schedule's deviations into `plan`. Returns whether there is one.
    pub(crate) fn next(&mut self, plan: &mut Vec<Preemption>) -> bool {
        if let PartKind::Bounded(bounded) = &mut self.kind {
            if self.begun == self.limit {
                self.exhausted = !self.cut && bounded.is_empty();
                return false;
            }
            if !bounded.next(plan) {
                self.exhausted = !self.cut;
                return false;
            }
        } else if self.begun == self.limit {
            return false;
        }
        self.begun += 1;
        true
    }
}

/// What a thread that is offered this chooses at random, if it is not the default.
pub(crate) fn random_choice(
    offers: Offers,
    may_cancel: bool,
    stream: &mut Stream,
) -> Option<OwnChoice> {
    let drops = offers.drops.count_ones() as usize;
    if may_cancel && drops > 0 && stream.once_in(8) {
        return offers.drops().nth(stream.below(drops));
    }
    if offers.branches == 0 {
        return None;
    }
    let nth = stream.below(usize::from(offers.branches)) as u8;
    (nth > 0).then_some(OwnChoice::Branch(nth))
}
