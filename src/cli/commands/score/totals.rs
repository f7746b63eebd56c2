//! What all verdicts add up to, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::App;
use crate::metrics::interval::wilson;
use crate::score::lines::Scorer;
use crate::score::tools::ToolTotals;
use crate::score::verdict::{Count, Totals};

/// Error types named in the totals.
const SHOWN: usize = 6;

/// A share with its interval, as JSON.
fn rate_json(hits: u64, of: u64) -> Value {
    match wilson(hits as f64, of as f64) {
        None => {
            json!({"count": hits, "of": of, "rate": null, "low": null, "high": null, "method": "wilson"})
        }
        Some(interval) => json!({
            "count": hits, "of": of, "rate": hits as f64 / of as f64,
            "low": interval.low, "high": interval.high, "method": "wilson",
        }),
    }
}

/// A share with its interval, for people.
fn rate_text(hits: u64, of: u64) -> String {
    match wilson(hits as f64, of as f64) {
        None => format!("{hits:>8} of {of:<8}      –"),
        Some(interval) => format!(
            "{hits:>8} of {of:<8} {:>5.1} %  [{:.1}, {:.1}]",
            100.0 * hits as f64 / of as f64,
            100.0 * interval.low,
            100.0 * interval.high
        ),
    }
}

fn count_json(count: &Count) -> Value {
    json!({
        "judged": count.judged, "valid": rate_json(count.valid, count.judged), "errors": count.errors,
    })
}

pub(super) fn totals_json(scorer: &Scorer, totals: &Totals) -> Value {
    let categories: BTreeMap<&String, Value> = scorer
        .rules
        .categories()
        .iter()
        .zip(&totals.categories)
        .filter(|(_, count)| count.judged > 0)
        .map(|(name, count)| (name, count_json(count)))
        .collect();
    json!({
        "lines": totals.lines, "invalid_lines": totals.invalid_lines,
        "unknown_cases": totals.unknown_cases, "undecided": totals.undecided,
        "all": count_json(&totals.overall()), "categories": categories,
    })
}

pub(super) fn say_totals(
    app: &App,
    scorer: &Scorer,
    totals: &Totals,
    elapsed_ms: f64,
    loaded_ms: f64,
) {
    let all = totals.overall();
    let names = scorer.rules.categories();
    let width = names.iter().map(String::len).max().unwrap_or(0).max(12);
    app.ui.say(&format!(
        "{:width$}  valid outputs, 95 % interval",
        "category"
    ));
    let mut shown = 0;
    for (name, count) in names.iter().zip(&totals.categories) {
        if count.judged > 0 {
            shown += 1;
            app.ui.say(&format!(
                "{name:width$}  {}",
                rate_text(count.valid, count.judged)
            ));
        }
    }
    if shown != 1 {
        app.ui.say(&format!(
            "{:width$}  {}",
            "all",
            rate_text(all.valid, all.judged)
        ));
    }
    say_errors(app, &all.errors);
    for (count, what) in [
        (
            totals.undecided,
            "outputs could not be decided without a run",
        ),
        (totals.unknown_cases, "outputs are of unknown cases"),
        (totals.invalid_lines, "lines are nobody's output"),
    ] {
        if count > 0 {
            app.ui.say(&format!("{count} {what}"));
        }
    }
    let per_second = totals.lines as f64 / (elapsed_ms / 1000.0).max(1e-9);
    app.ui.say(&format!(
        "judged {} outputs in {elapsed_ms:.1} ms ({per_second:.0} a second); the suite was read in {loaded_ms:.1} ms",
        totals.lines
    ));
}

fn say_errors(app: &App, errors: &BTreeMap<&str, u64>) {
    if errors.is_empty() {
        return;
    }
    let mut ranked: Vec<(&&str, &u64)> = errors.iter().collect();
    ranked.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
    let mut parts: Vec<String> = ranked
        .iter()
        .take(SHOWN)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if ranked.len() > SHOWN {
        parts.push(format!("{} more kinds", ranked.len() - SHOWN));
    }
    app.ui.say(&format!("errors: {}", parts.join(", ")));
}

pub(super) fn tool_totals_json(totals: &ToolTotals) -> Value {
    let by_tool: serde_json::Map<String, Value> = totals
        .by_tool
        .iter()
        .map(|tool| {
            let valid = rate_json(tool.valid, tool.calls);
            (
                tool.name.clone(),
                json!({"calls": tool.calls, "schema_valid": valid}),
            )
        })
        .collect();
    let known = totals.calls - totals.unknown;
    json!({
        "outputs": totals.outputs, "invalid_lines": totals.invalid_lines,
        "valid": rate_json(totals.valid_outputs, totals.outputs),
        "parsed": rate_json(totals.parsed, totals.outputs),
        "calls": totals.calls,
        "unknown_tool": rate_json(totals.unknown, totals.calls),
        "schema_valid": rate_json(totals.schema_valid, known),
        "tools": by_tool,
        "unknown_names": totals.unknown_names,
        "codes": totals.codes,
    })
}

pub(super) fn say_tool_totals(app: &App, totals: &ToolTotals) {
    let known = totals.calls - totals.unknown;
    let names = totals.by_tool.iter().map(|tool| tool.name.len());
    let width = names.max().unwrap_or(0).max(22);
    for (what, hits, of) in [
        ("outputs read", totals.parsed, totals.outputs),
        (
            "outputs without fault",
            totals.valid_outputs,
            totals.outputs,
        ),
        ("calls of unknown tools", totals.unknown, totals.calls),
        ("calls with valid schema", totals.schema_valid, known),
    ] {
        app.ui
            .say(&format!("{what:width$}  {}", rate_text(hits, of)));
    }
    app.ui
        .say("calls with valid schema, by tool (95 % interval):");
    for tool in totals.by_tool.iter().filter(|tool| tool.calls > 0) {
        app.ui.say(&format!(
            "{:width$}  {}",
            tool.name,
            rate_text(tool.valid, tool.calls)
        ));
    }
    let silent = totals.by_tool.iter().filter(|tool| tool.calls == 0).count();
    if silent > 0 {
        app.ui.say(&format!("{silent} tools were never called"));
    }
    for (name, count) in &totals.unknown_names {
        app.ui.say(&format!("unknown tool `{name}`: {count} calls"));
    }
    say_errors(app, &totals.codes);
}
