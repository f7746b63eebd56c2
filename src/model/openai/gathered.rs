//! What of a reply has come, from any page of the family.
//!
//! Data in: whole replies and pieces, with the time of each. Data out: a [`GenerateReply`].
//! Invariants: numbers are the server's own, or absent; the first token is the first piece that holds
//! text, reasoning or a call.

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::calls::{self, CallParts};
use super::strict;
use crate::model::backoff::refusal;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, Prompt, ProviderError, StopReason, Timing,
    Usage,
};

/// The parts of a reply.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    pub(super) text: String,
    pub(super) reasoning: String,
    pub(super) calls: Vec<CallParts>,
    pub(super) stop: Option<StopReason>,
    pub(super) usage: Usage,
    retries: u32,
    waited_ms: Option<f64>,
    pub(super) total_ms: f64,
    times: Times,
}

/// When pieces came, in milliseconds since the request was sent, and what the server measured.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_field_names, reason = "units end names")]
struct Times {
    prefill_ms: Option<f64>,
    decode_ms: Option<f64>,
    first_ms: Option<f64>,
    last_ms: f64,
    /// First and last piece of reasoning.
    thought_ms: Option<(f64, f64)>,
}

type Shape = Result<(), String>;

/// An error that stands where a reply should, as a few servers send with status 200 or in a stream.
pub(super) fn error_of(value: &Value) -> Option<ProviderError> {
    let error = value.get("error").filter(|error| !error.is_null())?;
    let code = error.get("code").or_else(|| value.get("code"));
    let status = code
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| (400..600).contains(code))
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(refusal(status, &HeaderMap::new(), &value.to_string(), None).error)
}

impl Gathered {
    /// Nothing yet of an answer that took so many tries.
    pub(super) fn after(retries: u32, waited_ms: Option<f64>) -> Self {
        Self {
            retries,
            waited_ms,
            ..Self::default()
        }
    }

    /// Something of the reply has come.
    pub(super) fn has_begun(&self) -> bool {
        !self.text.is_empty() || !self.reasoning.is_empty() || !self.calls.is_empty()
    }

    /// A piece came at this time.
    pub(super) fn mark(&mut self, at_ms: f64) {
        self.times.first_ms.get_or_insert(at_ms);
        self.times.last_ms = at_ms;
    }

    /// A piece of reasoning came at this time.
    pub(super) fn mark_thought(&mut self, at_ms: f64) {
        self.mark(at_ms);
        let first = self.times.thought_ms.map_or(at_ms, |(first, _)| first);
        self.times.thought_ms = Some((first, at_ms));
    }

    /// `POST /chat/completions`, whole.
    pub(super) fn chat_whole(&mut self, value: &Value) -> Shape {
        let choice = value
            .pointer("/choices/0")
            .ok_or("the reply has no choices")?;
        let message = choice.get("message").ok_or("the choice has no message")?;
        self.message(message, None);
        self.finish(choice);
        self.numbers(value);
        self.stop.get_or_insert(StopReason::Stop);
        Ok(())
    }

    /// One chunk of a streamed chat completion. The one with the usage has no choice.
    pub(super) fn chat_piece(&mut self, value: &Value, at_ms: f64) -> Shape {
        let choices = value.get("choices").and_then(Value::as_array);
        if let Some(choice) = choices.and_then(|choices| choices.first()) {
            if let Some(delta) = choice.get("delta").or_else(|| choice.get("message")) {
                self.message(delta, Some(at_ms));
            }
            self.finish(choice);
        } else if value.get("usage").is_none() && choices.is_none() {
            return Err("the event has neither choices nor usage".to_owned());
        }
        self.numbers(value);
        Ok(())
    }

