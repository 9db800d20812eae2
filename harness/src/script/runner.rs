//! A script played once, in this process or in a child of its own: what it shows, named as a
//! report would name it. Ids stay the same however small the script gets.

use crate::run::message::{AfterFault, RunMessage, RunSender};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::Adversary;
use crate::error::Error;
use crate::heap::Heap;
use crate::heap::state::EventSink;
#[cfg(feature = "shuttle")]
use crate::host;
use crate::host::Host;
use crate::options::Options;
use crate::port::Malloc;
use crate::process::backtrace::{Capture, Stack};
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::Report;
use crate::report::call_site::Site;
use crate::report::evidence::{Evidence, Moment, Role};
use crate::report::finding::{FaultAt, Finding, FindingStep};
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::report::rerun::Rerun;
use crate::report::token::Token;
#[cfg(feature = "shuttle")]
use crate::run::concurrent_script::ConcurrentScript;
use crate::run::panic_capture::hook_panics;
use crate::run::script_subject::ScriptSubject;
use crate::run::symbolizer::Symbolizer;
use crate::run::{Job, Run, Subject, execute};
use crate::schedule::Preemption;
use crate::script::shrink::Shows;
use crate::sweep::builder::Sweep;
use crate::sweep::exit_outcome::{kind_of, notes, os_error};
use crate::sweep::settings::Settings;
use crate::sweep::{grouping, point};
use crate::system::script::{Mode, Script};
use crate::system::{System, World};
use crate::trace::Fingerprint;
use crate::trace::Injected;

/// Requests of one run after which it counts as hung. A played script has no run without a fault
/// to be compared with.
const REQUESTS_MAX: u64 = 1 << 18;

/// What one run showed; good inside this process image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PlayedRun {
    pub(crate) evidence: Vec<Evidence>,
    stacks: BTreeMap<Moment, Stack>,
    injected: Option<Injected>,
    starts: Vec<Vec<u64>>,
    requests: Vec<u64>,
    /// A change of threads that could not be made.
    pub(crate) diverged: Option<Preemption>,
    fingerprint: u64,
    peak: usize,
    absorbed: bool,
}

codec_struct!(PlayedRun {
    evidence,
    stacks,
    injected,
    starts,
    requests,
    diverged,
    fingerprint,
    peak,
    absorbed,
});

impl PlayedRun {
    pub(crate) fn of(run: Run) -> PlayedRun {
        let mut seen = PlayedRun {
            evidence: run.evidence,
            stacks: run.taken,
            injected: run.injected,
            starts: run.starts,
            requests: run.requests,
            diverged: run.conducted.diverged,
            fingerprint: run.fingerprint.0,
            peak: run.peak,
            absorbed: run.outcome == Outcome::Absorbed,
        };
        if let Some(unlike) = run.mismatch {
            seen.evidence.push(unlike.evidence());
        } else if let (Outcome::Panicked, None, Some(said)) =
            (run.outcome, run.injected, run.failure)
        {
            let evidence = Evidence::new(Kind::Panic).note(format!("without any fault it {said}"));
            seen.evidence.push(evidence.step(Role::Panicked, Moment::Panic));
        }
        seen
    }

    pub(crate) fn shows(&self) -> Shows {
        let injected = self.injected.map(|injected| injected.at);
        Shows { injected, starts: self.starts.clone(), requests: self.requests.clone() }
    }
}

/// One thing that a run showed, by name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    evidence: Evidence,
    steps: Vec<FindingStep>,
    blocks: u64,
    bytes: u64,
}

/// Plays scripts of one system.
pub(crate) struct Player<S> {
    pub(crate) settings: Settings,
    symbols: RefCell<Symbolizer>,
    of: PhantomData<fn() -> S>,
}

/// A script as a subject, and who lets its threads take turns.
pub(crate) struct Cast<'s> {
    pub(crate) subject: Box<dyn Subject + 's>,
    pub(crate) host: Option<&'static dyn Host>,
    turns: Vec<Preemption>,
}

/// A script whose threads take turns.
#[cfg(feature = "shuttle")]
fn cast<'s, S: System + 's>(
    script: &Script<S::Op>,
    turns: Vec<Preemption>,
    insists: bool,
) -> Result<Cast<'s>, Error> {
    let host = host::shuttle()?;
    host::prepare_process();
    let most = host.threads_max();
    if script.threads.len() > most {
        return Err(Error::new(format!("the script has {} threads", script.threads.len()))
            .help(format!("give it {most} at the most: two or three show nearly everything")));
    }
    let subject = ConcurrentScript::<S>::new(&script.threads, insists);
    Ok(Cast { subject: Box::new(subject), host: Some(host), turns })
}

/// The same where nobody can let them.
#[cfg(not(feature = "shuttle"))]
fn cast<'s, S: System + 's>(
    script: &Script<S::Op>,
    _: Vec<Preemption>,
    _: bool,
) -> Result<Cast<'s>, Error> {
    let what = match script.threads.len() {
        0 | 1 => "the script has a schedule".to_owned(),
        threads => format!("the script has {threads} threads"),
    };
    Err(Error::new(format!("{what}, and this build has no shuttle to let threads take turns"))
        .help("build with --features shuttle"))
}

