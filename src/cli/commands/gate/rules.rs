//! Settings of the gate, typed.
//!
//! Data in: resolved values. Data out: [`Rules`] and what else a gate is asked. Invariants: every
//! mistake names the setting and its origin; percent become shares here and nowhere else; what looks
//! like a share where percent are asked for is refused, not guessed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::{ConfigError, Resolved};
use crate::gate::rules::{Floor, LatencyLimit, Measure, Quantile};
use crate::gate::{Rules, Snapshot};
use crate::types::{Suite, did_you_mean};

/// Everything that the settings of the gate say.
pub(in crate::cli) struct GateSettings {
    /// What is asked of the run.
    pub(super) rules: Rules,
    /// What it is compared with, as named.
    pub(super) baseline: Option<String>,
    /// File of known failures.
    pub(super) known_failures: Option<PathBuf>,
    /// How long the run may take, in milliseconds, and as written.
    pub(super) time_budget: Option<(f64, String)>,
    /// Workflow commands: `Some` where it is said.
    pub(super) annotations: Option<bool>,
}

/// Types the values.
pub(in crate::cli) fn rules(resolved: &Resolved) -> Result<GateSettings, ConfigError> {
    let mut latency = Vec::new();
    for (name, measure, quantile) in [
        ("gate.max-valid-call-p50", Measure::ValidCall, Quantile::P50),
        ("gate.max-valid-call-p95", Measure::ValidCall, Quantile::P95),
        ("gate.max-task-p50", Measure::Task, Quantile::P50),
        ("gate.max-task-p95", Measure::Task, Quantile::P95),
    ] {
        if let Some(seconds) = resolved.number(name) {
            if seconds <= 0.0 {
                return Err(wrong(
                    resolved,
                    name,
                    format!("`{name}` must be more than 0"),
                    None,
                ));
            }
            latency.push(LatencyLimit {
                measure,
                quantile,
                limit_ms: seconds * 1000.0,
            });
        }
    }
    let choice = |name: &str, choices: [&'static str; 3]| -> Result<String, ConfigError> {
        let text = resolved.text(name).unwrap_or_default();
        if choices.contains(&text) {
            return Ok(text.to_owned());
        }
        let listed: Vec<&str> = choices.into_iter().filter(|it| !it.is_empty()).collect();
        let message = format!(
            "`{text}` is not one of {} (setting `{name}`)",
            listed.join(", ")
        );
        let hint = did_you_mean(text, listed);
        Err(wrong(resolved, name, message, hint))
    };
    let on_undecided = choice("gate.on-undecided", ["fail", "warn", ""])?;
    let annotations = choice("gate.annotations", ["auto", "on", "off"])?;
    let min_effect = resolved.number("gate.min-effect").unwrap_or_default();
    if min_effect > 100.0 {
        let message = "`gate.min-effect` is in points, at most 100".to_owned();
        return Err(wrong(resolved, "gate.min-effect", message, None));
    }
    let time_budget = resolved
        .text("gate.time-budget")
        .map(|text| match milliseconds(text) {
            Some(limit) => Ok((limit, text.to_owned())),
            None => Err(wrong(
                resolved,
                "gate.time-budget",
                format!("`{text}` is no time (setting `gate.time-budget`)"),
                Some("write a number and a unit: 90s, 10m or 1h".to_owned()),
            )),
        });
    Ok(GateSettings {
        rules: Rules {
            min_success: percent(
                resolved,
                "gate.min-success",
                resolved.text("gate.min-success"),
            )?,
            min_category: floors(resolved, "gate.min-category")?,
            min_case: floors(resolved, "gate.min-case")?,
            point_estimate: resolved.switch("gate.point-estimate"),
            latency,
            max_cost: resolved.number("gate.max-cost"),
            max_cost_per_success: resolved.number("gate.max-cost-per-success"),
            min_effect: min_effect / 100.0,
            max_slowdown: slowdown(resolved)?,
            warn_undecided: on_undecided == "warn",
            strict: resolved.switch("gate.strict"),
        },
        baseline: resolved.text("gate.baseline").map(str::to_owned),
        known_failures: resolved.text("gate.known-failures").map(PathBuf::from),
        time_budget: time_budget.transpose()?,
        annotations: match annotations.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        },
    })
}

