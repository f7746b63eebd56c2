//! Outputs against a prepared case.
//!
//! Data in: a [`Case`] and a decoded output. Data out: a [`Verdict`]. Invariants: checks run in
//! BFCL's order and the first failure decides; several calls are matched greedily as there; nothing
//! is copied from the output unless a value changes its kind.

use std::borrow::Cow;

use super::ErrorType;
use super::normal::is_normally;
use super::prepare::{
    Accepted, Case, Declared, Entry, Expected, Lists, Mode, ObjectAlternative, Omission, Parameter,
    first_kind,
};
use crate::score::decode::{Call, Decoded};
use crate::score::value::{Kind, Object, Value, equal};

/// What became of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Why it is invalid; `None` when it is valid.
    pub error: Option<ErrorType>,
    /// What was found, for people. Empty when valid.
    pub findings: Vec<Finding<'a>>,
}

/// One thing found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'a> {
    /// Index of the output call, where it is about one.
    pub call: Option<usize>,
    /// The parameter, where it is about one.
    pub param: Option<&'a str>,
    /// The key inside an object.
    pub key: Option<&'a str>,
    /// What is wrong.
    pub error: ErrorType,
    /// Index of the expected call it was compared with, where there are several.
    pub expected: Option<usize>,
    /// Counts of calls: given and expected.
    pub counts: Option<(usize, usize)>,
    /// Kinds: given and declared.
    pub kinds: Option<(Kind, Kind)>,
}

impl<'a> Finding<'a> {
    fn new(error: ErrorType) -> Self {
        Self {
            call: None,
            param: None,
            key: None,
            error,
            expected: None,
            counts: None,
            kinds: None,
        }
    }

    fn about(error: ErrorType, param: &'a str) -> Self {
        Self {
            param: Some(param),
            ..Self::new(error)
        }
    }

    /// Says what is wrong, for people.
    pub fn describe(&self, output: &Decoded<'_>, out: &mut String) {
        if let Some(expected) = self.expected {
            push_all(out, &["expected call ", &(expected + 1).to_string(), ": "]);
        }
        let (param, key) = (self.param.unwrap_or_default(), self.key);
        match self.error {
            ErrorType::DecoderFailed | ErrorType::WrongOutputFormat => {
                out.push_str(crate::score::lines::reason_of(output));
            }
            ErrorType::SimpleWrongCount
            | ErrorType::MultipleWrongCount
            | ErrorType::ParallelWrongCount => {
                let (given, wanted) = self.counts.unwrap_or_default();
                let (given, wanted) = (given.to_string(), wanted.to_string());
                push_all(out, &[&given, " calls were made, ", &wanted, " expected"]);
            }
            ErrorType::CannotFindMatch => out.push_str("no call fits"),
            ErrorType::WrongFuncName => {
                push_all(out, &["the call is not to `", key.unwrap_or_default(), "`"]);
            }
            ErrorType::MissingRequired => {
                push_all(out, &["required parameter `", param, "` is absent"]);
            }
            ErrorType::UnexpectedParam => {
                push_all(out, &["parameter `", param, "` is not expected"]);
            }
            ErrorType::MissingOptional => {
                let rest = "` is absent and may not be left out";
                push_all(out, &["parameter `", param, rest]);
            }
            ErrorType::TypeSimple => {
                let given = self
                    .kinds
                    .map_or("of another kind", |(given, _)| given.name());
                let wanted = self.kinds.map_or("declared", |(_, wanted)| wanted.name());
                let rest = [" where ", wanted, " is declared"].concat();
                push_all(out, &["`", param, "` is ", given, &rest]);
            }
            ErrorType::TypeNested => {
                push_all(out, &["an element of `", param, "` is of another kind"]);
            }
            ErrorType::ValueString | ErrorType::ValueList | ErrorType::ValueOthers => {
                push_all(out, &["`", param, "` is none of the accepted values"]);
            }
            ErrorType::ValueDictKey => match key {
                Some(key) => push_all(out, &["`", param, "` lacks the key `", key, "`"]),
                None => push_all(out, &["`", param, "` has a key that is not accepted"]),
            },
            ErrorType::ValueDictValue => {
                let rest = "` is none of the accepted values";
                push_all(out, &["`", key.unwrap_or_default(), "` in `", param, rest]);
            }
            ErrorType::ValueListDictCount => {
                push_all(out, &["`", param, "` holds another number of objects"]);
            }
            ErrorType::DictUnclear | ErrorType::ListDictUnclear => {
                push_all(out, &["nothing is accepted for `", param, "`"]);
            }
            ErrorType::IrrelevanceDecoderSuccess => {
                out.push_str("a call was made where nothing should be called");
            }
            ErrorType::RelevanceDecoderFailed => {
                out.push_str("no call was made where one is needed");
            }
            ErrorType::CheckerRaised => {
                out.push_str("BFCL's own checker stops with an exception here");
            }
        }
    }

