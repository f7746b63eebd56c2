//! Where things stand in a suite's text.
//!
//! Data in: YAML or JSON text. Data out: a tree of what it holds, each part with line and column,
//! found by path or by name. Invariants: pure and total; a text that does not parse has no
//! positions; a path that leads nowhere ends at the deepest part of it that exists.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// Line and column, both from 1, in characters.
pub type At = (usize, usize);

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An item of a list, from 0.
    Item(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::Item(index)
    }
}

/// The positions of a whole document.
#[derive(Debug)]
pub struct Positions(Option<Node>);

/// A value and where it begins.
#[derive(Debug)]
pub struct Node {
    /// Where the value begins.
    pub at: At,
    /// What it holds.
    pub content: Content,
}

/// What a value holds.
#[derive(Debug)]
pub enum Content {
    /// A scalar, as text.
    Scalar(String),
    /// Items.
    List(Vec<Node>),
    /// Entries in the order written.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_at: At,
    /// The value.
    pub value: Node,
}

impl Positions {
    /// Reads the positions of a text.
    pub fn of(text: &str) -> Self {
        // A number without end is refused by who reads the value, and has a place too.
        let options = serde_saphyr::options! {
            non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        };
        let parsed = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options);
        Self(parsed.ok().map(Node::from))
    }

    /// Where the value of a path begins, or the deepest part of the path that exists.
    pub fn at(&self, path: &[Step]) -> Option<At> {
        let mut at = None;
        let mut node = self.0.as_ref()?;
        for step in path {
            match node.child(step) {
                Some((place, next)) => {
                    at = Some(place);
                    node = next;
                }
                None => break,
            }
        }
        at
    }

    /// The value at a path.
    pub fn node(&self, path: &[Step]) -> Option<&Node> {
        path.iter().try_fold(self.0.as_ref()?, |node, step| {
            node.child(step).map(|(_, next)| next)
        })
    }

    /// Where a path followed by a JSON pointer leads.
    pub fn at_pointer(&self, path: &[Step], pointer: &str) -> Option<At> {
        let mut path = path.to_vec();
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let is_list = |node: &Node| matches!(node.content, Content::List(_));
            path.push(
                match (self.node(&path).is_some_and(is_list), name.parse()) {
                    (true, Ok(index)) => Step::Item(index),
                    _ => Step::Key(name),
                },
            );
        }
        self.at(&path)
    }

    /// Where the last of some names stands, each searched inside the one before it. The first is
    /// the id of a case or a top-level key (`mock:`); the others are keys or whole values. A name
    /// that is not there leaves the place of the one before.
    pub fn find(&self, names: &[&str]) -> Option<At> {
        let mut node = self.0.as_ref()?;
        let mut found = None;
        for (index, name) in names.iter().enumerate() {
            let case = if index == 0 { self.case(name) } else { None };
            let Some((at, next)) = case.or_else(|| node.search(name.trim_end_matches(':'))) else {
                break;
            };
            found = Some(at);
            node = next;
        }
        found
    }

    /// A case and where its id stands.
    fn case(&self, id: &str) -> Option<(At, &Node)> {
        let Content::List(cases) = &self.node(&["cases".into()])?.content else {
            return None;
        };
        cases.iter().find_map(|case| {
            let (at, node) = case.child(&"id".into())?;
            matches!(&node.content, Content::Scalar(text) if text == id).then_some((at, case))
        })
    }
}

impl Node {
    /// The child that a step leads to, and the place to name for it.
    fn child(&self, step: &Step) -> Option<(At, &Self)> {
        match (step, &self.content) {
            (Step::Key(name), Content::Map(entries)) => {
                let entry = entries.iter().find(|entry| &entry.key == name)?;
                Some((entry.value.at, &entry.value))
            }
            (Step::Item(index), Content::List(items)) => {
                items.get(*index).map(|item| (item.at, item))
            }
            _ => None,
        }
    }

    /// The first key or scalar of this name, in the order written, and where to go on.
    fn search(&self, name: &str) -> Option<(At, &Self)> {
        match &self.content {
            Content::Scalar(text) => (text == name).then_some((self.at, self)),
            Content::List(items) => items.iter().find_map(|item| item.search(name)),
            Content::Map(entries) => entries.iter().find_map(|entry| {
                if entry.key == name {
                    Some((entry.key_at, &entry.value))
                } else {
                    entry.value.search(name)
                }
            }),
        }
    }
}

