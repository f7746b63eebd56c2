//! The predictor of speeds: a roofline with an overhead, fitted to measured speeds.
//!
//! Data in: speeds on machines whose peaks are known. Data out: seconds a token on another machine, with
//! an error range. Invariants: pure; a kind of device that nobody has measured is not predicted; the
//! range comes from leaving machines out, and where that cannot be done it is wide and says so.
//!
//! The formula (Williams, Waterman and Patterson 2009, Communications of the ACM 52(4):65-76, with a
//! constant term added):
//!
//! ```text
//! seconds a generated token = a · bytes read / peak bandwidth  + o     bytes read: the weights, and the
//!                                                                      keys and values of the tokens so far
//! seconds a prompt token    = b · 2 · parameters / peak compute + p    two operations a weight and token
//! ```
//!
//! a and b say how far a kernel stays from the peak; o and p are what every token costs besides
//! (launches, sampling, one's own bookkeeping). They are fitted for each kind of device, by least squares
//! of the relative error, none below 0, and a not below 1 where the peak is a document's: nothing reads
//! faster than the memory. On a CPU the peaks are the probe's, a part of small weights may lie in the
//! cache, and 8-bit kernels may pass the probe's floats, so that a and b may be below 1.
//!
//! The range of a prediction is a factor up and down: the worst error of any machine when it was left
//! out of the fit. With m machines it holds a further one like them with a chance of about m/(m+1)
//! (4: 80 %). Under [`LEAST_MACHINES`] machines it is [`UNVALIDATED_FACTOR`] at least, and
//! "not validated"; the same holds for weights that are more than [`MOST_BEYOND`] times smaller or larger than
//! any it was fitted to, since leaving machines out says nothing of other models. A published peak of a processor's memory is taken at [`PROBE_SHARE_OF_PEAK`]
//! where measured machines know only their probe.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::tier::Device;

/// Machines from which leaving one out says something.
pub const LEAST_MACHINES: usize = 4;
/// The range where it does not.
pub const UNVALIDATED_FACTOR: f64 = 3.0;
/// What a plain read over all cores reaches of a processor's peak bandwidth; assumed.
pub const PROBE_SHARE_OF_PEAK: f64 = 0.8;
/// How far beyond the sizes it was fitted to a fit is still taken as validated.
pub const MOST_BEYOND: f64 = 2.0;
/// Two loads that differ by less than this factor do not tell slope from overhead.
const LEAST_CONTRAST: f64 = 1.2;

/// Which of the two speeds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Generating, token after token.
    Decode,
    /// Reading the prompt.
    Prefill,
}

/// A speed that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Which machine: those of one name are left out together.
    pub machine: String,
    /// What computed.
    pub device: Device,
    /// Which speed.
    pub phase: Phase,
    /// Seconds a token at the machine's peak.
    pub at_peak_seconds: f64,
    /// Seconds a token as measured.
    pub measured_seconds: f64,
    /// How large the model is: bytes read a token, or parameters.
    pub size: f64,
}

/// A fitted kind of device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fit {
    /// The device.
    pub device: Device,
    /// The speed.
    pub phase: Phase,
    /// Times of the peak's time: the reciprocal is the share of the peak that is reached.
    pub slope: f64,
    /// Added to each token, in milliseconds.
    pub overhead_ms: f64,
    /// Machines it was fitted to.
    pub machines: Vec<String>,
    /// Speeds it was fitted to.
    pub points: usize,
    /// Smallest model among them: bytes read a token, or parameters.
    pub least_size: f64,
    /// Largest.
    pub most_size: f64,
    /// The range of a prediction: this factor up and down.
    pub error_factor: f64,
    /// The factor comes from leaving machines out; otherwise it is assumed.
    pub validated: bool,
    /// The loads were too much alike to tell the overhead, which is then taken as 0.
    pub overhead_assumed: bool,
}

/// A prediction with its range.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Predicted {
    /// The prediction.
    pub value: f64,
    /// Lower end of the range.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Fit {
    /// Seconds a token where the peak would take so many.
    pub fn seconds(&self, at_peak_seconds: f64) -> f64 {
        self.slope * at_peak_seconds + self.overhead_ms / 1000.0
    }

    /// Tokens a second of a model of that size.
    pub fn tokens_per_second(&self, at_peak_seconds: f64, size: f64) -> Predicted {
        let value = 1.0 / self.seconds(at_peak_seconds);
        let factor = self.factor_for(size);
        Predicted {
            value,
            low: value / factor,
            high: value * factor,
        }
    }

    /// Machines were left out, and models like this one were among them.
    pub fn is_validated_for(&self, size: f64) -> bool {
        let known = self.least_size / MOST_BEYOND..=self.most_size * MOST_BEYOND;
        self.validated && known.contains(&size)
    }

    /// The range for a model of that size.
    pub fn factor_for(&self, size: f64) -> f64 {
        if self.is_validated_for(size) {
            self.error_factor
        } else {
            self.error_factor.max(UNVALIDATED_FACTOR)
        }
    }
}

