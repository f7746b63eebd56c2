//! Which cell of a run is written down: the one that is named, or the winner.
//!
//! Data in: header, trials and summary. Data out: a cell. Invariants: a winner is what the summary's
//! Pareto set calls one (every other row succeeds less often, or is dominated by it), never merely the
//! highest rate; where there is none the rows to choose among are named.

use crate::metrics::Summary;
use crate::metrics::compare::Side;
use crate::record::format::{CellHeader, Header};
use crate::types::{CellKey, TrialRecord, did_you_mean};

/// Shortest beginning of a cell's id that names it.
const ID_LETTERS: usize = 4;
/// Letters of an id that are shown.
const SHOWN_ID: usize = 12;

/// Why no cell is chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The record has no cell.
    #[error("the run has no cell")]
    Empty,
    /// No cell has all these labels.
    #[error("no cell of the run is `{asked}`{near}")]
    Unknown {
        /// As given.
        asked: String,
        /// Near names, or those that there are.
        near: String,
    },
    /// Several rows have them.
    #[error("`{asked}` names several cells: {}", rows.join("; "))]
    Ambiguous {
        /// As given.
        asked: String,
        /// What would name one of them.
        rows: Vec<String>,
    },
    /// Several rows, and none wins.
    #[error("the run has no winner: {}", reason)]
    Undecided {
        /// Why.
        reason: String,
        /// Rows to choose among, as `--cell` takes them: those of the Pareto set, else all.
        rows: Vec<String>,
    },
}

/// See the module. `asked` holds labels separated by commas: model, dialect, constraint, variant, suite,
/// tier, or the beginning of the cell's id.
pub fn choose<'a>(
    header: &'a Header,
    trials: &[&TrialRecord],
    summary: &Summary,
    asked: Option<&str>,
    case: Option<&str>,
) -> Result<&'a CellHeader, ChooseError> {
    let mut cells: Vec<&CellHeader> = header.cells.iter().collect();
    if cells.is_empty() {
        return Err(ChooseError::Empty);
    }
    if let Some(asked) = asked {
        let labels = asked.split(',').map(str::trim).filter(|it| !it.is_empty());
        let labels: Vec<&str> = labels.collect();
        cells.retain(|cell| labels.iter().all(|label| has_label(cell, label)));
        if cells.is_empty() {
            return Err(unknown(header, asked, &labels));
        }
    }
    let rows = rows(&cells);
    if let [_, _, ..] = &rows[..] {
        let Some(asked) = asked else {
            let winner = winner(header, summary)?;
            cells.retain(|cell| is_of(&cell.key, winner));
            return Ok(best(&cells, trials, case).unwrap_or(&header.cells[0]));
        };
        return Err(ChooseError::Ambiguous {
            asked: asked.to_owned(),
            rows: rows.into_iter().map(|key| labels_of(key, header)).collect(),
        });
    }
    Ok(best(&cells, trials, case).unwrap_or(&header.cells[0]))
}

fn has_label(cell: &CellHeader, label: &str) -> bool {
    let key = &cell.key;
    key.model == label
        || key.dialect.as_str() == label
        || key.constraint.as_str() == label
        || key.variant == label
        || key.suite == label
        || key.tier == label
        || label.len() >= ID_LETTERS && cell.id.starts_with(label)
}

fn unknown(header: &Header, asked: &str, labels: &[&str]) -> ChooseError {
    let mut known: Vec<&str> = header
        .cells
        .iter()
        .flat_map(|cell| {
            let key = &cell.key;
            [
                key.model.as_str(),
                key.dialect.as_str(),
                key.constraint.as_str(),
                key.variant.as_str(),
                key.suite.as_str(),
            ]
        })
        .collect();
    known.sort_unstable();
    known.dedup();
    let odd = labels.iter().find(|label| {
        let mut cells = header.cells.iter();
        !cells.any(|cell| has_label(cell, label))
    });
    let near = match odd {
        Some(odd) => {
            let near = did_you_mean(odd, known.iter().copied());
            near.unwrap_or_else(|| format!("the labels are {}", known.join(", ")))
        }
        None => "each label is one of the run, but no cell has all of them".to_owned(),
    };
    ChooseError::Unknown {
        asked: asked.to_owned(),
        near: format!("; {near}"),
    }
}

