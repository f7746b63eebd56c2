//! What all dialects share in reading a reply: reasoning, emptiness, cuts, loops, both readings.
//!
//! Data in: a reply and a dialect's own strict reader. Data out: a [`Decoded`].
//! Invariants: never panics; the strict reading holds no repair; the lenient one equals it where
//! the reply is in form.

use serde_json::{Map, Value};

use super::native_form::NativeForm;
use super::{Offer, lenient};
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Reading, Repair, StopReason, ToolCall, Violation,
};

/// A text loops when its end repeats one piece at least this often in a row …
pub const LOOP_REPEATS: usize = 5;
/// … and the repetition covers at least this many bytes …
pub const LOOP_MIN_BYTES: usize = 120;
/// … with a piece of at most this many bytes.
pub const LOOP_MAX_PERIOD_BYTES: usize = 240;
/// More equal calls than this in one reply are a loop.
pub const LOOP_EQUAL_CALLS: usize = 3;

/// What the instructions of `prompts/` write where an answer belongs.
const PLACEHOLDERS: [&str; 2] = ["YOUR ANSWER", "WHY"];

/// A dialect's part in reading a reply.
pub(super) struct Reader<'a> {
    pub(super) dialect: DialectName,
    pub(super) offer: &'a Offer,
    /// The native form, for the native dialect and for finding its calls elsewhere.
    pub(super) form: Option<&'a NativeForm>,
    /// The strict reading of a text without reasoning block, never blank.
    pub(super) strict: &'a dyn Fn(&str) -> Reading,
    /// The dialect's opener is in the text.
    pub(super) has_opener: &'a dyn Fn(&str) -> bool,
    /// Any text without an opener is an answer in the dialect's own form.
    pub(super) text_is_answer: bool,
    /// The text shows no trace of the dialect's form: words, as one says them to a person.
    pub(super) is_words: &'a dyn Fn(&str) -> bool,
}

/// Both readings of a reply.
pub(super) fn decode(reader: &Reader<'_>, reply: &GenerateReply) -> Decoded {
    let (written, body) = split_reasoning(&reply.text);
    let reasoning = reply.reasoning.as_deref().or(written);
    let cut = matches!(
        reply.stop_reason,
        StopReason::MaxTokens | StopReason::ContextFull
    );
    if body.trim().is_empty() {
        return decode_blank(reader, reasoning, cut);
    }
    let mut strict = (reader.strict)(body);
    let names = offered_names(reader.offer);
    let mut lenient = lenient::read(reader, body);
    let opened = (reader.has_opener)(body);
    let names_a_tool = lenient
        .calls
        .iter()
        .any(|call| names.contains(&call.name.as_str()))
        || lenient::names_in_call_position(body, &names);
    let in_form = strict.violations.is_empty();
    if in_form && strict.answer.is_some() && reader.text_is_answer && names_a_tool {
        strict.answer = None;
        strict.violations.push(Violation::new(
            Code::WrongEnvelope,
            "a tool is named as in a call, but not in the form asked for",
        ));
    }
    let answers_in_form = strict.violations.is_empty() && strict.answer.is_some();
    let attempted_call = !strict.calls.is_empty() || (!answers_in_form && (opened || names_a_tool));
    // Who writes words and attempts no call has answered in words: that is for the judge
    // (`missing_call`, or right to abstain), not a slip of form to be corrected.
    let in_words = !in_form && !attempted_call && (reader.is_words)(body);
    if in_words {
        strict = Reading {
            answer: Some(body.trim().to_owned()),
            ..Reading::default()
        };
    }
    note_generation(&mut strict, body, cut, reader.text_is_answer || in_words);
    note_placeholder(&mut strict);
    strict.thought = join_thoughts(reasoning, strict.thought);
    if strict.violations.is_empty() {
        lenient = with_parsed_arguments(strict.clone());
    } else {
        finish_lenient(&mut lenient, &strict, attempted_call, body);
        lenient.thought = join_thoughts(reasoning, lenient.thought);
    }
    Decoded {
        strict,
        lenient,
        attempted_call,
    }
}

fn offered_names(offer: &Offer) -> Vec<&str> {
    offer.tools.iter().map(|tool| tool.name.as_str()).collect()
}

