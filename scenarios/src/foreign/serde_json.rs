//! serde_json: a document of orders is read, summed up and written back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::subject::{self, Aborts, ForeignSubject};

pub(super) const SUBJECT: ForeignSubject = ForeignSubject {
    package: "serde_json",
    does: "reads a document of orders, sums it up by customer, and writes both back as text",
    aborts: Aborts::new(28, 28),
    run: |sweep| {
        LazyLock::force(&DOCUMENT);
        subject::infallible(sweep, || sum_up(&DOCUMENT))
    },
};

const ORDERS: u64 = 100;
const CUSTOMERS: u64 = 7;

/// Created before the first run: it is the subject's input, not part of its work.
static DOCUMENT: LazyLock<String> = LazyLock::new(document);

fn document() -> String {
    let mut text = String::from("{\"orders\":[");
    for number in 0..ORDERS {
        let comma = if number == 0 { "" } else { "," };
        let customer = number * number % CUSTOMERS;
        let _ = write!(
            text,
            "{comma}{{\"number\":{number},\"customer\":\"customer \\u00e9{customer}\",\
             \"paid\":{},\"note\":null,\"lines\":[",
            number % 3 == 0
        );
        for line in 0..number % 4 + 1 {
            let comma = if line == 0 { "" } else { "," };
            let (pieces, cents) = (line + 1, 99 + number * 7 + line * 13);
            let _ = write!(
                text,
                "{comma}{{\"article\":\"A-{number}-{line}\",\"pieces\":{pieces},\"cents\":{cents}}}"
            );
        }
        text.push_str("]}");
    }
    text.push_str("]}");
    text
}

/// The summary as text, and the length of the document when it is written again.
fn sum_up(text: &str) -> (String, usize) {
    let document: Value = serde_json::from_str(text).expect("the document is JSON");
    let mut cents: BTreeMap<&str, u64> = BTreeMap::new();
    for order in document["orders"].as_array().into_iter().flatten() {
        let customer = order["customer"].as_str().unwrap_or_default();
        let lines = order["lines"].as_array().into_iter().flatten();
        let sum = lines.filter_map(|line| Some(line["pieces"].as_u64()? * line["cents"].as_u64()?));
        *cents.entry(customer).or_default() += sum.sum::<u64>();
    }
    let summary = json!({ "customers": cents.len(), "cents": cents });
    let summary = serde_json::to_string_pretty(&summary).expect("numbers and text are JSON");
    (summary, document.to_string().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_read_whole() {
        let (summary, length) = sum_up(&DOCUMENT);
        let summary: Value = serde_json::from_str(&summary).expect("the summary is JSON");
        let cents = summary["cents"].as_object().expect("a sum for each customer");
        // Squares modulo seven: 0, 1, 2 and 4.
        assert_eq!(summary["customers"], 4);
        let expected: u64 = (0..ORDERS)
            .flat_map(|number| (0..number % 4 + 1).map(move |line| (number, line)))
            .map(|(number, line)| (line + 1) * (99 + number * 7 + line * 13))
            .sum();
        assert_eq!(cents.values().filter_map(Value::as_u64).sum::<u64>(), expected);
        // Only the escaped letter is written differently: two bytes for six.
        assert_eq!(length + 4 * ORDERS as usize, DOCUMENT.len());
    }
}
