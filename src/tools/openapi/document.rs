//! An OpenAPI 3 document as a list of operations.
//!
//! Data in: the document. Data out: operations with one schema of arguments each, or why one is
//! left out. Invariants: pure; `$ref` is resolved inside the document and never fetched; a schema
//! that holds itself is cut where it does, which allows anything there; size and depth are bounded.

use serde_json::{Map, Value, json};

/// Methods that are operations.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
/// Operations that are read.
const OPERATIONS: usize = 512;
/// Depth to which schemas are followed.
const DEPTH: usize = 48;
/// Values that one operation's schema may grow to.
const VALUES: usize = 20_000;

/// One operation as a tool.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    /// The tool in MCP's terms.
    pub(super) tool: Value,
    pub(super) method: String,
    pub(super) path: String,
    /// Arguments by name, but for those of the body.
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: BodyForm,
}

/// An argument outside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
}

/// Where an argument goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// How arguments make the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    None,
    /// All arguments that are no parameters.
    Rest,
    /// The argument `body`.
    Whole,
}

/// What a document holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Document {
    pub(super) title: String,
    pub(super) version: String,
    /// The first server, as written; may be relative.
    pub(super) server: Option<String>,
    pub(super) operations: Vec<Operation>,
    /// Operations that are left out, with the reason.
    pub(super) left_out: Vec<String>,
}

/// Reads a document.
pub(super) fn read(root: &Value) -> Result<Document, String> {
    let version = root["openapi"].as_str().unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(match root["swagger"].as_str() {
            Some(old) => format!("it is Swagger {old}; only OpenAPI 3 is read"),
            None => "it is no OpenAPI 3 document: `openapi` does not begin with 3".to_owned(),
        });
    }
    let paths = root["paths"]
        .as_object()
        .ok_or_else(|| "it has no `paths`".to_owned())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut document = Document {
        title: text(&root["info"]["title"]),
        version: text(&root["info"]["version"]),
        server: server_of(root),
        ..Document::default()
    };
    for (path, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            if document.operations.len() == OPERATIONS {
                document.left_out.push(format!(
                    "{method} {path}: more than {OPERATIONS} operations"
                ));
                continue;
            }
            match read_operation(root, path, method, item, operation) {
                Ok(operation) => document.operations.push(operation),
                Err(why) => document.left_out.push(format!("{method} {path}: {why}")),
            }
        }
    }
    Ok(document)
}

/// The first server, its variables at their defaults.
fn server_of(root: &Value) -> Option<String> {
    let server = root["servers"].as_array()?.first()?;
    let mut url = server["url"].as_str()?.to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    Some(url)
}

fn read_operation(
    root: &Value,
    path: &str,
    method: &str,
    item: &Value,
    operation: &Value,
) -> Result<Operation, String> {
    let mut reader = Reader {
        root,
        values_left: VALUES,
    };
    let mut arguments = Arguments::default();
    // An operation's own parameter stands for the path's of the same name.
    let own = operation["parameters"].as_array().into_iter().flatten();
    let shared = item["parameters"].as_array().into_iter().flatten();
    for parameter in own.chain(shared) {
        let parameter = reader.follow(parameter)?;
        arguments.parameter(&mut reader, &parameter)?;
    }
    let body = arguments.body(&mut reader, &operation["requestBody"])?;
    let name = match operation["operationId"].as_str() {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => made_name(method, path),
    };
    let described = ["description", "summary"]
        .iter()
        .find_map(|key| operation[*key].as_str().filter(|text| !text.is_empty()));
    let mut tool = json!({
        "name": name,
        "description": described.unwrap_or_default(),
        "inputSchema": {"type": "object", "properties": arguments.properties},
    });
    if !arguments.required.is_empty() {
        tool["inputSchema"]["required"] = arguments.required.clone().into();
    }
    // What HTTP says of its methods. A tool server uses POST for everything, so that says nothing.
    match method {
        "get" => tool["annotations"] = json!({"readOnlyHint": true}),
        "put" | "patch" | "delete" => {
            tool["annotations"] = json!({"readOnlyHint": false, "destructiveHint": true});
        }
        _ => {}
    }
    Ok(Operation {
        tool,
        method: method.to_owned(),
        path: path.to_owned(),
        parameters: arguments.parameters,
        body,
    })
}

/// `get_users_id` for `GET /users/{id}`.
fn made_name(method: &str, path: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    std::iter::once(method)
        .chain(words)
        .collect::<Vec<_>>()
        .join("_")
}

#[derive(Default)]
struct Arguments {
    properties: Map<String, Value>,
    required: Vec<Value>,
    parameters: Vec<Parameter>,
}

