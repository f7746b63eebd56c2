//! The words of DESIGN §2 as data: what every other module hands to the next.
//!
//! Data in: nothing. Data out: plain, owned, serialisable values.
//! Invariants: no I/O, no async, no clock, no environment; everything that is stored in a
//! record is defined here, so live and stored forms cannot drift apart.

pub mod cell;
mod command_line;
pub mod conversation;
pub mod decoded;
pub mod ending;
pub mod endpoint;
pub mod expectation;
pub mod facts;
pub mod fence;
pub mod fingerprint;
pub mod gbnf;
pub mod generate;
pub mod grammar;
pub mod hash;
pub mod host;
pub mod hybrid;
pub mod looks;
pub mod matcher;
pub mod names;
pub mod outcome;
pub mod pattern;
pub mod price;
pub mod probe;
pub mod protocol;
pub mod secret;
pub mod server;
pub mod settings;
pub mod shard;
pub mod suite;
pub mod tier;
pub mod tool;
pub mod tool_server;
pub mod trial;
pub mod violation;
pub mod words;

pub use cell::{CellKey, Constraint, DialectName, Leniency, ToolChoice, Variant};
pub use conversation::{Message, Role};
pub use decoded::{Decoded, Reading, Repair};
pub use ending::{EarlyEnd, EndedBy};
pub use facts::{Mechanism, ModelFacts, Route, Wire, WirePreference};
pub use generate::{
    ConstraintText, GenerateReply, GenerateRequest, Prompt, ProviderError, Sampling, ServerResult,
    StopReason, Timing, Usage,
};
pub use grammar::{Grammar, Node};
pub use hash::{ContentHash, canonical_json};
pub use hybrid::{FallbackCause, FallbackRules};
pub use names::{did_you_mean, shell_word};
pub use outcome::Outcome;
pub use price::Price;
pub use settings::{Setting, TrialRules};
pub use suite::{Case, Suite};
pub use tool::{ToolCall, ToolDefinition, ToolResult, WireNames};
pub use trial::{AttemptRecord, CallRecord, TrialRecord, TrialTime};
pub use violation::{Class, Code, Stage, Violation};
