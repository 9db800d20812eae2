//! A finding as text: who did what to which block, when it fails, and how to replay it.

use std::fmt;

use crate::printable;
use crate::report::call_site::{Frame, Site};
use crate::report::finding::{Finding, ScheduleAt};
use crate::report::format::{count, thousands};
use crate::schedule::ScheduledOp;
use crate::trace::block_name;

/// The most frames of a call site that are printed.
const FRAMES_MAX: usize = 8;

/// Writes a call site behind a label, the innermost frame on the label's line.
fn write_site(f: &mut fmt::Formatter<'_>, label: &str, site: &Site) -> fmt::Result {
    if site.frames.is_empty() {
        return writeln!(f, "  {label}(site unavailable)");
    }
    let shown = &site.frames[..site.frames.len().min(FRAMES_MAX)];
    let names: Vec<String> = shown.iter().map(Frame::short_name).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let indent = label.chars().count().saturating_sub(2);
    for (nth, (name, frame)) in names.iter().zip(shown).enumerate() {
        if nth == 0 {
            write!(f, "  {label}{name}")?;
        } else {
            write!(f, "  {:indent$}← {name}", "")?;
        }
        if frame.place.is_empty() {
            writeln!(f)?;
        } else {
            let pad = width - name.chars().count();
            writeln!(f, "{:pad$}  {}", "", frame.place)?;
        }
    }
    let left = site.frames.len() - shown.len();
    if left > 0 {
        writeln!(f, "  {:indent$}… and {left} more", "")?;
    }
    Ok(())
}

/// Writes the two operations whose order matters, in the order that shows the bug.
fn write_pair(f: &mut fmt::Formatter<'_>, schedule: &ScheduleAt) -> fmt::Result {
    let label = |act: &ScheduledOp| format!("T{} {}", act.thread, act.what);
    let labels: Vec<String> = schedule.pair.iter().map(|(act, _)| label(act)).collect();
    let width = labels.iter().map(String::len).max().unwrap_or(0);
    for (nth, (label, (_, site))) in labels.iter().zip(&schedule.pair).enumerate() {
        let when = if nth == 0 { "first" } else { "then " };
        write_site(f, &format!("{when} {label:<width$}  "), site)?;
    }
    Ok(())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}  {}", self.kind, self.id, self.scenario)?;
        if let Some(block) = &self.block {
            writeln!(f, "  {}", self.block_line(block))?;
        }
        let name = self.block.as_ref().map(|block| block_name(block.number) + "  ");
        let width = self.steps.iter().map(|step| step.label.len()).max().unwrap_or(0);
        for step in &self.steps {
            let name = name.as_deref().unwrap_or("");
            write_site(f, &format!("{name}{:<width$}  ", step.label), &step.site)?;
        }
        for note in self.notes.iter().map(|note| printable::script(note)) {
            note.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        if let Some(fault) = &self.fault {
            write_site(f, &format!("{} in ", fault.line(self.kind)), &fault.site)?;
        }
        if !self.c_call.is_empty() {
            writeln!(f, "  all in one call of the C library's {}", self.c_call)?;
        }
        let in_schedules = match &self.schedule {
            None => String::new(),
            Some(schedule) => {
                writeln!(f, "  {}", schedule.line())?;
                write_pair(f, schedule)?;
                for note in &schedule.notes {
                    writeln!(f, "  {note}")?;
                }
                // A replay runs one schedule, so there is nothing to count.
                let of = count(schedule.of, "schedule");
                let is_one = schedule.of <= 1;
                if is_one {
                    String::new()
                } else {
                    format!(" in {} of {of}", thousands(schedule.seen))
                }
            }
        };
        if self.fault.is_some() {
            let requests = count(self.of, "request");
            let comma = if in_schedules.is_empty() { "" } else { "," };
            let at_requests = format!("{comma} at {} of {requests}", thousands(self.count));
            writeln!(f, "  seen{in_schedules}{at_requests}; never without a fault")?;
        } else {
            writeln!(f, "  seen{in_schedules} without any fault")?;
        }
        writeln!(f, "  replay  {}", printable::command(&self.rerun.line(&self.token)))
    }
}
