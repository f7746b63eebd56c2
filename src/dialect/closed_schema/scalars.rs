//! Numbers, strings and fixed values as the grammar's engine takes them.
//!
//! Data in: facts. Data out: schemas of one alternative each. Invariants: nothing valid is left
//! out; what the engine cannot hold is named. The engine reads numbers as doubles, writes bounded
//! ones without exponent, and its upper bounds miss numbers that are a beginning of the bound
//! (0.2 under 0.25); these are given to it by name.

use serde_json::{Number, Value, json};

use super::evaluate::is_multiple;
use super::facts::{Bound, NumberFacts, StringFacts, Types, equal, is_integer};
use super::formats;
use super::pattern;

/// Integers up to here are exact in a double.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Longest fraction of a bound.
const MOST_DIGITS: usize = 20;
/// Most values taken out of the numbers.
const MOST_GAPS: usize = 40;
/// Largest divisor, and its largest part without factors 2 and 5: the engine has a state for each
/// remainder, and walks them all.
const MOST_DIVISOR: u64 = 1_000_000;
const MOST_REMAINDERS: u64 = 1_000;
/// Longest strings whose length the engine counts.
const MOST_LENGTH: u64 = 20_000;

/// Schemas, and the keywords that they do not hold.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    pub(super) schemas: Vec<Value>,
    pub(super) not_held: Vec<&'static str>,
}

/// The numbers of a clause.
pub(super) fn numbers(facts: &NumberFacts, types: Types, excluded: &[Value]) -> Leaves {
    let mut leaves = Leaves::default();
    let mut gaps: Vec<f64> = excluded
        .iter()
        .filter_map(Value::as_f64)
        .filter(|gap| facts.spans(*gap))
        .collect();
    gaps.sort_by(f64::total_cmp);
    gaps.dedup();
    if gaps.len() > MOST_GAPS {
        gaps.clear();
        leaves.not_held.push("not enum");
    }
    let mut low = facts.low;
    for gap in &gaps {
        let end = Bound {
            at: *gap,
            exclusive: true,
        };
        range(low, Some(end), facts, types, &mut leaves);
        low = Some(end);
    }
    range(low, facts.high, facts, types, &mut leaves);
    leaves
}

fn range(
    low: Option<Bound>,
    high: Option<Bound>,
    facts: &NumberFacts,
    types: Types,
    leaves: &mut Leaves,
) {
    let (divisor, divisor_held) = divisor(&facts.multiples);
    let whole = divisor.as_ref().and_then(Value::as_f64) == Some(1.0);
    if types.has(Types::INTEGER) && (!types.has(Types::FRACTION) || whole) {
        let (divisor, held) = whole_divisor(&facts.multiples);
        if !held {
            leaves.not_held.push("multipleOf");
        }
        integers(low, high, divisor, leaves);
        return;
    }
    if !types.has(Types::INTEGER) {
        if whole {
            return;
        }
        leaves.not_held.push("not integer");
    }
    if !divisor_held {
        leaves.not_held.push("multipleOf");
    }
    let (low, low_held) = plain(low);
    let (high, high_held) = plain(high);
    if !low_held || !high_held {
        leaves.not_held.push("minimum");
    }
    let mut schema = json!({"type": "number"});
    let mut further = Vec::new();
    if let Some(divisor) = &divisor {
        schema["multipleOf"] = divisor.clone();
    }
    if let Some(low) = low {
        schema[if low.exclusive {
            "exclusiveMinimum"
        } else {
            "minimum"
        }] = number(low.at);
    }
    if let Some(high) = high {
        schema[if high.exclusive {
            "exclusiveMaximum"
        } else {
            "maximum"
        }] = number(high.at);
    }
    match (low, high) {
        (Some(low), Some(high)) if low.at > high.at => return,
        (Some(low), Some(high)) if equal(low.at, high.at) => {
            if !low.exclusive && !high.exclusive {
                let at = number(low.at);
                let fits = facts
                    .multiples
                    .iter()
                    .all(|divisor| at.as_number().is_none_or(|at| is_multiple(at, divisor)));
                leaves.schemas.extend(fits.then(|| json!({"enum": [at]})));
            }
            return;
        }
        _ => {}
    }
    beginnings(low, high, &mut further);
    further.retain(|value| {
        facts
            .multiples
            .iter()
            .all(|divisor| value.as_number().is_none_or(|at| is_multiple(at, divisor)))
    });
    // Behind an exclusive bound, seen from zero, the engine wants a last digit that is no zero:
    // 0.5, never 0.50. And where both bounds share their integer part it forgets the exclusion.
    let near = |bound: Option<Bound>, other: Option<Bound>| {
        bound.filter(|bound| bound.exclusive).map(|bound| {
            let shared = other.is_some_and(|other| equal(other.at.trunc(), bound.at));
            (bound.at, shared)
        })
    };
    let mut forgets = false;
    for (keyword, inclusive, start, sign) in [
        (
            "exclusiveMinimum",
            "minimum",
            near(low.filter(|low| low.at >= 0.0), high),
            1.0,
        ),
        (
            "exclusiveMaximum",
            "maximum",
            near(high.filter(|high| high.at <= 0.0), low),
            -1.0,
        ),
    ] {
        let Some((at, shared)) = start else { continue };
        forgets |= shared;
        let next = at + sign * step_from(at, shared);
        let inside = low.is_none_or(|low| next > low.at) && high.is_none_or(|high| next < high.at);
        if inside && let Value::Object(map) = &schema {
            let mut relaxed = map.clone();
            relaxed.remove(keyword);
            relaxed.insert(inclusive.to_owned(), number(next));
            leaves.schemas.push(Value::Object(relaxed));
        }
    }
    if !forgets {
        leaves.schemas.push(schema);
    }
    if !further.is_empty() {
        leaves.schemas.push(json!({"enum": further}));
    }
}

