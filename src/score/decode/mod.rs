//! Recorded outputs to calls, the way BFCL's own decoders read them.
//!
//! Data in: what a model answered, as a list of calls or as text. Data out: [`Decoded`]. Invariants:
//! total; what BFCL's decoder raises on is [`Decoded::Failed`], what it lets pass but is no list of
//! calls is [`Decoded::Malformed`]. [`Format::Auto`] only chooses among the formats.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::json;
use super::python;
use super::value::{Key, Object, Value};

mod xml;

/// One call of an output.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// What is called; not always a string.
    pub name: Key<'a>,
    /// Its arguments.
    pub arguments: Object<'a>,
}

/// An output as far as it could be read.
#[derive(Clone, Debug)]
pub enum Decoded<'a> {
    /// Well-formed calls, perhaps none.
    Calls(Vec<Call<'a>>),
    /// It could not be read at all.
    Failed(Cow<'static, str>),
    /// It was read, but is no list of calls with arguments.
    Malformed(Cow<'static, str>),
}

/// How calls are written in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `[name(key=value)]`.
    #[default]
    Python,
    /// `[{"function": …, "parameters": {…}}]`.
    Json,
    /// Either of the two XML forms, whichever the parameters look like.
    Xml,
    /// `<param name= value= type=/>` inside `<params>`.
    VerboseXml,
    /// `<param name= type=>text</param>`.
    ConciseXml,
    /// Whatever the text looks like.
    Auto,
}

impl Format {
    /// All of them with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Python, "python"),
        (Self::Json, "json"),
        (Self::Xml, "xml"),
        (Self::VerboseXml, "verbose_xml"),
        (Self::ConciseXml, "concise_xml"),
        (Self::Auto, "auto"),
    ];
}

