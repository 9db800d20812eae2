//! Looking for what shows anything: a script in the schedules of a search, and many scripts one
//! after the other.

#[cfg(any(feature = "proptest", feature = "shuttle"))]
use std::cell::RefCell;
#[cfg(feature = "shuttle")]
use std::rc::Rc;

#[cfg(feature = "proptest")]
use serde::Serialize;
#[cfg(feature = "proptest")]
use serde::de::DeserializeOwned;

use crate::error::Error;
#[cfg(feature = "proptest")]
use crate::host;
#[cfg(feature = "shuttle")]
use crate::host::ScheduledRun;
#[cfg(feature = "proptest")]
use crate::process::child;
use crate::process::scratch_dir::ScratchDir;
#[cfg(feature = "proptest")]
use crate::process::shared_memory::SharedMemory;
#[cfg(feature = "proptest")]
use crate::process::status;
use crate::report::kind::Kind;
#[cfg(feature = "shuttle")]
use crate::run::outcome::ScheduledEnd;
#[cfg(feature = "shuttle")]
use crate::run::{RunInProgress, Subject};
#[cfg(any(feature = "proptest", feature = "shuttle"))]
use crate::schedule::Preemption;
use crate::schedule::search::Search;
#[cfg(feature = "proptest")]
use crate::script::caught::{CaughtFinding, CaughtScript};
#[cfg(any(feature = "proptest", feature = "shuttle"))]
use crate::script::runner::PlayedRun;
use crate::script::runner::Player;
#[cfg(feature = "proptest")]
use crate::sweep::exit_outcome::os_error;
use crate::system::System;
use crate::system::script::Script;

/// A script that shows something, and what.
#[cfg(feature = "proptest")]
type Tried<Op> = Option<(Script<Op>, PlayedRun)>;

/// The first schedule's script that shows what was looked for, and how many were run.
pub(crate) type Searched<Op> = (Option<Script<Op>>, u64);

/// How many scripts were played, and the first that showed something.
#[cfg(feature = "proptest")]
type ScheduleFound<Op> = (u64, Option<CaughtScript<Op>>);

/// Runs a script in the schedules of a search, up to the first of which `is_it` says so.
#[cfg(feature = "shuttle")]
pub(crate) fn seek<S: System>(
    player: &Player<S>,
    script: &Script<S::Op>,
    scratch: &ScratchDir,
    search: Search,
    wanted: Option<Kind>,
    is_it: &dyn Fn(&Script<S::Op>) -> bool,
) -> Result<Searched<S::Op>, Error> {
    let script = script.clone().by(&[]);
    let cast = player.cast(&script)?;
    let Some(host) = cast.host else { return Ok((None, 0)) };
    let search = Rc::new(RefCell::new(search.steps_max(STEPS_MAX)));
    let make = || player.job(&cast, &script, scratch).ok().map(RunInProgress::new);
    let is_it = |turns: &[Preemption]| is_it(&script.clone().by(turns));
    let mut seek = ScriptSeek {
        make: &make,
        subject: &*cast.subject,
        wanted,
        is_it: &is_it,
        going: None,
        found: None,
    };
    host.search(Rc::clone(&search), &mut seek);
    let runs = search.borrow().begun();
    Ok((seek.found.map(|turns| script.clone().by(&turns)), runs))
}

#[cfg(not(feature = "shuttle"))]
pub(crate) fn seek<S: System>(
    _: &Player<S>,
    _: &Script<S::Op>,
    _: &ScratchDir,
    _: Search,
    _: Option<Kind>,
    _: &dyn Fn(&Script<S::Op>) -> bool,
) -> Result<Searched<S::Op>, Error> {
    Ok((None, 0))
}

/// Points after which a script's threads go on for ever.
#[cfg(feature = "shuttle")]
const STEPS_MAX: u64 = 200_000;

/// Runs until what is looked for is seen.
#[cfg(feature = "shuttle")]
struct ScriptSeek<'a> {
    make: &'a dyn Fn() -> Option<RunInProgress<'a>>,
    subject: &'a dyn Subject,
    wanted: Option<Kind>,
    is_it: &'a dyn Fn(&[Preemption]) -> bool,
    going: Option<RunInProgress<'a>>,
    found: Option<Vec<Preemption>>,
}

#[cfg(feature = "shuttle")]
impl ScheduledRun for ScriptSeek<'_> {
    fn begin(&mut self) {
        self.going = (self.make)();
    }

    fn body(&mut self) {
        if let Some(going) = &mut self.going {
            going.body(self.subject);
        }
    }

    fn end(&mut self, conducted: ScheduledEnd, search: &Search) -> bool {
        let Some(going) = self.going.take() else { return false };
        let seen = PlayedRun::of(going.end(conducted));
        let is_wanted = |kind| self.wanted.is_none_or(|wanted| wanted == kind);
        let turns = search.preemptions().to_vec();
        if seen.evidence.iter().any(|evidence| is_wanted(evidence.kind)) && (self.is_it)(&turns) {
            self.found = Some(turns);
        }
        self.found.is_none()
    }
}

