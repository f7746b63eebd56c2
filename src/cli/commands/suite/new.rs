//! `toolbench suite new`: a commented starter, or a draft from the tools of a server.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::super::{App, CliError, Status, print};
use super::drafting;
use crate::authoring::draft::Draft;
use crate::authoring::starter::starter;
use crate::cli::args::NewSuiteArgs;
use crate::config::Resolved;
use crate::suite::{read_text, suite_schema};

/// Name of the schema file beside a suite.
const SCHEMA_FILE: &str = "suite.schema.json";
/// The pool of distractor tools, whose name the checks treat apart.
const RESERVED_NAME: &str = "distractors";

/// Writes a new suite file and the schema beside it; nothing is overwritten.
pub(super) fn new(app: &App, resolved: &Resolved, args: &NewSuiteArgs) -> Result<Status, CliError> {
    check_name(app, resolved, &args.name)?;
    if args.from_mcp != args.server.is_given() {
        return Err(
            CliError::usage("`--from-mcp` and the server that it drafts from go together").hint(
                "for example: toolbench suite new NAME --from-mcp --stdio \"node server.js DIR\"",
            ),
        );
    }
    let folder = match args.dir.to_str() {
        Some(".") => Path::new(""),
        _ => args.dir.as_path(),
    };
    let file = folder.join(format!("{}.yaml", args.name));
    if file.exists() {
        return Err(exists(&file));
    }
    let schema = SchemaFile::look(folder)?;
    let (text, done) = if args.from_mcp {
        let draft = drafting::draft(app, resolved, args)?;
        (draft.text(), drafted(&draft))
    } else {
        (starter(&args.name), String::new())
    };
    let unwritten = check_text(&file, &text)?;
    std::fs::create_dir_all(&args.dir).map_err(|error| not_written(&args.dir, &error))?;
    schema.write()?;
    write_new(&file, &text)?;
    print(&format!(
        "wrote {}\n{done}wrote {} (editors check and complete the suite with it)\nnext: write each prompt marked TODO ({unwritten}), then `toolbench suite check {}`\n",
        file.display(),
        schema.path.display(),
        file.display(),
    ))?;
    Ok(Status::Complete)
}

fn check_name(app: &App, resolved: &Resolved, name: &str) -> Result<(), CliError> {
    let is_name = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_name {
        return Err(CliError::usage(format!(
            "suite name `{name}` must be lower case letters, digits and `-`"
        ))
        .hint("the folder is given by `--dir DIR`, the file is NAME.yaml"));
    }
    let known = app.library(resolved).names();
    if name == RESERVED_NAME || known.contains_key(name) {
        return Err(CliError::usage(format!("there is a suite `{name}` already")).hint(
            "choose another name: records and reports tell suites apart by it; `toolbench suite list` shows what is there",
        ));
    }
    Ok(())
}

/// The number of prompts that are to be written, when nothing else is wrong.
fn check_text(file: &Path, text: &str) -> Result<usize, CliError> {
    let (_, problems) = read_text(&file.display().to_string(), text)?;
    match problems.iter().find(|problem| !problem.unwritten) {
        None => Ok(problems.len()),
        Some(problem) => Err(CliError::usage(format!(
            "the draft is not a sound suite: {}",
            problem.message
        ))
        .hint("report it with the tool's schema (`toolbench suite new` should have left it out)")),
    }
}

/// What was recorded and what was not.
fn drafted(draft: &Draft) -> String {
    use crate::authoring::draft::Reply;
    let mut recorded = 0;
    let mut errors = Vec::new();
    let mut silent = Vec::new();
    for tool in &draft.tools {
        let name = tool.definition.name.as_str();
        let calls = tool.calls.as_deref().unwrap_or_default();
        for call in calls {
            match &call.reply {
                Reply::Recorded { is_error, .. } => {
                    recorded += 1;
                    if *is_error {
                        errors.push(name);
                    }
                }
                Reply::NotCalled(_) | Reply::Failed(_) => silent.push(name),
            }
        }
        if calls.is_empty() {
            silent.push(name);
        }
    }
    errors.dedup();
    silent.dedup();
    let plural = |number: usize| if number == 1 { "" } else { "s" };
    let mut out = format!(
        "recorded {recorded} call{} of {} tool{}\n",
        plural(recorded),
        draft.tools.len(),
        plural(draft.tools.len())
    );
    if !errors.is_empty() {
        out.push_str(&format!(
            "answered made-up arguments with an error: {} (give real ones: --arguments 'TOOL={{…}}')\n",
            errors.join(", ")
        ));
    }
    if !silent.is_empty() {
        out.push_str(&format!(
            "not recorded, a placeholder answers: {} (the file says why)\n",
            silent.join(", ")
        ));
    }
    for (tool, reason) in &draft.left_out {
        out.push_str(&format!("left out {tool}: {reason}\n"));
    }
    out
}

/// The schema beside a suite.
struct SchemaFile {
    path: PathBuf,
    text: String,
    is_there: bool,
}

impl SchemaFile {
    /// Looks at what is there; a file that is not an earlier version of ours is not touched.
    fn look(folder: &Path) -> Result<Self, CliError> {
        let path = folder.join(SCHEMA_FILE);
        let schema = suite_schema();
        let text = format!(
            "{}\n",
            serde_json::to_string_pretty(&schema).unwrap_or_default()
        );
        let is_there = match std::fs::read_to_string(&path) {
            Ok(known) if known == text => true,
            Ok(known) => {
                let known: serde_json::Value = serde_json::from_str(&known).unwrap_or_default();
                if known["title"] != schema["title"] || known["$defs"]["Case"].is_null() {
                    return Err(exists(&path));
                }
                false
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                false
            }
            Err(error) => return Err(not_written(&path, &error)),
        };
        Ok(Self {
            path,
            text,
            is_there,
        })
    }

    fn write(&self) -> Result<(), CliError> {
        if self.is_there {
            return Ok(());
        }
        std::fs::write(&self.path, &self.text).map_err(|error| not_written(&self.path, &error))
    }
}

/// Writes a file that must not be there yet; a half-written one is taken away again.
fn write_new(path: &Path, text: &str) -> Result<(), CliError> {
    let mut file = match std::fs::File::create_new(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(exists(path));
        }
        Err(error) => return Err(not_written(path, &error)),
    };
    file.write_all(text.as_bytes()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        not_written(path, &error)
    })
}

fn exists(path: &Path) -> CliError {
    CliError::usage(format!(
        "{} is there already and is not overwritten",
        path.display()
    ))
    .hint("choose another name or `--dir DIR`")
}

fn not_written(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}: {error}", path.display()))
        .kind("output", Status::NotWritten)
        .hint("choose another folder with `--dir DIR`")
}
