//! Tidy tables for spreadsheets and scripts: cells, trials, tools.
//!
//! Data in: an [`Export`]. Data out: CSV with a header line. Invariants: one line per cell (not per
//! total), per trial that counts, per cell and tool; the column `cell` joins them; units in names, rates
//! as fractions, an empty field where there is no number; the text of a reply stands in none, and text
//! of models, suites and tools that a spreadsheet would run stands behind an apostrophe.

use std::io::{self, Write};

use super::Export;
use crate::metrics::Row;
use crate::metrics::rates::Rate;
use crate::record::format::Header;

mod tools;
mod trials;

pub(super) use tools::tools;
pub(super) use trials::{outcome_name, trials};

/// One of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A line for each cell: every rate and time of it.
    Cells,
    /// A line for each trial that counts.
    Trials,
    /// A line for each tool of a cell.
    Tools,
}

/// The table of cells.
pub(super) fn cells(export: &Export, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for (index, row) in export.summary().cells.iter().enumerate() {
        let fields = fields(row, &cell_id(row, export.header()));
        if index == 0 {
            writer.write_record(fields.iter().map(|(name, _)| name.as_str()))?;
        }
        writer.write_record(fields.iter().map(|(_, value)| value.as_str()))?;
    }
    writer.flush()
}

/// Id of the cell that a row is of; empty where the header does not know it.
fn cell_id(row: &Row, header: &Header) -> String {
    let is_of_row = |key: &crate::types::CellKey| {
        key.model == row.model
            && key.dialect == row.dialect
            && key.constraint == row.constraint
            && key.variant == row.variant
            && row.suite.as_ref() == Some(&key.suite)
            && key.tier == row.tier
            && key.settings == row.settings
    };
    let found = header.cells.iter().find(|cell| is_of_row(&cell.key));
    found.map(|cell| cell.id.clone()).unwrap_or_default()
}

