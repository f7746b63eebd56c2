//! `--shard auto`: which part of how many a job array or CI job says that this is.
//!
//! Data in: the environment. Data out: `I/N`, or why that cannot be told. Invariants: the environment
//! is looked at only where `auto` is asked for, so that no variable makes a run smaller unasked; what
//! contradicts itself is refused.

use std::collections::BTreeMap;

use super::error::CliError;
use super::exit_code::Status;
use crate::config::{Resolved, auto_shard};

/// What one engine says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    /// The engine and its variables, as shown.
    by: String,
    /// From 1.
    index: u32,
    /// Absent where the engine does not say.
    count: Option<u32>,
}

/// An engine that says its index in one variable and the number in another.
struct Pair {
    engine: &'static str,
    index: &'static str,
    /// The first index.
    base: u32,
    /// Kubernetes tells its pods no number.
    count: Option<&'static str>,
}

/// As the documents of each say, read on 20 November 2026.
const PAIRS: [Pair; 4] = [
    Pair {
        engine: "Kubernetes indexed Job",
        index: "JOB_COMPLETION_INDEX",
        base: 0,
        count: None,
    },
    Pair {
        engine: "GitLab",
        index: "CI_NODE_INDEX",
        base: 1,
        count: Some("CI_NODE_TOTAL"),
    },
    Pair {
        engine: "CircleCI",
        index: "CIRCLE_NODE_INDEX",
        base: 0,
        count: Some("CIRCLE_NODE_TOTAL"),
    },
    Pair {
        engine: "Buildkite",
        index: "BUILDKITE_PARALLEL_JOB",
        base: 0,
        count: Some("BUILDKITE_PARALLEL_JOB_COUNT"),
    },
];

const SLURM_ID: &str = "SLURM_ARRAY_TASK_ID";

/// The settings with `auto` replaced by what it stands for here.
pub(super) fn in_force(
    resolved: Resolved,
    variables: &BTreeMap<String, String>,
) -> Result<Resolved, CliError> {
    let Some(wanted) = resolved.text("shard").and_then(auto_shard) else {
        return Ok(resolved);
    };
    let said = find(variables, wanted).map_err(|(message, hint)| CliError {
        param: resolved.origin("shard").map(str::to_owned),
        ..CliError::usage(message)
            .kind("shard", Status::Usage)
            .hint(hint)
    })?;
    let value = format!("{}/{}", said.index, said.count.unwrap_or_default());
    let origin = format!(
        "{}, auto: {}",
        resolved.origin("shard").unwrap_or_default(),
        said.by
    );
    Ok(resolved.with("shard", &value, &origin))
}

/// A message and a hint.
type Refusal = (String, String);

/// What the environment says, with the number always there.
fn find(variables: &BTreeMap<String, String>, wanted: Option<u32>) -> Result<Said, Refusal> {
    let mut found = Vec::new();
    for pair in &PAIRS {
        found.extend(pair_said(variables, pair)?);
    }
    found.extend(slurm_said(variables, wanted)?);
    let mut whole: Vec<Said> = Vec::new();
    for said in found {
        whole.push(counted(said, wanted)?);
    }
    let Some(first) = whole.first() else {
        return Err(nothing(variables));
    };
    let places: Vec<String> = whole
        .iter()
        .map(|it| {
            let count = it.count.unwrap_or_default();
            format!("{} says {}/{count}", it.by, it.index)
        })
        .collect();
    if whole
        .iter()
        .any(|other| (other.index, other.count) != (first.index, first.count))
    {
        return Err((
            format!("`--shard auto` is not clear: {}", places.join(", ")),
            "give the part itself: `--shard I/N`".to_owned(),
        ));
    }
    Ok(first.clone())
}

