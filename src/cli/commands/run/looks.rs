//! Running look by look until every comparison is decided.
//!
//! Data in: a plan with looks, the record as it grows. Data out: trials on record. Invariants: what
//! comes next is asked of the record on disk ([`crate::metrics::sequential::next`]), so a resumed
//! run goes on as the interrupted one would have; no look is left out.

use std::collections::HashSet;
use std::path::Path;

use super::{CliError, run_error};
use crate::event::{Event, EventSink};
use crate::metrics::sequential::{Next, next};
use crate::plan::Plan;
use crate::record::Run;
use crate::runner::{Cancel, Ports, Prepared, execute};
use crate::types::Route;

/// What every look needs.
pub(super) struct Looking<'a> {
    pub(super) plan: &'a Plan,
    pub(super) prepared: &'a Prepared,
    pub(super) routes: &'a [Option<Route>],
    pub(super) ports: &'a Ports,
    pub(super) directory: &'a Path,
    pub(super) cancel: &'a Cancel,
}

impl Looking<'_> {
    /// Runs what the looks ask for beside `finished`; gives whether it was interrupted.
    pub(super) async fn until_decided(
        &self,
        mut finished: HashSet<String>,
        sink: &mut dyn EventSink,
    ) -> Result<bool, CliError> {
        let mut look = self.first_look(&finished);
        loop {
            let part = self.plan.up_to_look(look);
            let totals = execute(
                &part,
                self.prepared,
                self.routes,
                self.ports,
                &finished,
                sink,
                self.cancel,
            )
            .await
            .map_err(run_error)?;
            if totals.interrupted || totals.ended_early {
                return Ok(totals.interrupted);
            }
            let run = Run::open(self.directory)?;
            // What failed in this execution is tried again by `--resume`, not by the next look.
            finished.extend(run.trials.iter().map(|trial| trial.id.clone()));
            let coming = next(&run.header, &run.trials);
            let message = self.message(look, &coming);
            sink.on_event(&Event::Notice { message })?;
            match coming {
                Next::Look { look: coming, .. } if coming > look => look = coming,
                Next::Look { .. } | Next::Decided | Next::AllRun | Next::NothingToCompare => {
                    return Ok(false);
                }
            }
        }
    }

    /// The latest look of which a trial is on record already: the earlier ones were not decided.
    fn first_look(&self, finished: &HashSet<String>) -> usize {
        let Some(looks) = &self.plan.looks else {
            return 0;
        };
        (1..looks.looks.len())
            .rev()
            .find(|look| {
                let before = self.finished_by(look - 1, finished);
                self.finished_by(*look, finished) > before
            })
            .unwrap_or(0)
    }

    /// How many trials that a look asks for are finished.
    fn finished_by(&self, look: usize, finished: &HashSet<String>) -> usize {
        let part = self.plan.up_to_look(look);
        let asked = part.trials.iter();
        asked.filter(|trial| finished.contains(&trial.id)).count()
    }

    fn message(&self, look: usize, coming: &Next) -> String {
        let (looks, cases) = self.plan.looks.as_ref().map_or((0, String::new()), |plan| {
            let taken = plan.looks[look];
            let mut words = format!("{} of {} cases", taken.cases, plan.order.len());
            if taken.trials > 1 {
                words.push_str(&format!(" × up to {} trials", taken.trials));
            }
            (plan.looks.len(), words)
        });
        let outcome = match coming {
            Next::Look {
                open: (open, all), ..
            } => {
                format!("{open} of {all} comparisons open")
            }
            Next::Decided => "decided".to_owned(),
            Next::AllRun => "all is run, and not all is decided".to_owned(),
            Next::NothingToCompare => "there is nothing to compare".to_owned(),
        };
        format!("look {} of {looks} ({cases}): {outcome}", look + 1)
    }
}
