//! The programs that are swept: `ci/programs.toml`.

use std::collections::BTreeMap;

use crate::root;

const FILE: &str = "ci/programs.toml";

/// One program and its task.
pub(crate) struct Task {
    /// Its name in the table.
    pub(crate) name: String,
    /// The package that brings it.
    pub(crate) package: String,
    /// The program and its arguments, as a shell reads them.
    pub(crate) command: String,
    /// The options of `mallory exec`.
    pub(crate) options: String,
    /// Its own limits, where the usual ones are too wide.
    pub(crate) limit: Option<u64>,
    pub(crate) seconds: Option<u64>,
}

impl Task {
    /// The options and the command.
    pub(crate) fn line(&self) -> String {
        let space = if self.options.is_empty() { "" } else { " " };
        format!("{}{space}-- {}", self.options, self.command)
    }
}

fn read() -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(root().join(FILE));
    let text = text.map_err(|error| format!("error: {FILE}: {error}"))?;
    text.parse().map_err(|error| format!("error: {FILE}: {error}"))
}

/// The programs, in the order of the file.
pub(crate) fn tasks() -> Result<Vec<Task>, String> {
    let table = read()?;
    let entries = table.get("program").and_then(toml::Value::as_array);
    let entries = entries.ok_or_else(|| format!("error: {FILE} has no [[program]]"))?;
    let mut names = BTreeMap::new();
    let mut tasks = Vec::new();
    for entry in entries {
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str).map(str::to_owned);
        let number = |key: &str| entry.get(key)?.as_integer().map(i64::cast_unsigned);
        let command =
            text("command").ok_or_else(|| format!("error: {FILE}: {entry}: no command"))?;
        let program = command.split_whitespace().next().unwrap_or_default();
        let program = program.rsplit('/').next().unwrap_or_default().to_owned();
        let name = text("name").unwrap_or_else(|| program.clone());
        if names.insert(name.clone(), ()).is_some() {
            return Err(format!("error: {FILE} has `{name}` twice"));
        }
        tasks.push(Task {
            package: text("package").unwrap_or(program),
            options: text("options").unwrap_or_default(),
            limit: number("limit"),
            seconds: number("seconds"),
            name,
            command,
        });
    }
    Ok(tasks)
}

/// The files that are made of the committed ones, each by a shell's line, in the order of their names.
pub(crate) fn made_files() -> Result<Vec<(String, String)>, String> {
    let table = read()?;
    let files = table.get("files").and_then(toml::Value::as_table);
    let files = files.into_iter().flatten();
    let lines = files.filter_map(|(name, line)| Some((name.clone(), line.as_str()?.to_owned())));
    Ok(lines.collect())
}
