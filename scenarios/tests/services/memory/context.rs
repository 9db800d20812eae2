//! A request's context: texts live until the reset and not longer, and a warm context needs no
//! memory.

use mallory::{Heap, Options, Plan};
use mallory_scenarios::memory::bytes::try_push;
use mallory_scenarios::memory::context::{ARENA_CAP, FIRST_CHUNK};
use mallory_scenarios::memory::pool::KEPT_BYTES;
use mallory_scenarios::memory::{Pool, RequestContext};

fn context(heap: &Heap) -> RequestContext<()> {
    RequestContext::new(heap, ()).unwrap()
}

#[test]
fn texts_lie_side_by_side_in_one_chunk() {
    for bypass in [false, true] {
        let heap = Options::new().bypass(bypass).heap();
        let context = context(&heap);
        let before = heap.live_bytes();
        let region = context.alloc_str("north").unwrap();
        let held = heap.live_bytes() - before;
        assert_eq!(held == FIRST_CHUNK, !bypass, "{held} bytes");
        let list: Vec<&str> =
            (0..100).map(|n| context.alloc_fmt(format_args!("{n}-{region}")).unwrap()).collect();
        assert_eq!((list[7], list[99], region), ("7-north", "99-north", "north"));
        assert_eq!(heap.live_bytes() - before == FIRST_CHUNK, !bypass);
        drop(context);
        assert_eq!((heap.live_bytes(), heap.found()), (0, 0));
    }
}

#[test]
fn a_warm_context_needs_no_memory() {
    let heap = Heap::new();
    let mut context = context(&heap);
    let request = |context: &mut RequestContext<()>| {
        let name = context.arena.alloc_str("anna").unwrap();
        context.string_buffer.format(format_args!("{name}, 12")).unwrap();
        let mut rows = allocator_api2::vec::Vec::new_in(context.arena.scope());
        try_push(&mut rows, (name, 12)).unwrap();
        assert_eq!(&*context.string_buffer, b"anna, 12");
    };
    request(&mut context);
    context.reset();
    let warm = heap.live_bytes();
    for _ in 0..50 {
        assert!(context.string_buffer.is_empty() && context.scratch_buffer.is_empty());
        request(&mut context);
        context.reset();
    }
    assert_eq!(heap.live_bytes(), warm);
}

#[test]
fn a_refused_text_leaves_the_others_as_they_are() {
    let heap = Heap::new();
    let context = context(&heap);
    let first = context.alloc_str("first").unwrap();
    heap.arm(Plan::from(1));
    assert!(context.alloc_str("second").is_err());
    assert!(context.alloc_fmt(format_args!("{first} {}", 2)).is_err());
    heap.disarm();
    assert!(context.alloc_str(&"x".repeat(ARENA_CAP)).is_err(), "beyond the cap");
    assert_eq!((first, context.alloc_str("third").unwrap()), ("first", "third"));
}

#[test]
fn a_context_that_comes_back_is_empty_and_keeps_no_large_buffer() {
    let heap = Heap::new();
    let pool = Pool::new(&heap, 2);
    let take = || pool.take_or(|heap| RequestContext::new(heap, ())).unwrap();
    let mut lent = take();
    lent.alloc_str("secret").unwrap();
    lent.string_buffer.push(&[b'x'; KEPT_BYTES + 1]).unwrap();
    lent.scratch_buffer.try_reserve(KEPT_BYTES + 1).unwrap();
    drop(lent);
    let again = take();
    assert!(again.string_buffer.is_empty() && again.scratch_buffer.is_empty());
    assert_eq!((again.string_buffer.capacity(), again.scratch_buffer.capacity()), (0, 0));
    assert_eq!(pool.stats().hits, 1);
}