/// Seconds that reading so many bytes takes at the peak.
pub fn read_seconds(bytes: f64, bytes_per_second: f64) -> f64 {
    bytes / bytes_per_second
}

/// Seconds that a token of a prompt takes at the peak.
pub fn compute_seconds(parameters: f64, operations_per_second: f64) -> f64 {
    2.0 * parameters / operations_per_second
}

/// Every kind of device and speed that has points.
pub fn fits(points: &[Point]) -> Vec<Fit> {
    let mut kinds: BTreeMap<(Device, Phase), Vec<&Point>> = BTreeMap::new();
    for point in points {
        let usable = point.at_peak_seconds > 0.0 && point.measured_seconds > 0.0;
        if usable && point.at_peak_seconds.is_finite() && point.measured_seconds.is_finite() {
            let kind = (point.device, point.phase);
            kinds.entry(kind).or_default().push(point);
        }
    }
    kinds
        .into_iter()
        .filter_map(|((device, phase), points)| fit(device, phase, &points))
        .collect()
}

fn fit(device: Device, phase: Phase, points: &[&Point]) -> Option<Fit> {
    let line = line(least_slope(device, phase), points)?;
    let mut machines: Vec<String> = points.iter().map(|point| point.machine.clone()).collect();
    machines.sort();
    machines.dedup();
    let left_out: Vec<f64> = machines
        .iter()
        .filter_map(|machine| worst_when_left_out(device, phase, points, machine))
        .collect();
    let validated = machines.len() >= LEAST_MACHINES && left_out.len() == machines.len();
    let worst = left_out.into_iter().fold(1.0, f64::max);
    let in_sample = points.iter().map(|point| line.error_factor(point));
    Some(Fit {
        device,
        phase,
        slope: line.slope,
        overhead_ms: line.overhead * 1000.0,
        points: points.len(),
        least_size: points
            .iter()
            .map(|it| it.size)
            .fold(f64::INFINITY, f64::min),
        most_size: points.iter().map(|it| it.size).fold(0.0, f64::max),
        error_factor: if validated {
            worst
        } else {
            in_sample.fold(worst.max(UNVALIDATED_FACTOR), f64::max)
        },
        validated,
        overhead_assumed: line.overhead_assumed,
        machines,
    })
}

/// Nothing reads faster than the memory of a document; a probe may be passed.
fn least_slope(device: Device, phase: Phase) -> f64 {
    if device != Device::Cpu && phase == Phase::Decode {
        1.0
    } else {
        0.0
    }
}

fn worst_when_left_out(
    device: Device,
    phase: Phase,
    points: &[&Point],
    machine: &str,
) -> Option<f64> {
    let is_it = |point: &&&Point| point.machine == machine;
    let others: Vec<&Point> = points.iter().filter(|it| !is_it(it)).copied().collect();
    let line = line(least_slope(device, phase), &others)?;
    let own = points.iter().filter(is_it);
    own.map(|point| line.error_factor(point)).reduce(f64::max)
}

struct Line {
    slope: f64,
    overhead: f64,
    overhead_assumed: bool,
}

impl Line {
    /// By which factor the prediction is off, up or down.
    fn error_factor(&self, point: &Point) -> f64 {
        let predicted = self.slope * point.at_peak_seconds + self.overhead;
        (predicted / point.measured_seconds).ln().abs().exp()
    }
}

