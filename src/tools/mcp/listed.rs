//! Server lists of desktop clients and editors: `{"mcpServers": {NAME: {command, args, env, cwd}}}`
//! and its relatives.
//!
//! Data in: the text of such a file and what its placeholders may stand for. Data out: each server
//! by name, as an address with headers, or with the reason why it cannot be used. Invariants: pure;
//! nothing is started; unknown keys are the clients' own and left alone; no message holds a value
//! of `env` or `headers`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::types::host::{HostAddress, without_secrets};
use crate::types::secret::Secret;

/// Keys under which clients keep their lists.
const LISTS: [&str; 3] = ["mcpServers", "servers", "context_servers"];
/// Keys under which an address stands.
const ADDRESSES: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
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

/// A server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedServer {
    /// Where it is.
    pub address: HostAddress,
    /// What is sent along with every request.
    pub headers: Vec<(String, Secret)>,
    /// The client has it switched off.
    pub is_disabled: bool,
}

impl ListedServer {
    /// Values of its variables and headers that should stand in no file: those with a telling name,
    /// and long ones that are no path and no address.
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
        let environment = match &self.address {
            HostAddress::Stdio { environment, .. } => Some(environment),
            _ => None,
        };
        environment
            .into_iter()
            .flatten()
            .map(|(name, value)| (name, value.reveal()))
            .chain(
                self.headers
                    .iter()
                    .map(|(name, value)| (name, value.reveal())),
            )
            .filter(|(name, value)| !value.is_empty() && (is_telling(name) || is_opaque(value)))
            .map(|(_, value)| value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
            .collect()
    }
}

/// The servers of a list; for one that cannot be used the reason.
pub type Listed = Vec<(String, Result<ListedServer, String>)>;

/// What placeholders may stand for.
#[derive(Clone, Debug, Default)]
pub struct Placeholders {
    /// `${NAME}`, `${NAME:-default}`, `${env:NAME}`.
    pub variables: BTreeMap<String, String>,
    /// `${workspaceFolder}` and `${cwd}`.
    pub directory: String,
}

/// Reads a list.
pub fn read_list(text: &str, placeholders: &Placeholders) -> Result<Listed, String> {
    let text = without_comments(text.trim_start_matches('\u{feff}'));
    let value: Value = serde_json::from_str(&text).map_err(|error| format!("not JSON: {error}"))?;
    let nested = value.get("mcp");
    let list = LISTS
        .iter()
        .find_map(|key| value.get(key))
        .or_else(|| nested?.get("servers"))
        .or(nested)
        .and_then(Value::as_object)
        .ok_or_else(|| {
            format!(
                "no list of servers: neither `{}` nor `{}` is an object there",
                LISTS[0], LISTS[1]
            )
        })?;
    let inputs = value
        .get("inputs")
        .or_else(|| nested?.get("inputs"))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|input| {
            let default = input["default"].as_str().map(str::to_owned);
            Some((input["id"].as_str()?.to_owned(), default))
        })
        .collect();
    let reader = Reader {
        placeholders,
        inputs,
    };
    Ok(list
        .iter()
        .map(|(name, entry)| (name.clone(), reader.entry(entry)))
        .collect())
}

struct Reader<'a> {
    placeholders: &'a Placeholders,
    /// What the editor asks its user, with the answer it suggests.
    inputs: BTreeMap<String, Option<String>>,
}

