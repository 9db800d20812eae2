//! Thread-locals that are the logical thread's in a model, and std's elsewhere.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

pub use std::thread::AccessError;

use crate::rt;
use crate::rt::CurrentEngine;

/// As [`std::thread::LocalKey`]; made by [`thread_local!`](crate::thread::thread_local).
pub struct LocalKey<T: 'static> {
    #[doc(hidden)]
    pub std: &'static std::thread::LocalKey<T>,
    #[doc(hidden)]
    pub init: fn() -> T,
}

/// One logical thread's value of one key.
struct LocalSlot {
    run: u64,
    thread: u16,
    key: usize,
    value: Rc<dyn Any>,
}

thread_local! {
    static SLOTS: RefCell<Vec<LocalSlot>> = const { RefCell::new(Vec::new()) };
}

impl<T: 'static> LocalKey<T> {
    /// Lends this thread's value, which is made at its first use.
    ///
    /// # Panics
    /// Where the thread has dropped it already.
    pub fn with<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        if rt::engine() == CurrentEngine::None {
            return self.std.with(call);
        }
        call(&self.present())
    }

    /// Lends this thread's value, which is made at its first use.
    ///
    /// # Errors
    /// Where the thread has dropped it already.
    pub fn try_with<R>(
        &'static self,
        call: impl FnOnce(&T) -> R,
    ) -> std::result::Result<R, AccessError> {
        if rt::engine() == CurrentEngine::None {
            return self.std.try_with(call);
        }
        Ok(call(&self.present()))
    }

    /// The logical thread's value.
    fn present(&'static self) -> Rc<T> {
        let (run, thread) = (rt::run(), rt::logical());
        // Which key this is; nothing is printed or decided by it.
        let key = std::ptr::from_ref(self) as usize;
        let find = || {
            SLOTS.with(|slots| {
                let mut slots = slots.borrow_mut();
                // Of a run that was given up.
                let (now, gone) = slots.drain(..).partition(|slot: &LocalSlot| slot.run == run);
                *slots = now;
                std::mem::forget::<Vec<LocalSlot>>(gone);
                let mine = |slot: &&LocalSlot| (slot.thread, slot.key) == (thread, key);
                let slot = slots.iter().find(mine)?;
                Rc::clone(&slot.value).downcast::<T>().ok()
            })
        };
        find().unwrap_or_else(|| {
            let value = Rc::new((self.init)());
            let slot = LocalSlot { run, thread, key, value: value.clone() };
            SLOTS.with(|slots| slots.borrow_mut().push(slot));
            value
        })
    }
}

impl<T: 'static> LocalKey<std::cell::Cell<T>> {
    /// Puts a value into the cell.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of what is in the cell.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(std::cell::Cell::get)
    }

    /// Puts a value into the cell, and answers what was in it.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Takes what is in the cell, and leaves the default.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(std::cell::Cell::take)
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Lends what is in the cell.
    pub fn with_borrow<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| call(&cell.borrow()))
    }

    /// Lends what is in the cell, to be changed.
    pub fn with_borrow_mut<R>(&'static self, call: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| call(&mut cell.borrow_mut()))
    }

    /// Takes what is in the cell, and leaves the default.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalKey")
    }
}

/// Drops the present logical thread's values, the last one made first. Values that are made
/// meanwhile go as well.
pub(crate) fn end() {
    let (run, thread) = (rt::run(), rt::logical());
    let mine = |slot: &LocalSlot| (slot.run, slot.thread) == (run, thread);
    let last = || {
        SLOTS.with(|slots| {
            let mut slots = slots.borrow_mut();
            let at = slots.iter().rposition(mine)?;
            Some(slots.remove(at))
        })
    };
    while let Some(slot) = last() {
        drop(slot);
    }
}

/// Declares thread-locals as [`std::thread_local!`]: in a model the logical thread's.
#[doc(hidden)]
#[macro_export]
macro_rules! __thread_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = const { $init:expr } $(; $($rest:tt)*)?) => {
        $crate::thread::thread_local!($(#[$attr])* $vis static $name: $t = $init);
        $($crate::thread::thread_local!($($rest)*);)?
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty = $init:expr $(; $($rest:tt)*)?) => {
        $(#[$attr])*
        $vis static $name: $crate::thread::LocalKey<$t> = {
            fn init() -> $t {
                $init
            }
            ::std::thread_local!(static STD: $t = init());
            $crate::thread::LocalKey { std: &STD, init }
        };
        $($crate::thread::thread_local!($($rest)*);)?
    };
}
