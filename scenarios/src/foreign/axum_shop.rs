//! A shop as an axum service, whose requests are tasks that an exploration orders. The last piece must
//! not be sold twice.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use axum::routing::post;
use mallory::future::block_on;
use mallory::tokio;
use mallory::tokio::sync::Mutex;
use tower::ServiceExt;

/// What is left, and who bought what is gone.
#[derive(Debug)]
struct Shop {
    left: Mutex<u64>,
    buyers: Mutex<Vec<u64>>,
}

/// Sells a piece, in one of two ways.
type Sell = fn(Router<Arc<Shop>>) -> Router<Arc<Shop>>;

async fn looks_first(State(shop): State<Arc<Shop>>, Path(customer): Path<u64>) -> StatusCode {
    let left = *shop.left.lock().await;
    if left == 0 {
        return StatusCode::CONFLICT;
    }
    shop.buyers.lock().await.push(customer);
    *shop.left.lock().await = left - 1;
    StatusCode::OK
}

async fn keeps_the_lock(State(shop): State<Arc<Shop>>, Path(customer): Path<u64>) -> StatusCode {
    let mut left = shop.left.lock().await;
    if *left == 0 {
        return StatusCode::CONFLICT;
    }
    shop.buyers.lock().await.push(customer);
    *left -= 1;
    StatusCode::OK
}

/// The bug: between the look and the sale another request may look as well.
pub fn planted() -> usize {
    sell(|shop| shop.route("/sales/{customer}", post(looks_first)))
}

/// The corrected service.
pub fn near_miss() -> usize {
    sell(|shop| shop.route("/sales/{customer}", post(keeps_the_lock)))
}

/// Two customers want the last piece at a time. Returns how many get it.
fn sell(routes: Sell) -> usize {
    let shop = Arc::new(Shop { left: Mutex::new(1), buyers: Mutex::new(Vec::new()) });
    let service = routes(Router::new()).with_state(Arc::clone(&shop));
    block_on(async {
        let requests = [1, 2].map(|customer| {
            let request = Request::post(format!("/sales/{customer}")).body(Body::empty());
            tokio::spawn(service.clone().oneshot(request.expect("the request is whole")))
        });
        let mut sold = 0;
        for request in requests {
            let Ok(response) = request.await.expect("no panic");
            sold += usize::from(response.status() == StatusCode::OK);
        }
        assert_eq!(sold, shop.buyers.lock().await.len());
        assert!(sold <= 1, "the last piece was sold twice");
        sold
    })
}
