//! What is wrong with an output, for people.
//!
//! Data in: what a check found. Data out: where, and a sentence. Invariants: nothing here decides a
//! verdict; a finding borrows its names from the case and the output.

use super::ErrorType;
use crate::score::value::Kind;

/// One thing found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'a> {
    /// Index of the output call, where it is about one.
    pub call: Option<usize>,
    /// The parameter, where it is about one.
    pub param: Option<&'a str>,
    /// The key inside an object.
    pub key: Option<&'a str>,
    /// What is wrong.
    pub error: ErrorType,
    /// Index of the expected call it was compared with, where there are several.
    pub expected: Option<usize>,
    /// Counts of calls: given and expected.
    pub counts: Option<(usize, usize)>,
    /// Kinds: given and declared.
    pub kinds: Option<(Kind, Kind)>,
}

impl<'a> Finding<'a> {
    pub(super) fn new(error: ErrorType) -> Self {
        Self {
            call: None,
            param: None,
            key: None,
            error,
            expected: None,
            counts: None,
            kinds: None,
        }
    }

    pub(super) fn about(error: ErrorType, param: &'a str) -> Self {
        Self {
            param: Some(param),
            ..Self::new(error)
        }
    }

    /// Says what is wrong, for people; `undecodable` is why an output could not be decoded.
    pub fn describe(&self, undecodable: &str, out: &mut String) {
        if let Some(expected) = self.expected {
            push_all(out, &["expected call ", &(expected + 1).to_string(), ": "]);
        }
        let (param, key) = (self.param.unwrap_or_default(), self.key);
        match self.error {
            ErrorType::DecoderFailed | ErrorType::WrongOutputFormat => {
                out.push_str(undecodable);
            }
            ErrorType::SimpleWrongCount
            | ErrorType::MultipleWrongCount
            | ErrorType::ParallelWrongCount => {
                let (given, wanted) = self.counts.unwrap_or_default();
                let (given, wanted) = (given.to_string(), wanted.to_string());
                push_all(out, &[&given, " calls were made, ", &wanted, " expected"]);
            }
            ErrorType::CannotFindMatch => out.push_str("no call fits"),
            ErrorType::WrongFuncName => {
                push_all(out, &["the call is not to `", key.unwrap_or_default(), "`"]);
            }
            ErrorType::MissingRequired => {
                push_all(out, &["required parameter `", param, "` is absent"]);
            }
            ErrorType::UnexpectedParam => {
                push_all(out, &["parameter `", param, "` is not expected"]);
            }
            ErrorType::MissingOptional => {
                let rest = "` is absent and may not be left out";
                push_all(out, &["parameter `", param, rest]);
            }
            ErrorType::TypeSimple => {
                let given = self
                    .kinds
                    .map_or("of another kind", |(given, _)| given.name());
                let wanted = self.kinds.map_or("declared", |(_, wanted)| wanted.name());
                let rest = [" where ", wanted, " is declared"].concat();
                push_all(out, &["`", param, "` is ", given, &rest]);
            }
            ErrorType::TypeNested => {
                push_all(out, &["an element of `", param, "` is of another kind"]);
            }
            ErrorType::ValueString | ErrorType::ValueList | ErrorType::ValueOthers => {
                push_all(out, &["`", param, "` is none of the accepted values"]);
            }
            ErrorType::ValueDictKey => match key {
                Some(key) => push_all(out, &["`", param, "` lacks the key `", key, "`"]),
                None => push_all(out, &["`", param, "` has a key that is not accepted"]),
            },
            ErrorType::ValueDictValue => {
                let rest = "` is none of the accepted values";
                push_all(out, &["`", key.unwrap_or_default(), "` in `", param, rest]);
            }
            ErrorType::ValueListDictCount => {
                push_all(out, &["`", param, "` holds another number of objects"]);
            }
            ErrorType::DictUnclear | ErrorType::ListDictUnclear => {
                push_all(out, &["nothing is accepted for `", param, "`"]);
            }
            ErrorType::IrrelevanceDecoderSuccess => {
                out.push_str("a call was made where nothing should be called");
            }
            ErrorType::RelevanceDecoderFailed => {
                out.push_str("no call was made where one is needed");
            }
            ErrorType::CheckerRaised => {
                out.push_str("BFCL's own checker stops with an exception here");
            }
        }
    }

    pub(super) fn in_call(self, call: usize) -> Self {
        Self {
            call: Some(call),
            ..self
        }
    }
}

fn push_all(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}