/// Calls recorded as `[{"name": …, "arguments": {…}}]`; arguments may also be a string that holds
/// the JSON of an object, and `function` may hold both, as chat-completion APIs have it.
pub fn recorded(calls: Value<'_>) -> Decoded<'_> {
    let Value::List(items) = calls else {
        return malformed("the calls are not a list");
    };
    let mut read = Vec::with_capacity(items.len());
    let mut wrong = None;
    for item in items {
        match recorded_call(item) {
            Ok(call) => read.push(call),
            Err(Refusal::Failed(reason)) => return Decoded::Failed(reason),
            Err(Refusal::Malformed(reason)) => {
                wrong.get_or_insert(reason);
            }
        }
    }
    match wrong {
        Some(reason) => Decoded::Malformed(reason),
        None => Decoded::Calls(read),
    }
}

/// Why one call is refused.
enum Refusal {
    Failed(Cow<'static, str>),
    Malformed(Cow<'static, str>),
}

fn malformed(reason: &'static str) -> Decoded<'static> {
    Decoded::Malformed(reason.into())
}

fn recorded_call(item: Value<'_>) -> Result<Call<'_>, Refusal> {
    let wrong = |reason: &'static str| Refusal::Malformed(reason.into());
    let Value::Object(mut object) = item else {
        return Err(wrong("a call is not an object"));
    };
    if !object.has("name")
        && let Some(Value::Object(inner)) = object.take("function")
    {
        object = inner;
    }
    let name = match object.take("name") {
        Some(Value::Text(name)) => Key::Text(name),
        Some(_) => return Err(wrong("a call's name is not a string")),
        None => return Err(wrong("a call has no name")),
    };
    match object.take("arguments") {
        Some(Value::Object(arguments)) => Ok(Call { name, arguments }),
        Some(Value::Text(text)) => Ok(Call {
            name,
            arguments: object_in(&text)?,
        }),
        Some(_) => Err(wrong("a call's arguments are not an object")),
        None => Err(wrong("a call has no arguments")),
    }
}

/// The object that a string spells in JSON.
fn object_in<'a>(text: &Cow<'a, str>) -> Result<Object<'a>, Refusal> {
    let parsed = match text {
        Cow::Borrowed(text) => json::parse(text),
        Cow::Owned(text) => json::parse(text).map(Value::into_owned),
    };
    match parsed {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Refusal::Malformed(
            "a call's arguments are not an object".into(),
        )),
        Err(error) => Err(Refusal::Failed(
            format!("a call's arguments are not JSON: {error}").into(),
        )),
    }
}

/// Native calls as BFCL records them: `[{name: arguments}]`, arguments as a string of JSON (or, as
/// some of its handlers write them, an object). Of an item with several keys the first counts.
pub fn native(result: Value<'_>) -> Decoded<'_> {
    let items = match result {
        Value::List(items) => items,
        // Going through an empty string or object, its reader finds no calls.
        Value::Text(text) if text.is_empty() => Vec::new(),
        Value::Object(object) if object.is_empty() => Vec::new(),
        _ => return Decoded::Failed("the result is not a list of calls".into()),
    };
    let mut read = Vec::with_capacity(items.len());
    let mut wrong = None;
    for item in items {
        let Value::Object(object) = item else {
            return Decoded::Failed("a call is not an object".into());
        };
        let Some((name, arguments)) = object.into_entries().into_iter().next() else {
            return Decoded::Failed("a call is empty".into());
        };
        let arguments = match arguments {
            Value::Object(arguments) => Ok(arguments),
            Value::Text(text) => object_in(&text),
            _ => Err(Refusal::Failed(
                "a call's arguments are neither an object nor its JSON".into(),
            )),
        };
        match arguments {
            Ok(arguments) => read.push(Call { name, arguments }),
            Err(Refusal::Failed(reason)) => return Decoded::Failed(reason),
            Err(Refusal::Malformed(reason)) => {
                wrong.get_or_insert(reason);
            }
        }
    }
    match wrong {
        Some(reason) => Decoded::Malformed(reason),
        None => Decoded::Calls(read),
    }
}

/// Calls in a text. With `tagged`, only what stands in the first `<TOOLCALL>…</TOOLCALL>` is read.
pub fn text(raw: &str, format: Format, tagged: bool) -> Decoded<'static> {
    let stripped = raw.trim_matches(['`', '\n', ' ']);
    let mut whole = String::with_capacity(stripped.len() + 2);
    if !stripped.starts_with('[') {
        whole.push('[');
    }
    whole.push_str(stripped);
    if !whole.ends_with(']') {
        whole.push(']');
    }
    let tagged = tagged || format == Format::Auto && in_tag(&whole).is_some();
    let inner = if tagged {
        match in_tag(&whole) {
            Some(inner) => inner,
            None => return Decoded::Failed("there is no <TOOLCALL>…</TOOLCALL>".into()),
        }
    } else {
        &whole
    };
    match format {
        Format::Python => python_calls(inner),
        Format::Json => json_calls(inner),
        Format::Xml => xml::calls(inner, None),
        Format::VerboseXml => xml::calls(inner, Some(true)),
        Format::ConciseXml => xml::calls(inner, Some(false)),
        Format::Auto => guessed(inner),
    }
}

fn in_tag(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("<TOOLCALL>")?;
    let (inner, _) = rest.split_once("</TOOLCALL>")?;
    Some(python::strip(inner))
}

fn guessed(text: &str) -> Decoded<'static> {
    if text.contains("<functions>") {
        return xml::calls(text, None);
    }
    let bracketed;
    let listed = if text.trim_start().starts_with('{') {
        bracketed = format!("[{text}]");
        &bracketed
    } else {
        text
    };
    if let Ok(Value::List(items)) = json::parse(listed)
        && let Some(Value::Object(first)) = items.first()
    {
        return if first.has("parameters") {
            json_calls(listed)
        } else {
            owned(recorded(Value::List(items)))
        };
    }
    python_calls(text)
}

fn owned(decoded: Decoded<'_>) -> Decoded<'static> {
    match decoded {
        Decoded::Failed(reason) => Decoded::Failed(reason),
        Decoded::Malformed(reason) => Decoded::Malformed(reason),
        Decoded::Calls(calls) => Decoded::Calls(
            calls
                .into_iter()
                .map(|call| Call {
                    name: call.name.into_owned(),
                    arguments: call.arguments.into_owned(),
                })
                .collect(),
        ),
    }
}

fn python_calls(text: &str) -> Decoded<'static> {
    match python::calls(text) {
        Ok(calls) => Decoded::Calls(
            calls
                .into_iter()
                .map(|(name, arguments)| Call {
                    name: Key::Text(name.into()),
                    arguments,
                })
                .collect(),
        ),
        Err(error) => Decoded::Failed(error.to_string().into()),
    }
}

/// A list of objects, as BFCL looks for one in a text. White space is Python's.
#[expect(clippy::unwrap_used, reason = "a constant pattern, compiled by a test")]
static LIST_OF_OBJECTS: LazyLock<regex::Regex> = LazyLock::new(|| {
    let space = r"[\s\x1c-\x1f]*";
    let object = format!(r"\{{.*?\}}{space}");
    regex::Regex::new(&format!(r"(?s)\[{space}{object}(?:,{space}{object})*\]")).unwrap()
});

fn json_calls(text: &str) -> Decoded<'static> {
    // From the first opening to the last closing bracket, then the first list of objects in it.
    let outer = match (text.find('['), text.rfind(']')) {
        (Some(start), Some(end)) if start < end => &text[start..=end],
        _ => text,
    };
    let source = LIST_OF_OBJECTS
        .find(outer)
        .map_or(outer, |found| found.as_str());
    let items = match json::parse(source) {
        Ok(Value::List(items)) => items,
        // Python goes through the keys or letters and finds no object among them.
        Ok(Value::Object(_) | Value::Text(_)) => return Decoded::Calls(Vec::new()),
        Ok(_) => return Decoded::Failed("the JSON is neither a list nor an object".into()),
        Err(error) if error.beyond_json => return Decoded::Failed(error.to_string().into()),
        Err(_) => return Decoded::Calls(Vec::new()),
    };
    let mut read = Vec::new();
    let mut wrong = None;
    for item in items {
        let Value::Object(mut object) = item else {
            continue; // passed over there too
        };
        let (name, arguments) = (object.take("function"), object.take("parameters"));
        let (Some(name), Some(arguments)) = (name, arguments) else {
            return Decoded::Failed("a call without `function` or `parameters`".into());
        };
        let Some(name) = Key::from_value(name.into_owned()) else {
            return Decoded::Failed("a call whose name is a list or an object".into());
        };
        match arguments.into_owned() {
            Value::Object(arguments) => read.push(Call { name, arguments }),
            _ => wrong = Some("a call's parameters are not an object"),
        }
    }
    match wrong {
        Some(reason) => malformed(reason),
        None => Decoded::Calls(read),
    }
}

#[cfg(test)]
#[path = "../decode_tests.rs"]
mod tests;
