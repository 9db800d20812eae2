//! Makes what loom shows small. Its schedules are its own, so nothing can be left out of one: it
//! searches anew, for a request that fails once instead of for good, and with fewer preemptions. Which
//! two operations matter is not known, since loom hands out no order to change.

use crate::explore::shrink::ScheduleShrinker;
use crate::report::format::count;
use crate::schedule::Preemption;
use crate::sweep::observation::{Observation, Point};

impl ScheduleShrinker<'_> {
    pub(crate) fn go_by_loom(mut self) -> Observation {
        let (Some(host), Some((most, _))) =
            (self.norm.settings.host, Preemption::loom_iteration(&self.turns))
        else {
            return self.best;
        };
        // What is found is run to twice again.
        self.left /= 3;
        let mut notes = Vec::new();
        if let Some(point) = self.point.filter(|point| point.persistent) {
            let once = Some(Point { persistent: false, ..point });
            let search = host.bounded(most, self.left);
            if let (Some(turns), _) = self.seek(host, once, search)
                && self.accept(once, &turns)
            {
                notes.push("once is enough, it need not fail for good".to_owned());
            }
        }
        let (mut enough, mut is_needed) = (most, most == 0);
        for fewer in 0..most {
            let search = host.bounded(fewer, self.left);
            let (found, is_all) = self.seek(host, self.point, search);
            if let Some(turns) = found {
                if self.left > 0 && self.accept(self.point, &turns) {
                    enough = fewer;
                }
                break;
            }
            is_needed = is_all;
        }
        let preemptions = count(u64::from(enough), "preemption");
        match enough {
            0 => notes.push("needs no preemption".to_owned()),
            _ if is_needed => {
                notes.push(format!("needs {preemptions}: with fewer, it is not seen"));
            }
            _ if enough < most => notes.push(format!("{preemptions} are enough")),
            _ => {}
        }
        if let Some(order) = &mut self.best.order {
            order.preemptions = self.turns;
            order.notes = notes;
        }
        self.best
    }
}
