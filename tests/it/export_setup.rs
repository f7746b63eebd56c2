//! A cell as configuration for other programs: what is written is what a run would send.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::endpoint_server::right;
use crate::providers::{Answer, Server, fixture, list};
use crate::support::endpoint_server::{EndpointServer, Reply, Request};
use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE};

const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// A cell, and what its requests have.
type Sent<'a> = (&'a str, &'a dyn Fn(&Value) -> bool);

/// Right once a correction has come.
const CORRECTED_SCRIPT: &str = "name: corrected
replies:
  t-time: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":7}}', '{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']
  t-alarm: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":7}}', '{\"answer\":\"Done.\"}']
  t-thanks: ['{\"answer\":\"You are welcome.\"}']
";

pub(crate) fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("right.yaml", RIGHT_SCRIPT);
    context.write("corrected.yaml", CORRECTED_SCRIPT);
    context
}

fn run(context: &Context, models: &[&str], further: &[&str]) {
    let mut all = vec!["compare"];
    all.extend(models);
    all.extend(["--suite", "tiny.yaml", "--probes", "off", "-q"]);
    all.extend(further);
    let output = context.run(&all);
    let code = output.status.code();
    // A cell in which a server reads no call is undecidable, and on record all the same.
    assert!(
        matches!(code, Some(0 | 3)),
        "{code:?} {}",
        crate::support::stderr(&output)
    );
}

/// The setup as JSON: files by name.
pub(crate) fn exported(context: &Context, further: &[&str]) -> Value {
    let mut all = vec!["export-setup", "latest", "--format", "json", "--for"];
    all.extend(further);
    serde_json::from_str(&context.expect(0, &all)).unwrap()
}

pub(crate) fn file(setup: &Value, name: &str) -> String {
    let files = setup["files"].as_array().unwrap();
    let found = files.iter().find(|file| file["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {setup:#}"));
    found["content"].as_str().unwrap().to_owned()
}

fn json_file(setup: &Value, name: &str) -> Value {
    serde_json::from_str(&file(setup, name)).unwrap()
}

/// A body without what only says how the reply comes.
fn essence(body: &Value) -> Value {
    let mut body = body.clone();
    let fields = body.as_object_mut().unwrap();
    for name in ["stream", "stream_options", "think"] {
        fields.remove(name);
    }
    body
}

/// The first of these bodies that asks this and holds to that.
fn asked<'a>(bodies: &'a [Value], question: &str, with: &dyn Fn(&Value) -> bool) -> &'a Value {
    let asks = |body: &&Value| {
        let messages = body["messages"].as_array();
        let last = messages.and_then(|all| all.last());
        last.is_some_and(|last| {
            last["content"]
                .as_str()
                .unwrap_or_default()
                .contains(question)
        })
    };
    let found = bodies.iter().filter(asks).find(|body| with(body));
    found.unwrap_or_else(|| panic!("nobody asked: {bodies:#?}"))
}

/// Like [`right`], in text where no tools are offered.
fn right_in_both(request: &Request) -> Reply {
    if request.path != "/v1/chat/completions" || request.body.get("tools").is_some() {
        return right(request);
    }
    let messages = request.body["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let last = messages
        .last()
        .map(|last| last["content"].to_string())
        .unwrap_or_default();
    let text = if last.contains("what time") {
        "{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}"
    } else if last.contains("wake me") {
        "{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":7}}"
    } else {
        "{\"answer\":\"Done.\"}"
    };
    Reply::stream(&[
        json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 3}}),
    ])
}

