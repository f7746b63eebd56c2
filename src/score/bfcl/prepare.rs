//! A case as BFCL states it, turned once into what each check needs.
//!
//! Data in: mode, function documents and accepted answers. Data out: a [`Case`]. Invariants: what
//! would make BFCL's checker raise is kept as such and met only where that checker would meet it;
//! alternatives keep their order.

use super::normal::normalise;
use crate::score::value::{Kind, Object, Value};

/// How the calls of a case are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One call of the one function offered.
    Simple,
    /// One call of one of several functions.
    Multiple,
    /// Several calls in any order.
    Parallel,
    /// Something must be called.
    Relevance,
    /// Nothing may be called.
    Irrelevance,
}

impl Mode {
    /// All of them, with the names that suites use.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Simple, "simple"),
        (Self::Multiple, "multiple"),
        (Self::Parallel, "parallel"),
        (Self::Relevance, "relevance"),
        (Self::Irrelevance, "irrelevance"),
    ];

    /// The mode of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, known)| *known == name)
            .map(|(mode, _)| mode)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(mode, _)| *mode == self)
            .map_or("simple", |(_, name)| name)
    }

    /// The mode of a category, as BFCL derives it from the name.
    pub fn of_category(category: &str) -> Self {
        if category.contains("irrelevance") {
            Self::Irrelevance
        } else if category.contains("relevance") {
            Self::Relevance
        } else if category.contains("parallel") {
            Self::Parallel
        } else if category.contains("multiple") {
            Self::Multiple
        } else {
            Self::Simple
        }
    }
}

/// One case, ready to judge outputs.
#[derive(Clone, Debug)]
pub struct Case {
    pub(super) mode: Mode,
    pub(super) expected: Box<[Expected]>,
}

/// One expected call. Names stand in one text, so that looking at them touches little memory.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// The function's own name, then those of its parameters.
    names: Box<str>,
    /// Length of the function's name.
    name_length: usize,
    /// Parameters of the answer in its order, then those that only the schema requires.
    slots: Box<[Slot]>,
    /// Places among the slots of what the schema requires, in its order.
    pub(super) required: Box<[usize]>,
    parameters: Box<[Parameter]>,
    /// BFCL's checker raises before it looks at a call.
    pub(super) raises: bool,
}

/// A parameter's name and what is known of it.
#[derive(Clone, Debug)]
struct Slot {
    /// Where its name stands.
    start: u32,
    end: u32,
    /// Its place among the parameters, when both schema and answer have it.
    parameter: Option<u32>,
    /// Whether it may be left out; `None` when the answer does not have it.
    omission: Option<Omission>,
}

/// Whether something may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Omission {
    /// `""` is among its alternatives.
    Allowed,
    /// It is not.
    Refused,
    /// Asking raises.
    Raises,
}

/// A parameter that schema and answer have.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    /// `None` where the type is not one that BFCL knows, which raises.
    pub(super) declared: Option<Declared>,
    /// Kind of the first alternative that is not `""`.
    pub(super) first_kind: Option<Kind>,
    /// Alternatives for values of the declared kind.
    pub(super) accepted: Accepted,
    /// The alternatives as they are; `None` where they are no list, which raises. Empty where only
    /// `accepted` is looked at.
    pub(super) alternatives: Option<Vec<Value<'static>>>,
}

/// Alternatives in the form that a check of the declared kind needs.
#[derive(Clone, Debug)]
pub(super) enum Accepted {
    /// Strings.
    Texts(Texts),
    /// Lists.
    Lists(Lists),
    /// Objects.
    Objects(Vec<ObjectAlternative>),
    /// Lists of objects: an alternative's elements; `None` raises.
    ObjectLists(Vec<Option<Vec<ObjectAlternative>>>),
    /// Compared as they are.
    Plain,
}

/// Strings in the form that is compared, each behind its length.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts(Box<[u8]>);

