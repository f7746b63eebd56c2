//! Whole files of recorded outputs, on all cores.
//!
//! Data in: blocks of lines. Data out: verdict lines in the same order, and totals. Invariants: the
//! result depends neither on how the input is cut into blocks nor on the number of threads.

use std::sync::{Mutex, PoisonError};

use super::bfcl;
use super::calls::{Reading, Record, read};
use super::cases::{Cases, LazyCase};
use super::decode::Decoded;
use super::strict::{self, StrictCase};
use super::verdict::{INVALID_LINE, NEEDS_A_RUN, Totals, UNKNOWN_CASE, Verdict, Writer};

/// Judges lines by one set of rules.
#[derive(Debug)]
pub struct Scorer {
    /// How texts are read.
    pub reading: Reading,
    /// The rules with their cases.
    pub rules: Rules,
}

/// The rules with their cases.
#[derive(Debug)]
pub enum Rules {
    /// The leaderboard's.
    Bfcl(Cases<LazyCase>),
    /// Our own.
    Strict(Cases<StrictCase>),
}

impl Rules {
    /// Names of the categories.
    pub fn categories(&self) -> &[String] {
        match self {
            Self::Bfcl(cases) => &cases.categories,
            Self::Strict(cases) => &cases.categories,
        }
    }

    /// All ids.
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::Bfcl(cases) => cases.ids().collect(),
            Self::Strict(cases) => cases.ids().collect(),
        }
    }
}

/// Bytes below which a second thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 16;
/// Stack of a thread: enough for the deepest value that is read, in any build.
const STACK: usize = 32 << 20;

/// Judges a file block by block.
#[derive(Debug)]
pub struct Lines<'s> {
    scorer: &'s Scorer,
    threads: usize,
    next_line: u64,
    /// One per thread, kept from block to block.
    work: Vec<Work>,
}

/// Lines of a part, the number of the first, and where its verdicts go; taken by who does it.
type Job<'w> = Mutex<Option<(&'w [u8], u64, &'w mut Work)>>;

impl<'s> Lines<'s> {
    /// Begins with line 1.
    pub fn new(scorer: &'s Scorer, threads: usize) -> Self {
        let threads = threads.max(1);
        Self {
            scorer,
            threads,
            next_line: 1,
            work: (0..threads).map(|_| Work::new(scorer)).collect(),
        }
    }

    /// Judges a block of whole lines. Verdict lines in order, in pieces.
    pub fn block(&mut self, block: &[u8]) -> impl Iterator<Item = &[u8]> {
        let parts = split(block, self.threads.min(block.len() / WORTH_A_THREAD + 1));
        let used = parts.len();
        let scorer = self.scorer;
        let mut line = self.next_line;
        let mut jobs = Vec::with_capacity(used);
        for (part, work) in parts.into_iter().zip(&mut self.work) {
            jobs.push(Mutex::new(Some((part, line, work))));
            line += count_lines(part);
        }
        let run = |job: &Job<'_>| {
            let taken = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((part, first_line, work)) = taken {
                scorer.part(part, first_line, work);
            }
        };
        std::thread::scope(|scope| {
            for job in &jobs {
                let thread = std::thread::Builder::new().stack_size(STACK);
                // A thread that cannot be had leaves its job where it is.
                let _ = thread.spawn_scoped(scope, || run(job));
            }
        });
        jobs.iter().for_each(run);
        self.next_line = line;
        self.work[..used]
            .iter()
            .map(|work| work.writer.out.as_slice())
    }

    /// What all blocks came to.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::new(self.scorer.rules.categories().len());
        for work in &self.work {
            totals.merge(work.totals());
        }
        totals
    }
}

impl Scorer {
    fn part(&self, part: &[u8], first_line: u64, work: &mut Work) {
        work.writer.out.clear();
        let whole = std::str::from_utf8(part).ok();
        let mut start = 0;
        let mut line = first_line;
        while start < part.len() {
            let length = memchr::memchr(b'\n', &part[start..]);
            let end = length.map_or(part.len(), |length| start + length);
            let text = match whole {
                Some(whole) => Some(&whole[start..end]),
                None => std::str::from_utf8(&part[start..end]).ok(),
            };
            self.line(line, text, work);
            start = end + 1;
            line += 1;
        }
    }

    fn line(&self, line: u64, text: Option<&str>, work: &mut Work) {
        work.totals.lines += 1;
        let text = text.ok_or("the line is not UTF-8".into());
        let record = match text.and_then(|text| read(text, self.reading)) {
            Ok(record) => record,
            Err(reason) => {
                work.totals.invalid_lines += 1;
                work.totals.first_invalid.get_or_insert(line);
                let verdict = Verdict {
                    line,
                    id: None,
                    category: None,
                    valid: None,
                    error_type: Some(INVALID_LINE),
                };
                work.plain(&verdict, &reason);
                return;
            }
        };
        let known = match &self.rules {
            Rules::Bfcl(cases) => match cases.get(&record.id) {
                Some((category, case)) => {
                    self.by_bfcl(line, &record, category, case.get(), work);
                    true
                }
                None => false,
            },
            Rules::Strict(cases) => match cases.get(&record.id) {
                Some((category, case)) => {
                    self.by_our_own(line, &record, category, case, work);
                    true
                }
                None => false,
            },
        };
        if !known {
            work.totals.unknown_cases += 1;
            work.totals
                .first_unknown
                .get_or_insert_with(|| (line, record.id.clone().into_owned()));
            let verdict = Verdict {
                line,
                id: Some(&record.id),
                category: None,
                valid: None,
                error_type: Some(UNKNOWN_CASE),
            };
            work.plain(&verdict, "the suite has no case of this id");
        }
    }

