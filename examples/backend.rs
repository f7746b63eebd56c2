//! A backend for `command:target/release/examples/backend`: the one of `backend.py` in Rust (PROTOCOL.md).
use std::io::{BufRead as _, Write as _};

use serde_json::{Value, json};

/// Put your model here. This one repeats the last line of what it is asked.
fn generate(request: &Value) -> Value {
    let messages = request["prompt"]["messages"].as_array();
    let last = messages.and_then(|list| list.last());
    let asked = last
        .and_then(|last| last["content"].as_str())
        .unwrap_or_default();
    let text = json!({"answer": asked.trim().lines().last()}).to_string();
    let usage = json!({"prompt_tokens": asked.split_whitespace().count(), "output_tokens": text.split_whitespace().count()});
    json!({"text": text, "stop_reason": "stop", "constrained": false, "usage": usage, "timing": {}})
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for line in std::io::stdin().lock().lines() {
        let message: Value = serde_json::from_str(&line?)?;
        let id = &message["id"];
        let facts = json!({"reported_name": "echo", "context_tokens": message["settings"]["context_tokens"], "wires": ["chat"],
            "mechanisms": [], "deterministic_when_greedy": true, "engine_build": "echo 1"});
        let answer = match message["op"].as_str() {
            Some("load") => {
                json!({"id": id, "type": "loaded", "protocol": 1, "health": true, "facts": facts})
            }
            Some("generate") => {
                json!({"id": id, "type": "reply", "reply": generate(&message["request"])})
            }
            Some("health") => json!({"id": id, "type": "healthy"}),
            _ => continue,
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}
