//! Whole files, cut and shared out in every way.

use serde_json::json;

use super::{Lines, Rules, Scorer, count_lines};
use crate::score::calls::Reading;
use crate::score::cases::Cases;

fn scorer() -> Scorer {
    let functions = json!([{"name": "f", "parameters": {"properties": {"p": {"type": "integer"}}, "required": ["p"]}}]);
    let case = |id: &str, category: &str| {
        json!({"id": id, "category": category,
            "bfcl": {"mode": "simple", "functions": functions, "answer": [{"f": {"p": [1]}}]}})
    };
    let suite = json!({"suite": "s", "cases": [case("a", "one"), case("b", "two")]}).to_string();
    Scorer {
        reading: Reading::default(),
        rules: Rules::Bfcl(Cases::in_brief(suite).unwrap()),
    }
}

fn input(lines: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..lines {
        let line = match number % 5 {
            0 => r#"{"id":"a","calls":[{"name":"f","arguments":{"p":1}}]}"#.to_owned(),
            1 => r#"{"id":"b","calls":[{"name":"f","arguments":{"p":2}}]}"#.to_owned(),
            2 => format!(r#"{{"id":"unknown {number}","calls":[]}}"#),
            3 => "nothing".to_owned(),
            _ => r#"{"id":"b","calls":[]}"#.to_owned(),
        };
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(b"\xff\xfe"); // a last line that is no UTF-8 and has no end
    text
}

#[test]
fn neither_blocks_nor_threads_change_anything() {
    let (scorer, input) = (scorer(), input(4000));
    let judged = |threads: usize, block: usize| {
        let mut lines = Lines::new(&scorer, threads);
        let mut out = Vec::new();
        let mut rest = input.as_slice();
        while !rest.is_empty() {
            let aim = block.min(rest.len() - 1);
            let end = rest[aim..].iter().position(|byte| *byte == b'\n');
            let (part, after) = rest.split_at(end.map_or(rest.len(), |end| aim + end + 1));
            lines.block(part, |pieces| out.extend(pieces.concat()));
            rest = after;
        }
        lines.block(b"", |pieces| out.extend(pieces.concat()));
        (String::from_utf8(out).unwrap(), lines.totals())
    };
    let (text, totals) = judged(1, usize::MAX);
    assert_eq!(text.lines().count(), 4001);
    assert_eq!(totals.lines, 4001);
    assert_eq!((totals.invalid_lines, totals.unknown_cases), (801, 800));
    assert_eq!(totals.first_invalid, Some(4));
    assert_eq!(totals.first_unknown, Some((3, "unknown 2".to_owned())));
    let counts: Vec<(u64, u64)> = totals
        .categories
        .iter()
        .map(|count| (count.judged, count.valid))
        .collect();
    assert_eq!(counts, [(800, 800), (1600, 0)]);
    for (number, line) in text.lines().enumerate() {
        let verdict: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(verdict["line"], number + 1);
    }
    for (threads, block) in [
        (2, usize::MAX),
        (7, usize::MAX),
        (3, 100_000),
        (1, 1),
        (4, 5000),
    ] {
        let (other, sums) = judged(threads, block);
        assert!(other == text, "{threads} threads, blocks of {block}");
        assert_eq!(sums.overall(), totals.overall());
        assert_eq!(
            sums.first_invalid, totals.first_invalid,
            "{threads} threads, blocks of {block}"
        );
        assert_eq!(
            sums.first_unknown, totals.first_unknown,
            "{threads} threads, blocks of {block}"
        );
    }
}

#[test]
fn lines_are_counted_with_and_without_a_last_end() {
    assert_eq!(count_lines(b""), 0);
    assert_eq!(count_lines(b"a"), 1);
    assert_eq!(count_lines(b"a\n"), 1);
    assert_eq!(count_lines(b"a\n\nb"), 3);
}
