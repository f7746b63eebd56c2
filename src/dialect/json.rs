//! The `json` dialect: exactly one JSON value.
//!
//! Data in and out: `{"tool":NAME,"arguments":{…}}`, a list of such objects, or
//! `{"answer":"…"}`. With reasoning on, `"thought"` may be a key of each object.
//! Invariants: nothing but white space stands around the value; no other keys.

use serde_json::{Map, Value, json};

use super::closed_schema::closed_arguments;
use super::prompt_text::{Writer, example_turns, system_text, written_messages};
use super::reading::{self, Reader, exact_call, fault, leading_json};
use super::{Dialect, Encoded, Offer, chat, envelope};
use crate::types::cell::Reasoning;
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Grammar, Message, Reading, ToolCall, ToolChoice,
};

const PROMPT: &str = include_str!("prompts/json.txt");
/// Start of a tool result: a model that goes on to invent one is stopped there.
const RESULT_OPENER: &str = "{\"result_of\"";

/// The dialect.
pub struct Json;

impl Dialect for Json {
    fn name(&self) -> DialectName {
        DialectName::Json
    }

    fn encode(&self, offer: &Offer, messages: &[Message]) -> Encoded {
        let writer = JsonWriter {
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
        envelope::grammar(DialectName::Json, offer, None)
    }

    fn reply_schema(&self, offer: &Offer) -> Option<Value> {
        offer.envelope.is_none().then(|| reply_schema(offer))
    }

    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded {
        let thoughts = offer.reasoning != Reasoning::Off;
        reading::decode(
            &Reader {
                dialect: DialectName::Json,
                offer,
                form: None,
                strict: &|text| strict(text, thoughts),
                has_opener: &has_opener,
                text_is_answer: false,
                is_words: &is_words,
            },
            reply,
        )
    }
}

/// What `grammars/json.yaml` says, as a schema: for servers that take one of the whole reply. A
/// list of calls is left out under none; bounds of texts are the same.
fn reply_schema(offer: &Offer) -> Value {
    let thoughts = offer.reasoning != Reasoning::Off;
    let object = |first: &[(&str, Value)]| {
        let mut properties = Map::new();
        if thoughts {
            properties.insert("thought".to_owned(), json!({"type": "string"}));
        }
        properties.extend(
            first
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        let required: Vec<&str> = first.iter().map(|(name, _)| *name).collect();
        json!({
            "type": "object", "properties": properties,
            "required": required, "additionalProperties": false,
        })
    };
    let mut definitions = Map::new();
    let calls: Vec<Value> = offer
        .tools
        .iter()
        .enumerate()
        .map(|(index, tool)| {
            let arguments = hoisted(
                closed_arguments(&tool.input_schema),
                index,
                &mut definitions,
            );
            object(&[
                ("tool", json!({"const": tool.name})),
                ("arguments", arguments),
            ])
        })
        .collect();
    let answer = object(&[("answer", json!({"type": "string", "minLength": 1}))]);
    let call = json!({"anyOf": calls});
    let several = json!({"type": "array", "items": call, "minItems": 2, "maxItems": 8});
    let choice = if calls.is_empty() {
        ToolChoice::None
    } else {
        offer.tool_choice
    };
    let options: Vec<Value> = match choice {
        ToolChoice::None => vec![answer],
        ToolChoice::Required => calls.into_iter().chain([several]).collect(),
        ToolChoice::Auto => calls.into_iter().chain([several, answer]).collect(),
    };
    let mut schema = json!({"anyOf": options});
    if !definitions.is_empty() {
        schema["$defs"] = Value::Object(definitions);
    }
    schema
}

/// A tool's schema with its definitions moved to the root under names of their own, because
/// references are read from there.
fn hoisted(mut schema: Value, index: usize, definitions: &mut Map<String, Value>) -> Value {
    let own = schema.as_object_mut().and_then(|map| map.remove("$defs"));
    let Some(Value::Object(own)) = own else {
        return schema;
    };
    for (name, mut definition) in own {
        point_elsewhere(&mut definition, index);
        definitions.insert(format!("t{index}_{name}"), definition);
    }
    point_elsewhere(&mut schema, index);
    schema
}

fn point_elsewhere(schema: &mut Value, index: usize) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        *reference = reference.replace("#/$defs/", &format!("#/$defs/t{index}_"));
                    }
                    other if key != "enum" && key != "const" => point_elsewhere(other, index),
                    _ => {}
                }
            }
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| point_elsewhere(item, index)),
        _ => {}
    }
}

