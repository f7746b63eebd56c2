//! What llama.cpp's form takes, tried with a recogniser of its own.

use serde_json::json;

use super::*;

fn of(node: Node) -> Gbnf {
    Grammar {
        rules: BTreeMap::from([("start".to_owned(), node)]),
        root: "start".to_owned(),
    }
    .to_gbnf()
}

/// A recogniser for the texts printed here: nothing is proven by looking at a grammar alone.
mod accept {
    use std::collections::{BTreeMap, BTreeSet};

    #[derive(Debug)]
    enum Term {
        Text(String),
        Class(bool, Vec<(u32, u32)>),
        Rule(String),
        Sequence(Vec<Term>),
        Choice(Vec<Term>),
        Repeat(Box<Term>, u32, Option<u32>),
    }

    struct Parser<'a>(std::iter::Peekable<std::str::Chars<'a>>);

    impl Parser<'_> {
        fn space(&mut self) {
            while self.0.next_if(|c| *c == ' ').is_some() {}
        }

        fn choice(&mut self) -> Term {
            let mut options = vec![self.sequence()];
            while self.0.next_if_eq(&'|').is_some() {
                options.push(self.sequence());
            }
            Term::Choice(options)
        }

        fn sequence(&mut self) -> Term {
            let mut items = Vec::new();
            loop {
                self.space();
                let item = match self.0.peek() {
                    None | Some('|' | ')') => return Term::Sequence(items),
                    Some('"') => self.text(),
                    Some('[') => self.class(),
                    Some('(') => {
                        self.0.next();
                        let inner = self.choice();
                        assert_eq!(self.0.next(), Some(')'));
                        inner
                    }
                    Some(c) => {
                        assert!(c.is_ascii_alphanumeric(), "unexpected {c:?}");
                        let mut name = String::new();
                        while let Some(c) =
                            self.0.next_if(|c| c.is_ascii_alphanumeric() || *c == '-')
                        {
                            name.push(c);
                        }
                        Term::Rule(name)
                    }
                };
                items.push(self.repeated(item));
            }
        }

        fn repeated(&mut self, item: Term) -> Term {
            let (min, max) = match self.0.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    let mut inside = String::new();
                    while let Some(c) = self.0.next_if(|c| *c != '}') {
                        inside.push(c);
                    }
                    let (min, max) = inside[1..].split_once(',').unwrap();
                    (min.parse().unwrap(), max.parse().ok())
                }
                _ => return item,
            };
            self.0.next();
            Term::Repeat(Box::new(item), min, max)
        }

        fn character(&mut self) -> u32 {
            let c = self.0.next().unwrap();
            if c != '\\' {
                return u32::from(c);
            }
            let kind = self.0.next().unwrap();
            let digits = match kind {
                'n' => return 10,
                'r' => return 13,
                't' => return 9,
                'x' => 2,
                'u' => 4,
                'U' => 8,
                c => return u32::from(c),
            };
            let text: String = self.0.by_ref().take(digits).collect();
            u32::from_str_radix(&text, 16).unwrap()
        }

        fn text(&mut self) -> Term {
            self.0.next();
            let mut text = String::new();
            while *self.0.peek().unwrap() != '"' {
                text.push(char::from_u32(self.character()).unwrap());
            }
            self.0.next();
            Term::Text(text)
        }

        fn class(&mut self) -> Term {
            self.0.next();
            let negated = self.0.next_if_eq(&'^').is_some();
            let mut ranges = Vec::new();
            while *self.0.peek().unwrap() != ']' {
                let start = self.character();
                let mut end = start;
                if *self.0.peek().unwrap() == '-' {
                    let mut ahead = self.0.clone();
                    ahead.next();
                    if ahead.peek() != Some(&']') {
                        self.0.next();
                        end = self.character();
                    }
                }
                ranges.push((start, end));
            }
            self.0.next();
            Term::Class(negated, ranges)
        }
    }

    /// Whether the grammar's `root` takes the whole text.
    pub(super) fn accepts(grammar: &str, text: &str) -> bool {
        let rules: BTreeMap<&str, Term> = grammar
            .lines()
            .map(|line| {
                let (name, body) = line.split_once(" ::= ").unwrap();
                let mut parser = Parser(body.chars().peekable());
                let term = parser.choice();
                assert_eq!(parser.0.next(), None, "{line}");
                (name, term)
            })
            .collect();
        let text: Vec<char> = text.chars().collect();
        ends(&rules, &rules["root"], &text, 0).contains(&text.len())
    }

    fn ends(
        rules: &BTreeMap<&str, Term>,
        term: &Term,
        text: &[char],
        at: usize,
    ) -> BTreeSet<usize> {
        match term {
            Term::Text(wanted) => {
                let wanted: Vec<char> = wanted.chars().collect();
                let found = text[at..].starts_with(&wanted);
                found.then_some(at + wanted.len()).into_iter().collect()
            }
            Term::Class(negated, ranges) => {
                let within = |c: &char| {
                    let code = u32::from(*c);
                    ranges
                        .iter()
                        .any(|(start, end)| (*start..=*end).contains(&code))
                        != *negated
                };
                text.get(at)
                    .filter(|c| within(c))
                    .map(|_| at + 1)
                    .into_iter()
                    .collect()
            }
            Term::Rule(name) => ends(rules, &rules[name.as_str()], text, at),
            Term::Sequence(items) => items.iter().fold(BTreeSet::from([at]), |places, item| {
                places
                    .into_iter()
                    .flat_map(|place| ends(rules, item, text, place))
                    .collect()
            }),
            Term::Choice(options) => options
                .iter()
                .flat_map(|option| ends(rules, option, text, at))
                .collect(),
            Term::Repeat(item, min, max) => {
                let mut found = BTreeSet::new();
                let mut places = BTreeSet::from([at]);
                let mut times = 0;
                loop {
                    if times >= *min {
                        let before = found.len();
                        found.extend(places.iter().copied());
                        if times > *min && found.len() == before {
                            return found;
                        }
                    }
                    if places.is_empty() || max.is_some_and(|max| times >= max) {
                        return found;
                    }
                    places = places
                        .into_iter()
                        .flat_map(|place| ends(rules, item, text, place))
                        .collect();
                    times += 1;
                }
            }
        }
    }
}