/// How far behind an exclusive bound numbers start: next to nothing where it is the only way to
/// say so.
fn step_from(at: f64, only_way: bool) -> f64 {
    let digits = match (at == 0.0, only_way) {
        (true, true) => 40,
        (true, false) => 6,
        (false, true) => 15 - i32::try_from(format!("{}", at.trunc().abs()).len()).unwrap_or(15),
        (false, false) => i32::try_from(fraction(at).len()).unwrap_or(0) + 6,
    };
    10_f64.powi(-digits)
}

fn integers(low: Option<Bound>, high: Option<Bound>, divisor: Option<Value>, leaves: &mut Leaves) {
    let first = low.map(|low| {
        let up = low.at.ceil();
        if low.exclusive && equal(up, low.at) {
            up + 1.0
        } else {
            up
        }
    });
    let last = high.map(|high| {
        let down = high.at.floor();
        if high.exclusive && equal(down, high.at) {
            down - 1.0
        } else {
            down
        }
    });
    if let (Some(first), Some(last)) = (first, last)
        && first > last
    {
        return;
    }
    let mut schema = json!({"type": "integer"});
    if let Some(divisor) = divisor {
        schema["multipleOf"] = divisor;
    }
    let mut held = true;
    for (keyword, end, beyond) in [
        ("minimum", first, first.is_some_and(|first| first > EXACT)),
        ("maximum", last, last.is_some_and(|last| last < -EXACT)),
    ] {
        let Some(end) = end else { continue };
        if end.abs() <= EXACT {
            schema[keyword] = number(end);
        } else {
            held = false;
            // A bound beyond what is exact still leaves out all that is exact on its far side.
            if beyond {
                schema[keyword] = number(EXACT.copysign(end));
            }
        }
    }
    if !held {
        leaves.not_held.push("minimum");
    }
    leaves.schemas.push(schema);
}

/// A bound as the engine can read it, and whether that is the bound itself.
fn plain(bound: Option<Bound>) -> (Option<Bound>, bool) {
    match bound {
        Some(bound) if bound.at.abs() > EXACT || fraction(bound.at).len() > MOST_DIGITS => {
            (None, false)
        }
        bound => (bound, true),
    }
}

/// The digits behind the point.
fn fraction(at: f64) -> String {
    format!("{at}")
        .split_once('.')
        .map(|(_, digits)| digits.to_owned())
        .unwrap_or_default()
}

