//! One line for each measured cell, prediction, published speed and figure, verdict and demand.

use std::io::{self, Write};

use super::tables::verdict;
use crate::sizing::SizingPage;
use crate::sizing::memory::Fits;
use crate::sizing::roofline::{Phase, Predicted};

const FIELDS: [&str; 48] = [
    "kind",
    "model",
    "cell",
    "machine",
    "tier",
    "context_tokens",
    "concurrency",
    "quantisation",
    "cases",
    "success",
    "success_low",
    "success_high",
    "success_measured_on",
    "valid_call_p50_ms",
    "valid_call_p95_ms",
    "task_p50_ms",
    "task_p95_ms",
    "objective",
    "time_p50_ms",
    "time_p95_ms",
    "time_p95_low_ms",
    "time_p95_high_ms",
    "load_ms",
    "prefill_tokens_per_second",
    "decode_tokens_per_second",
    "decode_low_tokens_per_second",
    "decode_high_tokens_per_second",
    "peak_memory_bytes",
    "predicted_memory_bytes",
    "predicted_memory_low_bytes",
    "predicted_memory_high_bytes",
    "headroom_bytes",
    "fits",
    "goodput_per_hour",
    "tokens_per_success",
    "validated",
    "in_flight",
    "verdict",
    "success_at_least",
    "success_at_most",
    "p95_at_least_ms",
    "p95_at_most_ms",
    "cases_needed",
    "demand_per_hour",
    "machines",
    "machines_at_low",
    "calibrates",
    "source",
];