#[test]
fn objects_keep_their_order_and_take_what_is_required() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"enum": ["x", "y"]}},
        "required": ["b"], "additionalProperties": false
    });
    let gbnf = of(Node::Schema(schema));
    assert!(gbnf.holds_structure);
    for text in [
        r#"{"b":1}"#,
        r#"{"a":"","b":-20}"#,
        r#"{"a":"q\"\u00e4","b":0,"c":"y"}"#,
    ] {
        assert!(accept::accepts(&gbnf.text, text), "{text}\n{}", gbnf.text);
    }
    for text in [
        "{}",
        r#"{"a":"x"}"#,
        r#"{"b":1,"a":"x"}"#,
        r#"{"b":01}"#,
        r#"{"b":1,"c":"z"}"#,
        r#"{"b":1,"d":2}"#,
        r#"{"b":"1"}"#,
    ] {
        assert!(!accept::accepts(&gbnf.text, text), "{text}");
    }
}

#[test]
fn arrays_hold_places_and_counts() {
    let schema = json!({
        "type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}],
        "items": {"type": "null"}, "minItems": 1, "maxItems": 3
    });
    let text = of(Node::Schema(schema)).text;
    for (value, accepted) in [
        ("[1]", true),
        ("[1,true]", true),
        ("[1,true,null]", true),
        ("[]", false),
        ("[true]", false),
        ("[1,true,null,null]", false),
    ] {
        assert_eq!(accept::accepts(&text, value), accepted, "{value}\n{text}");
    }
    let text = of(Node::Schema(
        json!({"type": "array", "items": {"type": "integer"}, "maxItems": 2}),
    ))
    .text;
    assert!(accept::accepts(&text, "[]") && accept::accepts(&text, "[1,2]"));
    assert!(!accept::accepts(&text, "[1,2,3]"));
}

#[test]
fn recursion_and_unions_are_rules() {
    let schema = json!({
        "$ref": "#/$defs/s1",
        "$defs": {"s1": {"anyOf": [
            {"type": "null"},
            {"type": "object", "properties": {"next": {"$ref": "#/$defs/s1"}}, "required": ["next"], "additionalProperties": false}
        ]}}
    });
    let text = of(Node::Schema(schema)).text;
    assert!(accept::accepts(&text, r#"{"next":{"next":null}}"#));
    assert!(!accept::accepts(&text, r#"{"next":{}}"#));
}

#[test]
fn free_text_leaves_out_what_it_must() {
    let node = Node::Sequence(vec![
        Node::Text {
            max_chars: 200,
            without: vec!["<tool_call>".to_owned()],
            one_line: true,
            until: None,
        },
        Node::Optional(Box::new(Node::Literal("\n".to_owned()))),
    ]);
    let text = of(node).text;
    for (value, accepted) in [
        ("hello <b>", true),
        ("a < b\n", true),
        ("call <tool_call>", false),
        ("two\nlines", false),
        ("", false),
    ] {
        assert_eq!(accept::accepts(&text, value), accepted, "{value:?}\n{text}");
    }
}

#[test]
fn further_keys_beside_declared_ones_are_said_to_be_loose() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}});
    assert!(!of(Node::Schema(schema)).holds_structure);
}