fn adversarial(options: Options) -> Heap {
    let options = options.ledger_only().moving(false);
    options.heap_over(Adversary::new().slack(false).over(Malloc))
}

impl<S: System> Player<S> {
    /// A player of this system's scripts, which read `input`.
    ///
    /// # Errors
    /// Where a variable of the environment can't be read.
    #[track_caller]
    pub(crate) fn new(input: Arc<[u8]>) -> Result<Self, Error> {
        let known_file = Location::caller().file();
        let settings = Sweep::new(S::NAME).known_file(known_file).input(input).into_settings()?;
        hook_panics();
        Ok(Player { settings, symbols: RefCell::new(Symbolizer::new(known_file)), of: PhantomData })
    }

    /// A script as a subject: of one thread, or of several that take turns.
    ///
    /// # Errors
    /// Where it is no script that can be played by this build.
    pub(crate) fn cast<'s>(&self, script: &Script<S::Op>) -> Result<Cast<'s>, Error>
    where
        S: 's,
    {
        if script.system != S::NAME {
            let what = format!("the script is for the system `{}`", script.system);
            return Err(Error::new(what).help(format!("this one is `{}`", S::NAME)));
        }
        let insists = script.shortages()?.is_some_and(|all| all.insists());
        let turns = script.turns()?;
        if script.is_contended() {
            return cast::<S>(script, turns, insists);
        }
        let ops = script.threads.first().map_or(&[][..], Vec::as_slice);
        let scratch = std::env::temp_dir();
        let subject =
            ScriptSubject::<S>::once(ops, &World::new(&self.settings.input, &scratch), insists);
        Ok(Cast { subject: Box::new(subject), host: None, turns })
    }

    /// One run in this process, and another with open eyes if it showed anything: of the kind
    /// that is wanted, where one is.
    ///
    /// # Errors
    /// Where it is no script that can be played.
    pub(crate) fn see(
        &self,
        script: &Script<S::Op>,
        scratch: &ScratchDir,
        wanted: Option<Kind>,
        sink: Option<Box<dyn EventSink>>,
    ) -> Result<PlayedRun, Error> {
        let cast = self.cast(script)?;
        let seen = PlayedRun::of(self.run(&cast, script, scratch, None, sink)?);
        let is_wanted = |evidence: &Evidence| wanted.is_none_or(|wanted| evidence.kind == wanted);
        let is_absorbed = script.expect.strict && seen.absorbed && seen.injected.is_some();
        if !is_absorbed && !seen.evidence.iter().any(is_wanted) {
            return Ok(seen);
        }
        let mut moments = point::moments(&seen.evidence);
        moments.extend(seen.injected.map(|injected| Moment::Event(injected.event)));
        let again = self.run(&cast, script, scratch, Some(Capture::of(moments)), None)?;
        let again = PlayedRun::of(again);
        if (&again.evidence, again.fingerprint) == (&seen.evidence, seen.fingerprint) {
            return Ok(again);
        }
        let note = "the same script showed something else when it was run again";
        let evidence = vec![Evidence::new(Kind::Nondeterminism).note(note)];
        Ok(PlayedRun { evidence, ..seen })
    }

    /// One run, in which nothing is looked up.
    pub(crate) fn glance(
        &self,
        script: &Script<S::Op>,
        scratch: &ScratchDir,
    ) -> Result<PlayedRun, Error> {
        Ok(PlayedRun::of(self.run(&self.cast(script)?, script, scratch, None, None)?))
    }

    fn run(
        &self,
        cast: &Cast<'_>,
        script: &Script<S::Op>,
        scratch: &ScratchDir,
        capture: Option<Capture>,
        sink: Option<Box<dyn EventSink>>,
    ) -> Result<Run, Error> {
        let mut job = self.job(cast, script, scratch)?;
        (job.capture, job.sink) = (capture, sink);
        Ok(execute(&*cast.subject, job))
    }

