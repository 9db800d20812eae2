//! Tokio's `select!`, in which the exploration chooses the branch that is polled first.
//!
//! The macro is tokio's own, from the step after its random number on. Where both engines are absent
//! at run time, that number is drawn as tokio draws it.

use crate::future::points::{SelectOrder, is_modelled};

#[doc(hidden)]
pub use ::tokio;

/// The order in which one `select!` polls its branches.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct BranchOrder(SelectOrder);

impl BranchOrder {
    /// The branch that is polled first, of this many.
    #[doc(hidden)]
    #[must_use]
    pub fn first(&self, branches: u32) -> u32 {
        match is_modelled() {
            true => self.0.first(branches),
            false => ::tokio::macros::support::thread_rng_n(branches),
        }
    }
}

/// As [`tokio::select!`]. In a model branch 0 is polled first, unless the exploration chooses another
/// one, at the cost of a preemption. With `biased` there is nothing to choose.
#[doc(hidden)]
#[macro_export]
macro_rules! __select {
    (biased; $($rest:tt)*) => {
        $crate::tokio::select::tokio::select!(biased; $($rest)*)
    };
    ($pattern:pat = $($rest:tt)*) => {{
        let order = $crate::tokio::select::BranchOrder::default();
        $crate::tokio::select::tokio::select!(
            @{ start={ order.first(BRANCHES) }; () } $pattern = $($rest)*
        )
    }};
    ($($rest:tt)*) => {
        $crate::tokio::select::tokio::select!($($rest)*)
    };
}

#[doc(inline)]
pub use crate::__select as select;
