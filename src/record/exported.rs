//! A stored run as it may leave: the one place where an export is filtered.
//!
//! Data in: a [`Run`], its content, and what is private. Data out: header, trials and content as if
//! they had been recorded with these settings. Invariants: with nothing private all is as it was read;
//! an address is the hash of what is exported, so that nothing can be guessed from it; what the record
//! does not hold no export brings back.

use std::collections::HashMap;

use super::format::{ContentLine, Header};
use super::privacy::{PrivacyHeader, Private, readdress};
use super::{Content, Run};
use crate::types::TrialRecord;

/// See [`Private::exported`].
#[derive(Clone, Debug)]
pub struct Exported {
    /// The header.
    pub header: Header,
    /// Trials in the order written, earlier lines of a trial among them.
    pub trials: Vec<TrialRecord>,
    /// Content by hash, where it was given.
    pub content: Content,
}

impl Private {
    /// A run as it may leave. Without its `content` trials keep the addresses that they have.
    pub fn exported(&self, run: &Run, content: Content) -> Exported {
        let mut exported = Exported {
            header: run.header.clone(),
            trials: run.trials.clone(),
            content,
        };
        if self.keeps_all() {
            return exported;
        }
        let recorded = exported.header.privacy.take();
        self.in_header(&mut exported.header);
        exported.header.privacy = both(recorded, exported.header.privacy.take());
        let mut addresses = HashMap::new();
        for (hash, line) in std::mem::take(&mut exported.content) {
            let (kept, value) = self.content(&line.kind, line.value);
            if let Some(value) = value {
                let line = ContentLine {
                    hash: kept.clone(),
                    kind: line.kind,
                    value,
                };
                exported.content.insert(kept.clone(), line);
            }
            addresses.insert(hash, kept);
        }
        for trial in &mut exported.trials {
            self.trial(trial);
            readdress(trial, &addresses);
        }
        exported
    }
}

/// What was left out when recording, and what is now: the smaller part, all patterns.
fn both(recorded: Option<PrivacyHeader>, now: Option<PrivacyHeader>) -> Option<PrivacyHeader> {
    match (recorded, now) {
        (Some(recorded), Some(mut now)) => {
            now.retain = now.retain.min(recorded.retain);
            let mut patterns = recorded.patterns;
            patterns.extend(now.patterns);
            Some(PrivacyHeader { patterns, ..now })
        }
        (recorded, now) => recorded.or(now),
    }
}
