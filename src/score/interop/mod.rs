//! Result files of other tools as outputs to score: promptfoo's and Inspect's.
//!
//! Data in: the bytes of a file. Data out: the same outputs as lines of `{"id", "calls"}` or
//! `{"id", "output"}`, and what was read of what. Invariants: the form is recognised by what the file
//! holds, not by its name; arguments keep their spelling, so that no number changes on the way; an
//! output that ended with an error of server or harness is left out and counted, never judged.

mod inspect;
mod promptfoo;
mod shapes;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Bytes that are looked at to tell a foreign file from lines of outputs.
pub const HEAD: usize = 64 << 10;

/// Outputs of a foreign file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// What was read, in words: `promptfoo results (version 3)`.
    pub format: String,
    /// One output a line.
    pub lines: Vec<u8>,
    /// How many.
    pub outputs: usize,
    /// Who wrote them: providers, or models; those that were asked for.
    pub writers: Vec<String>,
    /// Outputs left out, by reason.
    pub left_out: BTreeMap<String, usize>,
}

/// A foreign file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InteropError {
    /// The outputs do not say which case they answer.
    #[error("{nameless} of {results} promptfoo results do not name the case they answer")]
    Nameless {
        /// How many.
        nameless: usize,
        /// Of how many.
        results: usize,
    },
    /// Nobody of that name wrote an output.
    #[error("no output is by `{asked}`; the file has {}", writers.join(", "))]
    UnknownWriter {
        /// As asked for.
        asked: String,
        /// Who did.
        writers: Vec<String>,
    },
    /// An archive that cannot be read.
    #[error("{reason}")]
    Archive {
        /// Why.
        reason: String,
    },
    /// The form is known, its content is not what it should be.
    #[error("{what}: {reason}")]
    Malformed {
        /// Of what.
        what: String,
        /// Why.
        reason: String,
    },
}

/// Whether a file that begins so may be another tool's, so that the whole of it must be read. What is
/// certainly lines of outputs is not.
pub fn may_be_foreign(head: &[u8]) -> bool {
    if inspect::is_archive(head) {
        return true;
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    if !text.starts_with(b"{") {
        return false;
    }
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or(text);
    match keys(first) {
        // Not whole: indented, or longer than the head.
        None => true,
        Some(keys) => {
            let any = |names: &[&str]| names.iter().any(|name| keys.contains_key(*name));
            // A result of promptfoo has an `id` too.
            any(&["testCase"]) || !any(&["id"]) && any(&["results", "eval", "response"])
        }
    }
}

/// Reads a foreign file; `None` where it is none. `writer` asks for one provider or model only.
pub fn read(bytes: &[u8], writer: Option<&str>) -> Result<Option<Outputs>, InteropError> {
    if inspect::is_archive(bytes) {
        return inspect::read_archive(bytes, writer).map(Some);
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let plain = without_nan(text);
    let text = plain.as_deref().unwrap_or(text);
    if let Some(top) = keys(text) {
        if top.contains_key("eval") && top.contains_key("status") {
            return inspect::read_log(&top, writer).map(Some);
        }
        if let Some(results) = top.get("results") {
            return promptfoo::read(&top, results, writer);
        }
    }
    promptfoo::read_lines(text, writer)
}

/// The fields of one JSON object; `None` where the text is none.
fn keys(text: &[u8]) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_slice(text).ok()
}

/// Python writes `NaN` and `Infinity` where JSON has no word: outside strings they become `null`.
/// `None` where there are none.
fn without_nan(text: &[u8]) -> Option<Vec<u8>> {
    let words: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];
    let holds = |word: &[u8]| memchr::memmem::find(text, word).is_some();
    if !words.iter().any(|word| holds(word)) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut in_string) = (0, false);
    while at < text.len() {
        let byte = text[at];
        if in_string && byte == b'\\' {
            out.extend_from_slice(&text[at..text.len().min(at + 2)]);
            at += 2;
            continue;
        }
        if byte == b'"' {
            in_string = !in_string;
        }
        let word = words.iter().find(|word| text[at..].starts_with(word));
        if let Some(word) = word.filter(|_| !in_string) {
            out.extend_from_slice(b"null");
            at += word.len();
            continue;
        }
        out.push(byte);
        at += 1;
    }
    Some(out)
}

/// Only what `writer` wrote, by the names found; all of them without one.
fn is_asked_for(writer: Option<&str>, names: &[&str]) -> bool {
    writer.is_none_or(|asked| names.contains(&asked))
}

#[cfg(test)]
#[path = "../interop_tests.rs"]
mod tests;