#[test]
fn for_openai_it_is_what_the_run_sent() {
    let server = EndpointServer::start(right_in_both);
    let context = prepared();
    let model = format!("openai:qwen-7b@{}", server.base());
    run(
        &context,
        &[&model],
        &["--dialect", "native,json", "--constraint", "off,grammar"],
    );
    let bodies: Vec<Value> = server
        .to("/v1/chat/completions")
        .into_iter()
        .map(|request| request.body)
        .collect();
    let is_strict = |body: &Value| body["tools"][0]["function"]["strict"] == true;
    let has_tools = |body: &Value| body.get("tools").is_some();
    let cells: [Sent<'_>; 4] = [
        ("native,off", &|body| has_tools(body) && !is_strict(body)),
        ("native,grammar", &is_strict),
        ("json,off", &|body| !has_tools(body)),
        ("json,grammar", &|body| !has_tools(body)),
    ];
    for (cell, with) in cells {
        for (case, question) in [("t-time", "what time"), ("t-alarm", "wake me")] {
            let setup = exported(&context, &["openai", "--cell", cell, "--case", case]);
            let sent = asked(&bodies, question, with);
            assert_eq!(
                essence(&json_file(&setup, "request.json")),
                essence(sent),
                "{cell} {case}"
            );
            assert_eq!(setup["case"], format!("tiny/{case}"));
        }
    }
    // OpenAI's strict mode takes no choice of alternatives as a root: the run went without, and says so.
    let setup = exported(&context, &["openai", "--cell", "json,grammar"]);
    assert!(
        setup["caveats"]
            .to_string()
            .contains("the grammar was not in force"),
        "{setup:#}"
    );
    let strict = exported(&context, &["openai", "--cell", "native,grammar"]);
    assert!(
        !strict["caveats"].to_string().contains("not held"),
        "{strict:#}"
    );
}

/// A cell that was measured otherwise gets what a run over the target's wire sends.
#[test]
fn for_openai_a_cell_of_another_wire_becomes_what_a_run_there_would_send() {
    let server = EndpointServer::start(right_in_both);
    let context = prepared();
    let model = format!("openai:qwen-7b@{}", server.base());
    run(
        &context,
        &["scripted:right.yaml", &model],
        &[
            "--dialect",
            "json,react,fenced",
            "--constraint",
            "off",
            "--max-corrections",
            "0",
        ],
    );
    let bodies: Vec<Value> = server
        .to("/v1/chat/completions")
        .into_iter()
        .map(|request| request.body)
        .collect();
    for (dialect, words) in [
        ("json", "one JSON"),
        ("react", "Action:"),
        ("fenced", "```tool"),
    ] {
        let cell = format!("scripted:right.yaml,{dialect}");
        let setup = exported(
            &context,
            &[
                "openai", "--cell", &cell, "--case", "t-time", "--model", "qwen-7b",
            ],
        );
        let with = |body: &Value| body["messages"][0]["content"].to_string().contains(words);
        let sent = asked(&bodies, "what time", &with);
        assert_eq!(
            essence(&json_file(&setup, "request.json")),
            essence(sent),
            "{dialect}"
        );
        let caveats = setup["caveats"].to_string();
        assert!(caveats.contains("not one of OpenAI's"), "{caveats}");
    }
}

/// An Ollama whose model is in memory once it was asked for.
fn ollama() -> Server {
    let told = fixture("ollama.json");
    let loaded = Mutex::new(false);
    Server::start(move |seen| match seen.path.as_str() {
        "/api/version" => Answer::json(&told["version"]),
        "/api/tags" => Answer::json(&told["tags"]),
        "/api/show" => Answer::json(&told["show"]),
        "/api/ps" if *loaded.lock().unwrap() => Answer::json(&told["ps"]),
        "/api/ps" => Answer::json(&json!({"models": []})),
        "/api/generate" => {
            *loaded.lock().unwrap() = true;
            Answer::json(&told["load"])
        }
        "/api/chat" => Answer::lines(list(&told, "chat_stream")),
        _ => Answer::status(404, &json!({"error": "no such page"})),
    })
}

