//! The `fenced` dialect: text, or calls in code fences labelled `tool`.
//!
//! Data in and out: blocks of "```tool", a line with `{"tool":NAME,"arguments":{…}}`, "```".
//! Text before the first block is the thought; text alone is the answer.
//! Invariants: after the first block only blocks and white space follow; each fence stands on a
//! line of its own.

use serde_json::Value;

use super::json::call_object;
use super::prompt_text::{Writer, example_turns, system_text, written_messages};
use super::reading::{self, Reader, exact_call, fault, leading_json};
use super::{Dialect, Encoded, Offer, chat, envelope};
use crate::types::cell::Reasoning;
use crate::types::fence::union_of_calls;
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Grammar, Message, Reading, Repair, ToolCall,
};

const PROMPT: &str = include_str!("prompts/fenced.txt");
const OPENER: &str = "```tool";
const CLOSER: &str = "```";
/// Start of a tool result: a model that goes on to invent one is stopped there.
const RESULT_OPENER: &str = "```result";

/// The dialect.
pub struct Fenced;

impl Dialect for Fenced {
    fn name(&self) -> DialectName {
        DialectName::Fenced
    }

    fn encode(&self, offer: &Offer, messages: &[Message]) -> Encoded {
        let writer = FencedWriter {
            thoughts: offer.reasoning != Reasoning::Off,
        };
        let script = chat::Script {
            system: system_text(offer, PROMPT, ""),
            shared: example_turns(offer, &writer),
            messages: written_messages(messages, &writer),
            tools: Vec::new(),
            stop: vec![RESULT_OPENER.to_owned()],
        };
        chat::encode(offer, script)
    }

    fn grammar(&self, offer: &Offer) -> Grammar {
        envelope::grammar(DialectName::Fenced, offer, None)
    }

    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded {
        let decoded = reading::decode(
            &Reader {
                dialect: DialectName::Fenced,
                offer,
                form: None,
                strict: &strict,
                has_opener: &|text| text.contains(OPENER),
                text_is_answer: true,
                is_words: &|_| true,
            },
            reply,
        );
        with_served_calls(decoded, reply)
    }
}

/// A server may read fences by itself and tell the calls apart from the text, leaving them there or
/// not. One told in both places counts once; a slip of form in the text stays a slip.
fn with_served_calls(mut decoded: Decoded, reply: &GenerateReply) -> Decoded {
    let mended = !decoded.strict.violations.is_empty() && !decoded.lenient.calls.is_empty();
    if mended && decoded.lenient.repairs.is_empty() {
        // Nothing but the fence itself was out of form.
        decoded.lenient.repairs.push(Repair::CodeFence);
    }
    if reply.calls.is_empty() {
        return decoded;
    }
    let taken_out = reply.text.trim().is_empty();
    let join = |reading: &mut Reading| {
        let told = std::mem::take(&mut reading.calls);
        reading.calls = union_of_calls(told, reply.calls.clone());
        reading.violations.clear();
        let answer = reading.answer.take();
        reading.thought = reading.thought.take().or(answer);
    };
    if taken_out || decoded.strict.violations.is_empty() {
        join(&mut decoded.strict);
        decoded.lenient = decoded.strict.clone();
    } else {
        join(&mut decoded.lenient);
    }
    decoded.attempted_call = true;
    decoded
}

struct FencedWriter {
    thoughts: bool,
}

impl Writer for FencedWriter {
    fn calls(&self, thought: Option<&str>, calls: &[ToolCall]) -> String {
        let blocks: Vec<String> = calls
            .iter()
            .map(|call| format!("{OPENER}\n{}\n{CLOSER}", Value::Object(call_object(call))))
            .collect();
        let blocks = blocks.join("\n");
        match thought.filter(|_| self.thoughts) {
            Some(thought) => format!("{thought}\n{blocks}"),
            None => blocks,
        }
    }

    fn answer(&self, _thought: Option<&str>, answer: &str) -> String {
        answer.to_owned()
    }

    fn results(&self, results: &[(String, String)]) -> String {
        let blocks: Vec<String> = results
            .iter()
            .map(|(name, content)| format!("{RESULT_OPENER} {name}\n{content}\n{CLOSER}"))
            .collect();
        blocks.join("\n")
    }
}

fn strict(text: &str) -> Reading {
    let text = text.trim();
    let Some(start) = text.find(OPENER) else {
        return Reading {
            answer: Some(text.to_owned()),
            ..Reading::default()
        };
    };
    let thought = Some(text[..start].trim().to_owned()).filter(|text| !text.is_empty());
    match read_blocks(&text[start..]) {
        Ok(calls) => Reading {
            calls,
            thought,
            ..Reading::default()
        },
        Err((code, message)) => fault(code, message),
    }
}

fn read_blocks(text: &str) -> Result<Vec<ToolCall>, (Code, String)> {
    let wrong = |message: &str| (Code::WrongEnvelope, message.to_owned());
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let after = rest
            .strip_prefix(OPENER)
            .ok_or_else(|| wrong("there is text after a tool block"))?;
        let (label_end, body) = after
            .split_once('\n')
            .ok_or_else(|| wrong("the tool block is empty"))?;
        if !label_end.trim().is_empty() {
            return Err(wrong("the fence must be ```tool on a line of its own"));
        }
        let (value, end) = leading_json(body).map_err(|error| (Code::MalformedJson, error))?;
        let Value::Object(map) = value else {
            return Err(wrong("a tool block must hold one JSON object"));
        };
        let call = exact_call(&map, "tool", "arguments", &[])
            .map_err(|message| (Code::WrongEnvelope, message))?;
        calls.push(call);
        let behind = &body[end..];
        let close = behind.trim_start();
        let on_new_line = behind[..behind.len() - close.len()].contains('\n');
        let after = close
            .strip_prefix(CLOSER)
            .filter(|_| on_new_line)
            .ok_or_else(|| wrong("the tool block is not closed by ``` on a line of its own"))?;
        rest = after.trim_start();
        let new_line = after[..after.len() - rest.len()].contains('\n');
        if !rest.is_empty() && !new_line {
            return Err(wrong("there is text after a tool block"));
        }
    }
    Ok(calls)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::test_support::{offer, reply};
    use crate::types::ToolChoice;

    fn read(text: &str, served: &[ToolCall]) -> Decoded {
        let reply = GenerateReply {
            calls: served.to_vec(),
            ..reply(text)
        };
        Fenced.decode(&offer(None, ToolChoice::Auto), &reply)
    }

    #[test]
    fn a_fence_that_closes_behind_the_brace_is_read_leniently_only() {
        let text = "```tool\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}}```";
        let decoded = read(text, &[]);
        assert_eq!(decoded.strict.violations[0].code, Code::WrongEnvelope);
        assert_eq!(decoded.lenient.calls.len(), 1);
        assert_eq!(decoded.lenient.repairs, [Repair::CodeFence]);
    }

    #[test]
    fn a_call_that_the_server_tells_too_counts_once() {
        let call = ToolCall::new("get_weather", json!({"city": "Oslo"}));
        let text = "```tool\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"Oslo\"}}\n```";
        for text in [text, "", "I look it up."] {
            let decoded = read(text, std::slice::from_ref(&call));
            assert_eq!(decoded.strict.calls, std::slice::from_ref(&call), "{text}");
            assert!(decoded.strict.violations.is_empty() && decoded.strict.answer.is_none());
        }
    }
}
