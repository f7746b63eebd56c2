//! Arguments of `sizing`.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::flags::SettingFlags;
use super::host_args::HostArgs;
use super::safety_args::SafetyArgs;

/// Settings that `sizing` has in a form of its own, or that mean nothing to it.
const LEFT_OUT: &[&str] = &[
    "context",
    "concurrency",
    "objective",
    "by",
    "margin",
    "until-decided",
    "max-trials",
    "shard",
];

/// What hardware.
#[derive(Debug, Args)]
pub(super) struct SizingArgs {
    /// Stored runs (directory, name, unique beginning, `latest`), or models to measure now
    #[arg(value_name = "RUN|MODEL")]
    pub(super) names: Vec<String>,
    /// Success of at least this, in percent (`80`, `80%`, `0.8`)
    #[arg(long, value_name = "PERCENT", help_heading = "What is wanted")]
    pub(super) success: Option<String>,
    /// 95 % of times within this
    #[arg(long, value_name = "SECONDS", help_heading = "What is wanted")]
    pub(super) p95: Option<f64>,
    /// Which time: task (first request to the end) or valid-call (to the first schema-valid call)
    #[arg(
        long,
        value_name = "WHICH",
        default_value = "task",
        value_parser = ["task", "valid-call"],
        help_heading = "What is wanted"
    )]
    pub(super) objective: String,
    /// Successes wanted in an hour, minute or second: gives the machines needed
    #[arg(long, value_name = "N/h", help_heading = "What is wanted")]
    pub(super) demand: Option<String>,
    /// Memory in GiB to leave to other programs, of memory that is shared with them (not of cards), instead of
    /// what each tier says
    #[arg(long, value_name = "GIB", help_heading = "What is wanted")]
    pub(super) reserve: Option<f64>,
    /// Tiers to predict for; without it, all
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        help_heading = "What is wanted"
    )]
    pub(super) tier: Vec<String>,
    /// Contexts: models are measured at each; for runs, memory is predicted at each
    #[arg(
        long,
        value_name = "TOKENS",
        value_delimiter = ',',
        help_heading = "What to measure"
    )]
    pub(super) context: Vec<u32>,
    /// Trials at once: models are measured with each
    #[arg(
        long,
        value_name = "N",
        value_delimiter = ',',
        help_heading = "What to measure"
    )]
    pub(super) load: Vec<u32>,
    /// Say what would be measured, and stop
    #[arg(long, help_heading = "What to measure")]
    pub(super) dry_run: bool,
    /// Tool servers instead of the suites' own.
    #[command(flatten)]
    pub(super) hosts: HostArgs,
    /// What may be called on them.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// The settings of a run.
    #[command(flatten)]
    pub(super) settings: MeasureFlags,
}

/// The settings of a run but for those of `sizing` itself.
#[derive(Clone, Debug, Default)]
pub(super) struct MeasureFlags(pub(super) SettingFlags);

impl Args for MeasureFlags {
    fn augment_args(command: Command) -> Command {
        SettingFlags::augment_but(command, LEFT_OUT)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for MeasureFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(SettingFlags::read_but(matches, LEFT_OUT)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
