//! What a finished builder asks for: the replay of a token, a single run, or the whole loop.

use crate::error::Error;
use crate::plan::Plan;
use crate::report::Report;
use crate::report::token::{RunMode, Token};
use crate::run::Subject;
use crate::sweep::observation::Point;
use crate::sweep::replay;
use crate::sweep::run_loop::RunLoop;
use crate::sweep::settings::Settings;
use crate::trace::Coordinate;

/// What the caller and the environment ask for: a replay, one run, or the whole loop.
pub(crate) struct RunRequest {
    pub(crate) settings: Settings,
    /// The token to replay.
    pub(crate) token: Option<Token>,
    /// `MALLORY_OOM_AFTER`.
    pub(crate) oom_after: Option<u64>,
    /// The caller's first mistake, reported instead of running anything.
    pub(crate) error: Option<Error>,
}

impl RunRequest {
    /// Does what was asked for. `run_loop` is the builder's own loop.
    pub(crate) fn run(self, subject: &dyn Subject, run_loop: &dyn RunLoop) -> Report {
        let RunRequest { mut settings, token, oom_after, error } = self;
        let has_port = settings.port.is_some() && !settings.adversarial;
        let conflict = (settings.global.is_some() && has_port).then(|| {
            Error::new("both a port and a global heap are given")
                .help("put the GlobalHeap over an allocator of its own: GlobalHeap::over")
        });
        let result = match (error.or(conflict), token) {
            (Some(error), _) => Err(error),
            (None, Some(token)) => follow_token(&mut settings, &token, run_loop)
                .and_then(|()| replay::replay(&settings, subject, &token, run_loop)),
            (None, None) => match (oom_after, settings.plan.take()) {
                (Some(n), _) => {
                    let at = Coordinate { thread: 0, ordinal: n.saturating_add(1) };
                    let point = Point { at, persistent: true };
                    let plan = Plan::at(at, true);
                    replay::single(&settings, subject, &plan, Some(point))
                        .map_err(|error| error.within(format!("MALLORY_OOM_AFTER={n}")))
                }
                (None, Some(plan)) => replay::single(&settings, subject, &plan, None),
                (None, None) => return run_loop.run(&mut settings, subject),
            },
        };
        result.unwrap_or_else(|error| Report::failed(&settings.name, settings.seed, error))
    }
}

/// Changes the settings to those of the run that the token replays.
///
/// # Errors
/// A token of another scenario, of another input, or of a run that this loop can't make.
fn follow_token(
    settings: &mut Settings,
    token: &Token,
    run_loop: &dyn RunLoop,
) -> Result<(), Error> {
    if token.scenario() != settings.name {
        let what = format!("the token is of `{}`, not of `{}`", token.scenario(), settings.name);
        return Err(Error::new(what).help("replay it with the scenario that it names"));
    }
    run_loop.prepare_replay(settings, token)?;
    if token.input != settings.input_hash() {
        let what = "the token was made with another input";
        return Err(Error::new(what).help(match token.input {
            Some(_) => "give the same input with --input",
            None => "leave out --input: the token was made with the scenario's own input",
        }));
    }
    settings.seed = token.seed;
    let has = |mode| token.modes.contains(&mode);
    let mut options = settings.options.clone().bypass(has(RunMode::Bypass));
    options.moving = !has(RunMode::InPlace);
    if has(RunMode::Ledger) {
        options = options.ledger_only();
    }
    settings.options = options;
    Ok(())
}
