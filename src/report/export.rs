//! What every report is made of: the summary of a run, and the record behind it.
//!
//! Data in: a [`Run`], its content where a format needs it, and what is private. Data out: [`Export`].
//! Invariants: numbers are those of the whole record; everything in words has gone through
//! [`Private`] by the time a report sees it, and there is no other way to make an [`Export`].

use crate::metrics::{Summary, SummaryOptions, latest_trials, quote_messages, summarise_run};
use crate::record::format::Header;
use crate::record::{Content, Private, Run};
use crate::types::{AttemptRecord, ContentHash, TrialRecord};

/// A run as reports see it.
#[derive(Clone, Debug)]
pub struct Export {
    summary: Summary,
    header: Header,
    trials: Vec<TrialRecord>,
    content: Content,
    truncated: bool,
}

impl Export {
    /// Of a stored run. `content` may be empty: what quotes it is then left out.
    pub fn of(run: &Run, content: Content, options: &SummaryOptions, private: &Private) -> Self {
        let mut summary = summarise_run(run, options);
        let exported = private.exported(run, content);
        if !private.keeps_all() {
            redact(&mut summary, private);
            quote_messages(&mut summary, &exported.header, &exported.trials);
        }
        Self {
            summary,
            header: exported.header,
            trials: exported.trials,
            content: exported.content,
            truncated: run.truncated,
        }
    }

    /// A half line was found at the end of a file and left out.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Everything that is counted.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What was run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All lines of trials in the order written, superseded ones among them.
    pub fn lines(&self) -> &[TrialRecord] {
        &self.trials
    }

    /// The trials that count, in plan order.
    pub fn latest(&self) -> Vec<&TrialRecord> {
        latest_trials(&self.trials)
    }

    /// What stands under an address, where it was given and is kept.
    pub fn content(&self, hash: &ContentHash) -> Option<&serde_json::Value> {
        self.content.get(hash).map(|line| &line.value)
    }

    /// The raw text of a reply.
    pub fn reply(&self, attempt: &AttemptRecord) -> Option<&str> {
        self.content(attempt.reply.as_ref()?)?.as_str()
    }
}

/// Blots out what a summary holds in words beside names: settings, reasons, resolutions, findings of
/// probes, tool servers. Messages of trials are quoted anew from what is left of the trials.
fn redact(summary: &mut Summary, private: &Private) {
    let redactor = &private.redactor;
    let header = &mut summary.header;
    for setting in &mut header.settings {
        redactor.text(&mut setting.value);
    }
    for model in &mut header.models {
        redactor.text(&mut model.resolution);
        if let Some(replayed) = &mut model.replayed {
            redactor.text(replayed);
        }
        for leg in &mut model.legs {
            redactor.text(&mut leg.resolution);
        }
    }
    for server in &mut header.tool_servers {
        private.tool_server(server);
    }
    if let Some(policy) = &mut header.tool_policy {
        private.tool_policy(policy);
    }
    for result in header.probes.iter_mut().flat_map(|set| &mut set.results) {
        redactor.text(&mut result.detail);
    }
    for excluded in &mut summary.excluded {
        redactor.text(&mut excluded.reason);
    }
    for ended in &mut summary.ended_early {
        redactor.text(&mut ended.reason);
    }
}
