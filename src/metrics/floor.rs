//! A rate against a floor: the one rule of `toolbench gate` and `toolbench qualify`.
//!
//! Data in: a rate and the lower limit of its interval, as shares. Data out: [`FloorStatus`].

use serde::Serialize;

/// Rates that are rounding away from a floor reach it.
pub const SAME: f64 = 1e-9;

/// How a rate stands to a floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorStatus {
    /// It reaches it.
    Met,
    /// It does not.
    Missed,
    /// The rate does and the lower limit of its interval does not, or there is no rate.
    Undecided,
}

/// A rate under its floor misses it; one above it whose lower limit is not is not enough data, unless
/// the rate alone is asked for.
pub fn floor_status(
    rate: Option<f64>,
    low: Option<f64>,
    floor: f64,
    point_estimate: bool,
) -> FloorStatus {
    match (rate, low) {
        (Some(rate), _) if rate < floor - SAME => FloorStatus::Missed,
        (Some(_), _) if point_estimate => FloorStatus::Met,
        (Some(_), Some(low)) if low >= floor - SAME => FloorStatus::Met,
        _ => FloorStatus::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        for (rate, low, point_estimate, expected) in [
            (Some(0.69), Some(0.6), true, FloorStatus::Missed),
            (Some(0.8), Some(0.69), false, FloorStatus::Undecided),
            (Some(0.8), Some(0.69), true, FloorStatus::Met),
            (Some(0.8), Some(0.7), false, FloorStatus::Met),
            (
                Some(0.7 - 1e-12),
                Some(0.7 - 1e-12),
                false,
                FloorStatus::Met,
            ),
            (None, None, true, FloorStatus::Undecided),
        ] {
            let found = floor_status(rate, low, 0.7, point_estimate);
            assert_eq!(found, expected, "{rate:?} {low:?} {point_estimate}");
        }
    }
}