impl Texts {
    fn of(alternatives: &[Value<'_>]) -> Self {
        let mut packed = Vec::new();
        for normal in alternatives.iter().filter_map(text).map(normalise) {
            packed.extend_from_slice(&(normal.len() as u32).to_le_bytes());
            packed.extend_from_slice(normal.as_bytes());
        }
        Self(packed.into())
    }

    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (one, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(one)
        })
    }
}

/// The declared type of a parameter, as far as BFCL looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Declared {
    /// The kind a value must have.
    pub(super) kind: Kind,
    /// For arrays and tuples: the kind of elements.
    pub(super) items: Option<Kind>,
    /// Declared as `tuple`: a Python tuple counts as a list.
    pub(super) is_tuple: bool,
    /// Declared as `float`: an integer is promoted.
    pub(super) is_float: bool,
}

/// Alternatives of a list parameter.
#[derive(Clone, Debug)]
pub(super) enum Lists {
    /// Each as a list.
    All(Vec<Vec<Value<'static>>>),
    /// One is nothing that has a length, or cannot be indexed.
    Raises,
}

/// One alternative for an object.
#[derive(Clone, Debug)]
pub(super) enum ObjectAlternative {
    /// `""`: passed over.
    Skip,
    /// No object: raises.
    Raises,
    /// Key by key.
    Entries(Vec<Entry>),
}

/// One key of an accepted object.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Accepted values, strings in the form that is compared; `None` where looking raises.
    pub(super) values: Option<Vec<Value<'static>>>,
    pub(super) omission: Omission,
}

impl Case {
    /// Prepares a case. `answer` may be anything for the two modes without one.
    pub fn new(mode: Mode, functions: &Value<'_>, answer: &Value<'_>) -> Self {
        let calls = match (mode, answer) {
            (Mode::Relevance | Mode::Irrelevance, _) => &[],
            (_, Value::List(calls)) => calls.as_slice(),
            _ => &[],
        };
        let functions = match functions {
            Value::List(functions) => functions.as_slice(),
            _ => &[],
        };
        let expected = calls
            .iter()
            .map(|call| Expected::of(mode, functions, call))
            .collect();
        Self { mode, expected }
    }

    /// How it is judged.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Why BFCL's checker raises on every output that comes as far as the arguments, if it does.
    pub fn always_raises(&self) -> bool {
        self.expected.iter().any(|expected| expected.raises)
    }
}

impl Expected {
    /// An expected call that nothing can be compared with.
    fn raising() -> Self {
        Self {
            names: Box::default(),
            name_length: 0,
            slots: Box::default(),
            required: Box::default(),
            parameters: Box::default(),
            raises: true,
        }
    }

