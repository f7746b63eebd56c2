//! How much success depends on the variant (prompt, examples, sampler …), on the same cases.
//!
//! Data in: rows without split, with their trials. Data out: spread and standard deviation over the
//! variants of one model, dialect and constraint, a test that they are equal. Invariants: only cases
//! scored in every variant count; with two variants the spread is the paired difference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::Contender;
use super::rates::scored_success;
use super::significance::cochran_q;
use super::verdict::{Estimate, LEVEL, PairedCase};
use crate::types::{Constraint, DialectName};

/// Success over the variants of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sensitivity {
    /// Model as the user named it.
    pub model: String,
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Variants with their success on the common cases.
    pub variants: Vec<VariantSuccess>,
    /// Cases with a scored trial in every variant.
    pub cases: usize,
    /// Highest success minus lowest.
    pub spread: f64,
    /// Lower 95 % limit: the largest lower limit among all pairs of variants, each pair's interval
    /// at 5 % over the number of pairs, at least 0.
    pub spread_low: f64,
    /// Upper 95 % limit: the largest upper limit among all pairs.
    pub spread_high: f64,
    /// Standard deviation over the variants (n - 1).
    pub standard_deviation: f64,
    /// Cochran's Q: whether all variants succeed equally often. Needs some dozens of cases.
    pub p_value: Option<f64>,
}

/// One variant's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VariantSuccess {
    /// Name.
    pub variant: String,
    /// Success on the common cases.
    pub rate: f64,
}

/// See [`Sensitivity`]; one for each model, dialect and constraint with several variants.
pub(super) fn sensitivities(contenders: &[Contender<'_>]) -> Vec<Sensitivity> {
    let mut groups: Vec<Vec<&Contender<'_>>> = Vec::new();
    for contender in contenders {
        let row = contender.row;
        let same = |other: &&Contender<'_>| {
            other.row.model == row.model
                && other.row.dialect == row.dialect
                && other.row.constraint == row.constraint
                && other.row.settings == row.settings
                && other.row.tier == row.tier
        };
        match groups.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(contender),
            None => groups.push(vec![contender]),
        }
    }
    let several = groups.into_iter().filter(|group| group.len() > 1);
    several.filter_map(|group| sensitivity(&group)).collect()
}

fn sensitivity(variants: &[&Contender<'_>]) -> Option<Sensitivity> {
    let cases = common_cases(variants);
    if cases.is_empty() {
        return None;
    }
    let share = |trials: &Vec<bool>| {
        trials.iter().filter(|success| **success).count() as f64 / trials.len() as f64
    };
    let shares: Vec<Vec<f64>> = cases
        .iter()
        .map(|case| case.iter().map(share).collect())
        .collect();
    let rates: Vec<f64> = (0..variants.len())
        .map(|index| shares.iter().map(|case| case[index]).sum::<f64>() / cases.len() as f64)
        .collect();
    let highest = rates.iter().copied().fold(f64::MIN, f64::max);
    let lowest = rates.iter().copied().fold(f64::MAX, f64::min);
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let squares: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
    let (spread_low, spread_high) = limits(&cases, variants.len());
    let row = variants[0].row;
    Some(Sensitivity {
        model: row.model.clone(),
        dialect: row.dialect,
        constraint: row.constraint,
        variants: variants
            .iter()
            .zip(&rates)
            .map(|(variant, rate)| VariantSuccess {
                variant: variant.row.variant.clone(),
                rate: *rate,
            })
            .collect(),
        cases: cases.len(),
        spread: highest - lowest,
        spread_low,
        spread_high,
        standard_deviation: (squares / (rates.len() - 1) as f64).sqrt(),
        p_value: cochran_q(&shares),
    })
}

/// Successes of each variant on every case that all of them have scored.
fn common_cases(variants: &[&Contender<'_>]) -> Vec<Vec<Vec<bool>>> {
    let mut common: Vec<Vec<Vec<bool>>> = Vec::new();
    for trials in &variants[0].group.cases {
        let Some(first) = trials.first() else {
            continue;
        };
        let of_variant = |contender: &&Contender<'_>| -> Vec<bool> {
            let same = contender.group.cases.iter().flatten().filter(|trial| {
                trial.cell.suite == first.cell.suite
                    && trial.case == first.case
                    && trial.case_hash == first.case_hash
            });
            same.filter_map(|trial| scored_success(trial)).collect()
        };
        let all: Vec<Vec<bool>> = variants.iter().map(of_variant).collect();
        if all.iter().all(|trials| !trials.is_empty()) {
            common.push(all);
        }
    }
    common
}

/// The largest limits of all pairs, which hold together: Bonferroni over the pairs. When every
/// pair's interval holds its difference, the spread, which is the largest of them, lies between.
fn limits(cases: &[Vec<Vec<bool>>], variants: usize) -> (f64, f64) {
    let pairs = (variants * (variants - 1) / 2) as f64;
    let (mut low, mut high) = (0.0_f64, 0.0_f64);
    for one in 0..variants {
        for two in one + 1..variants {
            let paired: Vec<PairedCase> = cases
                .iter()
                .map(|case| PairedCase {
                    baseline: case[one].clone(),
                    candidate: case[two].clone(),
                })
                .collect();
            if let Some(found) = Estimate::at(&paired, LEVEL / pairs) {
                let interval = found.interval;
                low = low.max(interval.low).max(-interval.high);
                high = high.max(interval.high).max(-interval.low);
            }
        }
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    fn run(scripts: &[&str]) -> Run {
        let mut run = Run::new();
        for (index, script) in scripts.iter().enumerate() {
            let mut cell = key("m", Constraint::Off);
            cell.variant = format!("v{index}");
            run.cell(&cell, script);
        }
        run
    }

    #[test]
    fn two_variants_are_their_paired_difference() {
        let run = run(&["PPPPPPPPFFFF", "PPFFFFFFFFFF"]);
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let found = &summary.sensitivity[0];
        let difference = &summary.comparisons[0];
        assert!((found.spread - 0.5).abs() < 1e-12);
        assert!((found.spread_low + difference.high.unwrap()).abs() < 1e-12);
        assert!((found.spread_high + difference.low.unwrap()).abs() < 1e-12);
        // By hand: rates 8/12 and 2/12, standard deviation 0.5 / √2.
        assert!((found.standard_deviation - 0.5 / 2_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn three_variants_on_their_common_cases() {
        let run = run(&["PPPPPPPPFFVF", "PPFFFFFFFFFF", "PPPPPPPPFFFF"]);
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let found = &summary.sensitivity[0];
        assert_eq!(found.cases, 11);
        assert!((found.spread - 6.0 / 11.0).abs() < 1e-12);
        assert!(
            found.spread_low > 0.0 && found.spread_high < 1.0,
            "{found:?}"
        );
        assert!(found.p_value.unwrap() < 0.01);
        let single = super::super::testing::sample();
        let summary = summarise(&single.header, &single.trials, &SummaryOptions::default());
        assert!(summary.sensitivity.is_empty());
    }
}
