//! Words around the tables: heading, open questions, failures, exclusions, cost.
//!
//! Data in: [`Summary`]. Data out: unwrapped lines. Invariants: nothing is said that the summary
//! does not hold.

use super::names::Names;
use super::tables::{compared, within};
use super::text::{count, p_value, percent, percent_with_interval, whole};
use crate::metrics::power::POWER;
use crate::metrics::{Row, Summary, Verdict};
use crate::types::price::amount_in_words;
use crate::types::probe::ProbeVerdict;

/// What was run, where, with what.
pub(super) fn heading(summary: &Summary) -> String {
    let header = &summary.header;
    let machine = &header.machine;
    let sample = header.sample.map_or_else(String::new, |sample| {
        format!(" (sample of {} of {} cases)", sample.cases, sample.of)
    });
    let mut parts = vec![
        format!("{} · {}{sample}", header.run, header.selection.join(", ")),
        format!(
            "{} of {}",
            header.trials,
            count(header.planned_trials, "trial")
        ),
    ];
    if !machine.cpu.is_empty() {
        parts.push(format!("{} ({})", machine.cpu, machine.tier));
    }
    parts.push(format!("toolbench {}", header.toolbench_version));
    parts.extend(header.shard.as_ref().map(|shard| format!("shard {shard}")));
    parts.join(" · ")
}

/// What trying the servers out has shown: violations in full, what is unproven with its reason, the
/// rest by name; and what it took.
pub(super) fn probes(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for set in &summary.header.probes {
        let constraint = set.mechanism.map_or_else(String::new, |one| {
            format!(", constrained by {}", one.as_str())
        });
        let route = format!("{} over {}{constraint}", set.model, set.wire.as_str());
        let with = |verdict: ProbeVerdict| -> Vec<String> {
            let of = set.results.iter().filter(|one| one.verdict == verdict);
            let named = of.map(|one| match verdict {
                ProbeVerdict::Unproven => {
                    format!("{} ({})", one.probe.as_str(), short(&one.detail))
                }
                _ => one.probe.as_str().to_owned(),
            });
            named.collect()
        };
        for result in &set.results {
            if result.verdict == ProbeVerdict::Violated {
                let code = result
                    .code
                    .map_or_else(String::new, |code| format!(" (`{code}`)"));
                let name = result.probe.as_str();
                lines.push(format!(
                    "{route}: {name} violated{code}: {}.",
                    result.detail
                ));
            }
        }
        for verdict in [ProbeVerdict::Proven, ProbeVerdict::Unproven] {
            let names = with(verdict);
            if !names.is_empty() {
                lines.push(format!(
                    "{route}: {}: {}.",
                    verdict.as_str(),
                    names.join(", ")
                ));
            }
        }
        if set.taken.requests > 0 {
            lines.push(format!("{route}: took {}.", set.taken.in_words()));
        }
    }
    lines
}

/// A reason, no longer than a line has room for.
fn short(detail: &str) -> String {
    const MOST: usize = 120;
    match detail.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", detail[..at].trim_end()),
        None => detail.to_owned(),
    }
}

/// Comparisons without a verdict, with the reason and what would decide them.
pub(super) fn open_questions(summary: &Summary) -> Vec<String> {
    let names = Names::of(summary);
    summary
        .comparisons
        .iter()
        .filter(|comparison| comparison.verdict == Verdict::NotEnoughData)
        .map(|comparison| {
            let mut line = format!(
                "{} ({}): {}",
                compared(comparison),
                within(comparison, names),
                comparison.reason
            );
            if let Some(decide) = &comparison.decide {
                let time = decide
                    .time_in_words()
                    .map_or_else(String::new, |time| format!(", {time} at the measured pace"));
                line = format!(
                    "{line}; about {} cases like these would decide it ({} more{time})",
                    decide.cases, decide.more_cases
                );
            }
            match &comparison.detectable {
                Some(found) => line.push_str(&format!(
                    "; with these {} a difference under {} points would be found in fewer than \
                     {:.0} % of runs",
                    count(found.cases, "case"),
                    percent(Some(found.difference)),
                    100.0 * found.power
                )),
                None if comparison.cases > 0 => line.push_str(&format!(
                    "; {} cannot show any difference in {:.0} % of runs",
                    count(comparison.cases, "case"),
                    100.0 * POWER
                )),
                None => {}
            }
            line
        })
        .collect()
}

/// What a further run of as many cases would notice, where nothing is compared.
pub(super) fn noticeable(row: &Row, names: Names) -> Option<String> {
    let found = row.detectable.as_ref()?;
    let change = |change: Option<f64>, word: &str| {
        let points = percent(Some(change?));
        Some(format!("a {word} under {points} points"))
    };
    let changes: Vec<String> = [change(found.fall, "fall"), change(found.rise, "rise")]
        .into_iter()
        .flatten()
        .collect();
    (!changes.is_empty()).then(|| {
        format!(
            "{}: with {} {} would be found in fewer than {:.0} % of runs.",
            names.row(row),
            row.success.size_in_words(),
            changes.join(" or "),
            100.0 * found.power
        )
    })
}

