//! The allocator family of C++: every form of `new` and `delete`, by their names in object files.
//!
//! A refused `new` does what the standard asks for: it calls the program's handler until that helps,
//! and throws `std::bad_alloc` where there is none. A program may bring a `new` of its own, on which
//! the C++ library's other forms are built: then all forms are left to that library.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU8, Ordering};

use mallory::preload::c_calls::{self, Form};

use crate::real::{look_up, look_up_first, own_addresses, real};

/// A function of the program's that makes memory free, or throws.
type Handler = unsafe extern "C-unwind" fn();

/// Whether the program brings forms of its own: not known yet, no, or yes.
static REPLACED: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OURS: u8 = 1;
const ITS_OWN: u8 = 2;

#[inline]
fn is_replaced() -> bool {
    match REPLACED.load(Ordering::Relaxed) {
        UNKNOWN => find_replacement(),
        known => known == ITS_OWN,
    }
}

#[cold]
fn find_replacement() -> bool {
    let own = own_addresses();
    let basic = [c"_Znwm", c"_ZdlPv"].map(|name| look_up_first(name) as usize);
    let is_replaced = basic.iter().any(|address| !own.contains(address));
    REPLACED.store(if is_replaced { ITS_OWN } else { OURS }, Ordering::Relaxed);
    is_replaced
}

/// What a refused `new` calls: the program's handler. `None` if there is none.
fn handler() -> Option<Handler> {
    type Get = unsafe extern "C" fn() -> Option<Handler>;
    let known = look_up(c"_ZSt15get_new_handlerv");
    if known.is_null() {
        return None;
    }
    // SAFETY: the C++ library's function of this name has this type, and no precondition.
    unsafe { std::mem::transmute::<*mut c_void, Get>(known)() }
}

/// Throws `std::bad_alloc`.
fn throw() -> ! {
    type Throw = unsafe extern "C-unwind" fn() -> !;
    let known = look_up(c"_ZSt17__throw_bad_allocv");
    if known.is_null() {
        // Nobody can catch it without the C++ library.
        std::process::abort();
    }
    // SAFETY: the C++ library's function of this name has this type, and no precondition.
    unsafe { std::mem::transmute::<*mut c_void, Throw>(known)() }
}

/// A block, or null where it is refused and there is no handler.
fn request(form: Form, size: usize, align: usize) -> *mut c_void {
    loop {
        let start = c_calls::new(form, size, align);
        if !start.is_null() {
            return start;
        }
        let Some(handler) = handler() else { return start };
        // SAFETY: the program has set it to be called here. What it throws passes through: no frame of
        // this library has anything to drop.
        unsafe { handler() };
    }
}

/// A block. It throws where that is refused.
#[inline]
fn request_or_throw(form: Form, size: usize, align: usize) -> *mut c_void {
    let start = c_calls::new(form, size, align);
    if !start.is_null() {
        return start;
    }
    let Some(handler) = handler() else { throw() };
    // SAFETY: as in `request`.
    unsafe { handler() };
    let start = request(form, size, align);
    if start.is_null() { throw() } else { start }
}

/// Functions that request a block: `form`, the name, its further arguments, and its alignment.
macro_rules! news {
    ($($name:ident, $text:literal, $form:ident, $request:ident, ($($argument:ident: $type:ty),*), $align:expr;)*) => {$(
        /// A form of `new`.
        #[unsafe(no_mangle)]
        pub(crate) extern "C-unwind" fn $name(size: usize, $($argument: $type),*) -> *mut c_void {
            if is_replaced() {
                type New = extern "C-unwind" fn(usize, $($type),*) -> *mut c_void;
                return real!($text as New)(size, $($argument),*);
            }
            $( let _ = $argument; )*
            $request(Form::$form, size, $align)
        }
    )*};
}

/// A reference to `std::nothrow`, which nobody looks at.
type Nothrow = *const c_void;

news! {
    _Znwm, c"_Znwm", New, request_or_throw, (), 1;
    _Znam, c"_Znam", NewArray, request_or_throw, (), 1;
    _ZnwmRKSt9nothrow_t, c"_ZnwmRKSt9nothrow_t", New, request, (nothrow: Nothrow), 1;
    _ZnamRKSt9nothrow_t, c"_ZnamRKSt9nothrow_t", NewArray, request, (nothrow: Nothrow), 1;
    _ZnwmSt11align_val_t, c"_ZnwmSt11align_val_t", New, request_or_throw, (align: usize), align;
    _ZnamSt11align_val_t, c"_ZnamSt11align_val_t", NewArray, request_or_throw, (align: usize), align;
    _ZnwmSt11align_val_tRKSt9nothrow_t, c"_ZnwmSt11align_val_tRKSt9nothrow_t", New, request,
        (align: usize, nothrow: Nothrow), align;
    _ZnamSt11align_val_tRKSt9nothrow_t, c"_ZnamSt11align_val_tRKSt9nothrow_t", NewArray, request,
        (align: usize, nothrow: Nothrow), align;
}

/// Functions that free a block: the name, its further arguments, and the size if it says one.
macro_rules! deletes {
    ($($name:ident, $text:literal, $form:ident, ($($argument:ident: $type:ty),*), $size:expr;)*) => {$(
        /// A form of `delete`.
        ///
        /// # Safety
        /// - As for the C++ library's.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(start: *mut c_void, $($argument: $type),*) {
            if is_replaced() {
                type Delete = unsafe extern "C" fn(*mut c_void, $($type),*);
                // SAFETY: the caller's promise.
                return unsafe { real!($text as Delete)(start, $($argument),*) };
            }
            $( let _ = $argument; )*
            // SAFETY: the caller's promise.
            unsafe { c_calls::free_sized(start, Form::$form, $size) }
        }
    )*};
}

deletes! {
    _ZdlPv, c"_ZdlPv", New, (), None;
    _ZdaPv, c"_ZdaPv", NewArray, (), None;
    _ZdlPvm, c"_ZdlPvm", New, (size: usize), Some(size);
    _ZdaPvm, c"_ZdaPvm", NewArray, (size: usize), Some(size);
    _ZdlPvRKSt9nothrow_t, c"_ZdlPvRKSt9nothrow_t", New, (nothrow: Nothrow), None;
    _ZdaPvRKSt9nothrow_t, c"_ZdaPvRKSt9nothrow_t", NewArray, (nothrow: Nothrow), None;
    _ZdlPvSt11align_val_t, c"_ZdlPvSt11align_val_t", New, (align: usize), None;
    _ZdaPvSt11align_val_t, c"_ZdaPvSt11align_val_t", NewArray, (align: usize), None;
    _ZdlPvmSt11align_val_t, c"_ZdlPvmSt11align_val_t", New, (size: usize, align: usize), Some(size);
    _ZdaPvmSt11align_val_t, c"_ZdaPvmSt11align_val_t", NewArray, (size: usize, align: usize), Some(size);
    _ZdlPvSt11align_val_tRKSt9nothrow_t, c"_ZdlPvSt11align_val_tRKSt9nothrow_t", New,
        (align: usize, nothrow: Nothrow), None;
    _ZdaPvSt11align_val_tRKSt9nothrow_t, c"_ZdaPvSt11align_val_tRKSt9nothrow_t", NewArray,
        (align: usize, nothrow: Nothrow), None;
}
