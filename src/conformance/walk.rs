//! Random texts of a grammar.
//!
//! Data in: a grammar, a seed. Data out: texts that it takes from beginning to end. Invariants:
//! equal seeds give equal texts; a walk is bounded and leans towards its end the longer it gets;
//! a walk that does not end within its bound says so and is no text.

use super::bytes::ByteGrammar;

/// Longest walk, in bytes.
const MOST_BYTES: usize = 1500;
/// From here on a walk ends wherever it can.
const SOFT_END: usize = 120;

/// What became of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Walk {
    /// A whole text.
    Text(String),
    /// No end within the bound; the bytes so far.
    Unfinished(String),
    /// The grammar's parser gave up.
    Failed(String),
}

/// `SplitMix64` (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}

/// One walk from the start of the grammar.
pub fn walk(grammar: &ByteGrammar, seed: u64) -> Walk {
    match try_walk(grammar, seed) {
        Ok(walk) => walk,
        Err(error) => Walk::Failed(error),
    }
}

fn try_walk(grammar: &ByteGrammar, seed: u64) -> Result<Walk, String> {
    let mut random = Random(seed);
    let mut cursor = grammar.start();
    let mut bytes = Vec::new();
    while bytes.len() < MOST_BYTES {
        let late = bytes.len() > SOFT_END;
        let allowed = cursor.allowed()?;
        if cursor.may_end()? && (allowed.is_empty() || late || random.chance(2)) {
            return Ok(Walk::Text(text_of(&bytes)));
        }
        let Some(byte) = choose(&allowed, late, &mut random) else {
            break;
        };
        if cursor.feed(&[byte])? != 1 {
            return Err(format!("byte {byte} was offered and not taken"));
        }
        bytes.push(byte);
    }
    Ok(Walk::Unfinished(text_of(&bytes)))
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Characters that lead on (closing ones, the middle of an address) often, printable ones mostly,
/// others now and then.
fn choose(allowed: &[u8], late: bool, random: &mut Random) -> Option<u8> {
    let pick = |from: Vec<u8>, random: &mut Random| {
        (!from.is_empty()).then(|| from[random.below(from.len())])
    };
    let among =
        |test: fn(&u8) -> bool| -> Vec<u8> { allowed.iter().copied().filter(test).collect() };
    if late || random.chance(3) {
        let closing = among(|byte| matches!(byte, b'"' | b'}' | b']' | b'@'));
        if let Some(byte) = pick(closing, random) {
            return Some(byte);
        }
    }
    if late && let Some(byte) = pick(among(|byte| *byte != b',' && *byte != b'\\'), random) {
        return Some(byte);
    }
    if !random.chance(12)
        && let Some(byte) = pick(among(u8::is_ascii_graphic), random)
    {
        return Some(byte);
    }
    pick(allowed.to_vec(), random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::ByteTable;
    use crate::types::{Grammar, Node};

    #[test]
    fn walks_are_texts_of_the_grammar_and_depend_on_the_seed_alone() {
        let schema = serde_json::json!({"type": "array", "items": {"type": "integer"}});
        let grammar = ByteTable::new()
            .unwrap()
            .compile(&Grammar {
                rules: [("value".to_owned(), Node::Schema(schema))].into(),
                root: "value".to_owned(),
            })
            .unwrap();
        let mut texts = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let Walk::Text(text) = walk(&grammar, seed) else {
                panic!("walk {seed} does not end");
            };
            assert!(grammar.accepts(&text).unwrap(), "{text}");
            assert_eq!(walk(&grammar, seed), Walk::Text(text.clone()));
            texts.insert(text);
        }
        assert!(texts.len() > 5, "{texts:?}");
    }
}
