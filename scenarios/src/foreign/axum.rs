//! axum: a service handles requests with JSON bodies within the process, without a socket.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{Request, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use super::subject::{self, Aborts, ForeignSubject};

pub(super) const SUBJECT: ForeignSubject = ForeignSubject {
    package: "axum",
    does: "builds a service and answers a request with a JSON body, and one that fits no route",
    aborts: Aborts::new(59, 59),
    run: |sweep| subject::infallible(sweep, serve),
};

#[derive(Debug, Deserialize)]
struct Order {
    customer: String,
    cents: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct Receipt {
    shop: String,
    customer: String,
    total: u64,
}

async fn order(Path(shop): Path<String>, Json(order): Json<Order>) -> Json<Receipt> {
    let total = order.cents.iter().sum();
    Json(Receipt { shop, customer: order.customer, total })
}

fn service() -> Router {
    Router::new()
        .route("/health", get(|| async { "well" }))
        .route("/shops/{shop}/orders", post(order))
}

/// Runs a future that is never pending for long: there is no socket and no clock in it.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            return answer;
        }
    }
}

fn answer(service: Router, path: &str, body: &'static str) -> (StatusCode, String) {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body))
        .expect("the request is whole");
    wait(async {
        let Ok(response) = service.oneshot(request).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.expect("a body in memory");
        (status, String::from_utf8_lossy(&body).into_owned())
    })
}

fn serve() -> [(StatusCode, String); 3] {
    let service = service();
    let order = r#"{"customer":"anna","cents":[1999,250,1]}"#;
    [
        answer(service.clone(), "/shops/north/orders", order),
        answer(service.clone(), "/shops/north/orders", r#"{"customer":"bert"}"#),
        answer(service, "/shops", order),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered() {
        let [order, half, nowhere] = serve();
        let receipt = r#"{"shop":"north","customer":"anna","total":2250}"#;
        assert_eq!(order, (StatusCode::OK, receipt.to_owned()));
        assert_eq!(half.0, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(half.1.contains("missing field `cents`"), "{half:?}");
        assert_eq!(nowhere.0, StatusCode::NOT_FOUND);
    }
}