fn place(location: Location) -> At {
    (location.line() as usize, location.column() as usize)
}

/// A value as it is read: children carry their places, the value's own is its parent's to keep.
enum Raw {
    Scalar(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl From<Spanned<Raw>> for Node {
    fn from(raw: Spanned<Raw>) -> Self {
        Self {
            at: place(raw.referenced),
            content: match raw.value {
                Raw::Scalar(text) => Content::Scalar(text),
                Raw::List(items) => Content::List(items.into_iter().map(Self::from).collect()),
                Raw::Map(entries) => Content::Map(
                    entries
                        .into_iter()
                        .map(|(key, value)| Entry {
                            key_at: place(key.referenced),
                            key: key.value,
                            value: value.into(),
                        })
                        .collect(),
                ),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(String::new()))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(String::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment
suite: tiny
tools:
  - name: get_time
    inputSchema: {type: object, properties: {zone: {type: strng}}}
  - name: t-1
mock:
  rules: [{tool: get_time, reply: noon}]
cases:
  - id: t-10
    why: not t-1
    user: get_tme is a word here
    expect: {calls: [{tool: get_time}]}
  - id: t-1
    user: get_tme, please
    expect:
      calls:
        - tool: get_tme
          arguments:
            \"q\": [1, 2]
";

    #[test]
    fn paths_pointers_and_names_lead_to_their_places() {
        let positions = Positions::of(TEXT);
        let path = |steps: &[&str]| {
            let steps: Vec<Step> = steps
                .iter()
                .map(|step| {
                    step.parse::<usize>()
                        .map_or_else(|_| (*step).into(), Step::from)
                })
                .collect();
            positions.at(&steps)
        };
        assert_eq!(path(&["suite"]), Some((2, 8)));
        assert_eq!(path(&["tools", "0"]), Some((4, 5)));
        assert_eq!(path(&["tools", "0", "name"]), Some((4, 11)));
        assert_eq!(path(&["tools", "7", "name"]), Some((4, 3)));
        assert_eq!(path(&["cases", "1", "id"]), Some((14, 9)));
        assert_eq!(path(&["none"]), None);
        let schema: [Step; 3] = ["tools".into(), 0.into(), "inputSchema".into()];
        let deep = positions.at_pointer(&schema, "/properties/zone/type");
        assert_eq!(deep, Some((5, 59)));
        assert_eq!(
            positions.at_pointer(&schema, "/properties/other"),
            Some((5, 45))
        );
        assert_eq!(positions.find(&["t-1"]), Some((14, 9)));
        assert_eq!(positions.find(&["t-10"]), Some((10, 9)));
        assert_eq!(positions.find(&["t-1", "get_tme"]), Some((18, 17)));
        assert_eq!(positions.find(&["t-1", "q"]), Some((20, 13)));
        assert_eq!(positions.find(&["t-1", "absent"]), Some((14, 9)));
        assert_eq!(positions.find(&["mock:", "get_time"]), Some((8, 18)));
        assert_eq!(positions.find(&["server:"]), None);
    }

    #[test]
    fn json_has_positions_and_nonsense_has_none() {
        let positions = Positions::of("{\"suite\": \"a\",\n \"cases\": [{\"id\": \"x\"}]}");
        assert_eq!(positions.find(&["x"]), Some((2, 19)));
        assert_eq!(Positions::of("a: [").at(&["a".into()]), None);
        assert_eq!(Positions::of("").find(&["a"]), None);
    }

    #[test]
    fn numbers_without_end_have_places_too() {
        let positions = Positions::of("a: {floor: .nan}\nb: -.inf\n");
        assert_eq!(positions.at(&["a".into(), "floor".into()]), Some((1, 12)));
        assert_eq!(positions.at(&["b".into()]), Some((2, 4)));
    }

    #[test]
    fn dashes_at_the_margin() {
        let positions = Positions::of("a: 1\ncases:\n- id: one\n- two\n");
        assert_eq!(positions.at(&["cases".into(), 0.into()]), Some((3, 3)));
        assert_eq!(positions.at(&["cases".into(), 1.into()]), Some((4, 3)));
    }

    #[test]
    fn aliases_stand_where_they_are_used() {
        let positions = Positions::of("a: &x {k: 1}\nb: *x\n");
        assert_eq!(positions.at(&["b".into()]), Some((2, 4)));
    }
}