    fn message(&mut self, message: &Value, at_ms: Option<f64>) {
        let before = self.text.len();
        let mut called = false;
        let thought = ["reasoning_content", "reasoning"]
            .iter()
            .find_map(|key| message.get(*key)?.as_str())
            .unwrap_or_default();
        self.reasoning.push_str(thought);
        match message.get("content") {
            Some(Value::String(text)) => self.text.push_str(text),
            Some(Value::Array(parts)) => {
                for text in parts.iter().filter_map(|part| part.get("text")?.as_str()) {
                    self.text.push_str(text);
                }
            }
            _ => {}
        }
        if let Some(Value::Array(pieces)) = message.get("tool_calls") {
            calls::add(&mut self.calls, pieces);
            called = !pieces.is_empty();
        }
        if let Some(call) = message.get("function_call").filter(|call| call.is_object()) {
            calls::add(&mut self.calls, std::slice::from_ref(call));
            called = true;
        }
        if let Some(at_ms) = at_ms {
            if !thought.is_empty() {
                self.mark_thought(at_ms);
            }
            if called || self.text.len() > before {
                self.mark(at_ms);
            }
        }
    }

    /// `POST /completions`, whole or a chunk of it.
    pub(super) fn completion(&mut self, value: &Value, at_ms: Option<f64>) -> Shape {
        let choices = value.get("choices").and_then(Value::as_array);
        match choices.and_then(|choices| choices.first()) {
            Some(choice) => {
                let text = choice
                    .get("text")
                    .and_then(Value::as_str)
                    .ok_or("the choice has no text")?;
                self.add_text(text, at_ms);
                self.finish(choice);
            }
            None if at_ms.is_some() && value.get("usage").is_some() => {}
            None => return Err("the reply has no choices".to_owned()),
        }
        self.numbers(value);
        if at_ms.is_none() {
            self.stop.get_or_insert(StopReason::Stop);
        }
        Ok(())
    }

    /// llama.cpp's `POST /completion`, whole or a chunk of it.
    pub(super) fn llama_completion(&mut self, value: &Value, at_ms: Option<f64>) -> Shape {
        let text = value
            .get("content")
            .and_then(Value::as_str)
            .ok_or("the reply has no content")?;
        self.add_text(text, at_ms);
        let over = at_ms.is_none() || value.get("stop") == Some(&json!(true));
        if over {
            let flag = |name: &str| value.get(name) == Some(&json!(true));
            let kind = value.get("stop_type").and_then(Value::as_str);
            self.stop = Some(match kind.unwrap_or_default() {
                "limit" if flag("truncated") => StopReason::ContextFull,
                "limit" => StopReason::MaxTokens,
                "word" => StopReason::StopText,
                "" if flag("stopped_limit") => StopReason::MaxTokens,
                "" if flag("stopped_word") => StopReason::StopText,
                _ => StopReason::Stop,
            });
            let count = |name: &str| tokens(value.get(name));
            self.usage.prompt_tokens = count("tokens_evaluated");
            self.usage.output_tokens = count("tokens_predicted");
            self.numbers(value);
        }
        Ok(())
    }

    pub(super) fn add_text(&mut self, text: &str, at_ms: Option<f64>) {
        self.text.push_str(text);
        if let Some(at_ms) = at_ms.filter(|_| !text.is_empty()) {
            self.mark(at_ms);
        }
    }

    fn finish(&mut self, choice: &Value) {
        let Some(reason) = choice.get("finish_reason").and_then(Value::as_str) else {
            return;
        };
        self.stop = Some(match reason {
            "length" => StopReason::MaxTokens,
            "model_length" => StopReason::ContextFull,
            "tool_calls" | "function_call" => StopReason::ToolCalls,
            _ => StopReason::Stop,
        });
    }

