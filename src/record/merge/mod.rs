//! Shards back to the whole run that they are parts of.
//!
//! Data in: runs as read. Data out: header, lines and executions of the whole, or why there is none.
//! Invariants: pure; what comes out does not depend on the order of the shards; each planned trial of
//! the whole is there once, with all its lines; nothing is invented: what differs between shards and
//! matters is refused, what differs and does not matter is left out.

mod check;
mod header;

use super::format::{EndingLine, Execution, Header};
use super::reader::Run;
use crate::types::shard::WholePlan;
use crate::types::{TrialRecord, shell_word};
use check::{check_gaps, check_overlaps, check_same};
use header::header;

/// Runs are not the shards of one whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A run that is no shard.
    #[error("run `{run}` {why}")]
    NotAShard {
        /// The run.
        run: String,
        /// What it is instead.
        why: &'static str,
        /// What to do with it.
        hint: &'static str,
    },
    /// Two shards of different wholes.
    #[error("runs `{one}` and `{other}` are not shards of one run:\n  {}", differences.join("\n  "))]
    Different {
        /// The first shard.
        one: String,
        /// The one that differs.
        other: String,
        /// In what.
        differences: Vec<String>,
    },
    /// One part twice.
    #[error("{}", parts.join("\n"))]
    Overlap {
        /// What is there more than once, and where.
        parts: Vec<String>,
    },
    /// Something is missing.
    #[error("the run is not whole:\n  {}", parts.join("\n  "))]
    Gap {
        /// Shards, cases and trials that are missing.
        parts: Vec<String>,
        /// Directories of runs that were begun and can be gone on with.
        unfinished: Vec<String>,
        /// Shards of which there is no run.
        missing: Vec<(u32, u32)>,
    },
}

impl MergeError {
    /// What to do.
    pub fn hint(&self) -> String {
        match self {
            Self::NotAShard { hint, .. } => (*hint).to_owned(),
            Self::Different { .. } => {
                "make all shards with one command, one toolbench and one copy of suites and models"
                    .to_owned()
            }
            Self::Overlap { .. } => {
                "name one run for each shard; `toolbench runs list` shows how far each is"
                    .to_owned()
            }
            Self::Gap {
                unfinished,
                missing,
                ..
            } => match (unfinished.first(), missing.first()) {
                (Some(run), _) => {
                    format!(
                        "go on with it: `toolbench run --resume {}`, then merge",
                        shell_word(run)
                    )
                }
                (None, Some((index, count))) => format!(
                    "run what is missing with the same command and `--shard {index}/{count}`, then merge"
                ),
                (None, None) => {
                    "run the shard again where everything it needs is at hand".to_owned()
                }
            },
        }
    }
}

/// A whole run, not yet written.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// Its header; the run's name is still to be given.
    pub header: Header,
    /// All lines of all shards in plan order; superseded ones before those that count.
    pub trials: Vec<TrialRecord>,
    /// Starts and resumes, shard by shard.
    pub executions: Vec<Execution>,
    /// What limits ended in executions that were gone on from.
    pub endings: Vec<EndingLine>,
}

/// One shard with what makes it one.
struct Part<'a> {
    run: &'a Run,
    shard: (u32, u32),
    whole: &'a WholePlan,
}

/// Puts shards together.
pub fn merge(runs: &[Run]) -> Result<Merged, MergeError> {
    let mut parts = runs.iter().map(part).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by(|one, two| {
        let key = |part: &Part<'_>| (part.shard, part.run.header.run.clone());
        key(one).cmp(&key(two))
    });
    let Some(first) = parts.first() else {
        return Err(MergeError::Gap {
            parts: vec!["no shard is named".to_owned()],
            unfinished: Vec::new(),
            missing: Vec::new(),
        });
    };
    for other in &parts[1..] {
        check_same(first, other)?;
    }
    check_overlaps(&parts)?;
    check_gaps(&parts)?;
    let mut trials: Vec<TrialRecord> = parts
        .iter()
        .flat_map(|part| part.run.trials.iter().cloned())
        .collect();
    // Stable: lines of one trial keep their order.
    trials.sort_by_key(|trial| trial.position);
    let mut executions = Vec::new();
    let mut endings = Vec::new();
    for part in &parts {
        let before = executions.len();
        endings.extend(part.run.endings.iter().map(|line| EndingLine {
            execution: line.execution + before,
            end: line.end.clone(),
        }));
        executions.extend(part.run.executions.iter().cloned());
    }
    Ok(Merged {
        header: header(&parts),
        trials,
        executions,
        endings,
    })
}

fn part(run: &Run) -> Result<Part<'_>, MergeError> {
    let header = &run.header;
    let not = |why, hint| {
        Err(MergeError::NotAShard {
            run: header.run.clone(),
            why,
            hint,
        })
    };
    if !header.merged_from.is_empty() {
        return not(
            "is merged already",
            "name the shards that it was made of, or use it as it is: `toolbench report RUN`",
        );
    }
    if header.rescored_from.is_some() {
        return not(
            "was judged again and is no longer a shard as it ran",
            "merge the shards first, then `toolbench rescore` the merged run",
        );
    }
    let Some(shard) = header.shard else {
        return not(
            "is a whole run, not a shard",
            "leave it out; shards are made with `--shard I/N`",
        );
    };
    let Some(whole) = &header.whole else {
        return not(
            "was made by a toolbench that did not yet record what it is a shard of",
            "run the shard again with this toolbench",
        );
    };
    Ok(Part { run, shard, whole })
}

#[cfg(test)]
mod tests;