/// A line by field names.
#[derive(Default)]
struct Line(Vec<(&'static str, String)>);

impl Line {
    fn set(&mut self, name: &'static str, value: &dyn ToString) {
        self.0.push((name, value.to_string()));
    }

    fn some<T: ToString>(&mut self, name: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.set(name, &value);
        }
    }
}

pub(super) fn write(page: &SizingPage, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(FIELDS)?;
    let lines = measured(page)
        .into_iter()
        .chain(predicted(page))
        .chain(published(page))
        .chain(verdicts(page))
        .chain(demands(page))
        .chain(figures(page));
    for line in lines {
        writer.write_record(FIELDS.map(|field| {
            let found = line.0.iter().find(|(name, _)| *name == field);
            found.map_or("", |(_, value)| value.as_str())
        }))?;
    }
    writer.flush()
}

fn measured(page: &SizingPage) -> Vec<Line> {
    let of_cell = |cell: &crate::sizing::evidence::Cell| {
        let mut line = Line::default();
        line.set("kind", &"measured");
        line.set("model", &cell.model);
        line.set("cell", &cell.label());
        line.set("machine", &cell.machine);
        line.some("tier", cell.tier.as_ref());
        line.set("context_tokens", &cell.context_tokens);
        line.set("concurrency", &cell.concurrency);
        line.some(
            "in_flight",
            Some(cell.work.in_flight).filter(|found| *found > 0.0),
        );
        line.some("quantisation", cell.quantisation.as_ref());
        line.set("cases", &cell.cases);
        line.some("success", cell.success.rate);
        line.some("success_low", cell.success.low);
        line.some("success_high", cell.success.high);
        line.set("success_measured_on", &cell.place());
        line.some("valid_call_p50_ms", cell.valid_call_ms.p50);
        line.some("valid_call_p95_ms", cell.valid_call_ms.p95);
        line.some("task_p50_ms", cell.task_ms.p50);
        line.some("task_p95_ms", cell.task_ms.p95);
        line.some("load_ms", cell.load_ms);
        line.some("prefill_tokens_per_second", cell.prefill_tokens_per_second);
        line.some("decode_tokens_per_second", cell.decode_tokens_per_second);
        line.some("peak_memory_bytes", cell.peak_memory_bytes);
        line.some("predicted_memory_bytes", cell.predicted_memory_bytes);
        line.some("headroom_bytes", cell.headroom_bytes);
        line.some("goodput_per_hour", cell.goodput_per_hour);
        line.some("tokens_per_success", cell.tokens_per_success);
        line.set("source", &cell.run);
        line
    };
    page.cells.iter().map(of_cell).collect()
}

fn predicted(page: &SizingPage) -> Vec<Line> {
    let value = |found: Option<Predicted>| found.map(|it| it.value);
    let of_tier = |found: &crate::sizing::predict::Prediction| {
        let mut line = Line::default();
        line.set("kind", &"predicted");
        line.set("model", &found.model);
        line.set("cell", &found.cell);
        line.set("tier", &found.tier);
        line.set("context_tokens", &found.context_tokens);
        line.set("concurrency", &1);
        line.some("success", found.success.rate);
        line.some("success_low", found.success.low);
        line.some("success_high", found.success.high);
        line.set("success_measured_on", &found.success_measured_on);
        line.set("objective", &page.objective.in_words());
        line.some("time_p50_ms", value(found.p50_ms));
        line.some("time_p95_ms", value(found.p95_ms));
        line.some("time_p95_low_ms", found.p95_ms.map(|it| it.low));
        line.some("time_p95_high_ms", found.p95_ms.map(|it| it.high));
        line.some(
            "prefill_tokens_per_second",
            value(found.prefill_tokens_per_second),
        );
        let decode = found.decode_tokens_per_second;
        line.some("decode_tokens_per_second", value(decode));
        line.some("decode_low_tokens_per_second", decode.map(|it| it.low));
        line.some("decode_high_tokens_per_second", decode.map(|it| it.high));
        let memory = found.memory_bytes;
        line.some("predicted_memory_bytes", value(memory));
        line.some("predicted_memory_low_bytes", memory.map(|it| it.low));
        line.some("predicted_memory_high_bytes", memory.map(|it| it.high));
        line.some(
            "headroom_bytes",
            memory.map(|needs| found.usable_bytes - needs.high),
        );
        line.some("fits", found.fits.map(Fits::as_str));
        line.set("validated", &found.validated);
        line
    };
    page.predictions.iter().map(of_tier).collect()
}

fn published(page: &SizingPage) -> Vec<Line> {
    let of_row = |row: &crate::sizing::published::PublishedRow| {
        let mut line = Line::default();
        line.set("kind", &"published");
        line.set("model", &row.model);
        line.set("tier", &row.tier);
        let (low, high) = (row.low_tokens_per_second, row.high_tokens_per_second);
        match row.phase {
            Phase::Decode => {
                line.set("decode_low_tokens_per_second", &low);
                line.set("decode_high_tokens_per_second", &high);
            }
            Phase::Prefill => {
                let middle = f64::midpoint(low, high);
                line.set("prefill_tokens_per_second", &middle);
            }
        }
        line.set("calibrates", &row.calibrates);
        let doubt = if row.verified { "" } else { " (unverified)" };
        line.set("source", &format!("{}{doubt}", row.source));
        line
    };
    page.published.iter().map(of_row).collect()
}

/// What is shown of each cell that was asked about.
fn verdicts(page: &SizingPage) -> Vec<Line> {
    let of_claim = |claim: &crate::sizing::answer::Claim| {
        let mut line = Line::default();
        line.set("kind", &"verdict");
        line.set("cell", &claim.cell);
        line.set("tier", &claim.tier);
        line.set("context_tokens", &claim.context_tokens);
        line.set("concurrency", &1);
        line.set("cases", &claim.cases);
        line.set("objective", &page.objective.in_words());
        line.set("verdict", &verdict(claim.verdict));
        line.some("success_at_least", claim.success_at_least);
        line.some("success_at_most", claim.success_at_most);
        line.some("p95_at_least_ms", claim.p95_at_least_ms);
        line.some("p95_at_most_ms", claim.p95_at_most_ms);
        line.some("cases_needed", claim.cases_needed);
        line
    };
    let claims = page.answer.iter().flat_map(|answer| &answer.claims);
    claims.map(of_claim).collect()
}

fn demands(page: &SizingPage) -> Vec<Line> {
    let of_demand = |row: &crate::sizing::load::Demand| {
        let mut line = Line::default();
        line.set("kind", &"demand");
        line.set("cell", &row.cell);
        line.set("tier", &row.tier);
        line.set("concurrency", &row.concurrency);
        line.set("demand_per_hour", &row.per_hour);
        line.set("machines", &row.machines);
        line.some("machines_at_low", row.machines_at_low);
        line
    };
    page.demands.iter().map(of_demand).collect()
}

/// Figures of others in words.
fn figures(page: &SizingPage) -> Vec<Line> {
    let of_claim = |row: &crate::sizing::published::ClaimRow| {
        let claim = &row.claim;
        let doubt = if claim.verified { "" } else { " (unverified)" };
        let mut line = Line::default();
        line.set("kind", &"published figure");
        line.set("cell", &format!("{}: {}", claim.what, claim.figure));
        line.set(
            "source",
            &format!("{}, {}{doubt}", claim.document, claim.date),
        );
        line
    };
    page.claims.iter().map(of_claim).collect()
}
