//! Whole files of recorded outputs, on all cores.
//!
//! Data in: blocks of lines. Data out: verdict lines in the same order, and totals. Invariants: the
//! result depends neither on how the input is cut into blocks nor on the number of threads.

use std::sync::{Mutex, PoisonError};

use super::bfcl;
use super::calls::{Reading, Record, read};
use super::cases::{Cases, LazyCase};
use super::decode::Decoded;
use super::flat::Tape;
use super::strict::{self, StrictCase};
use super::verdict::{INVALID_LINE, NEEDS_A_RUN, Totals, UNKNOWN_CASE, Verdict, Writer, head};

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
    next_line: u64,
    /// One per thread: what is judged now, and what was judged before and is being written.
    now: Vec<Work>,
    before: Vec<Work>,
    /// Parts of the last block.
    used: usize,
    heads: Heads,
}

/// Lines of a part, the number of the first, and where its verdicts go; taken by who does it.
type Job<'w> = Mutex<Option<(&'w [u8], u64, &'w mut Work)>>;

impl<'s> Lines<'s> {
    /// Begins with line 1.
    pub fn new(scorer: &'s Scorer, threads: usize) -> Self {
        let work = || (0..threads.max(1)).map(|_| Work::new(scorer)).collect();
        Self {
            scorer,
            next_line: 1,
            now: work(),
            before: work(),
            used: 0,
            heads: Heads::new(scorer.rules.categories()),
        }
    }

    /// Judges a block of whole lines while `meanwhile` runs with the verdict lines of the block
    /// before, in order and in pieces.
    pub fn block<T>(&mut self, block: &[u8], meanwhile: impl FnOnce(&[&[u8]]) -> T) -> T {
        let parts = split(block, self.now.len().min(block.len() / WORTH_A_THREAD + 1));
        let (scorer, heads) = (self.scorer, &self.heads);
        let before_used = std::mem::replace(&mut self.used, parts.len());
        std::mem::swap(&mut self.now, &mut self.before);
        let mut line = self.next_line;
        let mut jobs = Vec::with_capacity(parts.len());
        for (part, work) in parts.into_iter().zip(&mut self.now) {
            jobs.push(Mutex::new(Some((part, line, work))));
            line += count_lines(part);
        }
        self.next_line = line;
        let run = |job: &Job<'_>| {
            let taken = job.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((part, first_line, work)) = taken {
                scorer.part(part, first_line, heads, work);
            }
        };
        let before = self.before[..before_used].iter();
        let before: Vec<&[u8]> = before.map(|work| work.writer.out.as_slice()).collect();
        let result = std::thread::scope(|scope| {
            for job in &jobs {
                let thread = std::thread::Builder::new().stack_size(STACK);
                // A thread that cannot be had leaves its job where it is.
                let _ = thread.spawn_scoped(scope, || run(job));
            }
            meanwhile(&before)
        });
        jobs.iter().for_each(run);
        result
    }

    /// What all blocks came to.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::new(self.scorer.rules.categories().len());
        for work in self.now.iter().chain(&self.before) {
            totals.merge(work.totals());
        }
        totals
    }
}

/// What stands in a verdict line behind the id, for every category and error of the leaderboard.
#[derive(Debug)]
struct Heads(Vec<[Vec<u8>; KINDS]>);

/// Kinds of verdicts of the leaderboard: valid, and each error.
const KINDS: usize = bfcl::ErrorType::ALL.len() + 1;

/// The place of a verdict among them.
fn kind_of(error: Option<bfcl::ErrorType>) -> usize {
    error.map_or(0, |error| 1 + error as usize)
}

impl Heads {
    fn new(categories: &[String]) -> Self {
        let of = |category: &String| {
            std::array::from_fn(|kind| {
                let error = kind.checked_sub(1).map(|at| bfcl::ErrorType::ALL[at]);
                head(category, error.map(bfcl::ErrorType::name))
            })
        };
        Self(categories.iter().map(of).collect())
    }
}

