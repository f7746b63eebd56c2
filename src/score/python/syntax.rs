//! The tree of a Python expression.
//!
//! Data in: what the parser finds. Data out: the same. Invariants: trees are at most as deep as the
//! parser allows, so walking and dropping them cannot overflow the stack.

use crate::score::value::Value;

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// A number, string, `None`, `True`, `False` or `...`.
    Constant {
        /// The value.
        value: Value<'static>,
        /// Written with a `u` prefix.
        is_unicode: bool,
    },
    /// An f-string, as it stands between its quotes.
    Formatted(String),
    /// A name.
    Name(String),
    /// `value.name`.
    Attribute(Box<Expr>, String),
    /// `function(arguments)`.
    Call(Box<Call>),
    /// `value[slice]`.
    Subscript(Box<Expr>, Box<Expr>),
    /// `lower:upper:step`, only inside a subscript.
    Slice(Box<[Option<Expr>; 3]>),
    /// `*value`.
    Starred(Box<Expr>),
    /// `[…]`.
    List(Vec<Expr>),
    /// `(…, …)`.
    Tuple(Vec<Expr>),
    /// `{…, …}`.
    Set(Vec<Expr>),
    /// `{key: value}`; no key where a mapping is unpacked.
    Dict(Vec<(Option<Expr>, Expr)>),
    /// A comprehension or generator.
    Comprehension(Box<Comprehension>),
    /// `-x`, `+x`, `~x`, `not x`.
    Unary(Unary, Box<Expr>),
    /// `x + y` and the like.
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `x and y and z`, `x or y or z`.
    Logic(Logic, Vec<Expr>),
    /// `x < y <= z`.
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    /// `then if test else otherwise`.
    Conditional(Box<[Expr; 3]>),
    /// `lambda parameters: body`.
    Lambda(Vec<Parameter>, Box<Expr>),
    /// `name := value`.
    Named(String, Box<Expr>),
    /// `await value`.
    Await(Box<Expr>),
    /// `yield value`.
    Yield(Option<Box<Expr>>),
    /// `yield from value`.
    YieldFrom(Box<Expr>),
}

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// What is called.
    pub(super) function: Expr,
    /// Positional arguments.
    pub(super) positional: Vec<Expr>,
    /// Keyword arguments in order; no name where a mapping is unpacked.
    pub(super) keywords: Vec<(Option<String>, Expr)>,
}

/// `[element for target in items if condition]` and its relatives.
#[derive(Clone, Debug)]
pub(super) struct Comprehension {
    /// The brackets around it.
    pub(super) brackets: (&'static str, &'static str),
    /// What is made; of a dict comprehension the key.
    pub(super) element: Expr,
    /// The value of a dict comprehension.
    pub(super) value: Option<Expr>,
    /// Its loops.
    pub(super) loops: Vec<Loop>,
}

/// One `for` of a comprehension.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) is_async: bool,
    pub(super) target: Expr,
    pub(super) items: Expr,
    pub(super) conditions: Vec<Expr>,
}

/// A parameter of a lambda.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// `""`, `*`, `**`, or `/` for the mark alone.
    pub(super) mark: &'static str,
    /// The name; empty for a bare `*` or `/`.
    pub(super) name: String,
    /// Its default.
    pub(super) default: Option<Expr>,
}

/// Operators before a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Minus,
    Plus,
    Invert,
    Not,
}

/// Operators between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    MatrixMultiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
    ShiftLeft,
    ShiftRight,
    And,
    Or,
    Xor,
}

/// `and` and `or`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logic {
    And,
    Or,
}

impl Expr {
    /// A constant.
    pub(super) fn constant(value: Value<'static>) -> Self {
        Self::Constant {
            value,
            is_unicode: false,
        }
    }
}
