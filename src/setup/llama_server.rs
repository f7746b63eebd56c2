//! llama.cpp's server: how to start it, its template and grammar as files, and requests.
//!
//! Data in: [`Parts`]. Data out: files. Invariants: what stands in `completion.json` is the prompt that was
//! measured, byte by byte, where the run sent raw text; the command line says what requests leave open.

use super::parts::Parts;
use super::{SetupError, SetupFile};
use crate::types::{Prompt, WirePreference};

/// `start.sh`, `chat-template.jinja`, `grammar.gbnf`, `reply-schema.json`, `request.json`,
/// `completion.json`: those that there are.
pub(super) fn files(
    parts: &Parts<'_>,
    caveats: &mut Vec<String>,
) -> Result<Vec<SetupFile>, SetupError> {
    let facts = &parts.model.facts;
    let mut files = vec![start(parts)];
    if let Some(template) = &facts.chat_template {
        files.push(SetupFile {
            name: "chat-template.jinja".to_owned(),
            purpose: "the chat template of the weights, as the run had it".to_owned(),
            content: template.clone(),
        });
    }
    let mut grammar = None;
    if parts.is_chat() {
        let chat = parts.chat_request(caveats)?;
        if let Some(schema) = parts.reply_schema(&chat) {
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            files.push(SetupFile {
                name: "reply-schema.json".to_owned(),
                purpose:
                    "the same as a JSON Schema of the whole reply: for `json_schema` in place of \
                          `grammar`"
                        .to_owned(),
                content: format!("{text}\n"),
            });
        }
        files.push(chat.file(
            "request.json",
            "body of `POST /v1/chat/completions`; put your own question in place of the last message",
        ));
        grammar = chat.grammar;
    }
    let raw_wire = facts.chat_template.is_some() || parts.has_no_template();
    if raw_wire && let Ok(raw) = parts.request(WirePreference::Raw, &parts.messages(), caveats) {
        let same = match &raw.request.prompt {
            Prompt::Text { .. } => {
                let stored = serde_json::Value::from(raw.request.prompt.as_stored());
                crate::types::ContentHash::of_value(&stored) == parts.attempt.prompt
            }
            Prompt::Chat { .. } => false,
        };
        let purpose = if same {
            "body of `POST /completion`: the very prompt that was measured, as text"
        } else {
            "body of `POST /completion`: the same conversation as text"
        };
        files.push(raw.file("completion.json", purpose));
        grammar = raw.grammar.or(grammar);
    }
    if let Some(text) = grammar {
        files.push(SetupFile {
            name: "grammar.gbnf".to_owned(),
            purpose: "the grammar of the replies, as the requests hold it".to_owned(),
            content: text,
        });
    }
    Ok(files)
}

/// The command line that serves the cell's model as it was measured.
fn start(parts: &Parts<'_>) -> SetupFile {
    let facts = &parts.model.facts;
    let sampling = &parts.variant.sampling;
    let weights = parts.source.weights.as_deref().unwrap_or("MODEL.gguf");
    let mut lines = Vec::new();
    if parts.source.weights.is_none() {
        lines.push("# Put the path of the weights in place of MODEL.gguf.".to_owned());
        lines.push(format!(
            "# They were: {}",
            parts.model.resolution.replace('\n', " ")
        ));
    }
    if let Some(hash) = &parts.model.weights_sha256 {
        lines.push(format!("# SHA-256 of the weights: {hash}"));
    }
    let mut flags = vec![format!("-m {}", quoted(weights)), "--jinja".to_owned()];
    if facts.chat_template.is_some() {
        flags.push("--chat-template-file \"$(dirname \"$0\")/chat-template.jinja\"".to_owned());
    }
    flags.push(format!("-c {} -np 1", parts.variant.context_tokens));
    flags.push(format!("-n {}", parts.max_tokens()));
    flags.push(format!("--temp {}", sampling.temperature));
    if !sampling.is_greedy() {
        flags.push(format!(
            "--top-p {} --top-k {} --min-p {}",
            sampling.top_p, sampling.top_k, sampling.min_p
        ));
    }
    flags.push(format!("--repeat-penalty {}", sampling.repeat_penalty));
    if let Some(threads) = parts.engine_setting("threads") {
        flags.push(format!("-t {threads}"));
    }
    if let Some(layers) = parts.engine_setting("gpu_layers") {
        flags.push(format!("-ngl {layers}"));
    }
    if let Some(on) = parts.engine_setting("flash_attention") {
        flags.push(format!("-fa {}", if on == "true" { "on" } else { "off" }));
    }
    if let Some(kind) = parts.engine_setting("kv_cache_type") {
        flags.push(format!("--cache-type-k {kind} --cache-type-v {kind}"));
    }
    flags.push("--host \"${HOST:-127.0.0.1}\" --port \"${PORT:-8080}\"".to_owned());
    lines.push(format!(
        "exec \"${{LLAMA_SERVER:-llama-server}}\" \\\n  {}",
        flags.join(" \\\n  ")
    ));
    SetupFile {
        name: "start.sh".to_owned(),
        purpose: "starts the server; LLAMA_SERVER, HOST and PORT name another program and address"
            .to_owned(),
        content: format!("{}\n", lines.join("\n")),
    }
}

/// A word of a shell command.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
