//! What dialect tests share: offers, replies, and llguidance as a judge of texts.

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};

use super::native_form::NativeForm;
use super::template::Template;
use super::{Encoded, Offer, dialect};
use crate::types::cell::Reasoning;
use crate::types::facts::TemplateSource;
use crate::types::{
    DialectName, GenerateReply, Grammar, Message, ModelFacts, Prompt, Role, Route, StopReason,
    Timing, ToolCall, ToolChoice, ToolDefinition, Usage, Wire,
};

/// Names of the fixture templates.
pub(crate) const FIXTURES: [(&str, &str); 7] = [
    (
        "gemma2",
        include_str!("../../fixtures/templates/gemma2.jinja"),
    ),
    (
        "phi35",
        include_str!("../../fixtures/templates/phi35.jinja"),
    ),
    (
        "chatml",
        include_str!("../../fixtures/templates/chatml.jinja"),
    ),
    (
        "hermes",
        include_str!("../../fixtures/templates/hermes.jinja"),
    ),
    (
        "llama31",
        include_str!("../../fixtures/templates/llama31.jinja"),
    ),
    (
        "mistral",
        include_str!("../../fixtures/templates/mistral.jinja"),
    ),
    (
        "function_tag",
        include_str!("../../fixtures/templates/function_tag.jinja"),
    ),
];

pub(crate) fn fixture(name: &str) -> &'static str {
    FIXTURES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or("", |(_, source)| source)
}

pub(crate) fn facts(template: Option<&str>) -> ModelFacts {
    ModelFacts {
        chat_template: template.map(ToOwned::to_owned),
        bos_token: "<s>".to_owned(),
        eos_token: "</s>".to_owned(),
        ..ModelFacts::default()
    }
}

pub(crate) fn tool(name: &str, schema: Value) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        description: format!("What {name} does."),
        input_schema: schema,
        annotations: None,
    }
}

/// Two tools on a route over raw text.
pub(crate) fn offer(template: Option<&str>, tool_choice: ToolChoice) -> Offer {
    Offer {
        system: Some("You are careful.".to_owned()),
        tools: vec![
            tool(
                "get_weather",
                json!({"type": "object", "properties": {
                    "city": {"type": "string"},
                    "days": {"type": "integer", "minimum": 1, "maximum": 9},
                    "unit": {"enum": ["c", "f"]}
                }, "required": ["city"]}),
            ),
            tool("list.files", json!({"type": "object", "properties": {}})),
        ],
        examples: Vec::new(),
        tool_choice,
        reasoning: Reasoning::Off,
        route: Route {
            leg: "main".to_owned(),
            wire: Wire::RawText,
            template: if template.is_some() {
                TemplateSource::Weights
            } else {
                TemplateSource::PlainText
            },
            mechanism: None,
        },
        facts: facts(template),
        envelope: None,
    }
}

pub(crate) fn reply(text: &str) -> GenerateReply {
    GenerateReply {
        text: text.to_owned(),
        calls: Vec::new(),
        executed: Vec::new(),
        reasoning: None,
        payload: None,
        stop_reason: StopReason::Stop,
        usage: Usage::default(),
        timing: Timing::default(),
        constrained: false,
        grammar_error: None,
        token_marks: Vec::new(),
        peak_memory_bytes: None,
    }
}

/// llguidance over single bytes.
pub(crate) struct Judge {
    factory: ParserFactory,
}

impl Judge {
    pub(crate) fn new() -> Self {
        let environment = ApproximateTokEnv::single_byte_env();
        let slices = crate::types::grammar::MASK_SLICES.map(ToOwned::to_owned);
        let capabilities = InferenceCapabilities::default();
        let mut factory = ParserFactory::new(&environment, capabilities, &slices).unwrap();
        factory.quiet();
        Self { factory }
    }

    pub(crate) fn matcher(&self, grammar: &Grammar) -> Matcher {
        let lark = grammar.to_lark();
        let parser = self
            .factory
            .create_parser(TopLevelGrammar::from_lark(lark.clone()))
            .unwrap_or_else(|error| panic!("{error}\n{lark}"));
        Matcher::new(Ok(parser))
    }

