//! A new item at the end of a list in a text that stays as it is.
//!
//! Data in: the text of a suite file, the path of a list, an item. Data out: the text with the item
//! in it, in the style of the list. Invariants: every byte of the old text is kept, in order; the
//! new text reads as the old one with the item appended, or there is a reason and no text.

use serde_json::Value;

use super::yaml;
use crate::suite::positions::{Content, Positions, Step};

/// Appends `item` to the list at `path`, with `notes` as a comment above where comments are
/// possible. A list that is absent at the top level is begun at the end of the text.
pub fn append(text: &str, path: &[&str], item: &Value, notes: &str) -> Result<String, String> {
    let wanted = appended(text, path, item)?;
    let steps: Vec<Step> = path.iter().map(|key| Step::from(*key)).collect();
    let positions = Positions::of(text);
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let place = |at| offset_of(text, at);
    let mut candidates = Vec::new();
    match positions.node(&steps).map(|node| (&node.content, node.at)) {
        Some((Content::List(items), at)) => {
            let start = place(at).ok_or("the list cannot be found in the text")?;
            if text[start..].starts_with('[') {
                candidates.extend(in_brackets(text, start, item, !items.is_empty()));
            } else if let Some((line, indent)) =
                items.last().and_then(|last| dash_before(text, last.at.0))
            {
                let block = block(item, notes, indent);
                candidates.extend(after_block(text, line, indent, &block));
            }
        }
        Some((Content::Scalar(empty), at)) if empty.is_empty() => {
            // `cases:` with nothing behind it.
            let indent = line_indent(text, at.0);
            let block = block(item, notes, indent + 2);
            candidates.push(after_line(text, at.0, &block));
        }
        None if path.len() == 1 && !text.trim_start().starts_with('{') => {
            let block = block(item, notes, 2);
            candidates.push(at_end(text, &format!("{}:\n{block}", path[0])));
        }
        _ => {}
    }
    candidates
        .into_iter()
        .map(|candidate| match line_end {
            "\n" => candidate,
            _ => candidate.replace("\r\n", "\n").replace('\n', "\r\n"),
        })
        .find(|candidate| reads_as(candidate, &wanted) && keeps(candidate, text))
        .ok_or_else(|| {
            format!(
                "`{}` is written in a way that nothing can be added to by itself",
                path.join(".")
            )
        })
}

fn reads_as(text: &str, wanted: &Value) -> bool {
    serde_saphyr::from_str::<Value>(text).is_ok_and(|value| &value == wanted)
}

