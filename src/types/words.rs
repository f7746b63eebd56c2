//! Texts as words, for comparisons that look past spelling of the setting.
//!
//! Data in: a text. Data out: its words, numbers and signs. Invariants: total; nothing that changes
//! a number is lost.

use super::matcher::normalise_text;

/// What a text says, apart from how it is set: words and numbers of the normalised text
/// ([`normalise_text`]), and each further sign by itself. White space and `,` `.` `/` `-` `_` only
/// separate, but a `.` between two digits and a `-` before a number belong to the number. All quotes
/// are one sign.
pub fn words_of(text: &str) -> Vec<String> {
    let normal: Vec<char> = normalise_text(text).chars().collect();
    let is_digit = |at: Option<usize>| {
        at.and_then(|at| normal.get(at))
            .is_some_and(char::is_ascii_digit)
    };
    let mut words: Vec<String> = Vec::new();
    let mut is_open = false;
    for (at, &c) in normal.iter().enumerate() {
        let before = at.checked_sub(1);
        let is_point = c == '.' && is_digit(before) && is_digit(Some(at + 1));
        let starts = before.is_none_or(|before| " (,[".contains(normal[before]));
        let is_minus = c == '-' && starts && is_digit(Some(at + 1));
        if c.is_alphanumeric() || is_point {
            match words.last_mut() {
                Some(word) if is_open => word.push(c),
                _ => words.push(c.to_string()),
            }
            is_open = true;
        } else if is_minus {
            words.push(c.to_string());
            is_open = true;
        } else {
            is_open = false;
            if !c.is_whitespace() && !",./-_".contains(c) {
                let sign = if "\"'`“”‘’".contains(c) {
                    '\''
                } else {
                    c
                };
                words.push(sign.to_string());
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words_of;

    #[test]
    fn separators_go_and_numbers_stay() {
        assert_eq!(words_of("April 1, 2024"), ["april", "1", "2024"]);
        assert_eq!(words_of("2024-01/15"), ["2024", "01", "15"]);
        assert_eq!(words_of("-1.5 x^2"), ["-1.5", "x", "^", "2"]);
        assert_eq!(words_of("(-3, 4)"), ["(", "-3", "4", ")"]);
        assert_eq!(
            words_of("it\u{2019}s first-class"),
            ["it", "'", "s", "first", "class"]
        );
        assert_eq!(words_of(" - . "), Vec::<String>::new());
    }
}