/// Nothing stands outside the reasoning.
fn decode_blank(reader: &Reader<'_>, reasoning: Option<&str>, cut: bool) -> Decoded {
    let names = offered_names(reader.offer);
    let inside = reasoning.map(|text| lenient::read(reader, text));
    let call_inside = inside.as_ref().is_some_and(|reading| {
        reading
            .calls
            .iter()
            .any(|call| names.contains(&call.name.as_str()))
    });
    let violation = if cut {
        Violation::new(
            Code::MaxTokensCut,
            "the token limit came before anything but reasoning was written",
        )
    } else if call_inside {
        Violation::new(
            Code::ReasoningOnly,
            "the call stands only inside the reasoning",
        )
    } else {
        Violation::new(Code::EmptyOutput, "the reply is empty")
    };
    let reading = Reading {
        thought: reasoning.map(|text| text.trim().to_owned()),
        violations: vec![violation],
        ..Reading::default()
    };
    Decoded {
        strict: reading.clone(),
        lenient: reading,
        attempted_call: call_inside,
    }
}

/// A reasoning model's own block, and what follows it. Templates may have opened the block in the
/// prompt already, so its closing tag alone counts too.
fn split_reasoning(text: &str) -> (Option<&str>, &str) {
    const OPEN: &str = "<think>";
    const CLOSE: &str = "</think>";
    let trimmed = text.trim_start();
    let opened = trimmed.strip_prefix(OPEN);
    let inner = opened.unwrap_or(trimmed);
    match (inner.split_once(CLOSE), opened.is_some()) {
        (Some((thought, body)), true) => (Some(thought), body),
        (Some((thought, body)), false) if !thought.contains(OPEN) => (Some(thought), body),
        (None, true) => (Some(inner), ""),
        _ => (None, text),
    }
}

fn join_thoughts(reasoning: Option<&str>, thought: Option<String>) -> Option<String> {
    let reasoning = reasoning.map(str::trim).filter(|text| !text.is_empty());
    match (reasoning, thought) {
        (Some(reasoning), Some(thought)) => Some(format!("{reasoning}\n{thought}")),
        (Some(reasoning), None) => Some(reasoning.to_owned()),
        (None, thought) => thought,
    }
}

/// An answer that only repeats the prompt's own placeholder is no answer.
fn note_placeholder(strict: &mut Reading) {
    let is_placeholder = |answer: &str| {
        let bare = answer.trim_matches(|c: char| !c.is_alphanumeric());
        PLACEHOLDERS
            .iter()
            .any(|known| bare.eq_ignore_ascii_case(known))
    };
    if strict.violations.is_empty() && strict.answer.as_deref().is_some_and(is_placeholder) {
        strict.answer = None;
        strict.violations.push(Violation::new(
            Code::EmptyOutput,
            "the answer only repeats the placeholder of the instructions",
        ));
    }
}

/// Adds what went wrong while generating, before the findings of parsing.
fn note_generation(strict: &mut Reading, body: &str, cut: bool, text_is_answer: bool) {
    let complete = strict.violations.is_empty() && (strict.answer.is_none() || !text_is_answer);
    if cut && !complete {
        let violation = Violation::new(
            Code::MaxTokensCut,
            "the token limit came before the reply was complete; a shorter one is needed",
        );
        strict.violations.insert(0, violation);
    }
    if (!complete && text_loops(body)) || calls_loop(&strict.calls) {
        let violation = Violation::new(Code::DegenerateLoop, "the reply repeats itself");
        strict.violations.insert(0, violation);
    }
}

/// The end of the text repeats one piece past the stated limits.
pub fn text_loops(text: &str) -> bool {
    let bytes = text.trim_end().as_bytes();
    let longest = LOOP_MAX_PERIOD_BYTES.min(bytes.len() / LOOP_REPEATS);
    (1..=longest).any(|period| {
        let matching = bytes
            .iter()
            .rev()
            .zip(bytes.iter().rev().skip(period))
            .take_while(|(last, before)| last == before)
            .count();
        let covered = matching + period;
        covered >= LOOP_MIN_BYTES && covered >= period * LOOP_REPEATS
    })
}

fn calls_loop(calls: &[ToolCall]) -> bool {
    calls.iter().any(|call| {
        let equal = calls
            .iter()
            .filter(|other| other.name == call.name && other.arguments == call.arguments)
            .count();
        equal > LOOP_EQUAL_CALLS
    })
}

