//! Messages from a child process about one run: parts that it sends during the run, since the run
//! may kill it, and the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::heap::state::EventSink;
use crate::process::backtrace::{self, Stack};
use crate::process::codec::Codec;
use crate::process::pipe::Pipe;
use crate::report::evidence::{Evidence, Moment};
use crate::trace::{Fingerprint, Injected};

/// A part of what is known about a run; the last one has its end.
#[derive(Clone, Debug)]
pub(crate) struct RunMessage<E> {
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) fingerprint: Option<u64>,
    pub(crate) injected: Option<Injected>,
    /// The backtrace of the request that failed, in the message that first has `injected`.
    pub(crate) stack: Stack,
    /// Backtraces that the run was asked for.
    pub(crate) taken: BTreeMap<Moment, Stack>,
    pub(crate) end: Option<E>,
}

impl<E> Default for RunMessage<E> {
    fn default() -> Self {
        RunMessage {
            evidence: Vec::new(),
            fingerprint: None,
            injected: None,
            stack: Stack::new(),
            taken: BTreeMap::new(),
            end: None,
        }
    }
}

impl<E: Codec> Codec for RunMessage<E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.evidence.put(out);
        self.fingerprint.put(out);
        self.injected.put(out);
        self.stack.put(out);
        self.taken.put(out);
        self.end.put(out);
    }

    fn get(from: &mut &[u8]) -> Option<Self> {
        let (evidence, fingerprint) = (Codec::get(from)?, Codec::get(from)?);
        let (injected, stack) = (Codec::get(from)?, Codec::get(from)?);
        let (taken, end) = (Codec::get(from)?, Codec::get(from)?);
        Some(RunMessage { evidence, fingerprint, injected, stack, taken, end })
    }
}

/// What is sent after a fault was injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterFault {
    /// The fingerprint after every event, so that the parent knows the last one before a death.
    Fingerprints,
    /// The fault, once, with the backtrace of its request.
    #[cfg_attr(not(feature = "ron"), allow(dead_code, reason = "scripts are run with it"))]
    Place,
}

/// Sends the messages of a run while it is running.
pub(crate) struct RunSender<E> {
    pipe: Rc<Pipe>,
    after_fault: AfterFault,
    has_sent: Cell<bool>,
    end: std::marker::PhantomData<fn() -> E>,
}

impl<E> RunSender<E> {
    pub(crate) fn new(pipe: &Rc<Pipe>, after_fault: AfterFault) -> Self {
        let (pipe, has_sent) = (Rc::clone(pipe), Cell::new(false));
        RunSender { pipe, after_fault, has_sent, end: std::marker::PhantomData }
    }
}

impl<E: Codec> EventSink for RunSender<E> {
    fn evidence(&self, evidence: &Evidence) {
        self.pipe.send(&RunMessage::<E> { evidence: vec![evidence.clone()], ..Default::default() });
    }

    fn taken(&self, moment: Moment, stack: &Stack) {
        let taken = BTreeMap::from([(moment, stack.clone())]);
        self.pipe.send(&RunMessage::<E> { taken, ..Default::default() });
    }

    fn fingerprint(&self, fingerprint: Fingerprint, injected: Option<&Injected>) {
        // Before the fault it equals the fault-free run, whose fingerprints are known.
        let Some(injected) = injected.copied() else { return };
        let is_first = !self.has_sent.replace(true);
        let (fingerprint, stack) = match self.after_fault {
            AfterFault::Fingerprints => (Some(fingerprint.0), Stack::new()),
            AfterFault::Place if is_first => (None, backtrace::stack()),
            AfterFault::Place => return,
        };
        let injected = Some(injected);
        self.pipe.send(&RunMessage::<E> { fingerprint, injected, stack, ..Default::default() });
    }
}
