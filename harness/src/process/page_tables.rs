//! Makes forks cheap. A fork and the child's exit take time for every page that the process has
//! touched, so a process that is forked at each of its requests first reduces the number of its
//! pages.
#![allow(unsafe_code)]

/// Returns memory that is free in the C library's allocator to the system.
pub(crate) fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `malloc_trim` releases only memory that is not in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Asks the system to merge small pages into huge ones where it can: a huge page costs a fork as
/// much as a small one. Does nothing before Linux 6.1.
#[cfg(target_os = "linux")]
pub(crate) fn join() {
    const COLLAPSE: libc::c_int = 25;
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for (start, end) in maps.lines().filter_map(private) {
        let (start, end) = (start.next_multiple_of(LARGE), end / LARGE * LARGE);
        for page in (start..end).step_by(LARGE) {
            // SAFETY: MADV_COLLAPSE doesn't change the contents of the memory.
            unsafe { libc::madvise(page as *mut libc::c_void, LARGE, COLLAPSE) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn join() {}

/// The size of the smallest huge page. Where it is another size, nothing is merged, or more at a
/// time.
#[cfg(target_os = "linux")]
const LARGE: usize = 2 << 20;

/// The address range of a line of `/proc/self/maps`, if it is private anonymous memory or the heap.
#[cfg(target_os = "linux")]
fn private(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let is_private = fields.next()? == "rw-p";
    let is_anonymous = fields.nth(2)? == "0";
    let is_heap = fields.next().is_none_or(|name| name == "[heap]");
    let address = |text: &str| usize::from_str_radix(text, 16).ok();
    let range = (address(start)?, address(end)?);
    (is_private && is_anonymous && is_heap).then_some(range)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_private_anonymous_memory_is_merged() {
        let own = "55d0c000-55d0e000 rw-p 00000000 00:00 0                  [heap]";
        assert_eq!(private(own), Some((0x55d0_c000, 0x55d0_e000)));
        assert_eq!(private("7f00-7fff rw-p 00000000 00:00 0 "), Some((0x7f00, 0x7fff)));
        for other in [
            "7f00-7fff rw-s 00000000 00:01 1024                  /dev/zero (deleted)",
            "7f00-7fff rw-p 00021000 fe:00 2371                  /usr/lib/libc.so.6",
            "7f00-7fff r--p 00000000 00:00 0 ",
            "7ffc-7fff rw-p 00000000 00:00 0                     [stack]",
            "",
        ] {
            assert_eq!(private(other), None, "{other}");
        }
    }

    #[test]
    fn the_contents_of_memory_stay() {
        let bytes: Vec<u8> = (0..3 * LARGE).map(|n| (n % 251) as u8).collect();
        trim();
        join();
        assert!(bytes.iter().enumerate().all(|(n, byte)| usize::from(*byte) == n % 251));
    }
}
