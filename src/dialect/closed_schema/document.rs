//! A schema document: its nodes, their drafts, and where references lead.
//!
//! Data in: a schema as the tool's author wrote it. Data out: nodes by number, targets of
//! references. Invariants: only places within the document are found; nothing is fetched; work is
//! bounded by the size of the document.

use std::collections::HashMap;
use std::rc::Rc;

use jsonschema::{Draft, uri};
use serde_json::Value;

/// Number of a node.
pub(super) type NodeId = usize;
/// The schema that everything satisfies; not part of the document.
pub(super) const TRUE_NODE: NodeId = 0;
/// The document itself.
pub(super) const ROOT_NODE: NodeId = 1;
/// Base of a document without an id.
const DEFAULT_BASE: &str = "json-schema:///";
/// Deepest place that is looked at for ids and anchors.
const MOST_LEVELS: usize = 200;

/// One schema within the document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    /// The schema.
    pub(super) value: &'a Value,
    /// The draft it is read by.
    pub(super) draft: Draft,
    /// JSON pointer from the root.
    pub(super) pointer: Rc<str>,
    base: Rc<str>,
}

/// What is known of a place before it is asked for.
#[derive(Clone)]
struct Place {
    draft: Draft,
    pointer: Rc<str>,
    base: Rc<str>,
}

/// The document.
pub(super) struct Document<'a> {
    nodes: Vec<Node<'a>>,
    numbers: HashMap<*const Value, NodeId>,
    places: HashMap<*const Value, Place>,
    resources: HashMap<String, &'a Value>,
    anchors: HashMap<(Rc<str>, String), &'a Value>,
    dynamic_anchors: HashMap<String, Vec<&'a Value>>,
    recursive_anchors: usize,
}

static TRUE: Value = Value::Bool(true);

