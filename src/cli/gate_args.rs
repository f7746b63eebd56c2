//! Arguments of `gate` and `baseline`.

use clap::{Args, Subcommand};

use super::args::{ListFormat, RunArgs};
use super::flags::{GateFlags, SettingFlags};
use super::host_args::HostArgs;
use super::safety_args::SafetyArgs;

/// Shown after the help of `gate`.
pub(super) const GATE_EXAMPLES: &str = "A run is named by directory, name, unique beginning or `latest`; anything else is a model, which is run first.\nFloors are in percent, times in seconds. Exit codes: 0 pass, 1 fail, 3 undecided, 2 usage, 5 nothing selected.\n\nExamples:\n  toolbench gate latest --min-success 80 --max-task-p95 20\n  toolbench gate latest --baseline main --min-effect 2\n  toolbench gate smollm2 --suite weather --baseline main --time-budget 10m\n  toolbench gate latest --format markdown > verdict.md";

/// Shown after the help of `baseline`.
pub(super) const BASELINE_EXAMPLES: &str = "Baselines are small text files in `baselines/` of the folder of runs, made to be committed.\n\nExamples:\n  toolbench baseline save latest\n  toolbench baseline show main\n  toolbench baseline update latest --yes";

/// Arguments of `gate`.
#[derive(Debug, Args)]
pub(super) struct GateArgs {
    /// A stored run, or models to run first; `latest` without any
    #[arg(value_name = "RUN|MODEL")]
    pub(super) targets: Vec<String>,
    /// Go on with a run first: its directory, name, or `latest`
    #[arg(long, value_name = "RUN", help_heading = "Record and output")]
    pub(super) resume: Option<String>,
    /// The gate's own settings.
    #[command(flatten)]
    pub(super) gate: GateFlags,
    /// Tool servers instead of the suites' own.
    #[command(flatten)]
    pub(super) hosts: HostArgs,
    /// What may be called on them.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// Settings of a run.
    #[command(flatten)]
    pub(super) settings: SettingFlags,
}

impl GateArgs {
    /// The run that is made first, of these models.
    pub(super) fn into_run(self, models: Vec<String>) -> RunArgs {
        RunArgs {
            models,
            resume: self.resume,
            dry_run: false,
            hosts: self.hosts,
            safety: self.safety,
            settings: self.settings,
        }
    }
}

/// Commands on baselines.
#[derive(Debug, Subcommand)]
pub(super) enum BaselineCommand {
    /// Write a run down as what later ones are compared with
    Save(SaveArgs),
    /// Show a baseline, or list those that there are
    Show {
        /// Its name, or a file; without it, all are listed
        #[arg(value_name = "NAME|FILE")]
        name: Option<String>,
        /// Folder of runs
        #[arg(long, value_name = "DIR")]
        out: Option<String>,
        /// Output format
        #[arg(long, value_enum, default_value = "terminal")]
        format: ListFormat,
    },
    /// Replace a baseline by what a run found: shows the difference and asks
    #[command(
        after_help = "Without a terminal to ask on, nothing is written unless --yes is given."
    )]
    Update {
        /// What is saved, and under which name.
        #[command(flatten)]
        save: SaveArgs,
        /// Write without asking
        #[arg(long, short)]
        yes: bool,
    },
}

/// Which run becomes which baseline.
#[derive(Debug, Args)]
pub(super) struct SaveArgs {
    /// The run: a directory, a name, a unique beginning, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Name of the baseline
    #[arg(long, value_name = "NAME", default_value = crate::gate::DEFAULT_NAME)]
    pub(super) name: String,
    /// Also how long cases took, in a second file; needed for --max-slowdown
    #[arg(long)]
    pub(super) with_latency: bool,
    /// Folder of runs
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}
