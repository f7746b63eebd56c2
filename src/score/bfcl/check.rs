//! Outputs against a prepared case.
//!
//! Data in: a [`Case`] and a decoded output. Data out: a [`Verdict`]. Invariants: checks run in
//! BFCL's order and the first failure decides; several calls are matched greedily as there; nothing
//! is copied from the output unless a value changes its kind.

use super::ErrorType;
use super::finding::Finding;
use super::normal::is_normally;
use super::prepare::{
    Accepted, Case, Declared, Entry, Expected, Lists, Mode, ObjectAlternative, Omission, Parameter,
    first_kind,
};
use crate::score::decode::{Call, Decoded};
use crate::score::given::{Given, GivenCall, Promotion};
use crate::score::value::{Kind, Value, equal};

/// What became of an output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Why it is invalid; `None` when it is valid.
    pub error: Option<ErrorType>,
    first: Option<Finding<'a>>,
    others: Vec<Finding<'a>>,
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
            first: Some(finding),
            others: Vec::new(),
        }
    }

    /// What was found, for people. Nothing when valid.
    pub fn findings(&self) -> impl Iterator<Item = &Finding<'a>> {
        self.first.iter().chain(&self.others)
    }
}

type Checked<'a> = Result<(), Finding<'a>>;

/// Judges one output.
pub fn judge<'a>(case: &'a Case, output: &'a Decoded<'_>) -> Verdict<'a> {
    let has_answer = !matches!(case.mode, Mode::Relevance | Mode::Irrelevance);
    let calls: &[Call<'_>] = match output {
        Decoded::Calls(calls) => calls,
        Decoded::Failed(_) if has_answer => return Verdict::invalid(ErrorType::DecoderFailed),
        Decoded::Malformed(_) if has_answer => {
            return Verdict::invalid(ErrorType::WrongOutputFormat);
        }
        // What cannot be read is no call.
        _ => &[],
    };
    judge_calls(case, calls.len(), |index| &calls[index])
}

/// Judges well-formed calls, given by their number and one by one.
pub(in crate::score) fn judge_calls<'a, C: GivenCall<'a>>(
    case: &'a Case,
    count: usize,
    call: impl Fn(usize) -> C,
) -> Verdict<'a> {
    let (wanted, error) = match case.mode {
        Mode::Irrelevance if count > 0 => {
            return Verdict::invalid(ErrorType::IrrelevanceDecoderSuccess);
        }
        Mode::Relevance if count == 0 => {
            return Verdict::invalid(ErrorType::RelevanceDecoderFailed);
        }
        Mode::Relevance | Mode::Irrelevance => return Verdict::valid(),
        Mode::Simple => (1, ErrorType::SimpleWrongCount),
        Mode::Parallel => (case.expected.len(), ErrorType::ParallelWrongCount),
        Mode::Multiple => (case.expected.len(), ErrorType::MultipleWrongCount),
    };
    if count != wanted {
        return Verdict::of(Finding {
            counts: Some((count, wanted)),
            ..Finding::new(error)
        });
    }
    if case.mode == Mode::Parallel {
        return match_greedily(&case.expected, count, call);
    }
    // As there, one expected call is looked at; that there is none raises.
    match case.expected.first() {
        Some(expected) => match check_call(expected, call(0)) {
            Ok(()) => Verdict::valid(),
            Err(finding) => Verdict::of(finding.in_call(0)),
        },
        None => Verdict::invalid(ErrorType::CheckerRaised),
    }
}

/// Each expected call takes the first unused output call that passes; nothing is taken back.
fn match_greedily<'a, C: GivenCall<'a>>(
    expected: &'a [Expected],
    count: usize,
    call: impl Fn(usize) -> C,
) -> Verdict<'a> {
    let mut used = vec![false; count];
    let mut found = Vec::new();
    for (index, wanted) in expected.iter().enumerate() {
        found.clear();
        let mut hit = None;
        for place in (0..count).filter(|place| !used[*place]) {
            match check_call(wanted, call(place)) {
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
                    first: None,
                    others: found,
                };
            }
        }
    }
    Verdict::valid()
}

