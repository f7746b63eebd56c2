//! Arguments of `runs`.

use clap::Subcommand;

use super::args::ListFormat;

/// Commands on stored runs.
#[derive(Debug, Subcommand)]
pub(super) enum RunsCommand {
    /// List runs: what they hold, how far they are, what they take on disk
    List {
        /// Folder of runs
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Show one run: settings, models, executions, outcomes, files, what is kept of the content
    Show {
        /// The run: a directory, a name, a unique beginning, or `latest`
        #[arg(value_name = "RUN", default_value = "latest")]
        run: String,
        /// Folder of runs
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Remove runs that were last used a while ago; asks first, and never removes a run in use
    #[command(
        after_help = "Without a terminal to ask on, nothing is removed unless --yes is given.\n\nExamples:\n  toolbench runs prune --older-than 30d\n  toolbench runs prune --older-than 12h --yes"
    )]
    Prune {
        /// Age since the run was last used: 90m, 12h, 30d or 8w
        #[arg(long, value_name = "AGE")]
        older_than: String,
        /// Remove without asking
        #[arg(long, short)]
        yes: bool,
        /// Folder of runs
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
}