impl<'a> Document<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        let base: Rc<str> = Rc::from(DEFAULT_BASE);
        let mut document = Self {
            nodes: Vec::new(),
            numbers: HashMap::new(),
            places: HashMap::new(),
            resources: HashMap::from([(DEFAULT_BASE.to_owned(), root)]),
            anchors: HashMap::new(),
            dynamic_anchors: HashMap::new(),
            recursive_anchors: 0,
        };
        document.nodes.push(Node {
            value: &TRUE,
            draft: Draft::Draft202012,
            pointer: Rc::from(""),
            base: Rc::clone(&base),
        });
        document.scan(root, "", &base, Draft::Draft202012, 0);
        document.number(root, ROOT_NODE, "");
        document
    }

    pub(super) fn node(&self, id: NodeId) -> Node<'a> {
        self.nodes[id].clone()
    }

    /// The node of a subschema of `parent`; `step` is the pointer from there.
    pub(super) fn child(&mut self, parent: NodeId, step: &str, value: &'a Value) -> NodeId {
        self.number(value, parent, step)
    }

    fn number(&mut self, value: &'a Value, parent: NodeId, step: &str) -> NodeId {
        let key = std::ptr::from_ref(value);
        if let Some(id) = self.numbers.get(&key) {
            return *id;
        }
        let place = self.places.get(&key).cloned().unwrap_or_else(|| {
            let parent = &self.nodes[parent.min(self.nodes.len() - 1)];
            Place {
                draft: parent.draft,
                pointer: Rc::from(format!("{}{step}", parent.pointer)),
                base: Rc::clone(&parent.base),
            }
        });
        let id = self.nodes.len();
        self.nodes.push(Node {
            value,
            draft: place.draft,
            pointer: place.pointer,
            base: place.base,
        });
        self.numbers.insert(key, id);
        id
    }

    /// Finds ids and anchors.
    fn scan(
        &mut self,
        value: &'a Value,
        pointer: &str,
        base: &Rc<str>,
        draft: Draft,
        level: usize,
    ) {
        let draft = match draft.detect(value) {
            Draft::Unknown => Draft::Draft202012,
            known => known,
        };
        let mut base = Rc::clone(base);
        if let Value::Object(map) = value {
            let old = draft <= Draft::Draft7;
            let hidden = old && map.contains_key("$ref");
            if let Some(id) = map.get(draft.id_keyword()).and_then(Value::as_str)
                && !hidden
            {
                base = self.identify(id, value, &base, old);
            }
            if !old {
                self.collect_anchors(value, &base);
            }
        }
        self.places.insert(
            std::ptr::from_ref(value),
            Place {
                draft,
                pointer: Rc::from(pointer),
                base: Rc::clone(&base),
            },
        );
        if level < MOST_LEVELS {
            for (step, child) in subschemas(value) {
                self.scan(child, &format!("{pointer}{step}"), &base, draft, level + 1);
            }
        }
    }

    /// Notes an id; gives the base below it.
    fn identify(&mut self, id: &str, value: &'a Value, base: &Rc<str>, old: bool) -> Rc<str> {
        let (address, fragment) = id.split_once('#').unwrap_or((id, ""));
        let own = if address.is_empty() {
            Rc::clone(base)
        } else {
            match resolve(base, address) {
                Some(absolute) => {
                    self.resources.entry(absolute.clone()).or_insert(value);
                    Rc::from(absolute)
                }
                None => Rc::clone(base),
            }
        };
        if old && !fragment.is_empty() && !fragment.starts_with('/') {
            self.anchors
                .entry((Rc::clone(&own), fragment.to_owned()))
                .or_insert(value);
        }
        own
    }

    fn collect_anchors(&mut self, value: &'a Value, base: &Rc<str>) {
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = value.get(keyword).and_then(Value::as_str) {
                self.anchors
                    .entry((Rc::clone(base), name.to_owned()))
                    .or_insert(value);
                if keyword == "$dynamicAnchor" {
                    self.dynamic_anchors
                        .entry(name.to_owned())
                        .or_default()
                        .push(value);
                }
            }
        }
        if value.get("$recursiveAnchor") == Some(&Value::Bool(true)) {
            self.recursive_anchors += 1;
        }
    }

    /// Where a static reference leads, if within the document.
    pub(super) fn target(&mut self, from: NodeId, reference: &str) -> Option<NodeId> {
        let value = self.find(from, reference)?;
        Some(self.number(value, from, "/$ref"))
    }

    fn find(&self, from: NodeId, reference: &str) -> Option<&'a Value> {
        let base = &self.nodes[from].base;
        let (address, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let absolute: Rc<str> = if address.is_empty() {
            Rc::clone(base)
        } else {
            Rc::from(resolve(base, address)?)
        };
        let resource = self.resources.get(absolute.as_ref())?;
        let fragment = percent_decoded(fragment)?;
        if fragment.is_empty() {
            Some(resource)
        } else if fragment.starts_with('/') {
            resource.pointer(&fragment)
        } else {
            self.anchors.get(&(absolute, fragment)).copied()
        }
    }

    /// Where a dynamic reference leads, if that does not depend on the way it is reached by.
    pub(super) fn dynamic_target(&mut self, from: NodeId, reference: &str) -> Option<NodeId> {
        let value = self.find(from, reference)?;
        let name = value.get("$dynamicAnchor").and_then(Value::as_str);
        let named = reference.split_once('#').map(|(_, fragment)| fragment);
        let is_dynamic = name.is_some() && name == named;
        let candidates = name.and_then(|name| self.dynamic_anchors.get(name));
        if is_dynamic && candidates.is_some_and(|found| found.len() > 1) {
            return None;
        }
        Some(self.number(value, from, "/$dynamicRef"))
    }

    /// Where `$recursiveRef` leads, if that does not depend on the way it is reached by.
    pub(super) fn recursive_target(&mut self, from: NodeId) -> Option<NodeId> {
        let value = self.find(from, "#")?;
        let is_dynamic = value.get("$recursiveAnchor") == Some(&Value::Bool(true));
        if is_dynamic && self.recursive_anchors > 1 {
            return None;
        }
        Some(self.number(value, from, "/$recursiveRef"))
    }
}

