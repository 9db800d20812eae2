//! What is different where the subject is a whole program: what stops one that doesn't end by itself,
//! and programs whose results differ without any fault.

use std::time::Duration;

use crate::error::Error;
use crate::memory::preloaded::is_preloaded;
use crate::process::child;
use crate::process::exit::Death;
use crate::process::scratch_dir::ScratchDir;
use crate::process::status;
use crate::report::kind::Kind;
use crate::report::outcome::Outcome;
use crate::run::outcome::ResultComparison;
use crate::run::program_result::difference_between;
use crate::run::{Run, Subject};
use crate::sweep::exit_outcome::{first_patience, os_error};
use crate::sweep::measurements::{Baseline, TOO_MANY};
use crate::sweep::observation::Observation;
use crate::sweep::settings::Settings;

/// Checks that the end of a program without any fault is its own: it may have been stopped by a limit
/// of ours.
///
/// # Errors
/// If it was.
pub(crate) fn check(settings: &Settings, death: Death) -> Result<(), Error> {
    let mistake = match death {
        _ if !settings.is_program => None,
        Death::Endless => {
            let too_many = Baseline { error: Some(TOO_MANY.to_owned()), ..Baseline::default() };
            too_many.failure()
        }
        Death::Signal(libc::SIGXFSZ) => {
            let megabytes = settings.output_max >> 20;
            let what = format!(
                "without any fault the program writes more than {megabytes} MiB to its standard \
                 output or to another file"
            );
            Some(
                Error::new(what)
                    .help("give it a smaller task, or a higher limit: --max-output MIB"),
            )
        }
        _ => None,
    };
    mistake.map_or(Ok(()), Err)
}

/// Whether a run of a program was stopped because it made requests without end.
pub(crate) fn asks_without_end(run: &Run) -> bool {
    is_preloaded() && run.outcome == Outcome::Hung
}

/// Where the results of a program differ without any fault; empty if they don't.
pub(crate) fn difference(settings: &Settings, usual: &str, others: &[&str]) -> String {
    let other = others.iter().find(|text| settings.is_program && **text != usual);
    other.map_or_else(String::new, |other| difference_between(usual, other))
}

/// What a user can do about the end of a program without any fault, to go on the line that says it.
pub(crate) fn advice(settings: &Settings, death: Death) -> &'static str {
    match death {
        Death::Stall if settings.is_program => {
            "; give it a task that ends, or more time for that: --timeout SECONDS"
        }
        _ => "",
    }
}

/// The note of a program whose results differ without any fault, and in what.
pub(crate) fn not_compared(difference: &str) -> String {
    format!(
        "the program's result is not compared: without any fault it differs {difference}; look for \
         times, process ids and random numbers, and leave them out of its output"
    )
}

/// How long a program may take that prints the time in seconds, until that differs.
const SECOND: Duration = Duration::from_millis(1100);

/// Whether the program's result differs by now, and in what, where faulted runs seem to have changed
/// it: the time may only have gone on.
///
/// # Errors
/// If no child can be started.
pub(crate) fn differs_later(
    settings: &Settings,
    subject: &dyn Subject,
    baseline: &Baseline,
    found: &[Observation],
) -> Result<Option<String>, Error> {
    let is_changed =
        |found: &Observation| found.evidence.iter().any(|found| found.kind == Kind::SilentWrong);
    if baseline.comparison == ResultComparison::Never || !found.iter().any(is_changed) {
        return Ok(None);
    }
    let owner = std::process::id();
    let answer = child::ask::<String>(first_patience(settings), &|pipe| {
        status::busy(|| std::thread::sleep(SECOND));
        let scratch = ScratchDir::new(owner);
        let run = settings.execute(subject, settings.job(&scratch));
        status::set_started();
        let usual = baseline.texts.first().map_or("", String::as_str);
        let text = run.text.unwrap_or_default();
        let is_equal = ResultComparison::of(usual, &text) <= baseline.comparison;
        pipe.send(&if is_equal { String::new() } else { difference_between(usual, &text) });
    });
    let mut answer = answer.map_err(|error| os_error("start a child", &error))?;
    Ok(answer.messages.pop().filter(|difference| !difference.is_empty()))
}

/// Takes out what is no bug of a program whose result differs without any fault.
pub(crate) fn forget_results(
    found: &mut Vec<Observation>,
    outcomes: &mut [u64; Outcome::ALL.len()],
) {
    outcomes[Outcome::Absorbed as usize] +=
        std::mem::take(&mut outcomes[Outcome::SilentWrong as usize]);
    for found in &mut *found {
        found.evidence.retain(|evidence| evidence.kind != Kind::SilentWrong);
    }
    found.retain(|found| !found.evidence.is_empty());
}
