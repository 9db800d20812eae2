//! From many scripts to one case: scripts are played until one shows something, which is made as
//! small as it gets and written down.

use std::path::Path;
#[cfg(feature = "arbitrary")]
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

#[cfg(feature = "proptest")]
use crate::board::Board;
use crate::error::Error;
use crate::explore::ends::os_error;
use crate::kind::Kind;
use crate::minimise::{self, Limits, Oracle, Removed, Shows};
use crate::omen;
use crate::player::{Player, Seen};
use crate::report::{PROGRAM, Report, Rerun};
use crate::scratch::Scratch;
use crate::script::{Found, Script};
use crate::system::System;
use crate::wire::wire_struct;
use crate::worker;

/// Runs at the most where each takes a child of its own.
const RUNS_DEATH: u64 = 600;
/// The same where each child stands still until it is put down.
const RUNS_HANG: u64 = 12;

/// A script that shows something.
#[derive(Clone, Debug)]
pub(crate) struct Caught<Op> {
    pub(crate) script: Script<Op>,
    pub(crate) seen: Seen,
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// What was removed; `None`: run again it showed something else, so nothing was.
    pub(crate) removed: Option<Removed>,
}

/// A smaller script, and what was removed; none where it was not steady.
type Smaller<Op> = Option<(Script<Op>, Removed)>;

/// How many scripts were played, and the first that showed something.
#[cfg(feature = "proptest")]
type Hunted<Op> = (u64, Option<Caught<Op>>);

/// One find of a child, and what is left of a script made smaller there.
#[derive(Clone, Debug, Default)]
struct Find {
    nth: u64,
    seen: Option<Seen>,
    text: String,
    runs: u64,
    faults: u64,
    preemptions: u64,
    operations: u64,
    sizes: u64,
}

wire_struct!(Find { nth, seen, text, runs, faults, preemptions, operations, sizes });

/// Plays candidates in this process.
struct Here<'a, S> {
    player: &'a Player<S>,
    scratch: &'a Scratch,
    kind: Kind,
    id: &'a str,
}

impl<S: System> Oracle<S::Op> for Here<'_, S> {
    fn shows(&mut self, script: &Script<S::Op>) -> Option<Shows> {
        let seen = self.player.see(script, self.scratch, Some(self.kind), None).ok()?;
        let shows = self.player.name(&seen, script).0.iter().any(|named| named.id == self.id);
        shows.then(|| seen.shows())
    }

    fn survey(&mut self, script: &Script<S::Op>) -> Shows {
        self.player.glance(script, self.scratch).map(|seen| seen.shows()).unwrap_or_default()
    }
}

/// Plays each candidate in a child of its own: for those that die.
struct There<'a, S> {
    player: &'a Player<S>,
    id: &'a str,
}

impl<S: System> Oracle<S::Op> for There<'_, S> {
    fn shows(&mut self, script: &Script<S::Op>) -> Option<Shows> {
        let (seen, _) = self.player.play(script).ok()?;
        let shows = self.player.name(&seen, script).0.iter().any(|named| named.id == self.id);
        shows.then(|| seen.shows())
    }

    fn survey(&mut self, script: &Script<S::Op>) -> Shows {
        self.player.play(script).map(|(seen, _)| seen.shows()).unwrap_or_default()
    }
}

impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    pub(crate) fn caught(&self, script: Script<S::Op>, seen: Seen) -> Option<Caught<S::Op>> {
        let named = self.name(&seen, &script).0.into_iter().min_by_key(|named| named.kind)?;
        Some(Caught { script, seen, kind: named.kind, id: named.id, removed: None })
    }

    /// The smallest script that shows the same.
    ///
    /// # Errors
    /// Where no child can be made.
    pub(crate) fn smallest(
        &self,
        caught: Caught<S::Op>,
        limits: Limits,
    ) -> Result<Caught<S::Op>, Error> {
        let Some((script, removed)) = self.shrink(&caught, limits)? else {
            return Ok(caught);
        };
        let (seen, _) = self.play(&script)?;
        Ok(Caught { script, seen, removed: Some(removed), ..caught })
    }

    fn shrink(&self, caught: &Caught<S::Op>, limits: Limits) -> Result<Smaller<S::Op>, Error> {
        let (kind, id) = (caught.kind, &*caught.id);
        let here = |scratch: &Scratch| {
            let mut oracle = Here { player: self, scratch, kind, id };
            minimise::minimise(&caught.script, limits, &mut oracle)
        };
        let scratch_of = std::process::id();
        if self.settings.in_process {
            return Ok(here(&Scratch::new(scratch_of)));
        }
        let is_death = matches!(kind, Kind::Abort | Kind::Crash | Kind::Exit);
        if !is_death {
            let answer = worker::ask::<Find>(self.patience(), |pipe| {
                omen::begun();
                let small = here(&Scratch::new(scratch_of));
                let find = small.map(|(script, removed)| Find {
                    text: script.print().unwrap_or_default(),
                    runs: removed.runs,
                    faults: removed.faults,
                    preemptions: removed.preemptions,
                    operations: removed.operations,
                    sizes: removed.sizes,
                    ..Find::default()
                });
                pipe.send(&find.unwrap_or_default());
            });
            let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
            if let Some(find) = answer.messages.pop() {
                if find.text.is_empty() {
                    return Ok(None);
                }
                let script = Script::read(&find.text, "the smallest script")?;
                let Find { runs, faults, preemptions, operations, sizes, .. } = find;
                let removed = Removed { runs, faults, preemptions, operations, sizes };
                return Ok(Some((script, removed)));
            }
        }
        let most = if kind == Kind::NoProgress { RUNS_HANG } else { RUNS_DEATH };
        let limits = Limits { runs: limits.runs.min(most), ..limits };
        Ok(minimise::minimise(&caught.script, limits, &mut There { player: self, id }))
    }
}

impl<Op: Clone + Serialize> Caught<Op> {
    /// The script as it is written down: with what it shows.
    pub(crate) fn case(&self) -> Script<Op> {
        let found = Found { kind: self.kind.name().to_owned(), id: self.id.clone() };
        let note = self.seen.evidence.first().and_then(|evidence| evidence.notes.first());
        let about = note.and_then(|note| note.lines().next()).unwrap_or(self.kind.name());
        let about = about.trim_end_matches(':').chars().take(120).collect();
        Script { about, found: Some(found), ..self.script.clone() }
    }

    /// Writes the case into a folder, unless a smaller one of the same finding is there.
    ///
    /// # Errors
    /// Where it can't be written.
    #[cfg(feature = "arbitrary")]
    pub(crate) fn write(&self, folder: &Path) -> Result<PathBuf, Error> {
        let path = folder.join(format!("{}.ron", self.id));
        let failed = |error: std::io::Error| {
            Error::new(format!("{}: cannot write the case: {error}", path.display()))
                .mend("look after the folder's rights and space")
        };
        let text = self.case().print()?;
        let present = std::fs::read_to_string(&path).ok();
        if present.is_none_or(|present| (text.len(), &text) < (present.len(), &present)) {
            std::fs::create_dir_all(folder).map_err(failed)?;
            // Whole or not at all: another process may find the same just now.
            let fresh = path.with_extension(format!("ron.{}", std::process::id()));
            std::fs::write(&fresh, text).map_err(failed)?;
            std::fs::rename(&fresh, &path).map_err(failed)?;
        }
        Ok(path)
    }
}

