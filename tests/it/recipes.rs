//! The recipes as their users run them: each shell step of the Action, and each script line of the GitLab
//! recipe, is taken from its file and run against a local archive; what cannot be run here (containers,
//! other people's actions) is read and held against what it must name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, stderr, stdout};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(name: &str) -> Value {
    let text = std::fs::read_to_string(root().join(name)).expect(name);
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Only what these tests can run: a shell, tar and the programs of the installer, and the commands that
/// the recipes call.
fn can_run() -> bool {
    can_install()
}

fn can_install() -> bool {
    let can =
        cfg!(all(target_os = "linux", target_arch = "x86_64")) && Path::new("/bin/bash").exists();
    if !can {
        eprintln!("skipped: the installer knows no archive for this machine");
    }
    can
}

/// A folder like a release: an archive whose program is the one under test, and its checksum.
fn release(context: &Context) -> PathBuf {
    let name = format!(
        "toolbench-{}-x86_64-unknown-linux-gnu",
        env!("CARGO_PKG_VERSION")
    );
    let program = format!(
        "#!/bin/sh\nexec '{}' \"$@\"\n",
        env!("CARGO_BIN_EXE_toolbench")
    );
    context.write(&format!("release/{name}/bin/toolbench"), &program);
    context.write(
        &format!("release/{name}/share/doc/toolbench/BUILD"),
        "glibc: 2.2\n",
    );
    let folder = context.path("release");
    let pack = format!(
        "chmod +x {name}/bin/toolbench && tar czf {name}.tar.gz {name} && rm -r {name} && sha256sum *.tar.gz >SHA256SUMS"
    );
    let status = Command::new("bash")
        .args(["-c", &pack])
        .current_dir(&folder)
        .status();
    assert!(status.unwrap().success());
    folder
}

/// What GitHub gives to the steps of a job, in so far as ours ask for it.
struct Runner<'a> {
    context: &'a Context,
    inputs: BTreeMap<String, String>,
    outputs: BTreeMap<String, String>,
}

impl<'a> Runner<'a> {
    fn new(context: &'a Context, action: &Value, given: &[(&str, &str)]) -> Self {
        let declared = action["inputs"].as_object().unwrap();
        let defaults = declared.iter().map(|(name, input)| {
            (
                name.clone(),
                input["default"].as_str().unwrap_or_default().to_owned(),
            )
        });
        let mut inputs: BTreeMap<String, String> = defaults.collect();
        for (name, value) in given {
            assert!(
                inputs
                    .insert((*name).to_owned(), (*value).to_owned())
                    .is_some(),
                "no input {name}"
            );
        }
        for (name, input) in declared {
            assert!(
                input["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10),
                "{name}"
            );
        }
        for folder in ["home", "temp", "project"] {
            std::fs::create_dir_all(context.path(folder)).unwrap();
        }
        Self {
            context,
            inputs,
            outputs: BTreeMap::new(),
        }
    }

    /// One name of an expression.
    fn name(&self, name: &str) -> String {
        let action = root().display().to_string();
        match name {
            "github.action_path" => action,
            "github.action_ref" => "main".to_owned(),
            "github.action_repository" => "someone/toolbench".to_owned(),
            "runner.temp" => self.context.path("temp").display().to_string(),
            _ if name.starts_with('\'') => name.trim_matches('\'').to_owned(),
            _ => match name.split('.').collect::<Vec<_>>().as_slice() {
                ["inputs", input] => self.inputs.get(*input).expect(name).clone(),
                ["steps", ..] => self.outputs.get(name).cloned().unwrap_or_default(),
                other => panic!("no such name in an expression: {other:?}"),
            },
        }
    }

    /// `a || b`, `a == 'b'`, `a != 'b'`, `a && b`, `always()`.
    fn expression(&self, text: &str) -> String {
        let text = text.trim();
        let truth = |holds: bool| {
            if holds {
                "true".to_owned()
            } else {
                String::new()
            }
        };
        if let Some((one, two)) = text.split_once("&&") {
            return truth(!self.expression(one).is_empty() && !self.expression(two).is_empty());
        }
        if let Some((one, two)) = text.split_once("||") {
            let one = self.expression(one);
            return if one.is_empty() {
                self.expression(two)
            } else {
                one
            };
        }
        if let Some((one, two)) = text.split_once("!=") {
            return truth(self.expression(one) != self.expression(two));
        }
        if let Some((one, two)) = text.split_once("==") {
            return truth(self.expression(one) == self.expression(two));
        }
        if text == "always()" {
            truth(true)
        } else {
            self.name(text)
        }
    }

    /// A value with its `${{ … }}` filled in.
    fn filled(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (inside, behind) = after.split_once("}}").expect("a closed expression");
            out.push_str(before);
            out.push_str(&self.expression(inside));
            rest = behind;
        }
        out + rest
    }

