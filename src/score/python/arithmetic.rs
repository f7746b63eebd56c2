//! Operators on values, as Python evaluates them.
//!
//! Data in: a tree of operators over constants. Data out: a value, or that Python would raise.
//! Invariants: whole numbers are exact at any size up to [`LARGEST_BITS`]; nothing is looked up and
//! nothing is called, so every name is unknown.

use num_bigint::{BigInt, Sign};
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};

use super::PythonError;
use super::syntax::{Binary, Expr, Unary};
use crate::score::value::{Exotic, Integer, Key, Object, Value};

/// Size of the largest whole number that is computed.
const LARGEST_BITS: u64 = 1 << 17;
/// Length of the longest text or list that is computed.
const LONGEST: usize = 1 << 20;

type Evaluated = Result<Value<'static>, PythonError>;

fn raises() -> PythonError {
    PythonError::new("an expression that Python cannot evaluate")
}

/// Evaluates a tree.
pub(super) fn evaluate(expr: &Expr) -> Evaluated {
    let many = |items: &[Expr]| items.iter().map(evaluate).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::Constant { value, .. } => Ok(value.clone()),
        Expr::List(items) => Ok(Value::List(many(items)?)),
        Expr::Tuple(items) => Ok(Value::Tuple(many(items)?)),
        Expr::Dict(entries) => {
            let entries = entries
                .iter()
                .map(|(key, value)| {
                    let key = evaluate(key.as_ref().ok_or_else(raises)?)?;
                    let key = Key::from_value(key).ok_or_else(raises)?;
                    Ok((key, evaluate(value)?))
                })
                .collect::<Result<Vec<_>, PythonError>>()?;
            Ok(Value::Object(Object::from_entries(entries)))
        }
        Expr::Unary(unary, operand) => change(*unary, &evaluate(operand)?),
        Expr::Binary(binary, left, right) => combine(*binary, &evaluate(left)?, &evaluate(right)?),
        _ => Err(raises()),
    }
}

/// A number in the widest form it needs.
enum Number {
    Whole(BigInt),
    Real(f64),
    Complex(f64, f64),
}

fn number(value: &Value<'_>) -> Option<Number> {
    Some(match value {
        Value::Bool(truth) => Number::Whole(BigInt::from(u8::from(*truth))),
        Value::Int(integer) => Number::Whole(integer.to_big()),
        Value::Float(float) => Number::Real(*float),
        Value::Exotic(exotic) => match **exotic {
            Exotic::Complex(real, imaginary) => Number::Complex(real, imaginary),
            _ => return None,
        },
        _ => return None,
    })
}

fn whole(big: BigInt) -> Evaluated {
    if big.bits() > LARGEST_BITS {
        return Err(raises());
    }
    Ok(Value::Int(Integer::from_big(big)))
}

fn complex(real: f64, imaginary: f64) -> Value<'static> {
    Value::Exotic(Box::new(Exotic::Complex(real, imaginary)))
}

/// Nearest float of a whole number; overflow raises.
fn real(big: &BigInt) -> Result<f64, PythonError> {
    Integer::from_big(big.clone()).to_float().ok_or_else(raises)
}

/// A sign before a value, as an evaluated expression has it.
pub(super) fn change(unary: Unary, value: &Value<'_>) -> Evaluated {
    if unary == Unary::Not {
        return Ok(Value::Bool(!is_true(value)));
    }
    match (unary, number(value).ok_or_else(raises)?) {
        (Unary::Minus, Number::Whole(big)) => whole(-big),
        (Unary::Minus, Number::Real(float)) => Ok(Value::Float(-float)),
        (Unary::Minus, Number::Complex(one, two)) => Ok(complex(-one, -two)),
        (Unary::Invert, Number::Whole(big)) => whole(-big - 1),
        (Unary::Invert, _) => Err(raises()),
        (_, Number::Whole(big)) => whole(big),
        (_, Number::Real(float)) => Ok(Value::Float(float)),
        (_, Number::Complex(one, two)) => Ok(complex(one, two)),
    }
}

fn is_true(value: &Value<'_>) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Int(integer) => !crate::score::value::is_zero(integer),
        Value::Float(float) => *float != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) | Value::Tuple(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Exotic(exotic) => match &**exotic {
            Exotic::Bytes(bytes) => !bytes.is_empty(),
            Exotic::Complex(one, two) => *one != 0.0 || *two != 0.0,
            Exotic::Set(items) => !items.is_empty(),
            Exotic::Ellipsis => true,
        },
    }
}

