//! The calls of a turn, and which of them the model's server has run itself.
//!
//! Data in: the steering reading of a reply, the reply. Data out: calls, each with its result where
//! there is one already. Invariants: a result belongs to one call; an answer counts only where the
//! server has run every call, since only then could it know the results.

use crate::types::decoded::Reading;
use crate::types::{GenerateReply, ToolCall, ToolResult, WireNames};

/// The calls of a turn.
pub(super) struct ReadCalls {
    pub(super) calls: Vec<ToolCall>,
    /// For each, its result where the server has run it itself.
    pub(super) served: Vec<Option<ToolResult>>,
    /// What the server answered after it had run them all.
    pub(super) answer: Option<String>,
    /// The reply as it came.
    pub(super) raw: String,
    /// Index of the leg that wrote it.
    pub(super) leg: usize,
}

impl ReadCalls {
    /// Of the steering reading of a reply. A call that the server has run is told from others by
    /// name and arguments, since the reading may come from the text.
    pub(super) fn of(steering: Reading, reply: GenerateReply, names: &WireNames) -> Self {
        let mut left: Vec<_> = reply.executed.iter().collect();
        let served: Vec<Option<ToolResult>> = steering
            .calls
            .iter()
            .map(|call| {
                let at = left.iter().position(|result| {
                    reply.calls.get(result.call).is_some_and(|run| {
                        names.own(&run.name) == call.name && run.arguments == call.arguments
                    })
                })?;
                let result = left.remove(at);
                Some(ToolResult {
                    is_error: result.is_error,
                    ..ToolResult::ok(&result.content)
                })
            })
            .collect();
        let all_run = served.iter().all(Option::is_some);
        let answer = steering
            .thought
            .filter(|text| all_run && !text.trim().is_empty());
        Self {
            calls: steering.calls,
            served,
            answer,
            raw: reply.text,
            leg: 0,
        }
    }
}
