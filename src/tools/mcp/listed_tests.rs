//! Lists of many clients, as their documents show them (November 2026), and what is wrong with some.

use super::*;

fn placeholders() -> Placeholders {
    let variables = [("HOME", "/home/x"), ("KEY", "k1"), ("ASKED_TOKEN", "t1")];
    Placeholders {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        directory: "/project".to_owned(),
    }
}

fn read(text: &str) -> Listed {
    read_list(text, &placeholders()).unwrap()
}

fn one(text: &str) -> ListedServer {
    let mut found = read(text);
    assert_eq!(found.len(), 1);
    found.remove(0).1.unwrap()
}

fn program(server: &ListedServer) -> (&str, &[String], Vec<(&str, &str)>) {
    let HostAddress::Stdio {
        command,
        arguments,
        environment,
        ..
    } = &server.address
    else {
        panic!("{server:?}");
    };
    let environment = environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.reveal()))
        .collect();
    (command, arguments, environment)
}

#[test]
fn commands_are_read_from_every_kind_of_list() {
    let server = one(r#"{"mcpServers": {
        "files": {"command": "npx", "args": ["-y", "server-filesystem", "${HOME}/docs", 3], "env": {"API_KEY": "${env:KEY}", "LEVEL": 2, "NONE": null, "BARE": "$KEY"}, "cwd": "/srv", "disabled": false}}}"#);
    let (command, arguments, environment) = program(&server);
    assert_eq!(command, "npx");
    assert_eq!(arguments, ["-y", "server-filesystem", "/home/x/docs", "3"]);
    assert_eq!(
        environment,
        [("API_KEY", "k1"), ("BARE", "k1"), ("LEVEL", "2")]
    );
    assert!(!server.is_disabled);
    assert_eq!(server.secrets(), ["k1"]);
    let HostAddress::Stdio {
        working_directory, ..
    } = &server.address
    else {
        panic!()
    };
    assert_eq!(working_directory.as_deref(), Some("/srv".as_ref()));

    let editor = one(
        "{ // servers of this folder\n \"servers\": {\"a\": {\"type\": \"stdio\", \"command\": \"x //y\" /* z */}}}",
    );
    assert_eq!(program(&editor).0, "x //y");
    let commas = one(
        "{\"servers\": {\"a\": {\"command\": \"x,}\", \"args\": [\"a,]\", /* last */ ],\n},}, // end\n}",
    );
    assert_eq!(program(&commas).0, "x,}");
    assert_eq!(program(&commas).1, ["a,]"]);
    for text in [
        r#"{"mcp": {"servers": {"a": {"command": "x", "args": ["1"]}}}}"#,
        r#"{"mcp": {"a": {"type": "local", "command": ["x", "1"]}}}"#,
        r#"{"context_servers": {"a": {"command": {"path": "x", "args": ["1"]}}}}"#,
    ] {
        let server = one(text);
        assert_eq!(
            (program(&server).0, program(&server).1),
            ("x", &["1".to_owned()][..])
        );
    }
    assert!(one(r#"{"mcpServers": {"a": {"command": "x", "disabled": true}}}"#).is_disabled);
    assert!(one(r#"{"mcpServers": {"a": {"command": "x", "enabled": false}}}"#).is_disabled);
}

#[test]
fn addresses_are_read_with_their_headers() {
    let http = |url: &str| HostAddress::Http {
        url: url.to_owned(),
    };
    for (text, address) in [
        (
            r#"{"url": "https://a.example/mcp"}"#,
            http("https://a.example/mcp"),
        ),
        (
            r#"{"serverUrl": "https://a.example/mcp"}"#,
            http("https://a.example/mcp"),
        ),
        (
            r#"{"type": "sse", "url": "http://a.example/sse"}"#,
            http("http://a.example/sse"),
        ),
        (
            r#"{"transport": "streamable-http", "url": "http://${KEY}.example"}"#,
            http("http://k1.example"),
        ),
        (
            r#"{"type": "ws", "url": "https://a.example/mcp"}"#,
            HostAddress::WebSocket {
                url: "wss://a.example/mcp".to_owned(),
            },
        ),
    ] {
        assert_eq!(
            one(&format!(r#"{{"servers": {{"a": {text}}}}}"#)).address,
            address
        );
    }
    let server = one(
        r#"{"inputs": [{"id": "asked-token", "type": "promptString", "password": true}, {"id": "level", "default": "high"}],
        "servers": {"a": {"type": "http", "url": "https://a.example/mcp", "headers": {"Authorization": "Bearer ${input:asked-token}", "X-Level": "${input:level}"}}}}"#,
    );
    let headers: Vec<_> = server
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.reveal()))
        .collect();
    assert_eq!(
        headers,
        [("Authorization", "Bearer t1"), ("X-Level", "high")]
    );
    assert_eq!(server.secrets(), ["t1"]);
    assert!(!format!("{server:?}").contains("t1"), "{server:?}");
    let folder = one(
        r#"{"servers": {"a": {"command": "x", "args": ["${workspaceFolder}/a", "${userHome}"]}}}"#,
    );
    assert_eq!(program(&folder).1, ["/project/a", "/home/x"]);
}

#[test]
fn what_cannot_be_used_has_a_reason() {
    let text = r#"{"mcpServers": {
        "far": {"type": "http", "url": "ftp://user:secret@example.org/mcp?key=secret"},
        "none": {"args": []},
        "input": {"command": "x", "env": {"A": "${input:token}"}},
        "unset": {"command": "${NOWHERE}"},
        "set": {"command": "${NOWHERE:-default}"},
        "odd": {"command": "x", "args": "y"},
        "list": [],
        "own": {"command": "${extension:path}"},
        "empty": {"command": ""},
        "headers": {"url": "http://a", "headers": ["secret"]}}}"#;
    let found = read(text);
    for (index, needle) in [
        (0, "neither http(s) nor ws(s): ftp://example.org/mcp"),
        (1, "neither a `command` nor a `url`"),
        (2, "`${input:token}`; set the variable `TOKEN`"),
        (3, "the variable `NOWHERE`, which is not set"),
        (5, "`args` is no list"),
        (6, "not an object"),
        (7, "`${extension:path}` is the client's own"),
        (8, "`command` is empty"),
        (9, "`headers` is no object"),
    ] {
        let reason = found[index].1.as_ref().unwrap_err();
        assert!(reason.contains(needle), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
    assert_eq!(program(found[4].1.as_ref().unwrap()).0, "default");
}

#[test]
fn files_that_are_no_lists_say_so() {
    for (text, needle) in [
        ("{\n  \"mcpServers\": {,}}", "line 2"),
        ("{}", "neither `mcpServers` nor `servers`"),
        ("[]", "neither"),
        ("{\"mcpServers\": []}", "neither"),
    ] {
        let error = read_list(text, &Placeholders::default()).unwrap_err();
        assert!(error.contains(needle), "{error}");
    }
}

#[test]
fn secrets_are_told_from_paths() {
    let server = one(
        r#"{"servers": {"a": {"command": "x", "env": {"TOKEN": "abc", "MEMORY_FILE_PATH": "/tmp/memory.json", "MODE": "fast", "OPAQUE": "f83b2c9d01", "BASE": "https://example.org"}}}}"#,
    );
    assert_eq!(server.secrets(), ["f83b2c9d01", "abc"]);
}
