//! The texts behind hashes: what a changed prompt, tool or template said then and says now.
//!
//! Data in: headers of two runs, changes. Data out: the same changes with the lines that differ.
//! Invariants: only what a record holds is shown, so what was kept out of it or blotted out stays so;
//! lines are no longer than `WIDTH`, so that one long paragraph does not hide what changed in it.

use std::collections::BTreeMap;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::verdict::{Change, ChangeKind};
use crate::record::format::Header;
use crate::report::wrap;

/// Longest line of a diff.
const WIDTH: usize = 90;

/// Texts of a run by what they are and whose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts(BTreeMap<(ChangeKind, String), String>);

impl Texts {
    /// Of a run.
    pub fn of(header: &Header) -> Self {
        let mut texts = BTreeMap::new();
        let mut put = |what, subject: String, text: Option<String>| {
            texts.extend(text.map(|text| ((what, subject), text)));
        };
        for suite in &header.suites {
            let name = &suite.suite;
            put(ChangeKind::SystemPrompt, name.clone(), suite.system.clone());
            let examples = (!suite.examples.is_empty()).then(|| pretty(&suite.examples));
            put(ChangeKind::Examples, name.clone(), examples);
            for tool in &suite.tools {
                let subject = format!("{name}/{}", tool.name);
                put(ChangeKind::Tool, subject, Some(pretty(tool)));
            }
        }
        for model in &header.models {
            let name = &model.name;
            put(
                ChangeKind::Template,
                name.clone(),
                model.facts.chat_template.clone(),
            );
            for leg in &model.legs {
                let subject = format!("{name}/{}", leg.name);
                let template = leg.facts.chat_template.clone();
                put(ChangeKind::Template, subject, template);
            }
        }
        for variant in &header.variants {
            let subject = match variant.name.as_str() {
                "default" => "system".to_owned(),
                name => format!("{name}: system"),
            };
            put(ChangeKind::Variant, subject, variant.system.clone());
        }
        Self(texts)
    }

    /// Of this subject; where a run has one such text only, whatever its subject is: a model may have
    /// another name on the other side.
    fn get(&self, what: ChangeKind, subject: &str) -> Option<&str> {
        let found = self.0.get(&(what, subject.to_owned()));
        let mut of_kind = self.0.iter().filter(|((kind, _), _)| *kind == what);
        let only = match (of_kind.next(), of_kind.next()) {
            (Some((_, only)), None) if what == ChangeKind::Template => Some(only),
            _ => None,
        };
        found.or(only).map(String::as_str)
    }
}

fn pretty<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Adds the lines that differ.
pub(super) fn show(changes: &mut [Change], then: &Texts, now: &Texts) {
    for change in changes {
        if change.then.is_none() || change.now.is_none() {
            continue;
        }
        let of = |side: &Texts| {
            let text = side.get(change.what, &change.subject);
            text.map(folded)
        };
        if let (Some(then), Some(now)) = (of(then), of(now)) {
            change.diff = lines(&then, &now);
        }
    }
}

/// Long lines broken between words.
fn folded(text: &str) -> String {
    let fold = |line: &str| {
        if line.chars().count() > WIDTH {
            wrap(line, WIDTH, "")
        } else {
            line.to_owned()
        }
    };
    text.lines().map(fold).collect::<Vec<_>>().join("\n")
}

fn lines(then: &str, now: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(then, now);
    diff.iter_all_changes()
        .filter_map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => return None,
            };
            Some(format!("{sign} {}", change.value().trim_end_matches('\n')))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key};
    use crate::types::{Constraint, Suite};

    fn change(what: ChangeKind, subject: &str) -> Change {
        Change {
            what,
            subject: subject.to_owned(),
            then: Some("1".to_owned()),
            now: Some("2".to_owned()),
            parts: Vec::new(),
            diff: Vec::new(),
        }
    }

    fn run(model: &str, system: &str, template: &str) -> Run {
        let mut run = Run::new();
        run.cell(&key(model, Constraint::Off), "P");
        run.header.models[0].facts.chat_template = Some(template.to_owned());
        run.header.suites = vec![Suite {
            suite: "quick".to_owned(),
            system: Some(system.to_owned()),
            ..Suite::default()
        }];
        run
    }

    #[test]
    fn lines_that_differ_are_shown_whatever_the_model_is_called() {
        let long = "word ".repeat(60);
        let then = run("a", &format!("{long}then."), "one\ntwo\nthree");
        let now = run("b", &format!("{long}now."), "one\n2\nthree");
        let mut changes = [
            change(ChangeKind::SystemPrompt, "quick"),
            change(ChangeKind::Template, "b"),
            change(ChangeKind::Tool, "quick/none"),
        ];
        show(
            &mut changes,
            &Texts::of(&then.header),
            &Texts::of(&now.header),
        );
        assert_eq!(changes[0].diff.len(), 2, "{:?}", changes[0]);
        assert!(changes[0].diff[1].starts_with("+ word") && changes[0].diff[1].ends_with("now."));
        assert!(changes[0].diff.iter().all(|line| line.len() < 100));
        assert_eq!(changes[1].diff, ["- two", "+ 2"]);
        assert!(changes[2].diff.is_empty());
    }
}