    fn by_bfcl(
        &self,
        line: u64,
        record: &Record<'_>,
        category: usize,
        case: &bfcl::Case,
        work: &mut Work,
    ) {
        let found = bfcl::judge(case, &record.output);
        let error_type = found.error.map(bfcl::ErrorType::name);
        let place = found.error.map_or(0, |error| 1 + error as usize);
        work.by_error[category][place] += 1;
        work.writer.begin(&Verdict {
            line,
            id: Some(&record.id),
            category: self.rules.categories().get(category).map(String::as_str),
            valid: Some(error_type.is_none()),
            error_type,
        });
        for finding in &found.findings {
            work.message.clear();
            finding.describe(&record.output, &mut work.message);
            work.writer
                .error(finding.call, finding.param, &work.message);
        }
        work.writer.end();
    }

    fn by_our_own(
        &self,
        line: u64,
        record: &Record<'_>,
        category: usize,
        case: &StrictCase,
        work: &mut Work,
    ) {
        let mut verdict = Verdict {
            line,
            id: Some(&record.id),
            category: self.rules.categories().get(category).map(String::as_str),
            valid: None,
            error_type: None,
        };
        let violations = match strict::judge_record(case, record) {
            Ok(violations) => violations,
            Err(reason) => {
                work.totals.undecided += 1;
                verdict.error_type = Some(NEEDS_A_RUN);
                work.plain(&verdict, &reason);
                return;
            }
        };
        let primary = crate::types::violation::primary(&violations);
        verdict.error_type = primary.map(|violation| violation.code.name());
        verdict.valid = Some(primary.is_none());
        work.totals.categories[category].add(verdict.error_type);
        work.writer.begin(&verdict);
        for violation in &violations {
            let param = violation.pointer.as_deref().and_then(strict::parameter_of);
            let message = format!("{}: {}", violation.code, violation.message);
            work.writer
                .error(violation.call, param.as_deref(), &message);
        }
        work.writer.end();
    }
}

/// What one thread writes and counts.
#[derive(Debug)]
struct Work {
    writer: Writer,
    totals: Totals,
    /// Under the leaderboard's rules: per category the valid outputs, then those of each error.
    by_error: Vec<[u64; bfcl::ErrorType::ALL.len() + 1]>,
    message: String,
}

impl Work {
    fn new(scorer: &Scorer) -> Self {
        let categories = scorer.rules.categories().len();
        Self {
            writer: Writer::default(),
            totals: Totals::new(categories),
            by_error: vec![[0; bfcl::ErrorType::ALL.len() + 1]; categories],
            message: String::new(),
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = self.totals.clone();
        for (count, found) in totals.categories.iter_mut().zip(&self.by_error) {
            count.valid += found[0];
            count.judged += found.iter().sum::<u64>();
            for error in bfcl::ErrorType::ALL {
                let times = found[1 + error as usize];
                if times > 0 {
                    *count.errors.entry(error.name()).or_default() += times;
                }
            }
        }
        totals
    }

    fn plain(&mut self, verdict: &Verdict<'_>, message: &str) {
        self.writer.begin(verdict);
        self.writer.error(None, None, message);
        self.writer.end();
    }
}

/// Whole lines in at most `parts` pieces of about equal length.
fn split(block: &[u8], parts: usize) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut rest = block;
    for left in (1..=parts.max(1)).rev() {
        let aim = rest.len() / left;
        let cut = match memchr::memchr(b'\n', &rest[aim..]) {
            Some(at) if left > 1 => aim + at + 1,
            _ => rest.len(),
        };
        let (piece, after) = rest.split_at(cut);
        if !piece.is_empty() {
            pieces.push(piece);
        }
        rest = after;
    }
    pieces
}

/// Lines of a block, the last perhaps without its end.
pub fn count_lines(block: &[u8]) -> u64 {
    let ends = memchr::memchr_iter(b'\n', block).count() as u64;
    ends + u64::from(block.last().is_some_and(|byte| *byte != b'\n'))
}

/// The text of an output that could not be read, for messages.
pub(super) fn reason_of<'a>(output: &'a Decoded<'_>) -> &'a str {
    match output {
        Decoded::Failed(reason) | Decoded::Malformed(reason) => reason,
        Decoded::Calls(_) => "",
    }
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
