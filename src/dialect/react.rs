//! The `react` dialect: `Thought:`, then `Action:` with `Action Input:`, or `Final Answer:`.
//!
//! Data in and out: lines with these labels. A reply may hold several pairs of `Action:` and
//! `Action Input:`, one after the other, so that calls of one turn can be said; actions beside a
//! final answer are not the form. The thought is one or more lines and may be left out.
//! Invariants: nothing else stands in the reply; `Observation:` ends it.

use super::prompt_text::{Writer, example_turns, system_text, written_messages};
use super::reading::{self, Reader, fault, leading_json};
use super::{Dialect, Encoded, Offer, chat, envelope};
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Grammar, Message, Reading, ToolCall,
};

const PROMPT: &str = include_str!("prompts/react.txt");
const THOUGHT: &str = "Thought:";
const ACTION: &str = "Action:";
const INPUT: &str = "Action Input:";
const ANSWER: &str = "Final Answer:";
const OBSERVATION: &str = "Observation:";

/// The dialect.
pub struct React;

impl Dialect for React {
    fn name(&self) -> DialectName {
        DialectName::React
    }

    fn encode(&self, offer: &Offer, messages: &[Message]) -> Encoded {
        let script = chat::Script {
            system: system_text(offer, PROMPT, ""),
            shared: example_turns(offer, &ReactWriter),
            messages: written_messages(messages, &ReactWriter),
            tools: Vec::new(),
            stop: vec![OBSERVATION.to_owned()],
        };
        chat::encode(offer, script)
    }

    fn grammar(&self, offer: &Offer) -> Grammar {
        envelope::grammar(DialectName::React, offer, None)
    }

    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded {
        reading::decode(
            &Reader {
                dialect: DialectName::React,
                offer,
                form: None,
                strict: &strict,
                has_opener: &|text| label_at(text, ACTION).is_some(),
                text_is_answer: false,
                is_words: &is_words,
            },
            reply,
        )
    }
}

struct ReactWriter;

impl Writer for ReactWriter {
    fn calls(&self, thought: Option<&str>, calls: &[ToolCall]) -> String {
        let pairs: Vec<String> = calls
            .iter()
            .map(|call| format!("{ACTION} {}\n{INPUT} {}", call.name, call.arguments))
            .collect();
        with_thought(thought, &pairs.join("\n"))
    }

    fn answer(&self, thought: Option<&str>, answer: &str) -> String {
        with_thought(thought, &format!("{ANSWER} {answer}"))
    }

    fn results(&self, results: &[(String, String)]) -> String {
        let lines: Vec<String> = results
            .iter()
            .map(|(_, content)| format!("{OBSERVATION} {content}"))
            .collect();
        lines.join("\n")
    }
}

fn with_thought(thought: Option<&str>, rest: &str) -> String {
    match thought {
        Some(thought) => format!("{THOUGHT} {thought}\n{rest}"),
        None => rest.to_owned(),
    }
}

/// No label starts a line.
fn is_words(text: &str) -> bool {
    [THOUGHT, ACTION, INPUT, ANSWER]
        .iter()
        .all(|label| label_at(text, label).is_none())
}

/// Where a label starts a line.
fn label_at(text: &str, label: &str) -> Option<usize> {
    text.match_indices(label)
        .map(|(at, _)| at)
        .find(|at| starts_line(text, *at))
}

fn starts_line(text: &str, at: usize) -> bool {
    text[..at]
        .rfind('\n')
        .map_or(&text[..at], |newline| &text[newline + 1..at])
        .trim()
        .is_empty()
}

fn strict(text: &str) -> Reading {
    read(text.trim()).unwrap_or_else(|(code, message)| fault(code, message))
}

type Fault = (Code, String);

fn wrong(message: &str) -> Fault {
    (Code::WrongEnvelope, message.to_owned())
}

fn read(text: &str) -> Result<Reading, Fault> {
    let (thought, rest) = match text.strip_prefix(THOUGHT) {
        Some(after) => {
            let end = [label_at(after, ACTION), label_at(after, ANSWER)]
                .into_iter()
                .flatten()
                // The label must be on a line of its own, not right behind `Thought:`.
                .filter(|at| after[..*at].contains('\n'))
                .min()
                .ok_or_else(|| {
                    wrong("after the thought there is neither an action nor a final answer")
                })?;
            (Some(after[..end].trim()), &after[end..])
        }
        None => (None, text),
    };
    let thought = thought
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned);
    if let Some(answer) = rest.strip_prefix(ANSWER) {
        if label_at(answer, ACTION).is_some() {
            return Err(wrong("a final answer and an action stand in one reply"));
        }
        let answer = answer.trim();
        if answer.is_empty() {
            return Err(wrong("the final answer is empty"));
        }
        return Ok(Reading {
            answer: Some(answer.to_owned()),
            thought,
            ..Reading::default()
        });
    }
    Ok(Reading {
        calls: read_calls(rest)?,
        thought,
        ..Reading::default()
    })
}

fn read_calls(text: &str) -> Result<Vec<ToolCall>, Fault> {
    let mut calls = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let after = rest.strip_prefix(ACTION).ok_or_else(|| {
            wrong("the reply must be a thought, then an action with its input, or a final answer")
        })?;
        let (name, after) = after
            .split_once('\n')
            .ok_or_else(|| wrong("the action has no input"))?;
        let name = name.trim();
        if name.is_empty() {
            return Err(wrong("the action names no tool"));
        }
        let input = after
            .trim_start()
            .strip_prefix(INPUT)
            .ok_or_else(|| wrong("the action has no input"))?;
        let (arguments, end) = leading_json(input).map_err(|error| (Code::MalformedJson, error))?;
        calls.push(ToolCall::new(name, arguments));
        let behind = &input[end..];
        rest = behind.trim_start();
        let on_new_line = behind[..behind.len() - rest.len()].contains('\n');
        if !rest.is_empty() && !on_new_line {
            return Err(wrong("there is text after the action's input"));
        }
    }
    Ok(calls)
}
