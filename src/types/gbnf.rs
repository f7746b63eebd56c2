//! The same grammars in llama.cpp's form, for servers that read it.
//!
//! Data in: a [`Grammar`]. Data out: GBNF text, and whether it holds names and types of arguments
//! as closely as the first does. Invariants: total and stable; never narrower than the Lark form in
//! names, types and fixed values; bounds over `MOST_REPEATS`, patterns, formats and ranges of
//! numbers are left to validation, because llama.cpp unrolls every counted repetition.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use regex_syntax::hir::{Class, Hir, HirKind};
use serde_json::{Map, Value};

use super::grammar::{Grammar, Node, free_text_regex};

/// Counted repetitions above this are printed without a limit.
const MOST_REPEATS: u32 = 64;

/// Rules that every JSON slot may use.
const JSON_RULES: [(&str, &str); 7] = [
    (
        "json-char",
        r#"[^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt/] | "u" [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F])"#,
    ),
    ("json-string", r#""\"" json-char* "\"""#),
    ("json-integer", r#""-"? ("0" | [1-9] [0-9]{0,15})"#),
    (
        "json-number",
        r#"json-integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?"#,
    ),
    (
        "json-object",
        r#""{" (json-string ":" json-value ("," json-string ":" json-value)*)? "}""#,
    ),
    ("json-array", r#""[" (json-value ("," json-value)*)? "]""#),
    (
        "json-value",
        r#"json-object | json-array | json-string | json-number | "true" | "false" | "null""#,
    ),
];

/// A grammar in llama.cpp's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gbnf {
    /// The text; decoding starts at `root`.
    pub text: String,
    /// Names and types of arguments are held as in the Lark form.
    pub holds_structure: bool,
}

impl Grammar {
    /// The grammar in llama.cpp's form.
    pub fn to_gbnf(&self) -> Gbnf {
        let mut printer = Printer::default();
        for (name, node) in &self.rules {
            let body = printer.node(node);
            printer.rules.insert(rule_name(name), body);
        }
        let mut text = format!("root ::= {}\n", rule_name(&self.root));
        for (name, body) in &printer.rules {
            let _ = writeln!(text, "{name} ::= {body}");
        }
        for (name, body) in JSON_RULES {
            let _ = writeln!(text, "{name} ::= {body}");
        }
        Gbnf {
            text,
            holds_structure: !printer.loose,
        }
    }
}

/// A rule's name with the characters that the form allows, apart from those made here.
fn rule_name(name: &str) -> String {
    format!("r-{}", name.replace('_', "-"))
}

#[derive(Default)]
struct Printer {
    rules: BTreeMap<String, String>,
    slots: u32,
    objects: u32,
    loose: bool,
}

/// A JSON slot: its definitions' prefix and separators.
struct Slot {
    prefix: String,
    comma: String,
    colon: String,
}

impl Printer {
    fn node(&mut self, node: &Node) -> String {
        match node {
            Node::Literal(text) => literal(text),
            Node::Pattern(pattern) => regex(pattern),
            Node::Schema(schema) => self.slot(schema),
            Node::Text {
                max_chars,
                without,
                one_line,
                until,
            } => {
                let mut text = regex(&free_text_regex(*max_chars, without, *one_line));
                if let Some(end) = until {
                    text = format!("{text} {}", literal(end));
                }
                text
            }
            Node::Rule(name) => rule_name(name),
            Node::Sequence(items) if items.is_empty() => "\"\"".to_owned(),
            Node::Sequence(items) => {
                let parts: Vec<String> = items.iter().map(|item| self.node(item)).collect();
                format!("({})", parts.join(" "))
            }
            Node::Choice(items) => {
                let parts: Vec<String> = items.iter().map(|item| self.node(item)).collect();
                choice(&parts)
            }
            Node::Optional(item) => format!("({})?", self.node(item)),
            Node::Repeat { node, min, max } => {
                format!("({}){}", self.node(node), counts(*min, *max))
            }
        }
    }

    fn slot(&mut self, schema: &Value) -> String {
        self.slots += 1;
        let guidance = |key: &str, otherwise: &str| {
            let given = schema.get("x-guidance").and_then(|all| all.get(key));
            given
                .and_then(Value::as_str)
                .unwrap_or(otherwise)
                .to_owned()
        };
        let slot = Slot {
            prefix: format!("s{}", self.slots),
            comma: literal(&guidance("item_separator", ",")),
            colon: literal(&guidance("key_separator", ":")),
        };
        if let Some(Value::Object(definitions)) = schema.get("$defs") {
            for (name, definition) in definitions {
                let body = self.schema(&slot, definition);
                self.rules.insert(slot.definition(name), body);
            }
        }
        self.schema(&slot, schema)
    }

    fn schema(&mut self, slot: &Slot, schema: &Value) -> String {
        let Value::Object(map) = schema else {
            return match schema {
                // Nothing is valid: a character that no model writes.
                Value::Bool(false) => r#""\x00""#.to_owned(),
                _ => "json-value".to_owned(),
            };
        };
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            return slot.definition(reference.trim_start_matches("#/$defs/"));
        }
        if let Some(Value::Array(values)) = map.get("enum") {
            let parts: Vec<String> = values
                .iter()
                .map(|value| literal(&value.to_string()))
                .collect();
            return choice(&parts);
        }
        if let Some(Value::Array(options)) = map.get("anyOf") {
            let parts: Vec<String> = options
                .iter()
                .map(|option| self.schema(slot, option))
                .collect();
            return choice(&parts);
        }
        match map.get("type").and_then(Value::as_str) {
            Some("null") => literal("null"),
            Some("boolean") => r#"("true" | "false")"#.to_owned(),
            Some("integer") => "json-integer".to_owned(),
            Some("number") => "json-number".to_owned(),
            Some("string") => string(map),
            Some("array") => self.array(slot, map),
            Some("object") => self.object(slot, map),
            _ => "json-value".to_owned(),
        }
    }

    fn array(&mut self, slot: &Slot, map: &Map<String, Value>) -> String {
        let first: Vec<Value> = map
            .get("prefixItems")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let least = count(map, "minItems").unwrap_or(0);
        let most = count(map, "maxItems");
        let rest = self.schema(slot, map.get("items").unwrap_or(&Value::Bool(true)));
        let comma = &slot.comma;
        if first.is_empty() {
            if most == Some(0) {
                return r#""[" "]""#.to_owned();
            }
            let further = counts(least.saturating_sub(1), most.map(|most| most - 1));
            let items = format!("{rest} ({comma} {rest}){further}");
            return if least == 0 {
                format!(r#"("[" ({items})? "]")"#)
            } else {
                format!(r#"("[" {items} "]")"#)
            };
        }
        // From the last fixed place back: each place may be the end once enough are there.
        let fixed = u32::try_from(first.len()).unwrap_or(u32::MAX);
        let further = counts(
            least.saturating_sub(fixed),
            most.map(|most| most.saturating_sub(fixed)),
        );
        let mut tail = format!("({comma} {rest}){further}");
        for (index, item) in first.iter().enumerate().rev() {
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            let lead = if index == 0 { "" } else { comma.as_str() };
            let here = format!("{lead} {} {tail}", self.schema(slot, item));
            tail = if place >= least {
                format!("({here})?")
            } else {
                here
            };
        }
        format!(r#"("[" {tail} "]")"#)
    }

    fn object(&mut self, slot: &Slot, map: &Map<String, Value>) -> String {
        let properties: Vec<(String, Value)> = map
            .get("properties")
            .and_then(Value::as_object)
            .map(|all| {
                all.iter()
                    .map(|(name, schema)| (name.clone(), schema.clone()))
                    .collect()
            })
            .unwrap_or_default();
        let required: Vec<&str> = map
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let further = self.further(slot, map, !properties.is_empty());
        if properties.is_empty() {
            return match further {
                Some(pair) => {
                    let comma = &slot.comma;
                    format!(r#"("{{" ({pair} ({comma} {pair})*)? "}}")"#)
                }
                None => r#""{" "}""#.to_owned(),
            };
        }
        self.objects += 1;
        let name = format!("o{}", self.objects);
        let last = properties.len();
        for before in [false, true] {
            let body = match (&further, before) {
                (None, _) => "\"\"".to_owned(),
                (Some(pair), true) => format!("({} {pair})*", slot.comma),
                (Some(pair), false) => format!("({pair} ({} {pair})*)?", slot.comma),
            };
            self.rules.insert(member(&name, last, before), body);
        }
        for (index, (key, schema)) in properties.iter().enumerate().rev() {
            let key_text = literal(&Value::from(key.as_str()).to_string());
            let pair = format!("{key_text} {} {}", slot.colon, self.schema(slot, schema));
            let is_required = required.contains(&key.as_str());
            for before in [false, true] {
                let comma = if before { slot.comma.as_str() } else { "" };
                let taken = format!("{comma} {pair} {}", member(&name, index + 1, true));
                let body = if is_required {
                    taken
                } else {
                    format!("{taken} | {}", member(&name, index + 1, before))
                };
                self.rules.insert(member(&name, index, before), body);
            }
        }
        format!(r#"("{{" {} "}}")"#, member(&name, 0, false))
    }

    /// A pair of a key that is not declared, where one is allowed.
    fn further(&mut self, slot: &Slot, map: &Map<String, Value>, declares: bool) -> Option<String> {
        let rest = map.get("additionalProperties");
        let patterned = map.contains_key("patternProperties");
        if rest == Some(&Value::Bool(false)) && !patterned {
            return None;
        }
        // A free key may repeat a declared one, or miss its pattern.
        self.loose |= declares || patterned;
        let value = match rest {
            Some(schema) if !patterned => self.schema(slot, schema),
            _ => "json-value".to_owned(),
        };
        Some(format!("json-string {} {value}", slot.colon))
    }
}

impl Slot {
    fn definition(&self, name: &str) -> String {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        format!("{}-{name}", self.prefix)
    }
}

/// The rule for the members from `index` on; `before`: some stand before them.
fn member(object: &str, index: usize, before: bool) -> String {
    let mark = if before { "b" } else { "a" };
    format!("{object}-{index}{mark}")
}

fn string(map: &Map<String, Value>) -> String {
    let least = count(map, "minLength").unwrap_or(0);
    let most = count(map, "maxLength");
    if least == 0 && most.is_none() {
        return "json-string".to_owned();
    }
    format!(r#"("\"" json-char{} "\"")"#, counts(least, most))
}

fn count(map: &Map<String, Value>, name: &str) -> Option<u32> {
    let count = map.get(name)?.as_u64()?;
    Some(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How often, as the form writes it.
fn counts(min: u32, max: Option<u32>) -> String {
    let min = min.min(MOST_REPEATS);
    match max.filter(|max| *max <= MOST_REPEATS) {
        Some(max) => format!("{{{min},{}}}", max.max(min)),
        None if min == 0 => "*".to_owned(),
        None if min == 1 => "+".to_owned(),
        None => format!("{{{min},}}"),
    }
}

fn choice(parts: &[String]) -> String {
    match parts {
        [] => r#""\x00""#.to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(" | ")),
    }
}

/// A string in quotes.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A regular expression; any text where it cannot be read.
fn regex(pattern: &str) -> String {
    match regex_syntax::parse(pattern) {
        Ok(hir) => hir_text(&hir),
        Err(_) => "[^\\x00]*".to_owned(),
    }
}

fn hir_text(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => "\"\"".to_owned(),
        HirKind::Literal(bytes) => literal(&String::from_utf8_lossy(&bytes.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges: String = class
                .ranges()
                .iter()
                .map(|range| range_text(range.start(), range.end()))
                .collect();
            format!("[{ranges}]")
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges: String = class
                .ranges()
                .iter()
                .map(|range| range_text(char::from(range.start()), char::from(range.end())))
                .collect();
            format!("[{ranges}]")
        }
        HirKind::Repetition(repetition) => {
            let inner = hir_text(&repetition.sub);
            format!("({inner}){}", counts(repetition.min, repetition.max))
        }
        HirKind::Capture(capture) => hir_text(&capture.sub),
        HirKind::Concat(parts) => {
            let parts: Vec<String> = parts.iter().map(hir_text).collect();
            format!("({})", parts.join(" "))
        }
        HirKind::Alternation(parts) => {
            let parts: Vec<String> = parts.iter().map(hir_text).collect();
            format!("({})", parts.join(" | "))
        }
    }
}

fn range_text(start: char, end: char) -> String {
    let escaped = |c: char| match u32::from(c) {
        code @ 0..=0xFF if !c.is_ascii_alphanumeric() => format!("\\x{code:02X}"),
        0..=0xFF => c.to_string(),
        code @ 0x100..=0xFFFF => format!("\\u{code:04X}"),
        code => format!("\\U{code:08X}"),
    };
    if start == end {
        escaped(start)
    } else {
        format!("{}-{}", escaped(start), escaped(end))
    }
}

#[cfg(test)]
#[path = "gbnf_tests.rs"]
mod tests;
