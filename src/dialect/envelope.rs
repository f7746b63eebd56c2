//! Envelopes as data: `grammars/*.yaml` joined with an offer into a [`Grammar`].
//!
//! Data in: the YAML of one dialect (embedded, or other text), an [`Offer`] and, for the native
//! dialect, the form read off the chat template.
//! Data out: a grammar with one call alternative per offered tool, its schema closed.
//! Invariants: unknown keys and undefined rules are errors; every free text is bounded, so a
//! greedy model cannot run for ever.
//!
//! A file has `roots` (a rule per tool choice), `limits` and `rules`. A piece of a rule is one of:
//! `literal: TEXT` · `pattern: REGEX` · `rule: NAME` · `sequence: […]` · `choice: […]` ·
//! `optional: PIECE` · `each_tool: PIECE` (one alternative per tool) · `slot: arguments|answer|thought`
//! (JSON) · `text: {chars: answer|thought, without: […], until: TEXT, one_line: true}` ·
//! `further_calls: {min: N, piece: PIECE}` (up to `limits.calls` in all) ·
//! `if_reasoning: PIECE` · `if_opener: PIECE`. Texts may hold `${name}`, `${name_json}` and, in
//! `native.yaml`, the pieces of the form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Offer;
use super::closed_schema::closed_arguments;
use super::native_form::NativeForm;
use super::python_json::json_string;
use crate::types::cell::Reasoning;
use crate::types::facts::TemplateSource;
use crate::types::{
    DialectName, Grammar, ModelFacts, Node, Route, ToolChoice, ToolDefinition, Wire,
};

/// Characters that one token of a bounded thought stands for: a grammar counts characters.
pub const CHARS_PER_TOKEN: u32 = 4;

/// Why an envelope text cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The text is not an envelope.
    #[error("not an envelope: {0}")]
    Format(String),
    /// A rule or root names a rule that is not there.
    #[error("rule `{0}` is not defined")]
    UndefinedRule(String),
}

/// The embedded envelope of a dialect.
pub fn embedded(dialect: DialectName) -> &'static str {
    match dialect {
        DialectName::Native => include_str!("../../grammars/native.yaml"),
        DialectName::React => include_str!("../../grammars/react.yaml"),
        DialectName::Json => include_str!("../../grammars/json.yaml"),
        DialectName::Fenced => include_str!("../../grammars/fenced.yaml"),
    }
}

/// The grammar of an offer from its own or the embedded envelope. Embedded texts are held by tests
/// and the user's are tried by [`check`] first; a broken one would give plain bounded text.
pub fn grammar(dialect: DialectName, offer: &Offer, form: Option<&NativeForm>) -> Grammar {
    let text = offer.envelope.as_deref().unwrap_or(embedded(dialect));
    grammar_from(text, offer, form).unwrap_or_else(|_| Grammar {
        rules: BTreeMap::from([(
            "text".to_owned(),
            Node::Text {
                max_chars: 600,
                without: Vec::new(),
                one_line: false,
                until: None,
            },
        )]),
        root: "text".to_owned(),
    })
}

/// Whether a user's envelope can be used, tried on an offer without tools.
pub fn check(text: &str) -> Result<(), EnvelopeError> {
    let offer = Offer {
        system: None,
        tools: Vec::new(),
        examples: Vec::new(),
        tool_choice: ToolChoice::Auto,
        reasoning: Reasoning::Off,
        route: Route {
            leg: String::new(),
            wire: Wire::RawText,
            template: TemplateSource::PlainText,
            mechanism: None,
        },
        facts: ModelFacts::default(),
        envelope: None,
    };
    grammar_from(text, &offer, None).map(|_| ())
}