    /// Usage and times, wherever the server puts them.
    fn numbers(&mut self, value: &Value) {
        if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
            self.usage.prompt_tokens = tokens(usage.get("prompt_tokens"));
            self.usage.output_tokens = tokens(usage.get("completion_tokens"));
            self.usage.cached_tokens = tokens(
                usage
                    .pointer("/prompt_tokens_details/cached_tokens")
                    .or_else(|| usage.get("prompt_cache_hit_tokens")),
            );
            self.usage.reasoning_tokens =
                tokens(usage.pointer("/completion_tokens_details/reasoning_tokens"));
        }
        if let Some(times) = value.get("timings").filter(|times| times.is_object()) {
            let number = |name: &str| times.get(name).and_then(Value::as_f64);
            let (computed, cached) = (tokens(times.get("prompt_n")), tokens(times.get("cache_n")));
            if times.get("cache_n").is_some() {
                self.usage.cached_tokens = cached;
                self.usage.prompt_tokens = self.usage.prompt_tokens.max(computed + cached);
            } else if self.usage.prompt_tokens > computed {
                // An older build counts only what it computed.
                self.usage.cached_tokens = self.usage.prompt_tokens - computed;
            }
            self.times.prefill_ms = number("prompt_ms");
            self.times.decode_ms = number("predicted_ms");
        }
        let usage = &mut self.usage;
        usage.cached_tokens = usage.cached_tokens.min(usage.prompt_tokens);
        usage.computed_tokens = usage.prompt_tokens - usage.cached_tokens;
    }

    /// The reply. `cuts_stops`: the server knows no stop texts, so they are cut off here.
    pub(super) fn reply(mut self, request: &GenerateRequest, cuts_stops: bool) -> GenerateReply {
        let mut stop_reason = self.stop.unwrap_or(StopReason::Stop);
        if cuts_stops
            && let Some(at) = request
                .stop
                .iter()
                .filter_map(|stop| self.text.find(stop))
                .min()
        {
            self.text.truncate(at);
            stop_reason = StopReason::StopText;
        }
        let mut calls = calls::finished(&self.calls);
        if request.constraint == Some(ConstraintText::StrictTools)
            && let Prompt::Chat { tools, .. } = &request.prompt
        {
            for call in &mut calls {
                if let Some(tool) = tools.iter().find(|tool| tool.name == call.name) {
                    let came = call.arguments.take();
                    call.arguments = strict::without_added_nulls(&tool.input_schema, came);
                }
            }
        }
        if !calls.is_empty() && stop_reason == StopReason::Stop {
            stop_reason = StopReason::ToolCalls;
        }
        let with_tools = matches!(&request.prompt, Prompt::Chat { tools, .. } if !tools.is_empty());
        let payload = with_tools.then(|| self.payload(stop_reason));
        let streamed_ms = self
            .times
            .first_ms
            .map_or(0.0, |first| self.times.last_ms - first);
        GenerateReply {
            payload,
            calls,
            executed: Vec::new(),
            reasoning: Some(self.reasoning).filter(|text| !text.is_empty()),
            text: self.text,
            stop_reason,
            usage: self.usage,
            timing: Timing {
                prefill_ms: self.times.prefill_ms.unwrap_or_default(),
                first_token_ms: self.times.first_ms,
                decode_ms: self.times.decode_ms.unwrap_or(streamed_ms),
                reasoning_ms: self.times.thought_ms.map(|(first, last)| last - first),
                retries: self.retries,
                waited_ms: self.waited_ms,
                total_ms: self.total_ms,
                ..Timing::default()
            },
            constrained: request.constraint.is_some(),
            grammar_error: None,
            token_marks: Vec::new(),
            peak_memory_bytes: None,
        }
    }

    /// The message as the server gave it, its pieces put together.
    fn payload(&self, stop_reason: StopReason) -> String {
        let calls: Vec<Value> = self
            .calls
            .iter()
            .map(|call| {
                let arguments = match &call.value {
                    Some(value) => value.clone(),
                    None => Value::String(call.text.clone()),
                };
                json!({"id": call.id, "name": call.name, "arguments": arguments})
            })
            .collect();
        json!({
            "content": self.text, "reasoning": self.reasoning, "tool_calls": calls,
            "finish_reason": stop_reason,
        })
        .to_string()
    }
}

pub(super) fn tokens(value: Option<&Value>) -> u32 {
    value
        .and_then(Value::as_u64)
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or_default()
}
