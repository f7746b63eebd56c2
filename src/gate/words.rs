//! Numbers and lists as a gate writes them.
//!
//! Data in: numbers, names. Data out: short text. Invariants: exact 0 and 1 lose their decimals; a list
//! that is cut says by how much.

use super::verdict::CaseNote;

/// `83.3`, `100`, `0`; a share in percent.
pub(super) fn percent(share: f64) -> String {
    if share.abs() < 1e-12 {
        "0".to_owned()
    } else if (share - 1.0).abs() < 1e-12 {
        "100".to_owned()
    } else {
        format!("{:.1}", share * 100.0)
    }
}

/// `+3.3`; a difference of shares in points.
pub(super) fn points(difference: f64) -> String {
    let rounded = (difference * 1000.0).round() / 10.0;
    format!("{:+.1}", rounded + 0.0)
}

/// `5` or `2.5`: a size in points or percent without a sign.
pub(super) fn size(share: f64) -> String {
    let rounded = (share * 1000.0).round() / 10.0;
    format!("{rounded}")
}

/// `p = 0.031`, `p < 0.001`.
pub(super) fn p_in_words(value: f64) -> String {
    if value < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {value:.3}")
    }
}

/// `0.031`, `<0.001`.
pub(super) fn p_value(value: f64) -> String {
    if value < 0.001 {
        "<0.001".to_owned()
    } else {
        format!("{value:.3}")
    }
}

/// `420 ms`, `2.31 s`.
pub(super) fn time(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.2} s", milliseconds / 1000.0)
    }
}

/// `1 case`, `2 cases`.
pub(super) fn count(number: usize, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {singular}{plural}")
}

/// At most `most` of them, and how many there are more.
pub(super) fn some_of(names: &[String], most: usize) -> String {
    let mut text = names[..names.len().min(most)].join(", ");
    if names.len() > most {
        text.push_str(&format!(" and {} more", names.len() - most));
    }
    text
}

/// `suite/case (wrong_value)`.
pub(super) fn case(note: &CaseNote) -> String {
    if note.codes.is_empty() {
        note.case.clone()
    } else {
        format!("{} ({})", note.case, note.codes.join(", "))
    }
}

/// The same of several.
pub(super) fn cases(notes: &[CaseNote], most: usize) -> String {
    some_of(&notes.iter().map(case).collect::<Vec<_>>(), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists() {
        assert_eq!(
            (percent(2.0 / 3.0).as_str(), percent(1.0).as_str()),
            ("66.7", "100")
        );
        assert_eq!(
            (points(-1.0 / 3.0).as_str(), points(0.0).as_str()),
            ("-33.3", "+0.0")
        );
        assert_eq!((size(0.05).as_str(), size(0.025).as_str()), ("5", "2.5"));
        assert_eq!(
            (time(420.4).as_str(), time(2310.0).as_str()),
            ("420 ms", "2.31 s")
        );
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(some_of(&names, 2), "a, b and 1 more");
        assert_eq!(some_of(&names, 3), "a, b, c");
    }
}
