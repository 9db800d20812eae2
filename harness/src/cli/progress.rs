//! The progress bar of a long sweep or exploration, on a terminal. Times and rates go to standard
//! error only; elsewhere than on a terminal nothing but the result is printed.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::report::Report;
use crate::report::outcome::Strategy;
use crate::sweep::settings::Progress;

/// How long a sweep runs before it shows a bar.
const DELAY: Duration = Duration::from_millis(300);

/// The bar of a scenario. It is drawn once the sweep has run for some time.
pub(crate) struct Bar {
    name: String,
    /// What is counted: `runs` of a sweep, `schedules` of an exploration.
    unit: &'static str,
    start: Instant,
    terminal: bool,
    drawn: Arc<Mutex<Option<ProgressBar>>>,
}

impl Bar {
    /// A bar that starts now. Without a terminal it is never drawn.
    pub(crate) fn start(name: &str, unit: &'static str, terminal: bool) -> Bar {
        let name = name.to_owned();
        Bar { name, unit, start: Instant::now(), terminal, drawn: Arc::default() }
    }

    /// The callback for the sweep's progress. It draws in the sweep's own thread, since another
    /// thread would make forking unsafe.
    pub(crate) fn on_progress(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let (name, unit, start, terminal) =
            (self.name.clone(), self.unit, self.start, self.terminal);
        let drawn = Arc::clone(&self.drawn);
        move |progress| {
            if !terminal || start.elapsed() < DELAY {
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
                // The rate of runs without faults says nothing about runs with faults.
                bar.reset();
                bar.set_style(style(unit, length.is_some()));
            }
            match length {
                Some(length) => bar.set_length(length),
                None => bar.unset_length(),
            }
            bar.set_position(progress.done);
        }
    }

    /// Removes the bar.
    #[cfg(feature = "exec")]
    pub(crate) fn clear(self) {
        if let Some(bar) = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }

    /// Removes the bar, and prints how long it took if the bar was drawn.
    pub(crate) fn finish(self, report: &Report) {
        let coverage = report.coverage();
        let strategy = match report.strategy() {
            _ if coverage.schedules > 0 => "",
            Strategy::Fork => ", forked off one pass",
            _ => ", each from the beginning",
        };
        // An exploration counts schedules without a fault as well.
        self.finish_after(coverage.runs + coverage.schedules, strategy);
    }

    /// The same after this many runs, made in this way.
    pub(crate) fn finish_after(self, runs: u64, strategy: &str) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(bar) = drawn {
            bar.finish_and_clear();
            let seconds = self.start.elapsed().as_secs_f64();
            let rate = runs as f64 / seconds;
            let Bar { name, unit, .. } = self;
            eprintln!("{name}: {runs} {unit} in {seconds:.1} s, {rate:.0} per second{strategy}");
        }
    }
}

/// The style of a bar with a known end, or of a plain count.
fn style(unit: &str, has_end: bool) -> ProgressStyle {
    let template = if has_end {
        format!(
            "{{prefix:<17}} {{bar:30}} {{human_pos}}/{{human_len}} {unit}  {{rate}}  {{eta}} left"
        )
    } else {
        format!("{{prefix:<17}} {{human_pos}} {unit} without a fault  {{rate}}")
    };
    let style = ProgressStyle::with_template(&template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("rate", rate)
}

/// The rate in whole runs per second.
fn rate(state: &ProgressState, out: &mut dyn Write) {
    let _ = write!(out, "{:.0}/s", state.per_sec());
}
