//! Runs a prepared script once, in this process or in a child process, and names what it shows as a
//! report would: the ids of findings stay the same however small the script gets.
//!
//! Nothing here knows the system's type, so it is compiled once and not for each system.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::Adversary;
use crate::error::Error;
use crate::heap::Heap;
use crate::heap::state::EventSink;
use crate::options::Options;
use crate::port::Malloc;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment};
use crate::report::finding::{BlockTally, FaultAt, Finding, FindingStep};
use crate::report::kind::Kind;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
use crate::run::message::{AfterFault, RunMessage, RunSender};
use crate::run::panic_capture::hook_panics;
use crate::run::symbolizer::Symbolizer;
use crate::run::{Job, Run, execute};
use crate::script::prepared::PreparedScript;
use crate::script::script_run::ScriptRun;
use crate::sweep::builder::Sweep;
use crate::sweep::exit_outcome::{DescribedDeath, describe, os_error};
use crate::sweep::settings::Settings;
use crate::sweep::{grouping, point};
use crate::system::script::{Mode, ScriptHeader};
use crate::trace::Fingerprint;

/// Requests of one run after which it counts as hung. There is no fault-free run to compare it with.
const REQUESTS_MAX: u64 = 1 << 18;

/// A finding of one run, by its root cause.
#[derive(Clone, Debug)]
pub(crate) struct NamedFinding {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    evidence: Evidence,
    steps: Vec<FindingStep>,
    tally: BlockTally,
}

/// Runs prepared scripts of one system.
pub(crate) struct PreparedRunner {
    system: &'static str,
    pub(crate) settings: Settings,
    symbols: RefCell<Symbolizer>,
}

fn adversarial(options: Options) -> Heap {
    let options = options.ledger_only().moving(false);
    options.heap_over(Adversary::new().slack(false).over(Malloc))
}

impl PreparedRunner {
    /// A runner of this system's scripts, which read `input`.
    ///
    /// # Errors
    /// If an environment variable of Mallory's is wrong.
    #[track_caller]
    pub(crate) fn new(system: &'static str, input: Arc<[u8]>) -> Result<Self, Error> {
        let known_file = Location::caller().file();
        let settings = Sweep::new(system).known_file(known_file).input(input).into_settings()?;
        hook_panics();
        Ok(PreparedRunner { system, settings, symbols: RefCell::new(Symbolizer::new(known_file)) })
    }

    /// Runs a script in this process, and, if it shows anything, once more to confirm it and to take
    /// backtraces. `wanted`: only evidence of this kind is confirmed.
    ///
    /// # Errors
    /// If this build can't run the script.
    pub(crate) fn run_here(
        &self,
        prepared: &PreparedScript<'_>,
        scratch: &ScratchDir,
        wanted: Option<Kind>,
        sink: Option<Box<dyn EventSink>>,
    ) -> Result<ScriptRun, Error> {
        let run = ScriptRun::of(self.execute(prepared, scratch, None, sink)?);
        let is_wanted = |evidence: &Evidence| wanted.is_none_or(|wanted| evidence.kind == wanted);
        let is_absorbed = prepared.header.expect.strict && run.absorbed && run.injected.is_some();
        if !is_absorbed && !run.evidence.iter().any(is_wanted) {
            return Ok(run);
        }
        let mut moments = point::moments(&run.evidence);
        moments.extend(run.injected.map(|injected| Moment::Event(injected.event)));
        let again = self.execute(prepared, scratch, Some(Capture::of(moments)), None)?;
        let again = ScriptRun::of(again);
        if (&again.evidence, again.fingerprint) == (&run.evidence, run.fingerprint) {
            return Ok(again);
        }
        let note = "the same script showed something else when it was run again";
        let evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
        Ok(ScriptRun { evidence, ..run })
    }

    /// Runs a script once in this process, without backtraces.
    pub(crate) fn run_once(
        &self,
        prepared: &PreparedScript<'_>,
        scratch: &ScratchDir,
    ) -> Result<ScriptRun, Error> {
        Ok(ScriptRun::of(self.execute(prepared, scratch, None, None)?))
    }

    fn execute(
        &self,
        prepared: &PreparedScript<'_>,
        scratch: &ScratchDir,
        capture: Option<Capture>,
        sink: Option<Box<dyn EventSink>>,
    ) -> Result<Run, Error> {
        let mut job = self.job(prepared, scratch)?;
        (job.capture, job.sink) = (capture, sink);
        Ok(execute(&*prepared.subject, job))
    }

