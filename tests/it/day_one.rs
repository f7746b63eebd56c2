//! The first day of a user, as the README tells it: every line of its block is run as it stands there.
//!
//! Stand-ins are what a reader has and a test has not: `my-server` is our own mock over standard
//! streams, `$EDITOR` writes the prompts, and the two models answer from scripts under their names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::support::{Context, stderr, stdout};

const BEGIN: &str = "<!-- day one -->";
const END: &str = "<!-- end of day one -->";

/// What a person writes in place of each TODO: the suite of `weather`'s server, case by case.
const PROMPTS: [(&str, &str); 18] = [
    (
        "get-current-weather-call",
        "How is the weather in Porto right now?",
    ),
    (
        "get-current-weather-with-unit",
        "How warm is it in Porto at the moment, in Fahrenheit?",
    ),
    ("get-current-weather-without-city", "Is it raining outside?"),
    (
        "get-current-weather-no-call",
        "Thank you, that was all about today's weather.",
    ),
    (
        "get-forecast-call",
        "What will the next days bring in Porto?",
    ),
    (
        "get-forecast-with-days",
        "I stay four days in Porto: what does the forecast say for them?",
    ),
    (
        "get-forecast-without-city",
        "Will there be snow this week where my sister lives?",
    ),
    (
        "get-forecast-no-call",
        "Why are forecasts of two weeks so often wrong?",
    ),
    (
        "get-alerts-call",
        "Does anything dangerous come up in Porto?",
    ),
    (
        "get-alerts-with-min-severity",
        "Warn me of Porto's storms, but nothing below moderate.",
    ),
    (
        "get-alerts-without-city",
        "Have any warnings been given out for my hometown?",
    ),
    (
        "get-alerts-no-call",
        "What do the colours of weather warnings stand for?",
    ),
    (
        "get-air-quality-call",
        "Can I go running in Porto, or is the air too bad?",
    ),
    (
        "get-air-quality-without-city",
        "How clean is what we breathe here?",
    ),
    (
        "get-air-quality-no-call",
        "Which pollutants does an air quality index count?",
    ),
    (
        "convert-temperature-call",
        "Put 3 degrees Celsius into Celsius, please, through the converter.",
    ),
    (
        "convert-temperature-without-value",
        "Turn my oven's setting from Celsius to Celsius.",
    ),
    ("convert-temperature-no-call", "Who was Anders Celsius?"),
];

