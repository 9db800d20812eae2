//! Which operations of two threads may be exchanged. Two runs that differ only in the order of
//! operations that commute are the same run to the subject, so a search makes one of them.
//!
//! An operation accesses one object or several, each in one of a few ways ([`AccessKind`]). Two
//! accesses of an object by different threads are *dependent* if their order makes a difference, or
//! if the first one is what makes the second one possible. They *race* if they are dependent and
//! both orders are possible. Only races are reversed.
//!
//! Where one access always has to wait for the other (to take a lock that is held, to receive what
//! was not sent), there is nothing to reverse: the same run has another pair that races, such as the
//! two threads that take the lock.

/// What an operation accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    /// A lock, an atomic, a condition variable, a cell: by its number in the run.
    Shared(u32),
    /// One of the values that pass through an object, by its number: a channel's nth value, a
    /// condition variable's nth notification.
    Slot(u32, u64),
    /// The room that receiving the nth value makes in a channel.
    Room(u32, u64),
    /// The drops of a channel's ends.
    Ends(u32),
    /// A thread: its start and its end.
    Thread(u16),
    /// A block of memory, by its heap and its address in the run.
    Block(u16, u64),
    /// A block of memory that is watched for data races, by its number among these.
    Watched(u64),
    /// All atomics, for fences.
    Atomics,
    /// The point in the run from which all requests fail.
    Fault,
    /// The beginnings and ends of a script's operations.
    History,
    /// The simulated time.
    Clock,
}

/// How an operation accesses an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum AccessKind {
    /// Sees its state.
    Read,
    /// Changes its state.
    Write,
    /// Takes a lock for itself.
    Acquire,
    /// Takes a lock that others may share.
    AcquireShared,
    /// Gives up a lock that it had for itself.
    Release,
    /// Gives up a lock that others may share.
    ReleaseShared,
    /// Took a lock for itself, and would not have waited for it.
    TryAcquire,
    /// Took a lock that others may share, and would not have waited for it.
    TryAcquireShared,
    /// Did not get a lock for which it does not wait.
    TryFail,
    /// Begins to wait for a notification.
    Wait,
    /// Sends a notification.
    Notify,
    /// Makes it possible to take or to pass.
    Give,
    /// Takes what was given; nobody else can take it any more.
    Take,
    /// Goes on, since it was given, as others may.
    Pass,
    /// Sees whether it was given.
    Peek,
    /// Reads data that no model checker protects.
    CellRead,
    /// Writes data that no model checker protects.
    CellWrite,
    /// Uses a block of memory in a way that several threads may at a time, as by an atomic in it.
    BlockUse,
    /// Frees a block of memory.
    BlockFree,
    /// A fence between atomics.
    Fence,
}

/// How an access orders what a thread did before it, and what it does after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orders {
    /// What the thread did before is ordered before what others do that acquire it.
    pub(crate) releases: bool,
    /// What others did that released it is ordered before what the thread does from here on.
    pub(crate) acquires: bool,
    /// It is a read-modify-write of an atomic, which continues what was released before.
    pub(crate) continues: bool,
}

impl Orders {
    /// Orders nothing.
    pub(crate) const NOTHING: Orders =
        Orders { releases: false, acquires: false, continues: false };

    /// What an access of this kind orders that is no atomic's.
    pub(crate) fn of(kind: AccessKind) -> Orders {
        match kind {
            Release | ReleaseShared | Give => Orders { releases: true, ..Orders::NOTHING },
            Acquire | AcquireShared | TryAcquire | TryAcquireShared | Take | Pass | Peek => {
                Orders { acquires: true, ..Orders::NOTHING }
            }
            _ => Orders::NOTHING,
        }
    }

    /// What both sides of a token order: who takes it is behind all who gave it.
    pub(crate) const TOKEN: Orders = Orders { releases: true, acquires: true, continues: true };
}

use AccessKind::{
    Acquire, AcquireShared, Fence, Give, Notify, Pass, Peek, Read, Release, ReleaseShared, Take,
    TryAcquire, TryAcquireShared, TryFail, Wait, Write,
};

impl AccessKind {
    /// The number of kinds.
    pub(crate) const COUNT: usize = Fence as usize + 1;

    /// The kinds on which an access of this kind depends.
    pub(crate) fn dependencies(self) -> u32 {
        DEPENDENT[self as usize]
    }

    /// Whether the order of two accesses makes a difference, or the first one makes the second one
    /// possible.
    #[cfg(test)]
    pub(crate) fn depends_on(self, other: AccessKind) -> bool {
        self.dependencies() >> other as u32 & 1 == 1
    }

