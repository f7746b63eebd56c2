//! The suite that a new author begins with.
//!
//! Data in: a name. Data out: the text of a suite file whose prompts are still to be written.
//! Invariant: with any prompts in their places it is a sound suite.

const TEMPLATE: &str = include_str!("starter.yaml");

/// The starter suite under a name.
pub fn starter(name: &str) -> String {
    TEMPLATE.replace("SUITE_NAME", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::{UNWRITTEN, read_text};

    #[test]
    fn only_the_marked_lines_are_missing() {
        let text = starter("mine");
        assert!(text.starts_with(crate::authoring::draft::EDITOR_LINE));
        let (suite, problems) = read_text("mine.yaml", &text).unwrap();
        let marked: Vec<usize> = text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(&format!("\"{UNWRITTEN}: ")))
            .map(|(index, _)| index + 1)
            .collect();
        let named: Vec<usize> = problems
            .iter()
            .filter_map(|problem| Some(problem.at?.0))
            .collect();
        assert_eq!(named, marked);
        assert_eq!(marked.len(), suite.cases.len());
        let (_, problems) = read_text("mine.yaml", &text.replace("TODO: ", "")).unwrap();
        assert_eq!(problems, vec![]);
    }
}
