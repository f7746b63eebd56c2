//! Faults that a served mock is told to have.
//!
//! Data in: `delay=500ms,tool=get_time,call=2` and the like; then every message of the client. Data
//! out: what happens to a call instead of, or before, its answer. Invariants: only `tools/call` is
//! hurt; the same order of calls gives the same faults; a call that is hurt (other than delayed, or
//! behind a banner) never reaches the mock, so its state does not change.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::types::{ContentHash, did_you_mean};

/// Bytes of text in a result of kind `huge`.
pub const HUGE_BYTES: usize = 16 << 20;
/// What a banner says.
pub const BANNER: &str = "Tool server 1.0 starting up, please wait ...";
/// Seconds a client is told to wait when it is turned away.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Kinds of fault with what each does, for help texts and messages.
pub const KINDS: [(&str, &str); 9] = [
    (
        "delay=TIME",
        "the answer comes late by this time, such as 500ms or 2s",
    ),
    (
        "error",
        "a JSON-RPC error: the server failed, not the tool's caller",
    ),
    ("timeout", "no answer ever"),
    ("wrong_type", "a result whose parts have the wrong types"),
    ("malformed_frame", "a message that is cut off: not JSON"),
    (
        "banner",
        "a line of plain text: before the first message, or before the calls selected",
    ),
    ("disconnect", "the connection ends instead of an answer"),
    ("huge", "a result of 16 MB"),
    (
        "rate_limit",
        "turned away: HTTP 429 with Retry-After, elsewhere a JSON-RPC error",
    ),
];

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The answer comes late.
    Delay(Duration),
    /// A line of text comes first.
    Banner,
    /// Something else than the answer.
    Instead(Instead),
}

/// What takes an answer's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// A JSON-RPC error.
    Error,
    /// Nothing, ever.
    Nothing,
    /// A result of wrong types.
    WrongType,
    /// A message that is cut off.
    Malformed,
    /// The end of the connection.
    Close,
    /// A very long result.
    Huge,
    /// A refusal that asks for patience.
    RateLimit,
}

/// One fault and the calls it hits.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    tool: Option<String>,
    when: When,
}

#[derive(Clone, Debug, PartialEq)]
enum When {
    Always,
    /// The call of this number, from 1.
    Call(u64),
    /// A share of the calls, drawn from a seed.
    Rate {
        share: f64,
        seed: u64,
    },
}

impl Fault {
    /// The tool whose calls it hits; all when absent.
    pub fn tool(&self) -> Option<&str> {
        self.tool.as_deref()
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let kind = read_kind(parts.next().unwrap_or_default())?;
        let (mut tool, mut call, mut rate, mut seed) = (None, None, None, None);
        for part in parts {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not `key=value`"))?;
            match key {
                "tool" => tool = Some(value.to_owned()),
                "call" => call = Some(read_call(value)?),
                "rate" => rate = Some(read_rate(value)?),
                "seed" => {
                    let number = value.parse::<u64>();
                    seed = Some(number.map_err(|_| format!("`seed={value}` is no whole number"))?);
                }
                _ => {
                    let hint = did_you_mean(key, ["tool", "call", "rate", "seed"]);
                    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
                    return Err(format!(
                        "unknown key `{key}`; the keys are tool, call, rate and seed{hint}"
                    ));
                }
            }
        }
        let when = match (call, rate, seed) {
            (Some(_), Some(_), _) => return Err("`call` and `rate` exclude one another".to_owned()),
            (_, None, Some(_)) => return Err("`seed` needs `rate`".to_owned()),
            (Some(number), None, None) => When::Call(number),
            (None, Some(share), seed) => When::Rate {
                share,
                seed: seed.unwrap_or_default(),
            },
            (None, None, None) => When::Always,
        };
        Ok(Self { kind, tool, when })
    }
}