    fn in_call(self, call: usize) -> Self {
        Self {
            call: Some(call),
            ..self
        }
    }
}

fn push_all(out: &mut String, parts: &[&str]) {
    for part in parts {
        out.push_str(part);
    }
}

impl<'a> Verdict<'a> {
    /// Valid.
    fn valid() -> Self {
        Self::default()
    }

    fn invalid(error: ErrorType) -> Self {
        Self::of(Finding::new(error))
    }

    fn of(finding: Finding<'a>) -> Self {
        Self {
            error: Some(finding.error),
            findings: vec![finding],
        }
    }
}

type Checked<'a> = Result<(), Finding<'a>>;

/// Judges one output.
pub fn judge<'a>(case: &'a Case, output: &'a Decoded<'_>) -> Verdict<'a> {
    if let Mode::Relevance | Mode::Irrelevance = case.mode {
        let has_call = matches!(output, Decoded::Calls(calls) if !calls.is_empty());
        return match (case.mode, has_call) {
            (Mode::Irrelevance, true) => Verdict::invalid(ErrorType::IrrelevanceDecoderSuccess),
            (Mode::Relevance, false) => Verdict::invalid(ErrorType::RelevanceDecoderFailed),
            _ => Verdict::valid(),
        };
    }
    let calls = match output {
        Decoded::Failed(_) => return Verdict::invalid(ErrorType::DecoderFailed),
        Decoded::Malformed(_) => return Verdict::invalid(ErrorType::WrongOutputFormat),
        Decoded::Calls(calls) => calls.as_slice(),
    };
    let (wanted, error) = match case.mode {
        Mode::Simple => (1, ErrorType::SimpleWrongCount),
        Mode::Parallel => (case.expected.len(), ErrorType::ParallelWrongCount),
        _ => (case.expected.len(), ErrorType::MultipleWrongCount),
    };
    if calls.len() != wanted {
        return Verdict::of(Finding {
            counts: Some((calls.len(), wanted)),
            ..Finding::new(error)
        });
    }
    if case.mode == Mode::Parallel {
        return match_greedily(&case.expected, calls);
    }
    // As there, one expected call is looked at; that there is none raises.
    match (case.expected.first(), calls.first()) {
        (Some(expected), Some(call)) => match check_call(expected, call) {
            Ok(()) => Verdict::valid(),
            Err(finding) => Verdict::of(finding.in_call(0)),
        },
        _ => Verdict::invalid(ErrorType::CheckerRaised),
    }
}

/// Each expected call takes the first unused output call that passes; nothing is taken back.
fn match_greedily<'a>(expected: &'a [Expected], calls: &'a [Call<'_>]) -> Verdict<'a> {
    let mut used = vec![false; calls.len()];
    for (index, wanted) in expected.iter().enumerate() {
        let mut found = Vec::new();
        let mut hit = None;
        for (place, call) in calls.iter().enumerate() {
            if used[place] {
                continue;
            }
            match check_call(wanted, call) {
                Ok(()) => {
                    hit = Some(place);
                    break;
                }
                Err(finding) => {
                    let finding = Finding {
                        expected: Some(index),
                        ..finding.in_call(place)
                    };
                    if finding.error == ErrorType::CheckerRaised {
                        return Verdict::of(finding);
                    }
                    found.push(finding);
                }
            }
        }
        match hit {
            Some(place) => used[place] = true,
            None => {
                return Verdict {
                    error: Some(ErrorType::CannotFindMatch),
                    findings: found,
                };
            }
        }
    }
    Verdict::valid()
}

/// Names of a call that were met, one bit each.
const FEW: usize = 64;

