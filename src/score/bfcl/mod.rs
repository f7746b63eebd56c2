//! The rules of the Berkeley Function Calling Leaderboard, version 4, for Python categories.
//!
//! Data in: a case as BFCL states it, prepared once, and a decoded output. Data out: a verdict with
//! BFCL's own error identifier. Invariants: the same verdict and identifier as BFCL's own checker
//! on every input, its greedy matching and its slips included; where that checker stops with an
//! exception, the output is invalid and the identifier is [`ErrorType::CheckerRaised`].
//!
//! Kinds are exact (`5` is no float, `true` no integer), with one promotion: a whole number given
//! for a top-level parameter of type `float` becomes a float. Strings are compared as `normal.rs` says, everything else
//! by Python's equality ([`super::value::equal`]).

mod check;
mod finding;
mod normal;
mod prepare;

pub(super) use check::judge_calls;
pub use check::{Verdict, judge};
pub use finding::Finding;
pub use prepare::{Case, Mode};

/// Why an output is invalid, under BFCL's own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorType {
    /// The output could not be decoded.
    DecoderFailed,
    /// What was decoded is not a list of calls.
    WrongOutputFormat,
    /// Not exactly one call.
    SimpleWrongCount,
    /// Not as many calls as expected, one of several functions.
    MultipleWrongCount,
    /// Not as many calls as expected, several calls.
    ParallelWrongCount,
    /// An expected call that no remaining output call answers.
    CannotFindMatch,
    /// Another function was called.
    WrongFuncName,
    /// A parameter that the schema requires is absent.
    MissingRequired,
    /// A parameter that the schema or the answer does not have.
    UnexpectedParam,
    /// A parameter that the answer wants is absent.
    MissingOptional,
    /// A value of the wrong kind.
    TypeSimple,
    /// A list with an element of the wrong kind.
    TypeNested,
    /// A string that is none of the accepted ones.
    ValueString,
    /// A list that is none of the accepted ones.
    ValueList,
    /// A key that the accepted object does not have, or one that is absent.
    ValueDictKey,
    /// A value of a key that is none of the accepted ones.
    ValueDictValue,
    /// A list of objects of another length.
    ValueListDictCount,
    /// Any other value that is none of the accepted ones.
    ValueOthers,
    /// No accepted object is stated.
    DictUnclear,
    /// No accepted list of objects is stated.
    ListDictUnclear,
    /// A call where none should be.
    IrrelevanceDecoderSuccess,
    /// No call where one should be.
    RelevanceDecoderFailed,
    /// BFCL's own checker stops with an exception here; the name is ours.
    CheckerRaised,
}

impl ErrorType {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::DecoderFailed,
        Self::WrongOutputFormat,
        Self::SimpleWrongCount,
        Self::MultipleWrongCount,
        Self::ParallelWrongCount,
        Self::CannotFindMatch,
        Self::WrongFuncName,
        Self::MissingRequired,
        Self::UnexpectedParam,
        Self::MissingOptional,
        Self::TypeSimple,
        Self::TypeNested,
        Self::ValueString,
        Self::ValueList,
        Self::ValueDictKey,
        Self::ValueDictValue,
        Self::ValueListDictCount,
        Self::ValueOthers,
        Self::DictUnclear,
        Self::ListDictUnclear,
        Self::IrrelevanceDecoderSuccess,
        Self::RelevanceDecoderFailed,
        Self::CheckerRaised,
    ];

    /// The identifier.
    pub fn name(self) -> &'static str {
        match self {
            Self::DecoderFailed => "ast_decoder:decoder_failed",
            Self::WrongOutputFormat => "ast_decoder:decoder_wrong_output_format",
            Self::SimpleWrongCount => "simple_function_checker:wrong_count",
            Self::MultipleWrongCount => "multiple_function_checker:wrong_count",
            Self::ParallelWrongCount => "parallel_function_checker_no_order:wrong_count",
            Self::CannotFindMatch => "parallel_function_checker_no_order:cannot_find_match",
            Self::WrongFuncName => "simple_function_checker:wrong_func_name",
            Self::MissingRequired => "simple_function_checker:missing_required",
            Self::UnexpectedParam => "simple_function_checker:unexpected_param",
            Self::MissingOptional => "simple_function_checker:missing_optional",
            Self::TypeSimple => "type_error:simple",
            Self::TypeNested => "type_error:nested",
            Self::ValueString => "value_error:string",
            Self::ValueList => "value_error:list/tuple",
            Self::ValueDictKey => "value_error:dict_key",
            Self::ValueDictValue => "value_error:dict_value",
            Self::ValueListDictCount => "value_error:list_dict_count",
            Self::ValueOthers => "value_error:others",
            Self::DictUnclear => "dict_checker:unclear",
            Self::ListDictUnclear => "list_dict_checker:unclear",
            Self::IrrelevanceDecoderSuccess => "irrelevance_error:decoder_success",
            Self::RelevanceDecoderFailed => "relevance_error:decoder_failed",
            Self::CheckerRaised => "checker_raised",
        }
    }
}

#[cfg(test)]
mod tests;
