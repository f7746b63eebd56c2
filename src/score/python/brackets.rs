//! What stands in brackets: arguments, subscripts, collections, comprehensions; and atoms.
//!
//! Data in: tokens behind an opening bracket. Data out: expressions. Invariants: those of the parser,
//! of which this is a part.

use super::PythonError;
use super::lexer::{Literal, Token};
use super::parser::{Parsed, Parser, unexpected};
use super::syntax::{Call, Comprehension, Expr, Loop};
use crate::score::value::{Exotic, Value};

impl Parser {
    /// After the opening bracket of a call.
    pub(super) fn arguments(&mut self, function: Expr) -> Parsed {
        let mut call = Call {
            function,
            positional: Vec::new(),
            keywords: Vec::new(),
        };
        let mut generators = 0;
        while !self.is_operator(")") {
            if self.take("**") {
                call.keywords.push((None, self.expression()?));
            } else if self.take("*") {
                if call.keywords.iter().any(|(name, _)| name.is_none()) {
                    return Err(PythonError::new("`*` after `**`"));
                }
                let value = self.expression()?;
                call.positional.push(Expr::Starred(Box::new(value)));
            } else if let (Token::Name(_), Token::Operator("=")) = (self.peek(), self.peek_after())
            {
                let name = self.identifier()?;
                self.at += 1;
                call.keywords.push((Some(name), self.expression()?));
            } else {
                let value = self.named_expression()?;
                if !call.keywords.is_empty() {
                    return Err(PythonError::new(
                        "a positional argument after a keyword argument",
                    ));
                }
                if self.starts_loop() {
                    generators += 1;
                    let generator = self.comprehension(("(", ")"), value, None)?;
                    call.positional.push(generator);
                } else {
                    call.positional.push(value);
                }
            }
            if !self.take(",") {
                break;
            }
            if generators > 0 && self.is_operator(")") {
                return Err(PythonError::new("a generator needs its own brackets"));
            }
        }
        self.expect(")")?;
        if generators > 0 && call.positional.len() + call.keywords.len() > 1 {
            return Err(PythonError::new("a generator needs its own brackets"));
        }
        Ok(Expr::Call(Box::new(call)))
    }

    /// After the opening bracket of a subscript.
    pub(super) fn slices(&mut self) -> Parsed {
        let mut items = Vec::new();
        let mut is_tuple = false;
        loop {
            items.push(self.slice()?);
            if !self.take(",") {
                break;
            }
            is_tuple = true;
            if self.is_operator("]") {
                break;
            }
        }
        self.expect("]")?;
        if is_tuple || matches!(items.first(), Some(Expr::Starred(_))) {
            return Ok(Expr::Tuple(items));
        }
        Ok(items.remove(0))
    }

    fn slice(&mut self) -> Parsed {
        if self.take("*") {
            return Ok(Expr::Starred(Box::new(self.binary(0)?)));
        }
        let ends = |parser: &Self| {
            parser.is_operator(":") || parser.is_operator(",") || parser.is_operator("]")
        };
        let lower = if self.is_operator(":") {
            None
        } else {
            Some(self.named_expression()?)
        };
        if !self.take(":") {
            return lower.ok_or_else(|| unexpected(self.peek()));
        }
        if matches!(lower, Some(Expr::Named(..))) {
            return Err(PythonError::new("`:=` in a slice"));
        }
        let upper = if ends(self) {
            None
        } else {
            Some(self.expression()?)
        };
        let step = if self.take(":") && !ends(self) {
            Some(self.expression()?)
        } else {
            None
        };
        Ok(Expr::Slice(Box::new([lower, upper, step])))
    }

