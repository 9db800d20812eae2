//! A sweep: every request of a subject fails in turn, and what each failure shows is reported.

pub(crate) mod baseline;
pub(crate) mod builder;
pub(crate) mod builder_core;
pub(crate) mod engine;
pub(crate) mod exit_outcome;
pub(crate) mod fork;
pub(crate) mod grouping;
pub(crate) mod isolated_run;
pub(crate) mod journal;
pub(crate) mod leak_trend;
pub(crate) mod measurements;
pub(crate) mod observation;
pub(crate) mod point;
pub(crate) mod point_status;
pub(crate) mod points;
pub(crate) mod replay;
pub(crate) mod run_loop;
pub(crate) mod settings;
pub(crate) mod strategy;
pub(crate) mod suppressions;
pub(crate) mod workers;

pub use self::builder::{Setup, Sweep};
pub use self::settings::Progress;
pub use crate::report::outcome::Strategy;
pub use crate::run::subject::{Classify, Observe};
