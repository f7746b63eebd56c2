//! Numbers as people read them.
//!
//! Data in: optional numbers. Data out: short text. Invariants: a missing number is [`DASH`]; exact
//! 0 and 1 lose their decimals, values that only round to them keep them.

use crate::metrics::rates::Rate;

/// Stands where there is no number.
pub(super) const DASH: &str = "–";

/// `83.3`, `100`, `0`; a share in percent.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map_or_else(
        || DASH.to_owned(),
        |share| {
            // Means of shares reach 1 only up to rounding.
            if share.abs() < 1e-12 {
                "0".to_owned()
            } else if (share - 1.0).abs() < 1e-12 {
                "100".to_owned()
            } else {
                format!("{:.1}", share * 100.0)
            }
        },
    )
}

/// `83.3 [66.4–92.7]`; a rate in percent as every table shows it.
pub fn percent_with_interval(rate: &Rate) -> String {
    match (rate.low, rate.high) {
        (Some(_), Some(_)) => format!(
            "{} [{}–{}]",
            percent(rate.rate),
            percent(rate.low),
            percent(rate.high)
        ),
        _ => percent(rate.rate),
    }
}

/// The same of plain shares.
pub(super) fn percents(share: f64, low: f64, high: f64) -> String {
    format!(
        "{} [{}–{}]",
        percent(Some(share)),
        percent(Some(low)),
        percent(Some(high))
    )
}

/// `1.25`.
pub(super) fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |value| format!("{value:.2}"))
}

/// `+3.3`: a share in signed percentage points, never `-0.0`.
pub(super) fn points(share: f64) -> String {
    let rounded = (share * 1000.0).round() / 10.0;
    format!("{:+.1}", rounded + 0.0)
}

/// A count of something per something, without decimals.
pub(super) fn whole(value: Option<f64>) -> String {
    value.map_or_else(|| DASH.to_owned(), |value| format!("{value:.0}"))
}

/// One decimal under 100, none above.
pub(super) fn short(value: Option<f64>) -> String {
    value.map_or_else(
        || DASH.to_owned(),
        |value| {
            if value < 100.0 {
                format!("{value:.1}")
            } else {
                format!("{value:.0}")
            }
        },
    )
}

/// Millions of bytes.
pub(super) fn megabytes(bytes: Option<u64>) -> String {
    whole(bytes.map(|bytes| bytes as f64 / 1e6))
}

/// `0.031`, `<0.001`.
pub(super) fn p_value(value: Option<f64>) -> String {
    value.map_or_else(
        || DASH.to_owned(),
        |value| {
            if value < 0.001 {
                "<0.001".to_owned()
            } else {
                format!("{value:.3}")
            }
        },
    )
}

/// `1 case`, `2 cases`.
pub(super) fn count(number: usize, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {singular}{plural}")
}

/// `840 ms`, `1.2 s`, `35 s`.
pub(super) fn duration(milliseconds: Option<f64>) -> String {
    let trimmed = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    match milliseconds {
        None => DASH.to_owned(),
        Some(ms) if ms < 9.95 => format!("{} ms", trimmed(ms)),
        Some(ms) if ms < 999.5 => format!("{ms:.0} ms"),
        Some(ms) if ms < 99_950.0 => format!("{} s", trimmed(ms / 1000.0)),
        Some(ms) => format!("{:.0} s", ms / 1000.0),
    }
}

/// Breaks at spaces so that no line is longer than `width` characters unless one word is; lines
/// after the first start with `indent`.
pub fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        let used = line.chars().count();
        if used > 0 && used + 1 + word.chars().count() > width {
            lines.push(format!("{indent}{word}"));
        } else if line.is_empty() {
            line.push_str(word);
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}

/// Breaks a name after `-`, `:`, `/`, `_` or a space so that its lines have at most `width`
/// characters where its parts allow.
pub(super) fn break_name(name: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for part in name.split_inclusive(['-', ':', '/', '_', ' ']) {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && (line.clone() + part).trim_end().chars().count() > width {
            lines.push(part.to_owned());
        } else {
            line.push_str(part);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_ends_lose_their_decimals() {
        for (share, text) in [
            (Some(1.0), "100"),
            (Some(0.0), "0"),
            (Some(0.9996), "100.0"),
            (Some(0.25), "25.0"),
            (None, "–"),
        ] {
            assert_eq!(percent(share), text);
        }
        assert_eq!(points(-0.000_01), "+0.0");
        assert_eq!(points(-0.125), "-12.5");
    }

    #[test]
    fn names_break_between_their_parts() {
        assert_eq!(break_name("qwen2.5-coder:1.5b", 18), "qwen2.5-coder:1.5b");
        assert_eq!(break_name("qwen2.5-coder:1.5b", 12), "qwen2.5-\ncoder:1.5b");
        assert_eq!(break_name("unbreakable", 4), "unbreakable");
    }

    #[test]
    fn wrapping_keeps_words() {
        assert_eq!(wrap("aa bb cc", 5, "  "), "aa bb\n  cc");
    }
}
