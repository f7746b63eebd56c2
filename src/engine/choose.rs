//! Choosing the next token from the logits.
//!
//! Data in: logits, the tokens a grammar allows, the last tokens, a seed. Data out: one token id.
//! Invariants: no state but the random generator of the request outlives a choice; the same
//! request chooses the same tokens. Equal logits are decided by the lower id.
//!
//! The chain is llama.cpp's order: repeat penalty, top-k, top-p, min-p, temperature, draw.

use crate::types::generate::Sampling;

/// How many of the last tokens the repeat penalty looks at; llama.cpp's default.
const PENALTY_WINDOW_TOKENS: usize = 64;
/// First size of the sorted part when only a nucleus is wanted; grows until it suffices.
const FIRST_SORTED: usize = 256;

/// Which tokens may be chosen.
#[derive(Clone, Copy)]
pub(super) enum Allowed<'mask> {
    /// All.
    Everything,
    /// Those in a bit set: token `n` is bit `n % 32` of word `n / 32`.
    Only(&'mask [u32]),
}

#[derive(Clone, Copy)]
struct Candidate {
    token: u32,
    logit: f32,
}

/// Chooses tokens for one request after another; keeps only buffers between them.
#[derive(Default)]
pub(super) struct Chooser {
    penalised: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// What one request asks of the choice.
pub(super) struct Rule {
    sampling: Sampling,
    random: Random,
}

impl Rule {
    pub(super) fn new(sampling: &Sampling, seed: u64) -> Self {
        Self {
            sampling: sampling.clone(),
            random: Random(seed),
        }
    }

    /// No penalty and no randomness: the best logit wins.
    pub(super) fn is_plain_greedy(&self) -> bool {
        self.sampling.is_greedy() && !self.penalises()
    }

    fn penalises(&self) -> bool {
        self.sampling.repeat_penalty > 0.0 && (self.sampling.repeat_penalty - 1.0).abs() > 1e-6
    }
}

impl Chooser {
    /// The next token; `None` when nothing is allowed.
    pub(super) fn choose(
        &mut self,
        logits: &[f32],
        allowed: Allowed<'_>,
        recent: &[u32],
        rule: &mut Rule,
    ) -> Option<u32> {
        let mut penalised = std::mem::take(&mut self.penalised);
        let logits = if rule.penalises() {
            penalise(&mut penalised, logits, recent, rule.sampling.repeat_penalty);
            penalised.as_slice()
        } else {
            logits
        };
        let chosen = if rule.sampling.is_greedy() {
            best(logits, allowed)
        } else {
            self.draw(logits, allowed, rule)
        };
        self.penalised = penalised;
        chosen
    }

    fn draw(&mut self, logits: &[f32], allowed: Allowed<'_>, rule: &mut Rule) -> Option<u32> {
        self.candidates.clear();
        let candidates = &mut self.candidates;
        for_each_allowed(logits, allowed, |token, logit| {
            if logit > f32::NEG_INFINITY {
                candidates.push(Candidate { token, logit });
            }
        });
        if candidates.is_empty() {
            return best(logits, allowed);
        }
        keep_top_k(candidates, rule.sampling.top_k as usize);
        keep_top_p(candidates, f64::from(rule.sampling.top_p));
        keep_min_p(candidates, rule.sampling.min_p);
        draw_by_weight(candidates, rule.sampling.temperature, &mut rule.random)
    }
}

/// The allowed token with the highest logit.
pub(super) fn best(logits: &[f32], allowed: Allowed<'_>) -> Option<u32> {
    match allowed {
        Allowed::Everything => best_of_all(logits),
        Allowed::Only(_) => {
            let mut found: Option<Candidate> = None;
            for_each_allowed(logits, allowed, |token, logit| {
                if found.is_none_or(|so_far| logit > so_far.logit) {
                    found = Some(Candidate { token, logit });
                }
            });
            found.map(|candidate| candidate.token)
        }
    }
}

/// Position of the maximum, in two passes that the compiler turns into vector code.
fn best_of_all(logits: &[f32]) -> Option<u32> {
    const LANES: usize = 16;
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = logits.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = if *logit > *lane { *logit } else { *lane };
        }
    }
    let maximum = lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let position = logits.iter().position(|logit| *logit >= maximum);
    position.and_then(|index| u32::try_from(index).ok())
}

