//! What can be wrong with an attempt or a trial: a closed, versioned list of codes.
//!
//! Data in: nothing. Data out: code, stage, class, whether a correction may help, meaning, remedy.
//! Invariants: the list is the only one; the first failing stage is primary; names never change
//! meaning without a new [`TAXONOMY_VERSION`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of the list below.
pub const TAXONOMY_VERSION: u32 = 1;

/// Where in the life of an attempt it failed, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reaching the model.
    Transport,
    /// Before the first token.
    Setup,
    /// While generating.
    Generation,
    /// Reading the reply.
    Parse,
    /// To call or not to call.
    Decision,
    /// Which tool.
    Selection,
    /// Arguments against the tool's schema.
    Schema,
    /// Arguments against the case.
    Value,
    /// How many calls, in which order.
    Plurality,
    /// Running the call.
    Execution,
    /// What came of it all.
    Outcome,
    /// Limits of the trial.
    Budget,
    /// Ourselves.
    Harness,
}

/// Whose doing it is: decides the denominator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The model's: counts.
    Model,
    /// The server's or engine's: does not count, reported beside.
    Serving,
    /// The tool's or tool server's: does not count.
    Tool,
    /// The network's: does not count.
    Infra,
    /// Our own: makes the cell undecidable.
    Harness,
    /// Part of the case: no fault at all.
    Scripted,
}

macro_rules! codes {
    ($( $variant:ident, $name:literal, $stage:ident, $class:ident, $correctable:literal, $meaning:literal, $help:literal; )*) => {
        /// Every code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $( #[doc = $meaning] #[serde(rename = $name)] $variant, )* }

        impl Code {
            /// All codes in stage order.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// Name as stored and shown.
            pub fn name(self) -> &'static str { match self { $( Self::$variant => $name, )* } }
            /// Stage at which it is found.
            pub fn stage(self) -> Stage { match self { $( Self::$variant => Stage::$stage, )* } }
            /// Whose doing it is.
            pub fn class(self) -> Class { match self { $( Self::$variant => Class::$class, )* } }
            /// Whether a correction message may be sent for it.
            pub fn correctable(self) -> bool { match self { $( Self::$variant => $correctable, )* } }
            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str { match self { $( Self::$variant => $meaning, )* } }
            /// What helps: a sentence with a command or an option to try.
            pub fn help(self) -> &'static str { match self { $( Self::$variant => $help, )* } }
        }
    };
}

