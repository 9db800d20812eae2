//! What a task has changed so far.

use allocator_api2::vec::Vec;
use mallory::{Heap, Refused};

use super::values::{Compensation, Values};
use crate::memory::bytes::refused;

/// The changes of a task. Dropping this takes them back, newest first: after an error, a panic, or a
/// step that failed. [`keep`](Self::keep) leaves them as they are.
#[derive(Debug)]
pub(super) struct Changes<'t> {
    pub(super) values: &'t mut Values,
    compensations: &'t mut Vec<Compensation, Heap>,
}

impl<'t> Changes<'t> {
    /// No changes yet. Takes the memory that it needs to take back as many as `most`.
    pub(super) fn begin(
        values: &'t mut Values,
        compensations: &'t mut Vec<Compensation, Heap>,
        most: usize,
    ) -> Result<Self, Refused> {
        compensations.try_reserve(most).map_err(refused)?;
        Ok(Changes { values, compensations })
    }

    /// Notes how a change is taken back. There is room for it: a step makes one change at most.
    pub(super) fn note(&mut self, compensation: Compensation) {
        debug_assert!(self.compensations.len() < self.compensations.capacity());
        self.compensations.push(compensation);
    }

    /// Takes all changes back; returns how many there were. Requests nothing.
    pub(super) fn take_back(self) -> usize {
        self.compensations.len()
    }

    /// Keeps all changes.
    pub(super) fn keep(self) {
        self.compensations.clear();
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        while let Some(compensation) = self.compensations.pop() {
            self.values.compensate(compensation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mallory::Plan;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn set(changes: &mut Changes<'_>, key: &str, value: &str) {
        let change = changes.values.set(key, value.as_bytes()).expect("there is memory");
        changes.note(change);
    }

    fn shown(values: &Values) -> std::vec::Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown = values.entries().iter();
        shown.map(|entry| format!("{}={}", text(&entry.key), text(&entry.value))).collect()
    }

    /// All kinds of changes, some of them in a place that an earlier one made.
    fn change(changes: &mut Changes<'_>) {
        set(changes, "a", "2");
        let change = changes.values.remove("b").expect("it is there");
        changes.note(change);
        set(changes, "d", "4");
        let change = changes.values.rename("c", "b").expect("there is memory");
        changes.note(change);
        set(changes, "d", "5");
    }

    #[test]
    fn changes_are_taken_back_newest_first_and_request_nothing() {
        let heap = Heap::new();
        let mut values = Values::new(&heap);
        let mut list = Vec::new_in(heap.clone());
        let mut first = Changes::begin(&mut values, &mut list, 3).expect("there is memory");
        ["a", "b", "c"].iter().for_each(|key| set(&mut first, key, "1"));
        first.keep();
        let before = ["a=1", "b=1", "c=1"];
        assert_eq!(shown(&values), before);

        let mut changes = Changes::begin(&mut values, &mut list, 5).expect("there is memory");
        change(&mut changes);
        assert_eq!(shown(changes.values), ["a=2", "b=1", "d=5"]);
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        heap.arm(Plan::when(move |_| counted.fetch_add(1, Ordering::Relaxed) < usize::MAX));
        assert_eq!(changes.take_back(), 5);
        assert_eq!(requests.load(Ordering::Relaxed), 0, "a compensation makes a request");
        heap.disarm();
        assert_eq!(shown(&values), before);

        let mut changes = Changes::begin(&mut values, &mut list, 5).expect("there is memory");
        change(&mut changes);
        changes.keep();
        assert_eq!(shown(&values), ["a=2", "b=1", "d=5"]);
        drop((values, list));
        assert_eq!(heap.live_bytes(), 0);
    }

    #[test]
    fn a_task_that_could_not_be_taken_back_does_not_begin() {
        let heap = Heap::new();
        let (mut values, mut list) = (Values::new(&heap), Vec::new_in(heap.clone()));
        heap.arm(Plan::from(1));
        assert!(Changes::begin(&mut values, &mut list, 1).is_err());
        assert!(Changes::begin(&mut values, &mut list, 0).is_ok());
    }
}
