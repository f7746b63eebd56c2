//! Python expressions as text: enough of the language to read calls as BFCL reads them.
//!
//! Data in: text. Data out: calls, or a literal value, or why not. The parts: `lexer` makes tokens,
//! `parser` a tree (`syntax`), `source` prints a tree the way Python's `ast.unparse` does,
//! `arithmetic` evaluates operators, `read` turns trees into values.
//!
//! Invariants: what Python 3.11 refuses is refused, by its own limits on nesting and digits; no
//! input makes it panic or recurse without bound. Known gaps, all of them rare in replies: the
//! inside of an f-string is not looked at, `\N{…}` is refused, and arithmetic knows numbers,
//! strings, lists and tuples but calls no functions.

mod arithmetic;
mod brackets;
mod lexer;
mod parser;
mod read;
mod source;
mod syntax;

pub(super) use read::{calls, literal, strip};

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct PythonError {
    /// What is wrong.
    pub(super) reason: std::borrow::Cow<'static, str>,
}

impl PythonError {
    fn new(reason: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

#[cfg(test)]
#[path = "python_tests.rs"]
mod tests;