#[test]
fn for_ollama_it_is_what_the_run_sent_and_the_modelfile_says_the_same() {
    let server = ollama();
    let context = prepared();
    let model = format!("ollama:qwen2.5:0.5b@{}", server.url);
    run(
        &context,
        &[&model],
        &[
            "--dialect",
            "native,json",
            "--constraint",
            "off,grammar",
            "--context",
            "2048",
        ],
    );
    let bodies: Vec<Value> = server
        .seen("/api/chat")
        .into_iter()
        .map(|it| it.body)
        .collect();
    let cells: [Sent<'_>; 3] = [
        ("native,off", &|body| body.get("tools").is_some()),
        ("json,off", &|body| {
            body.get("tools").is_none() && body.get("format").is_none()
        }),
        ("json,grammar", &|body| body.get("format").is_some()),
    ];
    for (cell, with) in cells {
        let setup = exported(
            &context,
            &[
                "ollama",
                "--cell",
                cell,
                "--case",
                "t-time",
                "--model",
                "qwen2.5:0.5b",
            ],
        );
        let request = json_file(&setup, "request.json");
        assert_eq!(
            essence(&request),
            essence(asked(&bodies, "what time", with)),
            "{cell}"
        );
        let modelfile = file(&setup, "Modelfile");
        assert!(modelfile.contains("\nFROM qwen2.5:0.5b\n"), "{modelfile}");
        assert!(
            modelfile.contains("\nPARAMETER num_ctx 2048\n"),
            "{modelfile}"
        );
        assert!(
            modelfile.contains("\nPARAMETER temperature 0.0\n"),
            "{modelfile}"
        );
        let system = request["messages"][0]["content"].as_str().unwrap();
        assert!(modelfile.contains(system), "{modelfile}");
    }
    let json = file(
        &exported(&context, &["ollama", "--cell", "json,off"]),
        "Modelfile",
    );
    assert!(json.contains("\nPARAMETER stop {\"result_of\"\n"), "{json}");
}

/// A llama-server that answers one question.
fn llama(request: &Request) -> Reply {
    match request.path.as_str() {
        "/v1/models" => Reply::json(200, &json!({"data": [{"id": "m"}]})),
        "/props" => Reply::json(
            200,
            &json!({"chat_template": CHATML, "default_generation_settings": {"n_ctx": 4096}}),
        ),
        "/tokenize" => Reply::json(200, &json!({"tokens": []})),
        "/health" => Reply::json(200, &json!({"status": "ok"})),
        "/completion" => Reply::stream(&[json!({
            "content": "{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}", "stop": true,
            "stop_type": "eos", "tokens_predicted": 12, "tokens_evaluated": 90,
        })]),
        _ => Reply::json(404, &json!({"error": {"message": "no such page"}})),
    }
}

#[test]
fn for_llama_server_it_is_the_prompt_that_was_measured() {
    let server = EndpointServer::start(llama);
    let context = prepared();
    let model = format!("llama-server:m@{}", server.base());
    run(
        &context,
        &[&model],
        &[
            "--dialect",
            "json",
            "--constraint",
            "off,grammar",
            "--temperature",
            "0.7",
        ],
    );
    let bodies: Vec<Value> = server
        .to("/completion")
        .into_iter()
        .map(|it| it.body)
        .collect();
    let grammar = |body: &&Value| body.get("grammar").is_some();
    let question = |body: &&Value| body["prompt"].as_str().unwrap().contains("what time");
    let sent = bodies.iter().filter(grammar).find(question).unwrap();
    let setup = exported(
        &context,
        &[
            "llama-server",
            "--cell",
            "json,grammar",
            "--case",
            "t-time",
            "--weights",
            "it's.gguf",
        ],
    );
    let completion = json_file(&setup, "completion.json");
    assert_eq!(essence(&completion), essence(sent));
    assert_eq!(
        file(&setup, "grammar.gbnf"),
        sent["grammar"].as_str().unwrap()
    );
    assert_eq!(file(&setup, "chat-template.jinja"), CHATML);
    // The same over chat: the server fills in the template.
    let chat = json_file(&setup, "request.json");
    assert_eq!(chat["grammar"], sent["grammar"]);
    let system = chat["messages"][0]["content"].as_str().unwrap();
    let user = chat["messages"][1]["content"].as_str().unwrap();
    assert_eq!(
        completion["prompt"],
        format!(
            "<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
        )
    );
    let schema = json_file(&setup, "reply-schema.json");
    assert!(schema["anyOf"].is_array(), "{schema}");
    let start = file(&setup, "start.sh");
    for part in [
        "#!/bin/sh",
        "-m 'it'\\''s.gguf'",
        "--jinja",
        "--chat-template-file",
        "-c 4096",
        "--temp 0.7",
    ] {
        assert!(start.contains(part), "{part}: {start}");
    }
    let recorded = json_file(&setup, "recorded-reply.json");
    assert_eq!(recorded["calls"][0]["name"], "get_time");
    // And as a Modelfile: the template is a plain sequence of messages.
    let ollama = exported(&context, &["ollama", "--cell", "json,grammar"]);
    let modelfile = file(&ollama, "Modelfile");
    assert!(
        modelfile.contains("TEMPLATE \"\"\"{{ range .Messages }}"),
        "{modelfile}"
    );
}