fn wrong(resolved: &Resolved, name: &str, message: String, hint: Option<String>) -> ConfigError {
    ConfigError {
        message,
        origin: resolved.origin(name).map(str::to_owned),
        hint,
    }
}

/// A share from percent; one between 0 and 1 is a share in the wrong place.
fn percent(
    resolved: &Resolved,
    name: &str,
    text: Option<&str>,
) -> Result<Option<f64>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let not_a_number = || {
        let message = format!("`{text}` is not a number of percent (setting `{name}`)");
        wrong(resolved, name, message, None)
    };
    let value: f64 = text.trim().parse().map_err(|_| not_a_number())?;
    if !(0.0..=100.0).contains(&value) {
        let message = format!("`{text}` is not from 0 to 100 (setting `{name}`, in percent)");
        return Err(wrong(resolved, name, message, None));
    }
    check_unit(resolved, name, text, value)?;
    Ok(Some(value / 100.0))
}

fn check_unit(resolved: &Resolved, name: &str, text: &str, value: f64) -> Result<(), ConfigError> {
    if value <= 0.0 || value >= 1.0 {
        return Ok(());
    }
    Err(wrong(
        resolved,
        name,
        format!("`{text}` is less than 1 percent (setting `{name}`, in percent)"),
        Some(format!(
            "percent are asked for: write {} for a share of {text}",
            (value * 10_000.0).round() / 100.0
        )),
    ))
}

fn slowdown(resolved: &Resolved) -> Result<Option<f64>, ConfigError> {
    const NAME: &str = "gate.max-slowdown";
    let Some((value, text)) = resolved.number(NAME).zip(resolved.text(NAME)) else {
        return Ok(None);
    };
    check_unit(resolved, NAME, text, value)?;
    Ok(Some(value / 100.0))
}

/// `80`, or `NAME=80`, by comma or repetition.
fn floors(resolved: &Resolved, setting: &str) -> Result<Vec<Floor>, ConfigError> {
    let mut found: Vec<Floor> = Vec::new();
    for item in resolved.list(setting).iter().flat_map(|it| it.split(',')) {
        let item = item.trim();
        let (name, value) = match item.rsplit_once('=') {
            Some((name, value)) => (Some(name.trim()), value.trim()),
            None => (None, item),
        };
        if value.is_empty() || name.is_some_and(str::is_empty) {
            let message = format!("a threshold is blank in `{item}` (setting `{setting}`)");
            let hint = "write `80`, or `NAME=80` for one of them".to_owned();
            return Err(wrong(resolved, setting, message, Some(hint)));
        }
        let Some(share) = percent(resolved, setting, Some(value))? else {
            continue;
        };
        let name = name.map(str::to_owned);
        if found.iter().any(|known| known.name == name) {
            let what = name.map_or_else(
                || "the floor for all".to_owned(),
                |name| format!("the floor of `{name}`"),
            );
            let message = format!("{what} is given twice (setting `{setting}`)");
            return Err(wrong(resolved, setting, message, None));
        }
        found.push(Floor { name, share });
    }
    Ok(found)
}

/// Milliseconds of a number and one of s, m, h.
fn milliseconds(text: &str) -> Option<f64> {
    let unit = text.chars().next_back()?;
    let factor = match unit {
        's' => 1_000.0,
        'm' => 60_000.0,
        'h' => 3_600_000.0,
        _ => return None,
    };
    let number: f64 = text[..text.len() - unit.len_utf8()].trim().parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number * factor)
}

/// Names shown of those that there are.
const NAMED: usize = 8;

/// Categories and cases that floors may name.
pub(super) struct Names {
    categories: BTreeSet<String>,
    /// `SUITE/CASE`; a case may also be named by its id.
    cases: BTreeSet<String>,
}

impl Names {
    /// Of runs and baselines.
    pub(super) fn of_sides(sides: &[&Snapshot]) -> Self {
        let lines = || sides.iter().flat_map(|side| &side.cases);
        Self {
            categories: lines().map(|line| line.category.clone()).collect(),
            cases: lines().map(|line| line.case.clone()).collect(),
        }
    }