fn read_kind(text: &str) -> Result<FaultKind, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let kind = match name {
        "delay" => {
            let value = value.ok_or("`delay` needs a time: delay=500ms")?;
            return Ok(FaultKind::Delay(read_time(value)?));
        }
        "banner" => FaultKind::Banner,
        "error" => FaultKind::Instead(Instead::Error),
        "timeout" => FaultKind::Instead(Instead::Nothing),
        "wrong_type" => FaultKind::Instead(Instead::WrongType),
        "malformed_frame" => FaultKind::Instead(Instead::Malformed),
        "disconnect" => FaultKind::Instead(Instead::Close),
        "huge" => FaultKind::Instead(Instead::Huge),
        "rate_limit" => FaultKind::Instead(Instead::RateLimit),
        _ => {
            let names = KINDS.map(|(name, _)| name.split('=').next().unwrap_or(name));
            let hint = did_you_mean(name, names)
                .unwrap_or_else(|| format!("the kinds are {}", names.join(", ")));
            return Err(format!("unknown fault `{name}`; {hint}"));
        }
    };
    match value {
        None => Ok(kind),
        Some(value) => Err(format!("`{name}` takes no value, and `{value}` is given")),
    }
}

/// Longest delay that may be asked for: a longer one is `timeout`.
const LONGEST_DELAY: Duration = Duration::from_hours(1);

fn read_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time such as 500ms or 2s");
    let (number, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let time = Duration::try_from_secs_f64(number * factor).map_err(|_| wrong())?;
    if time > LONGEST_DELAY {
        return Err(format!(
            "`{text}` is over an hour; `timeout` never answers at all"
        ));
    }
    Ok(time)
}

fn read_call(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`call={text}` is no number of a call, from 1")),
    }
}

fn read_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`rate={text}` is no share between 0 and 1")),
    }
}

/// What happens to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Harm {
    pub(super) delay: Duration,
    pub(super) banner: bool,
    pub(super) instead: Option<Instead>,
}

/// All faults of a server, and the calls so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: Vec<Fault>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: u64,
    by_tool: BTreeMap<String, u64>,
}

impl Faults {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self {
            faults,
            counts: Mutex::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// A banner for the whole connection rather than for certain calls.
    pub(super) fn greets(&self) -> bool {
        self.faults.iter().any(is_greeting)
    }

    /// What happens to this message; nothing where it is no call, or an unharmed one.
    pub(super) fn on_message(&self, message: &Value) -> Option<Harm> {
        if self.faults.is_empty() || message["method"] != "tools/call" {
            return None;
        }
        let tool = message["params"]["name"].as_str().unwrap_or_default();
        let (of_all, of_tool) = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.all += 1;
            let of_tool = counts.by_tool.entry(tool.to_owned()).or_default();
            *of_tool += 1;
            let of_tool = *of_tool;
            (counts.all, of_tool)
        };
        let mut harm = Harm::default();
        for fault in &self.faults {
            let number = match &fault.tool {
                Some(name) if name != tool => continue,
                Some(_) => of_tool,
                None => of_all,
            };
            if is_greeting(fault) || !fault.when.hits(number) {
                continue;
            }
            match fault.kind {
                FaultKind::Delay(time) => harm.delay += time,
                FaultKind::Banner => harm.banner = true,
                FaultKind::Instead(instead) => {
                    harm.instead.get_or_insert(instead);
                }
            }
        }
        (harm != Harm::default()).then_some(harm)
    }
}

fn is_greeting(fault: &Fault) -> bool {
    fault.kind == FaultKind::Banner && fault.tool.is_none() && fault.when == When::Always
}

impl When {
    fn hits(&self, number: u64) -> bool {
        match self {
            Self::Always => true,
            Self::Call(wanted) => number == *wanted,
            Self::Rate { share, seed } => {
                let hash = ContentHash::of_value(&(seed, number));
                // 52 bits, so that the fraction is exact.
                let drawn = u64::from_str_radix(&hash.0[..13], 16).unwrap_or_default();
                (drawn as f64) / ((1_u64 << 52) as f64) < *share
            }
        }
    }
}

