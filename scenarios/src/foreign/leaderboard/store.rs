//! The players in the database.

use super::{Failure, SHOWN_MAX};
use crate::foreign::sqlite::library::{Connection, Row};

/// A player.
#[derive(Clone, Copy, Debug)]
pub struct Player<'p> {
    /// The name.
    pub name: &'p str,
    /// The faction's code.
    pub faction: &'p str,
    /// The region.
    pub region: &'p str,
    /// The points.
    pub score: i64,
}

const SCHEMA: [&str; 3] = [
    "PRAGMA temp_store = MEMORY",
    "CREATE TABLE player (name TEXT PRIMARY KEY, faction TEXT NOT NULL,
       region TEXT NOT NULL COLLATE NOCASE, score INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX best ON player (region, score DESC, name)",
];

/// The region `global` means all of them.
const BEST: &str = "SELECT name, faction, score FROM player
    WHERE ?1 = 'global' COLLATE NOCASE OR region = ?1 ORDER BY score DESC, name LIMIT ?2";

/// Makes the table, and puts the players into it.
pub(super) fn fill<'p>(
    connection: &Connection,
    players: impl IntoIterator<Item = Player<'p>>,
) -> Result<(), Failure> {
    for sql in SCHEMA {
        connection.run(sql, &[])?;
    }
    connection.run("BEGIN", &[])?;
    for Player { name, faction, region, score } in players {
        let values = [name.into(), faction.into(), region.into(), score.into()];
        connection.run("INSERT INTO player VALUES (?, ?, ?, ?)", &values)?;
    }
    connection.run("COMMIT", &[])?;
    Ok(())
}

/// Calls `see` with the name, faction and score of each of the best players of a region.
pub(super) fn best(
    connection: &Connection,
    region: &str,
    mut see: impl FnMut(&str, &str, i64) -> Result<(), Failure>,
) -> Result<(), Failure> {
    connection.each(BEST, &[region.into(), SHOWN_MAX.into()], |row: &Row<'_>| {
        // The columns are never null.
        let (name, faction) = (row.text(0)?, row.text(1)?);
        see(name.unwrap_or_default(), faction.unwrap_or_default(), row.number(2))
    })
}