impl<S: System> Player<S>
where
    S::Op: Serialize + DeserializeOwned,
{
    /// The report of what was caught, with its script; `path` is where that was written.
    pub(crate) fn caught_report(
        &self,
        caught: &Caught<S::Op>,
        path: Option<&Path>,
    ) -> Result<Report, Error> {
        let line = match path {
            Some(path) => format!("{PROGRAM} run {}", path.display()),
            None => "the same seed, or the same input, shows it again".to_owned(),
        };
        let mut report = self.report(&caught.seen, &caught.script, &Rerun::Line(line));
        let text = caught.case().print()?;
        let by = match caught.removed {
            Some(removed) => format!("by this script ({removed}):\n{}", text.trim_end()),
            None => format!(
                "by this script, as it was: run again, it showed something else:\n{}",
                text.trim_end()
            ),
        };
        for finding in report.findings.iter_mut().filter(|finding| finding.id == caught.id) {
            finding.notes.push(by.clone());
        }
        if report.findings.is_empty() {
            report.notes.push(format!("{} {} was seen once: {by}", caught.kind, caught.id));
        }
        Ok(report)
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
    ) -> Result<Hunted<S::Op>, Error> {
        let scratch_of = std::process::id();
        let each = |nth: u64, scratch: &Scratch| -> Result<Option<Seen>, Error> {
            let script = script(nth);
            let seen = self.see(&script, scratch, None, None)?;
            Ok((!self.name(&seen, &script).0.is_empty()).then_some(seen))
        };
        if self.settings.in_process {
            let scratch = Scratch::new(scratch_of);
            for nth in 0..count {
                if let Some(seen) = each(nth, &scratch)? {
                    return Ok((nth + 1, self.caught(script(nth), seen)));
                }
            }
            return Ok((count, None));
        }
        // What is wrong with all scripts is said here, where it can be.
        self.glance(&Script::of(S::NAME, Vec::new()), &Scratch::new(scratch_of))?;
        let board = Board::new(1, 0).map_err(|error| os_error("make a board", &error))?;
        let life = board.life(0);
        let answer = worker::ask::<Find>(self.patience(), |pipe| {
            life.begin();
            omen::begun();
            let scratch = Scratch::new(scratch_of);
            for nth in 0..count {
                life.stand(Some(nth as usize));
                if let Ok(Some(seen)) = each(nth, &scratch) {
                    pipe.send(&Find { nth, seen: Some(seen), ..Find::default() });
                    break;
                }
            }
            life.stand(None);
        });
        let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
        if let Some(Find { nth, seen: Some(seen), .. }) = answer.messages.pop() {
            return Ok((nth + 1, self.caught(script(nth), seen)));
        }
        if answer.death.is_some() && !life.is_done() {
            let nth = life.standing().unwrap_or(0) as u64;
            // By itself it may live: then the ones before it had a hand in it, and it is told as
            // what it was.
            let (seen, _) = self.play(&script(nth))?;
            return Ok((nth + 1, self.caught(script(nth), seen)));
        }
        Ok((count, None))
    }
}

/// The smallest script that shows what another one does: see [`minimise`].
#[derive(Clone, Debug)]
pub struct Minimised<Op> {
    /// The script, as a case.
    pub script: Script<Op>,
    /// What it shows.
    pub report: Report,
    /// What was removed; `None` where the script showed something else when it was run again.
    pub removed: Option<Removed>,
}

/// Makes a script that shows something as small as it gets: faults go first, then preemptions,
/// operations and sizes, and the finding's id is kept. `None`: it shows nothing.
///
/// # Errors
/// Where it is no script that can be played, or no child process can be made.
#[track_caller]
pub fn minimise<S: System>(
    script: &Script<S::Op>,
    input: &[u8],
    limits: Limits,
) -> Result<Option<Minimised<S::Op>>, Error>
where
    S::Op: Serialize + DeserializeOwned,
{
    let player = Player::<S>::new(Arc::from(input))?;
    let (seen, _) = player.play(script)?;
    // A case is about what it found, whatever else it shows.
    let wanted = script.found.as_ref().map(|found| &*found.id);
    let same = player.name(&seen, script).0.into_iter().find(|named| Some(&*named.id) == wanted);
    let Some(mut caught) = player.caught(script.clone(), seen) else { return Ok(None) };
    if let Some(same) = same {
        (caught.kind, caught.id) = (same.kind, same.id);
    }
    let caught = player.smallest(caught, limits)?;
    let report = player.caught_report(&caught, None)?;
    let mut case = caught.case();
    if script.found.is_some() && !script.about.is_empty() {
        case.about.clone_from(&script.about);
    }
    Ok(Some(Minimised { script: case, report, removed: caught.removed }))
}
