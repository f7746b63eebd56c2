//! `toolbench export-setup`: the winner of a run, or a named cell, as configuration for other programs.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::{ReportOptions, export_of};
use super::{App, CliError, Status, print, print_json};
use crate::cli::args::ListFormat;
use crate::cli::outputs::write_file;
use crate::cli::setup_args::ExportSetupArgs;
use crate::cli::store_access::{Store, preset_error};
use crate::metrics::{Row, Summary};
use crate::record::format::CellHeader;
use crate::record::{Run, find_run};
use crate::setup::{ChooseError, Setup, SetupError, SetupTarget, Source, choose, setup};
use crate::store::EndpointWishes;
use crate::types::did_you_mean;
use crate::types::endpoint::Endpoint;

/// Name that a Modelfile's model gets.
const OLLAMA_NAME: &str = "toolbench-setup";

/// Prints or writes a setup.
pub(super) fn export_setup(app: &App, args: &ExportSetupArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&crate::cli::flags::SettingFlags::default())?;
    let settings = app.settings(&resolved)?;
    let run = Run::open(&find_run(&settings.out, &args.run)?)?;
    let export = export_of(&run, false, &ReportOptions::default())?;
    let (header, trials) = (export.header(), export.latest());
    let cell = choose(
        header,
        &trials,
        export.summary(),
        args.cell.as_deref(),
        args.case.as_deref(),
    )
    .map_err(|error| not_chosen(error, &args.run))?;
    let target = args.target.target();
    let store = Store::open(app, &resolved)?;
    let variant = header
        .variants
        .iter()
        .find(|it| it.name == cell.key.variant);
    let content = run.content()?;
    let source = Source {
        header,
        trials: &trials,
        content: &content,
        cell,
        case: args.case.as_deref(),
        endpoint: endpoint(&store, target, &model_name(args, &run, cell), variant)?,
        correction: variant.and_then(|variant| std::fs::read_to_string(&variant.correction).ok()),
        weights: args.weights.clone(),
        measured: measured(export.summary(), cell),
    };
    let setup = setup(&source, target).map_err(|error| not_made(&error))?;
    match (&args.out, args.format) {
        (Some(folder), _) => write(app, folder, &setup)?,
        (None, ListFormat::Json) => print_json(&setup)?,
        (None, ListFormat::Terminal) => print(&bundle(&setup))?,
    }
    Ok(Status::Complete)
}

fn not_chosen(error: ChooseError, run: &str) -> CliError {
    let message = error.to_string();
    let usage = CliError::usage(message);
    match error {
        ChooseError::Undecided { rows, .. } => {
            let example = rows
                .first()
                .map_or("MODEL,DIALECT,CONSTRAINT", String::as_str);
            let listed: Vec<String> = rows.iter().map(|row| format!("`{row}`")).collect();
            usage.kind("undecidable", Status::Undecidable).hint(format!(
                "choose one with `--cell {example}`; to choose among, best first: {}; `toolbench report \
                 {run}` says what more cases would decide",
                listed.join(", ")
            ))
        }
        ChooseError::Ambiguous { rows, .. } => {
            let example = rows.first().cloned().unwrap_or_default();
            usage.hint(format!("say more, for example `--cell {example}`"))
        }
        ChooseError::Unknown { .. } => {
            usage.hint("for example `--cell qwen2.5-coder:0.5b,json,grammar`")
        }
        ChooseError::Empty => usage.hint("`toolbench runs show RUN` says what a run holds"),
    }
}

