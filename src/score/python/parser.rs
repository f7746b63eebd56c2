//! Tokens to a tree.
//!
//! Data in: tokens. Data out: one expression. Invariants: Python's grammar of expressions, its
//! precedences and its refusals; a tree is at most [`DEEPEST`] levels deep.

use super::PythonError;
use super::lexer::{Token, tokens};
use super::syntax::{Binary, Expr, Logic, Parameter, Unary};

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

pub(super) fn unexpected(token: &Token) -> PythonError {
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

pub(super) struct Parser {
    tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
}

pub(super) type Parsed = Result<Expr, PythonError>;

impl Parser {
    pub(super) fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    pub(super) fn peek_after(&self) -> &Token {
        self.tokens.get(self.at + 1).unwrap_or(&Token::End)
    }

    pub(super) fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(found) if *found == operator)
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == word)
    }

    fn is_end_of_line(&self) -> bool {
        matches!(self.peek(), Token::Newline | Token::End)
    }

    pub(super) fn take(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect(&mut self, operator: &str) -> Result<(), PythonError> {
        if self.take(operator) {
            Ok(())
        } else {
            Err(unexpected(self.peek()))
        }
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), PythonError> {
        if self.take_word(word) {
            Ok(())
        } else {
            Err(unexpected(self.peek()))
        }
    }

    /// A name that is no keyword.
    pub(super) fn identifier(&mut self) -> Result<String, PythonError> {
        match self.peek() {
            Token::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            other => Err(unexpected(other)),
        }
    }

    pub(super) fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(PythonError::new("nested too deeply"));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Without `:=`.
    pub(super) fn expression(&mut self) -> Parsed {
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

    pub(super) fn named_expression(&mut self) -> Parsed {
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

    pub(super) fn star_named_expression(&mut self) -> Parsed {
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

    pub(super) fn disjunction(&mut self) -> Parsed {
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
    pub(super) fn binary(&mut self, lowest: u8) -> Parsed {
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

    pub(super) fn primary(&mut self) -> Parsed {
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
