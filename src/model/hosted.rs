//! What the hosted protocols share: a reply collected from its pieces, conversations made ready for
//! services that pair calls and results by id, and the page of what a service offers.
//!
//! Data in: what came over the wire. Data out: a [`GenerateReply`]. Invariants: a time limit that
//! passes while pieces come is a reply; a stream that ends before its own end is no reply; what is
//! not known is left at zero or absent, never guessed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::{Answer, Broken, HttpClient, Limits, broken_off};
use crate::clock::Stopwatch;
use crate::types::endpoint::Endpoint;
use crate::types::generate::{GenerateReply, ProviderError, ServerResult, Timing, Usage};
use crate::types::{GenerateRequest, Message, Role, Sampling, StopReason, ToolCall};

/// Limit of asking a service about itself, in milliseconds.
pub(super) const ASK_LIMIT_MS: u64 = 20_000;
/// Most things kept for the next turn of a conversation.
const MOST_KEPT: usize = 20_000;

/// A reply as it comes in.
pub(super) struct Collector {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<ToolCall>,
    pub(super) executed: Vec<ServerResult>,
    pub(super) stop: Option<StopReason>,
    pub(super) usage: Usage,
    pub(super) timing: Timing,
    /// What came over, put together again; kept where it is more than text.
    pub(super) payload: Option<Value>,
    first_ms: Option<f64>,
    last_ms: f64,
    /// From sending to the head of the answer, and what has passed since.
    head_ms: f64,
    watch: Stopwatch,
    total_ms: f64,
}

impl Collector {
    /// For an answer whose head has come.
    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            text: String::new(),
            reasoning: String::new(),
            calls: Vec::new(),
            executed: Vec::new(),
            stop: None,
            usage: Usage::default(),
            timing: Timing {
                retries: answer.retries,
                waited_ms: answer.waited_ms,
                ..Timing::default()
            },
            payload: None,
            first_ms: None,
            last_ms: 0.0,
            head_ms: answer.elapsed_ms(),
            watch: Stopwatch::start(),
            total_ms: 0.0,
        }
    }

    /// Something that the model wrote came now.
    pub(super) fn wrote(&mut self, at_ms: f64) {
        self.first_ms.get_or_insert(at_ms);
        self.last_ms = at_ms;
    }

    /// All has come, or `broken` cut it short: what a time limit cut is a reply all the same.
    fn settled(mut self, broken: Option<Broken>) -> Result<Self, Broken> {
        match broken {
            Some(Broken::TimeLimit) => self.stop = Some(StopReason::TimeLimit),
            Some(other) => return Err(other),
            None if self.stop.is_none() => {
                return Err(broken_off("the stream ended before its own end"));
            }
            None => {}
        }
        self.total_ms = self.head_ms + self.watch.elapsed_ms();
        Ok(self)
    }

    /// The reply. Times are as seen from here, unless the service has told its own.
    fn reply(mut self, request: &GenerateRequest) -> GenerateReply {
        let load_ms = self.timing.load_ms.unwrap_or_default();
        self.timing.total_ms = (self.total_ms - load_ms).max(0.0);
        if let Some(first) = self.first_ms {
            self.timing.first_token_ms = Some((first - load_ms).max(0.0));
            if self.timing.decode_ms <= 0.0 {
                self.timing.decode_ms = self.last_ms - first;
            }
        }
        let more_than_text =
            !self.calls.is_empty() || !self.reasoning.is_empty() || !self.executed.is_empty();
        let payload = self.payload.filter(|_| more_than_text);
        GenerateReply {
            calls: self.calls,
            executed: self.executed,
            reasoning: Some(self.reasoning).filter(|text| !text.is_empty()),
            payload: payload.map(|payload| payload.to_string()),
            usage: self.usage,
            timing: self.timing,
            constrained: request.constraint.is_some(),
            ..GenerateReply::of_text(self.text, self.stop.unwrap_or(StopReason::Stop))
        }
    }
}

/// Sends a body and collects the reply, again where the connection breaks. `read` gives what came
/// and what broke it off.
pub(super) async fn ask<F>(
    client: &HttpClient,
    path: &str,
    body: &Value,
    request: &GenerateRequest,
    cancel: &CancellationToken,
    read: impl Fn(Answer) -> F,
) -> Result<GenerateReply, ProviderError>
where
    F: Future<Output = (Collector, Option<Broken>)>,
{
    let limits = Limits {
        limit_ms: request.time_limit_ms,
        cancel,
    };
    let collected = client
        .ask(path, body, limits, |answer| {
            let reading = read(answer);
            async {
                let (collector, broken) = reading.await;
                collector.settled(broken)
            }
        })
        .await;
    match collected {
        Ok(collector) => Ok(collector.reply(request)),
        Err(broken) => Err(failure(broken, request.time_limit_ms)),
    }
}

/// What broke a question off, as an error.
pub(super) fn failure(broken: Broken, limit_ms: u64) -> ProviderError {
    match broken {
        Broken::Failed(error) => error,
        Broken::Cancelled => ProviderError::Cancelled,
        // Nothing that could be read had come by then.
        Broken::TimeLimit => ProviderError::Unanswered { limit_ms },
    }
}