fn combine(binary: Binary, left: &Value<'static>, right: &Value<'static>) -> Evaluated {
    if let (Value::Bool(one), Value::Bool(two)) = (left, right) {
        match binary {
            Binary::And => return Ok(Value::Bool(one & two)),
            Binary::Or => return Ok(Value::Bool(one | two)),
            Binary::Xor => return Ok(Value::Bool(one ^ two)),
            _ => {}
        }
    }
    match (number(left), number(right)) {
        (Some(Number::Whole(one)), Some(Number::Whole(two))) => whole_numbers(binary, &one, &two),
        (Some(Number::Complex(a, b)), Some(other)) => {
            let (c, d) = as_complex(&other)?;
            complex_numbers(binary, (a, b), (c, d))
        }
        (Some(other), Some(Number::Complex(c, d))) => {
            let (a, b) = as_complex(&other)?;
            complex_numbers(binary, (a, b), (c, d))
        }
        (Some(one), Some(two)) => {
            let (one, _) = as_complex(&one)?;
            let (two, _) = as_complex(&two)?;
            reals(binary, one, two)
        }
        _ => sequences(binary, left, right),
    }
}

fn as_complex(number: &Number) -> Result<(f64, f64), PythonError> {
    Ok(match number {
        Number::Whole(big) => (real(big)?, 0.0),
        Number::Real(float) => (*float, 0.0),
        Number::Complex(one, two) => (*one, *two),
    })
}

fn whole_numbers(binary: Binary, one: &BigInt, two: &BigInt) -> Evaluated {
    match binary {
        Binary::Add => whole(one + two),
        Binary::Subtract => whole(one - two),
        Binary::Multiply => {
            if one.bits() + two.bits() > LARGEST_BITS {
                return Err(raises());
            }
            whole(one * two)
        }
        Binary::Divide => divide(one, two).map(Value::Float),
        Binary::FloorDivide | Binary::Modulo => {
            if two.is_zero() {
                return Err(raises());
            }
            let (quotient, rest) = floor(one, two);
            whole(if binary == Binary::Modulo {
                rest
            } else {
                quotient
            })
        }
        Binary::Power if two.is_negative() => {
            if one.is_zero() {
                return Err(raises());
            }
            reals(binary, real(one)?, real(two)?)
        }
        Binary::Power => {
            let exponent = if one.bits() <= 1 {
                // 0, 1 and -1: only whether there is an exponent, and whether it is odd.
                if two.is_zero() {
                    0
                } else {
                    2 - u32::from(two.bit(0))
                }
            } else {
                two.to_u32()
                    .filter(|exponent| {
                        one.bits().saturating_mul(u64::from(*exponent)) <= LARGEST_BITS
                    })
                    .ok_or_else(raises)?
            };
            whole(one.pow(exponent))
        }
        Binary::ShiftLeft | Binary::ShiftRight => {
            let places = two.to_u64().filter(|_| !two.is_negative());
            let Some(places) = places else {
                return Err(raises());
            };
            if binary == Binary::ShiftRight {
                return whole(one >> places.min(LARGEST_BITS * 2));
            }
            if !one.is_zero() && one.bits().saturating_add(places) > LARGEST_BITS {
                return Err(raises());
            }
            whole(one << places.min(LARGEST_BITS))
        }
        Binary::And => whole(one & two),
        Binary::Or => whole(one | two),
        Binary::Xor => whole(one ^ two),
        Binary::MatrixMultiply => Err(raises()),
    }
}

/// Quotient and rest with the sign of the divisor.
fn floor(one: &BigInt, two: &BigInt) -> (BigInt, BigInt) {
    let (quotient, rest) = (one / two, one % two);
    if !rest.is_zero() && rest.is_negative() != two.is_negative() {
        (quotient - 1, rest + two)
    } else {
        (quotient, rest)
    }
}

/// The float nearest to the exact quotient.
fn divide(one: &BigInt, two: &BigInt) -> Result<f64, PythonError> {
    const EXACT: u64 = 53;
    if two.is_zero() {
        return Err(raises());
    }
    if one.bits() <= EXACT && two.bits() <= EXACT {
        return Ok(real(one)? / real(two)?);
    }
    // Enough bits of the quotient that rounding it once more changes nothing, with a last bit that
    // says whether anything was cut off.
    let bits = |big: &BigInt| i64::try_from(big.bits()).unwrap_or(i64::MAX / 4);
    let shift = 66 - (bits(one) - bits(two));
    let (a, b) = (one.abs(), two.abs());
    let (a, b) = if shift >= 0 {
        (a << shift as u64, b)
    } else {
        (a, b << shift.unsigned_abs())
    };
    let (quotient, rest) = (&a / &b, &a % &b);
    let sticky = (quotient << 1_u32) + BigInt::from(u8::from(!rest.is_zero()));
    let nearest = sticky.to_f64().ok_or_else(raises)?;
    let scaled = scale(nearest, -(shift + 1));
    if scaled.is_infinite() {
        return Err(raises());
    }
    let is_negative = one.sign() != Sign::NoSign && one.is_negative() != two.is_negative();
    Ok(if is_negative { -scaled } else { scaled })
}

