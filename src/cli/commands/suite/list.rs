//! `toolbench suite list`: suites with their cases by difficulty and category.

use serde_json::{Map, Value, json};

use super::super::{App, CliError, Status, print, print_json};
use super::filter::{DIFFICULTIES, categories, categories_in_words, nothing};
use crate::cli::args::{CaseFilter, ListFormat};
use crate::config::Resolved;
use crate::report::wrap;
use crate::suite::{Library, LoadError};
use crate::types::Suite;
use crate::types::suite::Case;

/// Widest line that is printed.
const WIDTH: usize = 100;

/// One suite of the list.
struct Row {
    name: String,
    /// Its parts: itself, or what a pinned set takes from others.
    suites: Vec<Suite>,
    is_pinned: bool,
    description: String,
    place: String,
}

impl Row {
    fn load(library: &Library, name: String, place: String) -> Result<Self, LoadError> {
        let written = library.written(&name)?;
        Ok(Self {
            suites: library.load(&name)?,
            is_pinned: !written.include.is_empty(),
            description: one_line(&written.description),
            name,
            place,
        })
    }

    fn cases(&self) -> impl Iterator<Item = &Case> + Clone {
        self.suites.iter().flat_map(|suite| &suite.cases)
    }

    fn levels(&self) -> [usize; 3] {
        DIFFICULTIES.map(|(level, _)| {
            let of_level = self.cases().filter(|case| case.difficulty == level);
            of_level.count()
        })
    }

    /// Tools of its mocks; unknown for a real server, which lists its own.
    fn tools(&self) -> usize {
        self.suites
            .iter()
            .map(|suite| match &suite.server {
                Some(server) => server.allow.len(),
                None => suite.tools.len(),
            })
            .sum()
    }

    fn host(&self) -> String {
        let server = self.suites.iter().find_map(|suite| suite.server.as_ref());
        server.map_or_else(
            || "mock".to_owned(),
            |server| server.package_text().to_owned(),
        )
    }

    fn to_json(&self) -> Value {
        let [easy, medium, hard] = self.levels();
        let categories: Map<String, Value> = categories(self.cases())
            .into_iter()
            .map(|(name, count)| (name.to_owned(), json!(count)))
            .collect();
        json!({
            "suite": self.name, "cases": self.cases().count(),
            "difficulties": {"easy": easy, "medium": medium, "hard": hard},
            "categories": categories, "tools": self.tools(), "host": self.host(),
            "pinned": self.is_pinned, "place": self.place, "description": self.description,
        })
    }
}

/// Lists suites.
pub(super) fn list(
    app: &App,
    resolved: &Resolved,
    filter: &CaseFilter,
    format: ListFormat,
) -> Result<Status, CliError> {
    let library = app.library(resolved);
    let mut rows = Vec::new();
    for (name, place) in library.names() {
        match Row::load(&library, name, place.clone()) {
            Ok(row) => rows.push(row),
            // A broken file of the user's own must not hide the others.
            Err(error) if place != "built in" => {
                app.ui.say(&format!(
                    "not listed, because of a mistake in it: {error}\n"
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    filter.check(rows.iter().flat_map(Row::cases))?;
    if !filter.is_empty() {
        for row in &mut rows {
            filter.apply(&mut row.suites);
        }
        rows.retain(|row| !row.suites.is_empty());
        if rows.is_empty() {
            return Err(
                nothing("no case is of both that category and that difficulty")
                    .hint("`toolbench suite list` shows all of them"),
            );
        }
    }
    match format {
        ListFormat::Json => print_json(&rows.iter().map(Row::to_json).collect::<Vec<_>>())?,
        ListFormat::Terminal => print(&table(&rows))?,
    }
    Ok(Status::Complete)
}

fn table(rows: &[Row]) -> String {
    let names = rows.iter().map(|row| row.name.chars().count());
    let width = names.max().unwrap_or(0).max("suite".len());
    let margin = width + 34;
    let below = format!("\n{}", " ".repeat(margin));
    let line = |name: &str, numbers: [String; 5], rest: &str| {
        let [cases, easy, medium, hard, tools] = numbers;
        let wrapped = wrap(rest, WIDTH - margin, "").replace('\n', &below);
        format!("{name:width$} {cases:>5} {easy:>5} {medium:>6} {hard:>5} {tools:>5}  {wrapped}")
            .trim_end()
            .to_owned()
            + "\n"
    };
    let headings = ["cases", "easy", "medium", "hard", "tools"].map(str::to_owned);
    let mut out = line("suite", headings, "categories");
    for row in rows {
        let [easy, medium, hard] = row.levels();
        let numbers = [row.cases().count(), easy, medium, hard, row.tools()];
        out.push_str(&line(
            &row.name,
            numbers.map(|number| number.to_string()),
            &categories_in_words(row.cases()),
        ));
    }
    out.push('\n');
    out.push_str(&footnotes(rows));
    out
}

fn footnotes(rows: &[Row]) -> String {
    let own: Vec<&Row> = rows.iter().filter(|row| !row.is_pinned).collect();
    let total: usize = own.iter().map(|row| row.cases().count()).sum();
    let mut notes = vec![format!(
        "{} in {}.",
        counted(total, "case"),
        counted(own.len(), "suite")
    )];
    for row in rows {
        if row.is_pinned {
            notes.push(format!(
                "`{}` is a pinned set of cases of the others, not counted again.",
                row.name
            ));
        }
        let host = row.host();
        if host != "mock" {
            notes.push(format!(
                "`{}` runs against the MCP server {host}.",
                row.name
            ));
        }
        if row.place != "built in" {
            notes.push(format!("`{}` is {}.", row.name, row.place));
        }
    }
    notes.push("`toolbench suite show NAME` shows a suite.".to_owned());
    notes.join("\n") + "\n"
}

/// `1 case`, `2 cases`.
fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
