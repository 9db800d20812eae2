//! The first event in which the traces of two runs differ, or the first operation of their threads, in
//! words.

use crate::report::format::count;
use crate::schedule::ScheduledOp;
use crate::sweep::settings::Settings;
use crate::trace::{End, Event, Op};

/// Which events of two traces have to be equal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compared {
    Events,
    /// Requests without frees, under the global allocator: std's maps have random seeds and drop
    /// their entries in another order each time. That moves no request.
    Requests,
}

impl Compared {
    pub(crate) fn of(settings: &Settings) -> Compared {
        if settings.global.is_some() { Compared::Requests } else { Compared::Events }
    }

    /// The compared events of a trace, each with its number, from 1.
    fn events(self, trace: &[Event]) -> impl Iterator<Item = (u64, Event)> {
        let all = (1..).zip(trace.iter().copied());
        all.filter(move |(_, event)| self == Compared::Events || event.op != Op::Free)
    }
}

/// The first event in which two traces differ: its number, and the event in each trace, `None` past
/// the end of one.
pub(crate) fn first_difference(
    first: &[Event],
    second: &[Event],
    compared: Compared,
) -> Option<(u64, [Option<Event>; 2])> {
    let (mut first, mut second) = (compared.events(first), compared.events(second));
    loop {
        let (a, b) = (first.next(), second.next());
        let nth = a.or(b)?.0;
        let events = [a, b].map(|event| event.map(|(_, event)| event));
        if events[0] != events[1] {
            return Some((nth, events));
        }
    }
}

/// An event in words, for the report.
pub(crate) fn describe(event: Event) -> String {
    let Event { op, thread, align, size, end, .. } = event;
    let end = match end {
        End::Done => "",
        End::Injected => ", failed on purpose",
        End::Refused => ", refused",
    };
    format!("T{thread} {op} of {} (align {align}){end}", count(size as u64, "byte"))
}

/// Says in which of the threads' operations two runs of one schedule differ first, if they do.
pub(crate) fn other_operation(first: &[ScheduledOp], second: &[ScheduledOp]) -> Option<String> {
    let is_same = |a: &ScheduledOp, b: &ScheduledOp| {
        (a.thread, a.point, &a.what) == (b.thread, b.point, &b.what)
    };
    let same = first.iter().zip(second).take_while(|(a, b)| is_same(a, b)).count();
    let [a, b] = [first.get(same), second.get(same)];
    a.or(b)?;
    let [a, b] = [a, b].map(|operation| match operation {
        Some(ScheduledOp { thread, what, .. }) => format!("T{thread} {what}"),
        None => "the end".to_owned(),
    });
    Some(format!("two runs of one schedule differ: {a} in the first, {b} in the second"))
}
