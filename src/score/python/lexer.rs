//! Text to tokens.
//!
//! Data in: text. Data out: tokens that end with [`Token::End`]. Invariants: brackets match and
//! nest at most [`DEEPEST`] deep; no token stands on an indented line.

use std::borrow::Cow;

use num_bigint::BigInt;
use unicode_normalization::UnicodeNormalization as _;

use super::PythonError;
use crate::score::json::{LONGEST_INTEGER, character};
use crate::score::value::{Integer, Value};

/// Brackets within brackets that Python's tokenizer allows.
const DEEPEST: usize = 200;

/// A token.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// A name or a keyword.
    Name(String),
    /// A number.
    Number(Value<'static>),
    /// A string, not yet joined with its neighbours.
    Text(Literal),
    /// An operator or bracket.
    Operator(&'static str),
    /// The end of a line outside brackets.
    Newline,
    /// The end of the text.
    End,
}

/// One string literal.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    /// `"…"`, with whether it has a `u` prefix.
    Plain(String, bool),
    /// `b"…"`.
    Bytes(Vec<u8>),
    /// `f"…"`, raw.
    Formatted(String),
}

/// Longest first.
const OPERATORS: [&str; 45] = [
    "**=", "//=", ">>=", "<<=", "...", "**", "//", ">>", "<<", "<=", ">=", "==", "!=", "->", "+=",
    "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=", "+", "-", "*", "/", "%", "@", "&", "|",
    "^", "~", "<", ">", "(", ")", "[", "]", "{", "}", ",", ":", ".",
];
/// Operators that are no part of any expression but are tokens.
const OTHERS: [&str; 2] = [";", "="];

/// Splits a text into tokens.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, PythonError> {
    if text.contains('\0') {
        return Err(PythonError::new("a NUL byte"));
    }
    let text: Cow<'_, str> = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut lexer = Lexer {
        rest: &text,
        open: Vec::new(),
        tokens: Vec::new(),
        at_line_start: true,
    };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    open: Vec<&'static str>,
    tokens: Vec<Token>,
    at_line_start: bool,
}

fn fault<T>(reason: impl Into<Cow<'static, str>>) -> Result<T, PythonError> {
    Err(PythonError::new(reason))
}

