//! Ollama: a Modelfile and a request of its own protocol.
//!
//! Data in: [`Parts`]. Data out: files. Invariants: parameters are those of the request; what a Modelfile
//! has no way to write (a template that is no plain sequence of messages, a text that holds three quotes)
//! is left out and named. The form follows Ollama's documents
//! (<https://github.com/ollama/ollama/blob/main/docs/modelfile.md>, as of 20 November 2026), and was not
//! tried on an Ollama here.

use serde_json::Value;

use super::parts::{Parts, Written};
use super::{SetupError, SetupFile, go_template};
use crate::types::{DialectName, WirePreference};

/// Parameters that a Modelfile takes; a seed is a trial's and no model's.
const PARAMETERS: [&str; 8] = [
    "num_ctx",
    "num_predict",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repeat_penalty",
    "stop",
];

/// `Modelfile`, and `request.json` or, for weights without a template, `completion.json`.
pub(super) fn files(
    parts: &Parts<'_>,
    caveats: &mut Vec<String>,
) -> Result<Vec<SetupFile>, SetupError> {
    let bare = parts.has_no_template();
    let written = if bare {
        parts.request(WirePreference::Raw, &parts.messages(), caveats)?
    } else {
        parts.chat_request(caveats)?
    };
    let (name, purpose) = if bare {
        ("completion.json", "body of `POST /api/generate`")
    } else {
        (
            "request.json",
            "body of `POST /api/chat`; put your own question in place of the last message",
        )
    };
    let mut files = vec![modelfile(parts, &written, caveats)];
    if let Some(template) = &parts.model.facts.chat_template {
        files.push(SetupFile {
            name: "chat-template.jinja".to_owned(),
            purpose:
                "the chat template of the weights, as the run had it; Ollama reads another language"
                    .to_owned(),
            content: template.clone(),
        });
    }
    files.push(written.file(name, purpose));
    Ok(files)
}

fn modelfile(parts: &Parts<'_>, written: &Written, caveats: &mut Vec<String>) -> SetupFile {
    let mut lines = vec![from(parts)];
    let messages = written.body["messages"].as_array();
    let system = messages
        .and_then(|all| all.first())
        .filter(|first| first["role"] == "system")
        .and_then(|first| first["content"].as_str());
    lines.extend(template(parts, system.is_some(), caveats));
    if let Some(system) = system {
        match quoted(system) {
            Some(text) => lines.push(format!("SYSTEM {text}")),
            None => caveats.push(
                "the system prompt cannot be quoted in a Modelfile; it stands in the request"
                    .to_owned(),
            ),
        }
    }
    for name in PARAMETERS {
        match &written.body["options"][name] {
            Value::Null => {}
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                for text in texts {
                    match quoted(text) {
                        Some(text) => lines.push(format!("PARAMETER {name} {text}")),
                        None => caveats.push(format!(
                            "a stop text cannot be quoted in a Modelfile; it stands in the request: {}",
                            Value::from(text)
                        )),
                    }
                }
            }
            value => lines.push(format!("PARAMETER {name} {value}")),
        }
    }
    for (name, parameter) in [("threads", "num_thread"), ("gpu_layers", "num_gpu")] {
        if let Some(value) = parts.engine_setting(name) {
            lines.push(format!("PARAMETER {parameter} {value}"));
        }
    }
    SetupFile {
        name: "Modelfile".to_owned(),
        purpose: "for `ollama create`: weights, template, system prompt, context and sampler"
            .to_owned(),
        content: format!("{}\n", lines.join("\n")),
    }
}

/// The weights, or the model that an Ollama served.
fn from(parts: &Parts<'_>) -> String {
    if let Some(weights) = &parts.source.weights {
        return format!("FROM {weights}");
    }
    if parts.model.facts.provider == "ollama" {
        return format!("FROM {}", parts.model.facts.reported_name);
    }
    let hash = parts.model.weights_sha256.as_ref();
    let hash = hash.map_or_else(String::new, |hash| {
        format!("\n# SHA-256 of the weights: {hash}")
    });
    format!(
        "# Put the path of the weights in place of MODEL.gguf.\n# They were: {}{hash}\nFROM ./MODEL.gguf",
        parts.model.resolution.replace('\n', " ")
    )
}

/// `TEMPLATE …`, where the weights' own can be expressed so.
fn template(parts: &Parts<'_>, with_system: bool, caveats: &mut Vec<String>) -> Option<String> {
    let facts = &parts.model.facts;
    facts.chat_template.as_ref()?;
    let native = parts.dialect.name() == DialectName::Native;
    let expressed = go_template::expressed(facts, with_system).filter(|_| !native);
    let quoted = expressed.and_then(|text| quoted(&text));
    if quoted.is_none() {
        let why = if native {
            "it shows tools, which a Go template writes in a form of its own"
        } else {
            "it is more than a sequence of messages"
        };
        caveats.push(format!(
            "the chat template is not written as TEMPLATE ({why}): Ollama takes the one that it knows \
             for these weights; compare `ollama show --template` with chat-template.jinja"
        ));
    }
    quoted.map(|text| format!("TEMPLATE {text}"))
}

/// A value as a Modelfile reads it: bare where one line says it, else in three quotes.
fn quoted(text: &str) -> Option<String> {
    let bare = !text.is_empty()
        && text.trim() == text
        && !text.starts_with('"')
        && !text.contains(['\n', '\r']);
    if bare {
        return Some(text.to_owned());
    }
    let clean = !text.contains("\"\"\"") && !text.ends_with('"');
    clean.then(|| format!("\"\"\"{text}\"\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_a_modelfile_reads_them() {
        for (text, expected) in [
            ("{\"result_of\"", Some("{\"result_of\"")),
            ("two\nlines", Some("\"\"\"two\nlines\"\"\"")),
            (" padded", Some("\"\"\" padded\"\"\"")),
            ("\nUser:", Some("\"\"\"\nUser:\"\"\"")),
            ("\"quoted\"", None),
            ("a\n\"\"\"", None),
        ] {
            assert_eq!(quoted(text).as_deref(), expected, "{text:?}");
        }
    }
}
