//! The text of a reply as it grows.
//!
//! Data in: bytes of tokens. Data out: the text before the first stop text. Invariants: a stop text
//! is found wherever token boundaries fall and is never part of the reply; bytes are decoded once,
//! at the end, so a character split over tokens comes out whole.

/// Bytes generated so far and the texts that end them.
pub(super) struct Output {
    bytes: Vec<u8>,
    stops: Vec<Vec<u8>>,
    longest_stop_bytes: usize,
}

impl Output {
    pub(super) fn new(stops: &[String]) -> Self {
        let stops: Vec<Vec<u8>> = stops
            .iter()
            .filter(|stop| !stop.is_empty())
            .map(|stop| stop.as_bytes().to_vec())
            .collect();
        Self {
            bytes: Vec::new(),
            longest_stop_bytes: stops.iter().map(Vec::len).max().unwrap_or(0),
            stops,
        }
    }

    /// Adds a token's bytes; `true` when a stop text is now complete (and has been cut off).
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(piece);
        if self.stops.is_empty() {
            return false;
        }
        // A stop text that ends in the new bytes starts at most its length before them.
        let from = (before + 1).saturating_sub(self.longest_stop_bytes);
        let found = self
            .stops
            .iter()
            .filter_map(|stop| find(&self.bytes[from..], stop))
            .min();
        if let Some(at) = found {
            self.bytes.truncate(from + at);
        }
        found.is_some()
    }

    /// Bytes of the reply so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The reply; bytes that are not UTF-8 become replacement characters.
    pub(super) fn into_text(self) -> String {
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&[u8]]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut output = Output::new(&stops);
        let stopped = pieces.iter().any(|piece| output.push(piece));
        (output.into_text(), stopped)
    }

    #[test]
    fn stop_texts_are_found_across_tokens() {
        assert_eq!(
            run(&["Observation:"], &[b"Action\nObs", b"erv", b"ation: 3"]),
            ("Action\n".to_owned(), true)
        );
        assert_eq!(run(&["ab", "b"], &[b"a", b"b"]), (String::new(), true));
        assert_eq!(run(&["x"], &[b"abc"]), ("abc".to_owned(), false));
        assert_eq!(run(&[""], &[b"abc"]), ("abc".to_owned(), false));
    }

    #[test]
    fn a_character_split_over_tokens_comes_out_whole() {
        assert_eq!(run(&["é!"], &[b"\xc3", b"\xa9"]).0, "é");
        assert_eq!(
            run(&["é!"], &[b"a\xc3", b"\xa9", b"!"]),
            ("a".to_owned(), true)
        );
        assert_eq!(run(&[], &[b"a\xc3"]).0, "a\u{fffd}");
    }
}
