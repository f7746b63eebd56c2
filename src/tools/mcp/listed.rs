//! Server lists of desktop clients and editors: `{"mcpServers": {NAME: {command, args, env, cwd}}}`.
//!
//! Data in: the text of such a file and the variables it may use. Data out: each server by name, as
//! a command or with the reason why it cannot be used. Invariants: pure; nothing is started;
//! unknown keys are the clients' own and left alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys under which clients keep their lists.
const LISTS: [&str; 2] = ["mcpServers", "servers"];
/// Parts of a variable's name that say that its value is nobody's business.
const SECRET_WORDS: [&str; 7] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "AUTH",
    "CREDENTIAL",
    "COOKIE",
];
/// Shortest value that is taken for a secret whatever its name is.
const SECRET_LENGTH: usize = 8;

/// A server that is started as a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedServer {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables of its own.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub working_directory: Option<String>,
}

impl ListedServer {
    /// Values of its variables that should stand in no file: those with a telling name, and long
    /// ones that are no path and no address.
    pub fn secrets(&self) -> Vec<String> {
        let is_telling = |name: &str| {
            let name = name.to_ascii_uppercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        let is_opaque = |value: &str| {
            value.chars().count() >= SECRET_LENGTH
                && !value.starts_with(['/', '.', '~'])
                && !value.contains("://")
                && !value.contains(":\\")
        };
        self.environment
            .iter()
            .filter(|(name, value)| !value.is_empty() && (is_telling(name) || is_opaque(value)))
            .map(|(_, value)| value.clone())
            .collect()
    }
}

/// The servers of a list; for one that cannot be used the reason.
pub type Listed = Vec<(String, Result<ListedServer, String>)>;

/// Reads a list. `variables` are what `${NAME}`, `${NAME:-default}` and `${env:NAME}` stand for.
pub fn read_list(text: &str, variables: &BTreeMap<String, String>) -> Result<Listed, String> {
    let text = without_comments(text.trim_start_matches('\u{feff}'));
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    let list = LISTS
        .iter()
        .find_map(|key| value.get(key))
        .or_else(|| value.get("mcp")?.get("servers"))
        .and_then(Value::as_object)
        .ok_or_else(|| {
            format!(
                "no list of servers: neither `{}` nor `{}` is an object there",
                LISTS[0], LISTS[1]
            )
        })?;
    Ok(list
        .iter()
        .map(|(name, entry)| (name.clone(), read_entry(entry, variables)))
        .collect())
}

fn read_entry(entry: &Value, variables: &BTreeMap<String, String>) -> Result<ListedServer, String> {
    let Value::Object(entry) = entry else {
        return Err("it is not an object".to_owned());
    };
    let Some(command) = entry.get("command") else {
        return Err(match url_of(entry) {
            Some(url) => format!(
                "it is reached at {url}, which this version does not support yet: only servers that are started as a `command` and speak over stdio are"
            ),
            None => "it has no `command`".to_owned(),
        });
    };
    let text = |key: &str, value: &Value| match value {
        Value::String(text) => expand(text, variables),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(format!("`{key}` holds {value}, which is no text")),
    };
    let arguments = match entry.get("args") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| text("args", item))
            .collect::<Result<_, _>>()?,
        Some(_) => return Err("`args` is no list".to_owned()),
    };
    let environment = match entry.get("env") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(map)) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| Ok((name.clone(), text("env", value)?)))
            .collect::<Result<_, String>>()?,
        Some(_) => return Err("`env` is no object".to_owned()),
    };
    Ok(ListedServer {
        command: text("command", command)?,
        arguments,
        environment,
        working_directory: match entry.get("cwd") {
            None | Some(Value::Null) => None,
            Some(value) => Some(text("cwd", value)?),
        },
    })
}

/// Where a remote server is, without what follows a `?`, which may hold a key.
fn url_of(entry: &Map<String, Value>) -> Option<String> {
    let url = ["url", "serverUrl", "httpUrl"]
        .iter()
        .find_map(|key| entry.get(*key)?.as_str())?;
    Some(url.split('?').next().unwrap_or_default().to_owned())
}