/// The commands of the block, comments and continuation lines taken out.
fn block() -> Vec<String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = ["README.md", "recipes/README.md"]
        .iter()
        .filter_map(|name| std::fs::read_to_string(root.join(name)).ok())
        .find(|text| text.contains(BEGIN))
        .expect("a page with the block");
    let inside = page.split(BEGIN).nth(1).unwrap().split(END).next().unwrap();
    let code = inside
        .split("```sh\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let joined = code.replace("\\\n", " ");
    let lines = joined
        .lines()
        .map(|line| line.split("  #").next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// A folder in which the block can be run.
struct Reader {
    context: Context,
}

impl Reader {
    fn new() -> Self {
        let context = Context::new();
        let program = env!("CARGO_BIN_EXE_toolbench");
        for (name, arguments) in [("toolbench", ""), ("my-server", "mcp serve weather")] {
            let path = context.write(
                &format!("bin/{name}"),
                &format!("#!/bin/sh\nexec '{program}' {arguments} \"$@\"\n"),
            );
            assert!(
                Command::new("chmod")
                    .arg("+x")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
        }
        // The models' names stand for scripts, as any alias of a configuration file may.
        context.write(
            "home/.config/toolbench/config.toml",
            &format!(
                "[models]\nsmollm2 = {{ source = \"scripted:{0}/poor.yaml\" }}\n\
                 \"qwen2.5-coder:0.5b\" = {{ source = \"scripted:{0}/good.yaml\" }}\n",
                context.path("home").display()
            ),
        );
        Self { context }
    }

    /// One line as the reader's shell runs it.
    fn shell(&self, line: &str) -> Output {
        let folders = format!(
            "{}:{}",
            self.context.path("bin").display(),
            std::env::var("PATH").unwrap_or_default()
        );
        std::fs::create_dir_all(self.context.path("project")).unwrap();
        self.context
            .command(&[])
            .get_envs()
            .fold(
                &mut Command::new("sh"),
                |command, (name, value)| match value {
                    Some(value) => command.env(name, value),
                    None => command,
                },
            )
            .args(["-c", line])
            .current_dir(self.context.path("project"))
            .env("PATH", folders)
            .env("HOME", self.context.path("home"))
            .output()
            .unwrap()
    }

    /// The editor: every TODO becomes a prompt, and the scripts of the two models follow from it.
    fn edit(&self) {
        let path = self.context.path("project/mine.yaml");
        let mut text = std::fs::read_to_string(&path).unwrap();
        for (case, prompt) in PROMPTS {
            let (before, after) = text.split_once(&format!("- id: {case}\n")).expect(case);
            let (start, rest) = after.split_once("user: ").unwrap();
            let (todo, rest) = rest.split_once('\n').unwrap();
            assert!(todo.contains("TODO"), "{todo}");
            text = format!(
                "{before}- id: {case}\n{start}user: {}\n{rest}",
                json!(prompt)
            );
        }
        std::fs::write(&path, &text).unwrap();
        let suite: Value = serde_saphyr::from_str(&text).unwrap();
        self.script("good", &suite, &[]);
        self.script("poor", &suite, &PROMPTS.map(|(case, _)| case)[..12]);
    }

    /// Writes what a model replies: right, but for the cases in `wrong`.
    fn script(&self, name: &str, suite: &Value, wrong: &[&str]) {
        let mut replies = BTreeMap::new();
        for case in suite["cases"].as_array().unwrap() {
            let id = case["id"].as_str().unwrap();
            let call = &case["expect"]["calls"][0];
            let word = case["expect"]["ask_back"]["any_of"][0]["contains"].as_str();
            let right = match word {
                _ if call.is_object() => {
                    json!({"tool": call["tool"], "arguments": call["arguments"]}).to_string()
                }
                Some(word) => json!({"answer": format!("Which {word} do you mean?")}).to_string(),
                None => json!({"answer": "You are welcome."}).to_string(),
            };
            let reply = if wrong.contains(&id) {
                "no idea"
            } else {
                &right
            };
            // As often as it is corrected.
            replies.insert(id, vec![reply.to_owned(); 3]);
        }
        let text = serde_json::to_string(&json!({"name": name, "replies": replies})).unwrap();
        self.context.write(&format!("home/{name}.yaml"), &text);
    }

    fn suite(&self) -> Value {
        let text = std::fs::read_to_string(self.context.path("project/mine.yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }
}

fn said(line: &str, output: &Output) -> String {
    format!("{line}\n{}{}", stdout(output), stderr(output))
}

#[test]
fn the_first_day_goes_as_the_readme_tells_it() {
    let reader = Reader::new();
    let lines = block();
    for needed in [
        "init",
        "--from-mcp",
        "compare",
        "baseline save",
        "gate",
        "html",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(needed)),
            "no line with {needed}: {lines:#?}"
        );
    }
    let mut log = String::new();
    for line in &lines {
        if line.starts_with("$EDITOR") {
            reader.edit();
            continue;
        }
        let output = reader.shell(line);
        let _ = writeln!(log, "$ {}", said(line, &output));
        assert_eq!(output.status.code(), Some(0), "{log}");
    }
    // What the day leaves behind: to commit, and to open.
    let project = reader.context.path("project");
    assert!(project.join("toolbench.toml").exists() && project.join("suite.schema.json").exists());
    let page = std::fs::read_to_string(project.join("report.html")).unwrap();
    let named = ["</html>", "<dt>suites</dt><dd>mine.yaml</dd>"];
    let lacking: Vec<_> = named.iter().filter(|part| !page.contains(**part)).collect();
    assert!(
        lacking.is_empty(),
        "{lacking:?} of a page of {} bytes",
        page.len()
    );
    let gate = lines
        .iter()
        .find(|line| line.starts_with("toolbench gate"))
        .unwrap();
    assert!(log.contains("better") || log.contains("points"), "{log}");

    // The next day somebody breaks a prompt template: what worked fails, and the gate names the cases.
    reader.script(
        "good",
        &reader.suite(),
        &[
            "get-current-weather-call",
            "get-forecast-call",
            "get-alerts-call",
            "get-air-quality-call",
            "convert-temperature-call",
            "get-forecast-with-days",
            "get-alerts-with-min-severity",
        ],
    );
    let output = reader.shell(gate);
    let text = said(gate, &output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for case in ["get-forecast-call", "get-alerts-call"] {
        assert!(text.contains(case), "{text}");
    }
    // Put right again, it passes again.
    reader.script("good", &reader.suite(), &[]);
    let output = reader.shell(gate);
    assert_eq!(output.status.code(), Some(0), "{}", said(gate, &output));
}
