//! Lines of a file of recorded outputs.
//!
//! Data in: one line of JSON. Data out: whose output it is and what was called. Three shapes are
//! read: `calls` (a list of `{name, arguments}`), `output` (text, read by the format asked for) and
//! `result` as the leaderboard's own result files have it (text or native calls). Other fields are
//! ignored. Invariants: a line that holds an id always gives a record; what is wrong with its calls
//! is for the verdict to say.

use std::borrow::Cow;

use super::decode::{self, Decoded, Format};
use super::json;
use super::value::{Object, Value};

/// How texts are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The form of calls in a text.
    pub format: Format,
    /// Only what stands in the first `<TOOLCALL>…</TOOLCALL>`.
    pub tagged: bool,
}

/// One recorded output.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The case it answers.
    pub id: Cow<'a, str>,
    /// Its calls.
    pub output: Decoded<'a>,
    /// What was answered in words: the field `answer`, or a text without calls.
    pub answer: Option<Cow<'a, str>>,
}

/// Reads one line. The error says why it is nobody's output.
pub fn read(line: &str, reading: Reading) -> Result<Record<'_>, Cow<'static, str>> {
    let mut object = match json::parse(line) {
        Ok(Value::Object(object)) => object,
        Ok(_) => return Err("the line is not a JSON object".into()),
        Err(error) => return Err(format!("the line is not JSON: {error}").into()),
    };
    let id = match object.take("id") {
        Some(Value::Text(id)) => id,
        Some(_) => return Err("`id` is not a string".into()),
        None => return Err("the line has no `id`".into()),
    };
    let (output, words) = output_of(&mut object, reading);
    let answer = match object.take("answer") {
        Some(Value::Text(answer)) => Some(answer),
        _ => words,
    };
    Ok(Record { id, output, answer })
}

/// The calls of a line, and its text when that holds none.
pub(super) fn output_of<'a>(
    object: &mut Object<'a>,
    reading: Reading,
) -> (Decoded<'a>, Option<Cow<'a, str>>) {
    if let Some(calls) = object.take("calls") {
        return (decode::recorded(calls), None);
    }
    match object.take("output") {
        Some(Value::Text(text)) => return read_text(text, reading),
        Some(other) => return (decode::recorded(other), None),
        None => {}
    }
    match object.take("result") {
        Some(Value::Text(text)) => read_text(text, reading),
        Some(other) => (decode::native(other), None),
        None => (
            Decoded::Malformed("the line has none of `calls`, `output` and `result`".into()),
            None,
        ),
    }
}

fn read_text(text: Cow<'_, str>, reading: Reading) -> (Decoded<'_>, Option<Cow<'_, str>>) {
    let decoded = decode::text(&text, reading.format, reading.tagged);
    let has_calls = matches!(&decoded, Decoded::Calls(calls) if !calls.is_empty());
    (decoded, (!has_calls).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Result<Vec<String>, String> {
        match read(line, Reading::default()).unwrap().output {
            Decoded::Calls(calls) => Ok(calls
                .iter()
                .map(|call| call.name.text().unwrap_or("?").to_owned())
                .collect()),
            Decoded::Failed(reason) => Err(format!("failed: {reason}")),
            Decoded::Malformed(reason) => Err(format!("malformed: {reason}")),
        }
    }

    #[test]
    fn every_shape_of_a_line_is_read() {
        for line in [
            r#"{"id":"a","calls":[{"name":"f.g","arguments":{"x":1}}],"model":"m"}"#,
            r#"{"id":"a","calls":[{"name":"f.g","arguments":"{\"x\": 1}"}]}"#,
            r#"{"id":"a","calls":[{"id":"1","type":"function","function":{"name":"f.g","arguments":"{}"}}]}"#,
            r#"{"id":"a","output":"[f.g(x=1)]"}"#,
            r#"{"id":"a","result":"f.g(x=1)","latency":0.5}"#,
            r#"{"id":"a","result":[{"f.g":"{\"x\": 1}"}]}"#,
        ] {
            assert_eq!(names(line), Ok(vec!["f.g".to_owned()]), "{line}");
        }
        assert_eq!(names(r#"{"id":"a","calls":[]}"#), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_with_the_calls_is_told_apart() {
        for (line, start) in [
            (
                r#"{"id":"a","calls":[{"name":"f","arguments":"{"}]}"#,
                "failed: a call's arguments are not JSON",
            ),
            (
                r#"{"id":"a","calls":[{"name":"f","arguments":"5"}]}"#,
                "malformed: a call's arguments",
            ),
            (
                r#"{"id":"a","calls":[{"name":"f","arguments":[]}]}"#,
                "malformed: a call's arguments",
            ),
            (
                r#"{"id":"a","calls":[{"name":"f"}]}"#,
                "malformed: a call has no arguments",
            ),
            (
                r#"{"id":"a","calls":[{"name":5,"arguments":{}}]}"#,
                "malformed: a call's name",
            ),
            (
                r#"{"id":"a","calls":["f"]}"#,
                "malformed: a call is not an object",
            ),
            (
                r#"{"id":"a","calls":{}}"#,
                "malformed: the calls are not a list",
            ),
            (r#"{"id":"a"}"#, "malformed: the line has none"),
            (
                r#"{"id":"a","result":[5]}"#,
                "failed: a call is not an object",
            ),
            (r#"{"id":"a","result":null}"#, "failed: the result"),
            (r#"{"id":"a","output":"I cannot help."}"#, "failed:"),
        ] {
            let found = names(line).unwrap_err();
            assert!(found.starts_with(start), "{line}: {found}");
        }
    }

    #[test]
    fn a_line_without_an_id_is_nobodys() {
        for line in [
            "",
            "5",
            "{}",
            r#"{"id":5,"calls":[]}"#,
            "{\"id\":\"a\"",
            "[1]",
        ] {
            assert!(read(line, Reading::default()).is_err(), "{line}");
        }
    }

    #[test]
    fn words_without_calls_are_the_answer() {
        let line = r#"{"id":"a","output":"Which city?"}"#;
        let record = read(line, Reading::default()).unwrap();
        assert_eq!(record.answer.as_deref(), Some("Which city?"));
        let line = r#"{"id":"a","calls":[],"answer":"no"}"#;
        let record = read(line, Reading::default()).unwrap();
        assert_eq!(record.answer.as_deref(), Some("no"));
    }
}