codes! {
    RateLimited, "rate_limited", Transport, Infra, false, "the endpoint answered that there were too many requests", "lower `--concurrency`, then `--resume` the run";
    Server5xx, "server_5xx", Transport, Infra, false, "the endpoint answered with a server error, or with something that is not its documented reply: a wrong content type, a stream that is malformed or ends early, JSON of another shape, too much of it", "look at the server's own log, then `--resume` the run";
    Network, "network", Transport, Infra, false, "the connection was refused, reset, broken, or stalled in the middle of a reply", "check that the server runs (`toolbench doctor`), then `--resume` the run";
    RequestTimeout, "request_timeout", Transport, Infra, false, "the endpoint accepted no request or sent nothing back in time", "raise `--timeout`, or check the server with `toolbench doctor`";
    RequestRejected, "request_rejected", Transport, Harness, false, "the endpoint refused our own request: no key or a wrong one, an unknown model, a field it does not take", "read the message with `-vv`; it says how to pass a key and which models there are";
    OomOrCrash, "oom_or_crash", Transport, Serving, false, "the process that serves the model ended during the trial, or its server had not enough memory", "try a smaller `--context`, a smaller quantisation, or a smaller model";
    PromptTruncated, "prompt_truncated", Setup, Serving, false, "the prompt does not fit the context that is in force", "raise `--context`, offer fewer tools, or lower `--few-shot`";
    GrammarRejected, "grammar_rejected", Setup, Serving, false, "the grammar made from the tools' schemas did not compile", "see it with `toolbench grammar show`; simplify the schema or use `--constraint off`";
    ConstraintUnenforced, "constraint_unenforced", Setup, Serving, false, "the reply breaks the grammar that was asked for", "report it: an enforced grammar cannot be broken";
    MaxTokensCut, "max_tokens_cut", Generation, Model, true, "the token limit came before the call or the answer was complete", "raise `--max-tokens`, or hold the form with `--constraint grammar`";
    DegenerateLoop, "degenerate_loop", Generation, Model, false, "the end of a text repeats one piece of at most 240 bytes five times or more over 120 bytes or more, a reply holds more than three equal calls, or one call was made three times in a row without need", "try a `--repeat-penalty` of 1.1, or a larger model";
    EmptyOutput, "empty_output", Generation, Model, true, "the reply holds neither text nor call", "try another `--dialect`, or `--constraint grammar`";
    ReasoningOnly, "reasoning_only", Generation, Model, true, "the call stands only inside the reasoning", "limit it with `--reasoning TOKENS`, or use `--reasoning off`";
    CallInContent, "call_in_content", Parse, Serving, false, "the raw text holds a well-formed call that the server did not read", "the server's tool parser does not fit this model; use a text dialect";
    MalformedJson, "malformed_json", Parse, Model, true, "the envelope or the arguments are not valid JSON", "use `--constraint grammar`, which cannot produce it";
    WrongEnvelope, "wrong_envelope", Parse, Model, true, "a call was attempted, but not in the dialect's form", "use `--constraint grammar`, `--few-shot 2`, or another `--dialect`";
    StreamMismatch, "stream_mismatch", Parse, Serving, false, "the streamed and the whole reply disagree", "update the server, or turn streaming off";
    MissingCall, "missing_call", Decision, Model, false, "a call was needed and the model answered in words", "use `--tool-choice required` if a call is always wanted, or `--few-shot 2`";
    UnwantedCall, "unwanted_call", Decision, Model, false, "nothing should have been called, or the model should have asked back", "constrained decoding often makes it worse: compare `--constraint off,grammar`; say in the system prompt when to abstain";
    UnknownTool, "unknown_tool", Selection, Model, true, "the tool named is not in the offered list", "use `--constraint grammar`, which offers only existing names";
    WrongTool, "wrong_tool", Selection, Model, false, "an offered tool was called that this case does not accept", "make the tools' descriptions differ more, or offer fewer tools";
    MissingRequired, "missing_required", Schema, Model, true, "a required argument is absent", "use `--constraint grammar`, or `--max-corrections 2`";
    UnexpectedParam, "unexpected_param", Schema, Model, true, "an argument is given that the schema does not know", "use `--constraint grammar`, or `--max-corrections 2`";
    TypeMismatch, "type_mismatch", Schema, Model, true, "an argument has the wrong JSON type", "use `--constraint grammar`, or `--max-corrections 2`";
    EnumViolation, "enum_violation", Schema, Model, true, "an argument is not one of the values the schema lists", "use `--constraint grammar`, or `--max-corrections 2`";
    ConstraintViolation, "constraint_violation", Schema, Model, true, "an argument breaks a bound, a length, a pattern or a format of the schema", "use `--max-corrections 2`; not every bound can be held by a grammar";
    WrongValue, "wrong_value", Value, Model, false, "the arguments are valid, but not what was asked for", "a larger model, or descriptions that say how to convert and fill in values";
    MissingOptional, "missing_optional", Value, Model, false, "an argument that this case needs was left out", "say in the tool's description when the argument matters";
    HallucinatedValue, "hallucinated_value", Value, Model, false, "an argument's value, normalised, appears nowhere in messages, results, enums or defaults", "a larger model, or ask for missing information in the system prompt";
    TooFewCalls, "too_few_calls", Plurality, Model, false, "some of the needed calls were not made", "raise `--max-turns` if it ran out; otherwise a larger model";
    TooManyCalls, "too_many_calls", Plurality, Model, false, "calls were made beyond those needed", "say in the system prompt to call only what is needed";
    DuplicateCall, "duplicate_call", Plurality, Model, false, "the same call was made again without need", "check that the model sees the tool's result (`-vv`)";
    WrongOrder, "wrong_order", Plurality, Model, false, "the calls are right, their order is not", "state the order in the system prompt";
    ToolErrorExpected, "tool_error_expected", Execution, Scripted, false, "the case's own scripted error; how the model recovers is what is scored", "nothing: it is part of the case";
    ToolErrorModel, "tool_error_model", Execution, Model, true, "the tool refused arguments that its schema allows", "say the rule in the tool's description or schema";
    ToolErrorEnv, "tool_error_env", Execution, Tool, false, "the tool failed for reasons of its own", "the exclusions say what the server said; of one started with `--stdio`, `-v` shows its standard error";
    ToolTimeout, "tool_timeout", Execution, Tool, false, "the tool did not answer in time", "raise `--tool-timeout`, or look at the tool server";
    McpProtocolError, "mcp_protocol_error", Execution, Tool, false, "the tool server broke the MCP protocol or ended", "the exclusions say what the server said; of one started with `--stdio`, `-v` shows its standard error";
    StateMismatch, "state_mismatch", Outcome, Model, false, "the calls were accepted, the state they left is not the one asked for", "read the trial with `toolbench report RUN --format jsonl`";
    AnswerMismatch, "answer_mismatch", Outcome, Model, false, "the final answer does not say what it must, or does not ask for what is missing", "read the trial with `toolbench report RUN --format jsonl`";
    IgnoredResult, "ignored_result", Outcome, Model, false, "the final answer does not use what the tool returned", "check that the template shows tool results to the model (`-vv`)";
    UnsafeCall, "unsafe_call", Outcome, Model, false, "a call was made that the case forbids", "do not offer it, or guard it outside the model";
    TurnLimit, "turn_limit", Budget, Model, false, "a round of the trial ran out of turns", "raise `--max-turns`";
    TrialTimeout, "trial_timeout", Budget, Model, false, "an accepted request took longer than its limit", "raise `--timeout`, or use a smaller model or faster hardware";
    CorrectionsExhausted, "corrections_exhausted", Budget, Model, false, "every allowed correction was used and the call is still invalid", "read the code beside it: that is what the model could not mend";
    ScorerError, "scorer_error", Harness, Harness, false, "toolbench failed while judging", "report it with the run directory";
    CaseInvalid, "case_invalid", Harness, Harness, false, "the case contradicts itself or its tools", "run `toolbench suite check`";
    Cancelled, "cancelled", Harness, Harness, false, "the run was interrupted during the trial", "`--resume` the run";
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.name() == text)
            .ok_or_else(|| format!("unknown code `{text}`"))
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// What is wrong.
    pub code: Code,
    /// Index of the call in the reply (attempt stages) or among executed calls (trial stages).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<usize>,
    /// The tool concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// JSON pointer into the arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The schema keyword that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// The part of the schema that was broken, for correction messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The value would pass if its type were converted ("10" for 10).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coercible: bool,
    /// One sentence for people. Never contains the expected value where `correctable`.
    pub message: String,
}

impl Violation {
    /// A finding with nothing but its message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            call: None,
            tool: None,
            pointer: None,
            keyword: None,
            schema: None,
            coercible: false,
            message: message.into(),
        }
    }
}

/// The primary finding: the first in stage order, then in the order found.
pub fn primary(violations: &[Violation]) -> Option<&Violation> {
    violations
        .iter()
        .enumerate()
        .min_by_key(|(index, violation)| (violation.code.stage(), *index))
        .map(|(_, violation)| violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_agree_with_serde_and_parse_back() {
        for &code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name(), "{code:?}");
            assert_eq!(code.name().parse::<Code>().unwrap(), code);
            assert!(!code.meaning().is_empty() && !code.help().is_empty());
        }
    }

    #[test]
    fn codes_are_listed_in_stage_order() {
        assert!(
            Code::ALL
                .windows(2)
                .all(|pair| pair[0].stage() <= pair[1].stage())
        );
    }

    #[test]
    fn the_first_stage_is_primary() {
        let found = [
            Violation::new(Code::WrongValue, "b"),
            Violation::new(Code::TypeMismatch, "a"),
        ];
        assert_eq!(primary(&found).unwrap().code, Code::TypeMismatch);
    }
}