/// The subschemas of a schema, with the pointer's steps.
fn subschemas(value: &Value) -> Vec<(String, &Value)> {
    let Value::Object(map) = value else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (keyword, field) in map {
        match (keyword.as_str(), field) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
                | "dependencies",
                Value::Object(children),
            ) => found.extend(
                children
                    .iter()
                    .map(|(name, child)| (format!("/{keyword}{}", step(name)), child)),
            ),
            ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(children)) => {
                found.extend(
                    children
                        .iter()
                        .enumerate()
                        .map(|(index, child)| (format!("/{keyword}/{index}"), child)),
                );
            }
            (
                "items"
                | "additionalItems"
                | "additionalProperties"
                | "propertyNames"
                | "contains"
                | "not"
                | "if"
                | "then"
                | "else"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "contentSchema",
                child,
            ) => found.push((format!("/{keyword}"), child)),
            _ => {}
        }
    }
    found
}

/// A name as a step of a JSON pointer.
pub(super) fn step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn resolve(base: &str, address: &str) -> Option<String> {
    let base = uri::from_str(base).ok()?;
    let absolute = uri::resolve_against(&base.borrow(), address).ok()?;
    Some(absolute.as_str().trim_end_matches('#').to_owned())
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' && tail.len() >= 2 {
            let digits = std::str::from_utf8(&tail[..2]).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_lead_to_pointers_anchors_and_ids() {
        let schema = json!({
            "$id": "https://example.com/root.json",
            "$defs": {
                "a b": {"type": "string"},
                "x/y": {"$anchor": "here", "type": "null"},
                "own": {"$id": "other.json", "$defs": {"in": {"type": "number"}}}
            }
        });
        let mut document = Document::new(&schema);
        for (reference, wanted) in [
            ("#", Some("")),
            ("#/$defs/a%20b", Some("/$defs/a b")),
            ("#/$defs/x~1y", Some("/$defs/x~1y")),
            ("#here", Some("/$defs/x~1y")),
            ("other.json", Some("/$defs/own")),
            ("other.json#/$defs/in", Some("/$defs/own/$defs/in")),
            ("https://example.com/root.json#here", Some("/$defs/x~1y")),
            ("https://example.com/none.json", None),
            ("#/$defs/none", None),
            ("#nowhere", None),
        ] {
            let found = document.target(ROOT_NODE, reference);
            let pointer = found.map(|id| document.node(id).pointer.to_string());
            assert_eq!(pointer.as_deref(), wanted, "{reference}");
        }
    }

    #[test]
    fn old_drafts_use_id_and_hide_what_stands_beside_a_reference() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-04/schema#",
            "id": "http://example.com/a",
            "definitions": {
                "one": {"id": "#one", "type": "string"},
                "two": {"id": "b", "$ref": "#/definitions/one"}
            }
        });
        let mut document = Document::new(&schema);
        assert_eq!(document.node(ROOT_NODE).draft, Draft::Draft4);
        assert!(document.target(ROOT_NODE, "#one").is_some());
        assert!(document.target(ROOT_NODE, "b").is_none());
    }

    #[test]
    fn a_dynamic_reference_with_two_possible_ends_is_not_followed() {
        let schema = json!({
            "$defs": {"one": {"$dynamicAnchor": "n"}, "two": {"$dynamicAnchor": "n"}, "three": {"$dynamicAnchor": "m"}}
        });
        let mut document = Document::new(&schema);
        assert_eq!(document.dynamic_target(ROOT_NODE, "#n"), None);
        assert!(document.dynamic_target(ROOT_NODE, "#m").is_some());
    }
}
