//! `toolbench init`: a commented toolbench.toml from what this machine has.

use super::{App, CliError, Status};
use crate::cli::context::PROJECT_FILE;
use crate::cli::flags::SettingFlags;
use crate::cli::servers;
use crate::cli::store_access::Store;
use crate::config::{GATE_KEYS, KEYS, Kind, short_name};

/// Writes the file; never over an existing one without `--force`.
pub(super) fn init(app: &App, force: bool) -> Result<Status, CliError> {
    let path = app.env.directory.join(PROJECT_FILE);
    if path.exists() && !force {
        return Err(CliError::usage(format!("{PROJECT_FILE} exists already"))
            .hint("`toolbench init --force` overwrites it"));
    }
    let text = contents(app)?;
    std::fs::write(&path, text).map_err(|error| {
        CliError::usage(format!("cannot write {}: {error}", path.display()))
            .kind("output", Status::NotWritten)
    })?;
    app.ui.say(&format!(
        "wrote {PROJECT_FILE}; `toolbench config show` prints what is in force\n\
         next: toolbench doctor, then toolbench suite new NAME --from-mcp --stdio \"COMMAND\" for a suite of your own"
    ));
    Ok(Status::Complete)
}

fn contents(app: &App) -> Result<String, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    let store = Store::open(app, &resolved)?;
    let mut out = String::from(
        "# toolbench.toml: settings of this project. Every key is also a flag and a variable.\n\
         # Precedence: flag > TOOLBENCH_* > profile > this file > the user's file > built-in.\n\
         # A line with a single # shows a key with its built-in value, or no value where there is\n\
         # none: take the # away and write your own.\n",
    );
    let mut heading = "";
    for key in KEYS {
        if key.heading != heading {
            heading = key.heading;
            out.push_str(&format!("\n## {heading}\n"));
        }
        out.push_str(&format!(
            "## {}\n#{} = {}\n",
            key.help,
            key.name,
            example(key.kind, key.default)
        ));
    }
    out.push_str(
        "\n## The gate: toolbench gate RUN. Floors are in percent, times in seconds.\n[gate]\n",
    );
    for key in GATE_KEYS {
        out.push_str(&format!(
            "## {}\n#{} = {}\n",
            key.help,
            short_name(key),
            example(key.kind, key.default)
        ));
    }
    out.push_str("\n## Profiles: toolbench --profile ci …\n[profiles.ci]\nformat = \"json\"\n\n");
    out.push_str("## Variants: toolbench compare MODEL --variant default,few-shot\n[variants.few-shot]\nfew-shot = 2\n\n");
    out.push_str("## Models under names of your own.\n[models]\n");
    for model in store.cache.list() {
        out.push_str(&format!(
            "## on this machine: {} ({} bytes)\n",
            model.name, model.bytes
        ));
    }
    out.push_str("#mine = { source = \"path/to/model.gguf\" }\n\n");
    out.push_str("## Suites: built in, or NAME.yaml in DIR/suites of `data = \"DIR\"`.\n");
    for (name, place) in app.library(&resolved).names() {
        out.push_str(&format!("## suite {name} ({place})\n"));
    }
    out.push_str("\n## Tool servers of suites (`toolbench suite install NAME`).\n");
    for server in servers::installed(app, &resolved) {
        out.push_str(&format!("## installed: {server}\n"));
    }
    out.push_str("\n## What the doctor found (`toolbench doctor`):\n");
    for check in super::doctor::found(app)? {
        out.push_str(&format!("## {}: {}\n", check.name, check.detail));
    }
    Ok(out)
}

/// A key's built-in value as TOML; nothing where it has none.
fn example(kind: Kind, default: Option<&str>) -> String {
    match (kind, default) {
        (_, None) => String::new(),
        (Kind::List, Some(text)) => {
            let items: Vec<String> = text.split(',').map(|item| format!("{item:?}")).collect();
            format!("[{}]", items.join(", "))
        }
        (Kind::Text, Some(text)) => format!("{text:?}"),
        (_, Some(value)) => value.to_owned(),
    }
}