    /// Whether two accesses are dependent, and both orders are possible.
    pub(crate) fn races_with(self, other: AccessKind) -> bool {
        RACING[self as usize] >> other as u32 & 1 == 1
    }
}

const fn set(kinds: &[AccessKind]) -> u32 {
    let mut set = 0;
    let mut index = 0;
    while index < kinds.len() {
        set |= 1 << kinds[index] as u32;
        index += 1;
    }
    set
}

/// By kind, the kinds that are dependent on it. Kinds that no object has both of are not dependent.
const DEPENDENT: [u32; AccessKind::COUNT] = {
    let exclusive = set(&[
        Acquire,
        AcquireShared,
        Release,
        ReleaseShared,
        TryAcquire,
        TryAcquireShared,
        TryFail,
    ]);
    let shared = set(&[Acquire, Release, TryAcquire, TryFail]);
    let mut table = [0; AccessKind::COUNT];
    table[Read as usize] = set(&[Write]);
    table[Write as usize] = set(&[Read, Write]);
    table[Acquire as usize] = exclusive;
    table[Release as usize] = exclusive;
    table[TryAcquire as usize] = exclusive;
    table[AcquireShared as usize] = shared;
    table[ReleaseShared as usize] = shared;
    table[TryAcquireShared as usize] = shared;
    // A failed attempt changes nothing.
    table[TryFail as usize] = exclusive & !set(&[TryFail]);
    table[Wait as usize] = set(&[Notify]);
    table[Notify as usize] = set(&[Wait]);
    table[Give as usize] = set(&[Take, Pass, Peek]);
    table[Take as usize] = set(&[Give, Take, Peek]);
    table[Pass as usize] = set(&[Give]);
    table[Peek as usize] = set(&[Give, Take]);
    table
};

/// By kind, the kinds that race with it: dependent ones, without pairs of which one waits for the
/// other.
const RACING: [u32; AccessKind::COUNT] = {
    let mut table = DEPENDENT;
    let waiting = set(&[Acquire, AcquireShared]);
    let releasing = set(&[Release, ReleaseShared]);
    table[Acquire as usize] &= !releasing;
    table[AcquireShared as usize] &= !releasing;
    table[Release as usize] &= !waiting & !releasing;
    table[ReleaseShared as usize] &= !waiting & !releasing;
    table[Give as usize] &= !set(&[Take, Pass]);
    table[Take as usize] &= !set(&[Give]);
    table[Pass as usize] &= !set(&[Give]);
    table
};

#[cfg(test)]
mod tests {
    use super::AccessKind::{BlockFree, BlockUse, CellRead, CellWrite};
    use super::*;

    const ALL: [AccessKind; AccessKind::COUNT] = [
        Read,
        Write,
        Acquire,
        AcquireShared,
        Release,
        ReleaseShared,
        TryAcquire,
        TryAcquireShared,
        TryFail,
        Wait,
        Notify,
        Give,
        Take,
        Pass,
        Peek,
        CellRead,
        CellWrite,
        BlockUse,
        BlockFree,
        Fence,
    ];

    #[test]
    fn both_relations_are_symmetric_and_a_race_is_a_dependency() {
        for (index, one) in ALL.into_iter().enumerate() {
            assert_eq!(one as usize, index);
            for other in ALL {
                assert_eq!(one.depends_on(other), other.depends_on(one), "{one:?}, {other:?}");
                assert_eq!(one.races_with(other), other.races_with(one), "{one:?}, {other:?}");
                assert!(!one.races_with(other) || one.depends_on(other), "{one:?}, {other:?}");
            }
        }
    }

    #[test]
    fn what_waits_for_the_other_does_not_race() {
        assert!(Acquire.races_with(Acquire) && !Acquire.races_with(Release));
        assert!(Acquire.depends_on(Release) && TryFail.races_with(Release));
        assert!(!AcquireShared.depends_on(AcquireShared) && AcquireShared.races_with(Acquire));
        assert!(!AcquireShared.depends_on(ReleaseShared) && Acquire.depends_on(ReleaseShared));
        assert!(Take.depends_on(Give) && !Take.races_with(Give) && Peek.races_with(Give));
        assert!(!Give.depends_on(Give) && !Pass.depends_on(Pass) && Take.races_with(Take));
        assert!(Wait.races_with(Notify) && !Wait.depends_on(Wait) && !Notify.depends_on(Notify));
    }
}
