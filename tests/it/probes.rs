//! Probes in a run: what they show of cut prompts, what they count for, what is said of them.

use serde_json::{Value, json};

use crate::support::endpoint_server::{EndpointServer, Reply, Request};
use crate::support::{Context, TINY_SUITE, json_lines, stderr, stdout};

/// Tokens that the server of [`cutting`] cuts to.
const CAP: usize = 1_300;

/// Tokens of a request's messages, at 4 characters each.
fn tokens(request: &Request) -> usize {
    let messages = request.body["messages"].as_array().cloned();
    let text = |message: &Value| message["content"].as_str().unwrap_or_default().len();
    20 + messages.unwrap_or_default().iter().map(text).sum::<usize>() / 4
}

fn words(prompt_tokens: usize) -> Reply {
    Reply::stream(&[
        json!({"choices": [{"index": 0, "delta": {"content": "hello"}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": 3}}),
    ])
}

/// A server that says hello to everything and cuts prompts to `cap` tokens.
fn server(cap: usize) -> EndpointServer {
    EndpointServer::start(move |request| match request.path.as_str() {
        "/v1/models" => Reply::json(200, &json!({"data": [{"id": "m"}]})),
        _ => words(tokens(request).min(cap)),
    })
}

fn chats(server: &EndpointServer) -> u64 {
    server.to("/v1/chat/completions").len() as u64
}

/// A project with the model `m` of this server, which costs 1 for a million tokens.
fn project(server: &EndpointServer) -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let price =
        "[prices.m]\ninput = 1.0\noutput = 1.0\ndocument = \"a test\"\ndate = \"2026-11-20\"\n";
    context.write(
        "toolbench.toml",
        &format!(
            "[models.m]\nsource = \"vllm:m\"\nbase-url = \"{}\"\nretries = 0\n{price}",
            server.base()
        ),
    );
    context
}

fn run<'a>(further: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "m", "--suite", "tiny.yaml", "--dialect", "native"];
    all.extend(["--constraint", "off"]);
    all.extend(further);
    all
}

fn header(context: &Context) -> Value {
    let path = context.only_run().join("header.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn report(context: &Context) -> Value {
    let output = context.run(&["report", "--format", "json"]);
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// Text of about so many tokens, as [`tokens`] counts.
fn long(tokens: usize) -> String {
    "word ".repeat(tokens * 4 / 5)
}

#[test]
fn a_prompt_that_was_cut_to_the_cap_is_never_the_models_failure() {
    let server = server(CAP);
    let context = project(&server);
    let (tools, _) = TINY_SUITE.split_once("cases:").unwrap();
    let case = |id: &str, length: usize| {
        let text = long(length);
        format!(
            "  - {{id: {id}, category: length, why: length, user: 'what time is it in UTC? {text}',\n     expect: {{calls: [{{tool: get_time, arguments: {{zone: UTC}}}}]}}}}\n"
        )
    };
    let cases = [case("cut", 2_330), case("whole", 600)].concat();
    context.write("tiny.yaml", &format!("{tools}cases:\n{cases}"));
    let output = context.run(&run(&["-q"]));
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    let outcome = |id: &str| {
        let trial = trials.iter().find(|trial| trial["case"] == id);
        trial.unwrap_or_else(|| panic!("{}", stderr(&output)))["outcome"].clone()
    };
    assert_eq!(outcome("cut")["code"], "prompt_truncated");
    assert_eq!(outcome("cut")["kind"], "void");
    assert_eq!(outcome("whole")["code"], "missing_call");
    assert_eq!(outcome("whole")["kind"], "failed");
    let truncation = &header(&context)["probes"][0]["results"];
    let truncation = truncation.as_array().unwrap().iter();
    let truncation = truncation.filter(|it| it["probe"] == "truncation");
    let truncation: Vec<&Value> = truncation.collect();
    assert_eq!(truncation[0]["verdict"], "violated");
    assert_eq!(truncation[0]["cap"], CAP);
    // What could not be told stands in the report with its reason.
    let text = context.run(&["report"]);
    let text = stdout(&text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(text.contains("parser (the model made no call"), "{text}");
}

#[test]
fn probes_are_counted_once_in_record_cost_and_limits() {
    let server = server(100_000);
    let context = project(&server);
    context.run(&run(&["-q", "--probes", "on"]));
    let taken = header(&context)["probes"][0]["taken"].clone();
    let lines = json_lines(&context.only_run().join("trials.jsonl"));
    let attempts = || {
        lines
            .iter()
            .flat_map(|trial| trial["attempts"].as_array().unwrap())
    };
    let in_trials = attempts().count() as u64;
    assert_eq!(
        taken["requests"].as_u64().unwrap() + in_trials,
        chats(&server)
    );
    let tokens = |usage: &Value| {
        usage["prompt_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    };
    let of_trials: u64 = attempts().map(|attempt| tokens(&attempt["usage"])).sum();
    let all: usize = server
        .to("/v1/chat/completions")
        .iter()
        .map(self::tokens)
        .sum();
    assert_eq!(tokens(&taken) + of_trials, all as u64 + 3 * chats(&server));
    let cost = report(&context)["header"]["cost"].clone();
    let amount = |value: &Value| value["amount"].as_f64().unwrap();
    let expected = (tokens(&taken) + of_trials) as f64 / 1e6;
    assert!((amount(&cost) - expected).abs() < 1e-12, "{cost}");
    assert!((amount(&cost["probes"]) - tokens(&taken) as f64 / 1e6).abs() < 1e-12);
    let text = stdout(&context.run(&["report"]));
    let line = format!(
        "probes: {} requests, {} tokens",
        taken["requests"],
        tokens(&taken)
    );
    assert!(text.contains(&line), "{line}: {text}");
}

#[test]
fn probes_that_could_pass_a_limit_are_left_out_and_a_resumed_run_recalls_its_own() {
    let small = server(100_000);
    let context = project(&small);
    let output = context.run(&run(&["--limit-requests", "5"]));
    let text = stderr(&output);
    assert!(text.contains("the probes are left out"), "{text}");
    assert!(chats(&small) <= 5, "{}: {text}", chats(&small));
    assert_eq!(header(&context)["probes"], Value::Null);

    let enough = server(100_000);
    let context = project(&enough);
    // Enough for the probes, and for no trial at its worst.
    context.run(&run(&["-q", "--limit-requests", "20"]));
    let probed = chats(&enough);
    assert!((10..=20).contains(&probed), "{probed}");
    assert_eq!(header(&context)["probes"][0]["taken"]["requests"], probed);
    let reason = report(&context)["ended_early"][0]["reason"].to_string();
    assert!(
        reason.contains(&format!("{probed} of --limit-requests 20")),
        "{reason}"
    );
    // Going on, they are neither sent nor forgotten.
    context.run(&["run", "--resume", "latest", "-q", "--limit-requests", "20"]);
    assert_eq!(chats(&enough), probed);
    context.run(&[
        "run",
        "--resume",
        "latest",
        "-q",
        "--limit-requests",
        "1000",
    ]);
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    let attempts = trials
        .iter()
        .map(|trial| trial["attempts"].as_array().unwrap().len());
    assert_eq!(chats(&enough), probed + attempts.sum::<usize>() as u64);
}

#[test]
fn the_command_keeps_to_limits_and_is_undecided_without_an_answer() {
    let server = server(100_000);
    let context = project(&server);
    let probe = ["probe", "m", "--dialect", "native", "--constraint", "off"];
    for limit in [["--limit-requests", "5"], ["--budget", "0.001"]] {
        let output = context.run(&[&probe[..], &limit].concat());
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("left out"), "{}", stderr(&output));
        assert_eq!(chats(&server), 0);
    }
    let text = context.expect(0, &probe);
    assert!(
        text.contains(&format!("took {} requests", chats(&server))),
        "{text}"
    );

    let broken = EndpointServer::start(|request| match request.path.as_str() {
        "/v1/models" => Reply::json(200, &json!({"data": [{"id": "m"}]})),
        _ => Reply::json(500, &json!({"error": {"message": "no"}})),
    });
    let output = project(&broken).run(&probe);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing is known of the server"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_dry_run_counts_the_probes_and_names_the_address() {
    let server = server(100_000);
    let context = project(&server);
    let with = context.run(&run(&["--dry-run", "--format", "json"]));
    assert!(stderr(&with).contains(&server.base()), "{}", stderr(&with));
    let without = context.run(&run(&["--dry-run", "--format", "json", "--probes", "off"]));
    let json = |output| -> Value { serde_json::from_str(&stdout(output)).unwrap() };
    let (with, without) = (json(&with), json(&without));
    for kind in ["typical", "worst"] {
        for number in ["requests", "prompt_tokens", "output_tokens"] {
            let of = |value: &Value| value[kind][number].as_u64().unwrap();
            let probes = of(&with["probes"]);
            assert!(probes > 0, "{with}");
            assert_eq!(of(&with["estimate"]), of(&without["estimate"]) + probes);
        }
    }
    let cost = |value: &Value| value["estimate"]["cost"][0]["worst"].as_f64().unwrap();
    assert!(cost(&with) > cost(&without));
    let text = context.expect(0, &run(&["--dry-run"]));
    assert!(
        text.contains("Probes before the first trial are counted"),
        "{text}"
    );
    assert_eq!(chats(&server), 0);
}
