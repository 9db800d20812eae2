//! How far a sweep is, for a person at a terminal. Elsewhere nothing but the result is printed;
//! times and rates go to standard error.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::Report;
use crate::report::outcome::Strategy;
use crate::sweep::settings::Progress;

/// Sweeps shorter than this show no bar.
const PATIENCE: Duration = Duration::from_millis(300);

/// A scenario's bar, drawn once the sweep takes long enough.
pub(crate) struct Bar {
    name: String,
    /// What is counted, for people: runs of a sweep, schedules of an exploration.
    what: &'static str,
    start: Instant,
    terminal: bool,
    drawn: Arc<Mutex<Option<ProgressBar>>>,
}

impl Bar {
    pub(crate) fn start(name: &str, what: &'static str, terminal: bool) -> Bar {
        let name = name.to_owned();
        Bar { name, what, start: Instant::now(), terminal, drawn: Arc::default() }
    }

    /// What the sweep tells its progress to. Draws from the sweep's own loop: a thread for the
    /// bar would make forking unsafe.
    pub(crate) fn hearer(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let (name, what, start, terminal) =
            (self.name.clone(), self.what, self.start, self.terminal);
        let drawn = Arc::clone(&self.drawn);
        move |progress| {
            if !terminal || start.elapsed() < PATIENCE {
                return;
            }
            let mut drawn = drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let bar = drawn.get_or_insert_with(|| {
                let target = ProgressDrawTarget::stderr_with_hz(10);
                let bar = ProgressBar::with_draw_target(None, target);
                bar.set_prefix(name.clone());
                bar
            });
            let length = (progress.total > 0).then_some(progress.total);
            if bar.position() == 0 || bar.length().is_some() != length.is_some() {
                // How fast it was without faults says nothing of how long these take.
                bar.reset();
                bar.set_style(style(what, length.is_some()));
            }
            match length {
                Some(length) => bar.set_length(length),
                None => bar.unset_length(),
            }
            bar.set_position(progress.done);
        }
    }

    pub(crate) fn finish(self, report: &Report) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = drawn {
            bar.finish_and_clear();
            let coverage = report.coverage();
            // Those without a fault are schedules as well.
            let runs = coverage.runs + coverage.schedules;
            let seconds = self.start.elapsed().as_secs_f64();
            let rate = runs as f64 / seconds;
            let way = match report.strategy() {
                _ if coverage.schedules > 0 => "",
                Strategy::Fork => ", forked off one pass",
                _ => ", each from the beginning",
            };
            let Bar { name, what, .. } = self;
            eprintln!("{name}: {runs} {what} in {seconds:.1} s, {rate:.0} a second{way}");
        }
    }
}

/// A bar towards a known end, or a count where nobody knows it yet.
fn style(what: &str, has_end: bool) -> ProgressStyle {
    let template = if has_end {
        format!(
            "{{prefix:<17}} {{bar:30}} {{human_pos}}/{{human_len}} {what}  {{rate}}  {{eta}} left"
        )
    } else {
        format!("{{prefix:<17}} {{human_pos}} {what} without a fault  {{rate}}")
    };
    let style = ProgressStyle::with_template(&template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate)
}

/// How many a second, without the fractions that nobody reads.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
