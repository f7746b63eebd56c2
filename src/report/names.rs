//! Rows, cells and sides of comparisons by name, as every report says them.
//!
//! Data in: labels, and whether the run has several hardware tiers. Data out: names. Invariants: rows that
//! differ in a label have different names: a variant is named where it has a name of its own, a tier
//! where the run has several.

use crate::metrics::compare::Side;
use crate::metrics::{Row, Summary};
use crate::types::{CellKey, Constraint, DialectName};

/// How rows of one run are named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    with_tier: bool,
}

impl Names {
    /// For the rows of a summary.
    pub(super) fn of(summary: &Summary) -> Self {
        Self::over(summary.cells.iter().map(|row| row.tier.as_str()))
    }

    /// For cells of these tiers.
    pub(super) fn over<'a>(mut tiers: impl Iterator<Item = &'a str>) -> Self {
        let first = tiers.next();
        Self {
            with_tier: tiers.any(|tier| Some(tier) != first),
        }
    }

    /// The tier, where the run has several.
    pub(super) fn tier(self, tier: &str) -> Option<&str> {
        self.with_tier.then_some(tier)
    }

    fn labels<'a>(
        self,
        dialect: DialectName,
        constraint: Constraint,
        variant: &'a str,
        tier: &'a str,
    ) -> Vec<&'a str> {
        let own = Some(variant).filter(|variant| *variant != "default");
        let always = [dialect.as_str(), constraint.as_str()];
        let tier = self.tier(tier);
        always.into_iter().chain(own).chain(tier).collect()
    }

    fn of_row(self, row: &Row) -> Vec<&str> {
        let labels = self.labels(row.dialect, row.constraint, &row.variant, &row.tier);
        let split = [&row.suite, &row.category, &row.difficulty];
        let split = split.into_iter().flatten().map(String::as_str);
        labels.into_iter().chain(split).collect()
    }

    /// `model (json, off)`, with the labels that tell rows apart.
    pub(super) fn row(self, row: &Row) -> String {
        format!("{} ({})", row.model, self.of_row(row).join(", "))
    }

    /// `model · json · grammar`, for a page.
    pub(super) fn dotted(self, row: &Row) -> String {
        format!("{} · {}", row.model, self.of_row(row).join(" · "))
    }

    /// `smollm2 · json · grammar · weather`.
    pub(super) fn cell(self, key: &CellKey) -> String {
        let labels = self.labels(key.dialect, key.constraint, &key.variant, &key.tier);
        format!("{} · {} · {}", key.model, labels.join(" · "), key.suite)
    }

    /// `smollm2 (json, grammar)`.
    pub(super) fn side(self, side: &Side) -> String {
        let labels = self.labels(side.dialect, side.constraint, &side.variant, &side.tier);
        format!("{} ({})", side.model, labels.join(", "))
    }
}
