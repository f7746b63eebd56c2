//! The `native` dialect: the chat template's own tool form.
//!
//! Data in and out: over raw text, calls in the [`NativeForm`] read off the template; over chat
//! with tools, the calls the server read. Text before the first call is the thought; text alone
//! is the answer.
//! Invariants: after the first call only calls and white space follow. On a template without
//! tools (the plan excludes it) the Hermes form is described in the system text instead.

use serde_json::Value;

use super::native_form::{Layout, NativeForm};
use super::prompt_text::{Writer, instructions, system_text};
use super::reading::{self, Reader, exact_call, fault, leading_json};
use super::{Dialect, Encoded, Offer, chat, envelope};
use crate::types::cell::Reasoning;
use crate::types::suite::Example;
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Grammar, Message, Reading, Role, ToolCall,
    ToolChoice, Violation, Wire,
};

const PROMPT: &str = include_str!("prompts/native.txt");

/// The dialect.
pub struct Native;

impl Dialect for Native {
    fn name(&self) -> DialectName {
        DialectName::Native
    }

    fn encode(&self, offer: &Offer, messages: &[Message]) -> Encoded {
        let template = chat::template(offer);
        let traits = template.as_ref().map(|template| template.traits());
        let shows_tools = match offer.route.wire {
            Wire::ChatWithTools => true,
            Wire::Chat => false,
            Wire::RawText => traits.is_some_and(|traits| traits.has_tools),
        };
        let form = traits
            .and_then(|traits| traits.form.clone())
            .unwrap_or_default();
        let structured = shows_tools;
        let replays_raw = traits.is_none_or(|traits| traits.replays_raw);
        let writer = NativeWriter {
            form: &form,
            structured,
            replays_raw: replays_raw && offer.route.wire != Wire::ChatWithTools,
            thoughts: offer.reasoning != Reasoning::Off,
        };
        let example = ToolCall::new("TOOL_NAME", serde_json::json!({"ARGUMENT": "VALUE"}));
        let system = if shows_tools {
            own_system(offer)
        } else {
            system_text(offer, PROMPT, &form.write(&[example]))
        };
        let script = chat::Script {
            system,
            shared: writer.examples(offer),
            messages: messages
                .iter()
                .map(|message| writer.message(message))
                .collect(),
            tools: if shows_tools {
                offer.tools.clone()
            } else {
                Vec::new()
            },
            stop: Vec::new(),
        };
        chat::encode(offer, script)
    }

    fn grammar(&self, offer: &Offer) -> Grammar {
        envelope::grammar(DialectName::Native, offer, Some(&form(offer)))
    }

    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded {
        if offer.route.wire == Wire::ChatWithTools {
            return decode_served(offer, reply);
        }
        decode_text(offer, reply)
    }
}

/// The form of the offer's template.
fn form(offer: &Offer) -> NativeForm {
    chat::template(offer)
        .and_then(|template| template.traits().form.clone())
        .unwrap_or_default()
}

/// The case's system prompt and what the tool choice adds; the template lists the tools.
fn own_system(offer: &Offer) -> String {
    let mut parts = vec![
        offer
            .system
            .clone()
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        instructions(offer, PROMPT),
    ];
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

struct NativeWriter<'a> {
    form: &'a NativeForm,
    /// Calls stay calls and results stay results: the template writes them.
    structured: bool,
    /// Raw replies are replayed as text.
    replays_raw: bool,
    thoughts: bool,
}