/// Models in order, those together that are not told apart.
pub(super) fn rankings(summary: &Summary) -> Vec<String> {
    let names = Names::of(summary);
    summary
        .rankings
        .iter()
        .map(|ranking| {
            let mut places: Vec<String> = Vec::new();
            for found in &ranking.models {
                let place = if found.best_place == found.last_place {
                    format!("{}.", found.best_place)
                } else {
                    format!("{}.–{}.", found.best_place, found.last_place)
                };
                places.push(format!("{place} {}", found.model));
            }
            let together: Vec<String> = ranking
                .groups
                .iter()
                .map(|group| format!("{}: {}", group.models.join(", "), group.relation.in_words()))
                .collect();
            let mut setting = format!("{}, {}", ranking.dialect, ranking.constraint);
            if ranking.variant != "default" {
                setting.push_str(&format!(", {}", ranking.variant));
            }
            if let Some(tier) = names.tier(&ranking.tier) {
                setting.push_str(&format!(" on {tier}"));
            }
            let mut line = format!("order with {setting}: {}", places.join(", "));
            if !together.is_empty() {
                line.push_str(&format!(" ({})", together.join("; ")));
            }
            line
        })
        .collect()
}

/// Success over variants, and flaky cases.
pub(super) fn variation(summary: &Summary) -> Vec<String> {
    let variants = summary.sensitivity.iter().map(|found| {
        format!(
            "{} ({}, {}): over {} success differs by up to {} points [{}, {}], standard deviation \
             {}, p = {} that all are equal (Cochran's Q, {}).",
            found.model,
            found.dialect,
            found.constraint,
            count(found.variants.len(), "variant"),
            percent(Some(found.spread)),
            percent(Some(found.spread_low)),
            percent(Some(found.spread_high)),
            percent(Some(found.standard_deviation)),
            p_value(found.p_value),
            count(found.cases, "case")
        )
    });
    let names = Names::of(summary);
    let flaky = summary.totals.iter().filter_map(|row| {
        const SHOWN: usize = 5;
        let found = row.repeats.as_ref().filter(|found| found.flaky_cases > 0)?;
        let shown: Vec<String> = found
            .flaky
            .iter()
            .take(SHOWN)
            .map(|case| {
                format!(
                    "{}/{} {}/{}",
                    case.suite, case.case, case.successes, case.trials
                )
            })
            .collect();
        let more = if found.flaky.len() > SHOWN {
            ", …"
        } else {
            ""
        };
        Some(format!(
            "{}: {} of {} cases are flaky: {}{more}.",
            names.row(row),
            found.flaky_cases,
            found.cases,
            shown.join(", ")
        ))
    });
    let objectives = summary.totals.iter().filter_map(|row| {
        let found = row.objective.as_ref()?;
        Some(format!(
            "{}: {} % of trials succeed within {} s, {} an hour, one at a time.",
            names.row(row),
            percent_with_interval(&found.attainment),
            found.task_ms / 1000.0,
            whole(found.goodput_per_hour)
        ))
    });
    variants.chain(flaky).chain(objectives).collect()
}

/// The three most frequent failures with what helps.
pub(super) fn top_failures(summary: &Summary) -> Vec<String> {
    summary
        .failures
        .iter()
        .take(3)
        .map(|failure| {
            format!(
                "{} ({}, {} % of failures): {}; {}",
                failure.code,
                count(failure.trials, "trial"),
                percent(Some(failure.share)),
                failure.meaning,
                failure.help
            )
        })
        .collect()
}

/// What was not run, and trials that do not count.
pub(super) fn exclusions(summary: &Summary) -> Vec<String> {
    let not_run = summary.excluded.iter().map(|excluded| {
        let labels: Vec<&str> = [excluded.model.as_str()]
            .into_iter()
            .filter(|model| !model.is_empty())
            .chain(excluded.labels.values().map(String::as_str))
            .collect();
        format!(
            "{}: not run ({}): {}",
            labels.join(", "),
            count(excluded.cases, "case"),
            excluded.reason
        )
    });
    not_run.chain(excluded_trials(summary)).collect()
}

