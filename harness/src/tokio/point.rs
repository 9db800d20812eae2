//! A future with a scheduling point before each poll, and a channel's end with one before each
//! operation and its drop.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
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

/// What a task has of an object that several tasks share, such as a channel's end: it is dropped at a
/// scheduling point of the object.
#[derive(Debug)]
pub(crate) struct End<I> {
    point: Arc<TaskPoint>,
    inner: Option<I>,
}

impl<I> End<I> {
    /// The two ends of a new channel.
    pub(crate) fn pair<J>((first, second): (I, J)) -> (End<I>, End<J>) {
        let first = End { point: Arc::default(), inner: Some(first) };
        let second = first.another(second);
        (first, second)
    }

    /// Another end of the same object.
    pub(crate) fn another<J>(&self, inner: J) -> End<J> {
        End { point: Arc::clone(&self.point), inner: Some(inner) }
    }

    /// Reaches a scheduling point, before an operation.
    pub(crate) fn reach(&self) -> &I {
        self.point.reach();
        self.get()
    }

    /// As [`reach`](Self::reach), for an operation that changes the end.
    pub(crate) fn reach_mut(&mut self) -> &mut I {
        self.point.reach();
        self.split().1
    }

    /// Without a scheduling point.
    pub(crate) fn get(&self) -> &I {
        self.inner.as_ref().expect("[mallory bug] an end without its channel")
    }

    /// Where to reach scheduling points, and the end.
    pub(crate) fn split(&mut self) -> (&TaskPoint, &mut I) {
        (&self.point, self.inner.as_mut().expect("[mallory bug] an end without its channel"))
    }

    pub(crate) fn point(&self) -> &TaskPoint {
        &self.point
    }

    /// Reaches a scheduling point, before an operation that needs the end no more.
    pub(crate) fn finish(mut self) -> I {
        self.point.reach();
        self.inner.take().expect("[mallory bug] an end without its channel")
    }
}

impl<I: Clone> Clone for End<I> {
    fn clone(&self) -> Self {
        self.another(self.get().clone())
    }
}

impl<I> Drop for End<I> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.point.reach();
            self.inner = None;
        }
    }
}