struct JsonWriter {
    thoughts: bool,
}

impl JsonWriter {
    fn object(&self, thought: Option<&str>) -> Map<String, Value> {
        let thought = thought.filter(|_| self.thoughts);
        thought
            .map(|thought| ("thought".to_owned(), Value::from(thought)))
            .into_iter()
            .collect()
    }
}

impl Writer for JsonWriter {
    fn calls(&self, thought: Option<&str>, calls: &[ToolCall]) -> String {
        let mut objects: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(index, call)| {
                let mut object = self.object(thought.filter(|_| index == 0));
                object.extend(call_object(call));
                Value::Object(object)
            })
            .collect();
        if objects.len() == 1 {
            objects.remove(0).to_string()
        } else {
            Value::Array(objects).to_string()
        }
    }

    fn answer(&self, thought: Option<&str>, answer: &str) -> String {
        let mut object = self.object(thought);
        object.insert("answer".to_owned(), Value::from(answer));
        Value::Object(object).to_string()
    }

    fn results(&self, results: &[(String, String)]) -> String {
        let lines: Vec<String> = results
            .iter()
            .map(|(name, content)| {
                // A result that is JSON itself stays JSON.
                let result: Value =
                    serde_json::from_str(content).unwrap_or_else(|_| Value::from(content.as_str()));
                json!({"result_of": name, "result": result}).to_string()
            })
            .collect();
        lines.join("\n")
    }
}

/// A call's object, shared with the fenced dialect.
pub(super) fn call_object(call: &ToolCall) -> Map<String, Value> {
    Map::from_iter([
        ("tool".to_owned(), Value::from(call.name.as_str())),
        ("arguments".to_owned(), call.arguments.clone()),
    ])
}

/// `{"tool"`, white space aside.
fn has_opener(text: &str) -> bool {
    text.match_indices("\"tool\"")
        .any(|(at, _)| text[..at].trim_end().ends_with(['{', ',']))
}

/// No object, no list, no key of the form.
fn is_words(text: &str) -> bool {
    !text.trim_start().starts_with(['{', '[', '`']) && !text.contains("\"answer\"")
}

fn strict(text: &str, thoughts: bool) -> Reading {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return fault(
            Code::WrongEnvelope,
            "the reply must be one JSON object and nothing else",
        );
    }
    match leading_json(text) {
        Err(error) => fault(Code::MalformedJson, error),
        Ok((_, end)) if !text[end..].trim().is_empty() => fault(
            Code::WrongEnvelope,
            "there is text after the JSON object; the reply must be the object and nothing else",
        ),
        Ok((value, _)) => read_value(&value, thoughts)
            .unwrap_or_else(|message| fault(Code::WrongEnvelope, message)),
    }
}

fn read_value(value: &Value, thoughts: bool) -> Result<Reading, String> {
    let optional: &[&str] = if thoughts { &["thought"] } else { &[] };
    match value {
        Value::Object(map) if map.contains_key("answer") => read_answer(map, thoughts),
        Value::Object(map) => Ok(Reading {
            calls: vec![exact_call(map, "tool", "arguments", optional)?],
            thought: thought_of(map),
            ..Reading::default()
        }),
        Value::Array(items) if !items.is_empty() => {
            let mut reading = Reading::default();
            for item in items {
                let Value::Object(map) = item else {
                    return Err("the list holds something that is not a call".to_owned());
                };
                reading
                    .calls
                    .push(exact_call(map, "tool", "arguments", optional)?);
                reading.thought = reading.thought.or_else(|| thought_of(map));
            }
            Ok(reading)
        }
        _ => Err("the list of calls is empty".to_owned()),
    }
}

fn read_answer(map: &Map<String, Value>, thoughts: bool) -> Result<Reading, String> {
    if map.contains_key("tool") {
        return Err("the object holds a tool and an answer; it must be one of them".to_owned());
    }
    let Some(Value::String(answer)) = map.get("answer") else {
        return Err("\"answer\" must be a string".to_owned());
    };
    let known = |key: &str| key == "answer" || (thoughts && key == "thought");
    if let Some(key) = map.keys().find(|key| !known(key)) {
        return Err(format!(
            "the answer has a key \"{key}\" that does not belong there"
        ));
    }
    Ok(Reading {
        answer: Some(answer.clone()),
        thought: thought_of(map),
        ..Reading::default()
    })
}

fn thought_of(map: &Map<String, Value>) -> Option<String> {
    map.get("thought")
        .and_then(Value::as_str)
        .map(ToOwned::to_owned)
}