/// The keys of distinct rows: cells that differ in more than the suite.
fn rows<'a>(cells: &[&'a CellHeader]) -> Vec<&'a CellKey> {
    let mut rows: Vec<&CellKey> = Vec::new();
    for cell in cells {
        let key = &cell.key;
        if !rows.iter().any(|other| same_row(other, key)) {
            rows.push(key);
        }
    }
    rows
}

fn same_row(one: &CellKey, two: &CellKey) -> bool {
    one.model == two.model
        && one.dialect == two.dialect
        && one.constraint == two.constraint
        && one.variant == two.variant
        && one.tier == two.tier
        && one.settings == two.settings
}

fn is_of(key: &CellKey, side: &Side) -> bool {
    key.model == side.model
        && key.dialect == side.dialect
        && key.constraint == side.constraint
        && key.variant == side.variant
        && key.tier == side.tier
        && key.settings == side.settings
}

/// As `--cell` takes it: labels that name this row of the run and no other; the beginning of a cell's id
/// where labels do not tell.
fn labels_of(key: &CellKey, header: &Header) -> String {
    let cells = || header.cells.iter().map(|cell| &cell.key);
    let mut labels = vec![
        key.model.clone(),
        key.dialect.to_string(),
        key.constraint.to_string(),
    ];
    if cells().any(|other| other.variant != key.variant) {
        labels.push(key.variant.clone());
    }
    if cells().any(|other| other.tier != key.tier) {
        labels.push(key.tier.clone());
    }
    let text = labels.join(",");
    let named: Vec<&CellHeader> = header
        .cells
        .iter()
        .filter(|cell| text.split(',').all(|label| has_label(cell, label)))
        .collect();
    if let [only] = &rows(&named)[..]
        && same_row(only, key)
    {
        return text;
    }
    let own = header.cells.iter().find(|cell| cell.key == *key);
    own.map_or(text, |cell| cell.id.chars().take(SHOWN_ID).collect())
}

/// The winner, or the rows to choose among, best first.
fn winner<'a>(header: &Header, summary: &'a Summary) -> Result<&'a Side, ChooseError> {
    let sets = &summary.pareto[..];
    let undecided = |reason: &str| {
        let members = sets.iter().flat_map(|set| &set.rows);
        let mut members: Vec<(&Side, Option<f64>)> = members
            .filter(|row| row.in_set)
            .map(|row| (&row.side, row.success))
            .collect();
        let rate = |success: Option<f64>| success.unwrap_or(-1.0);
        members.sort_by(|one, two| rate(two.1).total_cmp(&rate(one.1)));
        let of = |side: &Side| header.cells.iter().find(|cell| is_of(&cell.key, side));
        let mut cells: Vec<&CellHeader> = members.iter().filter_map(|it| of(it.0)).collect();
        if cells.is_empty() {
            cells = header.cells.iter().collect();
        }
        // What another machine serves is in the set of every tier.
        let labels = rows(&cells).into_iter().map(|key| labels_of(key, header));
        Err(ChooseError::Undecided {
            reason: reason.to_owned(),
            rows: labels.collect(),
        })
    };
    match sets {
        [] => undecided("fewer than two of its rows are decidable"),
        [set] => match set.winner {
            Some(winner) => Ok(&set.rows[winner].side),
            None => undecided(
                "no row succeeds more often than every other, or dominates it, beyond chance",
            ),
        },
        _ => undecided("it was made on several hardware tiers"),
    }
}

/// Among cells of one row that with the case; else the first that solved a case by a call; else the first.
fn best<'a>(
    cells: &[&'a CellHeader],
    trials: &[&TrialRecord],
    case: Option<&str>,
) -> Option<&'a CellHeader> {
    let has = |wanted: &dyn Fn(&TrialRecord) -> bool| {
        cells.iter().copied().find(|cell| {
            let own = trials.iter().filter(|trial| trial.cell_id == cell.id);
            own.into_iter().any(|trial| wanted(trial))
        })
    };
    if let Some(case) = case
        && let Some(cell) = has(&|trial| trial.case == case)
    {
        return Some(cell);
    }
    has(&|trial| trial.first_attempt_success && !trial.calls.is_empty())
        .or_else(|| has(&|trial| !trial.attempts.is_empty()))
        .or(cells.first().copied())
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
