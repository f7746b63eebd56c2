//! Plain lines of recorded calls, read into one row of tokens that is used again for the next line.
//!
//! Data in: a line. Data out: its id and calls, when it holds these two in the usual order and
//! nothing unusual: no escapes but in values, no repeated keys, no numbers beyond a machine word. Most lines are
//! such, and building values for them would take longer than judging them. `None` for every other
//! line, which is then read as any JSON is. Invariants: what is read means the same as there.

use std::borrow::Cow;

use super::given::{Given, GivenCall, Promotion};
use super::json::{DEEPEST, Reader};
use super::value::{Integer, Key, Kind, Value, equal};

/// One value, or the key before one.
#[derive(Clone, Copy, Debug)]
enum Token<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// A string that was written with escapes: its place among the texts.
    Escaped(usize),
    Key(&'a str),
    /// Elements, and the place behind the last of them.
    List(u32, u32),
    /// Entries, and the place behind the last of them.
    Object(u32, u32),
}

/// The tokens of a line.
#[derive(Debug, Default)]
pub(super) struct Tape<'a> {
    tokens: Vec<Token<'a>>,
    /// Names of the calls, and where their arguments stand.
    calls: Vec<(&'a str, usize)>,
    /// Places of the keys of the objects that are open.
    keys: Vec<usize>,
    /// Strings without their escapes.
    texts: Vec<String>,
}

impl<'a> Tape<'a> {
    /// Reads a line and gives its id.
    pub(super) fn read(&mut self, line: &'a str) -> Option<&'a str> {
        self.tokens.clear();
        self.calls.clear();
        self.keys.clear();
        self.texts.clear();
        let mut reader = Reader::new(line);
        let opens = reader.take(b'{') && reader.take_key("\"id\"");
        let id = opens.then(|| reader.take_plain()).flatten()?;
        if !(reader.take(b',') && reader.take_key("\"calls\"") && reader.take(b'[')) {
            return None;
        }
        let mut is_over = reader.take(b']');
        while !is_over {
            if !(reader.take(b'{') && reader.take_key("\"name\"")) {
                return None;
            }
            let name = reader.take_plain()?;
            if !(reader.take(b',') && reader.take_key("\"arguments\"")) {
                return None;
            }
            self.calls.push((name, self.tokens.len()));
            // Arguments stand within the line, the list and the call.
            self.object(&mut reader, 3)?;
            if !reader.take(b'}') {
                return None;
            }
            is_over = reader.take(b']');
            if !is_over && !reader.take(b',') {
                return None;
            }
        }
        (reader.take(b'}') && reader.is_at_end()).then_some(id)
    }

    /// Number of calls.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// One of them.
    pub(super) fn call(&self, index: usize) -> FlatCall<'_> {
        let (name, at) = self.calls[index];
        FlatCall {
            name,
            arguments: Node { tape: self, at },
        }
    }

    fn value(&mut self, reader: &mut Reader<'a>, depth: usize) -> Option<()> {
        let token = match reader.peek()? {
            b'"' => match reader.take_string()? {
                Cow::Borrowed(text) => Token::Text(text),
                Cow::Owned(text) => {
                    self.texts.push(text);
                    Token::Escaped(self.texts.len() - 1)
                }
            },
            b'{' => return self.object(reader, depth),
            b'[' => return self.list(reader, depth),
            _ => match reader.take_scalar()? {
                Value::Null => Token::Null,
                Value::Bool(truth) => Token::Bool(truth),
                Value::Int(Integer::Small(small)) => Token::Int(small),
                Value::Float(float) => Token::Float(float),
                _ => return None,
            },
        };
        self.tokens.push(token);
        Some(())
    }

    fn list(&mut self, reader: &mut Reader<'a>, depth: usize) -> Option<()> {
        let start = self.open(reader, b'[', depth)?;
        let mut count = 0;
        let mut is_over = reader.take(b']');
        while !is_over {
            self.value(reader, depth + 1)?;
            count += 1;
            is_over = reader.take(b']');
            if !is_over && !reader.take(b',') {
                return None;
            }
            reader.skip_space();
        }
        self.tokens[start] = Token::List(count, u32::try_from(self.tokens.len()).ok()?);
        Some(())
    }

    fn object(&mut self, reader: &mut Reader<'a>, depth: usize) -> Option<()> {
        let start = self.open(reader, b'{', depth)?;
        let first_key = self.keys.len();
        let mut is_over = reader.take(b'}');
        while !is_over {
            let key = reader.take_plain()?;
            let is_repeated = self.keys[first_key..]
                .iter()
                .any(|at| matches!(self.tokens[*at], Token::Key(known) if known == key));
            if is_repeated || !reader.take(b':') {
                return None;
            }
            self.keys.push(self.tokens.len());
            self.tokens.push(Token::Key(key));
            reader.skip_space();
            self.value(reader, depth + 1)?;
            is_over = reader.take(b'}');
            if !is_over && !reader.take(b',') {
                return None;
            }
            reader.skip_space();
        }
        let count = u32::try_from(self.keys.len() - first_key).ok()?;
        self.keys.truncate(first_key);
        self.tokens[start] = Token::Object(count, u32::try_from(self.tokens.len()).ok()?);
        Some(())
    }

