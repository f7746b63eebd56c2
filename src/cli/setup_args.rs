//! Arguments of `export-setup`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::ListFormat;
use crate::setup::SetupTarget;

/// Arguments of `export-setup`.
#[derive(Debug, Args)]
pub(super) struct ExportSetupArgs {
    /// The run: a directory, a name, a unique beginning, or `latest`
    #[arg(value_name = "RUN", default_value = "latest")]
    pub(super) run: String,
    /// Program to write for
    #[arg(long = "for", value_name = "PROGRAM", value_enum)]
    pub(super) target: TargetName,
    /// The cell, by labels: model, dialect, constraint, variant, suite, or the beginning of its id;
    /// the run's winner without it
    #[arg(long, value_name = "LABELS")]
    pub(super) cell: Option<String>,
    /// The case whose request is written; the first that the cell solved without it
    #[arg(long, value_name = "ID")]
    pub(super) case: Option<String>,
    /// Name of the model there; its own name without it
    #[arg(long, value_name = "NAME")]
    pub(super) model: Option<String>,
    /// Weights file to name in a Modelfile or command line
    #[arg(long, value_name = "FILE")]
    pub(super) weights: Option<String>,
    /// Write the files into DIR; without it all goes to standard output
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}

/// Programs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum TargetName {
    /// Ollama: a Modelfile and a request
    Ollama,
    /// llama.cpp's server: command line, template, grammar, requests
    LlamaServer,
    /// OpenAI's chat page, and servers that speak it: a request
    Openai,
}

impl TargetName {
    /// As the library names it.
    pub(super) fn target(self) -> SetupTarget {
        match self {
            Self::Ollama => SetupTarget::Ollama,
            Self::LlamaServer => SetupTarget::LlamaServer,
            Self::Openai => SetupTarget::Openai,
        }
    }
}