fn check_call<'a>(expected: &'a Expected, call: &'a Call<'_>) -> Checked<'a> {
    if expected.raises {
        return Err(Finding::new(ErrorType::CheckerRaised));
    }
    if call.name.text() != Some(expected.name()) {
        return Err(Finding {
            key: Some(expected.name()),
            ..Finding::new(ErrorType::WrongFuncName)
        });
    }
    let given = &call.arguments;
    let (mut few, mut many) = (0_u64, Vec::new());
    let is_few = expected.slots() <= FEW;
    if !is_few {
        many.resize(expected.slots(), false);
    }
    for (place, (key, _)) in given.iter().enumerate() {
        if let Some(slot) = key.text().and_then(|name| expected.slot_of(name, place)) {
            if is_few {
                few |= 1 << slot;
            } else {
                many[slot] = true;
            }
        }
    }
    let is_given = |slot: usize| {
        if is_few {
            few >> slot & 1 == 1
        } else {
            many[slot]
        }
    };
    if let Some(&absent) = expected.required.iter().find(|slot| !is_given(**slot)) {
        return Err(Finding::about(
            ErrorType::MissingRequired,
            expected.name_at(absent),
        ));
    }
    for (place, (key, value)) in given.iter().enumerate() {
        let name = key.text().unwrap_or_default();
        let slot = key.text().and_then(|name| expected.slot_of(name, place));
        match slot.and_then(|slot| Some((slot, expected.parameter_at(slot)?))) {
            None => return Err(Finding::about(ErrorType::UnexpectedParam, name)),
            Some((slot, parameter)) => check_argument(parameter, expected.name_at(slot), value)?,
        }
    }
    for (slot, omission) in expected.answered() {
        if is_given(slot) {
            continue;
        }
        let name = expected.name_at(slot);
        match omission {
            Omission::Allowed => {}
            Omission::Refused => return Err(Finding::about(ErrorType::MissingOptional, name)),
            Omission::Raises => return Err(Finding::about(ErrorType::CheckerRaised, name)),
        }
    }
    Ok(())
}

fn check_argument<'a>(
    parameter: &'a Parameter,
    name: &'a str,
    given: &'a Value<'_>,
) -> Checked<'a> {
    let raised = || Finding::about(ErrorType::CheckerRaised, name);
    let (Some(declared), Some(alternatives)) = (parameter.declared, &parameter.alternatives) else {
        return Err(raised());
    };
    let value = promote(declared, given).ok_or_else(raised)?;
    let value = value.as_ref();
    let is_literal = check_type(parameter, name, declared, alternatives, value)?;
    let found = match (&parameter.accepted, value) {
        _ if is_literal => None,
        (Accepted::Objects(objects), Value::Object(object)) => Some(check_object(object, objects)),
        (Accepted::ObjectLists(lists), Value::List(items)) => Some(check_objects(items, lists)),
        (Accepted::Lists(lists), Value::List(items)) => Some(check_list(items, lists)),
        (Accepted::Texts(texts), Value::Text(text)) => {
            Some(if texts.iter().any(|one| is_normally(text, one)) {
                Ok(())
            } else {
                Err((ErrorType::ValueString, None))
            })
        }
        _ => None,
    };
    match found {
        Some(Ok(())) => Ok(()),
        Some(Err((error, key))) => Err(Finding {
            key,
            ..Finding::about(error, name)
        }),
        None if alternatives.iter().any(|one| equal(value, one)) => Ok(()),
        None => Err(Finding::about(ErrorType::ValueOthers, name)),
    }
}

/// The value as its declared type changes it; `None` where that raises.
fn promote<'v, 'a>(declared: Declared, given: &'v Value<'a>) -> Option<Cow<'v, Value<'a>>> {
    match given {
        Value::Int(integer) if declared.is_float => {
            Some(Cow::Owned(Value::Float(integer.to_float()?)))
        }
        Value::Tuple(items) if declared.is_tuple => Some(Cow::Owned(Value::List(items.clone()))),
        other => Some(Cow::Borrowed(other)),
    }
}

/// Whether the value is compared literally: where alternatives are of another kind than declared.
fn check_type<'a>(
    parameter: &Parameter,
    name: &'a str,
    declared: Declared,
    alternatives: &[Value<'_>],
    value: &Value<'_>,
) -> Result<bool, Finding<'a>> {
    let first = parameter.first_kind;
    let is_literal = first.is_some_and(|kind| kind != declared.kind);
    let kind = value.kind();
    let error = if kind == declared.kind {
        let Some(items) = declared.items else {
            return Ok(is_literal);
        };
        if elements_fit(value, items, alternatives) {
            return Ok(is_literal);
        }
        if first == Some(kind) {
            ErrorType::TypeNested
        } else {
            ErrorType::TypeSimple
        }
    } else if first == Some(kind) {
        return Ok(true);
    } else {
        ErrorType::TypeSimple
    };
    Err(Finding {
        kinds: Some((kind, declared.kind)),
        ..Finding::about(error, name)
    })
}

