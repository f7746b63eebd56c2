//! OpenAPI tool servers: operations as tools, and calls as their requests.

use serde_json::{Value, json};
use toolbench::tools::mcp::Allowed;
use toolbench::types::host::HostAddress;
use toolbench::types::{Code, ToolCall};

use super::server::{Reply, Request, Server};
use super::{host_of, spec, within_limit};

fn document() -> Value {
    json!({"openapi": "3.1.0", "info": {"title": "Shop", "version": "2.0"}, "servers": [{"url": "/api"}],
        "paths": {
            "/orders/{id}": {"get": {"operationId": "read_order", "parameters": [
                {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                {"name": "part", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}]}},
            "/orders": {"post": {"operationId": "order", "requestBody": {"required": true, "content": {"application/json":
                {"schema": {"$ref": "#/components/schemas/Order"}}}}}},
            "/far": {"get": {"operationId": "far", "parameters": [{"name": "a", "in": "query", "schema": {"$ref": "other.json#/A"}}]}}},
        "components": {"schemas": {"Order": {"type": "object", "properties": {"item": {"type": "string"}, "count": {"type": "integer"}}, "required": ["item"]}}}})
}

fn shop(request: &Request) -> Reply {
    match (
        &*request.method,
        request.path.split('?').next().unwrap_or_default(),
    ) {
        ("GET", "/openapi.json") => Reply::json(200, &document()),
        ("GET", "/api/orders/a%2Fb") => Reply::json(
            200,
            &json!({"path": request.path, "trace": request.header("x-trace")}),
        ),
        ("GET", "/api/orders/missing") => Reply::json(404, &json!({"detail": "no such order"})),
        ("GET", "/api/orders/broken") => Reply::json(500, &json!({"message": "db down"})),
        ("GET", "/api/orders/proxied") => Reply::json(
            500,
            &json!({"detail": {"message": "tool failed", "error": "x"}}),
        ),
        ("POST", "/api/orders") => Reply::text(201, &format!("ordered {}", request.body)),
        _ => Reply::text(404, "no such page"),
    }
}

#[test]
fn operations_are_called_as_the_document_says() {
    within_limit(async {
        let server = Server::start(shop);
        let mut spec = spec(HostAddress::OpenApi {
            source: server.url("/openapi.json"),
        });
        spec.safety.allowed = Allowed::ReadOnlyAnd(vec!["order".to_owned()]);
        let host = host_of(&spec);
        let facts = host.facts().await.unwrap();
        assert_eq!(facts.identity.as_deref(), Some("Shop 2.0"));
        assert_eq!(facts.tools.len(), 2);
        // What refers to another document is left out and told; nothing was fetched for it.
        assert!(
            facts.faults[0].contains("not fetched"),
            "{:?}",
            facts.faults
        );
        assert_eq!(server.requests().len(), 1);
        let mut session = host.open(None).await.unwrap();
        let mut read = async |id: &str| {
            let arguments = json!({"id": id, "part": ["x", "y z"], "X-Trace": "t1"});
            session.call(&ToolCall::new("read_order", arguments)).await
        };
        let found = read("a/b").await.unwrap().structured.unwrap();
        assert_eq!(found["path"], "/api/orders/a%2Fb?part=x&part=y+z");
        assert_eq!(found["trace"], "t1");
        let missing = read("missing").await.unwrap();
        assert!(missing.is_error && missing.content == "no such order");
        let proxied = read("proxied").await.unwrap();
        assert!(proxied.is_error && proxied.content == "tool failed");
        let broken = read("broken").await.unwrap_err();
        assert_eq!(broken.code, Code::ToolErrorEnv);
        assert!(broken.message.contains("db down"), "{broken}");
        assert!(
            read("..")
                .await
                .unwrap()
                .content
                .contains("cannot stand in the path")
        );
        let ordered = session
            .call(&ToolCall::new("order", json!({"item": "tea", "count": 2})))
            .await
            .unwrap();
        assert_eq!(ordered.content, r#"ordered {"item":"tea","count":2}"#);
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn documents_may_be_files_and_say_what_is_wrong_with_them() {
    within_limit(async {
        let server = Server::start(shop);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.yaml");
        let source = path.to_string_lossy().into_owned();
        let list = async || {
            let address = HostAddress::OpenApi {
                source: source.clone(),
            };
            host_of(&spec(address)).list().await
        };
        assert!(list().await.unwrap_err().message.contains("cannot read"));
        std::fs::write(&path, "openapi: 3.0.0\npaths: {}\n").unwrap();
        assert!(
            list()
                .await
                .unwrap_err()
                .message
                .contains("names no server")
        );
        std::fs::write(&path, "swagger: '2.0'\n").unwrap();
        assert!(list().await.unwrap_err().message.contains("Swagger 2.0"));
        let text = format!(
            "openapi: 3.0.0\nservers: [{{url: '{}'}}]\npaths:\n  /orders/missing:\n    get: {{operationId: missing}}\n",
            server.url("/api")
        );
        std::fs::write(&path, text).unwrap();
        assert_eq!(list().await.unwrap()[0].name, "missing");
    });
}