impl Arguments {
    fn parameter(&mut self, reader: &mut Reader<'_>, parameter: &Value) -> Result<(), String> {
        let name = parameter["name"]
            .as_str()
            .ok_or("a parameter has no name")?;
        let place = match parameter["in"].as_str() {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            // Cookies belong to a browser.
            Some("cookie") => return Ok(()),
            _ => return Err(format!("parameter `{name}` says no place")),
        };
        if self.properties.contains_key(name) {
            return Ok(());
        }
        let schema = match (&parameter["schema"], parameter["content"].as_object()) {
            (Value::Null, Some(content)) => content
                .values()
                .next()
                .map_or(Value::Null, |media| media["schema"].clone()),
            (schema, _) => schema.clone(),
        };
        let mut schema = reader.schema(&schema, &[], DEPTH)?;
        if let (Value::Object(schema), Some(text)) =
            (&mut schema, parameter["description"].as_str())
        {
            schema
                .entry("description")
                .or_insert_with(|| Value::from(text));
        }
        if place == Place::Path || parameter["required"] == true {
            self.required.push(name.into());
        }
        self.properties.insert(name.to_owned(), schema);
        self.parameters.push(Parameter {
            name: name.to_owned(),
            place,
        });
        Ok(())
    }

    fn body(&mut self, reader: &mut Reader<'_>, body: &Value) -> Result<BodyForm, String> {
        if body.is_null() {
            return Ok(BodyForm::None);
        }
        let body = reader.follow(body)?;
        let media = body["content"]
            .as_object()
            .and_then(|content| {
                content
                    .iter()
                    .find(|(kind, _)| kind.contains("json") || *kind == "*/*")
            })
            .ok_or("its body is no JSON")?
            .1;
        let schema = reader.schema(&media["schema"], &[], DEPTH)?;
        let is_required = body["required"] == true;
        let fields = schema["properties"].as_object();
        let clashes = fields.is_none_or(|fields| {
            schema.get("allOf").is_some()
                || schema.get("oneOf").is_some()
                || schema.get("anyOf").is_some()
                || fields.keys().any(|name| self.properties.contains_key(name))
        });
        if let (Some(fields), false) = (fields, clashes) {
            for (name, schema) in fields {
                self.properties.insert(name.clone(), schema.clone());
            }
            let required = schema["required"].as_array();
            self.required
                .extend(required.into_iter().flatten().cloned());
            return Ok(BodyForm::Rest);
        }
        if self.properties.contains_key("body") {
            return Err("its body and a parameter are both called `body`".to_owned());
        }
        if is_required {
            self.required.push("body".into());
        }
        self.properties.insert("body".to_owned(), schema);
        Ok(BodyForm::Whole)
    }
}

struct Reader<'a> {
    root: &'a Value,
    values_left: usize,
}

impl Reader<'_> {
    /// What a `$ref` at the top of a value stands for.
    fn follow(&self, value: &Value) -> Result<Value, String> {
        let mut value = value;
        for _ in 0..DEPTH {
            match value["$ref"].as_str() {
                None => return Ok(value.clone()),
                Some(reference) => value = self.target(reference)?,
            }
        }
        Err("its references go in a circle".to_owned())
    }

    fn target(&self, reference: &str) -> Result<&Value, String> {
        let pointer = reference
            .strip_prefix('#')
            .ok_or_else(|| format!("`{reference}` is outside the document, and is not fetched"))?;
        let pointer = pointer.replace("%7B", "{").replace("%7D", "}");
        self.root
            .pointer(&pointer)
            .ok_or_else(|| format!("`{reference}` leads nowhere"))
    }

    /// A schema with everything it refers to put in; `inside` are the references it stands in.
    fn schema(&mut self, schema: &Value, inside: &[String], depth: usize) -> Result<Value, String> {
        if depth == 0 || self.values_left == 0 {
            return Err("its schema is too deep or too large".to_owned());
        }
        self.values_left -= 1;
        match schema {
            Value::Array(items) => items
                .iter()
                .map(|item| self.schema(item, inside, depth - 1))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            Value::Object(map) => {
                if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                    if inside.iter().any(|outer| outer == reference) {
                        return Ok(json!({}));
                    }
                    let target = self.target(reference)?.clone();
                    let inside = [inside, &[reference.to_owned()]].concat();
                    return self.schema(&target, &inside, depth - 1);
                }
                let mut out = Map::new();
                for (key, value) in map {
                    // Data, in which `$ref` means nothing.
                    let is_data =
                        ["enum", "const", "default", "example", "examples"].contains(&key.as_str());
                    let value = if is_data {
                        value.clone()
                    } else {
                        self.schema(value, inside, depth - 1)?
                    };
                    out.insert(key.clone(), value);
                }
                Ok(Value::Object(as_json_schema(out)))
            }
            Value::Null => Ok(json!({})),
            plain => Ok(plain.clone()),
        }
    }
}