    /// Runs a step's script as GitHub does; its outputs are kept.
    fn run(&mut self, step: &Value) -> Output {
        let script = step["run"].as_str().unwrap();
        let output_file = self.context.write("github/output", "");
        let path_file = self.context.path("github/path");
        let mut command = Command::new("bash");
        let added = std::fs::read_to_string(&path_file).unwrap_or_default();
        let folders: Vec<&str> = added.lines().rev().collect();
        command
            .args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .env_clear()
            .env(
                "PATH",
                format!("{}:{}", folders.join(":"), std::env::var("PATH").unwrap()),
            )
            .env("HOME", self.context.path("home"))
            .env("RUNNER_TEMP", self.context.path("temp"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_OUTPUT", &output_file)
            .env("GITHUB_PATH", &path_file)
            .env("GITHUB_STEP_SUMMARY", self.context.path("github/summary"))
            .current_dir(
                self.context.path("project").join(
                    step["working-directory"]
                        .as_str()
                        .map_or(String::new(), |text| self.filled(text)),
                ),
            );
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, self.filled(value.as_str().unwrap()));
        }
        let output = command.output().unwrap();
        for line in std::fs::read_to_string(&output_file).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            let id = step["id"].as_str().expect("a step with outputs has an id");
            self.outputs
                .insert(format!("steps.{id}.outputs.{name}"), value.to_owned());
        }
        output
    }

    /// All steps; the first script that fails ends it, but for steps that say `always()`.
    fn job(&mut self, action: &Value) -> (i32, String) {
        let mut log = String::new();
        let mut ended = 0;
        for step in action["runs"]["steps"].as_array().unwrap() {
            let condition = step["if"].as_str().unwrap_or("'true'");
            if (ended != 0 && !condition.contains("always()"))
                || self.expression(condition).is_empty()
            {
                continue;
            }
            if step["run"].is_string() {
                let output = self.run(step);
                log.push_str(&format!(
                    "== {}\n{}{}",
                    step["name"],
                    stdout(&output),
                    stderr(&output)
                ));
                if !output.status.success() {
                    ended = output.status.code().unwrap_or(-1);
                }
            } else if step["uses"]
                .as_str()
                .unwrap()
                .starts_with("actions/upload-artifact")
            {
                let path = self.filled(step["with"]["path"].as_str().unwrap());
                assert!(
                    Path::new(&path).exists(),
                    "nothing to upload at {path}\n{log}"
                );
            }
        }
        (ended, log)
    }
}

#[test]
fn the_action_takes_expressions_only_where_they_cannot_become_code() {
    let action = yaml("action.yml");
    for step in action["runs"]["steps"].as_array().unwrap() {
        assert!(step["name"].is_string(), "{step}");
        let Some(script) = step["run"].as_str() else {
            let uses = step["uses"].as_str().unwrap();
            assert!(
                uses.starts_with("actions/") && uses.contains("@v"),
                "{uses}"
            );
            continue;
        };
        assert!(
            !script.contains("${{"),
            "an expression in a script runs as code: {script}"
        );
        assert_eq!(step["shell"], "bash");
    }
}

/// A project with a suite, a good baseline of it, and a model that is right.
fn project(context: &Context) -> PathBuf {
    let folder = context.path("project");
    context.write("project/suites/tiny.yaml", TINY_SUITE);
    context.write("project/right.yaml", RIGHT_SCRIPT);
    folder
}

