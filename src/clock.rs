//! The only reader of time.
//!
//! Data in: nothing. Data out: elapsed milliseconds and RFC 3339 stamps.
//! Invariant: nothing that decides a verdict comes from here; clock readings are shown and
//! stored as measurements and left out of the canonical summary.

use std::time::{Duration, Instant};

/// A monotonic stopwatch.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "the only reader of time")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// Milliseconds since the start, with fractions.
    pub fn elapsed_ms(self) -> f64 {
        self.elapsed().as_secs_f64() * 1000.0
    }
}

/// The current moment as an RFC 3339 stamp in UTC, to the millisecond.
pub fn now_rfc3339() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// The current moment as `20261120-045301`, for directory names.
pub fn now_compact() -> String {
    jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string()
}

/// Seconds since a stamp; `None` where it is no RFC 3339 stamp. Negative for a moment to come.
pub fn seconds_since(stamp: &str) -> Option<f64> {
    let then: jiff::Timestamp = stamp.parse().ok()?;
    Some(jiff::Timestamp::now().duration_since(then).as_secs_f64())
}

/// Milliseconds since 1970 of a stamp; `None` where it is no RFC 3339 stamp.
pub fn epoch_ms(stamp: &str) -> Option<f64> {
    let then: jiff::Timestamp = stamp.parse().ok()?;
    Some(then.as_millisecond() as f64)
}
