//! Which cases of the loaded suites are run.

use regex::Regex;

use crate::types::Suite;

/// Filters, all of which a case must pass.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Case ids, or patterns over ids with `*`; empty selects all.
    pub cases: Vec<String>,
    /// Categories, difficulties or tags; empty selects all.
    pub tags: Vec<String>,
    /// At most this many cases per suite, taken in file order.
    pub limit: Option<usize>,
}

/// The suites with only the selected cases, and the filters that selected nothing.
pub fn select(suites: Vec<Suite>, selection: &Selection) -> (Vec<Suite>, Vec<String>) {
    let patterns: Vec<(String, Regex)> = selection
        .cases
        .iter()
        .filter_map(|pattern| Some((pattern.clone(), wildcard(pattern)?)))
        .collect();
    let mut unused: Vec<String> = selection
        .cases
        .iter()
        .chain(&selection.tags)
        .cloned()
        .collect();
    let mut kept = Vec::new();
    for mut suite in suites {
        suite.cases.retain(|case| {
            let id_hit = patterns.iter().find(|(_, regex)| regex.is_match(&case.id));
            let tag_hit = selection.tags.iter().find(|tag| {
                **tag == case.category
                    || case.tags.contains(tag)
                    || serde_json::to_value(case.difficulty).is_ok_and(|name| name == **tag)
            });
            unused.retain(|filter| {
                id_hit.is_none_or(|(pattern, _)| pattern != filter)
                    && tag_hit.is_none_or(|tag| tag != filter)
            });
            (patterns.is_empty() || id_hit.is_some())
                && (selection.tags.is_empty() || tag_hit.is_some())
        });
        if let Some(limit) = selection.limit {
            suite.cases.truncate(limit);
        }
        if !suite.cases.is_empty() {
            kept.push(suite);
        }
    }
    (kept, unused)
}

fn wildcard(pattern: &str) -> Option<Regex> {
    let body: Vec<String> = pattern.split('*').map(regex::escape).collect();
    Regex::new(&format!("^{}$", body.join(".*"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Case;

    #[test]
    fn filters_combine_and_misses_are_reported() {
        let case = |id: &str, category: &str| Case {
            id: id.to_owned(),
            category: category.to_owned(),
            ..Case::default()
        };
        let suite = Suite {
            cases: vec![case("a-1", "x"), case("a-2", "y"), case("b-1", "x")],
            ..Suite::default()
        };
        let selection = Selection {
            cases: vec!["a-*".to_owned(), "zzz".to_owned()],
            tags: vec!["x".to_owned()],
            limit: None,
        };
        let (kept, unused) = select(vec![suite], &selection);
        let ids: Vec<&str> = kept[0].cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, ["a-1"]);
        assert_eq!(unused, ["zzz"]);
    }
}