impl Instead {
    /// The message that takes the answer's place; `None` where there is none.
    pub(super) fn message(self, id: &Value) -> Option<String> {
        let error = |code: i64, message: &str, data: Value| {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})
                .to_string()
        };
        let text = |text: String| {
            json!({"jsonrpc": "2.0", "id": id, "result": {
                "content": [{"type": "text", "text": text}], "isError": false, "resultType": "complete"}})
            .to_string()
        };
        Some(match self {
            Self::Error => error(-32603, "the server failed, as it was told to", Value::Null),
            Self::RateLimit => error(
                -32029,
                "too many requests, as it was told to say",
                json!({"retry_after_ms": RETRY_AFTER_SECONDS * 1000}),
            ),
            Self::WrongType => json!({"jsonrpc": "2.0", "id": id, "result": {
                "content": "not a list", "isError": "no", "structuredContent": 7, "resultType": "complete"}})
            .to_string(),
            Self::Malformed => {
                let mut whole = text("this answer is cut off".to_owned());
                whole.truncate(whole.len() / 2);
                whole
            }
            Self::Huge => text("x".repeat(HUGE_BYTES)),
            Self::Nothing | Self::Close => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: &str) -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}})
    }

    fn faults(texts: &[&str]) -> Faults {
        Faults::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn faults_are_read() {
        let fault: Fault = "delay=500ms,tool=get,call=2".parse().unwrap();
        assert_eq!(
            fault,
            Fault {
                kind: FaultKind::Delay(Duration::from_millis(500)),
                tool: Some("get".to_owned()),
                when: When::Call(2)
            }
        );
        for (text, needle) in [
            ("delay", "needs a time"),
            ("delay=5", "no time such as"),
            ("delay=-1s", "no time such as"),
            ("delay=2000000s", "over an hour"),
            ("eror", "did you mean `error`"),
            ("error=1", "takes no value"),
            ("error,call=0", "from 1"),
            ("error,rate=2", "between 0 and 1"),
            ("error,call=1,rate=0.5", "exclude"),
            ("error,seed=1", "needs `rate`"),
            ("error,toll=x", "did you mean `tool`"),
            ("error,first", "not `key=value`"),
        ] {
            let message = text.parse::<Fault>().unwrap_err();
            assert!(message.contains(needle), "{text}: {message}");
        }
        for (kind, _) in KINDS {
            let text = kind.replace("TIME", "1s");
            assert!(text.parse::<Fault>().is_ok(), "{text}");
        }
    }

    #[test]
    fn only_the_calls_selected_are_hurt() {
        let faults = faults(&["error,tool=a,call=2", "timeout,call=4"]);
        let instead = |tool: &str| faults.on_message(&call(tool)).and_then(|harm| harm.instead);
        let seen: Vec<_> = ["a", "b", "a", "b", "a"].map(instead).into();
        assert_eq!(
            seen,
            [
                None,
                None,
                Some(Instead::Error),
                Some(Instead::Nothing),
                None
            ]
        );
        let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        assert_eq!(faults.on_message(&list), None);
    }

    #[test]
    fn a_share_is_drawn_the_same_each_time() {
        let draw = || -> Vec<bool> {
            let faults = faults(&["error,rate=0.3,seed=7"]);
            (0..1000)
                .map(|_| faults.on_message(&call("a")).is_some())
                .collect()
        };
        let first = draw();
        assert_eq!(first, draw());
        let hurt = first.iter().filter(|is_hurt| **is_hurt).count();
        assert!((250..350).contains(&hurt), "{hurt}");
    }

    #[test]
    fn a_banner_without_selection_greets() {
        assert!(faults(&["banner"]).greets());
        assert_eq!(faults(&["banner"]).on_message(&call("a")), None);
        let selected = faults(&["banner,call=1", "delay=1s", "delay=2s"]);
        assert!(!selected.greets());
        let harm = selected.on_message(&call("a")).unwrap();
        assert!(harm.banner && harm.delay == Duration::from_secs(3));
    }

    #[test]
    fn what_is_sent_instead_has_the_fault_and_no_other() {
        let id = json!(7);
        let read = |instead: Instead| serde_json::from_str::<Value>(&instead.message(&id).unwrap());
        assert_eq!(read(Instead::Error).unwrap()["error"]["code"], -32603);
        assert_eq!(read(Instead::RateLimit).unwrap()["id"], 7);
        assert!(read(Instead::WrongType).unwrap()["result"]["content"].is_string());
        assert!(read(Instead::Malformed).is_err());
        let huge = read(Instead::Huge).unwrap();
        let text = huge["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(text.len(), 16 << 20);
        assert_eq!(Instead::Nothing.message(&id), None);
    }
}
