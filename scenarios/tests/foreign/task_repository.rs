//! Two workers' connections to the same tasks: whoever updates an older version learns of the newer one.

use std::ffi::CString;

use mallory::{Heap, Plan};
use mallory_scenarios::foreign::sqlite::library::Library;
use mallory_scenarios::services::state_listener::TaskState;
use mallory_scenarios::services::task_repository_sqlite::TaskRepository;
use mallory_scenarios::services::task_repository_sqlite::repository::Update;

#[test]
fn an_update_of_an_older_version_is_a_conflict_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("tasks.db").into_os_string().into_encoded_bytes();
    let file = CString::new(path).expect("a path has no zero in it");
    let heap = Heap::new();
    let library = Library::begin(&heap).expect("there is memory");
    let open = || TaskRepository::open(&library, &file).expect("there is memory");
    let [one, two] = [open(), open()];
    let shown = |of: &TaskRepository| {
        let mut shown = String::new();
        of.all(|task| shown += &format!("{task:?};")).expect("there is memory");
        shown
    };
    assert_eq!(one.insert("build", "v1"), Ok(true));
    assert_eq!(two.insert("build", "v2"), Ok(false));
    let update = |of: &TaskRepository, version, payload| {
        of.update("build", version, TaskState::Running, payload)
    };
    assert_eq!(update(&two, 1, Some("two")), Ok(Update::Updated(2)));
    let before = shown(&one);
    assert!(before.contains(r#"state: Running, version: 2, payload: "two""#), "{before}");
    assert_eq!(update(&one, 1, Some("one")), Ok(Update::Conflict(2)));
    assert_eq!((shown(&one), shown(&two)), (before.clone(), before.clone()));
    assert_eq!(one.update("test", 1, TaskState::Failed, None), Ok(Update::Unknown));

    // Wherever memory ends, a failed update leaves the task, and no lock in the other's way.
    for n in 1.. {
        heap.arm(Plan::nth(n));
        let done = update(&one, 2, Some("one"));
        heap.disarm();
        let Err(failure) = done else {
            assert_eq!(done, Ok(Update::Updated(3)));
            break;
        };
        assert!(failure.is_oom(), "{failure:?}");
        assert_eq!(shown(&two), before, "request {n}");
        assert_eq!(two.insert("build", "again"), Ok(false));
    }
    let last = shown(&two);
    assert!(last.contains(r#"version: 3, payload: "one""#), "{last}");
}