/// A number as JSON, without a fraction where it has none.
fn number(at: f64) -> Value {
    if at.fract() == 0.0 && at.abs() <= EXACT {
        Value::from(at as i64)
    } else {
        Value::from(at)
    }
}

/// Numbers within the range whose digits are a beginning of a bound's away from zero.
fn beginnings(low: Option<Bound>, high: Option<Bound>, found: &mut Vec<Value>) {
    let within = |at: f64| {
        low.is_none_or(|low| low.is_below(at)) && high.is_none_or(|high| high.is_above(at))
    };
    for bound in [
        high.filter(|high| high.at > 0.0),
        low.filter(|low| low.at < 0.0),
    ]
    .into_iter()
    .flatten()
    {
        let text = format!("{}", bound.at);
        let Some((whole, digits)) = text.split_once('.') else {
            continue;
        };
        for length in 1..digits.len() {
            if let Ok(at) = format!("{whole}.{}", &digits[..length]).parse::<f64>()
                && at.fract() != 0.0
                && within(at)
                && !found.contains(&number(at))
            {
                found.push(number(at));
            }
        }
    }
}

/// The divisor of integers: multiples of 0.75 among them are the multiples of 3.
fn whole_divisor(multiples: &[Number]) -> (Option<Value>, bool) {
    let mut joined: u64 = 1;
    let mut held = true;
    for multiple in multiples {
        let own = decimal(multiple).and_then(|(value, decimals)| {
            Some(value / greatest_common_divisor(value, 10_u64.checked_pow(decimals)?).max(1))
        });
        match own.and_then(|own| common_multiple((joined, 0), (own, 0))) {
            Some((both, _)) if is_small(both) => joined = both,
            _ => held = false,
        }
    }
    ((joined > 1).then(|| Value::from(joined)), held)
}

/// One divisor for several, and whether that is all of them.
fn divisor(multiples: &[Number]) -> (Option<Value>, bool) {
    let mut joined: Option<(u64, u32)> = None;
    let mut complete = true;
    for multiple in multiples {
        match decimal(multiple).and_then(|one| match joined {
            Some(known) => common_multiple(known, one),
            None => Some(one),
        }) {
            Some(both) if as_engine_reads(both).is_some() => joined = Some(both),
            _ => complete = false,
        }
    }
    (joined.and_then(as_engine_reads).map(number), complete)
}

fn is_small(divisor: u64) -> bool {
    let mut rest = divisor;
    for factor in [2, 5] {
        while rest > 0 && rest.is_multiple_of(factor) {
            rest /= factor;
        }
    }
    (1..=MOST_DIVISOR).contains(&divisor) && rest <= MOST_REMAINDERS
}

/// A number as an integer and the count of its decimals.
fn decimal(number: &Number) -> Option<(u64, u32)> {
    let text = format!("{}", number.as_f64()?.abs());
    let (whole, digits) = text.split_once('.').unwrap_or((&text, ""));
    let decimals = u32::try_from(digits.len()).ok()?;
    let value = format!("{whole}{digits}").parse().ok()?;
    Some((value, decimals))
}

fn common_multiple(one: (u64, u32), other: (u64, u32)) -> Option<(u64, u32)> {
    let decimals = one.1.max(other.1);
    let scale = |(value, own): (u64, u32)| value.checked_mul(10_u64.checked_pow(decimals - own)?);
    let (one, other) = (scale(one)?, scale(other)?);
    let shared = greatest_common_divisor(one, other).max(1);
    Some(((one / shared).checked_mul(other)?, decimals))
}

fn greatest_common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// The double that stands for a decimal, if the engine finds the same decimal in it again.
fn as_engine_reads((value, decimals): (u64, u32)) -> Option<f64> {
    let double: f64 = format!("{value}e-{decimals}").parse().ok()?;
    let (mut scaled, mut found) = (double, 0_u32);
    while scaled.fract() != 0.0 {
        scaled *= 10.0;
        found += 1;
    }
    if !is_small(value) {
        return None;
    }
    let same = (scaled as u128).checked_mul(10_u128.checked_pow(decimals)?)
        == u128::from(value).checked_mul(10_u128.checked_pow(found)?);
    same.then_some(double)
}