/// The whole of an answer as JSON, or what is to be said in place of it: a reply that was slow.
pub(super) async fn whole(answer: Answer) -> Result<Value, Broken> {
    answer.json().await.map(|(value, _)| value)
}

/// Asks a service about itself.
pub(super) fn asking(cancel: &CancellationToken) -> Limits<'_> {
    Limits {
        limit_ms: ASK_LIMIT_MS,
        cancel,
    }
}

/// A count as it stands in a service's report.
pub(super) fn count(value: &Value, key: &str) -> u32 {
    value[key]
        .as_u64()
        .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// The text at a key; empty where there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Seeds of services are signed and small.
pub(super) fn small_seed(seed: u64) -> u64 {
    seed % (1 << 31)
}

/// Sampling that a service has no field for is refused where it is asked for: a run that left it out
/// would be named by settings that it did not have.
pub(super) fn refuse_sampling(
    endpoint: &Endpoint,
    sampling: &Sampling,
    unknown: &[&str],
) -> Result<(), ProviderError> {
    let used = [
        ("min_p", sampling.min_p > 0.0),
        (
            "repeat_penalty",
            (sampling.repeat_penalty - 1.0).abs() > 1e-6,
        ),
        ("top_k", !sampling.is_greedy() && sampling.top_k > 0),
        ("top_p", !sampling.is_greedy() && sampling.top_p < 1.0),
    ];
    let refused = |name: &str| unknown.contains(&name) || endpoint.refuses(name);
    match used.iter().find(|(name, used)| *used && refused(name)) {
        None => Ok(()),
        Some((name, _)) => Err(ProviderError::Rejected {
            detail: format!(
                "`{}` has no setting `{name}`; leave `--{}` at its default",
                endpoint.preset,
                name.replace('_', "-")
            ),
        }),
    }
}

/// The reason why a request cannot go over this wire.
pub(super) fn no_raw_text(service: &str) -> ProviderError {
    ProviderError::Rejected {
        detail: format!("{service} takes messages, no raw text"),
    }
}

/// The endpoint with a header that its service wants, unless the user gives another.
pub(super) fn with_header(endpoint: &Endpoint, name: &str, value: &str) -> Endpoint {
    let mut endpoint = endpoint.clone();
    let known = |(known, _): &(String, _)| known.eq_ignore_ascii_case(name);
    if !endpoint.headers.iter().any(known) {
        let value = crate::types::secret::Secret::new(value);
        endpoint.headers.push((name.to_owned(), value));
    }
    endpoint
}

/// Messages in which every call has an id and every result names the call that it answers. Those of
/// a written history have none: they are paired in order.
pub(super) fn with_ids(messages: &[Message]) -> Vec<Message> {
    let mut messages = messages.to_vec();
    let mut open: Vec<(String, String)> = Vec::new();
    let mut given = 0;
    for message in &mut messages {
        for call in &mut message.tool_calls {
            let id = call.id.get_or_insert_with(|| {
                given += 1;
                format!("call_h{given}")
            });
            open.push((id.clone(), call.name.clone()));
        }
        if message.role != Role::Tool {
            continue;
        }
        let named = |(id, name): &(String, String)| match &message.tool_call_id {
            Some(wanted) => wanted == id,
            None => message.tool_name.as_ref().is_none_or(|tool| tool == name),
        };
        if let Some(at) = open.iter().position(named) {
            let (id, name) = open.remove(at);
            message.tool_call_id = Some(id);
            message.tool_name.get_or_insert(name);
        }
    }
    messages
}

/// System texts apart from the conversation.
pub(super) fn split_system(messages: &[Message]) -> (String, Vec<&Message>) {
    let (system, rest): (Vec<&Message>, Vec<&Message>) = messages
        .iter()
        .partition(|message| message.role == Role::System);
    let texts: Vec<&str> = system
        .iter()
        .map(|message| message.content.as_str())
        .filter(|text| !text.is_empty())
        .collect();
    (texts.join("\n\n"), rest)
}

/// What a service wants to see again in the next turn (signatures of thoughts), by call id.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<String, Value>>);

impl Kept {
    pub(super) fn keep(&self, call: &str, value: Value) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_KEPT {
            // Conversations as old as these are over.
            kept.clear();
        }
        kept.insert(call.to_owned(), value);
    }

    pub(super) fn of(&self, call: Option<&str>) -> Option<Value> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(call?).cloned()
    }
}

/// Arguments that came as text: parsed, or kept as the text they are, for validation to see.
pub(super) fn arguments_of(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_history_are_paired_with_their_results() {
        let call = ToolCall::new("a", Value::Null);
        let second = ToolCall::new("b", Value::Null);
        let messages = [
            Message::assistant_calls("", vec![call.clone(), second.clone()]),
            Message::tool_result(&second, "two"),
            Message::tool_result(&call, "one"),
        ];
        let paired = with_ids(&messages);
        assert_eq!(paired[1].tool_call_id, paired[0].tool_calls[1].id);
        assert_eq!(paired[2].tool_call_id, paired[0].tool_calls[0].id);
    }

    #[test]
    fn arguments_that_are_no_json_stay_text() {
        assert_eq!(arguments_of(""), serde_json::json!({}));
        assert_eq!(arguments_of("{\"a\":1}"), serde_json::json!({"a": 1}));
        assert_eq!(arguments_of("{a"), Value::from("{a"));
    }
}
