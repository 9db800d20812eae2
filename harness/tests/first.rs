//! x
use allocator_api2::vec::Vec;
use mallory::{Heap, Outcome, Sweep};

#[derive(Debug)]
struct Oom;
impl From<allocator_api2::collections::TryReserveError> for Oom {
    fn from(_: allocator_api2::collections::TryReserveError) -> Oom {
        Oom
    }
}

fn clean(heap: &Heap) -> Result<u64, Oom> {
    let mut v = Vec::new_in(heap.clone());
    for n in 0..10_u64 {
        v.try_reserve(1)?;
        v.push(n);
    }
    Ok(v.iter().sum())
}
fn leaky(heap: &Heap) -> Result<u64, Oom> {
    let mut a: Vec<u64, Heap> = Vec::new_in(heap.clone());
    a.try_reserve(12)?;
    let a = std::mem::ManuallyDrop::new(a);
    let mut b: Vec<u64, Heap> = Vec::new_in(heap.clone());
    b.try_reserve(32)?;
    drop(std::mem::ManuallyDrop::into_inner(a));
    Ok(1)
}
fn aborts(heap: &Heap) -> Result<u64, Oom> {
    let mut v = Vec::new_in(heap.clone());
    for n in 0..10_u64 {
        v.push(n);
    }
    Ok(v.iter().sum())
}
#[test]
fn clean_is_clean() {
    let r = Sweep::new("clean").run(clean);
    println!("{r}");
    assert_eq!(r.outcomes(Outcome::Propagated), 6);
    r.assert_clean();
}
#[test]
fn leak() {
    let r = Sweep::new("leaky").run(leaky);
    println!("{r}");
}
#[test]
fn abort() {
    let r = Sweep::new("aborts").run(aborts);
    println!("{r}");
}
#[test]
fn panics() {
    let r = Sweep::new("panics").run(|heap| {
        let mut v: Vec<u8, Heap> = Vec::new_in(heap.clone());
        v.try_reserve(10).unwrap();
        Ok::<_, Oom>(3)
    });
    println!("{r}");
}
#[test]
fn wrong() {
    let r = Sweep::new("wrong").oom(|_: &Oom| true).run(|heap| {
        let mut v: Vec<u8, Heap> = Vec::new_in(heap.clone());
        if v.try_reserve(10).is_ok() {
            v.push(1)
        };
        Ok::<_, Oom>(v.len())
    });
    println!("{r}");
}
#[test]
fn hang() {
    let r = Sweep::new("hang").oom(|_: &Oom| true).run(|heap| {
        let mut v: Vec<u8, Heap> = Vec::new_in(heap.clone());
        while v.try_reserve(10).is_err() {}
        Ok::<_, Oom>(v.len())
    });
    println!("{r}");
}
#[test]
fn errs() {
    let r = Sweep::new("errs").run(|_| Err::<(), Oom>(Oom));
    println!("{r}");
}
#[test]
fn nondet() {
    let n = std::cell::Cell::new(0);
    let r = Sweep::new("nondet").run_local(|heap| {
        n.set(n.get() + 1);
        let mut v: Vec<u8, Heap> = Vec::new_in(heap.clone());
        v.try_reserve(n.get())?;
        Ok::<_, Oom>(0)
    });
    println!("{r}");
}