    /// A run of a script, by its faults and its schedule.
    pub(crate) fn job<'a>(
        &'a self,
        cast: &'a Cast<'_>,
        script: &Script<S::Op>,
        scratch: &'a ScratchDir,
    ) -> Result<Job<'a>, Error> {
        let mut job = self.settings.job(scratch);
        if script.modes.contains(&Mode::Bypass) {
            job.options.bypass = true;
        }
        if script.modes.contains(&Mode::Adversary) {
            job.port = Some(&adversarial);
        }
        if let Some(host) = cast.host {
            job.options = job.options.driven(true);
            job.scheduler = Some(host);
            job.turns = &cast.turns;
        }
        if let Some(shortages) = script.shortages()? {
            job.plan = shortages.plan();
        }
        job.plan.set_seed(script.seed);
        job.bound = REQUESTS_MAX;
        job.record_starts = true;
        Ok(job)
    }

    /// One run in a child: whatever it dies of, this process lives. Beside what was seen, its
    /// death.
    ///
    /// # Errors
    /// Where it is no script that can be played, or no child can be made.
    pub(crate) fn play(&self, script: &Script<S::Op>) -> Result<(PlayedRun, Option<Death>), Error> {
        let owner = std::process::id();
        if self.settings.in_process {
            return Ok((self.see(script, &ScratchDir::new(owner), None, None)?, None));
        }
        self.cast(script)?;
        let answer = child::ask::<RunMessage<PlayedRun>>(self.patience(), |pipe| {
            let scratch = ScratchDir::new(owner);
            status::set_started();
            let sender = RunSender::<PlayedRun>::new(pipe, AfterFault::Place);
            let end = self.see(script, &scratch, None, Some(Box::new(sender))).ok();
            pipe.send(&RunMessage { end, ..RunMessage::default() });
        });
        let answer = answer.map_err(|error| os_error("start a child", &error))?;
        let mut early = PlayedRun::default();
        for message in answer.messages {
            if let Some(seen) = message.end {
                return Ok((seen, None));
            }
            early.evidence.extend(message.evidence);
            if let Some(injected) = message.injected {
                early.stacks.insert(Moment::Event(injected.event), message.stack);
                early.injected = Some(injected);
            }
        }
        let death = answer.death.unwrap_or(Death::Exit(0));
        let note = notes(&[(death, answer.stack)])?.concat();
        early.evidence = vec![Evidence::new(kind_of(death)).note(note)];
        Ok((early, Some(death)))
    }

    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience.unwrap_or(Duration::from_secs(10))
    }

    /// What was seen, by name, each root cause once; and where the first request failed.
    pub(crate) fn name(&self, seen: &PlayedRun, script: &Script<S::Op>) -> (Vec<Named>, Site) {
        let stacks: Vec<Stack> = seen.stacks.values().cloned().collect();
        let mut symbols = self.symbols.borrow_mut();
        let sites = if stacks.is_empty() { None } else { symbols.sites(&stacks) };
        let sites: HashMap<Stack, Site> =
            stacks.into_iter().zip(sites.into_iter().flatten()).collect();
        let moment = seen.injected.map(|injected| Moment::Event(injected.event));
        let stack = moment.and_then(|moment| seen.stacks.get(&moment));
        let fault = stack.and_then(|stack| sites.get(stack));
        let mut all: Vec<Named> = Vec::new();
        for evidence in seen.evidence.iter().chain(&self.judge(seen, script, fault)) {
            let steps = grouping::steps(evidence, &seen.stacks, &sites);
            let root = grouping::root(evidence, fault, &steps);
            let id = grouping::id(evidence.kind, &root);
            let size = evidence.block.as_ref().map_or(0, |block| block.size as u64);
            if let Some(known) = all.iter_mut().find(|known| known.id == id) {
                (known.blocks, known.bytes) = (known.blocks + 1, known.bytes + size);
                continue;
            }
            let (kind, evidence) = (evidence.kind, evidence.clone());
            all.push(Named { kind, id, evidence, steps, blocks: 1, bytes: size });
        }
        let is_allowed = |named: &Named| {
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

    /// What is only wrong by what the script demands.
    fn judge(
        &self,
        seen: &PlayedRun,
        script: &Script<S::Op>,
        fault: Option<&Site>,
    ) -> Option<Evidence> {
        let is_benign = |site: &Site| script.expect.benign.iter().any(|name| site.mentions(name));
        let demanded = script.expect.strict && !fault.is_some_and(is_benign);
        (demanded && seen.injected.is_some() && seen.absorbed)
            .then(|| Evidence::new(Kind::Absorbed).note("it went on as if nothing had happened"))
    }

    /// A report of what was seen; `rerun` is how it is seen again.
    pub(crate) fn report(&self, seen: &PlayedRun, script: &Script<S::Op>, rerun: &Rerun) -> Report {
        let (named, site) = self.name(seen, script);
        let mut report = Report::empty(S::NAME, script.seed);
        let fault = seen.injected.map(|injected| FaultAt {
            at: injected.at,
            persistent: false,
            op: injected.op,
            size: injected.size as u64,
            site,
        });
        let token = Token {
            scenario: S::NAME.to_owned(),
            fault: None,
            seed: script.seed,
            input: None,
            modes: Vec::new(),
            turns: None,
            fingerprint: Fingerprint(seen.fingerprint).short(),
        };
        let finding = |named: Named| Finding {
            kind: named.kind,
            id: named.id,
            scenario: S::NAME.to_owned(),
            block: named.evidence.block,
            blocks: named.blocks,
            bytes: named.bytes,
            steps: named.steps,
            notes: named.evidence.notes,
            fault: fault.clone(),
            schedule: None,
            count: 1,
            of: seen.requests.iter().sum(),
            token: token.clone(),
            rerun: rerun.clone(),
        };
        report.findings = named.into_iter().map(finding).collect();
        report.findings.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        report.coverage.requests = seen.requests.iter().sum();
        report.coverage.runs = u64::from(seen.injected.is_some());
        report.coverage.runs_total = report.coverage.runs;
        report.coverage.complete = true;
        report.peak = seen.peak as u64;
        report.fingerprint = seen.fingerprint;
        report
    }
}
