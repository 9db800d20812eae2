//! SQLite, through its own table of memory functions: creates, fills, searches, changes and checks
//! the database of a shop.

pub(crate) mod killed;
pub mod library;

use mallory::{Heap, Kind, Report, Scenario, Sweep};

use self::library::{Connection, Library, SqliteFailure};
use super::subject::PROGRAM;

/// The scenario.
pub(super) fn scenario() -> Scenario {
    let about = "creates, fills, searches, changes and checks a database";
    Scenario::new("foreign/sqlite", about, sweep).group("foreign").rerun_by(PROGRAM)
}

/// Sweeps it. SQLite's own bugs are allowed; FOREIGN.md describes them.
fn sweep(sweep: Sweep) -> Report {
    let overwritten = "snippet() overwrites its out-of-memory code with the next success";
    let remembered = "fts5 treats totals as read although reading them failed";
    sweep
        .allow(Kind::SilentWrong, "fts5SnippetFunction", 4, overwritten)
        .allow(Kind::WrongError, "fts5StorageLoadTotals", 2, remembered)
        .oom(SqliteFailure::is_oom)
        .run(work)
}

const SCHEMA: [&str; 9] = [
    "PRAGMA temp_store = MEMORY",
    "PRAGMA foreign_keys = ON",
    "CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer,
       article TEXT NOT NULL, pieces INTEGER CHECK (pieces > 0), cents INTEGER,
       total INTEGER GENERATED ALWAYS AS (pieces * cents) STORED)",
    "CREATE INDEX by_customer ON orders (customer, article)",
    "CREATE INDEX dear ON orders (total) WHERE total > 1000",
    "CREATE VIRTUAL TABLE note USING fts5 (text, tokenize = 'porter unicode61', prefix = '2 3')",
    "CREATE TABLE change (id INTEGER PRIMARY KEY, what TEXT)",
    "CREATE TRIGGER changed AFTER UPDATE OF pieces ON orders BEGIN
       INSERT INTO change (what) VALUES (format('%d: %d to %d', old.id, old.pieces, new.pieces));
     END",
];

const CUSTOMERS: [&str; 4] = ["Anna", "Bert", "Cleo", "Dora"];

const NOTES: [&str; 6] = [
    "The delivery was late, and one of the boxes had been opened.",
    "Boxes of this size do not fit the shelf; please deliver smaller ones.",
    "Paid in advance. Deliver on a Monday.",
    "Asked for the naïve façade of the catalogue, page 12.",
    "Nobody opened the door. Delivered to the neighbours.",
    "Wants a discount on late deliveries from now on.",
];

const QUESTIONS: [&str; 8] = [
    "SELECT rowid, snippet(note, 0, '[', ']', '…', 5) FROM note
       WHERE note MATCH 'deliver* NOT neighbour' ORDER BY bm25(note), rowid",
    "SELECT rowid FROM note WHERE note MATCH '\"late\" OR NEAR(open door, 3)' ORDER BY rowid",
    "SELECT customer.name, count(*), sum(total) FROM orders JOIN customer
       ON customer.id = orders.customer GROUP BY customer.name HAVING sum(total) > 100
       ORDER BY sum(total) DESC",
    "SELECT id, sum(total) OVER (PARTITION BY customer ORDER BY id) FROM orders
       WHERE total > 1000 ORDER BY id LIMIT 6 OFFSET 2",
    "WITH RECURSIVE step (n, sum) AS (SELECT 1, 1 UNION ALL SELECT n + 1, sum + n + 1 FROM step
       WHERE n < 20) SELECT max(sum) FROM step",
    "SELECT json_group_object(name, id) FROM (SELECT * FROM customer ORDER BY id)",
    "SELECT group_concat(article, '/') FROM (SELECT DISTINCT article FROM orders
       WHERE customer IN (SELECT id FROM customer WHERE name LIKE '%a') ORDER BY article)",
    "SELECT what FROM change ORDER BY id",
];

/// The rows of each question, as text.
type Answers = Vec<Vec<String>>;

fn rows(connection: &Connection, sql: &str) -> Result<Vec<String>, SqliteFailure> {
    let mut rows = Vec::new();
    connection.each(sql, &[], |row| {
        let mut columns = Vec::new();
        for column in 0..row.columns() {
            columns.push(row.text(column)?.unwrap_or("null").to_owned());
        }
        rows.push(columns.join(" | "));
        Ok::<(), SqliteFailure>(())
    })?;
    Ok(rows)
}

/// All of it. After a failure there is memory again, and the connection must still be usable and
/// the database intact.
fn work(heap: &Heap) -> Result<Answers, SqliteFailure> {
    let library = Library::begin(heap)?;
    let connection = Connection::open(&library, c":memory:")?;
    let mut answers = Vec::new();
    let done = fill(&connection).and_then(|()| ask(&connection, &mut answers));
    let Err(failure) = done else {
        is_whole(&connection, "at the end")?;
        return Ok(answers);
    };
    heap.disarm();
    let when = if connection.in_transaction() {
        connection.run("ROLLBACK", &[])?;
        "after a failure and a rollback"
    } else {
        "after a failure outside of a transaction"
    };
    is_whole(&connection, when)?;
    Err(failure)
}

