//! Tables of what leads out and what stays, and the same by what the operating system says.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::refused_arguments;
use crate::tools::mcp::settings::ArgumentPolicy;
use crate::types::ToolCall;

/// `<folder>/work` may be used; `<folder>/home` is where the server runs.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["work/inside", "home/sub", "work/my folder"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("home/secret.txt"), "").unwrap();
        std::fs::write(at("work/note.txt"), "").unwrap();
        #[cfg(unix)]
        for (target, name) in [
            ("/etc", "work/out"),
            ("/nowhere/at/all", "work/dangling"),
            ("inside", "work/within"),
        ] {
            std::os::unix::fs::symlink(target, at(name)).unwrap();
        }
        Self { folder }
    }

    fn at(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        path.to_string_lossy().into_owned()
    }

    fn refused_from(&self, home: Option<&str>, arguments: Value) -> Option<String> {
        let policy = ArgumentPolicy {
            roots: vec![self.folder.path().join("work")],
            no_network: false,
        };
        let home = home.map(|home| self.folder.path().join(home));
        refused_arguments(&policy, home.as_deref(), &ToolCall::new("t", arguments))
    }
}

#[test]
fn what_leads_out_is_refused_wherever_it_stands() {
    let place = Place::new();
    let inside = place.at("work/inside");
    let mut bad = vec![
        json!({"q": "/etc/passwd"}),
        json!({"q": " /etc/passwd"}),
        json!({"q": "/"}),
        json!({"q": "file:/etc/hostname"}),
        json!({"q": "file:etc/hostname"}),
        json!({"q": "file://localhost/etc/passwd"}),
        json!({"q": "FILE:///etc/passwd"}),
        json!({"q": "file:///%65tc/passwd"}),
        json!({"q": "file://server/share"}),
        json!({"q": "see file:///etc/passwd"}),
        json!({"q": "$HOME/x"}),
        json!({"q": "${HOME}/x"}),
        json!({"q": "$HOME"}),
        json!({"q": "~/x"}),
        json!({"q": "~"}),
        json!({"q": "~root/x"}),
        json!({"q": "--output=/etc/passwd"}),
        json!({"q": "--output=~/x"}),
        json!({"q": "cat /etc/passwd"}),
        json!({"q": "a:/etc/passwd"}),
        json!({"q": "@/etc/passwd"}),
        json!({"q": format!("{inside} /etc/passwd")}),
        json!({"q": format!("{inside},/etc/passwd")}),
        json!({"q": "../x"}),
        json!({"q": "--output=../x"}),
        json!({"q": "%2e%2e%2fx"}),
        json!({"q": format!("{inside}/%2e%2e/%2e%2e/x")}),
        json!({"q": "C:\\x"}),
        json!({"q": "\\\\server\\share"}),
        json!({"q": [{"deep": "/etc/passwd"}]}),
        json!({"/etc/passwd": 1}),
        json!({"files": {"../x.txt": "content"}}),
        json!({"path": "a\u{0}b"}),
        // The server's own folder is not below the root.
        json!({"path": "secret.txt"}),
        json!({"file": "new"}),
        json!({"q": "secret.txt"}),
        json!({"q": "sub/new.txt"}),
        json!({"files": {"new.txt": "content"}}),
    ];
    if cfg!(unix) {
        let out = [
            "work/out/passwd",
            "work/dangling",
            "work/out/../x",
            "work/../home",
        ];
        bad.extend(out.map(|path| json!({"q": place.at(path)})));
    }
    for arguments in bad {
        let refused = place.refused_from(Some("home"), arguments.clone());
        assert!(refused.is_some(), "{arguments}");
    }
}

#[test]
fn what_lies_below_and_ordinary_text_passes() {
    let place = Place::new();
    for arguments in [
        json!({"path": place.at("work/inside/new.txt")}),
        json!({"path": place.at("work")}),
        json!({"path": place.at("work/my folder/a b.txt")}),
        json!({"path": place.at("work/inside/../note.txt")}),
        json!({"path": place.at("work/within/x")}),
        json!({"path": format!("file://{}", place.at("work/note.txt"))}),
        json!({"path": "../work/note.txt"}),
        json!({"q": format!("--output={}", place.at("work/x"))}),
        json!({"q": "either and/or both"}),
        json!({"q": "and/or"}),
        json!({"q": "50 km/h"}),
        json!({"date": "2026/11/20"}),
        json!({"q": "1 / 2"}),
        json!({"q": "text/html"}),
        json!({"q": "application/vnd.ms-excel"}),
        json!({"q": "see https://example.org/a/b.html"}),
        json!({"q": "about ~5 km for $5, 20 % of it"}),
        json!({"q": "ends... and goes on"}),
        json!({"q": "nodejs/node.js"}),
        json!({"q": "absent.txt"}),
        json!({"q": "time: 10:30"}),
        json!({"n": 3, "on": true}),
    ] {
        let refused = place.refused_from(Some("home"), arguments.clone());
        assert_eq!(refused, None, "{arguments}");
    }
    // Relative paths begin where the server runs.
    for arguments in [
        json!({"path": "inside/new.txt"}),
        json!({"path": "note.txt"}),
        json!({"q": "note.txt"}),
        json!({"path": "."}),
    ] {
        let refused = place.refused_from(Some("work"), arguments.clone());
        assert_eq!(refused, None, "{arguments}");
    }
}

