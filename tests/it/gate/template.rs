//! The acceptance of the gate: a broken prompt template fails it with the right cases named, and an
//! unchanged run does not.

use super::*;

/// A chat model over raw text, as small as can be: it sees what stands between the marks of its
/// template and nothing else. Asked for a time in the user's turn, with the tool offered in the
/// system's, it calls; otherwise it answers in words.
const MODEL: &str = r#"
import json, re, sys

def write(message):
    print(json.dumps(message), flush=True)

def turn(role, text):
    found = re.findall(r"<\|im_start\|>" + role + r"\n(.*?)<\|im_end\|>", text, re.S)
    return found[-1] if found else ""

def generate(request):
    prompt = request["prompt"]["prefix"] + request["prompt"]["rest"]
    asked, offered = turn("user", prompt), prompt
    zone = re.search(r"time in (Z\d\d)\?", asked)
    if zone and "get_time" in offered:
        text = json.dumps({"tool": "get_time", "arguments": {"zone": zone.group(1)}}, separators=(",", ":"))
    else:
        text = '{"answer":"I do not know."}'
    return {"text": text, "stop_reason": "stop", "constrained": False,
            "usage": {"prompt_tokens": 10, "output_tokens": 10}, "timing": {}}

for line in sys.stdin:
    message = json.loads(line)
    answer = {"id": message["id"]}
    if message["op"] == "load":
        facts = {"reported_name": "reader", "context_tokens": 8192, "wires": ["raw_text"], "mechanisms": [],
                 "deterministic_when_greedy": True, "engine_build": "reader 1",
                 "chat_template": open(sys.argv[1]).read(), "bos_token": "", "eos_token": "<|im_end|>"}
        write(answer | {"type": "loaded", "protocol": 1, "facts": facts})
    elif message["op"] == "generate":
        write(answer | {"type": "reply", "reply": generate(message["request"])})
"#;

const GATE: [&str; 11] = [
    "gate",
    "command:python3 model.py template.jinja",
    "--suite",
    "clock.yaml",
    "--constraint",
    "off",
    "--probes",
    "off",
    "--format",
    "json",
    "-q",
];

fn gate(context: &Context, code: i32, further: &[&str]) -> Value {
    let mut all = GATE.to_vec();
    all.extend(further);
    as_verdict(&context.run(&all), code)
}

#[test]
fn a_broken_template_fails_with_the_right_cases_named() {
    let context = Context::new();
    // Six cases that need a call, and one in which nothing is to be called.
    let thanks = "  - {id: c-thanks, category: small-talk, why: nothing to do, user: thanks!, expect: {no_call: true}}\n";
    context.write("clock.yaml", &format!("{}{thanks}", suite(6)));
    context.write("model.py", MODEL);
    let good = include_str!("../../../fixtures/templates/chatml.jinja");
    context.write("template.jinja", good);
    let first = gate(&context, 0, &["--min-success", "100"]);
    assert_eq!(first["cells"][0]["success"], 1.0, "{first}");
    context.expect(0, &["baseline", "save", "latest", "-q"]);

    let same = gate(&context, 0, &[]);
    assert_eq!(same["changes"], Value::Array(Vec::new()), "{same}");

    // The turn of the user is no longer closed where the model expects it.
    let broken = good.replace("turn['content']", "turn['content'] | replace('?', '')");
    assert_ne!(broken, good);
    context.write("template.jinja", &broken);
    let found = gate(&context, 1, &[]);
    let check = checks(&found, "regression")[0];
    assert_eq!(check["status"], "breached");
    let expected: Vec<String> = (1..=6).map(|case| format!("clock/c-{case:02}")).collect();
    assert_eq!(names(check), expected, "all that need a call, and no other");
    assert_eq!(
        check["cases"][0]["codes"],
        serde_json::json!(["missing_call"])
    );
    let what: Vec<&str> = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["what"].as_str().unwrap())
        .collect();
    assert_eq!(what, ["template", "prompts"], "{found}");
    let text = context.expect_error(2, &[&GATE[..8], &["-q", "--strict"]].concat());
    assert!(text.contains("chat template"), "{text}");

    // Mended again, it passes again.
    context.write("template.jinja", good);
    gate(&context, 0, &[]);
}
