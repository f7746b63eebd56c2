//! `toolbench suite`: list, show, check, install.

use std::collections::BTreeMap;

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::{ListFormat, SuiteCommand};
use crate::cli::flags::SettingFlags;
use crate::cli::servers;
use crate::config::Resolved;
use crate::types::{Case, Suite};

/// Runs a suite command.
pub(super) fn suite(app: &App, command: SuiteCommand) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    match command {
        SuiteCommand::List { format } => list(app, &resolved, format),
        SuiteCommand::Show { name, format } => show(app, &resolved, &name, format),
        SuiteCommand::Check { names, all, format } => {
            super::suite_check::check(app, &resolved, names, all, format)
        }
        SuiteCommand::Install { name } => install(app, &resolved, &name),
    }
}

fn list(app: &App, resolved: &Resolved, format: ListFormat) -> Result<Status, CliError> {
    let library = app.library(resolved);
    let mut rows = Vec::new();
    for (name, place) in library.names() {
        let suites = library.load(&name)?;
        let cases: usize = suites.iter().map(|suite| suite.cases.len()).sum();
        let server = suites.iter().find_map(|suite| suite.server.as_ref());
        let host = server.map_or_else(
            || "mock".to_owned(),
            |server| server.package_text().to_owned(),
        );
        let what = library.description(&name)?;
        rows.push((name, cases, host, place, what));
    }
    if format == ListFormat::Json {
        let values: Vec<_> = rows
            .iter()
            .map(|(suite, cases, host, place, description)| {
                serde_json::json!({"suite": suite, "cases": cases, "host": host, "place": place, "description": description})
            })
            .collect();
        print_json(&values)?;
        return Ok(Status::Complete);
    }
    let mut out = String::new();
    for (name, cases, host, place, what) in rows {
        out.push_str(&format!("{name:14} {cases:>4} cases  {host}  ({place})\n"));
        out.push_str(&format!(
            "{:14} {}\n",
            "",
            what.split_whitespace().collect::<Vec<_>>().join(" ")
        ));
    }
    print(&out)?;
    Ok(Status::Complete)
}

fn show(
    app: &App,
    resolved: &Resolved,
    name: &str,
    format: ListFormat,
) -> Result<Status, CliError> {
    let suites = app.library(resolved).load(name)?;
    if format == ListFormat::Json {
        print_json(&suites)?;
        return Ok(Status::Complete);
    }
    let mut out = String::new();
    for suite in &suites {
        describe(suite, &mut out);
    }
    print(&out)?;
    Ok(Status::Complete)
}

fn describe(suite: &Suite, out: &mut String) {
    out.push_str(&format!("{}: {} cases\n", suite.suite, suite.cases.len()));
    if let Some(system) = &suite.system {
        out.push_str(&format!("system: {}\n", system.trim()));
    }
    for tool in &suite.tools {
        out.push_str(&format!(
            "tool {:24} {}\n",
            tool.name,
            tool.description.trim()
        ));
    }
    if let Some(server) = &suite.server {
        out.push_str(&format!(
            "server {}: {}\n",
            server.package_text(),
            server.allow.join(", ")
        ));
    }
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &suite.cases {
        *categories.entry(case.category.as_str()).or_default() += 1;
    }
    let counted: Vec<String> = categories
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    out.push_str(&format!("categories: {}\n", counted.join(", ")));
    for case in &suite.cases {
        out.push_str(&format!(
            "  {:36} {:16} {}\n",
            case.id,
            case.category,
            first_words(case)
        ));
    }
    out.push('\n');
}

fn first_words(case: &Case) -> String {
    let user = case
        .all_rounds()
        .into_iter()
        .next()
        .map(|round| round.user)
        .unwrap_or_default();
    let line = user.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > 72 {
        format!("{}…", line.chars().take(71).collect::<String>())
    } else {
        line
    }
}

fn install(app: &App, resolved: &Resolved, name: &str) -> Result<Status, CliError> {
    for suite in app.library(resolved).load(name)? {
        match &suite.server {
            Some(server) => servers::install(app, resolved, &suite, server)?,
            None => print(&format!(
                "suite `{}` is answered by its mock: nothing to install\n",
                suite.suite
            ))?,
        }
    }
    Ok(Status::Complete)
}