/// What OpenAPI 3.0 writes otherwise than JSON Schema.
fn as_json_schema(mut schema: Map<String, Value>) -> Map<String, Value> {
    if schema.get("nullable") == Some(&Value::Bool(true)) {
        schema.shift_remove("nullable");
        if let Some(Value::String(kind)) = schema.get("type").cloned() {
            schema.insert("type".to_owned(), json!([kind, "null"]));
        }
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
    }
    for (bound, exclusive) in [
        ("minimum", "exclusiveMinimum"),
        ("maximum", "exclusiveMaximum"),
    ] {
        if let Some(Value::Bool(is_exclusive)) = schema.get(exclusive).cloned() {
            schema.shift_remove(exclusive);
            if is_exclusive && let Some(limit) = schema.shift_remove(bound) {
                schema.insert(exclusive.to_owned(), limit);
            }
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(paths: &Value) -> Value {
        json!({"openapi": "3.0.3", "info": {"title": "Shop", "version": "2"},
            "servers": [{"url": "https://{where}.example/api", "variables": {"where": {"default": "eu"}}}],
            "paths": paths, "components": {
                "parameters": {"Id": {"name": "id", "in": "path", "required": true, "schema": {"type": "integer"}}},
                "schemas": {
                    "Order": {"type": "object", "required": ["item"], "properties": {
                        "item": {"$ref": "#/components/schemas/Item"},
                        "note": {"type": "string", "nullable": true},
                        "count": {"type": "integer", "minimum": 0, "exclusiveMinimum": true}}},
                    "Item": {"type": "object", "properties": {"parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}}}}}})
    }

    #[test]
    fn operations_become_tools_with_everything_put_in() {
        let root = document(&json!({
            "/orders/{id}": {"parameters": [{"$ref": "#/components/parameters/Id"}],
                "get": {"summary": "Reads an order", "parameters": [{"name": "full", "in": "query", "schema": {"type": "boolean"}, "description": "all of it"}]},
                "put": {"operationId": "putOrder", "requestBody": {"required": true, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}}},
            "/names": {"post": {"operationId": "names", "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "array", "items": {"type": "string"}}}}}}}}));
        let read = read(&root).unwrap();
        assert_eq!(read.server.as_deref(), Some("https://eu.example/api"));
        assert_eq!(read.left_out, Vec::<String>::new());
        let [get, put, names] = read.operations.as_slice() else {
            panic!("{read:?}")
        };
        assert_eq!(get.tool["name"], "get_orders_id");
        assert_eq!(get.tool["description"], "Reads an order");
        assert_eq!(get.tool["annotations"]["readOnlyHint"], true);
        assert_eq!(
            get.tool["inputSchema"],
            json!({"type": "object", "properties": {"full": {"type": "boolean", "description": "all of it"}, "id": {"type": "integer"}}, "required": ["id"]})
        );
        assert_eq!(put.body, BodyForm::Rest);
        assert_eq!(put.tool["annotations"]["destructiveHint"], true);
        let schema = &put.tool["inputSchema"];
        assert_eq!(schema["required"], json!(["id", "item"]));
        assert_eq!(
            schema["properties"]["note"]["type"],
            json!(["string", "null"])
        );
        assert_eq!(
            schema["properties"]["count"],
            json!({"type": "integer", "exclusiveMinimum": 0})
        );
        // What holds itself allows anything inside.
        assert_eq!(
            schema["properties"]["item"]["properties"]["parts"]["items"],
            json!({})
        );
        assert_eq!(names.body, BodyForm::Whole);
        assert_eq!(names.tool["inputSchema"]["required"], json!(["body"]));
        assert_eq!(names.tool.get("annotations"), None);
    }

    #[test]
    fn nothing_outside_the_document_is_fetched() {
        let root = document(&json!({
            "/far": {"get": {"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "http://evil.example/s.json"}}]}},
            "/gone": {"get": {"parameters": [{"$ref": "#/components/parameters/None"}]}},
            "/form": {"post": {"requestBody": {"content": {"multipart/form-data": {"schema": {}}}}}},
            "/fine": {"get": {}}}));
        let read = read(&root).unwrap();
        assert_eq!(read.operations.len(), 1);
        for (line, needle) in read.left_out.iter().zip([
            "outside the document, and is not fetched",
            "leads nowhere",
            "no JSON",
        ]) {
            assert!(line.contains(needle), "{line}");
        }
        assert_eq!(read.left_out.len(), 3);
    }

    #[test]
    fn other_documents_are_told() {
        for (root, needle) in [
            (json!({"swagger": "2.0"}), "Swagger 2.0"),
            (json!([]), "no OpenAPI 3 document"),
            (json!({"openapi": "3.1.0"}), "no `paths`"),
        ] {
            assert!(super::read(&root).unwrap_err().contains(needle));
        }
    }

    #[test]
    fn a_document_that_grows_without_end_is_cut() {
        // Each schema holds the next one twice: 2^40 values when all are put in.
        let mut schemas = Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/components/schemas/S{}", level + 1)});
            schemas.insert(
                format!("S{level}"),
                json!({"properties": {"a": next, "b": next}}),
            );
        }
        schemas.insert("S40".to_owned(), json!({}));
        let mut root = document(
            &json!({"/x": {"get": {"parameters": [{"name": "a", "in": "query", "schema": {"$ref": "#/components/schemas/S0"}}]}}}),
        );
        root["components"]["schemas"] = schemas.into();
        let read = super::read(&root).unwrap();
        assert!(
            read.left_out[0].contains("too deep or too large"),
            "{read:?}"
        );
    }
}
