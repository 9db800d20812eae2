//! The C library's definitions of the functions that this library takes the place of.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::ops::Range;

/// The C library's definition of a function that this library takes the place of.
pub(crate) fn look_up(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }
}

unsafe extern "C" {
    /// The first and the last byte of this library, which the linker defines.
    static __ehdr_start: u8;
    static _end: u8;
}

/// Where this library is.
pub(crate) fn own_addresses() -> Range<usize> {
    (&raw const __ehdr_start as usize)..(&raw const _end as usize)
}

/// The definition of a function that the program finds.
pub(crate) fn look_up_first(name: &CStr) -> *mut c_void {
    // SAFETY: the name is a C string.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// The C library's function of this name as a value of its type, looked up once.
macro_rules! real {
    ($name:literal as $type:ty) => {{
        use std::sync::atomic::{AtomicPtr, Ordering};
        static NEXT: AtomicPtr<std::ffi::c_void> = AtomicPtr::new(std::ptr::null_mut());
        let mut known = NEXT.load(Ordering::Relaxed);
        if known.is_null() {
            known = crate::real::look_up($name);
            NEXT.store(known, Ordering::Relaxed);
        }
        // SAFETY: the C library's function of this name has this type.
        #[allow(unused_unsafe, reason = "some callers are unsafe blocks")]
        let function = unsafe { std::mem::transmute::<*mut std::ffi::c_void, $type>(known) };
        function
    }};
}
pub(crate) use real;