impl Scorer {
    fn part(&self, part: &[u8], first_line: u64, heads: &Heads, work: &mut Work) {
        work.writer.out.clear();
        let whole = std::str::from_utf8(part).ok();
        let mut tape = Tape::default();
        let mut start = 0;
        let mut line = first_line;
        while start < part.len() {
            let length = memchr::memchr(b'\n', &part[start..]);
            let end = length.map_or(part.len(), |length| start + length);
            let text = match whole {
                Some(whole) => Some(&whole[start..end]),
                None => std::str::from_utf8(&part[start..end]).ok(),
            };
            self.line(line, text, &mut tape, heads, work);
            start = end + 1;
            line += 1;
        }
    }

    fn line<'p>(
        &self,
        line: u64,
        text: Option<&'p str>,
        tape: &mut Tape<'p>,
        heads: &Heads,
        work: &mut Work,
    ) {
        work.totals.lines += 1;
        if let (Rules::Bfcl(cases), Some(text)) = (&self.rules, text)
            && let Some(id) = tape.read(text)
        {
            match cases.get(id) {
                Some((category, case)) => {
                    let call = |index| tape.call(index);
                    let found = bfcl::judge_calls(case.get(), tape.calls(), call);
                    work.write_bfcl(line, id, &heads.0[category], category, &found, "");
                }
                None => work.unknown(line, id),
            }
            return;
        }
        let text = text.ok_or("the line is not UTF-8".into());
        let record = match text.and_then(|text| read(text, self.reading)) {
            Ok(record) => record,
            Err(reason) => return work.invalid(line, &reason),
        };
        let known = match &self.rules {
            Rules::Bfcl(cases) => cases.get(&record.id).map(|(category, case)| {
                let found = bfcl::judge(case.get(), &record.output);
                let reason = reason_of(&record.output);
                let heads = &heads.0[category];
                work.write_bfcl(line, &record.id, heads, category, &found, reason);
            }),
            Rules::Strict(cases) => cases
                .get(&record.id)
                .map(|(category, case)| self.by_our_own(line, &record, category, case, work)),
        };
        if known.is_none() {
            work.unknown(line, &record.id);
        }
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
    by_error: Vec<[u64; KINDS]>,
    message: String,
}

impl Work {
    fn new(scorer: &Scorer) -> Self {
        let categories = scorer.rules.categories().len();
        Self {
            writer: Writer::default(),
            totals: Totals::new(categories),
            by_error: vec![[0; KINDS]; categories],
            message: String::new(),
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = self.totals.clone();
        for (count, found) in totals.categories.iter_mut().zip(&self.by_error) {
            count.valid += found[0];
            count.judged += found.iter().sum::<u64>();
            for error in bfcl::ErrorType::ALL {
                let times = found[kind_of(Some(error))];
                if times > 0 {
                    *count.errors.entry(error.name()).or_default() += times;
                }
            }
        }
        totals
    }

    fn write_bfcl(
        &mut self,
        line: u64,
        id: &str,
        heads: &[Vec<u8>; KINDS],
        category: usize,
        found: &bfcl::Verdict<'_>,
        undecodable: &str,
    ) {
        let kind = kind_of(found.error);
        self.by_error[category][kind] += 1;
        self.writer.begin_with(line, id, &heads[kind]);
        for finding in found.findings() {
            self.message.clear();
            finding.describe(undecodable, &mut self.message);
            self.writer
                .error(finding.call, finding.param, &self.message);
        }
        self.writer.end();
    }

    /// A line that is nobody's output.
    fn invalid(&mut self, line: u64, reason: &str) {
        self.totals.invalid_lines += 1;
        self.totals.first_invalid.get_or_insert(line);
        let verdict = Verdict {
            line,
            id: None,
            category: None,
            valid: None,
            error_type: Some(INVALID_LINE),
        };
        self.plain(&verdict, reason);
    }

    /// A line whose case the suite does not have.
    fn unknown(&mut self, line: u64, id: &str) {
        self.totals.unknown_cases += 1;
        self.totals
            .first_unknown
            .get_or_insert_with(|| (line, id.to_owned()));
        let verdict = Verdict {
            line,
            id: Some(id),
            category: None,
            valid: None,
            error_type: Some(UNKNOWN_CASE),
        };
        self.plain(&verdict, "the suite has no case of this id");
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