    /// The job of one run, with the script's faults, modes and schedule.
    pub(crate) fn job<'a>(
        &'a self,
        prepared: &'a PreparedScript<'_>,
        scratch: &'a ScratchDir,
    ) -> Result<Job<'a>, Error> {
        let script = &prepared.header;
        let mut job = self.settings.job(scratch);
        if script.modes.contains(&Mode::Bypass) {
            job.options.bypass = true;
        }
        if script.modes.contains(&Mode::Adversary) {
            job.port = Some(&adversarial);
        }
        if let Some(host) = prepared.host {
            job.options = job.options.driven(true);
            job.scheduler = Some(host);
            job.preemptions = &prepared.schedule;
        }
        if let Some(shortages) = script.shortages()? {
            job.plan = shortages.plan();
        }
        job.plan.set_seed(script.seed);
        job.bound = REQUESTS_MAX;
        job.record_starts = true;
        Ok(job)
    }

    /// Runs a script in a child process, so that this process survives a crash or an abort, which is
    /// returned beside what was seen. With the setting `in_process` it runs here.
    ///
    /// # Errors
    /// If this build can't run the script, or no child process can be started.
    pub(crate) fn run_isolated(
        &self,
        prepared: &PreparedScript<'_>,
    ) -> Result<(ScriptRun, Option<Death>), Error> {
        let owner = std::process::id();
        if self.settings.in_process {
            return Ok((self.run_here(prepared, &ScratchDir::new(owner), None, None)?, None));
        }
        let answer = child::ask::<RunMessage<ScriptRun>>(self.patience(), &|pipe| {
            let scratch = ScratchDir::new(owner);
            status::set_started();
            let sender = RunSender::<ScriptRun>::new(pipe, AfterFault::Place);
            let end = self.run_here(prepared, &scratch, None, Some(Box::new(sender))).ok();
            pipe.send(&RunMessage { end, ..RunMessage::default() });
        });
        let answer = answer.map_err(|error| os_error("start a child", &error))?;
        let mut run = ScriptRun::default();
        for message in answer.messages {
            if let Some(end) = message.end {
                return Ok((end, None));
            }
            if let Some(injected) = message.injected {
                run.stacks.insert(Moment::Event(injected.event), message.stack);
                run.injected = Some(injected);
            }
        }
        let record = answer.death.unwrap_or(Death::Exit(0).without_trace());
        for DescribedDeath { evidence, stacks } in describe(std::slice::from_ref(&record))? {
            run.evidence.push(evidence);
            run.stacks.extend(stacks);
        }
        Ok((run, Some(record.death)))
    }

    /// How long a child process may make no request.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience.unwrap_or(Duration::from_secs(10))
    }

    /// The findings of a run that the script doesn't allow, one for each root cause; and the call site
    /// of the injected fault.
    pub(crate) fn findings(
        &self,
        run: &ScriptRun,
        script: &ScriptHeader,
    ) -> (Vec<NamedFinding>, Site) {
        let stacks: Vec<Stack> = run.stacks.values().cloned().collect();
        let mut symbols = self.symbols.borrow_mut();
        let sites = if stacks.is_empty() { None } else { symbols.sites(&stacks) };
        let sites: BTreeMap<Stack, Site> =
            stacks.into_iter().zip(sites.into_iter().flatten()).collect();
        let moment = run.injected.map(|injected| Moment::Event(injected.event));
        let stack = moment.and_then(|moment| run.stacks.get(&moment));
        let fault = stack.and_then(|stack| sites.get(stack));
        let mut all: Vec<NamedFinding> = Vec::new();
        for evidence in run.evidence.iter().chain(&strict_evidence(run, script, fault)) {
            let steps = grouping::steps(evidence, &run.stacks, &sites);
            let root = grouping::root(evidence, fault, &steps, run.injected.is_some());
            let id = grouping::id(evidence.kind, &root);
            if let Some(known) = all.iter_mut().find(|known| known.id == id) {
                known.tally.add(evidence);
                continue;
            }
            let mut tally = BlockTally::default();
            tally.add(evidence);
            let (kind, evidence) = (evidence.kind, evidence.clone());
            all.push(NamedFinding { kind, id, evidence, steps, tally });
        }
        let is_allowed = |named: &NamedFinding| {
            script.expect.allow.iter().any(|allowed| {
                let mentions = |site: &Site| site.mentions(&allowed.function);
                allowed.kind == named.kind.name()
                    && (named.steps.iter().any(|step| mentions(&step.site))
                        || fault.is_some_and(mentions))
            })
        };
        all.retain(|named| !is_allowed(named));
        (all, fault.cloned().unwrap_or_default())
    }

    /// The report of a run. `rerun` says how to repeat it.
    pub(crate) fn report(&self, run: &ScriptRun, script: &ScriptHeader, rerun: &Rerun) -> Report {
        let (named, site) = self.findings(run, script);
        let mut report = Report::empty(self.system, script.seed);
        let fault = run.injected.map(|injected| FaultAt {
            at: injected.at,
            persistent: false,
            op: injected.op,
            size: injected.size as u64,
            site,
            is_first_use: false,
        });
        let token = Token {
            scenario: self.system.to_owned(),
            fault: None,
            seed: script.seed,
            input: None,
            modes: Vec::new(),
            preemptions: None,
            fingerprint: Fingerprint(run.fingerprint).short(),
        };
        let finding = |named: NamedFinding| Finding {
            kind: named.kind,
            id: named.id,
            scenario: self.system.to_owned(),
            block: named.evidence.block,
            tally: named.tally,
            steps: named.steps,
            notes: named.evidence.notes,
            fault: fault.clone(),
            schedule: None,
            count: 1,
            of: run.requests.iter().sum(),
            token: token.clone(),
            rerun: rerun.clone(),
            c_call: String::new(),
        };
        report.findings = named.into_iter().map(finding).collect();
        report.findings.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        report.coverage.requests = run.requests.iter().sum();
        report.coverage.runs = u64::from(run.injected.is_some());
        report.coverage.runs_total = report.coverage.runs;
        report.coverage.complete = true;
        report.peak = run.peak as u64;
        report.fingerprint = run.fingerprint;
        report
    }
}

/// The evidence that a fault was absorbed, if the script is strict and its call site isn't benign.
fn strict_evidence(
    run: &ScriptRun,
    script: &ScriptHeader,
    fault: Option<&Site>,
) -> Option<Evidence> {
    let is_benign = |site: &Site| script.expect.benign.iter().any(|name| site.mentions(name));
    let is_strict = script.expect.strict && !fault.is_some_and(is_benign);
    (is_strict && run.injected.is_some() && run.absorbed)
        .then(|| Evidence::new(Kind::Absorbed).note("it went on as if nothing had happened"))
}
