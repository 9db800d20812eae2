//! The executor as a system, over a recording or over the installed git.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use mallory::system::World;
use mallory::{Heap, Refused, System};

use super::executor::Executor;
use super::model::Model;
use super::operation::{Op, Reply, ReplyText};
use super::process::InstalledGit;
use super::recorded::RecordedGit;
use super::runner::Runner;
use crate::services::fixture::GIT_ANSWERS;

/// Where a system's answers come from.
pub trait Git: 'static {
    /// The system's name.
    const NAME: &'static str;
    /// What starts git.
    type Runner<'w>: Runner;

    /// The runner of a run.
    fn runner<'w>(world: &World<'w>) -> Self::Runner<'w>;

    /// The recording with which the model answers.
    fn recording<'w>(world: &World<'w>) -> &'w [u8];
}

/// The input is a recording.
#[derive(Debug)]
pub struct Recording;

impl Git for Recording {
    const NAME: &'static str = "git-command";
    type Runner<'w> = RecordedGit<'w>;

    fn runner<'w>(world: &World<'w>) -> RecordedGit<'w> {
        RecordedGit::new(world.input)
    }

    fn recording<'w>(world: &World<'w>) -> &'w [u8] {
        world.input
    }
}

/// The input is the path of a repository, in which the installed git runs. It must do what it did
/// when it was recorded.
#[derive(Debug)]
pub struct Installed;

impl Git for Installed {
    const NAME: &'static str = "git-command-installed";
    type Runner<'w> = InstalledGit<'w>;

    fn runner<'w>(world: &World<'w>) -> InstalledGit<'w> {
        InstalledGit::new(Path::new(OsStr::from_bytes(world.input)))
    }

    fn recording<'w>(_: &World<'w>) -> &'w [u8] {
        GIT_ANSWERS
    }
}

/// The system.
#[derive(Debug)]
pub struct GitCommand<G = Recording> {
    executor: Executor,
    git: PhantomData<G>,
}

impl<G: Git> System for GitCommand<G> {
    const NAME: &'static str = G::NAME;

    type Op = Op;
    type Reply = Reply<ReplyText>;
    type Error = Refused;
    type Model = Model;

    fn open(heap: &Heap, _world: &World<'_>) -> Result<Self, Refused> {
        Ok(GitCommand { executor: Executor::new(heap), git: PhantomData })
    }

    fn apply(&mut self, op: &Op, world: &World<'_>) -> Result<Reply<ReplyText>, Refused> {
        self.executor.handle(op, &G::runner(world))
    }

    fn is_oom(_: &Refused) -> bool {
        true
    }

    fn snapshot(&self) -> Model {
        let Executor { settings, started, failed, .. } = &self.executor;
        let settings =
            settings.iter().map(|set| (set.name().to_owned(), set.value().to_owned())).collect();
        Model { settings, started: *started, failed: *failed }
    }

    fn model(model: &mut Model, op: &Op, world: &World<'_>) -> impl Debug {
        model.handle(op, G::recording(world))
    }
}
