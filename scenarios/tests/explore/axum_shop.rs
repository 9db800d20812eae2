//! An axum service under every order of its requests.

use mallory::{Explore, Heap, Kind, Refused};
use mallory_scenarios::foreign::axum_shop;

fn on_heap(run: fn() -> usize) -> impl Fn(&Heap) -> Result<usize, Refused> + Sync {
    move |_| Ok(run())
}

#[test]
fn a_sale_without_the_lock_sells_the_last_piece_twice() {
    let report = Explore::new("axum-shop").shuttle().run(on_heap(axum_shop::planted));
    let kinds: Vec<Kind> = report.findings().iter().map(|finding| finding.kind()).collect();
    assert_eq!(kinds, [Kind::Panic], "{report}");
    let token = report.findings()[0].token().clone();
    let again = Explore::new("axum-shop").shuttle().replay(token);
    let again = again.run(on_heap(axum_shop::planted));
    assert!(again.row().contains("reproduced"), "{again}");
}

#[test]
fn a_sale_under_the_lock_sells_it_once_in_every_order_to_two_preemptions() {
    let explore = Explore::new("axum-shop").shuttle().preemptions(2);
    let report = explore.run(on_heap(axum_shop::near_miss));
    report.assert_clean();
    assert!(report.coverage().complete, "{report}");
}
