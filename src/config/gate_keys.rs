//! Settings of the gate: the table `[gate]` of a configuration file, flags of `toolbench gate`,
//! variables `TOOLBENCH_GATE_…`.

use super::keys::{Key, Kind};

const FLOORS: &str = "Floors";
const BUDGETS: &str = "Budgets";
const AGAINST: &str = "Against a baseline";
const VERDICT: &str = "Verdict";

/// What stands before a key's name in the list of all settings.
pub const GATE_PREFIX: &str = "gate.";

const fn new(
    heading: &'static str,
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    value_name: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        value_name,
        heading,
        help,
    }
}

/// Every setting of the gate.
pub const GATE_KEYS: &[Key] = &[
    new(
        FLOORS,
        "gate.min-success",
        Kind::Number,
        None,
        "PERCENT",
        "Least success of every cell, in percent",
    ),
    new(
        FLOORS,
        "gate.min-category",
        Kind::Texts,
        None,
        "[NAME=]PERCENT",
        "Least success of each category, or of one; by comma or repetition",
    ),
    new(
        FLOORS,
        "gate.min-case",
        Kind::Texts,
        None,
        "[CASE=]PERCENT",
        "Least share of each case's trials that succeed, or of one case's; by comma or repetition",
    ),
    new(
        FLOORS,
        "gate.point-estimate",
        Kind::Switch,
        None,
        "",
        "Hold floors against the rate alone, not against the lower limit of its interval",
    ),
    new(
        BUDGETS,
        "gate.max-valid-call-p50",
        Kind::Number,
        None,
        "SECONDS",
        "Most time to a valid call, median",
    ),
    new(
        BUDGETS,
        "gate.max-valid-call-p95",
        Kind::Number,
        None,
        "SECONDS",
        "Most time to a valid call, 95th percentile",
    ),
    new(
        BUDGETS,
        "gate.max-task-p50",
        Kind::Number,
        None,
        "SECONDS",
        "Most time of a task, median",
    ),
    new(
        BUDGETS,
        "gate.max-task-p95",
        Kind::Number,
        None,
        "SECONDS",
        "Most time of a task, 95th percentile",
    ),
    new(
        BUDGETS,
        "gate.max-cost",
        Kind::Number,
        None,
        "AMOUNT",
        "Most that the run may cost",
    ),
    new(
        BUDGETS,
        "gate.max-cost-per-success",
        Kind::Number,
        None,
        "AMOUNT",
        "Most that a success may cost, in every cell",
    ),
    new(
        AGAINST,
        "gate.baseline",
        Kind::Text,
        None,
        "NAME|RUN|FILE",
        "What the run is compared with: a saved baseline, a run, a file; without it the baseline `main` where there is one; `none` for nothing",
    ),
    new(
        AGAINST,
        "gate.min-effect",
        Kind::Number,
        Some("5"),
        "POINTS",
        "Smallest drop of success that counts as a regression, in points",
    ),
    new(
        AGAINST,
        "gate.max-slowdown",
        Kind::Number,
        None,
        "PERCENT",
        "Most that times may grow against the baseline, in percent",
    ),
    new(
        AGAINST,
        "gate.strict",
        Kind::Switch,
        None,
        "",
        "Refuse to compare where cases, tools, prompts, templates or settings differ",
    ),
    new(
        VERDICT,
        "gate.known-failures",
        Kind::Text,
        None,
        "FILE",
        "Failures that are accepted until a date, as TOML: case, reason, until",
    ),
    new(
        VERDICT,
        "gate.on-undecided",
        Kind::Text,
        Some("fail"),
        "fail|warn",
        "What follows from too few data: exit with 3, or pass with a warning; trouble of endpoint, engine or tool never passes",
    ),
    new(
        VERDICT,
        "gate.time-budget",
        Kind::Text,
        None,
        "TIME",
        "Run only as many cases, drawn in proportion, as fit into this time: 90s, 10m, 1h",
    ),
    new(
        VERDICT,
        "gate.annotations",
        Kind::Text,
        Some("auto"),
        "auto|on|off",
        "Workflow commands on standard error: auto (in GitHub Actions), on, off",
    ),
];

/// A setting's name without what stands before it.
pub fn short_name(key: &Key) -> &'static str {
    key.name.strip_prefix(GATE_PREFIX).unwrap_or(key.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::KEYS;

    #[test]
    fn names_are_unique() {
        let all: Vec<&Key> = KEYS.iter().chain(GATE_KEYS).collect();
        for (index, one) in all.iter().enumerate() {
            assert!(
                all[..index].iter().all(|other| other.name != one.name),
                "{}",
                one.name
            );
        }
    }
}