impl Reader<'_> {
    fn entry(&self, entry: &Value) -> Result<ListedServer, String> {
        let Value::Object(entry) = entry else {
            return Err("it is not an object".to_owned());
        };
        let url = ADDRESSES.iter().find_map(|key| entry.get(*key)?.as_str());
        let kind = ["type", "transport"]
            .iter()
            .find_map(|key| entry.get(*key)?.as_str());
        let address = match (entry.get("command"), url) {
            (Some(command), _) => self.program(command, entry)?,
            (None, Some(url)) => remote(kind, self.expand(url)?)?,
            (None, None) => {
                return Err("it has neither a `command` nor a `url`".to_owned());
            }
        };
        let headers = self
            .texts(entry, "headers")?
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect();
        let flag = |key: &str| entry.get(key).and_then(Value::as_bool);
        Ok(ListedServer {
            address,
            headers,
            is_disabled: flag("disabled") == Some(true) || flag("enabled") == Some(false),
        })
    }

    /// `"command": "x", "args": […]`; some clients write the whole command as a list, or as an
    /// object with a `path`.
    fn program(&self, command: &Value, entry: &Map<String, Value>) -> Result<HostAddress, String> {
        let mut words = match command {
            Value::Array(words) => words
                .iter()
                .map(|word| self.text("command", word))
                .collect::<Result<Vec<_>, _>>()?,
            Value::Object(inner) => {
                let path = inner.get("path").unwrap_or(&Value::Null);
                let mut words = vec![self.text("path", path)?];
                words.extend(self.arguments(inner.get("args"))?);
                words
            }
            Value::String(_) | Value::Null => vec![self.text("command", command)?],
            _ => {
                return Err(
                    "its `command` is no text; write the program's name or path in quotes"
                        .to_owned(),
                );
            }
        };
        words.extend(self.arguments(entry.get("args"))?);
        if words.first().is_none_or(String::is_empty) {
            return Err("its `command` is empty".to_owned());
        }
        let mut environment = self.texts(entry, "env")?;
        if let Value::Object(inner) = command {
            environment.extend(self.texts(inner, "env")?);
        }
        let working_directory = match entry.get("cwd") {
            None | Some(Value::Null) => None,
            Some(value) => Some(PathBuf::from(self.text("cwd", value)?)),
        };
        Ok(HostAddress::Stdio {
            command: words.remove(0),
            arguments: words,
            environment: environment
                .into_iter()
                .map(|(name, value)| (name, Secret::new(value)))
                .collect(),
            working_directory,
        })
    }

    fn arguments(&self, value: Option<&Value>) -> Result<Vec<String>, String> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(|item| self.text("args", item)).collect(),
            Some(_) => Err("`args` is no list".to_owned()),
        }
    }

    /// An object of texts, such as `env`.
    fn texts(
        &self,
        entry: &Map<String, Value>,
        key: &str,
    ) -> Result<Vec<(String, String)>, String> {
        match entry.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Object(map)) => map
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| Ok((name.clone(), self.text(key, value)?)))
                .collect(),
            Some(_) => Err(format!("`{key}` is no object")),
        }
    }

    fn text(&self, key: &str, value: &Value) -> Result<String, String> {
        match value {
            Value::String(text) => self.expand(text),
            Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
            Value::Null => Err(format!("`{key}` is missing")),
            _ => Err(format!("`{key}` holds something that is no text")),
        }
    }

    /// Puts values into a text's placeholders.
    fn expand(&self, text: &str) -> Result<String, String> {
        // Some clients take a bare `$NAME` where it is the whole value.
        if let Some(name) = text.strip_prefix('$')
            && is_variable(name)
        {
            return self.variable(name, None);
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((inside, behind)) = after.split_once('}') else {
                break;
            };
            out.push_str(before);
            out.push_str(&self.placeholder(inside)?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn placeholder(&self, inside: &str) -> Result<String, String> {
        if let Some(id) = inside.strip_prefix("input:") {
            return self.input(id);
        }
        match inside {
            "workspaceFolder" | "cwd" => return Ok(self.placeholders.directory.clone()),
            "userHome" => return self.variable("HOME", None),
            "pathSeparator" | "/" => return Ok(std::path::MAIN_SEPARATOR.to_string()),
            _ => {}
        }
        let inside = inside.strip_prefix("env:").unwrap_or(inside);
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable(name) && !self.placeholders.variables.contains_key(name) {
            return default.map(str::to_owned).ok_or_else(|| {
                format!("`${{{inside}}}` is the client's own; write its value instead")
            });
        }
        self.variable(name, default)
    }

    /// What the editor would ask a person: a variable of that name, else the suggested answer.
    fn input(&self, id: &str) -> Result<String, String> {
        let variable: String = id
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
                _ => '_',
            })
            .collect();
        let given = self.placeholders.variables.get(&variable).cloned();
        given
            .or_else(|| self.inputs.get(id).cloned().flatten())
            .ok_or_else(|| {
                format!(
                    "its editor asks a person for `${{input:{id}}}`; set the variable `{variable}`"
                )
            })
    }

    fn variable(&self, name: &str, default: Option<&str>) -> Result<String, String> {
        self.placeholders
            .variables
            .get(name)
            .map(String::as_str)
            .or(default)
            .map(str::to_owned)
            .ok_or_else(|| format!("it uses the variable `{name}`, which is not set"))
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A server elsewhere. A list that says `sse` is tried as streamable HTTP: most such servers speak
/// both by now, and one that does not is told apart when it is reached.
fn remote(kind: Option<&str>, url: String) -> Result<HostAddress, String> {
    let scheme = url.split("://").next().unwrap_or_default();
    match (scheme, kind) {
        ("ws" | "wss", _) => Ok(HostAddress::WebSocket { url }),
        ("http" | "https", Some("ws" | "websocket")) => Ok(HostAddress::WebSocket {
            url: url.replacen("http", "ws", 1),
        }),
        ("http" | "https", _) => Ok(HostAddress::Http { url }),
        _ => Err(format!(
            "its address is neither http(s) nor ws(s): {}",
            without_secrets(&url)
        )),
    }
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
    without_trailing_commas(&out)
}

/// A comma before the end of an object or list as a space.
fn without_trailing_commas(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match (in_string, c) {
            (true, '\\') => {
                out.push(c);
                out.extend(characters.next().map(|(_, escaped)| escaped));
            }
            (_, '"') => {
                in_string = !in_string;
                out.push(c);
            }
            (false, ',')
                if text[at + 1..].trim_start().starts_with(['}', ']'])
                    && !out.trim_end().ends_with(['{', '[', ',']) =>
            {
                out.push(' ');
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
#[path = "listed_tests.rs"]
mod tests;