#[test]
fn the_steps_of_the_action_do_what_they_say() {
    if !can_run() {
        return;
    }
    let context = Context::new();
    let archives = release(&context);
    let action = yaml("action.yml");
    project(&context);
    let given = [
        ("models", "scripted:right.yaml"),
        ("suite", "suites/tiny.yaml"),
        (
            "args",
            "--dialect json --constraint off --min-success 100 --point-estimate",
        ),
        ("archives", archives.to_str().unwrap()),
    ];
    let mut runner = Runner::new(&context, &action, &given);
    let (code, log) = runner.job(&action);
    assert_eq!(code, 0, "{log}");
    assert_eq!(
        runner.outputs["steps.gate.outputs.verdict"], "pass",
        "{log}"
    );
    assert_eq!(
        runner.outputs["steps.weights.outputs.key"],
        "toolbench-gguf-scripted_right.yaml"
    );
    let folder = context.path("temp/toolbench-gate");
    for name in [
        "gate.json",
        "gate.md",
        "report.md",
        "report.xml",
        "report.html",
        "run/header.json",
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(!text.is_empty(), "{name} is empty\n{log}");
    }
    let summary = std::fs::read_to_string(context.path("github/summary")).unwrap();
    assert!(!summary.is_empty());

    // Too few data: a warning unless it is to fail.
    let few = [
        given[0],
        given[1],
        (
            "args",
            "--dialect json --constraint off --min-success 90 --temperature 0.7",
        ),
        given[3],
    ];
    for (asked, code) in [(None, 0), (Some("fail"), 3), (Some(""), 3)] {
        let asked = asked.map(|value| ("on-undecided", value));
        let given: Vec<(&str, &str)> = few.into_iter().chain(asked).collect();
        let mut runner = Runner::new(&context, &action, &given);
        let (ended, log) = runner.job(&action);
        assert_eq!(ended, code, "{asked:?}\n{log}");
        assert!(log.contains("::warning"), "{log}");
    }

    // A failing gate fails the job, after its reports were kept.
    context.write("project/right.yaml", "name: right\nreplies:\n  t-time: [nope, nope, nope]\n  t-alarm: [nope, nope, nope]\n  t-thanks: ['{\"answer\":\"bye\"}']\n");
    let mut runner = Runner::new(&context, &action, &given);
    let (code, log) = runner.job(&action);
    assert_eq!(code, 1, "{log}");
    assert_eq!(runner.outputs["steps.gate.outputs.verdict"], "fail");
    assert!(log.contains("::error"), "no annotation\n{log}");
    assert!(folder.join("report.html").exists() && folder.join("report.xml").exists());

    // A mistake is no verdict.
    let given = [&given[..1], &[("suite", "nosuch"), given[3]]].concat();
    let mut runner = Runner::new(&context, &action, &given);
    let (code, log) = runner.job(&action);
    assert_eq!(code, 2, "{log}");
    assert_eq!(runner.outputs["steps.gate.outputs.verdict"], "");
    assert!(log.contains("without a verdict"), "{log}");
}