#[cfg(feature = "proptest")]
impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    /// Plays these scripts one after the other in a child, up to the first that shows something:
    /// which one, and what. Answers how many were played as well.
    pub(crate) fn hunt(
        &self,
        count: u64,
        script: &dyn Fn(u64) -> Script<S::Op>,
    ) -> Result<ScheduleFound<S::Op>, Error> {
        let scratch_of = std::process::id();
        if self.settings.in_process {
            let scratch = ScratchDir::new(scratch_of);
            for nth in 0..count {
                if let Some((script, seen)) = self.try_out(script(nth), nth, &scratch)? {
                    return Ok((nth + 1, self.caught(script, seen)));
                }
            }
            return Ok((count, None));
        }
        host::prepare_process();
        // What is wrong with all scripts is said here, where it can be.
        self.glance(&Script::of(S::NAME, Vec::new()), &ScratchDir::new(scratch_of))?;
        let board = SharedMemory::new(1, 0).map_err(|error| os_error("make a board", &error))?;
        let life = board.status(0);
        let answer = child::ask::<CaughtFinding>(self.patience(), |pipe| {
            life.reset();
            status::set_started();
            let scratch = ScratchDir::new(scratch_of);
            for nth in 0..count {
                life.set_item(Some(nth as usize));
                if let Ok(Some((script, seen))) = self.try_out(script(nth), nth, &scratch) {
                    // Its schedule is known here only.
                    let is_contended = script.is_contended();
                    let text = is_contended.then(|| script.print().unwrap_or_default());
                    let text = text.unwrap_or_default();
                    pipe.send(&CaughtFinding {
                        nth,
                        seen: Some(seen),
                        text,
                        ..CaughtFinding::default()
                    });
                    break;
                }
            }
            life.set_item(None);
        });
        let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
        if let Some(CaughtFinding { nth, seen: Some(seen), text, .. }) = answer.messages.pop() {
            let script = match &*text {
                "" => script(nth),
                text => Script::read(text, "the script that was found")?,
            };
            return Ok((nth + 1, self.caught(script, seen)));
        }
        if answer.death.is_some() && !life.is_done() {
            let nth = life.current_item().unwrap_or(0) as u64;
            // By itself it may live: then the ones before it had a hand in it, and it is told as
            // what it was.
            let script = script(nth);
            let turns: Vec<Preemption> = answer.turns.into_iter().map(Preemption::unpack).collect();
            let (seen, _) = self.play(&script)?;
            if !script.is_contended() || !seen.evidence.is_empty() {
                return Ok((nth + 1, self.caught(script, seen)));
            }
            let script = script.by(&turns);
            let bare = Script { fault: None, ..script.clone() };
            let (seen, _) = self.play(&bare)?;
            if !seen.evidence.is_empty() {
                return Ok((nth + 1, self.caught(bare, seen)));
            }
            let (seen, _) = self.play(&script)?;
            return Ok((nth + 1, self.caught(script, seen)));
        }
        Ok((count, None))
    }

    /// Plays a script; one with several threads in schedules of chance, at first without its faults:
    /// what shows by itself is told so. Answers the script that shows something.
    fn try_out(
        &self,
        script: Script<S::Op>,
        number: u64,
        scratch: &ScratchDir,
    ) -> Result<Tried<S::Op>, Error> {
        if !script.is_contended() {
            let seen = self.see(&script, scratch, None, None)?;
            let shows = !self.name(&seen, &script).0.is_empty();
            return Ok(shows.then_some((script, seen)));
        }
        let bare = Script { fault: None, ..script.clone() };
        let by_chance = || Search::pct(DEPTH, number, SCHEDULES);
        if let Some(found) = self.first_of(&bare, by_chance(), scratch)? {
            return Ok(Some(found));
        }
        let Some(found) = self.first_of(&script, by_chance(), scratch)? else { return Ok(None) };
        // There are more schedules without the faults than were tried: does it need them?
        let by_itself = self.first_of(&bare, Search::bounded(CHANGES, SCHEDULES_ALL), scratch)?;
        Ok(Some(by_itself.unwrap_or(found)))
    }

    /// The first schedule of a search in which a script shows anything.
    fn first_of(
        &self,
        script: &Script<S::Op>,
        search: Search,
        scratch: &ScratchDir,
    ) -> Result<Tried<S::Op>, Error> {
        let found = RefCell::new(None);
        let is_it = |script: &Script<S::Op>| {
            let Ok(seen) = self.see(script, scratch, None, None) else { return false };
            let shows = !self.name(&seen, script).0.is_empty();
            if shows {
                found.replace(Some((script.clone(), seen)));
            }
            shows
        };
        seek(self, script, scratch, search, None, &is_it)?;
        Ok(found.take())
    }
}

/// Schedules of chance for each script, by priorities that change so often, and once less.
#[cfg(feature = "proptest")]
const SCHEDULES: u64 = 8;
#[cfg(feature = "proptest")]
const DEPTH: u32 = 3;
/// Changes of threads without a fault, and schedules, once something was found with one.
#[cfg(feature = "proptest")]
const CHANGES: u32 = 2;
#[cfg(feature = "proptest")]
const SCHEDULES_ALL: u64 = 2_000;
