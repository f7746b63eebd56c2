//! What of a case and its messages goes into a prompt.
//!
//! Data in: messages, results and tools with their own names. Data out: the same as a prompt has
//! them. Invariants: pure.

use crate::types::suite::Round;
use crate::types::{Case, GenerateRequest};

/// Longest tool result, in characters, that goes into a prompt; the whole is stored.
const RESULT_CHARACTERS: usize = 8_000;

/// A tool result as it goes into a prompt: whole, or cut with a word that says so.
pub(super) fn shown(content: &str) -> String {
    let total = content.chars().count();
    if total <= RESULT_CHARACTERS {
        return content.to_owned();
    }
    let kept: String = content.chars().take(RESULT_CHARACTERS).collect();
    format!("{kept}\n[cut: {RESULT_CHARACTERS} of {total} characters]")
}

/// The last part of a prompt, for live displays.
pub(super) fn prompt_rest(request: &GenerateRequest) -> String {
    match &request.prompt {
        crate::types::Prompt::Text { rest, .. } => rest.clone(),
        chat @ crate::types::Prompt::Chat { .. } => chat.as_stored(),
    }
}

/// Every tool that is offered at some time in the case; all of the host's when that is not said.
pub(super) fn all_tools(case: &Case, rounds: &[Round]) -> Option<Vec<String>> {
    let mut current = case.tools.clone();
    let mut all: Vec<String> = Vec::new();
    for round in rounds {
        if round.tools.is_some() {
            current.clone_from(&round.tools);
        }
        all.extend(current.clone()?);
    }
    all.sort();
    all.dedup();
    Some(all)
}