/// `float` times two to the power of `exponent`, in steps that do not overflow on the way.
fn scale(float: f64, exponent: i64) -> f64 {
    let mut result = float;
    let mut left = exponent;
    while left != 0 && result != 0.0 && result.is_finite() {
        let step = left.clamp(-1000, 1000);
        result *= 2_f64.powi(step as i32);
        left -= step;
    }
    result
}

fn reals(binary: Binary, one: f64, two: f64) -> Evaluated {
    let divides = matches!(
        binary,
        Binary::Divide | Binary::FloorDivide | Binary::Modulo
    );
    if divides && two == 0.0 {
        return Err(raises());
    }
    let result = match binary {
        Binary::Add => one + two,
        Binary::Subtract => one - two,
        Binary::Multiply => one * two,
        Binary::Divide => one / two,
        Binary::Modulo => modulo(one, two),
        Binary::FloorDivide => {
            let rest = modulo(one, two);
            let quotient = (one - rest) / two;
            let floor = quotient.floor();
            if quotient - floor > 0.5 {
                floor + 1.0
            } else {
                floor
            }
        }
        Binary::Power => return power(one, two),
        _ => return Err(raises()),
    };
    Ok(Value::Float(result))
}

fn modulo(one: f64, two: f64) -> f64 {
    let rest = one % two;
    if rest == 0.0 {
        0.0_f64.copysign(two)
    } else if (rest < 0.0) == (two < 0.0) {
        rest
    } else {
        rest + two
    }
}

fn power(one: f64, two: f64) -> Evaluated {
    if one == 0.0 && two < 0.0 {
        return Err(raises());
    }
    if one < 0.0 && two.is_finite() && two.fract() != 0.0 {
        let (size, angle) = (one.abs().powf(two), std::f64::consts::PI * two);
        return Ok(complex(size * angle.cos(), size * angle.sin()));
    }
    let result = one.powf(two);
    if result.is_infinite() && one.is_finite() && two.is_finite() {
        return Err(raises());
    }
    Ok(Value::Float(result))
}

fn complex_numbers(binary: Binary, (a, b): (f64, f64), (c, d): (f64, f64)) -> Evaluated {
    Ok(match binary {
        Binary::Add => complex(a + c, b + d),
        Binary::Subtract => complex(a - c, b - d),
        Binary::Multiply => complex(a * c - b * d, a * d + b * c),
        Binary::Divide => {
            let size = c * c + d * d;
            if size == 0.0 {
                return Err(raises());
            }
            complex((a * c + b * d) / size, (b * c - a * d) / size)
        }
        _ => return Err(raises()),
    })
}

fn sequences(binary: Binary, left: &Value<'static>, right: &Value<'static>) -> Evaluated {
    match (binary, left, right) {
        (Binary::Add, Value::Text(one), Value::Text(two)) => {
            Ok(Value::Text(format!("{one}{two}").into()))
        }
        (Binary::Add, Value::List(one), Value::List(two)) => {
            Ok(Value::List(one.iter().chain(two).cloned().collect()))
        }
        (Binary::Add, Value::Tuple(one), Value::Tuple(two)) => {
            Ok(Value::Tuple(one.iter().chain(two).cloned().collect()))
        }
        (Binary::Or, Value::Object(one), Value::Object(two)) => {
            let entries = one.clone().into_entries().into_iter();
            let all = entries.chain(two.clone().into_entries()).collect();
            Ok(Value::Object(Object::from_entries(all)))
        }
        (Binary::Multiply, sequence, times) | (Binary::Multiply, times, sequence)
            if is_sequence(sequence) && is_whole(times) =>
        {
            repeat(sequence, times)
        }
        _ => Err(raises()),
    }
}

fn is_sequence(value: &Value<'_>) -> bool {
    matches!(value, Value::Text(_) | Value::List(_) | Value::Tuple(_))
}

fn is_whole(value: &Value<'_>) -> bool {
    matches!(value, Value::Int(_) | Value::Bool(_))
}

fn repeat(sequence: &Value<'static>, times: &Value<'_>) -> Evaluated {
    let times = match times {
        Value::Bool(truth) => usize::from(*truth),
        Value::Int(Integer::Small(small)) => usize::try_from(*small).unwrap_or(0),
        _ => return Err(raises()),
    };
    let length = match sequence {
        Value::Text(text) => text.len(),
        Value::List(items) | Value::Tuple(items) => items.len(),
        _ => 0,
    };
    if length.saturating_mul(times) > LONGEST {
        return Err(raises());
    }
    let all = |items: &Vec<Value<'static>>| {
        (0..times)
            .flat_map(|_| items.iter().cloned())
            .collect::<Vec<_>>()
    };
    Ok(match sequence {
        Value::Text(text) => Value::Text(text.repeat(times).into()),
        Value::List(items) => Value::List(all(items)),
        Value::Tuple(items) => Value::Tuple(all(items)),
        _ => return Err(raises()),
    })
}
