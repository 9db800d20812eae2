//! Where this library's thread-locals are, std's among them. It is loaded with the program, so they lie at
//! a distance from the thread's pointer that is the same in all threads. The loader's own
//! `__tls_get_addr` doesn't rely on that: as soon as a program has loaded other libraries it may enlarge
//! the thread's table of them, for which it requests memory, in the middle of a request that is watched.
//!
//! On aarch64 thread-locals are found without it.

#[cfg(target_arch = "x86_64")]
std::arch::global_asm!(
    ".section .tbss.mallory_anchor, \"awT\", @nobits",
    ".p2align 3",
    ".Lmallory_anchor:",
    ".zero 8",
    ".text",
    ".globl __tls_get_addr",
    ".hidden __tls_get_addr",
    ".type __tls_get_addr, @function",
    "__tls_get_addr:",
    // The start of this library's part, by a thread-local of which both distances are known.
    "mov rax, qword ptr [rip + .Lmallory_anchor@GOTTPOFF]",
    "lea rcx, [.Lmallory_anchor@DTPOFF]",
    "sub rax, rcx",
    "add rax, qword ptr fs:[0]",
    // The offset in it.
    "add rax, qword ptr [rdi + 8]",
    "ret",
    ".size __tls_get_addr, . - __tls_get_addr",
);
