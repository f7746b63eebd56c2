//! A working directory, a cleared environment and the `toolbench` binary for each test.

pub mod endpoint_server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of its own and nothing of the caller's environment.
pub struct Context {
    folder: tempfile::TempDir,
    cache: Option<PathBuf>,
}

impl Context {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            cache: None,
        }
    }

    /// With the folder that holds real models and tool servers, if the caller names one.
    pub fn live() -> Option<Self> {
        let cache = PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE")?);
        Some(Self {
            cache: Some(cache),
            ..Self::new()
        })
    }

    /// Whether the live cache holds this model, by its canonical name.
    pub fn has_model(&self, name: &str) -> bool {
        let list = self.run(&["model", "list", "--cached", "--format", "json"]);
        let parsed: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap_or_default();
        parsed["cached"]
            .as_array()
            .is_some_and(|models| models.iter().any(|model| model["name"] == name))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a written file");
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toolbench"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            // Tests run at the same time, and a sandbox that changes has one user.
            .env("TOOLBENCH_SANDBOX", self.folder.path().join("sandbox"));
        if let Some(cache) = &self.cache {
            command.env("TOOLBENCH_CACHE", cache);
            // A busy machine is slow; these tests are about what models reply.
            command.env("TOOLBENCH_TIMEOUT", "600");
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("toolbench starts")
    }

    /// Runs and expects an exit code; gives standard output.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "toolbench {arguments:?}\nstdout:\n{}\nstderr:\n{}",
            stdout(&output),
            stderr(&output)
        );
        stdout(&output)
    }

    /// Runs, expects an exit code, gives standard error.
    pub fn expect_error(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = stderr(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "toolbench {arguments:?}\n{text}"
        );
        assert!(!text.contains("panicked"), "{text}");
        text
    }

    /// The only run directory below `reports/`.
    pub fn only_run(&self) -> PathBuf {
        let mut runs = self.runs();
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    pub fn runs(&self) -> Vec<PathBuf> {
        let mut runs: Vec<PathBuf> = std::fs::read_dir(self.path("reports"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        runs.sort();
        runs
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Says why a test of real parts does not run; a failure where `TOOLBENCH_TEST_REQUIRE` names the
/// part (`models`, `server`, `browser`), as in CI.
pub fn skip(part: &str, reason: &str) {
    let required = std::env::var("TOOLBENCH_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == part), "{reason}");
    eprintln!("skipped: {reason}");
}

/// Lines of a JSON Lines file.
pub fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// A small suite with a stateful mock, and a scripted model's replies to it.
pub const TINY_SUITE: &str = "suite: tiny
description: a suite for tests
system: You help with clocks.
tools:
  - name: get_time
    description: The time in a zone.
    inputSchema:
      type: object
      properties: {zone: {type: string}, seconds: {type: boolean, default: false}}
      required: [zone]
      additionalProperties: false
  - name: set_alarm
    description: Sets an alarm.
    inputSchema:
      type: object
      properties: {hour: {type: integer, minimum: 0, maximum: 23}}
      required: [hour]
mock:
  state: {alarms: []}
  rules:
    - tool: get_time
      reply: \"It is noon in {{ args.zone }}.\"
    - tool: set_alarm
      reply: {set: \"{{ args.hour | tojson }}\"}
      patch: [{op: add, path: /alarms/-, value: \"{{ args.hour | tojson }}\"}]
cases:
  - {id: t-time, category: simple, why: one call, user: what time is it in UTC?,
     expect: {calls: [{tool: get_time, arguments: {zone: UTC}}]}}
  - {id: t-alarm, category: state, difficulty: medium, why: state, ends: answer, user: wake me at seven,
     expect: {calls: [{tool: set_alarm, arguments: {hour: 7}}], state: {subset: {alarms: [7]}}}}
  - {id: t-thanks, category: small-talk, why: nothing to do, user: thanks!, expect: {no_call: true}}
";

/// A script in which everything is right at once.
pub const RIGHT_SCRIPT: &str = "name: right
replies:
  t-time: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']
  t-alarm: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":7}}', '{\"answer\":\"Done.\"}']
  t-thanks: ['{\"answer\":\"You are welcome.\"}']
";