/// The strings of a clause.
pub(super) fn strings(facts: &StringFacts, excluded: &[Value]) -> Leaves {
    let mut leaves = Leaves::default();
    let mut patterns: Vec<String> = Vec::new();
    for pattern in &facts.patterns {
        match pattern::for_grammar(pattern) {
            Some(pattern) => patterns.push(pattern),
            None => leaves.not_held.push("pattern"),
        }
    }
    for format in &facts.formats {
        let rule = formats::pattern_of(format);
        patterns.extend(rule.pattern.map(ToOwned::to_owned));
        if !rule.exact {
            leaves.not_held.push("format");
        }
    }
    let texts: Vec<String> = excluded
        .iter()
        .filter_map(|value| value.as_str().map(ToOwned::to_owned))
        .collect();
    if !texts.is_empty() {
        match pattern::all_but(&texts) {
            Some(pattern) => patterns.push(pattern),
            None => leaves.not_held.push("not enum"),
        }
    }
    if !patterns.iter().all(|pattern| pattern::is_writable(pattern)) {
        return leaves;
    }
    let mut schema = json!({"type": "string"});
    if facts.least > 0 {
        schema["minLength"] = facts.least.min(MOST_LENGTH).into();
    }
    if let Some(most) = facts.most {
        if most <= MOST_LENGTH {
            schema["maxLength"] = most.into();
        } else {
            leaves.not_held.push("maxLength");
        }
    }
    if facts.least > MOST_LENGTH {
        leaves.not_held.push("minLength");
    }
    match patterns.len() {
        0 => {}
        1 => schema["pattern"] = patterns.remove(0).into(),
        _ => {
            schema["allOf"] = patterns
                .into_iter()
                .map(|pattern| json!({"type": "string", "pattern": pattern}))
                .collect();
        }
    }
    leaves.schemas.push(schema);
    leaves
}

/// Whether a format is not exactly held.
pub(super) fn has_loose_format(facts: &StringFacts) -> bool {
    facts
        .formats
        .iter()
        .any(|format| !formats::pattern_of(format).exact)
}

/// Fixed values. The engine writes no character that needs a `\u` escape, and it reads numbers as
/// doubles: what it cannot write as it is is left out, or stands for all integers.
pub(super) fn fixed(values: &[Value]) -> Leaves {
    let mut leaves = Leaves::default();
    let mut kept: Vec<Value> = Vec::new();
    for value in values {
        if !is_writable(value) {
            leaves.not_held.push("enum");
        } else if has_inexact(value) {
            leaves.not_held.push("enum");
            leaves.schemas.push(match value {
                Value::Array(_) => json!({"type": "array"}),
                Value::Object(_) => json!({"type": "object"}),
                _ => json!({"type": "integer"}),
            });
        } else {
            kept.push(spelled(value));
        }
    }
    if !kept.is_empty() {
        leaves.schemas.insert(0, json!({"enum": kept}));
    }
    leaves
}

/// Whether the engine can write all its characters.
pub(super) fn is_writable(value: &Value) -> bool {
    let text = |text: &str| {
        !text
            .chars()
            .any(|c| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{c}'))
    };
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().all(is_writable),
        Value::Object(map) => map
            .iter()
            .all(|(key, value)| text(key) && is_writable(value)),
        _ => true,
    }
}

/// Whether a number in it is no double.
fn has_inexact(value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            let exact = |integer: i128| {
                number
                    .as_f64()
                    .is_some_and(|double| double as i128 == integer)
            };
            match (number.as_i64(), number.as_u64()) {
                (Some(integer), _) => !exact(i128::from(integer)),
                (None, Some(integer)) => !exact(i128::from(integer)),
                _ => false,
            }
        }
        Value::Array(items) => items.iter().any(has_inexact),
        Value::Object(map) => map.values().any(has_inexact),
        _ => false,
    }
}

/// The value with its numbers spelled as the engine spells them.
fn spelled(value: &Value) -> Value {
    match value {
        Value::Number(own) if is_integer(own) && own.is_f64() => {
            number(own.as_f64().unwrap_or_default())
        }
        Value::Array(items) => items.iter().map(spelled).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), spelled(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}