/// Trials that do not count, by row.
pub(super) fn excluded_trials(summary: &Summary) -> Vec<String> {
    let names = Names::of(summary);
    let trials = summary
        .totals
        .iter()
        .filter(|row| row.excluded.trials > 0)
        .map(|row| {
            let found = &row.excluded;
            let classes: Vec<String> = [
                (found.infra, "infra"),
                (found.serving, "serving"),
                (found.tool, "tool"),
                (found.harness, "harness"),
            ]
            .into_iter()
            .filter(|(trials, _)| *trials > 0)
            .map(|(trials, class)| format!("{trials} {class}"))
            .collect();
            let codes: Vec<&str> = found.codes.iter().map(|c| c.code.as_str()).collect();
            let mut line = format!(
                "{}: {} of {} trials ({}: {})",
                names.row(row),
                found.trials,
                row.trials,
                classes.join(", "),
                codes.join(", ")
            );
            for code in &found.codes {
                if let Some(message) = &code.message {
                    line = format!("{line}; {}: {message}", code.code);
                }
            }
            if found.serving > 0 {
                let deployed = percent(row.as_deployed.rate);
                line = format!("{line}; as deployed, counting them as misses, {deployed} %");
            }
            if let Some(written) = &row.as_written {
                let rate = percent_with_interval(written);
                line = format!(
                    "{line}; as the model wrote it, by the calls in its texts, {rate} % of {}",
                    written.size_in_words()
                );
            }
            line
        });
    trials.collect()
}

/// Cells that no conclusion may be drawn from, though their row allows one: the exit status says so too.
pub(super) fn undecidable_cells(summary: &Summary) -> Vec<String> {
    let names = Names::of(summary);
    let mut found: Vec<(&str, String, Vec<&Row>)> = Vec::new();
    for cell in summary.cells.iter().filter(|cell| !cell.decidable) {
        let same_row = |row: &&Row| {
            row.model == cell.model
                && row.dialect == cell.dialect
                && row.constraint == cell.constraint
                && row.variant == cell.variant
                && row.tier == cell.tier
                && row.settings == cell.settings
        };
        // What the whole row lacks is said of the row, where rows are whole.
        let mut rows = summary.totals.iter().filter(same_row);
        if summary.by.is_none() && rows.any(|row| !row.decidable) {
            continue;
        }
        let suite = cell.suite.as_deref().unwrap_or_default();
        let reason = cell.undecidable.join("; ");
        let known = found.iter_mut().find(|it| it.0 == suite && it.1 == reason);
        match known {
            Some((_, _, cells)) => cells.push(cell),
            None => found.push((suite, reason, vec![cell])),
        }
    }
    let line = |(suite, reason, cells): (&str, String, Vec<&Row>)| match &cells[..] {
        [cell] => format!("undecidable: {}: {reason}", names.row(cell)),
        several => format!("undecidable: {suite} of {} rows: {reason}", several.len()),
    };
    found.into_iter().map(line).collect()
}

/// What a limit ended with trials left.
pub(super) fn ended_early(summary: &Summary) -> Vec<String> {
    summary
        .ended_early
        .iter()
        .map(|ended| {
            let named = ["model", "dialect", "constraint", "variant", "suite"];
            let labels: Vec<&str> = named
                .iter()
                .filter_map(|name| ended.labels.get(*name).map(String::as_str))
                .collect();
            let what = if labels.is_empty() {
                "the run".to_owned()
            } else {
                labels.join(", ")
            };
            format!(
                "{what}: {} not run: {}; `--resume` goes on",
                count(ended.trials_left, "trial"),
                ended.reason
            )
        })
        .collect()
}

/// What the run and each success cost, with the prices; nothing where nothing is known.
pub(super) fn costs(summary: &Summary) -> Vec<String> {
    let Some(cost) = &summary.header.cost else {
        return Vec::new();
    };
    let mut whole = format!("the run: {}", amount_in_words(cost.amount, &cost.currency));
    if cost.requests_without_reply > 0 {
        let requests = count(cost.requests_without_reply, "request");
        whole.push_str(&format!("; {requests} without a reply not counted"));
    }
    if !cost.models_left_out.is_empty() {
        whole.push_str(&format!(
            "; without {}, whose price or tokens are not known",
            cost.models_left_out.join(", ")
        ));
    }
    let names = Names::of(summary);
    let rows = summary.totals.iter().filter_map(|row| {
        let cost = row.cost.as_ref()?;
        let amount = amount_in_words(cost.amount, &cost.currency);
        Some(match cost.per_success {
            Some(each) => format!(
                "{}: {amount}, {} for each success",
                names.row(row),
                amount_in_words(each, &cost.currency)
            ),
            None => format!("{}: {amount}, no success", names.row(row)),
        })
    });
    let probes = cost.probes.iter().map(|probes| {
        let amount = amount_in_words(probes.amount, &cost.currency);
        format!(
            "probes: {}, {amount}, part of the run",
            probes.taken.in_words()
        )
    });
    let prices = cost.prices.iter().map(|found| {
        let price = &found.price;
        let cached = price
            .cached_input_per_million
            .map_or_else(String::new, |cached| {
                format!(
                    ", {} from its cache",
                    amount_in_words(cached, &price.currency)
                )
            });
        format!(
            "price of {}: {} in{cached}, {} out for a million tokens ({}, {})",
            found.model,
            amount_in_words(price.input_per_million, &price.currency),
            amount_in_words(price.output_per_million, &price.currency),
            price.document,
            price.date
        )
    });
    let parts = rows.chain(probes).chain(prices);
    std::iter::once(whole).chain(parts).collect()
}