impl NativeWriter<'_> {
    /// A message as the template gets it. A reply of this run is replayed by its raw text, so
    /// that the model sees what it wrote, unless the template cannot take that.
    fn message(&self, message: &Message) -> Message {
        match message.role {
            Role::Assistant if message.tool_calls.is_empty() => message.clone(),
            Role::Assistant if self.replays_raw && !message.content.is_empty() => {
                Message::text(Role::Assistant, &message.content)
            }
            Role::Assistant if self.structured => {
                Message::assistant_calls("", message.tool_calls.clone())
            }
            Role::Assistant => {
                Message::text(Role::Assistant, self.calls(None, &message.tool_calls))
            }
            Role::Tool if !self.structured => {
                Message::text(Role::User, chat::tool_response(message))
            }
            Role::Tool | Role::User | Role::System => message.clone(),
        }
    }

    fn examples(&self, offer: &Offer) -> Vec<Message> {
        offer
            .examples
            .iter()
            .flat_map(|example| self.example(offer.tool_choice, example))
            .collect()
    }

    fn example(&self, choice: ToolChoice, example: &Example) -> Vec<Message> {
        let calls = choice != ToolChoice::None && !example.calls.is_empty();
        let answer = choice != ToolChoice::Required && !example.answer.is_empty();
        if !calls && !answer {
            return Vec::new();
        }
        let mut turns = vec![Message::text(Role::User, &example.user)];
        if calls {
            turns.push(self.message(&Message::assistant_calls("", example.calls.clone())));
            for (call, result) in example.calls.iter().zip(&example.results) {
                turns.push(self.message(&Message::tool_result(call, result.clone())));
            }
        }
        if answer {
            turns.push(Message::text(Role::Assistant, &example.answer));
        }
        turns
    }
}

impl Writer for NativeWriter<'_> {
    fn calls(&self, thought: Option<&str>, calls: &[ToolCall]) -> String {
        let text = self.form.write(calls);
        match thought.filter(|_| self.thoughts) {
            Some(thought) => format!("{thought}\n{text}"),
            None => text,
        }
    }

    fn answer(&self, _thought: Option<&str>, answer: &str) -> String {
        answer.to_owned()
    }

    fn results(&self, results: &[(String, String)]) -> String {
        let texts: Vec<String> = results
            .iter()
            .map(|(_, content)| format!("<tool_response>\n{content}\n</tool_response>"))
            .collect();
        texts.join("\n")
    }
}

fn decode_text(offer: &Offer, reply: &GenerateReply) -> Decoded {
    let form = form(offer);
    reading::decode(
        &Reader {
            dialect: DialectName::Native,
            offer,
            form: Some(&form),
            strict: &|text| strict(&form, text),
            has_opener: &|text| call_start(&form, text).is_some(),
            text_is_answer: true,
            is_words: &|_| true,
        },
        reply,
    )
}

/// The server read the calls: its reading is the strict one. A call in the text that it did not
/// read is the server's fault, not the model's.
fn decode_served(offer: &Offer, reply: &GenerateReply) -> Decoded {
    if reply.calls.is_empty() {
        let mut decoded = decode_text(offer, reply);
        if !decoded.lenient.calls.is_empty() {
            let violation = Violation::new(
                Code::CallInContent,
                "the text holds a call that the server did not read",
            );
            decoded.strict.calls.clear();
            decoded.strict.answer = None;
            decoded.strict.violations = vec![violation];
        }
        return decoded;
    }
    reading::decode_calls(reply)
}

/// Where the first call starts.
fn call_start(form: &NativeForm, text: &str) -> Option<usize> {
    if !form.is_bare() {
        return text.find(form.text_opener.as_str());
    }
    let Layout::Object { name_key, .. } = &form.layout else {
        return None;
    };
    let lead = text.len() - text.trim_start().len();
    let starts = text[lead..].starts_with(form.text_opener.as_str());
    let quoted = format!("\"{name_key}\"");
    let inside = || {
        text.match_indices(&quoted)
            .find_map(|(at, _)| text[..at].trim_end().strip_suffix('{').map(str::len))
    };
    if starts { Some(lead) } else { inside() }
}

fn strict(form: &NativeForm, text: &str) -> Reading {
    let text = text.trim();
    let Some(start) = call_start(form, text) else {
        return Reading {
            answer: Some(text.to_owned()),
            ..Reading::default()
        };
    };
    let thought = Some(text[..start].trim().to_owned()).filter(|text| !text.is_empty());
    let read = match &form.layout {
        Layout::Object { list: true, .. } => read_list(form, &text[start..]),
        Layout::Object { .. } if form.is_bare() => read_bare(form, &text[start..]),
        Layout::Object { .. } => read_tagged(form, &text[start..], read_object),
        Layout::Tagged => read_tagged(form, &text[start..], read_named),
    };
    match read {
        Ok(calls) => Reading {
            calls,
            thought,
            ..Reading::default()
        },
        Err((code, message)) => fault(code, message),
    }
}