#[test]
fn corrections_come_with_their_place_in_the_conversation() {
    let context = prepared();
    run(
        &context,
        &["scripted:corrected.yaml", "scripted:right.yaml"],
        &["--constraint", "off"],
    );
    let setup = exported(&context, &["openai", "--cell", "scripted:corrected.yaml"]);
    let correction = json_file(&setup, "correction.json");
    assert_eq!(correction["style"], "located");
    assert!(
        correction["template"]
            .as_str()
            .unwrap()
            .contains("{{ violation.code }}")
    );
    let example = &correction["example"];
    let appended = example["append_messages"].as_array().unwrap();
    assert_eq!(appended[0]["role"], "assistant");
    assert_eq!(
        appended[0]["content"],
        "{\"tool\":\"get_time\",\"arguments\":{\"zone\":7}}"
    );
    assert_eq!(appended[1]["role"], "user");
    assert_eq!(appended[1]["content"], example["text"]);
    assert!(
        example["text"].as_str().unwrap().contains("type_mismatch"),
        "{example}"
    );
    // Without a recorded one the example says that it is made up.
    let made = exported(&context, &["openai", "--cell", "scripted:right.yaml"]);
    let made = json_file(&made, "correction.json");
    assert!(
        made["example"]["of"]
            .as_str()
            .unwrap()
            .starts_with("made up"),
        "{made}"
    );
}

#[test]
fn a_winner_is_chosen_only_where_there_is_one() {
    let context = prepared();
    run(
        &context,
        &["scripted:corrected.yaml", "scripted:right.yaml"],
        &["--constraint", "off"],
    );
    let error = context.expect_error(3, &["export-setup", "latest", "--for", "openai"]);
    assert!(error.contains("no winner"), "{error}");
    assert!(
        error.contains("--cell scripted:corrected.yaml,json,off"),
        "{error}"
    );
    let right = ["export-setup", "latest", "--for", "openai", "--cell"];
    let with = |code, more: &[&str]| {
        let mut all = right.to_vec();
        all.extend(more);
        context.expect_error(code, &all)
    };
    let error = with(2, &["scripted:rigth.yaml"]);
    assert!(
        error.contains("did you mean `scripted:right.yaml`"),
        "{error}"
    );
    let error = with(2, &["json"]);
    assert!(error.contains("names several cells"), "{error}");
    let error = with(2, &["scripted:right.yaml", "--case", "t-tim"]);
    assert!(error.contains("did you mean `t-time`"), "{error}");
    let error = context.expect_error(2, &["export-setup", "latest", "--for", "vllm"]);
    assert!(error.contains("ollama"), "{error}");

    // A single cell is the winner; one that always fails loses.
    let single = prepared();
    single.expect(
        0,
        &[
            "run",
            "scripted:right.yaml",
            "--suite",
            "tiny.yaml",
            "--constraint",
            "off",
            "-q",
        ],
    );
    let text = single.expect(0, &["export-setup", "--for", "ollama"]);
    assert!(
        text.starts_with("==> NOTES.md <==\n# scripted:right.yaml · json · off · tiny\n"),
        "{text}"
    );
    assert!(
        text.contains("==> Modelfile <==") && text.contains("success 100.0 %"),
        "{text}"
    );
    single.expect(
        0,
        &[
            "export-setup",
            "--for",
            "llama-server",
            "--out",
            "setup",
            "-q",
        ],
    );
    for name in [
        "NOTES.md",
        "start.sh",
        "recorded-reply.json",
        "completion.json",
    ] {
        assert!(single.path("setup").join(name).is_file(), "{name}");
    }
}