    pub(super) fn atom(&mut self) -> Parsed {
        let token = self.peek().clone();
        match token {
            Token::Number(value) => {
                self.at += 1;
                Ok(Expr::constant(value))
            }
            Token::Text(_) => self.strings(),
            Token::Name(name) => {
                let constant = match name.as_str() {
                    "None" => Value::Null,
                    "True" => Value::Bool(true),
                    "False" => Value::Bool(false),
                    _ => return Ok(Expr::Name(self.identifier()?)),
                };
                self.at += 1;
                Ok(Expr::constant(constant))
            }
            Token::Operator("...") => {
                self.at += 1;
                Ok(Expr::constant(Value::Exotic(Box::new(Exotic::Ellipsis))))
            }
            Token::Operator("(") => {
                self.at += 1;
                self.deeper(Self::group)
            }
            Token::Operator("[") => {
                self.at += 1;
                self.deeper(Self::list)
            }
            Token::Operator("{") => {
                self.at += 1;
                self.deeper(Self::braces)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Neighbouring string literals are one.
    fn strings(&mut self) -> Parsed {
        let mut text = String::new();
        let mut bytes: Vec<u8> = Vec::new();
        let (mut has_text, mut has_bytes, mut is_formatted) = (false, false, false);
        let mut is_unicode = None;
        while let Token::Text(literal) = self.peek() {
            match literal {
                Literal::Plain(more, unicode) => {
                    has_text = true;
                    is_unicode.get_or_insert(*unicode);
                    text.push_str(more);
                }
                Literal::Bytes(more) => {
                    has_bytes = true;
                    bytes.extend(more);
                }
                Literal::Formatted(more) => {
                    has_text = true;
                    is_formatted = true;
                    text.push_str(more);
                }
            }
            self.at += 1;
        }
        match (has_text, has_bytes) {
            (true, true) => Err(PythonError::new("strings and bytes side by side")),
            (_, true) => Ok(Expr::constant(Value::Exotic(Box::new(Exotic::Bytes(
                bytes,
            ))))),
            _ if is_formatted => Ok(Expr::Formatted(text)),
            _ => Ok(Expr::Constant {
                value: Value::Text(text.into()),
                is_unicode: is_unicode.unwrap_or(false),
            }),
        }
    }

    /// After `(`.
    fn group(&mut self) -> Parsed {
        if self.take(")") {
            return Ok(Expr::Tuple(Vec::new()));
        }
        if self.take_word("yield") {
            let value = self.yielded()?;
            self.expect(")")?;
            return Ok(value);
        }
        let first = self.star_named_expression()?;
        if self.starts_loop() && !matches!(first, Expr::Starred(_)) {
            let made = self.comprehension(("(", ")"), first, None)?;
            self.expect(")")?;
            return Ok(made);
        }
        if self.is_operator(",") {
            let items = self.more_items(first, ")")?;
            return Ok(Expr::Tuple(items));
        }
        if matches!(first, Expr::Starred(_)) {
            return Err(PythonError::new("`*` where nothing is collected"));
        }
        self.expect(")")?;
        Ok(first)
    }

    fn yielded(&mut self) -> Parsed {
        if self.take_word("from") {
            return Ok(Expr::YieldFrom(Box::new(self.expression()?)));
        }
        if self.is_operator(")") {
            return Ok(Expr::Yield(None));
        }
        let star_expression = |parser: &mut Self| {
            if parser.take("*") {
                Ok(Expr::Starred(Box::new(parser.binary(0)?)))
            } else {
                parser.expression()
            }
        };
        let first = star_expression(self)?;
        let value = if self.is_operator(",") {
            let mut items = vec![first];
            while self.take(",") {
                if self.is_operator(")") {
                    break;
                }
                items.push(star_expression(self)?);
            }
            Expr::Tuple(items)
        } else {
            first
        };
        Ok(Expr::Yield(Some(Box::new(value))))
    }

    /// `, item, …` up to and with the closing bracket.
    fn more_items(&mut self, first: Expr, close: &str) -> Result<Vec<Expr>, PythonError> {
        let mut items = vec![first];
        while self.take(",") {
            if self.is_operator(close) {
                break;
            }
            items.push(self.star_named_expression()?);
        }
        self.expect(close)?;
        Ok(items)
    }

    /// After `[`.
    fn list(&mut self) -> Parsed {
        if self.take("]") {
            return Ok(Expr::List(Vec::new()));
        }
        let first = self.star_named_expression()?;
        if self.starts_loop() && !matches!(first, Expr::Starred(_)) {
            let made = self.comprehension(("[", "]"), first, None)?;
            self.expect("]")?;
            return Ok(made);
        }
        Ok(Expr::List(self.more_items(first, "]")?))
    }

    /// After `{`.
    fn braces(&mut self) -> Parsed {
        if self.take("}") {
            return Ok(Expr::Dict(Vec::new()));
        }
        if self.is_operator("**") {
            return self.dict(Vec::new());
        }
        let first = self.star_named_expression()?;
        if self.is_operator(":") {
            if matches!(first, Expr::Starred(_) | Expr::Named(..)) {
                return Err(unexpected(self.peek()));
            }
            self.at += 1;
            let value = self.expression()?;
            if self.starts_loop() {
                let made = self.comprehension(("{", "}"), first, Some(value))?;
                self.expect("}")?;
                return Ok(made);
            }
            let entries = vec![(Some(first), value)];
            if self.take(",") {
                return self.dict(entries);
            }
            self.expect("}")?;
            return Ok(Expr::Dict(entries));
        }
        if self.starts_loop() && !matches!(first, Expr::Starred(_)) {
            let made = self.comprehension(("{", "}"), first, None)?;
            self.expect("}")?;
            return Ok(made);
        }
        Ok(Expr::Set(self.more_items(first, "}")?))
    }

    fn dict(&mut self, mut entries: Vec<(Option<Expr>, Expr)>) -> Parsed {
        while !self.is_operator("}") {
            if self.take("**") {
                entries.push((None, self.binary(0)?));
            } else {
                let key = self.expression()?;
                self.expect(":")?;
                entries.push((Some(key), self.expression()?));
            }
            if !self.take(",") {
                break;
            }
        }
        self.expect("}")?;
        Ok(Expr::Dict(entries))
    }

    fn starts_loop(&self) -> bool {
        self.is_word("for")
            || self.is_word("async")
                && matches!(self.peek_after(), Token::Name(word) if word == "for")
    }

    fn comprehension(
        &mut self,
        brackets: (&'static str, &'static str),
        element: Expr,
        value: Option<Expr>,
    ) -> Parsed {
        let mut loops = Vec::new();
        while self.starts_loop() {
            let is_async = self.take_word("async");
            self.expect_word("for")?;
            let target = self.targets()?;
            self.expect_word("in")?;
            let items = self.disjunction()?;
            let mut conditions = Vec::new();
            while self.take_word("if") {
                conditions.push(self.disjunction()?);
            }
            loops.push(Loop {
                is_async,
                target,
                items,
                conditions,
            });
        }
        Ok(Expr::Comprehension(Box::new(Comprehension {
            brackets,
            element,
            value,
            loops,
        })))
    }

    fn targets(&mut self) -> Parsed {
        let target = |parser: &mut Self| {
            let is_starred = parser.take("*");
            let found = parser.primary()?;
            if !is_assignable(&found) {
                return Err(PythonError::new("a loop over what cannot be assigned"));
            }
            Ok(if is_starred {
                Expr::Starred(Box::new(found))
            } else {
                found
            })
        };
        let first = target(self)?;
        if !self.is_operator(",") {
            return match first {
                Expr::Starred(_) => Err(PythonError::new("`*` where nothing is collected")),
                plain => Ok(plain),
            };
        }
        let mut items = vec![first];
        while self.take(",") {
            if self.is_word("in") {
                break;
            }
            items.push(target(self)?);
        }
        Ok(Expr::Tuple(items))
    }
}

fn is_assignable(expr: &Expr) -> bool {
    match expr {
        Expr::Name(_) | Expr::Attribute(..) | Expr::Subscript(..) => true,
        Expr::Starred(inner) => is_assignable(inner),
        Expr::Tuple(items) | Expr::List(items) => items.iter().all(is_assignable),
        _ => false,
    }
}
