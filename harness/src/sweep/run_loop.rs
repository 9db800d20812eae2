//! The loop behind a builder, as a trait: a sweep and an exploration each implement it.

use crate::error::Error;
use crate::report::Report;
use crate::report::token::Token;
use crate::run::Subject;
use crate::sweep::measurements::Baseline;
use crate::sweep::settings::Settings;

/// The loop behind a builder: a sweep, or an exploration of the order of threads.
pub(crate) trait RunLoop {
    /// Prepares the settings for replaying this token, or says why this loop can't.
    fn prepare_replay(&self, settings: &mut Settings, token: &Token) -> Result<(), Error>;

    /// Adds to the baseline what only other schedules than the default one show.
    fn widen(
        &self,
        settings: &Settings,
        subject: &dyn Subject,
        baseline: &mut Baseline,
    ) -> Result<(), Error>;

    /// Runs the whole loop.
    fn run(&self, settings: &mut Settings, subject: &dyn Subject) -> Report;
}
