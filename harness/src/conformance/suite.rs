//! Runs sequences in child processes, so that this process survives a port that crashes, aborts or hangs.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::adapters::region_memory::{REGION, place, recording};
use crate::conformance::call::{Call, CallFn, HeldBytes, Ports};
use crate::conformance::clause::{Breach, BreachRoot, Clause, Function, Rules, Tally};
use crate::conformance::contract;
use crate::conformance::generate::SequenceRange;
use crate::conformance::operation::SequenceStep;
use crate::conformance::position::Position;
use crate::error::Error;
use crate::port::Port;
use crate::process::child;
use crate::process::codec::{Codec, codec_struct};
use crate::process::exit::Death;
use crate::process::guard_pages;
use crate::process::pipe::Pipe;
use crate::process::shared_memory::{ChildStatus, SharedMemory};
use crate::process::status;
use crate::report::format::panic_message;
use crate::report::kind::Kind;
use crate::sweep::exit_outcome::{describe, kind_of, os_error};

/// How the calls of a sequence are made: on one thread, or on several.
pub(crate) type Drive<P> = fn(&Ports<'_, P>, u8, &mut dyn FnMut(&mut CallFn<'_>));
/// Uses a port from several threads at the same time.
pub(crate) type Stress<P> = fn(&P, u8, &SequenceRange) -> Option<(Clause, String)>;

/// All that is needed to run sequences.
pub(crate) struct Suite<'a, P> {
    pub(crate) make: &'a dyn Fn() -> P,
    pub(crate) clones: u8,
    /// Clones a port, if calls are made through clones.
    pub(crate) clone: Option<fn(&P) -> P>,
    pub(crate) threads: u8,
    pub(crate) drive: Drive<P>,
    pub(crate) stress: Option<Stress<P>>,
    pub(crate) held: Option<&'a HeldBytes<'a, P>>,
    pub(crate) range: &'a SequenceRange,
    pub(crate) rules: Rules,
    /// How long one operation may take.
    pub(crate) patience: Duration,
    pub(crate) in_process: bool,
}

/// A sequence that broke a promise.
pub(crate) struct BrokenSequence {
    pub(crate) steps: Vec<SequenceStep>,
    pub(crate) breach: Breach,
}

/// What one sequence did, as a child process sends it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SequenceMessage {
    nth: u64,
    /// The panic message of the closure that makes the port.
    make_error: Option<String>,
    pub(crate) breach: Option<Breach>,
    pub(crate) tally: Tally,
}

/// What running some sequences showed.
pub(crate) struct RangeResult {
    /// The number of the sequence that showed an unknown breach, and the breach.
    pub(crate) broken: Option<(u64, Breach)>,
    /// Whether no sequence before it broke a promise in the same process, which may damage it.
    pub(crate) is_fresh: bool,
    pub(crate) tally: Tally,
}

impl RangeResult {
    fn add(&mut self, message: SequenceMessage, is_new: &dyn Fn(&Breach) -> bool) {
        self.tally.add(&message.tally);
        match message.breach {
            Some(breach) if is_new(&breach) => self.broken = Some((message.nth, breach)),
            Some(_) => self.is_fresh = false,
            None => {}
        }
    }
}

codec_struct!(Breach { clause, function, note, step, is_death });
codec_struct!(Tally { requests, granted, peak, guarded });
codec_struct!(SequenceMessage { nth, make_error, breach, tally });

impl Codec for Clause {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Clause::ALL.get(usize::get(from)?).copied()
    }
}

impl Codec for Function {
    fn put(&self, out: &mut Vec<u8>) {
        (*self as u64).put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        Function::ALL.get(usize::get(from)?).copied()
    }
}

/// How the death of a child process is described.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeathNotes {
    /// By its cause, for a process that is one of many.
    Short,
    /// Also by what the call stack says, for which debug information is read.
    Full,
}