/// With the number that `auto/N` states, or a refusal where there is none or another one.
fn counted(said: Said, wanted: Option<u32>) -> Result<Said, Refusal> {
    let count = match (said.count, wanted) {
        (Some(count), Some(wanted)) if count != wanted => {
            return Err((
                format!(
                    "`--shard auto/{wanted}` contradicts {}, which says that there are {count}",
                    said.by
                ),
                "a task that is started again alone does not know its place: give it as `--shard I/N`".to_owned(),
            ));
        }
        (count, wanted) => count.or(wanted),
    };
    let Some(count) = count else {
        return Err((
            format!(
                "{} says that this is part {}, and not of how many",
                said.by, said.index
            ),
            "state the number, which is the Job's `completions`: `--shard auto/N`".to_owned(),
        ));
    };
    if !(1..=count).contains(&said.index) {
        return Err((
            format!("{} says part {} of {count}", said.by, said.index),
            "give the part itself: `--shard I/N` with I from 1 to N".to_owned(),
        ));
    }
    Ok(Said {
        count: Some(count),
        ..said
    })
}

fn nothing(variables: &BTreeMap<String, String>) -> Refusal {
    let gitlab = variables
        .get("CI_NODE_TOTAL")
        .map_or(String::new(), |total| {
            format!(
                "; CI_NODE_TOTAL is {total}, but this job has no `parallel:`, so no CI_NODE_INDEX"
            )
        });
    (
        format!("`--shard auto` finds nothing that says which part this is{gitlab}"),
        format!(
            "it knows {}, {SLURM_ID} and its companions; elsewhere give `--shard I/N` or TOOLBENCH_SHARD, on GitHub from `strategy.job-index`",
            PAIRS.map(|pair| pair.index).join(", ")
        ),
    )
}

/// A variable as a whole number; `None` where it is not set.
fn number(variables: &BTreeMap<String, String>, name: &str) -> Result<Option<u32>, Refusal> {
    let Some(text) = variables.get(name).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.trim().parse().map(Some).map_err(|_| {
        (
            format!("`--shard auto`: {name} is `{text}`, which is no whole number from 0"),
            "give the part itself: `--shard I/N`".to_owned(),
        )
    })
}

fn pair_said(variables: &BTreeMap<String, String>, pair: &Pair) -> Result<Option<Said>, Refusal> {
    let Some(index) = number(variables, pair.index)? else {
        return Ok(None);
    };
    let by = format!("{} ({} {index})", pair.engine, pair.index);
    if index < pair.base {
        return Err((
            format!("`--shard auto`: {} begins at {}", by, pair.base),
            "give the part itself: `--shard I/N`".to_owned(),
        ));
    }
    let count = match pair.count {
        None => None,
        Some(name) => match number(variables, name)? {
            Some(count) => Some(count),
            None => {
                return Err((
                    format!("`--shard auto`: {by} is set, and {name} is not"),
                    "give the part itself: `--shard I/N`".to_owned(),
                ));
            }
        },
    };
    Ok(Some(Said {
        by,
        index: index - pair.base + 1,
        count,
    }))
}