/// Whether for some alternative every element is of the declared kind, or of the kind of that
/// alternative's own first element. An alternative that is no list asks for nothing.
fn elements_fit(value: &Value<'_>, items: Kind, alternatives: &[Value<'_>]) -> bool {
    let Value::List(elements) = value else {
        return true;
    };
    alternatives.iter().any(|alternative| match alternative {
        Value::List(accepted) => {
            let own = first_kind(accepted);
            elements
                .iter()
                .all(|element| element.kind() == items || Some(element.kind()) == own)
        }
        _ => true,
    })
}

/// An error and the key of an object it is about.
type Inside<'a> = Result<(), (ErrorType, Option<&'a str>)>;

fn check_list<'a>(items: &[Value<'_>], lists: &'a Lists) -> Inside<'a> {
    let Lists::All(lists) = lists else {
        return Err((ErrorType::CheckerRaised, None));
    };
    let fits = |accepted: &Vec<Value<'_>>| {
        accepted.len() == items.len()
            && items
                .iter()
                .zip(accepted)
                .all(|(item, one)| is_comparably(item, one))
    };
    if lists.iter().any(fits) {
        Ok(())
    } else {
        Err((ErrorType::ValueList, None))
    }
}

/// A value against one that is in the form that is compared.
fn is_comparably(value: &Value<'_>, comparable: &Value<'_>) -> bool {
    match (value, comparable) {
        (Value::Text(text), Value::Text(normal)) => is_normally(text, normal.as_bytes()),
        _ => equal(value, comparable),
    }
}

fn check_object<'a>(object: &Object<'_>, alternatives: &'a [ObjectAlternative]) -> Inside<'a> {
    let mut result: Inside<'a> = Err((ErrorType::DictUnclear, None));
    for alternative in alternatives {
        match alternative {
            ObjectAlternative::Skip => {}
            ObjectAlternative::Raises => return Err((ErrorType::CheckerRaised, None)),
            ObjectAlternative::Entries(entries) => {
                result = check_entries(object, entries);
                match result {
                    Ok(()) | Err((ErrorType::CheckerRaised, _)) => return result,
                    Err(_) => {}
                }
            }
        }
    }
    result
}

/// Given keys first, then those that are absent, whose error stands over the others'.
fn check_entries<'a>(object: &Object<'_>, entries: &'a [Entry]) -> Inside<'a> {
    let mut result: Inside<'a> = Ok(());
    for (key, value) in object.iter() {
        let entry = key
            .text()
            .and_then(|name| entries.iter().find(|entry| entry.key == name));
        let Some(entry) = entry else {
            result = Err((ErrorType::ValueDictKey, None));
            break;
        };
        let Some(values) = &entry.values else {
            return Err((ErrorType::CheckerRaised, Some(&entry.key)));
        };
        if !values.iter().any(|one| is_comparably(value, one)) {
            result = Err((ErrorType::ValueDictValue, Some(&entry.key)));
            break;
        }
    }
    for entry in entries.iter().filter(|entry| !object.has(&entry.key)) {
        match entry.omission {
            Omission::Allowed => {}
            Omission::Refused => {
                result = Err((ErrorType::ValueDictKey, Some(&entry.key)));
                break;
            }
            Omission::Raises => return Err((ErrorType::CheckerRaised, Some(&entry.key))),
        }
    }
    result
}

fn check_objects<'a>(
    items: &[Value<'_>],
    alternatives: &'a [Option<Vec<ObjectAlternative>>],
) -> Inside<'a> {
    let mut result = Err((ErrorType::ListDictUnclear, None));
    'alternatives: for alternative in alternatives {
        let Some(wanted) = alternative else {
            return Err((ErrorType::CheckerRaised, None));
        };
        if wanted.len() != items.len() {
            result = Err((ErrorType::ValueListDictCount, None));
            continue;
        }
        for (item, one) in items.iter().zip(wanted) {
            let found = match (one, item) {
                (ObjectAlternative::Skip, _) => Err((ErrorType::DictUnclear, None)),
                (one, Value::Object(object)) => check_object(object, std::slice::from_ref(one)),
                _ => Err((ErrorType::CheckerRaised, None)),
            };
            match found {
                Ok(()) => {}
                Err((ErrorType::CheckerRaised, _)) => return found,
                Err(_) => {
                    result = found;
                    continue 'alternatives;
                }
            }
        }
        return Ok(());
    }
    result
}
