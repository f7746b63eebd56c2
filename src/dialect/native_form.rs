//! How a chat template writes a tool call, read off the template's own output.
//!
//! Data in: renderings of a call with sentinel name and arguments. Data out: the form's pieces,
//! from which the native dialect's grammar, strict reading and few-shot examples follow.
//! Invariants: nothing is decided by a model's name; a template whose calls cannot be read back
//! this way (XML parameters, say) has no form, and native is unsupported on it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::python_json;

/// The pieces of a call: `opener head NAME middle ARGUMENTS tail (gap head …)* closer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NativeForm {
    /// Text before the first call, `<tool_call>\n`; blank when calls are bare JSON.
    pub opener: String,
    /// From the call's start to the name: `{"name": "`.
    pub head: String,
    /// From the name to the arguments: `", "arguments": `.
    pub middle: String,
    /// From the arguments to the call's end: `}`.
    pub tail: String,
    /// Text between two calls of one reply; `None` when the template takes one call only.
    pub gap: Option<String>,
    /// Text after the last call: `\n</tool_call>`.
    pub closer: String,
    /// What a call is.
    pub layout: Layout,
    /// Arguments are printed with `, ` and `: `.
    pub spaced: bool,
    /// What opens a call in free text; `{` when calls are bare.
    pub text_opener: String,
}

/// What one call is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// A JSON object with the name and the arguments under these keys.
    Object {
        /// Key of the name.
        name_key: String,
        /// Key of the arguments.
        arguments_key: String,
        /// All calls of a reply stand in one JSON array.
        list: bool,
    },
    /// The name in a tag, the arguments as a JSON object after it: `<function=NAME>{…}</function>`.
    Tagged,
}

/// Name of the sentinel tool in probes.
pub(super) const SENTINEL_TOOL: &str = "sentinel_tool_a";
/// Name of the second sentinel tool.
pub(super) const SECOND_TOOL: &str = "sentinel_tool_b";

/// Arguments of the sentinel calls.
pub(super) fn sentinel_arguments() -> Value {
    serde_json::json!({"sentinel_key": "sentinel_value", "sentinel_number": 7})
}

/// Renderings that a form is read off.
pub(super) struct Renderings<'a> {
    /// The prompt up to where the model goes on.
    pub prompt: &'a str,
    /// The conversation with one call, without generation prompt.
    pub one_call: &'a str,
    /// The same with two calls, if the template takes them.
    pub two_calls: Option<&'a str>,
    /// The same with a plain reply that is this text.
    pub plain: (&'a str, &'a str),
}

impl Default for NativeForm {
    /// The Hermes form, where a form is needed and no template gives one.
    fn default() -> Self {
        Self {
            opener: "<tool_call>\n".to_owned(),
            head: "{\"name\": \"".to_owned(),
            middle: "\", \"arguments\": ".to_owned(),
            tail: "}".to_owned(),
            gap: Some("\n</tool_call>\n<tool_call>\n".to_owned()),
            closer: "\n</tool_call>".to_owned(),
            layout: Layout::Object {
                name_key: "name".to_owned(),
                arguments_key: "arguments".to_owned(),
                list: false,
            },
            spaced: true,
            text_opener: "<tool_call>".to_owned(),
        }
    }
}

impl NativeForm {
    /// Calls are bare JSON, without an opener of their own.
    pub fn is_bare(&self) -> bool {
        self.opener.trim().is_empty()
    }