/// The grammar of an offer from an envelope's text.
pub fn grammar_from(
    text: &str,
    offer: &Offer,
    form: Option<&NativeForm>,
) -> Result<Grammar, EnvelopeError> {
    let value: Value =
        serde_saphyr::from_str(text).map_err(|error| EnvelopeError::Format(error.to_string()))?;
    let envelope: Envelope =
        serde_json::from_value(value).map_err(|error| EnvelopeError::Format(error.to_string()))?;
    envelope.build(offer, form)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    roots: BTreeMap<ToolChoice, String>,
    limits: Limits,
    rules: BTreeMap<String, Piece>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    answer_chars: u32,
    thought_chars: u32,
    calls: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Piece {
    Literal(String),
    Pattern(String),
    Rule(String),
    Sequence(Vec<Piece>),
    Choice(Vec<Piece>),
    Optional(Box<Piece>),
    EachTool(Box<Piece>),
    Slot(Slot),
    Text {
        chars: Bound,
        #[serde(default)]
        without: Vec<String>,
        #[serde(default)]
        until: Option<String>,
        #[serde(default)]
        one_line: bool,
    },
    FurtherCalls {
        #[serde(default)]
        min: u32,
        piece: Box<Piece>,
    },
    IfReasoning(Box<Piece>),
    IfOpener(Box<Piece>),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Slot {
    Arguments,
    Answer,
    Thought,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    Answer,
    Thought,
}

impl Envelope {
    fn build(&self, offer: &Offer, form: Option<&NativeForm>) -> Result<Grammar, EnvelopeError> {
        // Nothing can be called where nothing is offered.
        let choice = if offer.tools.is_empty() {
            ToolChoice::None
        } else {
            offer.tool_choice
        };
        let root = self
            .roots
            .get(&choice)
            .ok_or_else(|| EnvelopeError::Format(format!("no root for `{choice}`")))?;
        let builder = Builder {
            limits: &self.limits,
            offer,
            form,
            tool: None,
        };
        let mut rules = BTreeMap::new();
        let mut wanted = vec![root.clone()];
        while let Some(name) = wanted.pop() {
            if rules.contains_key(&name) {
                continue;
            }
            let piece = self
                .rules
                .get(&name)
                .ok_or_else(|| EnvelopeError::UndefinedRule(name.clone()))?;
            let node = builder.node(piece).unwrap_or(Node::Sequence(Vec::new()));
            collect_rules(&node, &mut wanted);
            rules.insert(name, node);
        }
        Ok(Grammar {
            rules,
            root: root.clone(),
        })
    }
}

fn collect_rules(node: &Node, names: &mut Vec<String>) {
    match node {
        Node::Rule(name) => names.push(name.clone()),
        Node::Sequence(items) | Node::Choice(items) => {
            for item in items {
                collect_rules(item, names);
            }
        }
        Node::Optional(item) | Node::Repeat { node: item, .. } => collect_rules(item, names),
        Node::Literal(_) | Node::Pattern(_) | Node::Schema(_) | Node::Text { .. } => {}
    }
}

#[derive(Clone, Copy)]
struct Builder<'a> {
    limits: &'a Limits,
    offer: &'a Offer,
    form: Option<&'a NativeForm>,
    tool: Option<&'a ToolDefinition>,
}

impl Builder<'_> {
    /// The node of a piece; `None` where a condition does not hold.
    fn node(&self, piece: &Piece) -> Option<Node> {
        Some(match piece {
            Piece::Literal(text) => {
                let text = self.fill(text);
                if text.is_empty() {
                    return None;
                }
                Node::Literal(text)
            }
            Piece::Pattern(pattern) => Node::Pattern(pattern.clone()),
            Piece::Rule(name) => Node::Rule(name.clone()),
            Piece::Sequence(pieces) => single(self.nodes(pieces), Node::Sequence),
            Piece::Choice(pieces) => self.choice(pieces),
            Piece::Optional(piece) => Node::Optional(Box::new(self.node(piece)?)),
            Piece::EachTool(piece) => self.each_tool(piece),
            Piece::Slot(slot) => Node::Schema(self.slot(slot)),
            Piece::Text {
                chars,
                without,
                until,
                one_line,
            } => Node::Text {
                max_chars: self.chars(chars),
                without: without.iter().map(|text| self.fill(text)).collect(),
                one_line: *one_line,
                until: until.as_ref().map(|text| self.fill(text)),
            },
            Piece::FurtherCalls { min, piece } => {
                let max = self.most_calls().saturating_sub(1);
                if max < (*min).max(1) {
                    return None;
                }
                Node::Repeat {
                    node: Box::new(self.node(piece)?),
                    min: *min,
                    max: Some(max),
                }
            }
            Piece::IfReasoning(piece) => {
                if self.offer.reasoning == Reasoning::Off {
                    return None;
                }
                self.node(piece)?
            }
            Piece::IfOpener(piece) => {
                if self.form.is_some_and(NativeForm::is_bare) {
                    return None;
                }
                self.node(piece)?
            }
        })
    }

    fn nodes(&self, pieces: &[Piece]) -> Vec<Node> {
        pieces.iter().filter_map(|piece| self.node(piece)).collect()
    }

    /// An alternative that comes to nothing (an empty opener) makes the choice optional.
    fn choice(&self, pieces: &[Piece]) -> Node {
        let nodes = self.nodes(pieces);
        let has_empty = pieces.iter().any(|piece| match piece {
            Piece::Literal(text) => self.fill(text).is_empty(),
            _ => false,
        });
        match (nodes.is_empty(), has_empty) {
            (true, _) => Node::Sequence(Vec::new()),
            (false, true) => Node::Optional(Box::new(single(nodes, Node::Choice))),
            (false, false) => single(nodes, Node::Choice),
        }
    }

    fn each_tool(&self, piece: &Piece) -> Node {
        let nodes = self
            .offer
            .tools
            .iter()
            .filter_map(|tool| {
                Builder {
                    tool: Some(tool),
                    ..*self
                }
                .node(piece)
            })
            .collect();
        single(nodes, Node::Choice)
    }

    fn slot(&self, slot: &Slot) -> Value {
        match slot {
            Slot::Arguments => self.arguments_schema(),
            Slot::Answer => {
                json!({"type": "string", "minLength": 1, "maxLength": self.limits.answer_chars})
            }
            Slot::Thought => {
                json!({"type": "string", "minLength": 1, "maxLength": self.chars(&Bound::Thought)})
            }
        }
    }

    /// The closed schema; with the template's own separators in the native dialect, because that
    /// is what the model was trained on.
    fn arguments_schema(&self) -> Value {
        let given = self.tool.map_or(&Value::Null, |tool| &tool.input_schema);
        let mut schema = closed_arguments(given);
        if let (Some(form), Value::Object(map)) = (self.form, &mut schema)
            && form.spaced
        {
            map.insert(
                "x-guidance".to_owned(),
                json!({"item_separator": ", ", "key_separator": ": "}),
            );
        }
        schema
    }

    fn chars(&self, bound: &Bound) -> u32 {
        match (bound, self.offer.reasoning) {
            (Bound::Answer, _) => self.limits.answer_chars,
            (Bound::Thought, Reasoning::Off) => self.limits.thought_chars,
            (Bound::Thought, Reasoning::Tokens(tokens)) => tokens.saturating_mul(CHARS_PER_TOKEN),
        }
    }

    fn most_calls(&self) -> u32 {
        match self.form {
            Some(form) if form.gap.is_none() => 1,
            _ => self.limits.calls,
        }
    }

    /// A text with its `${…}` filled in, in one pass: what is filled in is no template.
    fn fill(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(&self.variable(name));
            rest = behind;
        }
        out.push_str(rest);
        out
    }

    /// The value of a `${…}`; empty for one that does not apply here.
    fn variable(&self, name: &str) -> String {
        let tool = self.tool.map(|tool| tool.name.as_str());
        let form = self.form.map(NativeForm::variables);
        match (name, tool) {
            ("name", Some(tool)) => tool.to_owned(),
            ("name_json", Some(tool)) => json_string(tool),
            ("name_in_form", Some(tool)) => self
                .form
                .map_or_else(|| tool.to_owned(), |form| form.name_text(tool)),
            _ => form
                .iter()
                .flatten()
                .find(|(known, _)| *known == name)
                .map_or_else(String::new, |(_, value)| (*value).to_owned()),
        }
    }
}

/// One node alone, several joined.
fn single(mut nodes: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
    if nodes.len() == 1 {
        nodes.remove(0)
    } else {
        join(nodes)
    }
}
