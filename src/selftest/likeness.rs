//! Prompts that say nearly the same.
//!
//! Data in: cases. Data out: groups that are too alike. Definition: two cases are alike when they
//! ask for the same tools with the same argument names, and their last user messages, with
//! numbers and quoted or capitalised words masked, agree in at least [`LIKENESS`] of their words
//! (similarity of the word sequences: twice the matching words over all words).

use std::collections::BTreeMap;

use similar::{Algorithm, TextDiff};

use crate::types::Case;

/// Cases that may be alike.
pub const MOST_ALIKE: usize = 3;
const LIKENESS: f32 = 0.85;

/// Groups of more than [`MOST_ALIKE`] cases that are alike, by id.
pub fn too_alike(cases: &[Case]) -> Vec<Vec<String>> {
    let mut shapes: BTreeMap<String, Vec<(&str, String)>> = BTreeMap::new();
    for case in cases {
        shapes
            .entry(shape(case))
            .or_default()
            .push((&case.id, masked_prompt(case)));
    }
    let mut groups = Vec::new();
    for prompts in shapes.values() {
        let mut left: Vec<&(&str, String)> = prompts.iter().collect();
        while let Some(first) = left.first().copied() {
            let (alike, rest): (Vec<_>, Vec<_>) = left
                .into_iter()
                .partition(|other| likeness(&first.1, &other.1) >= LIKENESS);
            if alike.len() > MOST_ALIKE {
                groups.push(alike.iter().map(|(id, _)| (*id).to_owned()).collect());
            }
            left = rest;
        }
    }
    groups
}

/// Tools and argument names of the first accepted sets, and whether nothing is to be called.
fn shape(case: &Case) -> String {
    let mut parts = Vec::new();
    for round in case.all_rounds() {
        let mut calls: Vec<String> = round
            .expect
            .accepted_sets()
            .next()
            .unwrap_or(&[])
            .iter()
            .map(|call| {
                let names: Vec<&str> = call.arguments.keys().map(String::as_str).collect();
                format!("{}({})", call.tool, names.join(","))
            })
            .collect();
        calls.sort();
        parts.push(format!("{}{}", calls.join("+"), round.expect.abstains()));
    }
    format!("{}|{}", parts.join("/"), case.history.len())
}

fn masked_prompt(case: &Case) -> String {
    let text: Vec<String> = case
        .all_rounds()
        .into_iter()
        .map(|round| round.user)
        .collect();
    text.join(" ")
        .split_whitespace()
        .map(|word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let is_value = bare.chars().any(char::is_numeric)
                || bare.chars().next().is_some_and(char::is_uppercase)
                || word.starts_with(['"', '\'', '“', '`']);
            if is_value {
                "_".to_owned()
            } else {
                bare.to_lowercase()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn likeness(one: &str, two: &str) -> f32 {
    TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .diff_words(one, two)
        .ratio()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(prompts: &[&str]) -> Vec<Case> {
        prompts
            .iter()
            .enumerate()
            .map(|(index, prompt)| Case {
                id: format!("c-{index}"),
                user: Some((*prompt).to_owned()),
                ..Case::default()
            })
            .collect()
    }

    #[test]
    fn four_of_a_kind_are_one_too_many() {
        let same = [
            "what is the weather in Oslo today please",
            "what is the weather in Lima today please",
            "what is the weather in Rome today please",
            "what is the weather in Cairo today please",
        ];
        assert_eq!(
            too_alike(&cases(&same)),
            vec![vec!["c-0", "c-1", "c-2", "c-3"]]
        );
        assert!(too_alike(&cases(&same[..3])).is_empty());
        let other = [same[0], same[1], same[2], "do I need an umbrella in Cairo?"];
        assert!(too_alike(&cases(&other)).is_empty());
    }
}