    /// Of suites that will be run.
    pub(super) fn of_suites(suites: &[Suite]) -> Self {
        let mut names = Self {
            categories: BTreeSet::new(),
            cases: BTreeSet::new(),
        };
        for suite in suites {
            for case in &suite.cases {
                names.categories.insert(case.category.clone());
                names.cases.insert(format!("{}/{}", suite.suite, case.id));
            }
        }
        names
    }
}

/// Floors that name what is not there.
pub(super) fn check_names(
    resolved: &Resolved,
    rules: &Rules,
    names: Names,
) -> Result<(), ConfigError> {
    let ids = names.cases.iter().map(|case| {
        let (_, id) = case.split_once('/').unwrap_or(("", case));
        id.to_owned()
    });
    let ids: BTreeSet<String> = ids.collect();
    for (setting, what, floors, known, also) in [
        (
            "gate.min-category",
            "category",
            &rules.min_category,
            names.categories,
            BTreeSet::new(),
        ),
        ("gate.min-case", "case", &rules.min_case, names.cases, ids),
    ] {
        let wanted = floors.iter().filter_map(|floor| floor.name.as_deref());
        for name in wanted {
            if known.contains(name) || also.contains(name) {
                continue;
            }
            let all = known.iter().chain(&also).map(String::as_str);
            let near = did_you_mean(name, all).map_or_else(String::new, |near| format!("{near} "));
            let shown: Vec<&str> = known.iter().take(NAMED).map(String::as_str).collect();
            let more = match known.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let hint = format!("{near}There are: {}{more}", shown.join(", "));
            let message = format!("the run has no {what} `{name}` (setting `{setting}`)");
            return Err(wrong(resolved, setting, message, Some(hint)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Layer, resolve_gate};

    fn with(name: &str, values: &[&str]) -> Result<GateSettings, ConfigError> {
        let mut layer = Layer::default();
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        layer.insert(&format!("gate.{name}"), values, "a test")?;
        rules(&resolve_gate(&[layer]))
    }

    #[test]
    fn percent_points_and_seconds_become_shares_and_milliseconds() {
        let found = with("min-success", &["80"]).unwrap().rules;
        assert!((found.min_success.unwrap() - 0.8).abs() < 1e-12);
        assert!((found.min_effect - 0.05).abs() < 1e-12, "the built-in one");
        let found = with("max-task-p95", &["2.5"]).unwrap().rules;
        assert!((found.latency[0].limit_ms - 2500.0).abs() < 1e-9);
        let found = with("min-category", &["a=90, 70", "b=x=50"]).unwrap().rules;
        let names: Vec<Option<&str>> = found
            .min_category
            .iter()
            .map(|it| it.name.as_deref())
            .collect();
        assert_eq!(names, [Some("a"), None, Some("b=x")]);
        for (text, expected) in [("90s", 90_000.0), ("10m", 600_000.0), ("1h", 3_600_000.0)] {
            let (found, _) = with("time-budget", &[text]).unwrap().time_budget.unwrap();
            assert!((found - expected).abs() < 1e-9, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (name, values, words) in [
            ("min-success", vec!["0.8"], "less than 1 percent"),
            ("min-success", vec!["101"], "from 0 to 100"),
            ("min-success", vec![""], "is blank"),
            ("min-category", vec!["a="], "is blank"),
            ("min-category", vec!["a=90,,b=80"], "is blank"),
            ("min-category", vec!["a=90,a=80"], "given twice"),
            ("min-category", vec!["90", "80"], "given twice"),
            ("min-case", vec!["a=much"], "not a number"),
            ("max-slowdown", vec!["0.2"], "less than 1 percent"),
            ("max-task-p50", vec!["0"], "more than 0"),
            ("min-effect", vec!["101"], "at most 100"),
            ("on-undecided", vec!["wran"], "not one of fail, warn"),
            ("time-budget", vec!["10"], "no time"),
            ("time-budget", vec!["-1m"], "no time"),
            ("time-budget", vec!["1é"], "no time"),
            ("annotations", vec!["yes"], "not one of auto, on, off"),
        ] {
            let error = with(name, &values).err().unwrap();
            assert!(error.message.contains(words), "{name} {values:?}: {error}");
            assert_eq!(error.origin.as_deref(), Some("a test"), "{name}");
        }
        let error = with("min-success", &["0.85"]).err().unwrap();
        assert!(
            error.hint.unwrap().contains("write 85"),
            "the share in percent"
        );
    }
}