#[test]
fn weights_are_cached_under_the_hash_of_the_catalogue_and_checked_when_restored() {
    if !can_install() {
        return;
    }
    let context = Context::new();
    let archives = release(&context);
    let action = yaml("action.yml");
    let given = [
        ("models", "smollm2 ./own.gguf"),
        ("archives", archives.to_str().unwrap()),
    ];
    let mut runner = Runner::new(&context, &action, &given);
    let steps = action["runs"]["steps"].as_array().unwrap();
    let step = |id: &str| steps.iter().find(|step| step["id"] == id).expect(id);
    assert!(runner.run(step("install")).status.success());
    assert!(runner.run(step("weights")).status.success());
    assert_eq!(
        runner.outputs["steps.weights.outputs.key"],
        "toolbench-gguf-b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53-._own.gguf"
    );
    // A restored file that is not what it says is removed before anything uses it.
    let path = context.write(
        "home/.cache/toolbench/models/mine.gguf",
        "GGUF, tampered with",
    );
    context.write(
        "home/.cache/toolbench/models/mine.json",
        "{\"sha256\": \"00\"}",
    );
    runner
        .inputs
        .insert("models".to_owned(), "./own.gguf".to_owned());
    let output = runner.run(step("pull"));
    assert!(
        output.status.success() && !path.exists(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(stdout(&output).contains("::warning::"));
}

#[test]
fn the_gitlab_job_ends_as_its_gate_does() {
    if !can_run() {
        return;
    }
    let context = Context::new();
    let archives = release(&context);
    let recipe = yaml("recipes/gitlab-ci.yml");
    let folder = project(&context);
    let job = &recipe["tool calling"];
    let lines = |key: &str| -> Vec<String> {
        let lines = job[key].as_array().unwrap().iter();
        lines
            .map(|line| line.as_str().unwrap().to_owned())
            .collect()
    };
    // What needs a network or a container of its own is left out: apt, and where the installer is from.
    let local = |line: &String| !line.starts_with("apt-get") && !line.starts_with("curl");
    let script: Vec<String> = [lines("before_script"), lines("script")]
        .concat()
        .into_iter()
        .filter(local)
        .collect();
    std::fs::copy(root().join("scripts/install.sh"), folder.join("install.sh")).unwrap();
    let run = || {
        let mut command = Command::new("bash");
        command
            .args(["-e", "-c", &script.join("\n")])
            .current_dir(&folder)
            .env_clear();
        for (name, value) in recipe["variables"].as_object().unwrap() {
            command.env(name, value.as_str().unwrap());
        }
        command
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", context.path("home"))
            .env("CI_PROJECT_DIR", &folder)
            .env("TOOLBENCH_INSTALL_ARCHIVES", &archives)
            .env("GATE_MODELS", "scripted:right.yaml")
            .env("GATE_SUITE", "suites/tiny.yaml")
            .env(
                "GATE_ARGUMENTS",
                "--dialect json --constraint off --min-success 100 --point-estimate",
            );
        // The installer takes the only version that the folder has.
        command.env("TOOLBENCH_INSTALL_VERSION", env!("CARGO_PKG_VERSION"));
        command.output().unwrap()
    };
    let output = run();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    for name in ["gate/gate.md", "gate/junit.xml", "gate/report.html"] {
        assert!(folder.join(name).metadata().unwrap().len() > 0, "{name}");
    }
    context.write("project/right.yaml", "name: right\nreplies:\n  t-time: [nope, nope, nope]\n  t-alarm: [nope, nope, nope]\n  t-thanks: ['{\"answer\":\"bye\"}']\n");
    assert_eq!(run().status.code(), Some(1));
    let kept = job["artifacts"]["reports"]["junit"].as_str().unwrap();
    assert!(folder.join(kept).exists());
}

#[test]
fn the_compose_file_names_what_toolbench_takes() {
    let context = Context::new();
    let compose = yaml("recipes/compose.yaml");
    let words = |service: &str| -> Vec<String> {
        let command = compose["services"][service]["command"].as_array().unwrap();
        let filled = |text: &str| text.replace("${MODEL:-qwen2.5:0.5b}", "qwen2.5:0.5b");
        command
            .iter()
            .map(|word| filled(word.as_str().unwrap()))
            .collect()
    };
    // Each container is named where another one looks for it.
    let run = words("toolbench");
    assert!(
        run.iter()
            .any(|word| word.ends_with("@http://ollama:11434")),
        "{run:?}"
    );
    assert!(run.contains(&"http://tools:8080/mcp".to_owned()), "{run:?}");
    // The command is one that toolbench takes: nothing but the missing servers stops it.
    let local: Vec<String> = run
        .iter()
        .map(|word| {
            word.replace("ollama:11434", "127.0.0.1:9")
                .replace("tools:8080", "127.0.0.1:9")
        })
        .collect();
    let arguments: Vec<&str> = local.iter().map(String::as_str).collect();
    let error = context.expect_error(2, &arguments);
    assert!(error.contains("no Ollama answers"), "{error}");
    let serve = words("tools");
    assert_eq!(serve[..3], ["mcp", "serve", "weather"]);
    assert!(serve.contains(&"0.0.0.0:8080".to_owned()));
}

#[test]
fn the_page_states_what_so_many_cases_find() {
    let page = std::fs::read_to_string(root().join("recipes/README.md")).unwrap();
    let mut rows = 0;
    for line in page.lines() {
        let cells: Vec<f64> = line
            .split('|')
            .filter_map(|cell| cell.trim().parse().ok())
            .collect();
        let [cases, one_in_ten, one_in_five] = cells[..] else {
            continue;
        };
        for (stated, discordance) in [(one_in_ten, 0.1), (one_in_five, 0.2)] {
            let found =
                toolbench::metrics::power::detectable_discordant(cases as u64, discordance, 0.05);
            assert!(
                (found.unwrap() * 100.0 - stated).abs() < 0.051,
                "{line}: {found:?}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 5);
}