type Fault = (Code, String);

fn wrong(message: &str) -> Fault {
    (Code::WrongEnvelope, message.to_owned())
}

fn malformed(message: String) -> Fault {
    (Code::MalformedJson, message)
}

fn call_of(form: &NativeForm, value: &Value) -> Result<ToolCall, Fault> {
    let Layout::Object {
        name_key,
        arguments_key,
        ..
    } = &form.layout
    else {
        return Err(wrong("the call is not in the template's form"));
    };
    let Value::Object(map) = value else {
        return Err(wrong("a call must be a JSON object"));
    };
    exact_call(map, name_key, arguments_key, &["id", "type"])
        .map_err(|message| (Code::WrongEnvelope, message))
}

/// `[TOOL_CALLS] [{…}, {…}]`.
fn read_list(form: &NativeForm, text: &str) -> Result<Vec<ToolCall>, Fault> {
    let opener = form.text_opener.as_str();
    let body = if opener == "[" {
        text
    } else {
        text.strip_prefix(opener).unwrap_or(text).trim_start()
    };
    let (value, end) = leading_json(body).map_err(malformed)?;
    let Value::Array(items) = &value else {
        return Err(wrong("the calls must be a JSON list"));
    };
    if items.is_empty() {
        return Err(wrong("the list of calls is empty"));
    }
    let calls = items
        .iter()
        .map(|item| call_of(form, item))
        .collect::<Result<_, _>>()?;
    let closer = form.closer.trim().trim_start_matches(']').trim_start();
    let rest = body[end..].trim_start();
    let rest = rest.strip_prefix(closer).unwrap_or(rest);
    if rest.trim().is_empty() {
        Ok(calls)
    } else {
        Err(wrong("there is text after the calls"))
    }
}

/// Bare objects, separated by white space or `;`.
fn read_bare(form: &NativeForm, text: &str) -> Result<Vec<ToolCall>, Fault> {
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if !rest.starts_with('{') {
            return Err(wrong("there is text after the call"));
        }
        let (value, end) = leading_json(rest).map_err(malformed)?;
        calls.push(call_of(form, &value)?);
        rest = rest[end..].trim_start_matches(|c: char| c.is_whitespace() || c == ';');
    }
    Ok(calls)
}

type ReadOne = fn(&NativeForm, &str) -> Result<(ToolCall, usize), Fault>;

/// Calls between the template's opener and closer.
fn read_tagged(form: &NativeForm, text: &str, read: ReadOne) -> Result<Vec<ToolCall>, Fault> {
    let opener = form.text_opener.as_str();
    let closer = form.closer.trim();
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let body = rest
            .strip_prefix(opener)
            .ok_or_else(|| wrong("there is text after the call"))?;
        let (call, end) = read(form, body)?;
        calls.push(call);
        rest = body[end..]
            .trim_start()
            .strip_prefix(closer)
            .ok_or_else(|| wrong("the call is not closed as the template closes it"))?
            .trim_start();
    }
    Ok(calls)
}

fn read_object(form: &NativeForm, body: &str) -> Result<(ToolCall, usize), Fault> {
    let (value, end) = leading_json(body).map_err(malformed)?;
    Ok((call_of(form, &value)?, end))
}

/// `NAME middle {…}` after the opener.
fn read_named(form: &NativeForm, body: &str) -> Result<(ToolCall, usize), Fault> {
    let middle = form.middle.trim();
    let name_end = if middle.is_empty() {
        body.find('{')
    } else {
        body.find(middle)
    };
    let name_end = name_end.ok_or_else(|| wrong("the call has no arguments"))?;
    let name = body[..name_end].trim();
    if name.is_empty() {
        return Err(wrong("the call names no tool"));
    }
    let arguments_at = name_end + middle.len();
    let (arguments, end) = leading_json(&body[arguments_at..]).map_err(malformed)?;
    Ok((ToolCall::new(name, arguments), arguments_at + end))
}
