//! A verdict as workflow commands: lines that a CI service shows beside the change.
//!
//! Data in: a [`Verdict`]. Data out: lines of the form `::error title=…::…`. Invariants: what stands in a
//! command cannot end it or begin another; one line is left for what there is no room for, because only
//! ten of a kind are shown for each step.
//!
//! The form is that of GitHub's documentation, "Workflow commands for GitHub Actions" (read in its source
//! repository, November 2026): `%`, carriage return and line feed are escaped everywhere, `:` and `,` in
//! properties too.

use super::line;
use super::verdict::{CheckStatus, KnownStatus, Verdict};

/// Annotations of a kind that a step shows.
const SHOWN: usize = 10;

/// The lines.
pub fn annotations(verdict: &Verdict) -> Vec<String> {
    let reasons = |holds: &dyn Fn(CheckStatus) -> bool| -> Vec<String> {
        let found = line::with_status(verdict, holds);
        found.map(|check| check.reason.clone()).collect()
    };
    let known = |wanted: KnownStatus| {
        let results = verdict.known_failures.iter();
        let fitting = results.filter(move |it| it.status == wanted);
        fitting.map(line::known)
    };
    let mut warnings = reasons(&CheckStatus::is_undecided);
    warnings.extend(known(KnownStatus::Expired));
    let errors = reasons(&|status| status == CheckStatus::Breached);
    let notices = known(KnownStatus::Passes).collect();
    let title = format!("toolbench gate: {}", verdict.outcome.in_words());
    [
        ("error", errors),
        ("warning", warnings),
        ("notice", notices),
    ]
    .into_iter()
    .flat_map(|(level, messages)| lines(level, &title, messages))
    .collect()
}

fn lines(level: &str, title: &str, mut messages: Vec<String>) -> Vec<String> {
    if messages.len() > SHOWN {
        let more = messages.len() - (SHOWN - 1);
        messages.truncate(SHOWN - 1);
        messages.push(format!("and {more} more: see the log or the summary"));
    }
    let title = property(title);
    messages
        .iter()
        .map(|message| format!("::{level} title={title}::{}", data(message)))
        .collect()
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_command_early() {
        let found = lines("error", "a: b, c", vec!["50 %\n::warning::x\r".to_owned()]);
        assert_eq!(
            found,
            ["::error title=a%3A b%2C c::50 %25%0A::warning::x%0D"]
        );
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let messages = (0..14).map(|number| number.to_string()).collect();
        let found = lines("warning", "t", messages);
        assert_eq!(found.len(), 10);
        assert!(found[9].contains("and 5 more"), "{found:?}");
    }
}
