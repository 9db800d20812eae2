//! Jumps to where no code is, such as calls of null function pointers. The call stack then begins at the
//! call that led there.
#![allow(unsafe_code)]

use libc::c_void;

/// The registers of a thread that jumped to where no code is.
pub(crate) struct WildJump {
    context: *mut c_void,
    #[cfg_attr(not(all(target_os = "linux", target_arch = "x86_64")), allow(dead_code))]
    registers: (i64, i64),
}

impl WildJump {
    /// Makes a signal's context that of the caller, if the thread died of fetching its next instruction
    /// at this address. Whoever unwinds from it finds the caller. Restored when this is dropped, so that
    /// the thread dies as it would have.
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    pub(crate) fn of(
        context: *mut c_void,
        address: usize,
        is_readable: fn(usize) -> bool,
    ) -> Option<WildJump> {
        // SAFETY: the kernel passes a valid `ucontext_t` to a handler with SA_SIGINFO. What the stack
        // pointer leads to is the return address, if it can be read.
        unsafe {
            let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            let (stack, instruction) = (libc::REG_RSP as usize, libc::REG_RIP as usize);
            let before = (registers[stack], registers[instruction]);
            let top = before.0.cast_unsigned() as usize;
            if before.1.cast_unsigned() as usize != address
                || !top.is_multiple_of(8)
                || !is_readable(top)
            {
                return None;
            }
            registers[instruction] = *(top as *const i64);
            registers[stack] += 8;
            Some(WildJump { context, registers: before })
        }
    }

    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    pub(crate) fn of(_: *mut c_void, _: usize, _: fn(usize) -> bool) -> Option<WildJump> {
        None
    }
}

impl Drop for WildJump {
    fn drop(&mut self) {
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        // SAFETY: as in `of`; the handler has not returned yet.
        unsafe {
            let registers = &mut (*self.context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            registers[libc::REG_RSP as usize] = self.registers.0;
            registers[libc::REG_RIP as usize] = self.registers.1;
        }
        #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
        let _ = self.context;
    }
}
