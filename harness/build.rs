//! Checks whether the toolchain has the standard library's `Allocator` trait, by compiling the
//! calls that the adapter makes: the trait is unstable, so a version number or a channel says too
//! little about it. Also sets `mallory_model` if the feature of a model checker (shuttle or loom)
//! is on, and `mallory_births` where the threads of a run can be counted.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The calls that `port_of_an_allocator!` makes.
const PROBE: &str = "
use std::alloc::{Allocator, Layout};
use std::ptr::NonNull;
pub unsafe fn probe<A: Allocator>(a: &A, block: NonNull<u8>, layout: Layout) -> bool {
    let zeroed: Result<NonNull<[u8]>, _> = a.allocate_zeroed(layout);
    let plain: Result<NonNull<[u8]>, _> = a.allocate(layout);
    let larger: Result<NonNull<[u8]>, _> = unsafe { a.grow(block, layout, layout) };
    let smaller: Result<NonNull<[u8]>, _> = unsafe { a.shrink(block, layout, layout) };
    unsafe { a.deallocate(block, layout) };
    zeroed.is_ok() && plain.is_ok() && larger.is_ok() && smaller.is_ok()
}
";

/// Whether `pthread_create` can be replaced (`process/thread_births.rs`): in a dynamically linked
/// program of the GNU C library, and not under a sanitizer or Miri, which have their own.
fn counts_births() -> bool {
    let target = |name: &str| std::env::var(format!("CARGO_CFG_{name}")).unwrap_or_default();
    target("TARGET_OS") == "linux"
        && target("TARGET_ENV") == "gnu"
        && ["x86_64", "aarch64"].contains(&&*target("TARGET_ARCH"))
        && !target("TARGET_FEATURE").split(',').any(|feature| feature == "crt-static")
        && ["SANITIZE", "MIRI"]
            .iter()
            .all(|name| std::env::var_os(format!("CARGO_CFG_{name}")).is_none())
}

/// Whether this compiles.
fn compiles(text: &str) -> bool {
    let (Some(rustc), Some(out)) = (std::env::var_os("RUSTC"), std::env::var_os("OUT_DIR")) else {
        return false;
    };
    let mut command = Command::new(rustc);
    command.args(["--crate-type=lib", "--crate-name=probe", "--edition=2024", "--emit=metadata"]);
    command.arg("-o").arg(Path::new(&out).join("probe.rmeta")).arg("-");
    if let Some(target) = std::env::var_os("TARGET") {
        command.arg("--target").arg(target);
    }
    let (input, quiet) = (Stdio::piped(), Stdio::null);
    let child = command.stdin(input).stdout(quiet()).stderr(quiet()).spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    let ended = child.wait();
    written.is_some_and(|written| written.is_ok()) && ended.is_ok_and(|status| status.success())
}

/// Whether this feature of the crate is on.
fn is_on(feature: &str) -> bool {
    std::env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
}

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(mallory_std_allocator, mallory_std_allocator_feature)");
    println!("cargo::rustc-check-cfg=cfg(mallory_model)");
    println!("cargo::rustc-check-cfg=cfg(mallory_births)");
    if counts_births() {
        println!("cargo::rustc-cfg=mallory_births");
    }
    if ["SHUTTLE", "LOOM"].iter().any(|name| is_on(name)) {
        println!("cargo::rustc-cfg=mallory_model");
    }
    if compiles(PROBE) {
        println!("cargo::rustc-cfg=mallory_std_allocator");
    } else if compiles(&format!("#![feature(allocator_api)]{PROBE}")) {
        println!("cargo::rustc-cfg=mallory_std_allocator");
        println!("cargo::rustc-cfg=mallory_std_allocator_feature");
    }
}
