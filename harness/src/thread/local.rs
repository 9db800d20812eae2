//! Thread-locals. In a model each logical thread has its own value; elsewhere they are std's.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
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
    /// Not dropped at the end of the OS thread: what is left then belongs to an abandoned run, and its
    /// drop could wait for ever for a lock that the run still holds.
    static SLOTS: RefCell<ManuallyDrop<Vec<LocalSlot>>> =
        const { RefCell::new(ManuallyDrop::new(Vec::new())) };
}

impl<T: 'static> LocalKey<T> {
    /// Calls `call` with this thread's value, which is made at its first use.
    ///
    /// # Panics
    /// If the thread has dropped the value already; never in a model.
    pub fn with<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        if rt::engine() == CurrentEngine::None {
            return self.std.with(call);
        }
        call(&self.model_value())
    }

    /// Calls `call` with this thread's value, which is made at its first use.
    ///
    /// # Errors
    /// If the thread has dropped the value already; never in a model.
    pub fn try_with<R>(
        &'static self,
        call: impl FnOnce(&T) -> R,
    ) -> std::result::Result<R, AccessError> {
        if rt::engine() == CurrentEngine::None {
            return self.std.try_with(call);
        }
        Ok(call(&self.model_value()))
    }

    /// The present logical thread's value, which is made now if there is none.
    fn model_value(&'static self) -> Rc<T> {
        let (run, thread) = (rt::run(), rt::current_thread());
        // The address identifies the key. Nothing that is printed or decided depends on its value.
        let key = std::ptr::from_ref(self) as usize;
        let find = || {
            SLOTS.with(|slots| {
                let mut slots = slots.borrow_mut();
                // Only abandoned runs leave values. They are leaked: dropping them could touch what
                // those runs' stacks still hold.
                let (present, old) = slots.drain(..).partition(|slot: &LocalSlot| slot.run == run);
                **slots = present;
                std::mem::forget::<Vec<LocalSlot>>(old);
                let is_wanted = |slot: &&LocalSlot| (slot.thread, slot.key) == (thread, key);
                let slot = slots.iter().find(is_wanted)?;
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

    /// Returns a copy of the cell's value.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(std::cell::Cell::get)
    }

    /// Puts a value into the cell. Returns the former one.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Takes the cell's value, and leaves the default.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(std::cell::Cell::take)
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `call` with the cell's value.
    ///
    /// # Panics
    /// If the value is borrowed mutably.
    pub fn with_borrow<R>(&'static self, call: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| call(&cell.borrow()))
    }

    /// Calls `call` with the cell's value, to change it.
    ///
    /// # Panics
    /// If the value is borrowed.
    pub fn with_borrow_mut<R>(&'static self, call: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| call(&mut cell.borrow_mut()))
    }

    /// Puts a value into the cell.
    ///
    /// # Panics
    /// If the value is borrowed.
    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    /// Puts a value into the cell. Returns the former one.
    ///
    /// # Panics
    /// If the value is borrowed.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }

    /// Takes the cell's value, and leaves the default.
    ///
    /// # Panics
    /// If the value is borrowed.
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

/// Drops the present logical thread's values, the latest one first, including those that are made
/// meanwhile.
pub(crate) fn drop_values() {
    let (run, thread) = (rt::run(), rt::current_thread());
    let is_own = |slot: &LocalSlot| (slot.run, slot.thread) == (run, thread);
    let take_last = || {
        SLOTS.with(|slots| {
            let mut slots = slots.borrow_mut();
            let at = slots.iter().rposition(is_own)?;
            Some(slots.remove(at))
        })
    };
    while let Some(slot) = take_last() {
        drop(slot);
    }
}

/// Declares thread-locals, as [`std::thread_local!`]. In a model each logical thread has its own
/// value.
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
