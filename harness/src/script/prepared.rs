//! A script prepared for runs: its operations as a subject, on one thread or on several that share the
//! system and run by a schedule.

use crate::error::Error;
#[cfg(feature = "shuttle")]
use crate::host;
use crate::host::Host;
use crate::run::Subject;
#[cfg(feature = "shuttle")]
use crate::run::concurrent_script::ConcurrentScript;
use crate::run::script_subject::ScriptSubject;
use crate::schedule::Preemption;
use crate::system::script::{Script, ScriptHeader};
use crate::system::{System, World};

/// A script as a subject.
pub(crate) struct PreparedScript<'s> {
    pub(crate) header: ScriptHeader,
    pub(crate) subject: Box<dyn Subject + 's>,
    /// The host that schedules the threads; `None` for a script of one thread.
    pub(crate) host: Option<&'static dyn Host>,
    pub(crate) schedule: Vec<Preemption>,
}

impl<'s> PreparedScript<'s> {
    /// Prepares a script of the system `S`, which reads `input`.
    ///
    /// # Errors
    /// If the script is for another system, has a bad fault or schedule, or needs a feature that this
    /// build lacks.
    pub(crate) fn new<S: System + 's>(
        script: &Script<S::Op>,
        input: &[u8],
    ) -> Result<PreparedScript<'s>, Error> {
        if script.system != S::NAME {
            let what = format!("the script is for the system `{}`", script.system);
            return Err(Error::new(what).help(format!("this one is `{}`", S::NAME)));
        }
        let insists = script.shortages()?.is_some_and(|shortages| shortages.insists());
        let schedule = script.preemptions()?;
        if script.is_contended() {
            return concurrent::<S>(script, schedule, insists);
        }
        let ops = script.threads.first().map_or(&[][..], Vec::as_slice);
        let scratch = std::env::temp_dir();
        let subject = ScriptSubject::<S>::once(ops, &World::new(input, &scratch), insists);
        Ok(PreparedScript {
            header: script.header(),
            subject: Box::new(subject),
            host: None,
            schedule,
        })
    }
}

/// A script whose threads share one system.
#[cfg(feature = "shuttle")]
fn concurrent<'s, S: System + 's>(
    script: &Script<S::Op>,
    schedule: Vec<Preemption>,
    insists: bool,
) -> Result<PreparedScript<'s>, Error> {
    let host = host::shuttle()?;
    host::prepare_process();
    let most = host.threads_max();
    if script.threads.len() > most {
        return Err(Error::new(format!("the script has {} threads", script.threads.len()))
            .help(format!("give it at most {most}: two or three show nearly everything")));
    }
    let subject = ConcurrentScript::<S>::new(&script.threads, insists);
    let header = script.header();
    Ok(PreparedScript { header, subject: Box::new(subject), host: Some(host), schedule })
}

/// The error of a build without shuttle.
#[cfg(not(feature = "shuttle"))]
fn concurrent<'s, S: System + 's>(
    script: &Script<S::Op>,
    _: Vec<Preemption>,
    _: bool,
) -> Result<PreparedScript<'s>, Error> {
    let what = match script.threads.len() {
        0 | 1 => "the script has a schedule".to_owned(),
        threads => format!("the script has {threads} threads"),
    };
    Err(Error::new(format!("{what}, and this build has no shuttle to schedule threads"))
        .help("build with --features shuttle"))
}
