//! A cell of a run as configuration for other programs: Ollama, llama-server, OpenAI's chat page.
//!
//! Data in: [`Source`]: a record with its content, a cell of it, the endpoint to write for. Data out:
//! [`Setup`]: files with what they are, and what could not be carried over. Invariants: a request is
//! written by the same code that a run uses for this endpoint, so it is what a run over that wire would
//! send; what the target cannot hold is named, never left out in silence; nothing here reads a file.

mod caveats;
mod choose;
mod correction;
mod go_template;
mod llama_server;
mod modelfile;
mod notes;
mod parts;

use serde::Serialize;

use crate::record::Content;
use crate::record::format::{CellHeader, Header};
use crate::types::TrialRecord;
use crate::types::endpoint::Endpoint;
pub use choose::{ChooseError, choose};
use parts::Parts;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupTarget {
    /// A Modelfile and a request of its own protocol.
    Ollama,
    /// llama.cpp's server: a command line, a chat template, a grammar, requests.
    LlamaServer,
    /// Requests of the chat-completions page.
    Openai,
}

impl SetupTarget {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::Ollama, Self::LlamaServer, Self::Openai];

    /// The name after `--for`, and that of the preset of its endpoint.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ollama => "ollama",
            Self::LlamaServer => "llama-server",
            Self::Openai => "openai",
        }
    }
}

/// What a setup is made from.
pub struct Source<'a> {
    /// The run.
    pub header: &'a Header,
    /// Trials that count.
    pub trials: &'a [&'a TrialRecord],
    /// Prompts, replies, tools by hash.
    pub content: &'a Content,
    /// The cell.
    pub cell: &'a CellHeader,
    /// The case whose request is written; without it the first that the cell solved.
    pub case: Option<&'a str>,
    /// The target's endpoint.
    pub endpoint: Endpoint,
    /// Text of the correction template, where it is not built in and could be read.
    pub correction: Option<String>,
    /// The weights file, where the user names one.
    pub weights: Option<String>,
    /// Success of the cell in words.
    pub measured: String,
}

/// One file of a setup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SetupFile {
    /// Its name.
    pub name: String,
    /// What it is for, in one sentence.
    pub purpose: String,
    /// Its content.
    pub content: String,
}

/// Configuration of one cell for one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setup {
    /// Name and version of this shape.
    pub schema: &'static str,
    /// For whom.
    pub target: SetupTarget,
    /// The run.
    pub run: String,
    /// Id of the cell.
    pub cell: String,
    /// The cell in words.
    pub name: String,
    /// Success as measured.
    pub measured: String,
    /// Suite and case of the request that is written.
    pub case: String,
    /// What could not be carried over, or has to be known.
    pub caveats: Vec<String>,
    /// The files.
    pub files: Vec<SetupFile>,
}

/// Why there is no setup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The record holds no content.
    #[error("run `{run}` was recorded with `--retain {retain}`: it holds no prompts and no tools")]
    NoContent {
        /// The run.
        run: String,
        /// What is kept.
        retain: &'static str,
    },
    /// No such case in the cell.
    #[error("cell {cell} has no trial of a case `{case}`")]
    NoCase {
        /// The cell in words.
        cell: String,
        /// As given.
        case: String,
        /// Cases that there are.
        known: Vec<String>,
    },
    /// No trial of the cell got as far as a request.
    #[error("cell {cell} has no trial with a request on record")]
    NoTrial {
        /// The cell in words.
        cell: String,
    },
    /// Content that a trial refers to is not there.
    #[error("the record lacks the {what} of trial {trial}")]
    Incomplete {
        /// What.
        what: &'static str,
        /// The trial.
        trial: String,
    },
    /// The target cannot be asked so.
    #[error("{0}")]
    Unsupported(String),
}

/// Writes the setup.
pub fn setup(source: &Source<'_>, target: SetupTarget) -> Result<Setup, SetupError> {
    let parts = Parts::of(source)?;
    let mut caveats = parts.caveats(target);
    let mut files = match target {
        SetupTarget::Ollama => modelfile::files(&parts, &mut caveats)?,
        SetupTarget::LlamaServer => llama_server::files(&parts, &mut caveats)?,
        SetupTarget::Openai => vec![parts.chat_request(&mut caveats)?.file(
            "request.json",
            "body of `POST /v1/chat/completions`; put your own question in place of the last message",
        )],
    };
    let own = source.endpoint.model.as_str();
    if own.is_empty() {
        caveats.push("no name of a model is known: the requests hold none".to_owned());
    }
    files.extend(correction::file(&parts, &mut caveats)?);
    files.push(parts.recorded()?);
    let mut seen = std::collections::HashSet::new();
    caveats.retain(|line| seen.insert(line.clone()));
    for file in &mut files {
        notes::comment(file, &parts, &caveats);
    }
    let setup = Setup {
        schema: "toolbench.setup/1",
        target,
        run: source.header.run.clone(),
        cell: source.cell.id.clone(),
        name: parts.name(),
        measured: source.measured.clone(),
        case: format!("{}/{}", parts.trial.cell.suite, parts.trial.case),
        caveats,
        files,
    };
    let notes = notes::file(&setup, &parts);
    let mut files = vec![notes];
    files.extend(setup.files);
    Ok(Setup { files, ..setup })
}
