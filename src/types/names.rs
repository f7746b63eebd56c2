//! Names in messages: near ones, for "did you mean", and words of commands.

/// How much further from what was wanted than the best name another may be.
const MOST_BEHIND: f64 = 0.15;

/// Names near `wanted`, best first, at most three; none that is much further than the best.
pub fn similar_names<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| {
            let ratio = f64::from(similar::TextDiff::from_chars(wanted, name).ratio());
            let prefix = name.starts_with(wanted) || wanted.starts_with(name);
            (ratio + if prefix { 0.2 } else { 0.0 }, name)
        })
        .filter(|(score, _)| *score >= 0.6)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    scored
        .into_iter()
        .filter(|(score, _)| *score >= best - MOST_BEHIND)
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// `` did you mean `a` or `b`? `` or nothing.
pub fn did_you_mean<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = similar_names(wanted, names);
    (!near.is_empty()).then(|| {
        let quoted: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
        format!("did you mean {}?", quoted.join(" or "))
    })
}

/// A text as one word of a shell command, in quotes where it needs them.
pub fn shell_word(text: &str) -> String {
    // Signs that no shell reads, beside those that the library leaves alone.
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@+,%".contains(letter);
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        return text.to_owned();
    }
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

/// A hint for a message of the form ``unknown field `x`, expected one of `a`, `b` ``, as the
/// readers of YAML (without quotes), TOML and JSON write it, also for variants and matchers.
pub fn hint_for_unknown_field(message: &str) -> Option<String> {
    let kinds = ["unknown field `", "unknown variant `", "unknown matcher `"];
    let (_, rest) = kinds.iter().find_map(|kind| message.split_once(kind))?;
    let (wanted, rest) = rest.split_once('`')?;
    let (_, listed) = rest
        .split_once("expected")
        .or_else(|| rest.split_once("the operators are"))?;
    if listed.contains('`') {
        return did_you_mean(wanted, listed.split('`').skip(1).step_by(2));
    }
    let listed = listed.split(" at line").next().unwrap_or(listed);
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let words = listed.split(|c: char| !is_name(c));
    did_you_mean(
        wanted,
        words.filter(|word| !["", "one", "of", "or"].contains(word)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_get_a_near_name() {
        let message = "unknown field `casess`, expected one of `suite`, `cases`, `mock` at line 3";
        assert_eq!(
            hint_for_unknown_field(message).as_deref(),
            Some("did you mean `cases`?")
        );
        for (message, hint) in [
            (
                "unknown field `categry`, expected one of id, category, difficulty",
                "did you mean `category`?",
            ),
            (
                "unknown variant `esy`, expected one of easy, medium, hard",
                "did you mean `easy`?",
            ),
            (
                "unknown matcher `regx`; the operators are equals, regex, number",
                "did you mean `regex`?",
            ),
            (
                "unknown field `tol`, expected `tool` or `arguments`",
                "did you mean `tool`?",
            ),
        ] {
            assert_eq!(hint_for_unknown_field(message).as_deref(), Some(hint));
        }
        assert_eq!(hint_for_unknown_field("invalid type"), None);
    }
}