fn fill(connection: &Connection) -> Result<(), SqliteFailure> {
    for sql in SCHEMA {
        connection.run(sql, &[])?;
    }
    connection.run("BEGIN", &[])?;
    for (id, name) in (1_i64..).zip(CUSTOMERS) {
        let values = [id.into(), name.into()];
        connection.run("INSERT INTO customer VALUES (?, ?)", &values)?;
    }
    for number in 0_i64..24 {
        let customer = number * number % 4 + 1;
        let article = format!("A-{}", number * 7 % 5);
        let values = [
            customer.into(),
            article.as_str().into(),
            (number % 3 + 1).into(),
            (99 + 37 * number).into(),
        ];
        let sql = "INSERT INTO orders (customer, article, pieces, cents) VALUES (?, ?, ?, ?)";
        connection.run(sql, &values)?;
    }
    connection.run("COMMIT", &[])?;
    connection.run("BEGIN IMMEDIATE", &[])?;
    for note in NOTES {
        connection.run("INSERT INTO note (text) VALUES (?)", &[note.into()])?;
    }
    connection.run("COMMIT", &[])?;
    Ok(())
}

fn ask(connection: &Connection, answers: &mut Answers) -> Result<(), SqliteFailure> {
    // A change that is rolled back leaves nothing.
    connection.run("BEGIN", &[])?;
    connection.run("SAVEPOINT half", &[])?;
    connection.run("DELETE FROM orders WHERE customer = 2", &[])?;
    connection.run("ROLLBACK TO half", &[])?;
    connection.run("UPDATE orders SET pieces = pieces + 1 WHERE article = 'A-3'", &[])?;
    connection.run("COMMIT", &[])?;
    connection.run("BEGIN", &[])?;
    connection.run("DELETE FROM note WHERE rowid = 3", &[])?;
    connection.run("UPDATE orders SET cents = 1", &[])?;
    connection.run("ROLLBACK", &[])?;
    connection.run(
        "INSERT INTO customer VALUES (2, 'Berta') ON CONFLICT (id) DO UPDATE SET name = 'Berta'",
        &[],
    )?;
    connection.run("INSERT INTO note (note) VALUES ('optimize')", &[])?;
    for question in QUESTIONS {
        answers.push(rows(connection, question)?);
    }
    connection.run("ALTER TABLE change ADD COLUMN who TEXT DEFAULT 'nobody'", &[])?;
    connection.run("ANALYZE", &[])?;
    answers.push(rows(connection, "SELECT tbl, idx FROM sqlite_stat1 ORDER BY tbl, idx")?);
    Ok(())
}

/// Checks the integrity of the database.
fn is_whole(connection: &Connection, when: &str) -> Result<(), SqliteFailure> {
    let integrity = rows(connection, "PRAGMA integrity_check")?;
    let dangling = rows(connection, "PRAGMA foreign_key_check")?;
    if integrity == ["ok"] && dangling.is_empty() {
        return Ok(());
    }
    Err(SqliteFailure::Code(
        -1,
        format!("{when} the database is damaged: {integrity:?} {dangling:?}"),
    ))
}

#[cfg(test)]
mod tests {
    use mallory::Plan;

    use super::*;

    #[test]
    fn the_shop_answers() {
        let heap = Heap::new();
        let answers = work(&heap).expect("there is memory");
        assert_eq!(answers[4], ["210"]);
        assert_eq!(answers[5], [r#"{"Anna":1,"Berta":2,"Cleo":3,"Dora":4}"#]);
        // Squares modulo four are 0 and 1.
        assert_eq!(answers[2].len(), 2, "{answers:?}");
        assert_eq!(answers[1], ["1", "5", "6"]);
        assert!(answers[7].len() > 2 && answers[0].len() >= 3, "{answers:?}");
        assert_eq!(heap.live_bytes(), 0);
    }

    /// One of FOREIGN.md's findings in isolation: for how many failed requests does inserting a row
    /// damage the index, even after `repair`?
    fn damages(repair: impl Fn(&Connection)) -> usize {
        let insert = "INSERT INTO note VALUES ('one more')";
        let mut damages = 0;
        for n in 1.. {
            let heap = Heap::new();
            let library = Library::begin(&heap).expect("there is memory");
            let connection = Connection::open(&library, c":memory:").expect("there is memory");
            let run = |sql| connection.run(sql, &[]);
            run("CREATE VIRTUAL TABLE note USING fts5 (text)").expect("there is memory");
            run("INSERT INTO note VALUES ('one')").expect("there is memory");
            run("BEGIN").expect("there is memory");
            heap.arm(Plan::nth(n));
            let done = run(insert);
            heap.disarm();
            if done.is_ok() {
                return damages;
            }
            if !connection.in_transaction() && is_whole(&connection, "").is_err() {
                repair(&connection);
                damages += usize::from(is_whole(&connection, "").is_err());
            }
        }
        unreachable!("an insertion ends")
    }

    #[test]
    fn totals_that_could_not_be_read_are_remembered_past_a_rollback() {
        assert_ne!(damages(|_| ()), 0);
        // As long as nothing is written, only the totals in memory are wrong.
        let forget = |connection: &Connection| {
            for sql in ["BEGIN", "INSERT INTO note VALUES ('two')", "ROLLBACK"] {
                connection.run(sql, &[]).expect("there is memory");
            }
        };
        assert_eq!(damages(forget), 0);
        // The next row writes them into the database.
        let write = |connection: &Connection| {
            connection.run("INSERT INTO note VALUES ('two')", &[]).expect("there is memory");
            forget(connection);
        };
        assert_ne!(damages(write), 0);
    }
}
