//! `toolbench init`: a commented toolbench.toml from what this machine has.

use super::{App, CliError, Status};
use crate::cli::context::PROJECT_FILE;
use crate::cli::flags::SettingFlags;
use crate::cli::servers;
use crate::cli::store_access::Store;
use crate::config::{KEYS, Kind};

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
        "wrote {PROJECT_FILE}; `toolbench config show` prints what is in force"
    ));
    Ok(Status::Complete)
}

fn contents(app: &App) -> Result<String, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    let store = Store::open(app, &resolved)?;
    let mut out = String::from(
        "# toolbench.toml: settings of this project. Every key is also a flag and a variable.\n\
         # Precedence: flag > TOOLBENCH_* > profile > this file > the user's file > built-in.\n\
         # Lines with a single # are built-in values: take the # away to change one.\n",
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
    out.push_str(
        "## MCP servers over stdio. Only read-only tools are called, and those allowed by name.\n",
    );
    for server in servers::installed(app, &resolved) {
        out.push_str(&format!("## installed for suites: {server}\n"));
    }
    out.push_str("#[mcp.files]\n#command = \"node\"\n#args = [\"server.js\", \"folder\"]\n#allow = [\"read_file\"]\n");
    Ok(out)
}

/// A key's built-in value, or a placeholder, as TOML.
fn example(kind: Kind, default: Option<&str>) -> String {
    match (kind, default) {
        (Kind::List, Some(text)) => {
            let items: Vec<String> = text.split(',').map(|item| format!("{item:?}")).collect();
            format!("[{}]", items.join(", "))
        }
        (Kind::List, None) => "[]".to_owned(),
        (Kind::Text, text) => format!("{:?}", text.unwrap_or_default()),
        (Kind::Switch, _) => "false".to_owned(),
        (_, Some(number)) => number.to_owned(),
        (_, None) => "0".to_owned(),
    }
}