    /// The pieces by the names that `grammars/native.yaml` uses.
    pub(super) fn variables(&self) -> [(&'static str, &str); 7] {
        [
            ("text_opener", &self.text_opener),
            ("opener", &self.opener),
            ("head", &self.head),
            ("middle", &self.middle),
            ("tail", &self.tail),
            ("gap", self.gap.as_deref().unwrap_or_default()),
            ("closer", &self.closer),
        ]
    }

    /// Calls written in this form. More than one call in a form that takes one are written one
    /// after the other.
    pub fn write(&self, calls: &[crate::types::ToolCall]) -> String {
        let bodies: Vec<String> = calls
            .iter()
            .map(|call| {
                let name = self.name_text(&call.name);
                let arguments = self.arguments_text(&call.arguments);
                format!("{}{name}{}{arguments}{}", self.head, self.middle, self.tail)
            })
            .collect();
        let gap = self.gap.as_deref().unwrap_or("\n");
        format!("{}{}{}", self.opener, bodies.join(gap), self.closer)
    }

    /// A tool's name as it stands in the form: escaped where that is a JSON string.
    pub(super) fn name_text(&self, name: &str) -> String {
        let quoted = python_json::json_string(name);
        if matches!(self.layout, Layout::Object { .. }) {
            quoted[1..quoted.len() - 1].to_owned()
        } else {
            name.to_owned()
        }
    }

    fn arguments_text(&self, arguments: &Value) -> String {
        if self.spaced {
            python_json::python_text(arguments)
        } else {
            arguments.to_string()
        }
    }

    /// The form behind these renderings, if it is one that can be read back.
    pub(super) fn detect(renderings: &Renderings<'_>) -> Option<Self> {
        let one = renderings.one_call;
        let start = reply_start(renderings);
        let name_at = start + one.get(start..)?.find(SENTINEL_TOOL)?;
        let name_end = name_at + SENTINEL_TOOL.len();
        let arguments_at = name_end + one[name_end..].find('{')?;
        let arguments_end =
            arguments_at + object_length(&one[arguments_at..], &sentinel_arguments())?;
        let spaced = one[arguments_at..arguments_end].contains("\": ");
        let (call_at, call_end, layout) = enclosing_object(one, start, name_at).unwrap_or((
            name_at,
            arguments_end,
            Layout::Tagged,
        ));
        let opener = one[start..call_at].to_owned();
        let closer = without_end(&one[call_end..], renderings.plain);
        let list = opener.trim_end().ends_with('[') && closer.trim_start().starts_with(']');
        let layout = match layout {
            Layout::Object {
                name_key,
                arguments_key,
                ..
            } => Layout::Object {
                name_key,
                arguments_key,
                list,
            },
            Layout::Tagged if opener.trim().is_empty() => return None,
            Layout::Tagged => Layout::Tagged,
        };
        let text_opener = match opener.trim().trim_end_matches('[').trim_end() {
            "" if list => "[".to_owned(),
            "" => "{".to_owned(),
            text => text.to_owned(),
        };
        let is_object = matches!(layout, Layout::Object { .. });
        Some(Self {
            gap: renderings.two_calls.and_then(|two| gap(two, start)),
            opener,
            head: one[call_at..name_at].to_owned(),
            middle: one[name_end..arguments_at].to_owned(),
            // Further keys after the arguments (an id, say) are the template's, not the model's.
            tail: if is_object { "}" } else { "" }.to_owned(),
            closer,
            layout,
            spaced,
            text_opener,
        })
    }
}

/// Where the model's own text starts in the rendering with one call.
fn reply_start(renderings: &Renderings<'_>) -> usize {
    let one = renderings.one_call;
    let trimmed = renderings.prompt.trim_end();
    if one.starts_with(renderings.prompt) {
        renderings.prompt.len()
    } else if one.starts_with(trimmed) {
        trimmed.len()
    } else {
        let (plain, text) = renderings.plain;
        let header = &plain[..plain.find(text).unwrap_or(0)];
        common_prefix(one, header)
    }
}

/// Length of the common prefix, on a character boundary.
fn common_prefix(a: &str, b: &str) -> usize {
    a.char_indices()
        .zip(b.chars())
        .find(|((_, left), right)| left != right)
        .map_or_else(|| a.len().min(b.len()), |((index, _), _)| index)
}

/// Length of the JSON value at the start of `text`, if it is `expected`.
fn object_length(text: &str, expected: &Value) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = stream.next()?.ok()?;
    (value == *expected).then(|| stream.byte_offset())
}

/// The JSON object that holds the name and the arguments, with its keys.
fn enclosing_object(text: &str, start: usize, name_at: usize) -> Option<(usize, usize, Layout)> {
    let at = start + text[start..name_at].rfind('{')?;
    let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
    let Value::Object(map) = stream.next()?.ok()? else {
        return None;
    };
    let key_of = |wanted: &Value| {
        map.iter()
            .find(|(_, value)| *value == wanted)
            .map(|(key, _)| key.clone())
    };
    let layout = Layout::Object {
        name_key: key_of(&Value::from(SENTINEL_TOOL))?,
        arguments_key: key_of(&sentinel_arguments())?,
        list: false,
    };
    Some((at, at + stream.byte_offset(), layout))
}

/// What follows a call, without what ends every reply.
fn without_end(rest: &str, (plain, text): (&str, &str)) -> String {
    let end = plain.find(text).map_or("", |at| &plain[at + text.len()..]);
    let trimmed_end = end.trim();
    if let Some(closer) = rest.strip_suffix(end) {
        closer.to_owned()
    } else if let Some(at) = rest.rfind(trimmed_end).filter(|_| !trimmed_end.is_empty()) {
        rest[..at].to_owned()
    } else {
        rest.trim_end().to_owned()
    }
}

/// The text between two calls.
fn gap(two: &str, start: usize) -> Option<String> {
    let first_at = start + two.get(start..)?.find(SENTINEL_TOOL)?;
    let second_at = first_at + two[first_at..].find(SECOND_TOOL)?;
    let (_, first_end) = call_span(two, start, first_at)?;
    let (second_start, _) = call_span(two, first_end, second_at)?;
    Some(two.get(first_end..second_start)?.to_owned())
}

/// Start and end of the call whose name is at `name_at`. For a tagged call, from the name to the
/// end of its arguments.
fn call_span(text: &str, start: usize, name_at: usize) -> Option<(usize, usize)> {
    let brace = text[start..name_at].rfind('{').map(|at| start + at);
    let object = brace.and_then(|at| {
        let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        stream.next()?.ok()?;
        let end = at + stream.byte_offset();
        (end > name_at).then_some((at, end))
    });
    object.or_else(|| {
        let at = name_at + text[name_at..].find('{')?;
        Some((
            name_at,
            at + object_length(&text[at..], &sentinel_arguments())?,
        ))
    })
}