fn not_made(error: &SetupError) -> CliError {
    let usage = CliError::usage(error.to_string()).kind("record", Status::Usage);
    match error {
        SetupError::NoContent { .. } => usage.hint(
            "run it again with `--retain full`, with `--redact` where needed; the record cannot bring \
             back what it does not hold",
        ),
        SetupError::NoCase { case, known, .. } => {
            let near = did_you_mean(case, known.iter().map(String::as_str));
            usage.hint(near.unwrap_or_else(|| format!("its cases are {}", known.join(", "))))
        }
        SetupError::NoTrial { .. } => usage.hint("choose another cell with `--cell`"),
        SetupError::Incomplete { .. } => {
            usage.hint("is it a whole run directory of this version of toolbench?")
        }
        SetupError::Unsupported(_) => usage.hint("choose another `--for`, or another cell with `--cell`"),
    }
}

/// The name that requests give the model.
fn model_name(args: &ExportSetupArgs, run: &Run, cell: &CellHeader) -> String {
    if let Some(name) = &args.model {
        return name.clone();
    }
    if args.target.target() == SetupTarget::Ollama {
        return OLLAMA_NAME.to_owned();
    }
    let models = run.header.models.iter();
    let found = models.clone().find(|model| model.name == cell.key.model);
    let reported = found.map(|model| model.facts.reported_name.clone());
    reported
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| cell.key.model.clone())
}

/// The preset's endpoint, without any key.
fn endpoint(
    store: &Store,
    target: SetupTarget,
    model: &str,
    variant: Option<&crate::types::Variant>,
) -> Result<Endpoint, CliError> {
    let preset = store
        .presets
        .find(target.as_str())
        .ok_or_else(|| CliError::usage(format!("there is no preset `{}`", target.as_str())))?;
    let context = variant.map_or(4096, |variant| variant.context_tokens);
    preset
        .endpoint(model, &EndpointWishes::default(), context, &BTreeMap::new())
        .map_err(|error| preset_error(&error))
}

/// Success of the cell, and of its row where that holds more suites.
fn measured(summary: &Summary, cell: &CellHeader) -> String {
    let key = &cell.key;
    let is_of_row = |row: &&Row| {
        row.model == key.model
            && row.dialect == key.dialect
            && row.constraint == key.constraint
            && row.variant == key.variant
            && row.tier == key.tier
            && row.settings == key.settings
    };
    let said = |row: &Row| {
        let rate = &row.success;
        match (rate.rate, rate.low, rate.high) {
            (Some(rate), Some(low), Some(high)) => format!(
                "success {:.1} % [{:.1}–{:.1}] of {}",
                100.0 * rate,
                100.0 * low,
                100.0 * high,
                row.success.size_in_words()
            ),
            _ => "no trial could be scored".to_owned(),
        }
    };
    let own = summary.cells.iter().filter(is_of_row);
    let own = own
        .clone()
        .find(|row| row.suite.as_ref() == Some(&key.suite));
    let mut whole = summary.cells.iter().filter(is_of_row).count();
    let total = summary.totals.iter().find(is_of_row);
    let own = own.map_or_else(
        || "not measured".to_owned(),
        |row| {
            whole -= 1;
            format!("{} ({})", said(row), key.suite)
        },
    );
    match total.filter(|_| whole > 0) {
        Some(total) => format!("{own}; over all suites of the run {}", said(total)),
        None => own,
    }
}

/// All files as one text, each under its name.
fn bundle(setup: &Setup) -> String {
    let mut text = String::new();
    for (index, file) in setup.files.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        text.push_str(&format!("{gap}==> {} <==\n{}", file.name, file.content));
        if !file.content.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

fn write(app: &App, folder: &Path, setup: &Setup) -> Result<(), CliError> {
    for file in &setup.files {
        let path = folder.join(&file.name);
        write_file(&path, file.content.as_bytes()).map_err(|error| {
            CliError::usage(format!("cannot write {}: {error}", path.display()))
                .kind("output", Status::NotWritten)
                .hint("choose another folder with `--out DIR`")
        })?;
        app.ui.say(&format!("{}: {}", path.display(), file.purpose));
    }
    for caveat in &setup.caveats {
        app.ui.say(&format!("note: {caveat}"));
    }
    Ok(())
}