/// Least squares of relative errors, by closed form: minimises Σ(slope·u + overhead·v − 1)² with
/// u = peak/measured and v = 1/measured, inside slope ≥ `least_slope` and overhead ≥ 0.
fn line(least_slope: f64, points: &[&Point]) -> Option<Line> {
    let loads = points.iter().map(|point| point.at_peak_seconds);
    let (low, high) = loads.fold((f64::INFINITY, 0.0_f64), |(low, high), x| {
        (low.min(x), high.max(x))
    });
    let (mut uu, mut uv, mut vv, mut u1, mut v1) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in points {
        let (u, v) = (
            point.at_peak_seconds / point.measured_seconds,
            1.0 / point.measured_seconds,
        );
        uu += u * u;
        uv += u * v;
        vv += v * v;
        u1 += u;
        v1 += v;
    }
    if points.is_empty() || uu <= 0.0 {
        return None;
    }
    let through_origin = Line {
        slope: (u1 / uu).max(least_slope),
        overhead: 0.0,
        overhead_assumed: true,
    };
    let determinant = uu * vv - uv * uv;
    if high < LEAST_CONTRAST * low || determinant <= 0.0 {
        return Some(through_origin);
    }
    let slope = (u1 * vv - v1 * uv) / determinant;
    let overhead = (v1 * uu - u1 * uv) / determinant;
    Some(if slope < least_slope {
        Line {
            slope: least_slope,
            overhead: ((v1 - least_slope * uv) / vv).max(0.0),
            overhead_assumed: false,
        }
    } else if overhead < 0.0 {
        Line {
            overhead_assumed: false,
            ..through_origin
        }
    } else {
        Line {
            slope,
            overhead,
            overhead_assumed: false,
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(machine: &str, device: Device, at_peak: f64, measured: f64) -> Point {
        Point {
            machine: machine.to_owned(),
            device,
            phase: Phase::Decode,
            at_peak_seconds: at_peak,
            measured_seconds: measured,
            size: 1e9,
        }
    }

    /// Speeds made by the formula itself, on so many machines of two models each.
    fn made(device: Device, machines: usize, slope: f64, overhead: f64) -> Vec<Point> {
        (0..machines)
            .flat_map(|machine| {
                [1.0, 4.0].map(|size| {
                    let at_peak = size * 0.002 * (machine + 1) as f64;
                    let measured = slope * at_peak + overhead;
                    point(&format!("m{machine}"), device, at_peak, measured)
                })
            })
            .collect()
    }

    proptest! {
        #[test]
        fn known_parameters_are_recovered(slope in 1.0_f64..3.0, overhead in 0.0_f64..0.01, machines in 1_usize..7) {
            let found = fits(&made(Device::Nvidia, machines, slope, overhead));
            prop_assert_eq!(found.len(), 1);
            prop_assert!((found[0].slope - slope).abs() < 1e-6);
            prop_assert!((found[0].overhead_ms - overhead * 1000.0).abs() < 1e-6);
            prop_assert_eq!(found[0].validated, machines >= LEAST_MACHINES);
            // What is made by the formula is predicted without error, once that can be seen.
            let factor = if machines >= LEAST_MACHINES { 1.0 } else { UNVALIDATED_FACTOR };
            prop_assert!((found[0].error_factor - factor).abs() < 1e-6);
        }
    }

    /// Three machines agree, the fourth is half as fast: leaving it out is off by about two, leaving
    /// another out by less.
    #[test]
    fn the_range_is_the_worst_machine_left_out() {
        let mut points = made(Device::Cpu, 4, 1.5, 0.0);
        for slow in points.iter_mut().filter(|point| point.machine == "m3") {
            slow.measured_seconds *= 2.0;
        }
        let found = &fits(&points)[0];
        assert!(found.validated);
        assert!((found.error_factor - 2.0).abs() < 1e-6, "{found:?}");
        let predicted = found.tokens_per_second(0.01, 1.5e9);
        assert!((predicted.high / predicted.low - 4.0).abs() < 1e-6);
        // Another size of model is another matter.
        assert!(found.is_validated_for(0.6e9) && !found.is_validated_for(0.4e9));
        let beyond = found.tokens_per_second(0.01, 4e9);
        assert!((beyond.high / beyond.value - UNVALIDATED_FACTOR).abs() < 1e-6);
        // With three machines nothing is validated, however well they agree.
        let few = &fits(&made(Device::Cpu, 3, 1.5, 0.0))[0];
        assert!(!few.validated && few.error_factor >= UNVALIDATED_FACTOR);
    }

    #[test]
    fn one_load_tells_no_overhead() {
        let found = &fits(&[point("a", Device::Cpu, 0.01, 0.02)])[0];
        assert!(found.overhead_assumed && found.overhead_ms.abs() < 1e-12);
        assert!((found.slope - 2.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_reads_faster_than_a_documents_memory() {
        // Steeper than possible at the fast end: the overhead takes it.
        let points = [
            point("a", Device::Nvidia, 0.010, 0.012),
            point("b", Device::Nvidia, 0.002, 0.008),
        ];
        let found = &fits(&points)[0];
        assert!((found.slope - 1.0).abs() < 1e-12 && found.overhead_ms > 0.0);
        // A probe can be passed: small weights stay in the cache.
        let found = &fits(&[point("a", Device::Cpu, 0.02, 0.01)])[0];
        assert!((found.slope - 0.5).abs() < 1e-9);
    }

    #[test]
    fn kinds_are_kept_apart_and_nonsense_is_left_out() {
        let mut points = made(Device::Cpu, 2, 2.0, 0.0);
        points.extend(made(Device::Apple, 2, 1.2, 0.001));
        points.push(point("x", Device::Cpu, f64::NAN, 1.0));
        points.push(point("x", Device::Cpu, 1.0, 0.0));
        let found = fits(&points);
        assert_eq!(found.len(), 2);
        assert!((found[0].slope - 2.0).abs() < 1e-6 && (found[1].slope - 1.2).abs() < 1e-6);
        assert_eq!(fits(&[]), []);
    }
}
