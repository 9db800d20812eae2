//! The file of aborts that are accepted.

use crate::workshop::Workshop;

#[test]
fn aborts_in_the_file_are_accepted_and_new_ones_are_not() {
    let workshop = Workshop::new();
    let update = |words: &[&str]| {
        let output = workshop.command(words).env("MALLORY_UPDATE", "1").output();
        output.expect("the program starts").status.code()
    };
    let words = ["test", "--allowed", "aborts.txt", "--lib", "--", "tests::aborts"];
    assert_eq!(update(&words), Some(0));
    let file = workshop.folder().join("aborts.txt");
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.contains("abort A-") && text.contains("fixture::join"), "{text}");
    let out = workshop.printed(&words, 0);
    assert!(out.contains("✓ 1 allowed") && out.contains("allowed: aborts for want"), "{out}");
    // Another function is another abort.
    let all = ["test", "--allowed", "aborts.txt"];
    let out = workshop.printed(&all, 1);
    assert!(out.contains("MALLORY_UPDATE=1 adds them to aborts.txt"), "{out}");
    // Findings are never accepted by it.
    assert_eq!(update(&all), Some(1));
    let out = workshop.printed(&all, 1);
    assert!(out.contains("2 findings\n"), "{out}");
    // A line whose abort is gone is too many, and is removed.
    let text = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, text.clone() + "abort A-00000000  gone\n").expect("written");
    let out = workshop.printed(&all, 1);
    assert!(out.contains("note: aborts.txt has 1 line too many"), "{out}");
    assert_eq!(update(&all), Some(1));
    assert_eq!(std::fs::read_to_string(&file).expect("there"), text);
}