impl Lexer<'_> {
    fn run(&mut self) -> Result<(), PythonError> {
        loop {
            let spaces = self.skip_spaces();
            let Some(first) = self.rest.chars().next() else {
                break;
            };
            match first {
                '\n' => {
                    self.rest = &self.rest[1..];
                    // A line without tokens and a line end within brackets say nothing.
                    if self.open.is_empty() && !self.at_line_start {
                        self.tokens.push(Token::Newline);
                        self.at_line_start = true;
                    }
                    continue;
                }
                '#' => {
                    let end = self.rest.find('\n').unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                    continue;
                }
                '\\' => {
                    let Some(rest) = self.rest.strip_prefix("\\\n") else {
                        return fault("a backslash that does not end its line");
                    };
                    if rest.is_empty() {
                        return fault("the text ends after a backslash");
                    }
                    self.rest = rest;
                    continue;
                }
                _ => {}
            }
            if self.at_line_start && spaces > 0 && self.open.is_empty() {
                return fault("an indented line");
            }
            self.at_line_start = false;
            self.token(first)?;
        }
        if let Some(bracket) = self.open.last() {
            return fault(format!("`{bracket}` is never closed"));
        }
        self.tokens.push(Token::End);
        Ok(())
    }

    fn skip_spaces(&mut self) -> usize {
        let rest = self.rest.trim_start_matches([' ', '\t', '\u{c}']);
        let skipped = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        // A form feed puts the reader back to the start of the line.
        skipped.len() - skipped.rfind('\u{c}').map_or(0, |at| at + 1)
    }

    fn token(&mut self, first: char) -> Result<(), PythonError> {
        if first.is_ascii_digit()
            || (first == '.' && self.rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            return self.number();
        }
        if first == '"' || first == '\'' {
            return self.string("");
        }
        if first == '_' || first.is_ascii_alphabetic() || !first.is_ascii() {
            return self.name();
        }
        let known = OPERATORS.iter().chain(&OTHERS);
        let Some(operator) = known.copied().find(|one| self.rest.starts_with(one)) else {
            return fault(format!("`{first}` has no place here"));
        };
        self.bracket(operator)?;
        self.rest = &self.rest[operator.len()..];
        self.tokens.push(Token::Operator(operator));
        Ok(())
    }

    fn bracket(&mut self, operator: &'static str) -> Result<(), PythonError> {
        match operator {
            "(" | "[" | "{" => {
                if self.open.len() >= DEEPEST {
                    return fault("too many nested brackets");
                }
                self.open.push(operator);
            }
            ")" | "]" | "}" => {
                let fits = match self.open.pop() {
                    Some("(") => operator == ")",
                    Some("[") => operator == "]",
                    Some("{") => operator == "}",
                    _ => false,
                };
                if !fits {
                    return fault(format!("`{operator}` closes nothing"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self) -> Result<(), PythonError> {
        let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii();
        let end = self
            .rest
            .find(|c: char| !is_part(c))
            .unwrap_or(self.rest.len());
        let name = &self.rest[..end];
        let is_prefix = name.len() <= 2
            && matches!(
                name.to_ascii_lowercase().as_str(),
                "r" | "b" | "u" | "f" | "br" | "rb" | "fr" | "rf"
            );
        if is_prefix && self.rest[end..].starts_with(['"', '\'']) {
            // Only a lower-case `u` is remembered by Python's reader.
            let prefix = if name == "u" {
                name.to_owned()
            } else {
                name.to_ascii_lowercase().replace('u', "")
            };
            self.rest = &self.rest[end..];
            return self.string(&prefix);
        }
        let mut characters = name.chars();
        let starts = characters
            .next()
            .is_some_and(|c| c == '_' || unicode_ident::is_xid_start(c));
        if !starts || !characters.all(unicode_ident::is_xid_continue) {
            return fault(format!("`{name}` is no name"));
        }
        self.tokens.push(Token::Name(if name.is_ascii() {
            name.to_owned()
        } else {
            name.nfkc().collect()
        }));
        self.rest = &self.rest[end..];
        Ok(())
    }

    fn string(&mut self, prefix: &str) -> Result<(), PythonError> {
        let quote = &self.rest[..1];
        let triple = quote.repeat(3);
        let (open, is_triple) = if self.rest.starts_with(&triple) {
            (triple.as_str(), true)
        } else {
            (quote, false)
        };
        let body_start = open.len();
        let mut at = body_start;
        let body_end = loop {
            let rest = &self.rest[at..];
            if rest.starts_with(open) {
                break at;
            }
            let Some(c) = rest.chars().next() else {
                return fault("a string without end");
            };
            match c {
                '\n' if !is_triple => return fault("a string that does not end on its line"),
                '\\' => {
                    let next = rest[1..].chars().next().map_or(0, char::len_utf8);
                    at += 1 + next;
                }
                _ => at += c.len_utf8(),
            }
        };
        let body = &self.rest[body_start..body_end];
        let literal = literal(body, prefix)?;
        self.tokens.push(Token::Text(literal));
        self.rest = &self.rest[body_end + open.len()..];
        Ok(())
    }

    fn number(&mut self) -> Result<(), PythonError> {
        let lower = self.rest.as_bytes().get(1).map(u8::to_ascii_lowercase);
        let radix = match (self.rest.as_bytes()[0], lower) {
            (b'0', Some(b'x')) => 16,
            (b'0', Some(b'o')) => 8,
            (b'0', Some(b'b')) => 2,
            _ => 10,
        };
        let (value, end) = if radix == 10 {
            decimal(self.rest)?
        } else {
            let end = 2 + digits(&self.rest[2..], radix, true)?;
            let text = self.rest[2..end].replace('_', "");
            let Some(big) = BigInt::parse_bytes(text.as_bytes(), radix) else {
                return fault("a number without digits");
            };
            (Value::Int(Integer::from_big(big)), end)
        };
        let rest = &self.rest[end..];
        let follows = |word: &str| rest.starts_with(word);
        let keyword = ["and", "else", "for", "if", "in", "is", "not", "or"]
            .iter()
            .any(|word| follows(word));
        let is_part = |c: char| c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii();
        if rest.starts_with(is_part) && !keyword {
            return fault("a number that runs into a name");
        }
        self.tokens.push(Token::Number(value));
        self.rest = rest;
        Ok(())
    }
}

/// Length of a run of digits with single underscores between them.
fn digits(text: &str, radix: u32, leading_underscore: bool) -> Result<usize, PythonError> {
    let bytes = text.as_bytes();
    let is_digit = |at: usize| {
        bytes
            .get(at)
            .is_some_and(|byte| char::from(*byte).is_digit(radix))
    };
    let mut at = 0;
    if leading_underscore && bytes.first() == Some(&b'_') {
        at = 1;
    }
    if !is_digit(at) {
        return fault("a number without digits");
    }
    loop {
        while is_digit(at) {
            at += 1;
        }
        if bytes.get(at) != Some(&b'_') {
            return Ok(at);
        }
        if !is_digit(at + 1) {
            return fault("an underscore that separates no digits");
        }
        at += 1;
    }
}

/// A decimal number and its length.
fn decimal(text: &str) -> Result<(Value<'static>, usize), PythonError> {
    let bytes = text.as_bytes();
    let mut at = 0;
    if bytes[0] != b'.' {
        at = digits(text, 10, false)?;
    }
    let whole = &text[..at];
    let mut is_float = false;
    if bytes.get(at) == Some(&b'.') {
        is_float = true;
        at += 1;
        if bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += digits(&text[at..], 10, false)?;
        }
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if bytes.get(at + 1 + sign).is_some_and(u8::is_ascii_digit) {
            is_float = true;
            at += 1 + sign;
            at += digits(&text[at..], 10, false)?;
        }
    }
    let written = text[..at].replace('_', "");
    let float = || written.parse::<f64>().unwrap_or(f64::NAN);
    if let Some(b'j' | b'J') = bytes.get(at) {
        let exotic = crate::score::value::Exotic::Complex(0.0, float());
        return Ok((Value::Exotic(Box::new(exotic)), at + 1));
    }
    if is_float {
        return Ok((Value::Float(float()), at));
    }
    if whole.starts_with('0') && whole.bytes().any(|byte| !matches!(byte, b'0' | b'_')) {
        return fault("a number with leading zeros");
    }
    if written.len() > LONGEST_INTEGER {
        return fault("an integer of more than 4300 digits");
    }
    let big: BigInt = written
        .parse()
        .map_err(|_| PythonError::new("a number without digits"))?;
    Ok((Value::Int(Integer::from_big(big)), at))
}

fn literal(body: &str, prefix: &str) -> Result<Literal, PythonError> {
    let is_raw = prefix.contains('r');
    if prefix.contains('f') {
        return Ok(Literal::Formatted(body.to_owned()));
    }
    if prefix.contains('b') {
        if !body.is_ascii() {
            return fault("bytes hold ASCII characters only");
        }
        if is_raw {
            return Ok(Literal::Bytes(body.as_bytes().to_vec()));
        }
        // Escapes of bytes stay below 256, so each character is one byte.
        let text = unescape(body, true)?;
        return Ok(Literal::Bytes(text.chars().map(|c| c as u8).collect()));
    }
    let text = if is_raw {
        body.to_owned()
    } else {
        unescape(body, false)?
    };
    Ok(Literal::Plain(text, prefix == "u"))
}

fn unescape(body: &str, is_bytes: bool) -> Result<String, PythonError> {
    if !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else {
            return fault("a string that ends in a backslash");
        };
        rest = &rest[letter.len_utf8()..];
        match letter {
            '\n' => {}
            '\\' | '\'' | '"' => out.push(letter),
            'a' => out.push('\u{7}'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'v' => out.push('\u{b}'),
            '0'..='7' => {
                let more = rest
                    .bytes()
                    .take(2)
                    .take_while(|byte| matches!(byte, b'0'..=b'7'))
                    .count();
                let mut code = letter.to_digit(8).unwrap_or_default();
                for digit in rest[..more].chars() {
                    code = code * 8 + digit.to_digit(8).unwrap_or_default();
                }
                rest = &rest[more..];
                out.push(character(if is_bytes { code & 0xff } else { code }));
            }
            'x' => out.push(hexadecimal(&mut rest, 2)?),
            'u' if !is_bytes => out.push(hexadecimal(&mut rest, 4)?),
            'U' if !is_bytes => out.push(hexadecimal(&mut rest, 8)?),
            'N' if !is_bytes => return fault("characters by name are not known here"),
            other => {
                out.push('\\');
                out.push(other);
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn hexadecimal(rest: &mut &str, length: usize) -> Result<char, PythonError> {
    let digits = rest
        .get(..length)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match code {
        Some(code) if code <= 0x10_ffff => {
            *rest = &rest[length..];
            Ok(character(code))
        }
        _ => fault("a truncated or impossible escape"),
    }
}