/// What a child process sent, and the sequence and breach of its death.
pub(crate) struct SuiteChild<T> {
    pub(crate) messages: Vec<T>,
    pub(crate) death: Option<(u64, Breach)>,
}

impl<P: Port> Suite<'_, P> {
    /// Runs `work` in a child process. `notes` says how a death is described.
    pub(crate) fn in_child<T: Codec>(
        &self,
        notes: DeathNotes,
        work: impl Fn(&Rc<Pipe>, &ChildStatus),
    ) -> Result<SuiteChild<T>, Error> {
        let shared = SharedMemory::new(1, 0).map_err(|error| os_error("share memory", &error))?;
        let child_status = shared.status(0);
        let result = child::ask::<T>(self.patience, &|pipe| {
            child_status.reset();
            status::set_started();
            work(pipe, child_status);
            child_status.set_item(None);
        });
        let mut result = result.map_err(|error| os_error("start a child", &error))?;
        let Some(record) = result.early_death(child_status) else {
            return Ok(SuiteChild { messages: result.messages, death: None });
        };
        let position = Position::unpack(child_status.current_item().unwrap_or(0));
        let hit = matches!(record.death, Death::Guard(_)).then(|| guard_pages::read(&record.stack));
        let hit = hit.flatten().filter(|hit| hit.number == REGION);
        let clause = match kind_of(record.death) {
            _ if hit.is_some() => Clause::Outside,
            Kind::Abort => Clause::Aborts,
            Kind::Exit => Clause::Exits,
            Kind::NoProgress => Clause::Hangs,
            _ => Clause::Crashes,
        };
        let note = match (clause, hit) {
            (_, Some(hit)) => format!("{} {}", hit.access(), place(hit.offset, hit.size)),
            (Clause::Hangs, _) => "the last operation did not come back".to_owned(),
            _ if notes == DeathNotes::Short => {
                format!("during the last operation {}", record.death)
            }
            _ => {
                let described = describe(std::slice::from_ref(&record))?.pop();
                let notes = described.map(|death| death.evidence.notes).unwrap_or_default();
                format!("during the last operation {}", notes.join("; "))
            }
        };
        let (nth, step) = (position.nth, position.step.saturating_sub(1));
        let function = position.function;
        let breach = Breach { clause, function, note, step, is_death: true };
        Ok(SuiteChild { messages: result.messages, death: Some((nth, breach)) })
    }

    /// Runs one sequence in this process.
    pub(crate) fn run_here(
        &self,
        nth: u64,
        steps: &[SequenceStep],
        strict: bool,
        child_status: Option<&ChildStatus>,
    ) -> SequenceMessage {
        let position = Cell::new(Position { nth, step: 0, function: Function::Make });
        let set_position = |change: &dyn Fn(&mut Position)| {
            let mut present = position.get();
            change(&mut present);
            position.set(present);
            if let Some(child_status) = child_status {
                child_status.set_item(Some(present.pack()));
            }
        };
        set_position(&|_| {});
        let made = catch_unwind(AssertUnwindSafe(|| {
            recording(|| {
                let port = (self.make)();
                let mut ports = vec![port];
                while let Some(clone) =
                    self.clone.filter(|_| ports.len() < usize::from(self.clones))
                {
                    ports.push(clone(&ports[0]));
                }
                ports
            })
        }));
        let (ports, regions) = match made {
            Ok(made) => made,
            Err(payload) => {
                let make_error = Some(panic_message(&*payload));
                return SequenceMessage { nth, make_error, ..SequenceMessage::default() };
            }
        };
        let rules = Rules { strict, ..self.rules };
        let mut result = (None, Tally::default());
        let all_ports = Ports { clones: &ports, held: self.held };
        let mut tick = || set_position(&|position| position.step += 1);
        (self.drive)(&all_ports, self.threads, &mut |call| {
            let call = &mut |caller, request: Call| {
                status::heartbeat();
                set_position(&|position| position.function = request.function());
                call(caller, request)
            };
            result = contract::run(call, rules, &regions, steps, &mut tick);
        });
        let (mut breach, tally) = result;
        set_position(&|position| position.function = Function::Drop);
        let step = steps.len().saturating_sub(1);
        if catch_unwind(AssertUnwindSafe(|| drop(ports))).is_err() && breach.is_none() {
            let note = "it panicked while it was dropped".to_owned();
            breach = Some(Breach {
                clause: Clause::Unwinds,
                function: Function::Drop,
                note,
                step,
                is_death: false,
            });
        }
        SequenceMessage { nth, make_error: None, breach, tally }
    }

    /// The error of a port that can't be made.
    fn check_made(message: SequenceMessage) -> Result<SequenceMessage, Error> {
        match message.make_error {
            None => Ok(message),
            Some(panic) => Err(Error::new(format!("the port could not be made: {panic}"))
                .help("give `conformance` a closure that makes a fresh port")),
        }
    }

    /// Runs the sequences `from..to`, up to the first with a breach that is not known.
    pub(crate) fn run_range(
        &self,
        (from, to): (u64, u64),
        known: &[BreachRoot],
    ) -> Result<RangeResult, Error> {
        let each = |nth, child_status: Option<&ChildStatus>| {
            self.run_here(nth, &self.range.sequence(nth), false, child_status)
        };
        let is_new = |breach: &Breach| !known.contains(&breach.root());
        let mut result = RangeResult { broken: None, is_fresh: true, tally: Tally::default() };
        if self.in_process {
            for nth in from..to {
                result.add(Self::check_made(each(nth, None))?, &is_new);
                if result.broken.is_some() {
                    break;
                }
            }
            return Ok(result);
        }
        let child = self.in_child::<SequenceMessage>(DeathNotes::Short, |pipe, child_status| {
            for nth in from..to {
                let message = each(nth, Some(child_status));
                pipe.send(&message);
                // The port may have damaged this process.
                if message.breach.as_ref().is_some_and(is_new) || message.make_error.is_some() {
                    return;
                }
            }
        })?;
        for message in child.messages {
            result.add(Self::check_made(message)?, &is_new);
        }
        result.broken = result.broken.or(child.death);
        Ok(result)
    }

    /// Runs a sequence in a fresh child process, with all live blocks checked after every step.
    pub(crate) fn confirm(
        &self,
        steps: &[SequenceStep],
        notes: DeathNotes,
    ) -> Result<(Option<Breach>, Tally), Error> {
        if self.in_process {
            let message = Self::check_made(self.run_here(0, steps, true, None))?;
            return Ok((message.breach, message.tally));
        }
        let mut child = self.in_child::<SequenceMessage>(notes, |pipe, child_status| {
            pipe.send(&self.run_here(0, steps, true, Some(child_status)))
        })?;
        let message = Self::check_made(child.messages.pop().unwrap_or_default())?;
        Ok((message.breach.or(child.death.map(|(_, breach)| breach)), message.tally))
    }

    /// Uses the port from several threads at the same time, if the caller asked for it.
    pub(crate) fn stress(&self) -> Result<Option<(Clause, String)>, Error> {
        let Some(stress) = self.stress else { return Ok(None) };
        if self.in_process {
            return Ok(stress(&(self.make)(), self.threads, self.range));
        }
        let mut child =
            self.in_child::<SequenceMessage>(DeathNotes::Full, |pipe, child_status| {
                child_status.set_item(Some(0));
                let breach = stress(&(self.make)(), self.threads, self.range);
                let function = Function::Make;
                let breach = breach.map(|(clause, note)| Breach {
                    clause,
                    function,
                    note,
                    step: 0,
                    is_death: false,
                });
                pipe.send(&SequenceMessage { breach, ..SequenceMessage::default() });
            })?;
        let message = child.messages.pop().unwrap_or_default();
        let breach = message.breach.or(child.death.map(|(_, breach)| breach));
        Ok(breach.map(|breach| (breach.clause, breach.note)))
    }
}