fn for_each_allowed(logits: &[f32], allowed: Allowed<'_>, mut visit: impl FnMut(u32, f32)) {
    match allowed {
        Allowed::Everything => {
            for (token, logit) in (0..).zip(logits) {
                visit(token, *logit);
            }
        }
        Allowed::Only(words) => {
            for (word_index, word) in (0..).zip(words) {
                let mut bits = *word;
                while bits != 0 {
                    let token: u32 = word_index * 32 + bits.trailing_zeros();
                    bits &= bits - 1;
                    if let Some(logit) = logits.get(token as usize) {
                        visit(token, *logit);
                    }
                }
            }
        }
    }
}

/// Divides positive logits of recent tokens by the penalty and multiplies negative ones.
fn penalise(penalised: &mut Vec<f32>, logits: &[f32], recent: &[u32], penalty: f32) {
    penalised.clear();
    penalised.extend_from_slice(logits);
    let window = &recent[recent.len().saturating_sub(PENALTY_WINDOW_TOKENS)..];
    for (index, token) in window.iter().enumerate() {
        if window[..index].contains(token) {
            continue;
        }
        if let Some(logit) = penalised.get_mut(*token as usize) {
            *logit = if *logit > 0.0 {
                *logit / penalty
            } else {
                *logit * penalty
            };
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "sorting functions hand out references"
)]
fn by_falling_logit(left: &Candidate, right: &Candidate) -> std::cmp::Ordering {
    right
        .logit
        .total_cmp(&left.logit)
        .then(left.token.cmp(&right.token))
}

fn keep_top_k(candidates: &mut Vec<Candidate>, top_k: usize) {
    if top_k == 0 || top_k >= candidates.len() {
        return;
    }
    candidates.select_nth_unstable_by(top_k - 1, by_falling_logit);
    candidates.truncate(top_k);
    // Sorted, so that what follows does not depend on how the selection shuffles.
    candidates.sort_unstable_by(by_falling_logit);
}

/// Keeps the fewest best candidates whose probabilities reach `top_p`.
fn keep_top_p(candidates: &mut Vec<Candidate>, top_p: f64) {
    if top_p >= 1.0 {
        return;
    }
    let maximum = highest(candidates);
    let total: f64 = candidates
        .iter()
        .map(|candidate| weight(candidate.logit, maximum, 1.0))
        .sum();
    let mut sorted = FIRST_SORTED.min(candidates.len());
    loop {
        if sorted < candidates.len() {
            candidates.select_nth_unstable_by(sorted - 1, by_falling_logit);
        }
        candidates[..sorted].sort_unstable_by(by_falling_logit);
        let mut reached = 0.0;
        let enough = candidates[..sorted].iter().position(|candidate| {
            reached += weight(candidate.logit, maximum, 1.0);
            reached >= top_p * total
        });
        if let Some(last) = enough {
            candidates.truncate(last + 1);
            return;
        }
        if sorted == candidates.len() {
            return;
        }
        sorted = (sorted * 8).min(candidates.len());
    }
}

/// Keeps candidates at least `min_p` times as probable as the best.
fn keep_min_p(candidates: &mut Vec<Candidate>, min_p: f32) {
    if min_p <= 0.0 {
        return;
    }
    let least = highest(candidates) + min_p.min(1.0).ln();
    candidates.retain(|candidate| candidate.logit >= least);
}

fn draw_by_weight(candidates: &[Candidate], temperature: f32, random: &mut Random) -> Option<u32> {
    let maximum = highest(candidates);
    let temperature = f64::from(temperature);
    let total: f64 = candidates
        .iter()
        .map(|candidate| weight(candidate.logit, maximum, temperature))
        .sum();
    let mut left = random.unit() * total;
    for candidate in candidates {
        left -= weight(candidate.logit, maximum, temperature);
        if left < 0.0 {
            return Some(candidate.token);
        }
    }
    // Rounding may leave a crumb: the last candidate with any weight takes it.
    candidates.last().map(|candidate| candidate.token)
}

fn weight(logit: f32, maximum: f32, temperature: f64) -> f64 {
    (f64::from(logit - maximum) / temperature).exp()
}

fn highest(candidates: &[Candidate]) -> f32 {
    candidates
        .iter()
        .map(|candidate| candidate.logit)
        .fold(f32::NEG_INFINITY, f32::max)
}

/// SplitMix64: one word of state, the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `[0, 1)`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(temperature: f32) -> Sampling {
        Sampling {
            temperature,
            ..Sampling::default()
        }
    }

    fn counts(logits: &[f32], sampling: &Sampling, draws: u64) -> Vec<u32> {
        let mut chooser = Chooser::default();
        let mut counts = vec![0; logits.len()];
        for seed in 0..draws {
            let mut rule = Rule::new(sampling, seed);
            let token = chooser
                .choose(logits, Allowed::Everything, &[], &mut rule)
                .unwrap();
            counts[token as usize] += 1;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_best_and_the_lower_id_when_equal() {
        let mut logits = vec![0.0; 100];
        logits[70] = 2.0;
        logits[33] = 2.0;
        assert_eq!(best(&logits, Allowed::Everything), Some(33));
        let mask = [0, 0, 1 << (70 - 64), 0];
        assert_eq!(best(&logits, Allowed::Only(&mask)), Some(70));
        assert_eq!(best(&logits, Allowed::Only(&[0; 4])), None);
        logits[5] = f32::NAN;
        assert_eq!(best(&logits, Allowed::Everything), Some(33));
    }

    #[test]
    fn draws_follow_the_weights() {
        // Probabilities 0.5, 0.25, 0.25.
        let logits = [2f32.ln(), 0.0, 0.0];
        let counts = counts(&logits, &sampling(1.0), 4000);
        assert!((1900..2100).contains(&counts[0]), "{counts:?}");
        assert!((900..1100).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn the_chain_removes_the_tail() {
        let logits: Vec<f32> = (0..1000).map(|index| -(index as f32) * 0.01).collect();
        let top_k = Sampling {
            top_k: 3,
            ..sampling(1.0)
        };
        assert_eq!(counts(&logits, &top_k, 500)[3..].iter().sum::<u32>(), 0);
        let top_p = Sampling {
            top_p: 0.5,
            ..sampling(1.0)
        };
        // Half of the mass of e^(-0.01 n) lies in the first 69 or 70 of them.
        let spread = counts(&logits, &top_p, 2000);
        assert_eq!(spread[70..].iter().sum::<u32>(), 0);
        let min_p = Sampling {
            min_p: 0.99,
            ..sampling(1.0)
        };
        assert_eq!(counts(&logits, &min_p, 500)[2..].iter().sum::<u32>(), 0);
        let tight = Sampling {
            top_p: 0.0,
            ..sampling(1.0)
        };
        assert_eq!(counts(&logits, &tight, 100)[0], 100);
    }

    #[test]
    fn the_nucleus_grows_past_its_first_sorted_part() {
        let logits = vec![0.0; 5000];
        let top_p = Sampling {
            top_p: 0.9,
            ..sampling(1.0)
        };
        let spread = counts(&logits, &top_p, 3000);
        assert_eq!(spread[4501..].iter().sum::<u32>(), 0);
        assert!(spread[300..4500].iter().sum::<u32>() > 2000);
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let logits: Vec<f32> = (0..500).map(|index| (index as f32).sin()).collect();
        let draw = |seed| {
            let mut rule = Rule::new(&sampling(0.8), seed);
            let mut chooser = Chooser::default();
            (0..20)
                .map(|_| chooser.choose(&logits, Allowed::Everything, &[], &mut rule))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn the_penalty_applies_to_greedy_too() {
        let penalty = Sampling {
            repeat_penalty: 1.5,
            ..Sampling::default()
        };
        let mut rule = Rule::new(&penalty, 0);
        let chosen = Chooser::default().choose(
            &[1.0, 0.9, -1.0],
            Allowed::Everything,
            &[0, 0, 0],
            &mut rule,
        );
        assert_eq!(chosen, Some(1));
        assert!(!rule.is_plain_greedy());
    }
}