/// A text of models, suites and tools, none of which may be a formula of a spreadsheet.
fn guarded(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// Settings of a cell in one field.
fn settings_text(settings: &std::collections::BTreeMap<String, String>) -> String {
    let parts: Vec<String> = settings.iter().map(|(k, v)| format!("{k}={v}")).collect();
    guarded(&parts.join(";"))
}

/// Name and value of every field, in order.
struct Fields(Vec<(String, String)>);

impl Fields {
    fn text(&mut self, name: &str, value: &dyn ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn number<T: ToString>(&mut self, name: &str, value: Option<T>) {
        let value = value.map_or_else(String::new, |value| value.to_string());
        self.0.push((name.to_owned(), value));
    }

    fn limits(&mut self, name: &str, value: Option<f64>, low: Option<f64>, high: Option<f64>) {
        self.number(name, value);
        self.number(&format!("{name}_low"), low);
        self.number(&format!("{name}_high"), high);
    }

    /// Empty fields where other rows have a rate.
    fn no_rate(&mut self, name: &str) {
        for part in ["rate", "low", "high", "method", "n"] {
            self.text(&format!("{name}_{part}"), &"");
        }
    }

    fn rate(&mut self, name: &str, rate: &Rate) {
        self.number(&format!("{name}_rate"), rate.rate);
        self.number(&format!("{name}_low"), rate.low);
        self.number(&format!("{name}_high"), rate.high);
        self.text(&format!("{name}_method"), &rate.method.as_str());
        self.text(&format!("{name}_n"), &rate.n);
    }
}

fn fields(row: &Row, cell: &str) -> Vec<(String, String)> {
    let mut fields = Fields(Vec::new());
    fields.text("cell", &cell);
    labels(row, &mut fields);
    quality(row, &mut fields);
    times(row, &mut fields);
    let cost = row.cost.as_ref();
    fields.number("cost", cost.map(|cost| cost.amount));
    fields.number("cost_per_success", cost.and_then(|cost| cost.per_success));
    fields.number("currency", cost.map(|cost| &cost.currency));
    fields.0
}

fn labels(row: &Row, fields: &mut Fields) {
    fields.text("model", &guarded(&row.model));
    fields.text("dialect", &row.dialect);
    fields.text("constraint", &row.constraint);
    fields.text("variant", &guarded(&row.variant));
    fields.number("suite", row.suite.as_deref().map(guarded));
    fields.text("tier", &row.tier);
    fields.text("settings", &settings_text(&row.settings));
    fields.text("cases", &row.cases);
    fields.text("trials", &row.trials);
    fields.text("scored_trials", &row.scored_trials);
    fields.number("planned_trials", row.planned_trials);
    fields.text("superseded_trials", &row.superseded_trials);
}

fn quality(row: &Row, fields: &mut Fields) {
    fields.rate("success", &row.success);
    fields.rate("first_attempt", &row.first_attempt);
    fields.rate("recovered", &row.recovered);
    fields.rate("as_deployed", &row.as_deployed);
    let nothing = Rate::of_cases(std::iter::empty());
    fields.rate("as_written", row.as_written.as_ref().unwrap_or(&nothing));
    fields.rate("valid_call", &row.calls.valid_call);
    fields.rate("parsed", &row.calls.parsed);
    fields.rate("parsed_leniently", &row.calls.parsed_leniently);
    fields.rate("offered_tool", &row.calls.offered_tool);
    fields.rate("schema_valid", &row.calls.schema_valid);
    fields.rate("tool_selection", &row.against_expected.tool_selection);
    fields.rate("arguments", &row.against_expected.arguments);
    fields.rate("call_set_f1", &row.against_expected.call_set_f1);
    fields.rate("end_state", &row.against_expected.end_state);
    fields.rate("extra_calls", &row.against_expected.extra_calls);
    fields.rate("abstention", &row.abstention);
    let trigger = &row.trigger;
    fields.limits(
        "trigger_precision",
        trigger.precision,
        trigger.precision_low,
        trigger.precision_high,
    );
    fields.limits(
        "trigger_recall",
        trigger.recall,
        trigger.recall_low,
        trigger.recall_high,
    );
    fields.limits("trigger_f1", trigger.f1, trigger.f1_low, trigger.f1_high);
    fields.text("excluded_trials", &row.excluded.trials);
    fields.text("excluded_infra", &row.excluded.infra);
    fields.text("excluded_serving", &row.excluded.serving);
    fields.text("excluded_tool", &row.excluded.tool);
    fields.text("excluded_harness", &row.excluded.harness);
    fields.text("decidable", &row.decidable);
    let grammar = row.grammar.as_ref();
    fields.number("grammar_asked_trials", grammar.map(|g| g.asked_trials));
    fields.number(
        "grammar_effective_trials",
        grammar.map(|g| g.effective_trials),
    );
    if let Some(grammar) = grammar {
        fields.rate("grammar_compiled", &grammar.compiled);
        fields.text("grammar_enforcement", &grammar.enforcement.as_str());
    } else {
        fields.no_rate("grammar_compiled");
        fields.text("grammar_enforcement", &"");
    }
    fields.number("grammar_mean_ms", row.speed.grammar_mean_ms);
    repeats(row, fields);
    fields.number("corrections_mean", row.corrections.mean);
    fields.number("attempts_mean", row.corrections.attempts_mean);
    fields.number("attempts_per_turn", row.corrections.attempts_per_turn);
    fields.rate("recovery", &row.corrections.recovery);
    fields.rate("exhausted", &row.corrections.exhausted);
    fields.number("correction_overhead_ms", row.corrections.overhead_ms);
    fields.number(
        "correction_overhead_tokens",
        row.corrections.overhead_tokens,
    );
}

fn repeats(row: &Row, fields: &mut Fields) {
    let repeats = row.repeats.as_ref();
    fields.number("k", repeats.map(|r| r.k));
    fields.limits(
        "pass_at_k",
        repeats.map(|r| r.pass_at_k),
        repeats.map(|r| r.pass_at_k_low),
        repeats.map(|r| r.pass_at_k_high),
    );
    fields.limits(
        "pass_hat_k",
        repeats.map(|r| r.pass_hat_k),
        repeats.map(|r| r.pass_hat_k_low),
        repeats.map(|r| r.pass_hat_k_high),
    );
    fields.limits(
        "reliability_gap",
        repeats.map(|r| r.reliability_gap),
        repeats.map(|r| r.reliability_gap_low),
        repeats.map(|r| r.reliability_gap_high),
    );
    fields.number("flaky_cases", repeats.map(|r| r.flaky_cases));
    fields.limits(
        "flaky_rate",
        repeats.map(|r| r.flaky_rate),
        repeats.map(|r| r.flaky_low),
        repeats.map(|r| r.flaky_high),
    );
}

fn times(row: &Row, fields: &mut Fields) {
    let times = &row.latency;
    for (name, quantiles) in [
        ("first_token", &times.first_token_ms),
        ("first_output", &times.first_output_ms),
        ("inter_token", &times.inter_token_ms),
        ("valid_call", &times.valid_call_ms),
        ("task", &times.task_ms),
    ] {
        fields.text(&format!("{name}_time_n"), &quantiles.n);
        fields.number(&format!("{name}_p50_ms"), quantiles.p50);
        fields.number(&format!("{name}_p50_low_ms"), quantiles.p50_low);
        fields.number(&format!("{name}_p50_high_ms"), quantiles.p50_high);
        fields.number(&format!("{name}_p90_ms"), quantiles.p90);
        fields.number(&format!("{name}_p95_ms"), quantiles.p95);
        fields.number(&format!("{name}_p95_low_ms"), quantiles.p95_low);
        fields.number(&format!("{name}_p95_high_ms"), quantiles.p95_high);
        fields.number(&format!("{name}_p99_ms"), quantiles.p99);
    }
    if let Some(objective) = &row.objective {
        fields.rate("objective", &objective.attainment);
        fields.number("goodput_per_hour", objective.goodput_per_hour);
    } else {
        fields.no_rate("objective");
        fields.number::<f64>("goodput_per_hour", None);
    }
    fields.number("task_mean_ms", times.task_mean_ms);
    fields.number("model_mean_ms", times.model_mean_ms);
    fields.number("tool_mean_ms", times.tool_mean_ms);
    fields.number("correction_mean_ms", times.correction_mean_ms);
    fields.text("noisy_trials", &times.noisy_trials);
    fields.number(
        "decode_tokens_per_second",
        row.speed.decode_tokens_per_second,
    );
    fields.number(
        "prefill_tokens_per_second",
        row.speed.prefill_tokens_per_second,
    );
    fields.number("per_success_tokens", row.tokens.per_success_tokens);
    fields.number("per_success_low_tokens", row.tokens.per_success_low_tokens);
    fields.number(
        "per_success_high_tokens",
        row.tokens.per_success_high_tokens,
    );
    fields.text("prompt_tokens", &row.tokens.prompt_tokens);
    fields.text("output_tokens", &row.tokens.output_tokens);
    fields.number("peak_memory_bytes", row.peak_memory_bytes);
}