#[test]
fn a_relative_path_is_refused_where_nobody_knows_where_it_begins() {
    let place = Place::new();
    for arguments in [
        json!({"path": "note.txt"}),
        json!({"q": "inside/note.txt"}),
        json!({"q": "../x"}),
    ] {
        let reason = place.refused_from(None, arguments.clone());
        let reason = reason.unwrap_or_default();
        assert!(
            reason.contains("is not known here"),
            "{arguments}: {reason}"
        );
    }
    for arguments in [
        json!({"path": place.at("work/note.txt")}),
        json!({"q": "and/or, 50 km/h, 2026/11/20"}),
    ] {
        assert_eq!(
            place.refused_from(None, arguments.clone()),
            None,
            "{arguments}"
        );
    }
}

#[test]
fn places_in_the_network_are_refused() {
    let policy = ArgumentPolicy {
        roots: Vec::new(),
        no_network: true,
    };
    let refused = |arguments: &Value| {
        refused_arguments(&policy, None, &ToolCall::new("t", arguments.clone())).is_some()
    };
    for bad in [
        json!({"q": "see https://example.org"}),
        json!({"q": "HTTP:example.org"}),
        json!({"baseUrl": "example.org"}),
        json!({"to": "git@example.org:x.git"}),
        json!({"to": "10.0.0.1:80"}),
        json!({"to": "10.0.0.1"}),
        json!({"to": "[::1]"}),
        json!({"to": "[::1]:80"}),
        json!({"to": "localhost:8080"}),
        json!({"to": "localhost"}),
        json!({"to": "connect to localhost:8080/x now"}),
        json!({"to": "example.org:443"}),
        json!({"to": "192.168.0.1/24"}),
        json!({"to": "\\\\server\\share"}),
        json!({"to": "//server/share"}),
        json!({"to": "file://server/share"}),
        json!({"to": "--proxy=www.example.org"}),
        json!({"a": {"urls": ["example.org"]}}),
        json!({"localhost:8080": 1}),
    ] {
        assert!(refused(&bad), "{bad}");
    }
    for fine in [
        json!({"q": "ratio 3:1 at 12:30"}),
        json!({"path": "file:///tmp/x"}),
        json!({"path": "file://localhost/tmp/x"}),
        json!({"q": "git: mend the build"}),
        json!({"q": "// a comment"}),
        json!({"q": "and/or"}),
        json!({"n": 3, "city": "Berlin"}),
    ] {
        assert!(!refused(&fine), "{fine}");
    }
}

proptest! {
    /// Judged by what the operating system says of the same path, over names, links, `.` and `..`.
    #[test]
    fn bounds_hold_whatever_the_path(
        start in prop::sample::select(vec!["", "work/", "home/", "work/inside/"]),
        parts in prop::collection::vec(
            prop::sample::select(vec!["inside", "work", "home", "sub", "..", ".", "within", "out", "note.txt"]), 1..6),
    ) {
        let place = Place::new();
        let path = format!("{}{}", place.at(start), if start.is_empty() { "/" } else { "" }) + &parts.join("/");
        let path = path.replace("//", "/");
        let passes = place.refused_from(Some("home"), json!({"path": path})).is_none();
        if let Ok(real) = std::fs::canonicalize(&path) {
            let root = std::fs::canonicalize(place.at("work")).unwrap();
            let is_below = real.starts_with(&root);
            prop_assert!(is_below || !passes, "{path} passes and leads to {}", real.display());
            // `..` behind a link leads elsewhere for programs that read the text alone.
            let climbs = path.split('/').any(|part| part == "..");
            prop_assert!(!is_below || passes || climbs, "{path} is refused");
        }
    }
}
