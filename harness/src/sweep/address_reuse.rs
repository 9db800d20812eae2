//! A fault-free run in which the address of a freed block is given out again at once, as a system's
//! allocator may do. In all other runs of a sweep it isn't, since freed blocks are kept for a while;
//! so code that tells objects apart by their addresses works there and fails elsewhere.

use std::collections::BTreeMap;

use crate::adapters::{Adversary, Reuse};
use crate::error::Error;
use crate::options::Options;
use crate::port::Malloc;
use crate::process::child;
use crate::process::codec::codec_struct;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::evidence::Evidence;
use crate::report::format::diff;
use crate::report::kind::Kind;
use crate::run::outcome::ResultComparison;
use crate::run::{Subject, execute};
use crate::sweep::exit_outcome::{first_patience, os_error};
use crate::sweep::measurements::Baseline;
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;

/// What a run ended in: the text of its result, or of its failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunText {
    pub(crate) text: Option<String>,
    pub(crate) failure: Option<String>,
}

codec_struct!(RunText { text, failure });

impl RunText {
    pub(crate) fn words(&self) -> &str {
        self.text.as_ref().or(self.failure.as_ref()).map_or("", String::as_str)
    }
}

/// Whether the result depends on the reuse of addresses. `usual` is what runs end in whose blocks have
/// other addresses each time, and none of them twice.
///
/// # Errors
/// If no child can be started.
pub(crate) fn look(
    settings: &Settings,
    subject: &dyn Subject,
    plain: &Baseline,
    usual: &RunText,
) -> Result<Option<Observation>, Error> {
    let is_plain = plain.texts.iter().all(|text| Some(text) == usual.text.as_ref());
    if plain.comparison != ResultComparison::Exact
        || plain.dead_end.is_some()
        || !is_plain
        || !settings.options.detects(Kind::Nondeterminism)
    {
        return Ok(None);
    }
    let reused = run(settings, subject)?;
    if reused.as_ref() == Some(usual) || run(settings, subject)? != reused {
        return Ok(None);
    }
    let other = match &reused {
        Some(reused) => diff(usual.words(), reused.words()),
        None => "then it dies".to_owned(),
    };
    let evidence = Evidence::new(Kind::Nondeterminism)
        .note("the result depends on whether addresses of freed blocks are given out again:")
        .note(other);
    Ok(Some(Observation {
        fingerprint: plain.fingerprint,
        evidence: vec![evidence],
        stacks: BTreeMap::new(),
        ..Observation::default()
    }))
}

/// A run whose freed blocks are given out again at once; `None` if it dies.
fn run(settings: &Settings, subject: &dyn Subject) -> Result<Option<RunText>, Error> {
    let owner = std::process::id();
    let port = |options: Options| {
        let port = Adversary::friendly().reuse(Reuse::AtOnce).over(Malloc);
        options.heap_over(port)
    };
    let answer = child::ask::<RunText>(first_patience(settings), &|pipe| {
        let scratch = ScratchDir::new(owner);
        let mut job = settings.job(&scratch);
        job.options = job.options.ledger_only();
        job.port = Some(&port);
        let run = execute(subject, job);
        status::set_started();
        pipe.send(&RunText { text: run.text, failure: run.failure });
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    Ok(answer.messages.pop().filter(|_| answer.death.is_none()))
}
