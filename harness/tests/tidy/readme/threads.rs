use mallory::sync::{Arc, Mutex}; // std's outside of explorations
use mallory::{Explore, Heap, Refused, thread};

fn add(_heap: &Heap) -> Result<u32, Refused> {
    let sum = Arc::new(Mutex::new(1));
    let shared = Arc::clone(&sum);
    let other = thread::spawn(move || *shared.lock().unwrap() += 2);
    *sum.lock().unwrap() += 4;
    other.join().unwrap();
    Ok(*sum.lock().unwrap())
}

#[test]
fn adding_is_right_in_every_order() {
    Explore::new("add").shuttle().run(add).assert_clean();
}
