//! A future with a scheduling point before each poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::future::points::TaskPoint;

/// Awaits a future of an object, with a scheduling point before each poll.
pub(crate) async fn pointed<F: Future>(point: &TaskPoint, future: F) -> F::Output {
    Pointed { point, future: std::pin::pin!(future) }.await
}

struct Pointed<'a, F> {
    point: &'a TaskPoint,
    future: Pin<&'a mut F>,
}

impl<F: Future> Future for Pointed<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.point.reach();
        self.future.as_mut().poll(context)
    }
}
