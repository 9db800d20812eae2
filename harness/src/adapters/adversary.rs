//! The adversarial heap: a port that does everything that the contract permits and a friendly
//! `malloc` never does. This file is its configuration; `adversarial.rs` is the port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::adapters::adversarial::Modes;
pub use crate::adapters::adversarial::{Adversarial, Guard, Reuse};
use crate::port::Port;

/// Everything that the contract of a port permits and a friendly allocator never does. Each mode
/// can be switched, and all random choices come from one seed.
///
/// Put it below a sweep with [`Sweep::adversary`](crate::Sweep::adversary), or below anything else
/// with [`over`](Self::over).
///
/// ```
/// use mallory::adversary::Adversary;
/// use mallory::{SystemPort, conformance};
/// let adversary = Adversary::new();
/// conformance(|| adversary.over(SystemPort::new())).operations(500).run().assert_clean();
/// ```
#[derive(Clone, Debug)]
pub struct Adversary {
    modes: Modes,
    /// The number of ports made so far: every second one inverts its rubbish.
    made: Arc<AtomicU64>,
}

impl Default for Adversary {
    fn default() -> Self {
        Adversary::new()
    }
}

impl Adversary {
    /// Every mode but refused shrinks, which would make most code fail (and which a sweep makes one
    /// by one): addresses are reused at once, and guard pages are behind blocks.
    #[must_use]
    pub fn new() -> Self {
        let modes = Modes {
            moves: true,
            tight: true,
            slack: true,
            rubbish: true,
            reuse: Reuse::AtOnce,
            guard: Guard::After,
            ..Modes::FRIENDLY
        };
        Adversary { modes, made: Arc::default() }
    }

    /// No mode at all, to switch on the modes that are wanted.
    #[must_use]
    pub fn friendly() -> Self {
        Adversary { modes: Modes::FRIENDLY, made: Arc::default() }
    }

    /// Sets the seed of all random choices. The default is 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.modes.seed = seed;
        self
    }

    /// Whether every grow and shrink moves the block. With guard pages it always does.
    #[must_use]
    pub fn moves(mut self, on: bool) -> Self {
        self.modes.moves = on;
        self
    }

    /// Whether blocks have exactly the requested alignment, and never twice of it. With guard pages
    /// this holds for a random half of the blocks. Between such a block and its guard there may be
    /// as many bytes as its alignment.
    #[must_use]
    pub fn tight(mut self, on: bool) -> Self {
        self.modes.tight = on;
        self
    }

    /// Whether blocks are 1 to 16 bytes longer than requested. With guard pages a random quarter of
    /// the blocks is.
    #[must_use]
    pub fn slack(mut self, on: bool) -> Self {
        self.modes.slack = on;
        self
    }

    /// Whether blocks are filled with rubbish when they are allocated, and again when they are
    /// freed. It differs in every bit from one port to the next, so a result that depends on it is
    /// found.
    #[must_use]
    pub fn rubbish(mut self, on: bool) -> Self {
        self.modes.rubbish = on;
        self
    }

    /// Whether every shrink is refused, as the contract allows.
    #[must_use]
    pub fn refuse_shrinks(mut self, on: bool) -> Self {
        self.modes.refuses_shrinks = on;
        self
    }

    /// Where the memory of a freed block goes.
    #[must_use]
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.modes.reuse = reuse;
        self
    }

    /// Where guard pages are. Code that touches one dies at that instruction, and a sweep's report
    /// says which block it belongs to and where that was requested. A freed block that is not given
    /// back to the port below (see [`reuse`](Self::reuse)) is a guard as a whole.
    #[must_use]
    pub fn guard(mut self, guard: Guard) -> Self {
        self.modes.guard = guard;
        self
    }

    /// An adversarial port over another one.
    pub fn over<P: Port>(&self, port: P) -> Adversarial<P> {
        let made = self.made.fetch_add(1, Ordering::Relaxed);
        Adversarial::new(port, self.modes, !made.is_multiple_of(2))
    }
}
