//! Near names, for "did you mean".

/// Names near `wanted`, best first, at most three.
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
    scored
        .into_iter()
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

/// A hint for a message of the form ``unknown field `x`, expected one of `a`, `b` ``, as the
/// readers of YAML, TOML and JSON write it.
pub fn hint_for_unknown_field(message: &str) -> Option<String> {
    let (wanted, rest) = message.split_once("unknown field `")?.1.split_once('`')?;
    let (_, expected) = rest.split_once("expected")?;
    did_you_mean(wanted, expected.split('`').skip(1).step_by(2))
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
        assert_eq!(hint_for_unknown_field("invalid type"), None);
    }
}