/// The old text is all there: what stands before and after the insertion adds up to it.
fn keeps(new: &str, old: &str) -> bool {
    let before = new
        .bytes()
        .zip(old.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let after = new
        .bytes()
        .rev()
        .zip(old.bytes().rev())
        .take_while(|(a, b)| a == b)
        .count();
    before + after >= old.len()
}

/// What the text should read as afterwards.
fn appended(text: &str, path: &[&str], item: &Value) -> Result<Value, String> {
    let mut whole: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let mut at = &mut whole;
    for key in path {
        let map = at
            .as_object_mut()
            .ok_or_else(|| format!("`{}` stands in no object", path.join(".")))?;
        at = map.entry((*key).to_owned()).or_insert(Value::Null);
    }
    match at {
        Value::Array(items) => items.push(item.clone()),
        Value::Null => *at = Value::Array(vec![item.clone()]),
        _ => return Err(format!("`{}` is no list", path.join("."))),
    }
    Ok(whole)
}

fn block(item: &Value, notes: &str, indent: usize) -> String {
    yaml::comment(notes, indent) + &yaml::item(item, indent)
}

/// Byte offset of a line and column, both from 1, columns in characters.
fn offset_of(text: &str, (line, column): (usize, usize)) -> Option<usize> {
    let start = line_start(text, line)?;
    let rest = &text[start..];
    let mut characters = rest.char_indices();
    let within = characters.nth(column - 1).map_or(rest.len(), |(at, _)| at);
    Some(start + within)
}

fn line_start(text: &str, line: usize) -> Option<usize> {
    let mut starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    starts.nth(line - 1)
}

fn line_indent(text: &str, line: usize) -> usize {
    let start = line_start(text, line).unwrap_or(0);
    text[start..].chars().take_while(|c| *c == ' ').count()
}

/// The line, from 1, and the indentation of the dash of an item that begins on a line.
fn dash_before(text: &str, line: usize) -> Option<(usize, usize)> {
    let lines: Vec<&str> = text.lines().take(line).collect();
    let at = lines
        .iter()
        .rposition(|line| line.trim_start().starts_with('-'))?;
    Some((at + 1, line_indent(text, at + 1)))
}

/// With `block` after a line, counted from 1.
fn after_line(text: &str, line: usize, block: &str) -> String {
    match line_start(text, line + 1) {
        Some(start) => format!("{}{block}{}", &text[..start], &text[start..]),
        None => at_end(text, block),
    }
}

fn at_end(text: &str, block: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{gap}{block}")
}

/// With `block` behind the last item of a block list whose dashes stand at `indent`: after its last
/// line that says something, else after the empty lines that belong to it.
fn after_block(text: &str, last_item: usize, indent: usize, block: &str) -> Vec<String> {
    let mut last_said = last_item;
    let mut last = last_item;
    for (index, line) in text.lines().enumerate().skip(last_item) {
        let depth = line.chars().take_while(|c| *c == ' ').count();
        if !line.trim().is_empty() {
            if depth <= indent {
                break;
            }
            last_said = index + 1;
        }
        last = index + 1;
    }
    // An empty line stands between items, before the comments that belong to the last one.
    let before: Vec<&str> = text.lines().take(last_item - 1).collect();
    let spaced = before
        .iter()
        .rev()
        .find(|line| !line.trim_start().starts_with('#'))
        .is_some_and(|line| line.trim().is_empty());
    let gap = if spaced { "\n" } else { "" };
    [last_said, last]
        .map(|line| after_line(text, line, &format!("{gap}{block}")))
        .into()
}

/// With the item before the closing bracket of a list that opens at `start`.
fn in_brackets(text: &str, start: usize, item: &Value, has_items: bool) -> Option<String> {
    let close = closing_bracket(text, start)?;
    let inside = text[start + 1..close].trim_end();
    let end = start + 1 + inside.len();
    let comma = if has_items && !inside.ends_with(',') {
        ","
    } else {
        ""
    };
    let is_tall = has_items && inside.contains('\n');
    let written = if is_tall {
        // On lines of its own, as deep as the last item's first line.
        let depth = inside
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| line.chars().take_while(|c| *c == ' ').count())
            .filter(|depth| *depth > 0)
            .min()
            .unwrap_or(2);
        let pretty = serde_json::to_string_pretty(item).ok()?;
        let margin = " ".repeat(depth);
        format!("\n{margin}{}", pretty.replace('\n', &format!("\n{margin}")))
    } else if has_items {
        format!(" {item}")
    } else {
        item.to_string()
    };
    Some(format!("{}{comma}{written}{}", &text[..end], &text[end..]))
}

/// Offset of the bracket that closes the one at `start`, in YAML's flow style.
fn closing_bracket(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote: Option<char> = None;
    let mut before = ' ';
    let mut characters = text[start..].char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (Some('"'), '\\') => {
                characters.next();
            }
            // Two single quotes are one within.
            (Some('\''), '\'') if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
            }
            (Some(open), _) if c == open => quote = None,
            // A quote opens only where a value begins; elsewhere it is an apostrophe.
            (None, '"' | '\'') if before.is_whitespace() || "[{,:".contains(before) => {
                quote = Some(c);
            }
            (None, '#') if before.is_whitespace() => {
                let _ = characters.by_ref().find(|(_, c)| *c == '\n');
            }
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(start + at);
                }
            }
            _ => {}
        }
        before = c;
    }
    None
}

#[cfg(test)]
#[path = "insert_tests.rs"]
mod tests;