    fn of(mode: Mode, functions: &[Value<'_>], call: &Value<'_>) -> Self {
        Self::try_of(mode, functions, call).unwrap_or_else(Self::raising)
    }

    /// `None` where BFCL's checker would not get as far as the first check.
    fn try_of(mode: Mode, functions: &[Value<'_>], call: &Value<'_>) -> Option<Self> {
        let Value::Object(call) = call else {
            return None;
        };
        let (called, parameters) = call.iter().next()?;
        let Value::Object(answers) = parameters else {
            return None;
        };
        // In simple mode the first function is taken, whatever the answer calls it.
        let function = match mode {
            Mode::Simple => functions.first(),
            _ => functions
                .iter()
                .find(|function| field(function, "name").and_then(text) == called.text()),
        }?;
        let schema = field(function, "parameters")?;
        let Value::Object(properties) = field(schema, "properties")? else {
            return None;
        };
        let Value::List(required) = field(schema, "required")? else {
            return None;
        };
        let mut builder = Builder {
            names: text(field(function, "name")?)?.to_owned(),
            slots: Vec::with_capacity(answers.len()),
        };
        let name_length = builder.names.len();
        let mut known = Vec::with_capacity(answers.len());
        for (key, alternatives) in answers.iter() {
            let name = key.text()?;
            let slot = builder.slot(name);
            builder.slots[slot].omission = Some(Omission::of(alternatives));
            if let Some(details) = properties.get(name) {
                builder.slots[slot].parameter = Some(known.len() as u32);
                known.push(Parameter::of(details, alternatives));
            }
        }
        let required = required.iter().filter_map(text);
        let required = required.map(|name| builder.slot(name)).collect();
        Some(Self {
            names: builder.names.into(),
            name_length,
            slots: builder.slots.into(),
            required,
            parameters: known.into(),
            raises: false,
        })
    }

    /// The function's name.
    pub(super) fn name(&self) -> &str {
        &self.names[..self.name_length]
    }

    /// Number of names that are known.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The name at a place.
    pub(super) fn name_at(&self, slot: usize) -> &str {
        let Slot { start, end, .. } = self.slots[slot];
        &self.names[start as usize..end as usize]
    }

    /// The place of a name; most likely this one.
    #[inline]
    pub(super) fn slot_of(&self, name: &str, likely: usize) -> Option<usize> {
        if likely < self.slots.len() && self.name_at(likely) == name {
            return Some(likely);
        }
        (0..self.slots.len()).find(|slot| self.name_at(*slot) == name)
    }

    /// The parameter at a place, when both schema and answer have it.
    pub(super) fn parameter_at(&self, slot: usize) -> Option<&Parameter> {
        let place = self.slots[slot].parameter?;
        self.parameters.get(place as usize)
    }

    /// Places of the answer's parameters in order, and whether each may be left out.
    pub(super) fn answered(&self) -> impl Iterator<Item = (usize, Omission)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(place, slot)| Some((place, slot.omission?)))
    }
}

struct Builder {
    names: String,
    slots: Vec<Slot>,
}

impl Builder {
    /// The place of a name, made when it is new.
    fn slot(&mut self, name: &str) -> usize {
        let range = |slot: &Slot| slot.start as usize..slot.end as usize;
        let found = self
            .slots
            .iter()
            .position(|slot| self.names[range(slot)] == *name);
        found.unwrap_or_else(|| {
            let start = self.names.len() as u32;
            self.names.push_str(name);
            self.slots.push(Slot {
                start,
                end: self.names.len() as u32,
                parameter: None,
                omission: None,
            });
            self.slots.len() - 1
        })
    }
}

fn field<'v, 'a>(value: &'v Value<'a>, name: &str) -> Option<&'v Value<'a>> {
    match value {
        Value::Object(object) => object.get(name),
        _ => None,
    }
}

fn text<'v>(value: &'v Value<'_>) -> Option<&'v str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl Omission {
    /// Python's `"" in alternatives`.
    fn of(alternatives: &Value<'_>) -> Self {
        let found = match alternatives {
            Value::List(items) => items.iter().any(Value::is_empty_text),
            Value::Text(_) => true, // Every string holds the empty one.
            Value::Object(object) => object.has(""),
            _ => return Self::Raises,
        };
        if found { Self::Allowed } else { Self::Refused }
    }
}

/// BFCL's map from type names to kinds.
fn kind_of_type(name: &str) -> Option<Kind> {
    Some(match name {
        "string" | "any" => Kind::Text,
        "integer" => Kind::Int,
        "float" => Kind::Float,
        "boolean" => Kind::Bool,
        "array" | "tuple" => Kind::List,
        "dict" => Kind::Object,
        _ => return None,
    })
}

impl Declared {
    fn of(details: &Value<'_>) -> Option<Self> {
        let name = text(field(details, "type")?)?;
        let kind = kind_of_type(name)?;
        let items = match kind {
            Kind::List => Some(kind_of_type(text(field(
                field(details, "items")?,
                "type",
            )?)?)?),
            _ => None,
        };
        Some(Self {
            kind,
            items,
            is_tuple: name == "tuple",
            is_float: name == "float",
        })
    }
}

