//! How far a sweep is, for a person at a terminal. Elsewhere nothing but the result is printed;
//! times and rates go to standard error.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::explore::Progress;
use crate::report::Report;
use crate::run::Strategy;

/// Sweeps shorter than this show no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// A scenario's bar, drawn once the sweep takes long enough.
pub(crate) struct Bar {
    name: String,
    start: Instant,
    terminal: bool,
    drawn: Arc<Mutex<Option<ProgressBar>>>,
}

impl Bar {
    pub(crate) fn start(name: &str, terminal: bool) -> Bar {
        Bar { name: name.to_owned(), start: Instant::now(), terminal, drawn: Arc::default() }
    }

    /// What the sweep tells its progress to. Draws from the sweep's own loop: a thread for the
    /// bar would make forking unsafe.
    pub(crate) fn hearer(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let (name, start, terminal) = (self.name.clone(), self.start, self.terminal);
        let drawn = Arc::clone(&self.drawn);
        move |progress| {
            if !terminal || start.elapsed() < PATIENCE {
                return;
            }
            let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let bar = drawn.get_or_insert_with(|| {
                let template =
                    "{prefix:<17} {bar:30} {human_pos}/{human_len} runs  {per_sec}  {eta} left";
                let style = ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                let bar = ProgressBar::with_draw_target(
                    Some(progress.total),
                    ProgressDrawTarget::stderr_with_hz(10),
                );
                bar.set_style(style);
                bar.set_prefix(name.clone());
                bar.reset_eta();
                bar
            });
            bar.set_position(progress.done);
        }
    }

    pub(crate) fn finish(self, report: &Report) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = drawn {
            bar.finish_and_clear();
            let runs = report.coverage().runs;
            let seconds = self.start.elapsed().as_secs_f64();
            let rate = runs as f64 / seconds;
            let way = match report.strategy() {
                Strategy::Fork => "forked off one pass",
                _ => "each from the beginning",
            };
            eprintln!("{}: {runs} runs in {seconds:.1} s, {rate:.0} a second, {way}", self.name);
        }
    }
}
