//! Tokens to a tree.
//!
//! Data in: tokens. Data out: one expression. Invariants: Python's grammar of expressions, its
//! precedences and its refusals; a tree is at most [`DEEPEST`] levels deep.

use super::PythonError;
use super::lexer::{Literal, Token, tokens};
use super::syntax::{Binary, Call, Comprehension, Expr, Logic, Loop, Parameter, Unary};
use crate::score::value::{Exotic, Value};

/// Levels of a tree; Python's own reader gives up at about as many.
const DEEPEST: usize = 900;

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue",
    "def", "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import",
    "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while",
    "with", "yield",
];

/// Reads a whole text as one expression.
pub(super) fn parse(text: &str) -> Result<Expr, PythonError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let first = parser.expression()?;
    let expr = if parser.is_operator(",") {
        let mut items = vec![first];
        while parser.take(",") {
            if parser.is_end_of_line() {
                break;
            }
            items.push(parser.expression()?);
        }
        Expr::Tuple(items)
    } else {
        first
    };
    while matches!(parser.peek(), Token::Newline) {
        parser.at += 1;
    }
    match parser.peek() {
        Token::End => Ok(expr),
        other => Err(unexpected(other)),
    }
}

fn unexpected(token: &Token) -> PythonError {
    let what = match token {
        Token::Name(name) => format!("`{name}` has no place here"),
        Token::Number(_) => "a number has no place here".to_owned(),
        Token::Text(_) => "a string has no place here".to_owned(),
        Token::Operator(operator) => format!("`{operator}` has no place here"),
        Token::Newline => "a line ends too early".to_owned(),
        Token::End => "the text ends too early".to_owned(),
    };
    PythonError::new(what)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Parsed = Result<Expr, PythonError>;

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn peek_after(&self) -> &Token {
        self.tokens.get(self.at + 1).unwrap_or(&Token::End)
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(found) if *found == operator)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == word)
    }

    fn is_end_of_line(&self) -> bool {
        matches!(self.peek(), Token::Newline | Token::End)
    }

    fn take(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Result<(), PythonError> {
        if self.take(operator) {
            Ok(())
        } else {
            Err(unexpected(self.peek()))
        }
    }

    fn expect_word(&mut self, word: &str) -> Result<(), PythonError> {
        if self.take_word(word) {
            Ok(())
        } else {
            Err(unexpected(self.peek()))
        }
    }

    /// A name that is no keyword.
    fn identifier(&mut self) -> Result<String, PythonError> {
        match self.peek() {
            Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            other => Err(unexpected(other)),
        }
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(PythonError::new("nested too deeply"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Without `:=`.
    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            if parser.is_word("lambda") {
                return parser.lambda();
            }
            let then = parser.disjunction()?;
            if !parser.take_word("if") {
                return Ok(then);
            }
            let test = parser.disjunction()?;
            parser.expect_word("else")?;
            let otherwise = parser.expression()?;
            Ok(Expr::Conditional(Box::new([then, test, otherwise])))
        })
    }

    fn named_expression(&mut self) -> Parsed {
        if let (Token::Name(_), Token::Operator(":=")) = (self.peek(), self.peek_after()) {
            let name = self.identifier()?;
            self.at += 1;
            return Ok(Expr::Named(name, Box::new(self.expression()?)));
        }
        let expression = self.expression()?;
        if self.is_operator(":=") {
            return Err(unexpected(self.peek()));
        }
        Ok(expression)
    }

    fn star_named_expression(&mut self) -> Parsed {
        if self.take("*") {
            return Ok(Expr::Starred(Box::new(self.binary(0)?)));
        }
        self.named_expression()
    }

    fn lambda(&mut self) -> Parsed {
        self.expect_word("lambda")?;
        let parameters = self.parameters()?;
        self.expect(":")?;
        let body = self.expression()?;
        Ok(Expr::Lambda(parameters, Box::new(body)))
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>, PythonError> {
        let mut parameters: Vec<Parameter> = Vec::new();
        let refused = |why: &'static str| Err(PythonError::new(why));
        let has = |parameters: &[Parameter], mark: &str| parameters.iter().any(|p| p.mark == mark);
        while !self.is_operator(":") {
            let mark = ["**", "*", "/"]
                .into_iter()
                .find(|mark| self.take(mark))
                .unwrap_or("");
            if has(&parameters, "**") {
                return refused("a parameter after `**`");
            }
            let bare_star = mark == "*" && (self.is_operator(",") || self.is_operator(":"));
            if mark == "/"
                && (parameters.is_empty() || has(&parameters, "/") || has(&parameters, "*"))
                || mark == "*" && has(&parameters, "*")
                || bare_star && !matches!(self.peek_after(), Token::Name(_))
            {
                return refused("a parameter list that Python refuses");
            }
            let name = if mark == "/" || bare_star {
                String::new()
            } else {
                self.identifier()?
            };
            let default = if mark.is_empty() && self.take("=") {
                Some(self.expression()?)
            } else {
                None
            };
            let plain_before = parameters
                .iter()
                .any(|p| p.mark.is_empty() && p.default.is_some());
            if mark.is_empty() && default.is_none() && plain_before && !has(&parameters, "*") {
                return refused("a parameter without default after one with");
            }
            parameters.push(Parameter {
                mark,
                name,
                default,
            });
            if !self.take(",") {
                break;
            }
        }
        Ok(parameters)
    }

    fn disjunction(&mut self) -> Parsed {
        self.logic("or", Logic::Or, Self::conjunction)
    }

    fn conjunction(&mut self) -> Parsed {
        self.logic("and", Logic::And, Self::inversion)
    }

    fn logic(&mut self, word: &str, logic: Logic, operand: impl Fn(&mut Self) -> Parsed) -> Parsed {
        let first = operand(self)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.take_word(word) {
            operands.push(operand(self)?);
        }
        Ok(Expr::Logic(logic, operands))
    }

    fn inversion(&mut self) -> Parsed {
        if !self.take_word("not") {
            return self.comparison();
        }
        let operand = self.deeper(Self::inversion)?;
        Ok(Expr::Unary(Unary::Not, Box::new(operand)))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.binary(0)?;
        let mut rest = Vec::new();
        while let Some(operator) = self.comparison_operator() {
            rest.push((operator, self.binary(0)?));
        }
        Ok(if rest.is_empty() {
            left
        } else {
            Expr::Compare(Box::new(left), rest)
        })
    }

    fn comparison_operator(&mut self) -> Option<&'static str> {
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if self.take(operator) {
                return Some(operator);
            }
        }
        if self.take_word("in") {
            return Some("in");
        }
        if self.is_word("not") && matches!(self.peek_after(), Token::Name(word) if word == "in") {
            self.at += 2;
            return Some("not in");
        }
        if self.take_word("is") {
            return Some(if self.take_word("not") {
                "is not"
            } else {
                "is"
            });
        }
        None
    }

    /// Operators by rising precedence: `|` is 0, `*` is 5.
    fn binary(&mut self, lowest: u8) -> Parsed {
        let mut left = self.factor()?;
        let mut links = 0;
        while let Token::Operator(operator) = self.peek() {
            let Some((level, binary)) = binary_operator(operator) else {
                break;
            };
            if level < lowest {
                break;
            }
            self.at += 1;
            links += 1;
            if links + self.depth > DEEPEST {
                return Err(PythonError::new("nested too deeply"));
            }
            let right = self.deeper(|parser| parser.binary(level + 1))?;
            left = Expr::Binary(binary, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn factor(&mut self) -> Parsed {
        for (operator, unary) in [
            ("-", Unary::Minus),
            ("+", Unary::Plus),
            ("~", Unary::Invert),
        ] {
            if self.take(operator) {
                let operand = self.deeper(Self::factor)?;
                return Ok(Expr::Unary(unary, Box::new(operand)));
            }
        }
        let base = if self.take_word("await") {
            Expr::Await(Box::new(self.primary()?))
        } else {
            self.primary()?
        };
        if self.take("**") {
            let exponent = self.deeper(Self::factor)?;
            return Ok(Expr::Binary(
                Binary::Power,
                Box::new(base),
                Box::new(exponent),
            ));
        }
        Ok(base)
    }

    fn primary(&mut self) -> Parsed {
        let mut value = self.atom()?;
        let mut links = 0;
        loop {
            if self.take(".") {
                value = Expr::Attribute(Box::new(value), self.identifier()?);
            } else if self.take("(") {
                value = self.arguments(value)?;
            } else if self.take("[") {
                let slice = self.slices()?;
                value = Expr::Subscript(Box::new(value), Box::new(slice));
            } else {
                return Ok(value);
            }
            links += 1;
            if links + self.depth > DEEPEST {
                return Err(PythonError::new("nested too deeply"));
            }
        }
    }

    /// After the opening bracket of a call.
    fn arguments(&mut self, function: Expr) -> Parsed {
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
    fn slices(&mut self) -> Parsed {
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

    fn atom(&mut self) -> Parsed {
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

fn binary_operator(operator: &str) -> Option<(u8, Binary)> {
    Some(match operator {
        "|" => (0, Binary::Or),
        "^" => (1, Binary::Xor),
        "&" => (2, Binary::And),
        "<<" => (3, Binary::ShiftLeft),
        ">>" => (3, Binary::ShiftRight),
        "+" => (4, Binary::Add),
        "-" => (4, Binary::Subtract),
        "*" => (5, Binary::Multiply),
        "/" => (5, Binary::Divide),
        "//" => (5, Binary::FloorDivide),
        "%" => (5, Binary::Modulo),
        "@" => (5, Binary::MatrixMultiply),
        _ => return None,
    })
}
