//! Exploration: every failing request crossed with the schedules of a subject's threads.
//!
//! # Map of the source
//!
//! | question | file |
//! |---|---|
//! | What can a caller set, and which closure or script is explored? | `builder` |
//! | Which runs are made, in which order, and what does the report say? | `engine` |
//! | What do all searches of one exploration share? | `context` |
//! | What is a work item (one fault, or none, in every schedule of a search), and what is its result? | `work_item` |
//! | How are all schedules of a work item run? | `item_run` |
//! | How do child processes run work items, and what if one dies? | `workers` |
//! | What is run if requests × schedules exceed the limit? | `sampling`; under loom also `levels` |
//! | What does the report say about how far the searches went? | `notes` |
//! | Which requests and results occur in other schedules only? | `extra_requests` |
//! | How does a finding's schedule get short? | `shrink` (order of the passes), `shrinker` (one try), `shrink_loom` |
//! | Which two operations does a finding depend on? | `critical_pair`, from the log in `operation_log`; under loom `loom_pair` |
//!
//! The flow: `builder` → `engine`: a baseline run → a *census* (all schedules without a fault) → one
//! work item for each fault, in `workers` → `shrink` → report.
//!
//! A schedule is written as its deviations from the default one, in which each thread runs until it
//! blocks. The parser is in `crate::schedule`.
//!
//! ```text
//! schedule   = preemption *63( "," preemption )
//!            / "loom." bound "." iteration   ; a run of loom's own search:      loom.2.417
//! preemption = "T" thread "@" point ">drop" ; the future that thread 1 awaits at its 8th
//!                                            ; scheduling point is dropped:      T1@8>drop
//!            / "T" thread "@" point ">T" thread
//!                                            ; at its 8th scheduling point
//!                                            ; thread 1 is left for thread 2:   T1@8>T2
//! thread     = number                        ; logical thread, from 0, in spawn order
//! point      = number                        ; scheduling point of that thread, from 1
//! bound      = number                        ; preemptions that loom's search allows
//! iteration  = number                        ; run of that search, from 1
//! number     = 1*DIGIT
//! ```

pub(crate) mod builder;
pub(crate) mod context;
pub(crate) mod critical_pair;
pub(crate) mod engine;
pub(crate) mod extra_requests;
pub(crate) mod item_run;
pub(crate) mod levels;
pub(crate) mod loom_pair;
pub(crate) mod notes;
pub(crate) mod operation_log;
pub(crate) mod sampling;
pub(crate) mod shrink;
pub(crate) mod shrink_loom;
pub(crate) mod shrinker;
pub(crate) mod work_item;
pub(crate) mod workers;