/// Arguments whose places are looked up once; those of longer calls are looked up again.
const FEW: usize = 16;
/// Names that are remembered in a word, one bit each.
const BITS: usize = 64;

/// Which of the known names a call gives.
enum Met {
    Few(u64),
    Many(Vec<bool>),
}

impl Met {
    fn new(slots: usize) -> Self {
        if slots <= BITS {
            Self::Few(0)
        } else {
            Self::Many(vec![false; slots])
        }
    }

    fn add(&mut self, slot: usize) {
        match self {
            Self::Few(bits) => *bits |= 1 << slot,
            Self::Many(flags) => flags[slot] = true,
        }
    }

    fn has(&self, slot: usize) -> bool {
        match self {
            Self::Few(bits) => bits >> slot & 1 == 1,
            Self::Many(flags) => flags[slot],
        }
    }
}

fn check_call<'a, C: GivenCall<'a>>(expected: &'a Expected, call: C) -> Checked<'a> {
    if expected.raises {
        return Err(Finding::new(ErrorType::CheckerRaised));
    }
    if call.name() != Some(expected.name()) {
        return Err(Finding {
            key: Some(expected.name()),
            ..Finding::new(ErrorType::WrongFuncName)
        });
    }
    let mut met = Met::new(expected.slots());
    let mut slots = [None; FEW];
    let slot_of =
        |place: usize, key: Option<&str>| key.and_then(|name| expected.slot_of(name, place));
    for (place, (key, _)) in call.arguments().enumerate() {
        let slot = slot_of(place, key);
        if let Some(slot) = slot {
            met.add(slot);
        }
        if let Some(known) = slots.get_mut(place) {
            *known = slot;
        }
    }
    if let Some(&absent) = expected.required.iter().find(|slot| !met.has(**slot)) {
        return Err(Finding::about(
            ErrorType::MissingRequired,
            expected.name_at(absent),
        ));
    }
    for (place, (key, value)) in call.arguments().enumerate() {
        let slot = match slots.get(place) {
            Some(slot) => *slot,
            None => slot_of(place, key),
        };
        match slot.and_then(|slot| Some((slot, expected.parameter_at(slot)?))) {
            None => {
                let name = key.unwrap_or_default();
                return Err(Finding::about(ErrorType::UnexpectedParam, name));
            }
            Some((slot, parameter)) => check_argument(parameter, expected.name_at(slot), value)?,
        }
    }
    for (slot, omission) in expected.answered() {
        if met.has(slot) {
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

fn check_argument<'a, G: Given<'a>>(
    parameter: &'a Parameter,
    name: &'a str,
    given: G,
) -> Checked<'a> {
    let raised = || Finding::about(ErrorType::CheckerRaised, name);
    let (Some(declared), Some(alternatives)) = (parameter.declared, &parameter.alternatives) else {
        return Err(raised());
    };
    let value = Seen::new(declared, given).ok_or_else(raised)?;
    let is_literal = check_type(parameter, name, declared, alternatives, value)?;
    let found = match &parameter.accepted {
        _ if is_literal || value.kind() != declared.kind => None,
        Accepted::Plain => None,
        Accepted::Objects(objects) => Some(check_object(given, objects)),
        Accepted::ObjectLists(lists) => Some(check_objects(given, lists)),
        Accepted::Lists(lists) => Some(check_list(given, lists)),
        Accepted::Texts(texts) => {
            let text = given.text().unwrap_or_default();
            Some(if texts.iter().any(|one| is_normally(text, one)) {
                Ok(())
            } else {
                Err((ErrorType::ValueString, None))
            })
        }
    };
    match found {
        Some(Ok(())) => Ok(()),
        Some(Err((error, key))) => Err(Finding {
            key,
            ..Finding::about(error, name)
        }),
        None if alternatives.iter().any(|one| value.equals(one)) => Ok(()),
        None => Err(Finding::about(ErrorType::ValueOthers, name)),
    }
}

/// A value as its declared type changes it: a whole number may become a float, a tuple a list.
#[derive(Clone, Copy)]
struct Seen<G> {
    given: G,
    float: Option<f64>,
    is_list: bool,
}

impl<'a, G: Given<'a>> Seen<G> {
    /// `None` where changing it raises.
    fn new(declared: Declared, given: G) -> Option<Self> {
        let float = match given.promoted() {
            Promotion::Float(float) if declared.is_float => Some(float),
            Promotion::Overflows if declared.is_float => return None,
            _ => None,
        };
        Some(Self {
            given,
            float,
            is_list: declared.is_tuple && given.kind() == Kind::Tuple,
        })
    }

    fn kind(self) -> Kind {
        match self.float {
            Some(_) => Kind::Float,
            None if self.is_list => Kind::List,
            None => self.given.kind(),
        }
    }

    fn equals(self, other: &Value<'_>) -> bool {
        match (self.float, other) {
            (Some(float), other) => equal(&Value::Float(float), other),
            (None, Value::List(others)) if self.is_list => {
                let items = self.given.items();
                items.len() == others.len() && items.zip(others).all(|(item, one)| item.equals(one))
            }
            (None, _) if self.is_list => false,
            (None, other) => self.given.equals(other),
        }
    }
}

/// Whether the value is compared literally: where alternatives are of another kind than declared.
fn check_type<'a, G: Given<'a>>(
    parameter: &Parameter,
    name: &'a str,
    declared: Declared,
    alternatives: &[Value<'_>],
    value: Seen<G>,
) -> Result<bool, Finding<'a>> {
    let first = parameter.first_kind;
    let is_literal = first.is_some_and(|kind| kind != declared.kind);
    let kind = value.kind();
    let error = if kind == declared.kind {
        let Some(items) = declared.items else {
            return Ok(is_literal);
        };
        if elements_fit(value.given, items, alternatives) {
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
fn elements_fit<'a, G: Given<'a>>(list: G, items: Kind, alternatives: &[Value<'_>]) -> bool {
    alternatives.iter().any(|alternative| match alternative {
        Value::List(accepted) => {
            let own = first_kind(accepted);
            list.items().all(|element| {
                let kind = element.kind();
                kind == items || Some(kind) == own
            })
        }
        _ => true,
    })
}

/// An error and the key of an object it is about.
type Inside<'a> = Result<(), (ErrorType, Option<&'a str>)>;

fn check_list<'a>(list: impl Given<'a>, lists: &'a Lists) -> Inside<'a> {
    let Lists::All(lists) = lists else {
        return Err((ErrorType::CheckerRaised, None));
    };
    let fits = |accepted: &Vec<Value<'_>>| {
        let items = list.items();
        accepted.len() == items.len()
            && items
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
fn is_comparably<'a>(value: impl Given<'a>, comparable: &Value<'_>) -> bool {
    match (value.text(), comparable) {
        (Some(text), Value::Text(normal)) => is_normally(text, normal.as_bytes()),
        _ => value.equals(comparable),
    }
}

fn check_object<'a>(object: impl Given<'a>, alternatives: &'a [ObjectAlternative]) -> Inside<'a> {
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
fn check_entries<'a>(object: impl Given<'a>, entries: &'a [Entry]) -> Inside<'a> {
    let mut result: Inside<'a> = Ok(());
    for (key, value) in object.entries() {
        let entry = key.and_then(|name| entries.iter().find(|entry| entry.key == name));
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
    list: impl Given<'a>,
    alternatives: &'a [Option<Vec<ObjectAlternative>>],
) -> Inside<'a> {
    let mut result = Err((ErrorType::ListDictUnclear, None));
    'alternatives: for alternative in alternatives {
        let Some(wanted) = alternative else {
            return Err((ErrorType::CheckerRaised, None));
        };
        let items = list.items();
        if wanted.len() != items.len() {
            result = Err((ErrorType::ValueListDictCount, None));
            continue;
        }
        for (item, one) in items.zip(wanted) {
            let found = match one {
                ObjectAlternative::Skip => Err((ErrorType::DictUnclear, None)),
                one if item.kind() == Kind::Object => check_object(item, std::slice::from_ref(one)),
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