    /// Passes an opening bracket and leaves room for what it opens.
    fn open(&mut self, reader: &mut Reader<'a>, bracket: u8, depth: usize) -> Option<usize> {
        if depth >= DEEPEST || !reader.take(bracket) {
            return None;
        }
        reader.skip_space();
        self.tokens.push(Token::Null);
        Some(self.tokens.len() - 1)
    }
}

/// A call on a tape.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlatCall<'v> {
    name: &'v str,
    arguments: Node<'v>,
}

impl<'v> GivenCall<'v> for FlatCall<'v> {
    type Value = Node<'v>;

    fn name(self) -> Option<&'v str> {
        Some(self.name)
    }

    fn arguments(self) -> impl Iterator<Item = (Option<&'v str>, Node<'v>)> {
        self.arguments.entries()
    }
}

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'v> {
    tape: &'v Tape<'v>,
    at: usize,
}

impl<'v> Node<'v> {
    fn token(self) -> Token<'v> {
        self.tape.tokens[self.at]
    }

    /// The place behind it.
    fn end(self) -> usize {
        match self.token() {
            Token::List(_, end) | Token::Object(_, end) => end as usize,
            _ => self.at + 1,
        }
    }

    fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }
}

/// Elements of a list on a tape.
struct Items<'v> {
    next: Node<'v>,
    left: usize,
}

impl<'v> Iterator for Items<'v> {
    type Item = Node<'v>;

    fn next(&mut self) -> Option<Node<'v>> {
        self.left = self.left.checked_sub(1)?;
        let found = self.next;
        self.next = found.at(found.end());
        Some(found)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Items<'_> {}

impl<'v> Given<'v> for Node<'v> {
    fn kind(self) -> Kind {
        match self.token() {
            Token::Null | Token::Key(_) => Kind::Null,
            Token::Bool(_) => Kind::Bool,
            Token::Int(_) => Kind::Int,
            Token::Float(_) => Kind::Float,
            Token::Text(_) | Token::Escaped(_) => Kind::Text,
            Token::List(..) => Kind::List,
            Token::Object(..) => Kind::Object,
        }
    }

    fn text(self) -> Option<&'v str> {
        match self.token() {
            Token::Text(text) => Some(text),
            Token::Escaped(place) => Some(&self.tape.texts[place]),
            _ => None,
        }
    }

    fn promoted(self) -> Promotion {
        match self.token() {
            Token::Int(small) => Promotion::Float(small as f64),
            _ => Promotion::Stays,
        }
    }

    fn items(self) -> impl ExactSizeIterator<Item = Self> {
        let left = match self.token() {
            Token::List(count, _) => count as usize,
            _ => 0,
        };
        Items {
            next: self.at(self.at + 1),
            left,
        }
    }

    fn entries(self) -> impl Iterator<Item = (Option<&'v str>, Self)> {
        let (mut at, end) = match self.token() {
            Token::Object(_, end) => (self.at + 1, end as usize),
            _ => (0, 0),
        };
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = match self.at(at).token() {
                Token::Key(key) => Some(key),
                _ => None,
            };
            let value = self.at(at + 1);
            at = value.end();
            Some((key, value))
        })
    }

    fn equals(self, other: &Value<'_>) -> bool {
        match (self.token(), other) {
            (Token::Text(_) | Token::Escaped(_), Value::Text(other)) => self.text() == Some(other),
            (Token::Null, other) => matches!(other, Value::Null),
            (Token::Bool(truth), other) => equal(&Value::Bool(truth), other),
            (Token::Int(small), other) => equal(&Value::Int(Integer::Small(small)), other),
            (Token::Float(float), other) => equal(&Value::Float(float), other),
            (Token::List(count, _), Value::List(others)) => {
                count as usize == others.len()
                    && self.items().zip(others).all(|(item, one)| item.equals(one))
            }
            (Token::Object(count, _), Value::Object(others)) => {
                count as usize == others.len()
                    && self.entries().all(|(key, value)| {
                        let mut entries = others.iter();
                        let found = entries.find(|(known, _)| match known {
                            Key::Text(known) => key == Some(known),
                            Key::Other(_) => false,
                        });
                        found.is_some_and(|(_, other)| value.equals(other))
                    })
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "flat_tests.rs"]
mod tests;
