//! Sequences in child processes: whatever a port dies of, the caller lives. What broke is tried
//! again in a child of its own, made as small as it gets there, and confirmed in another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::conformance::call::{Caller, HeldBytes, Ports};
use crate::conformance::contract;
use crate::conformance::contract::{Breach, Clause, Rules, Tally};
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation::{SequenceStep, parse, print};
use crate::conformance::shrink::shrink;
use crate::error::Error;
use crate::port::Port;
use crate::process::child;
use crate::process::codec::{Codec, codec_struct};
use crate::process::pipe::Pipe;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::status;
use crate::report::format::panic_message;
use crate::report::kind::Kind;
use crate::sweep::exit_outcome::{kind_of, notes, os_error};

/// How calls are made: on one thread, or on several.
pub(crate) type Drive<P> = fn(&Ports<'_, P>, u8, &mut dyn FnMut(&mut Caller<'_>));
/// Several threads at once.
pub(crate) type Storm<P> = fn(&P, u8, &SequenceRange) -> Option<(Clause, String)>;

/// All that sequences need to run.
pub(crate) struct Suite<'a, P> {
    pub(crate) make: &'a dyn Fn() -> P,
    pub(crate) clones: u8,
    pub(crate) clone: Option<fn(&P) -> P>,
    pub(crate) threads: u8,
    pub(crate) drive: Drive<P>,
    pub(crate) storm: Option<Storm<P>>,
    pub(crate) held: Option<&'a HeldBytes<'a, P>>,
    pub(crate) range: &'a SequenceRange,
    pub(crate) rules: Rules,
    pub(crate) patience: Duration,
    pub(crate) in_process: bool,
}

/// A sequence that broke a promise.
pub(crate) struct BrokenSequence {
    pub(crate) steps: Vec<SequenceStep>,
    pub(crate) breach: Breach,
}

/// What came of one sequence.
#[derive(Clone, Debug, Default)]
pub(crate) struct SequenceMessage {
    nth: u64,
    /// The port could not even be made.
    unmade: Option<String>,
    breach: Option<Breach>,
    pub(crate) tally: Tally,
}

codec_struct!(Breach { clause, note, step });
codec_struct!(Tally { requests, granted, peak });
codec_struct!(SequenceMessage { nth, unmade, breach, tally });

impl Codec for Clause {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Clause::ALL.get(usize::get(from)?).copied()
    }
}

/// A child says at which step of which sequence it is.
const STEP_BITS: u32 = 24;

/// By how many tries a death is made smaller, each in a child; and a hang, where most take as long
/// as the patience lasts; and what is seen without dying, in one child.
const TRIES_DEATH: usize = 400;
const TRIES_HANG: usize = 24;
const TRIES: usize = 10_000;

/// What a child told, and where and how it died.
struct SuiteChild<T> {
    messages: Vec<T>,
    death: Option<(u64, Breach)>,
}