/// The reading of calls that a server read. Arguments that are still text are no JSON object: the
/// model's slip, or cut by the token limit.
pub(super) fn decode_calls(reply: &GenerateReply) -> Decoded {
    let text = reply.text.trim();
    let thought = (!text.is_empty()).then(|| text.to_owned());
    let reading = Reading {
        calls: reply.calls.clone(),
        thought: join_thoughts(reply.reasoning.as_deref(), thought),
        ..Reading::default()
    };
    let mut strict = reading.clone();
    let unread = reply
        .calls
        .iter()
        .enumerate()
        .find_map(|(index, call)| Some((index, call, call.arguments.as_str()?)));
    if let Some((index, call, arguments)) = unread {
        let cut = matches!(
            reply.stop_reason,
            StopReason::MaxTokens | StopReason::ContextFull
        );
        let why = match serde_json::from_str::<Map<String, Value>>(arguments) {
            Err(error) => error.to_string(),
            Ok(_) => "they are a text that holds JSON".to_owned(),
        };
        let (code, message) = if cut {
            let message = "the token limit came before the arguments were complete".to_owned();
            (Code::MaxTokensCut, message)
        } else {
            let name = &call.name;
            let message = format!("the arguments of `{name}` are not a JSON object: {why}");
            (Code::MalformedJson, message)
        };
        strict.calls.clear();
        strict.violations = vec![Violation {
            call: Some(index),
            tool: Some(call.name.clone()),
            ..Violation::new(code, message)
        }];
    }
    let mut lenient = with_parsed_arguments(reading);
    if calls_loop(&reply.calls) {
        let violation = Violation::new(Code::DegenerateLoop, "the reply repeats itself");
        lenient.violations.push(violation.clone());
        strict.violations.insert(0, violation);
    }
    if lenient.calls.iter().any(|call| call.arguments.is_string()) {
        lenient = strict.clone();
    }
    Decoded {
        strict,
        lenient,
        attempted_call: true,
    }
}

/// What the lenient reading says where the strict one found fault.
fn finish_lenient(lenient: &mut Reading, strict: &Reading, attempted: bool, body: &str) {
    let loops = strict
        .violations
        .iter()
        .filter(|violation| violation.code == Code::DegenerateLoop);
    if !lenient.calls.is_empty() {
        lenient.violations = loops.cloned().collect();
        return;
    }
    if lenient.answer.is_none() && !attempted {
        lenient.answer = Some(body.trim().to_owned());
        lenient.repairs.push(Repair::OtherDialect);
    }
    lenient.violations = if lenient.answer.is_some() {
        let generation = [Code::MaxTokensCut, Code::DegenerateLoop];
        strict
            .violations
            .iter()
            .filter(|violation| generation.contains(&violation.code))
            .cloned()
            .collect()
    } else {
        strict.violations.clone()
    };
}

/// The lenient reading of a reply in form: arguments given as a string of JSON are read.
fn with_parsed_arguments(mut reading: Reading) -> Reading {
    let mut parsed_any = false;
    for call in &mut reading.calls {
        if let Some(parsed) = lenient::parsed_arguments(&call.arguments) {
            call.arguments = parsed;
            parsed_any = true;
        }
    }
    if parsed_any {
        reading.repairs.push(Repair::StringArguments);
    }
    reading
}

/// A reading that is one violation.
pub(super) fn fault(code: Code, message: impl Into<String>) -> Reading {
    Reading {
        violations: vec![Violation::new(code, message)],
        ..Reading::default()
    }
}

/// A call from an object with exactly these keys, `optional` ones aside.
pub(super) fn exact_call(
    map: &Map<String, Value>,
    name_key: &str,
    arguments_key: &str,
    optional: &[&str],
) -> Result<ToolCall, String> {
    let Some(Value::String(name)) = map.get(name_key) else {
        return Err(format!("the call has no \"{name_key}\" that is a string"));
    };
    let Some(arguments) = map.get(arguments_key) else {
        return Err(format!("the call has no \"{arguments_key}\""));
    };
    let known = |key: &str| key == name_key || key == arguments_key || optional.contains(&key);
    if let Some(key) = map.keys().find(|key| !known(key)) {
        return Err(format!(
            "the call has a key \"{key}\" that does not belong there"
        ));
    }
    Ok(ToolCall::new(name.clone(), arguments.clone()))
}

/// The JSON value at the start of `text` and its length in bytes; the error in words otherwise.
pub(super) fn leading_json(text: &str) -> Result<(Value, usize), String> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match stream.next() {
        Some(Ok(value)) => Ok((value, stream.byte_offset())),
        Some(Err(error)) => Err(format!("not valid JSON: {error}")),
        None => Err("there is no JSON".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_found_at_the_end_only_past_the_limits() {
        assert!(text_loops(&"I will call the tool. ".repeat(8)));
        assert!(text_loops(&"na ".repeat(60)));
        assert!(!text_loops("no no no no no no"));
        assert!(!text_loops(
            "a sentence that says one thing after another and then ends"
        ));
        assert!(!text_loops(""));
    }

    #[test]
    fn reasoning_blocks_are_split_off() {
        assert_eq!(split_reasoning("<think>a</think>b"), (Some("a"), "b"));
        assert_eq!(split_reasoning("a</think>b"), (Some("a"), "b"));
        assert_eq!(split_reasoning("<think>a"), (Some("a"), ""));
        assert_eq!(split_reasoning("a"), (None, "a"));
    }
}