impl Parameter {
    fn of(details: &Value<'_>, alternatives: &Value<'_>) -> Self {
        let declared = Declared::of(details);
        let given = match alternatives {
            Value::List(items) => Some(items.as_slice()),
            _ => None,
        };
        let items = given.unwrap_or_default();
        let first_kind = first_kind(items);
        let accepted = match declared {
            Some(Declared {
                kind: Kind::Text, ..
            }) => Accepted::Texts(Texts::of(items)),
            Some(Declared {
                kind: Kind::Object, ..
            }) => Accepted::Objects(items.iter().map(ObjectAlternative::of).collect()),
            Some(Declared {
                items: Some(Kind::Object),
                ..
            }) => Accepted::ObjectLists(items.iter().map(object_list).collect()),
            Some(Declared { items: Some(_), .. }) => Accepted::Lists(Lists::of(items)),
            _ => Accepted::Plain,
        };
        // A string parameter with string answers never compares anything else.
        let is_all_text = matches!(accepted, Accepted::Texts(_))
            && first_kind.is_none_or(|kind| kind == Kind::Text);
        let alternatives = given.map(|items| {
            let kept = if is_all_text { &[] } else { items };
            kept.iter().map(owned).collect()
        });
        Self {
            declared,
            first_kind,
            accepted,
            alternatives,
        }
    }
}

fn owned(value: &Value<'_>) -> Value<'static> {
    value.clone().into_owned()
}

/// Kind of the first element that is not `""`.
pub(super) fn first_kind(items: &[Value<'_>]) -> Option<Kind> {
    items
        .iter()
        .find(|item| !item.is_empty_text())
        .map(Value::kind)
}

/// A value as it is compared: strings in their normal form, all else as it is.
fn comparable(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(normalise(text).into()),
        other => owned(other),
    }
}

/// What Python gets by indexing from 0 up to the length: of a string its characters. `None` where
/// that raises.
fn indexed<'v>(value: &'v Value<'_>) -> Option<Vec<Value<'v>>> {
    match value {
        Value::List(items) => Some(items.iter().map(borrowed).collect()),
        Value::Text(text) => Some(
            text.chars()
                .map(|c| Value::Text(c.to_string().into()))
                .collect(),
        ),
        Value::Object(object) if object.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

/// Only shortens the lifetime.
fn borrowed<'v>(value: &'v Value<'_>) -> Value<'v> {
    value.clone()
}

impl Lists {
    fn of(alternatives: &[Value<'_>]) -> Self {
        let all: Option<Vec<Vec<Value<'static>>>> = alternatives
            .iter()
            .map(|alternative| Some(indexed(alternative)?.iter().map(comparable).collect()))
            .collect();
        all.map_or(Self::Raises, Self::All)
    }
}

impl ObjectAlternative {
    fn of(alternative: &Value<'_>) -> Self {
        match alternative {
            Value::Text(text) if text.is_empty() => Self::Skip,
            Value::Object(object) => Self::Entries(entries(object)),
            _ => Self::Raises,
        }
    }
}

fn entries(object: &Object<'_>) -> Vec<Entry> {
    object
        .iter()
        .filter_map(|(key, alternatives)| {
            Some(Entry {
                key: key.text()?.to_owned(),
                values: indexed(alternatives).map(|items| items.iter().map(comparable).collect()),
                omission: Omission::of(alternatives),
            })
        })
        .collect()
}

/// An alternative for a list of objects: what stands at each place. `None` has no length.
fn object_list(alternative: &Value<'_>) -> Option<Vec<ObjectAlternative>> {
    match alternative {
        Value::List(items) => Some(items.iter().map(ObjectAlternative::of).collect()),
        Value::Text(text) => Some(text.chars().map(|_| ObjectAlternative::Raises).collect()),
        Value::Object(object) => Some(object.iter().map(|_| ObjectAlternative::Raises).collect()),
        _ => None,
    }
}
