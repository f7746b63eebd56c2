//! `toolbench grammar check`: one schema, its instances, two verdicts each.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::{App, CliError, Status, print, print_json};
use crate::cli::args::{CheckFormat, GrammarCheckArgs, GrammarRoot};
use crate::conformance::{ByteTable, SchemaCheck};
use crate::dialect::closed_schema::Root;

/// One line of the instances, judged.
struct Line {
    number: usize,
    outcome: Result<Judged, String>,
}

struct Judged {
    schema_valid: bool,
    grammar_accepts: bool,
    closed: bool,
}

/// Runs the command.
pub(super) fn check(app: &App, args: &GrammarCheckArgs) -> Result<Status, CliError> {
    let schema = read_schema(&args.schema)?;
    let instances = read_bytes(&args.instances)?;
    let table = ByteTable::new().map_err(CliError::usage)?;
    let root = match args.root {
        GrammarRoot::Value => Root::Value,
        GrammarRoot::Arguments => Root::Arguments,
    };
    let check = SchemaCheck::new(&table, &schema, root);
    let refused = match (&check.validator, &check.grammar) {
        (Err(reason), _) => Some(("validator", reason)),
        (Ok(_), Err(reason)) => Some(("grammar", reason)),
        _ => None,
    };
    if let Some((by, reason)) = refused {
        let line = json!({"line": null, "refused": reason, "by": by});
        match args.format {
            CheckFormat::Jsonl => print(&format!("{line}\n"))?,
            CheckFormat::Json => {
                print_json(&json!({"refused": reason, "by": by, "instances": []}))?;
            }
            CheckFormat::Text => print(&format!("refused by the {by}: {reason}\n"))?,
        }
        app.ui.say(&format!(
            "the {by} refuses the schema: no instance was checked"
        ));
        return Ok(Status::Complete);
    }
    let lines: Vec<Line> = instances
        .split(|byte| *byte == b'\n')
        .enumerate()
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(index, line)| Line {
            number: index + 1,
            outcome: judge(&check, line),
        })
        .collect();
    let loosened: Vec<String> = check.loosened().iter().map(ToString::to_string).collect();
    match args.format {
        CheckFormat::Jsonl => {
            let mut text = String::new();
            for line in &lines {
                text.push_str(&record(line).to_string());
                text.push('\n');
            }
            print(&text)?;
        }
        CheckFormat::Json => {
            let records: Vec<Value> = lines.iter().map(record).collect();
            print_json(&json!({"refused": null, "loosened": loosened, "instances": records}))?;
        }
        CheckFormat::Text => print(&text(&lines))?,
    }
    app.ui.say(&summary(&lines, &loosened));
    Ok(Status::Complete)
}

fn judge(check: &SchemaCheck, line: &[u8]) -> Result<Judged, String> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| format!("not a JSON value: {error}"))?;
    let verdict = check.verdict(&value);
    match (verdict.schema_valid, verdict.grammar_accepts) {
        (Some(schema_valid), Some(grammar_accepts)) => Ok(Judged {
            schema_valid,
            grammar_accepts,
            closed: verdict.closed,
        }),
        _ => Err(verdict.problem.unwrap_or_default()),
    }
}

fn record(line: &Line) -> Value {
    let mut record = Map::from_iter([("line".to_owned(), Value::from(line.number))]);
    match &line.outcome {
        Ok(judged) => {
            record.insert("schema_valid".to_owned(), judged.schema_valid.into());
            record.insert("grammar_accepts".to_owned(), judged.grammar_accepts.into());
            if judged.closed {
                record.insert("closed".to_owned(), true.into());
            }
        }
        Err(error) => {
            record.insert("error".to_owned(), error.as_str().into());
        }
    }
    Value::Object(record)
}

fn text(lines: &[Line]) -> String {
    let mut out = String::from("line  schema   grammar\n");
    for line in lines {
        match &line.outcome {
            Ok(judged) => {
                let valid = if judged.schema_valid {
                    "valid"
                } else {
                    "invalid"
                };
                let taken = match (judged.grammar_accepts, judged.closed) {
                    (true, _) => "takes it",
                    (false, true) => "does not: it closes objects that name no further properties",
                    (false, false) => "does not",
                };
                out.push_str(&format!("{:>4}  {valid:<7}  {taken}\n", line.number));
            }
            Err(error) => out.push_str(&format!("{:>4}  {error}\n", line.number)),
        }
    }
    out
}

fn summary(lines: &[Line], loosened: &[String]) -> String {
    let judged: Vec<&Judged> = lines
        .iter()
        .filter_map(|line| line.outcome.as_ref().ok())
        .collect();
    let count = |test: fn(&Judged) -> bool| judged.iter().filter(|line| test(line)).count();
    let mut text = format!(
        "{} instances: {} valid, {} taken by the grammar",
        judged.len(),
        count(|line| line.schema_valid),
        count(|line| line.grammar_accepts),
    );
    let closed = count(|line| line.closed);
    if closed > 0 {
        text.push_str(&format!(
            "; {closed} valid not taken only because grammars close objects that say nothing of further properties"
        ));
    }
    let broken = lines.len() - judged.len();
    if broken > 0 {
        text.push_str(&format!("; {broken} lines without a verdict"));
    }
    if !loosened.is_empty() {
        text.push_str(&format!(
            "\nnot held by the grammar, checked after decoding: {}",
            loosened.join(", ")
        ));
    }
    text
}

fn read_schema(path: &Path) -> Result<Value, CliError> {
    let bytes = read_bytes(path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        CliError::usage(format!("{}: not a JSON value: {error}", path.display()))
            .kind("schema", Status::Usage)
            .hint("a schema file holds one JSON object (or `true`, `false`)")
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    let read = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(path)
    };
    read.map_err(|error| {
        CliError::usage(format!("cannot read {}: {error}", path.display()))
            .hint("`toolbench grammar check --schema FILE --instances FILE.jsonl`")
    })
}
