//! What a task may choose by itself where it reaches a scheduling point: which of its futures is
//! dropped there, and which branch of a `select!` is polled first. A schedule names such a choice in
//! the place of the thread that continues.

/// The futures of one task that can be chosen from, and the branches of one `select!`. Tokio has the
/// same limit for branches.
pub(crate) const OFFERS_MAX: usize = 64;

/// Added to a thread's number where it makes a choice of its own. The choice's number follows from
/// bit 8 on, and the thread's own number has the bits below.
const OWN: u16 = 1 << 15;
/// Where the choice is a branch, and no future to drop.
const BRANCH: u16 = 1 << 14;

/// What a thread chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OwnChoice {
    /// Nothing: it goes on as by default.
    #[default]
    Nothing,
    /// A future is dropped: 0 is the task's own, the others are those that wait in it, from 1.
    Drop(u8),
    /// This branch is polled first, counted from 0, the default.
    Branch(u8),
}

impl OwnChoice {
    /// The successor that makes this choice in a thread.
    #[inline]
    pub(crate) fn by(self, thread: u16) -> u16 {
        match self {
            OwnChoice::Nothing => thread,
            OwnChoice::Drop(nth) => OWN | u16::from(nth) << 8 | thread & 0xff,
            OwnChoice::Branch(nth) => OWN | BRANCH | u16::from(nth) << 8 | thread & 0xff,
        }
    }

    /// The thread of a successor, and what it chooses.
    #[inline]
    pub(crate) fn split(to: u16) -> (u16, OwnChoice) {
        if to & OWN == 0 {
            return (to, OwnChoice::Nothing);
        }
        let nth = (to >> 8) as u8 & (OFFERS_MAX - 1) as u8;
        let choice = if to & BRANCH == 0 { OwnChoice::Drop(nth) } else { OwnChoice::Branch(nth) };
        (to & 0xff, choice)
    }

    pub(crate) fn is_drop(self) -> bool {
        matches!(self, OwnChoice::Drop(_))
    }
}

/// What a thread may choose at a scheduling point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    /// A bit for each future that can be dropped.
    pub(crate) drops: u64,
    /// The number of branches; 0 where there are none.
    pub(crate) branches: u8,
}

impl Offers {
    pub(crate) const NONE: Offers = Offers { drops: 0, branches: 0 };

    /// The futures that can be dropped.
    pub(crate) fn drops(self) -> impl Iterator<Item = OwnChoice> {
        (0..OFFERS_MAX as u8).filter(move |nth| self.drops >> nth & 1 == 1).map(OwnChoice::Drop)
    }

    /// All choices that are not the default.
    pub(crate) fn all(self) -> impl Iterator<Item = OwnChoice> {
        self.drops().chain((1..self.branches).map(OwnChoice::Branch))
    }

    /// Whether this can be chosen.
    #[inline]
    pub(crate) fn contains(self, choice: OwnChoice) -> bool {
        match choice {
            OwnChoice::Nothing => true,
            OwnChoice::Drop(nth) => self.drops >> nth & 1 == 1,
            OwnChoice::Branch(nth) => nth < self.branches,
        }
    }
}