/// A Slurm array may begin anywhere and take steps; a list such as `1,3,7` has places that its
/// variables do not tell. A lone task is as likely one that was started again as the whole.
fn slurm_said(
    variables: &BTreeMap<String, String>,
    wanted: Option<u32>,
) -> Result<Option<Said>, Refusal> {
    let Some(id) = number(variables, SLURM_ID)? else {
        return Ok(None);
    };
    let mut companions = Vec::new();
    for name in ["MIN", "MAX", "COUNT"] {
        let variable = format!("SLURM_ARRAY_TASK_{name}");
        let Some(value) = number(variables, &variable)? else {
            return Err((
                format!("`--shard auto`: {SLURM_ID} is set, and {variable} is not"),
                "give the part itself: `--shard I/N`".to_owned(),
            ));
        };
        companions.push(value);
    }
    let step = number(variables, "SLURM_ARRAY_TASK_STEP")?.unwrap_or(1);
    let (min, max, count) = (companions[0], companions[1], companions[2]);
    let by = format!("Slurm ({SLURM_ID} {id} of {min} to {max})");
    let regular = step > 0
        && (min..=max).contains(&id)
        && (id - min).is_multiple_of(step)
        && (max - min) / step + 1 == count;
    if !regular {
        return Err((
            format!(
                "`--shard auto`: {by} has {count} tasks in steps of {step}, which is no plain range"
            ),
            "make the array a range, such as `--array=1-8`, or give `--shard I/N`".to_owned(),
        ));
    }
    if count == 1 && wanted.is_none() {
        return Err((
            format!(
                "`--shard auto`: {by} is the only task, and its place among others is not told"
            ),
            "a task that is started again alone does not know its place: give it as `--shard I/N`; `--shard auto/1` runs the whole"
                .to_owned(),
        ));
    }
    Ok(Some(Said {
        by,
        index: (id - min) / step + 1,
        count: Some(count),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, wanted: Option<u32>) -> Result<(u32, u32), String> {
        let variables: BTreeMap<String, String> = text
            .split_whitespace()
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        find(&variables, wanted)
            .map(|said| (said.index, said.count.unwrap()))
            .map_err(|(message, _)| message)
    }

    #[test]
    fn every_engine_counts_in_its_own_way() {
        for (variables, wanted, expected) in [
            ("CI_NODE_INDEX=2 CI_NODE_TOTAL=4", None, (2, 4)),
            ("CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=3", None, (1, 3)),
            (
                "BUILDKITE_PARALLEL_JOB=2 BUILDKITE_PARALLEL_JOB_COUNT=3",
                None,
                (3, 3),
            ),
            ("JOB_COMPLETION_INDEX=7", Some(8), (8, 8)),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=4",
                None,
                (2, 4),
            ),
            (
                "SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=10 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_STEP=3",
                Some(4),
                (3, 4),
            ),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=1",
                Some(1),
                (1, 1),
            ),
            // GitLab tells every job a total; only `parallel:` makes it mean something.
            ("CI_NODE_TOTAL=1 JOB_COMPLETION_INDEX=0", Some(2), (1, 2)),
            // Two that agree are no contradiction.
            (
                "CI_NODE_INDEX=1 CI_NODE_TOTAL=2 JOB_COMPLETION_INDEX=0",
                Some(2),
                (1, 2),
            ),
        ] {
            assert_eq!(found(variables, wanted), Ok(expected), "{variables}");
        }
    }

    #[test]
    fn what_is_missing_or_contradicts_is_named() {
        for (variables, wanted, words) in [
            ("", None, "finds nothing"),
            ("CI_NODE_TOTAL=1", None, "no `parallel:`"),
            ("JOB_COMPLETION_INDEX=3", None, "not of how many"),
            ("JOB_COMPLETION_INDEX=8", Some(8), "part 9 of 8"),
            ("CI_NODE_INDEX=0 CI_NODE_TOTAL=4", None, "begins at 1"),
            ("CI_NODE_INDEX=2", None, "CI_NODE_TOTAL is not"),
            ("CI_NODE_INDEX=two CI_NODE_TOTAL=4", None, "no whole number"),
            ("CI_NODE_INDEX=2 CI_NODE_TOTAL=4", Some(8), "contradicts"),
            (
                "CI_NODE_INDEX=2 CI_NODE_TOTAL=4 CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=4",
                None,
                "not clear",
            ),
            ("SLURM_ARRAY_TASK_ID=2", None, "SLURM_ARRAY_TASK_MIN is not"),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_COUNT=3",
                None,
                "no plain range",
            ),
            (
                "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=3 SLURM_ARRAY_TASK_MAX=3 SLURM_ARRAY_TASK_COUNT=1",
                None,
                "only task",
            ),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=1 SLURM_ARRAY_TASK_COUNT=1",
                None,
                "only task",
            ),
            (
                "SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=1 SLURM_ARRAY_TASK_COUNT=1",
                Some(8),
                "contradicts",
            ),
        ] {
            let message = found(variables, wanted).unwrap_err();
            assert!(message.contains(words), "{variables}: {message}");
        }
    }
}
