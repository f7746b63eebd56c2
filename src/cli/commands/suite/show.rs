//! `toolbench suite show`: a suite's tools and cases, or some of its cases whole.

use serde_json::Value;

use super::super::{App, CliError, Status, print, print_json};
use super::filter::{categories_in_words, level, nothing};
use crate::cli::args::{CaseFilter, ListFormat};
use crate::config::Resolved;
use crate::report::wrap;
use crate::suite::words::{expectation_in_words, near_miss_in_words};
use crate::suite::{Selection, select};
use crate::types::suite::{Case, Round};
use crate::types::{Message, Suite, ToolDefinition, did_you_mean};

/// Widest line of running text.
const WIDTH: usize = 96;

/// Shows a suite.
pub(super) fn show(
    app: &App,
    resolved: &Resolved,
    name: &str,
    cases: &[String],
    filter: &CaseFilter,
    format: ListFormat,
) -> Result<Status, CliError> {
    let mut suites = app.library(resolved).load_draft(name)?;
    filter.check(suites.iter().flat_map(|suite| &suite.cases))?;
    if !cases.is_empty() {
        suites = chosen(suites, name, cases)?;
    }
    if !filter.is_empty() {
        filter.apply(&mut suites);
        if suites.is_empty() {
            return Err(nothing(format!("no case of `{name}` passes the filters"))
                .hint(format!("`toolbench suite show {name}` lists them all")));
        }
    }
    if format == ListFormat::Json {
        print_json(&suites)?;
        return Ok(Status::Complete);
    }
    let mut out = String::new();
    for suite in &suites {
        if cases.is_empty() {
            describe(suite, &mut out);
        } else {
            for case in &suite.cases {
                describe_case(suite, case, &mut out);
            }
        }
    }
    print(&out)?;
    Ok(Status::Complete)
}

/// The suites with only the cases named.
fn chosen(suites: Vec<Suite>, name: &str, cases: &[String]) -> Result<Vec<Suite>, CliError> {
    let ids: Vec<String> = suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(|case| case.id.clone()))
        .collect();
    let selection = Selection {
        cases: cases.to_vec(),
        ..Selection::default()
    };
    let (chosen, unused) = select(suites, &selection);
    match unused.first() {
        None => Ok(chosen),
        Some(id) => Err(nothing(format!("suite `{name}` has no case `{id}`")).hint(
            did_you_mean(id, ids.iter().map(String::as_str))
                .unwrap_or_else(|| format!("`toolbench suite show {name}` lists them")),
        )),
    }
}

fn describe(suite: &Suite, out: &mut String) {
    let plural = if suite.cases.len() == 1 { "" } else { "s" };
    out.push_str(&format!(
        "{}: {} case{plural}\n",
        suite.suite,
        suite.cases.len()
    ));
    paragraph(out, "", &suite.description);
    if let Some(system) = &suite.system {
        paragraph(out, "system: ", system);
    }
    for tool in &suite.tools {
        paragraph(out, &format!("tool {} ", tool.name), &tool_in_words(tool));
    }
    if let Some(server) = &suite.server {
        let package = format!("server {}: ", server.package_text());
        paragraph(out, &package, &server.allow.join(", "));
    }
    let categories = categories_in_words(suite.cases.iter());
    paragraph(out, "categories: ", &categories);
    for case in &suite.cases {
        out.push_str(&format!(
            "  {:36} {:16} {:6} {}\n",
            case.id,
            case.category,
            level(case),
            first_words(case)
        ));
    }
    out.push('\n');
}

/// `Sets an alarm. (hour: integer, label?: string)`, `?` where an argument may be left out.
fn tool_in_words(tool: &ToolDefinition) -> String {
    let required: Vec<&str> = tool.input_schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let properties = tool.input_schema["properties"].as_object();
    let arguments: Vec<String> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let mark = if required.contains(&name.as_str()) {
                ""
            } else {
                "?"
            };
            let kind = match (schema["type"].as_str(), schema["enum"].as_array()) {
                (_, Some(values)) => {
                    let values: Vec<String> = values.iter().map(plain).collect();
                    values.join("|")
                }
                (Some(kind), None) => kind.to_owned(),
                (None, None) => "any".to_owned(),
            };
            format!("{name}{mark}: {kind}")
        })
        .collect();
    format!("({}) {}", arguments.join(", "), tool.description)
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// A line that begins with a label, broken where it is long; deeper lines keep the label's depth.
fn paragraph(out: &mut String, label: &str, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    let depth = " ".repeat(label.len() - label.trim_start().len());
    let wrapped = wrap(&format!("{label}{text}"), WIDTH, &format!("{depth}  "));
    out.push_str(&format!("{depth}{wrapped}\n"));
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

fn describe_case(suite: &Suite, case: &Case, out: &mut String) {
    out.push_str(&format!(
        "{} ({}, {}, suite {})\n",
        case.id,
        case.category,
        level(case),
        suite.suite
    ));
    paragraph(out, "  why: ", &case.why);
    if !case.tags.is_empty() {
        paragraph(out, "  tags: ", &case.tags.join(", "));
    }
    if let Some(system) = &case.system {
        block(out, "system", system);
    }
    if let Some(tools) = &case.tools {
        paragraph(out, "  tools: ", &tools.join(", "));
    }
    for tool in &case.own_tools {
        let label = format!("  own tool {} ", tool.name);
        paragraph(out, &label, &tool_in_words(tool));
    }
    if let Some(state) = &case.state {
        block(out, "state, merged into the mock's", &state.to_string());
    }
    for message in &case.history {
        let text = message_in_words(message);
        block(out, &format!("before, {}", message.role.as_str()), &text);
    }
    let rounds = case.all_rounds();
    for (index, round) in rounds.iter().enumerate() {
        let number = if rounds.len() > 1 {
            format!(" {}", index + 1)
        } else {
            String::new()
        };
        describe_round(round, case, &number, out);
    }
    if !case.near_misses.is_empty() {
        out.push_str("  near misses, each with its code:\n");
        for miss in &case.near_misses {
            out.push_str(&format!("    {}\n", near_miss_in_words(miss)));
        }
    }
    out.push('\n');
}

fn describe_round(round: &Round, case: &Case, number: &str, out: &mut String) {
    if let Some(tools) = &round.tools {
        paragraph(
            out,
            &format!("  tools from round{number}: "),
            &tools.join(", "),
        );
    }
    block(out, &format!("user{number}"), &round.user);
    out.push_str(&format!("  expected{number}:\n"));
    for line in expectation_in_words(&round.expect, case) {
        out.push_str(&format!("    {line}\n"));
    }
}

fn message_in_words(message: &Message) -> String {
    let calls = message.tool_calls.iter();
    let calls = calls.map(|call| format!("calls {} {}", call.name, call.arguments));
    let text = std::iter::once(message.content.clone()).filter(|text| !text.is_empty());
    text.chain(calls).collect::<Vec<_>>().join("\n")
}

/// A text as it is, each of its lines indented.
fn block(out: &mut String, label: &str, text: &str) {
    out.push_str(&format!("  {label}:\n"));
    for line in text.trim_end().lines() {
        out.push_str(format!("    {line}").trim_end());
        out.push('\n');
    }
}