impl<P: Port> Suite<'_, P> {
    fn child<T: Codec>(
        &self,
        work: impl Fn(&Rc<Pipe>, &ChildStatus),
    ) -> Result<SuiteChild<T>, Error> {
        let board = SharedMemory::new(1, 0).map_err(|error| os_error("share memory", &error))?;
        let life = board.status(0);
        let answer = child::ask::<T>(self.patience, |pipe| {
            life.reset();
            status::set_started();
            work(pipe, life);
            life.set_item(None);
        });
        let answer = answer.map_err(|error| os_error("start a child", &error))?;
        let Some(death) = answer.death.filter(|_| !life.is_done()) else {
            return Ok(SuiteChild { messages: answer.messages, death: None });
        };
        let place = life.current_item().unwrap_or(0);
        let clause = match kind_of(death) {
            Kind::Abort => Clause::Aborts,
            Kind::Exit => Clause::Exits,
            Kind::NoProgress => Clause::Hangs,
            _ => Clause::Crashes,
        };
        let note = match clause {
            Clause::Hangs => "the last operation did not come back".to_owned(),
            _ => format!("during the last operation {}", notes(&[(death, answer.stack)])?.concat()),
        };
        let step = (place & ((1 << STEP_BITS) - 1)).saturating_sub(1);
        let nth = (place >> STEP_BITS) as u64;
        Ok(SuiteChild {
            messages: answer.messages,
            death: Some((nth, Breach { clause, note, step })),
        })
    }

    /// Runs one sequence here.
    fn once(
        &self,
        nth: u64,
        steps: &[SequenceStep],
        strict: bool,
        life: Option<&ChildStatus>,
    ) -> SequenceMessage {
        let mut at = 0;
        let mut tick = || {
            if let Some(life) = life {
                life.set_item(Some(((nth as usize) << STEP_BITS) | at));
            }
            at += 1;
        };
        tick();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let port = (self.make)();
            let mut ports = vec![port];
            while let Some(clone) = self.clone.filter(|_| ports.len() < usize::from(self.clones)) {
                ports.push(clone(&ports[0]));
            }
            ports
        }));
        let ports = match made {
            Ok(ports) => ports,
            Err(payload) => {
                let unmade = Some(panic_message(&*payload));
                return SequenceMessage { nth, unmade, ..SequenceMessage::default() };
            }
        };
        let rules = Rules { strict, ..self.rules };
        let mut result = (None, Tally::default());
        let driven = Ports { clones: &ports, held: self.held };
        (self.drive)(&driven, self.threads, &mut |call| {
            let call = &mut |hand, asked| {
                status::heartbeat();
                call(hand, asked)
            };
            result = contract::run(call, rules, steps, &mut tick);
        });
        let (mut breach, tally) = result;
        if catch_unwind(AssertUnwindSafe(|| drop(ports))).is_err() && breach.is_none() {
            let note = "it panicked while it was dropped".to_owned();
            let step = steps.len().saturating_sub(1);
            breach = Some(Breach { clause: Clause::Unwinds, note, step });
        }
        SequenceMessage { nth, unmade: None, breach, tally }
    }

    fn checked(told: SequenceMessage) -> Result<SequenceMessage, Error> {
        match told.unmade {
            None => Ok(told),
            Some(said) => Err(Error::new(format!("the port could not be made: {said}"))
                .help("give `conformance` a closure that makes a port of which nothing is in use")),
        }
    }

    /// Runs sequences from this one on, up to the first that breaks a promise: that one's number
    /// and breach, and what all of them did.
    fn explore(&self, from: u64, to: u64) -> Result<(Option<(u64, Breach)>, Tally), Error> {
        let each = |nth, life: Option<&ChildStatus>| {
            self.once(nth, &self.range.sequence(nth), false, life)
        };
        let mut tally = Tally::default();
        let mut add = |told: &SequenceMessage| {
            tally.requests += told.tally.requests;
            tally.granted += told.tally.granted;
            tally.peak = tally.peak.max(told.tally.peak);
        };
        if self.in_process {
            for nth in from..to {
                let told = Self::checked(each(nth, None))?;
                add(&told);
                if let Some(breach) = told.breach {
                    return Ok((Some((nth, breach)), tally));
                }
            }
            return Ok((None, tally));
        }
        let child = self.child::<SequenceMessage>(|pipe, life| {
            for nth in from..to {
                let told = each(nth, Some(life));
                pipe.send(&told);
                // What comes after would come in a process that may be broken.
                if told.breach.is_some() || told.unmade.is_some() {
                    return;
                }
            }
        })?;
        let mut caught = None;
        for told in child.messages {
            let told = Self::checked(told)?;
            add(&told);
            caught = told.breach.map(|breach| (told.nth, breach));
        }
        Ok((caught.or(child.death), tally))
    }

    /// What a sequence breaks in a fresh child, every block looked at after every step.
    pub(crate) fn confirm(&self, steps: &[SequenceStep]) -> Result<(Option<Breach>, Tally), Error> {
        if self.in_process {
            let told = Self::checked(self.once(0, steps, true, None))?;
            return Ok((told.breach, told.tally));
        }
        let mut child = self.child::<SequenceMessage>(|pipe, life| {
            pipe.send(&self.once(0, steps, true, Some(life)))
        })?;
        let told = Self::checked(child.messages.pop().unwrap_or_default())?;
        Ok((told.breach.or(child.death.map(|(_, breach)| breach)), told.tally))
    }

    fn shrink_here(
        &self,
        caught: &BrokenSequence,
        life: Option<&ChildStatus>,
    ) -> (Vec<SequenceStep>, Breach) {
        let clause = caught.breach.clause;
        let mut oracle = |steps: &[SequenceStep]| {
            self.once(0, steps, true, life).breach.filter(|breach| breach.clause == clause)
        };
        let (steps, breach) = (&caught.steps, caught.breach.clone());
        shrink(steps, breach, self.range.max_size, TRIES, &mut oracle)
    }

    /// The smallest sequence for a breach.
    fn smallest(&self, caught: BrokenSequence) -> Result<BrokenSequence, Error> {
        let clause = caught.breach.clause;
        if clause < Clause::Crashes {
            let small = if self.in_process {
                Some(self.shrink_here(&caught, None).0)
            } else {
                let mut child = self.child::<String>(|pipe, life| {
                    pipe.send(&print(&self.shrink_here(&caught, Some(life)).0));
                })?;
                child.messages.pop().map(|text| parse(&text)).transpose()?
            };
            if let Some(steps) = small
                && let Some(breach) = self.confirm(&steps)?.0
                && breach.clause == clause
            {
                return Ok(BrokenSequence { steps, breach });
            }
        }
        // A try kills its process, or leaves something in it that the next one sees.
        let mut trouble = None;
        let mut oracle = |steps: &[SequenceStep]| match self.confirm(steps) {
            Ok((breach, _)) => breach.filter(|breach| breach.clause == clause),
            Err(error) => {
                trouble = Some(error);
                None
            }
        };
        let tries = if clause == Clause::Hangs { TRIES_HANG } else { TRIES_DEATH };
        let (steps, breach) =
            shrink(&caught.steps, caught.breach, self.range.max_size, tries, &mut oracle);
        trouble.map_or(Ok(BrokenSequence { steps, breach }), Err)
    }

    /// Every promise that is broken, once, each by its smallest sequence; and what was done.
    pub(crate) fn search(&self) -> Result<(Vec<BrokenSequence>, Tally), Error> {
        let (mut all, mut sum): (Vec<BrokenSequence>, _) = (Vec::new(), Tally::default());
        let mut seen: Vec<Clause> = Vec::new();
        let (mut from, to) = (0, self.range.sequences());
        while from < to {
            let (caught, tally) = self.explore(from, to)?;
            sum.requests += tally.requests;
            sum.granted += tally.granted;
            sum.peak = sum.peak.max(tally.peak);
            let Some((nth, breach)) = caught else { break };
            from = nth + 1;
            if seen.contains(&breach.clause) {
                continue;
            }
            seen.push(breach.clause);
            let mut steps = self.range.sequence(nth);
            steps.truncate(breach.step + 1);
            let mut caught = match self.confirm(&steps)?.0 {
                Some(breach) => {
                    steps.truncate(breach.step + 1);
                    self.smallest(BrokenSequence { steps, breach })?
                }
                None => {
                    let note = format!(
                        "{}; only after the sequences before it: the port keeps something outside \
                         of itself",
                        breach.note
                    );
                    BrokenSequence { steps, breach: Breach { note, ..breach } }
                }
            };
            caught.steps.truncate(caught.breach.step.saturating_add(1));
            if !all.iter().any(|known| known.breach.clause == caught.breach.clause) {
                all.push(caught);
            }
        }
        Ok((all, sum))
    }

    /// Several threads at once, if that was asked for.
    pub(crate) fn storm(&self) -> Result<Option<(Clause, String)>, Error> {
        let Some(storm) = self.storm else { return Ok(None) };
        if self.in_process {
            return Ok(storm(&(self.make)(), self.threads, self.range));
        }
        let mut child = self.child::<SequenceMessage>(|pipe, life| {
            life.set_item(Some(0));
            let breach = storm(&(self.make)(), self.threads, self.range);
            let breach = breach.map(|(clause, note)| Breach { clause, note, step: 0 });
            pipe.send(&SequenceMessage { breach, ..SequenceMessage::default() });
        })?;
        let told = child.messages.pop().unwrap_or_default();
        let breach = told.breach.or(child.death.map(|(_, breach)| breach));
        Ok(breach.map(|breach| (breach.clause, breach.note)))
    }
}