/// Puts variables into a text.
fn expand(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inside, behind)) = after.split_once('}') else {
            break;
        };
        out.push_str(before);
        let inside = inside.strip_prefix("env:").unwrap_or(inside);
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        let is_variable = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match variables.get(name).map(String::as_str).or(default) {
            Some(value) => out.push_str(value),
            None if is_variable => {
                return Err(format!("it uses the variable `{name}`, which is not set"));
            }
            None => {
                return Err(format!(
                    "`${{{inside}}}` is the client's own; write its value instead"
                ));
            }
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Comments as spaces, so that places in messages stay right: some editors allow them in JSON.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = characters.next() {
        match (in_string, c, characters.peek()) {
            (true, '\\', Some(_)) => {
                out.push(c);
                out.extend(characters.next());
            }
            (_, '"', _) => {
                in_string = !in_string;
                out.push(c);
            }
            (false, '/', Some('/')) => {
                out.push(' ');
                while let Some(c) = characters.next_if(|c| *c != '\n') {
                    out.push(if c == '\r' { c } else { ' ' });
                }
            }
            (false, '/', Some('*')) => {
                out.push(' ');
                let mut before = ' ';
                for c in characters.by_ref() {
                    out.push(if c == '\n' { c } else { ' ' });
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Listed {
        let variables = [("HOME", "/home/x"), ("KEY", "k1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        read_list(text, &variables.into()).unwrap()
    }

    #[test]
    fn commands_are_read_from_every_kind_of_list() {
        let text = r#"{"mcpServers": {
            "files": {"command": "npx", "args": ["-y", "server-filesystem", "${HOME}/docs", 3], "env": {"API_KEY": "${env:KEY}", "LEVEL": 2, "NONE": null}, "cwd": "/srv", "disabled": false}}}"#;
        let expected = ListedServer {
            command: "npx".to_owned(),
            arguments: ["-y", "server-filesystem", "/home/x/docs", "3"]
                .map(str::to_owned)
                .into(),
            environment: [("API_KEY", "k1"), ("LEVEL", "2")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            working_directory: Some("/srv".to_owned()),
        };
        assert_eq!(expected.secrets(), ["k1"]);
        assert_eq!(read(text), [("files".to_owned(), Ok(expected))]);
        let editor = "{ // servers of this folder\n \"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"x //y\" /* z */}}}";
        assert_eq!(read(editor)[0].1.as_ref().unwrap().command, "x //y");
        let nested = r#"{"mcp": {"servers": {"a": {"command": "x"}}}}"#;
        assert_eq!(read(nested).len(), 1);
    }

    #[test]
    fn what_cannot_be_used_has_a_reason() {
        let text = r#"{"mcpServers": {
            "far": {"type": "http", "url": "https://example.org/mcp?key=secret"},
            "none": {"args": []},
            "input": {"command": "x", "env": {"A": "${input:token}"}},
            "unset": {"command": "${NOWHERE}"},
            "set": {"command": "${NOWHERE:-default}"},
            "odd": {"command": "x", "args": "y"},
            "list": []}}"#;
        let found = read(text);
        for (index, needle) in [
            (
                0,
                "https://example.org/mcp, which this version does not support yet",
            ),
            (1, "no `command`"),
            (2, "`${input:token}` is the client's own"),
            (3, "the variable `NOWHERE`, which is not set"),
            (5, "`args` is no list"),
            (6, "not an object"),
        ] {
            let reason = found[index].1.as_ref().unwrap_err();
            assert!(reason.contains(needle), "{reason}");
            assert!(!reason.contains("secret"), "{reason}");
        }
        assert_eq!(found[4].1.as_ref().unwrap().command, "default");
    }

    #[test]
    fn files_that_are_no_lists_say_so() {
        for (text, needle) in [
            ("{\n  \"mcpServers\": {,}}", "line 2"),
            ("{}", "neither `mcpServers` nor `servers`"),
            ("[]", "neither"),
            ("{\"mcpServers\": []}", "neither"),
        ] {
            let error = read_list(text, &BTreeMap::new()).unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
    }

    #[test]
    fn secrets_are_told_from_paths() {
        let server = ListedServer {
            environment: [
                ("TOKEN", "abc"),
                ("MEMORY_FILE_PATH", "/tmp/memory.json"),
                ("MODE", "fast"),
                ("OPAQUE", "f83b2c9d01"),
                ("BASE", "https://example.org"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            ..ListedServer::default()
        };
        assert_eq!(server.secrets(), ["f83b2c9d01", "abc"]);
    }
}
