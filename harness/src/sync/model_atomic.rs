//! The part of an atomic that a model checker sees: the scheduling point before each operation, its
//! entry in the log of the run, and loom's own atomic.

use std::sync::atomic::Ordering;

use crate::rt;
use crate::rt::{AccessKind, CurrentEngine, ObjectId, Orders, SharedOpKind};

/// What an operation on loom's atomic saw, and what the atomic holds after it.
#[cfg_attr(not(feature = "loom"), allow(dead_code, reason = "no operation is loom's"))]
pub(crate) struct Values {
    pub(crate) seen: Option<u64>,
    pub(crate) latest: u64,
}

/// The part of an atomic that a model checker sees: its number, and loom's atomic, if it was made
/// in a run of loom's.
pub(crate) struct ModelAtomic<L> {
    id: ObjectId,
    #[cfg(feature = "loom")]
    pub(crate) loom: Option<(u64, L)>,
    #[cfg(not(feature = "loom"))]
    _none: std::marker::PhantomData<fn() -> L>,
}

impl<L> ModelAtomic<L> {
    #[cfg(not(feature = "loom"))]
    pub(crate) const fn new() -> Self {
        ModelAtomic { id: ObjectId::new(), _none: std::marker::PhantomData }
    }

    /// Loom has to see how an atomic is made.
    #[cfg(feature = "loom")]
    pub(crate) fn new(make: impl FnOnce() -> L) -> Self {
        let loom = (rt::engine() == CurrentEngine::Loom).then(|| (rt::run(), make()));
        ModelAtomic { id: ObjectId::new(), loom }
    }

    /// Adds the access to the log of the run, and then what it saw.
    #[inline]
    fn log(&self, what: SharedOpKind, order: Ordering, add_value: impl FnOnce()) {
        if rt::engine() == CurrentEngine::None {
            return;
        }
        let is_read = what == SharedOpKind::Load;
        let kind = if is_read { AccessKind::Read } else { AccessKind::Write };
        let is_write_only = what == SharedOpKind::Store;
        let orders = Orders {
            releases: !is_read
                && matches!(order, Ordering::Release | Ordering::AcqRel | Ordering::SeqCst),
            acquires: !is_write_only
                && matches!(order, Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst),
            continues: what == SharedOpKind::Rmw,
        };
        rt::log_ordering_access(self.id.object(), kind, orders);
        add_value();
        rt::log_block_access(std::ptr::from_ref(self) as usize, AccessKind::BlockUse);
    }

    /// Performs an operation, after a scheduling point: on loom's atomic if that was made in the
    /// present run, otherwise on std's. What is done to loom's is done to std's as well, which so holds
    /// the value that was stored last: loom doesn't say which store a load sees.
    #[inline]
    pub(crate) fn perform<R>(
        &self,
        what: SharedOpKind,
        order: Ordering,
        on_loom: impl FnOnce(&L) -> (R, Values),
        on_std: impl FnOnce() -> R,
    ) -> R {
        self.perform_as(what, |_| (what, order), on_loom, on_std)
    }

    /// As [`perform`](Self::perform); `logged` says by the result what the operation was.
    #[inline]
    pub(crate) fn perform_as<R>(
        &self,
        what: SharedOpKind,
        logged: impl FnOnce(&R) -> (SharedOpKind, Ordering),
        on_loom: impl FnOnce(&L) -> (R, Values),
        on_std: impl FnOnce() -> R,
    ) -> R {
        rt::scheduling_point_on(&self.id, what);
        #[cfg(feature = "loom")]
        if let Some((made_in, loom)) = &self.loom
            && *made_in == rt::run()
            && rt::engine() == CurrentEngine::Loom
        {
            // Loom may let other threads run before it performs the operation.
            let (result, Values { seen, latest }) = rt::across_switch(|| on_loom(loom));
            let (what, order) = logged(&result);
            self.log(what, order, || rt::log_value(seen, latest));
            return result;
        }
        let _ = on_loom;
        let result = on_std();
        let (what, order) = logged(&result);
        self.log(what, order, || {});
        result
    }
}
