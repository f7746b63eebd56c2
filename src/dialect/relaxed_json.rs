//! JSON as models write it when they miss the form, with every repair recorded.
//!
//! Data in: text and a position. Data out: the value that starts there, its end, the repairs.
//! Invariants: never panics; bounded depth; what is valid JSON is read with no repair.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::types::Repair;

/// Deepest nesting read.
const MAX_DEPTH: usize = 64;

/// A value read with repairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Relaxed {
    /// The value.
    pub value: Value,
    /// Byte position after it.
    pub end: usize,
    /// What had to be repaired.
    pub repairs: BTreeSet<Repair>,
}

/// The value that starts at byte `start` (white space before it is skipped).
pub fn parse(text: &str, start: usize) -> Option<Relaxed> {
    let mut parser = Parser {
        text,
        at: start,
        repairs: BTreeSet::new(),
    };
    parser.skip_space();
    let value = parser.value(0)?;
    Some(Relaxed {
        value,
        end: parser.at,
        repairs: parser.repairs,
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    repairs: BTreeSet<Repair>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += self.peek().map_or(0, char::len_utf8);
        }
    }

    /// The text ends here, or a code fence does: what is open was never closed.
    fn at_end(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        rest.is_empty() || rest.starts_with("```") || rest.starts_with("</")
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            c if closing_quote(c).is_some() => self.string().map(Value::String),
            c if c == '-' || c == '+' || c.is_ascii_digit() => self.number(),
            c if c.is_ascii_alphabetic() => self.word(),
            _ => None,
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.advance();
        let mut map = Map::new();
        let mut after_comma = false;
        loop {
            self.skip_space();
            if self.at_end() {
                self.repairs.insert(Repair::UnclosedBracket);
                return Some(Value::Object(map));
            }
            match self.peek()? {
                '}' => {
                    self.advance();
                    if after_comma {
                        self.repairs.insert(Repair::TrailingComma);
                    }
                    return Some(Value::Object(map));
                }
                ']' if depth > 0 => {
                    self.repairs.insert(Repair::UnclosedBracket);
                    return Some(Value::Object(map));
                }
                _ if !map.is_empty() && !after_comma => return None,
                _ => {}
            }
            let key = self.key()?;
            self.skip_space();
            if self.at_end() {
                continue;
            }
            if self.advance()? != ':' {
                return None;
            }
            self.skip_space();
            if self.at_end() {
                continue;
            }
            let value = self.value(depth + 1)?;
            map.insert(key, value);
            after_comma = self.comma();
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.advance();
        let mut items = Vec::new();
        let mut after_comma = false;
        loop {
            self.skip_space();
            if self.at_end() {
                self.repairs.insert(Repair::UnclosedBracket);
                return Some(Value::Array(items));
            }
            match self.peek()? {
                ']' => {
                    self.advance();
                    if after_comma {
                        self.repairs.insert(Repair::TrailingComma);
                    }
                    return Some(Value::Array(items));
                }
                '}' if depth > 0 => {
                    self.repairs.insert(Repair::UnclosedBracket);
                    return Some(Value::Array(items));
                }
                _ if !items.is_empty() && !after_comma => return None,
                _ => {}
            }
            items.push(self.value(depth + 1)?);
            after_comma = self.comma();
        }
    }

    fn comma(&mut self) -> bool {
        self.skip_space();
        let comma = self.peek() == Some(',');
        if comma {
            self.advance();
        }
        comma
    }

    fn key(&mut self) -> Option<String> {
        let c = self.peek()?;
        if closing_quote(c).is_some() {
            return self.string();
        }
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            self.advance();
        }
        (self.at > start).then(|| {
            self.repairs.insert(Repair::Quotes);
            self.text[start..self.at].to_owned()
        })
    }

    fn string(&mut self) -> Option<String> {
        let open = self.advance()?;
        let closing = closing_quote(open)?;
        if open != '"' {
            self.repairs.insert(Repair::Quotes);
        }
        let mut out = String::new();
        loop {
            let Some(c) = self.advance() else {
                self.repairs.insert(Repair::UnclosedBracket);
                return Some(out);
            };
            if closing.contains(&c) && (open == '"' || self.string_may_end()) {
                return Some(out);
            }
            match c {
                '\\' => self.escape(&mut out),
                c if c < ' ' => {
                    self.repairs.insert(Repair::Quotes);
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }

    /// A quote that is not `"` ends a string only where one may end: `it's` goes on.
    fn string_may_end(&self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default().trim_start();
        rest.is_empty() || rest.starts_with([',', ':', '}', ']']) || rest.starts_with("```")
    }

    fn escape(&mut self, out: &mut String) {
        match self.advance() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => self.unicode_escape(out),
            Some(c) => {
                if !matches!(c, '"' | '\\' | '/') {
                    self.repairs.insert(Repair::Quotes);
                }
                out.push(c);
            }
            None => {}
        }
    }

    fn unicode_escape(&mut self, out: &mut String) {
        let Some(first) = self.four_digits() else {
            self.repairs.insert(Repair::Quotes);
            out.push('u');
            return;
        };
        let rest = self.text.get(self.at..).unwrap_or_default();
        if (0xD800..0xDC00).contains(&first) && rest.starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            if let Some(second) = self
                .four_digits()
                .filter(|low| (0xDC00..0xE000).contains(low))
            {
                let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                return;
            }
            self.at = before;
        }
        out.push(char::from_u32(first).unwrap_or_else(|| {
            self.repairs.insert(Repair::Quotes);
            char::REPLACEMENT_CHARACTER
        }));
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<Value> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'))
        {
            self.advance();
        }
        serde_json::from_str(&self.text[start..self.at]).ok()
    }

    fn word(&mut self) -> Option<Value> {
        let start = self.at;
        while self
            .peek()
            .is_some_and(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            self.advance();
        }
        let (value, python) = match &self.text[start..self.at] {
            "true" => (Value::Bool(true), false),
            "false" => (Value::Bool(false), false),
            "null" => (Value::Null, false),
            "True" => (Value::Bool(true), true),
            "False" => (Value::Bool(false), true),
            "None" => (Value::Null, true),
            _ => return None,
        };
        if python {
            self.repairs.insert(Repair::PythonLiteral);
        }
        Some(value)
    }
}

/// The quotes that may close a string opened by this one.
fn closing_quote(open: char) -> Option<&'static [char]> {
    match open {
        '"' => Some(&['"']),
        '\'' => Some(&['\'']),
        '\u{201c}' | '\u{201d}' | '\u{201e}' => Some(&['\u{201d}', '\u{201c}', '"']),
        '\u{2018}' | '\u{2019}' => Some(&['\u{2019}', '\u{2018}', '\'']),
        '`' => Some(&['`']),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_repair_is_recorded() {
        for (text, value, repair) in [
            ("{\"a\":1,}", json!({"a":1}), Some(Repair::TrailingComma)),
            ("[1,2,]", json!([1, 2]), Some(Repair::TrailingComma)),
            ("{'a':'it's'}", json!({"a":"it's"}), Some(Repair::Quotes)),
            (
                "{\u{201c}a\u{201d}: 2}",
                json!({"a":2}),
                Some(Repair::Quotes),
            ),
            ("{a: 2}", json!({"a":2}), Some(Repair::Quotes)),
            (
                "{\"a\":True}",
                json!({"a":true}),
                Some(Repair::PythonLiteral),
            ),
            (
                "{\"a\":None}",
                json!({"a":null}),
                Some(Repair::PythonLiteral),
            ),
            (
                "{\"a\":{\"b\":\"c",
                json!({"a":{"b":"c"}}),
                Some(Repair::UnclosedBracket),
            ),
            (
                "[{\"a\":1]",
                json!([{"a":1}]),
                Some(Repair::UnclosedBracket),
            ),
            (
                "{\"a\":\"\\u00e9\\ud83d\\ude00\"}",
                json!({"a":"é😀"}),
                None,
            ),
        ] {
            let read = parse(text, 0).unwrap();
            assert_eq!(read.value, value, "{text}");
            assert_eq!(read.repairs, repair.into_iter().collect(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in ["", "x", "{{", "{\"a\" 1}", "[1 2]", "{\"a\":}"] {
            assert_eq!(parse(text, 0), None, "{text}");
        }
        assert_eq!(parse(&"[".repeat(500), 0), None);
    }
}