    /// Whether the grammar takes the whole text, byte by byte.
    pub(crate) fn accepts(&self, grammar: &Grammar, text: &str) -> Result<(), String> {
        let mut matcher = self.matcher(grammar);
        for (index, byte) in text.bytes().enumerate() {
            let taken = matcher
                .try_consume_tokens(&[u32::from(byte)])
                .map_err(|error| error.to_string())?;
            if taken == 0 {
                let (before, after) = text.as_bytes().split_at(index);
                return Err(format!(
                    "stopped between {:?} and {:?}\n{}",
                    String::from_utf8_lossy(before),
                    String::from_utf8_lossy(after),
                    grammar.to_lark()
                ));
            }
        }
        match matcher.is_accepting() {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("not complete: {text:?}\n{}", grammar.to_lark())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A text drawn from the grammar: allowed bytes chosen by `choices`, the shortest way out
    /// not being known. `None` when it does not end within `limit` bytes.
    pub(crate) fn draw(&self, grammar: &Grammar, choices: &[u8], limit: usize) -> Option<String> {
        let mut matcher = self.matcher(grammar);
        let mut bytes = Vec::new();
        for index in 0..limit {
            if matcher.is_stopped() {
                break;
            }
            let mask = matcher.compute_mask_or_eos().unwrap();
            let plain: Vec<u8> = (0x20..0x7f_u8).chain([b'\n']).collect();
            let allowed: Vec<u8> = plain
                .into_iter()
                .filter(|byte| mask.is_allowed(u32::from(*byte)))
                .collect();
            let choice = usize::from(*choices.get(index % choices.len().max(1)).unwrap_or(&0));
            let may_end = matcher.is_accepting().unwrap();
            if may_end && (allowed.is_empty() || choice % 7 == 0) {
                break;
            }
            // Closing characters first now and then, so that strings and objects end.
            let closing = allowed
                .iter()
                .find(|byte| matches!(byte, b'"' | b'}' | b']'));
            let byte = match closing {
                Some(byte) if choice % 3 == 0 => *byte,
                _ => *allowed.get(choice % allowed.len().max(1))?,
            };
            matcher.consume_token(u32::from(byte)).unwrap();
            bytes.push(byte);
        }
        matcher.is_accepting().ok().filter(|done| *done)?;
        String::from_utf8(bytes).ok()
    }
}

/// A dialect with a template it can be used on.
pub(crate) fn places() -> Vec<(DialectName, Option<&'static str>)> {
    let native = ["hermes", "llama31", "mistral", "function_tag"];
    native
        .iter()
        .map(|name| (DialectName::Native, Some(fixture(name))))
        .chain(
            [DialectName::React, DialectName::Json, DialectName::Fenced].map(|name| (name, None)),
        )
        .collect()
}

/// Calls as the dialect itself writes them, by way of a written history.
pub(crate) fn written(name: DialectName, offer: &Offer, calls: &[ToolCall]) -> String {
    if name == DialectName::Native {
        return form(offer).write(calls);
    }
    let marker = Message::text(Role::User, "question");
    let history = Message::assistant_calls("", calls.to_vec());
    let mut plain = offer.clone();
    plain.facts.chat_template = None;
    let encoded = dialect(name).encode(&plain, &[marker, history]);
    let text = whole(&encoded);
    let (_, after) = text.rsplit_once("User: question\n\nAssistant:\n").unwrap();
    after.strip_suffix("\n\nAssistant:\n").unwrap().to_owned()
}

pub(crate) fn form(offer: &Offer) -> NativeForm {
    Template::of(&offer.facts)
        .unwrap()
        .traits()
        .form
        .clone()
        .unwrap()
}

pub(crate) fn whole(encoded: &Encoded) -> String {
    encoded.prompt.as_stored()
}

pub(crate) fn prefix(encoded: &Encoded) -> String {
    match &encoded.prompt {
        Prompt::Text { prefix, .. } => prefix.clone(),
        Prompt::Chat { .. } => panic!("not a text prompt"),
    }
}

pub(crate) fn weather(city: &str) -> ToolCall {
    ToolCall::new("get_weather", json!({"city": city}))
}
