#[global_allocator]
static HEAP: mallory::GlobalHeap = mallory::GlobalHeap::system(); // or ::over(YourAllocator)

#[test]
fn parsing_aborts_at_one_known_place() {
    let parse = |text: &str| text.split(' ').map(str::parse::<u32>).collect::<Result<Vec<_>, _>>();
    let sweep = mallory::Sweep::new("parse").global(&HEAP).allow_aborts(1);
    sweep.run(|_| parse("1 2 3")).assert_clean();
}
