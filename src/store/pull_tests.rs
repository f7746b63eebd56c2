//! Pulls against local files, loopback servers and stand-ins for package managers.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::store::catalogue::Catalogue;
use crate::store::disk::{DurableWrite, RealDisk};
use crate::store::landing::part_path;
use crate::store::test_server::{Answer, Server};
use crate::types::ContentHash;

/// Collects what a user would see.
#[derive(Default)]
struct Seen {
    messages: Mutex<Vec<String>>,
    bytes: AtomicU64,
}

impl Progress for Seen {
    fn start(&self, _total_bytes: Option<u64>) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    fn advance(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn message(&self, text: &str) {
        self.messages.lock().unwrap().push(text.to_owned());
    }
}

/// A disk that takes only so many bytes, and says what it likes about free space.
struct SmallDisk {
    room: u64,
    said_free: u64,
}

struct SmallFile {
    file: Box<dyn DurableWrite>,
    room: u64,
}

impl Write for SmallFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room -= bytes.len() as u64;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DurableWrite for SmallFile {
    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Disk for SmallDisk {
    fn available_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.said_free)
    }

    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DurableWrite>> {
        Ok(Box::new(SmallFile {
            file: RealDisk.open(path, append)?,
            room: self.room,
        }))
    }
}

struct Setting {
    folder: tempfile::TempDir,
    cache: Cache,
    settings: PullSettings,
    disk: Arc<dyn Disk>,
    seen: Seen,
    cancel: CancellationToken,
}

impl Setting {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = ToolSettings {
            search_path: Some(folder.path().join("bin").into_os_string()),
            working_directory: folder.path().to_owned(),
        };
        let mut settings = PullSettings::new(HubSettings::public(), tools);
        // Nothing listens there: the Hub of a test without a Hub.
        settings.hub.endpoint = "http://127.0.0.1:1".to_owned();
        settings.retry_pause = Duration::from_millis(1);
        settings.retries = 2;
        Self {
            cache: Cache::new(folder.path().join("models")),
            folder,
            settings,
            disk: Arc::new(RealDisk),
            seen: Seen::default(),
            cancel: CancellationToken::new(),
        }
    }

    async fn pull(&self, target: &PullTarget) -> Result<Pulled, PullError> {
        let puller = Puller {
            cache: &self.cache,
            settings: &self.settings,
            disk: Arc::clone(&self.disk),
            progress: &self.seen,
            cancel: &self.cancel,
        };
        puller.pull(target).await
    }

    /// Nothing but what may be continued is left, and nothing under the final name.
    fn assert_no_broken_file(&self, name: &str) {
        assert!(!self.cache.weights_path(name).exists());
        assert!(self.cache.find(name).is_none());
    }

    fn part_length(&self, name: &str) -> Option<u64> {
        part_path(&self.cache.weights_path(name))
            .metadata()
            .ok()
            .map(|metadata| metadata.len())
    }

    fn has_message(&self, part: &str) -> bool {
        self.seen
            .messages
            .lock()
            .unwrap()
            .iter()
            .any(|message| message.contains(part))
    }
}

/// Weights of a test: the right start, then bytes that differ by place.
fn weights() -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend((0..200_000_u32).flat_map(u32::to_le_bytes));
    bytes
}

fn hash(bytes: &[u8]) -> String {
    ContentHash::of_bytes(bytes).0
}

fn url_target(server: &Server, sha256: Option<String>) -> PullTarget {
    PullTarget::Url {
        name: "m".to_owned(),
        url: format!("{}/m.gguf", server.base),
        sha256,
    }
}

#[tokio::test]
async fn a_url_lands_with_hash_and_sidecar_and_is_cached_after() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |_| Answer::ok(&body));
    let target = url_target(&server, None);
    let pulled = setting.pull(&target).await.unwrap();
    assert!(!pulled.was_cached);
    assert_eq!(pulled.model.sha256, hash(&file));
    assert_eq!(std::fs::read(&pulled.model.path).unwrap(), file);
    assert_eq!(
        setting.seen.bytes.load(Ordering::Relaxed),
        file.len() as u64
    );
    assert!(setting.pull(&target).await.unwrap().was_cached);
    assert_eq!(server.count(), 1);
    assert_eq!(setting.part_length("m"), None);
}

#[tokio::test]
async fn a_broken_off_body_is_continued_by_range_with_the_same_etag() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |request| match request.range_start() {
        None => Answer {
            cut: Some(300_000),
            ..Answer::ok(&body)
        }
        .with("ETag", "\"v1\""),
        Some(start) => {
            assert_eq!(request.headers["if-range"], "\"v1\"");
            Answer::range(&body, start).with("ETag", "\"v1\"")
        }
    });
    let pulled = setting.pull(&url_target(&server, None)).await.unwrap();
    assert_eq!(pulled.model.sha256, hash(&file));
    assert_eq!(server.count(), 2);
    assert_eq!(
        setting.seen.bytes.load(Ordering::Relaxed),
        file.len() as u64
    );
}

#[tokio::test]
async fn without_a_strong_etag_or_a_hash_nothing_is_continued() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |request| {
        assert_eq!(request.range_start(), None);
        Answer {
            cut: Some(300_000),
            ..Answer::ok(&body)
        }
        .with("ETag", "W/\"v1\"")
    });
    let error = setting.pull(&url_target(&server, None)).await.unwrap_err();
    assert!(
        matches!(
            error,
            PullError::BrokenOff {
                received_bytes: 300_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.count(), 3, "one attempt and two more");
    setting.assert_no_broken_file("m");
    assert_eq!(setting.part_length("m"), Some(300_000));
}

#[tokio::test]
async fn a_server_that_ignores_ranges_starts_over() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let first = AtomicU64::new(0);
    let server = Server::start(move |_| {
        let cut = (first.fetch_add(1, Ordering::Relaxed) == 0).then_some(300_000);
        Answer {
            cut,
            ..Answer::ok(&body)
        }
    });
    let pulled = setting
        .pull(&url_target(&server, Some(hash(&file))))
        .await
        .unwrap();
    assert_eq!(pulled.model.bytes, file.len() as u64);
    assert_eq!(
        server.requests.lock().unwrap()[1].range_start(),
        Some(300_000)
    );
}

#[tokio::test]
async fn a_part_of_another_version_is_fetched_anew_once() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |request| match request.range_start() {
        None => Answer::ok(&body),
        Some(start) => Answer::range(&body, start),
    });
    let target = url_target(&server, Some(hash(&file)));
    std::fs::create_dir_all(setting.cache.root()).unwrap();
    let part = part_path(&setting.cache.weights_path("m"));
    std::fs::write(&part, b"GGUF of an older version").unwrap();
    let PullTarget::Url { url, .. } = &target else {
        unreachable!()
    };
    let state = format!("{{\"url\":\"{url}\",\"etag\":null}}");
    std::fs::write(part.with_added_extension("state"), state).unwrap();
    let pulled = setting.pull(&target).await.unwrap();
    assert_eq!(pulled.model.sha256, hash(&file));
    assert!(setting.has_message("starting over"));
}

#[tokio::test]
async fn a_wrong_hash_names_both_and_leaves_nothing() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |_| Answer::ok(&body));
    let wanted = "0".repeat(64);
    let error = setting
        .pull(&url_target(&server, Some(wanted.clone())))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&wanted) && text.contains(&hash(&file)),
        "{text}"
    );
    assert_eq!(error.code(), "wrong_hash");
    setting.assert_no_broken_file("m");
    assert_eq!(setting.part_length("m"), None);
}

#[tokio::test]
async fn what_is_no_gguf_is_refused() {
    let setting = Setting::new();
    let server = Server::start(|_| Answer::ok(b"<html>sign in</html>"));
    let error = setting.pull(&url_target(&server, None)).await.unwrap_err();
    assert!(matches!(error, PullError::NotGguf { .. }));
    setting.assert_no_broken_file("m");
}

#[tokio::test]
async fn answers_that_carry_no_file_have_their_own_errors() {
    for (status, code, requests) in [
        (404, "not_found", 1),
        (403, "http_status", 1),
        (503, "http_status", 3),
        (429, "http_status", 3),
    ] {
        let setting = Setting::new();
        let server = Server::start(move |_| Answer::status(status));
        let error = setting.pull(&url_target(&server, None)).await.unwrap_err();
        assert_eq!((error.code(), server.count()), (code, requests), "{status}");
        assert!(error.hint().is_some());
    }
    let setting = Setting::new();
    let target = PullTarget::Url {
        name: "m".to_owned(),
        url: "http://127.0.0.1:1/m.gguf".to_owned(),
        sha256: None,
    };
    let error = setting.pull(&target).await.unwrap_err();
    assert!(
        matches!(&error, PullError::NoNetwork { host, .. } if host == "127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_disk_is_said_before_and_during() {
    let file = weights();
    let body = file.clone();
    let server = Server::start(move |_| Answer::ok(&body));
    let mut setting = Setting::new();
    setting.disk = Arc::new(SmallDisk {
        room: u64::MAX,
        said_free: 1000,
    });
    let error = setting.pull(&url_target(&server, None)).await.unwrap_err();
    assert!(
        matches!(error, PullError::DiskFull { needed_bytes, available_bytes: 1000, .. } if needed_bytes == file.len() as u64)
    );
    let mut setting = Setting::new();
    setting.disk = Arc::new(SmallDisk {
        room: 100_000,
        said_free: u64::MAX,
    });
    let error = setting
        .pull(&url_target(&server, Some(hash(&file))))
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::DiskFull { .. }), "{error}");
    assert!(error.is_final());
    setting.assert_no_broken_file("m");
    setting.disk = Arc::new(RealDisk);
    setting
        .pull(&url_target(&server, Some(hash(&file))))
        .await
        .unwrap();
}

#[tokio::test]
async fn cancelling_stops_at_once_and_keeps_what_came() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let cancel = setting.cancel.clone();
    let server = Server::start(move |_| {
        cancel.cancel();
        Answer::ok(&body)
    });
    let error = setting
        .pull(&url_target(&server, Some(hash(&file))))
        .await
        .unwrap_err();
    assert!(matches!(error, PullError::Cancelled));
    setting.assert_no_broken_file("m");
}

#[tokio::test]
async fn two_pulls_of_one_model_download_once() {
    let (setting, file) = (Setting::new(), weights());
    let body = file.clone();
    let server = Server::start(move |_| {
        std::thread::sleep(Duration::from_millis(100));
        Answer::ok(&body)
    });
    let target = url_target(&server, None);
    let (one, two) = tokio::join!(setting.pull(&target), setting.pull(&target));
    assert_ne!(one.unwrap().was_cached, two.unwrap().was_cached);
    assert_eq!(server.count(), 1);
    assert!(setting.has_message("waiting for it"));
}

fn fake_hub(file: Vec<u8>, needs_token: bool) -> Server {
    Server::start(move |request| {
        if needs_token
            && request.headers.get("authorization").map(String::as_str) != Some("Bearer let-me")
        {
            return Answer::status(401);
        }
        match request.path.as_str() {
            "/api/models/o/r/tree/main?recursive=true" => Answer::ok(
                format!(
                    r#"[{{"type":"file","path":"README.md","size":3}},
                        {{"type":"file","path":"mmproj-Q8_0.gguf","size":3}},
                        {{"type":"file","path":"m-Q8_0.gguf","size":9,"lfs":{{"oid":"{}","size":9,"pointerSize":1}}}},
                        {{"type":"file","path":"m-Q4_K_M.gguf","size":1,"lfs":{{"oid":"{}","size":{},"pointerSize":1}}}}]"#,
                    "0".repeat(64), hash(&file), file.len()
                )
                .as_bytes(),
            ),
            "/o/r/resolve/main/m-Q4_K_M.gguf" => Answer::ok(&file),
            "/o/r/resolve/main/m-Q8_0.gguf" => Answer::ok(b"GGUFother"),
            _ => Answer::status(404),
        }
    })
}

fn hub_target(quant: Option<&str>) -> PullTarget {
    PullTarget::Hub {
        repo: "o/r".to_owned(),
        quant: quant.map(str::to_owned),
    }
}

#[tokio::test]
async fn a_hub_file_is_checked_against_the_hash_the_hub_states() {
    let (mut setting, file) = (Setting::new(), weights());
    let hub = fake_hub(file.clone(), false);
    setting.settings.hub.endpoint = hub.base.clone();
    let pulled = setting.pull(&hub_target(None)).await.unwrap();
    assert_eq!(
        (pulled.model.name.as_str(), pulled.model.sha256),
        ("hf:o/r", hash(&file))
    );
    let error = setting.pull(&hub_target(Some("Q8_0"))).await.unwrap_err();
    assert!(matches!(error, PullError::WrongHash { .. }), "{error}");
    let error = setting.pull(&hub_target(Some("Q2_K"))).await.unwrap_err();
    assert!(
        error.to_string().contains("m-Q8_0.gguf, m-Q4_K_M.gguf"),
        "{error}"
    );
}

#[tokio::test]
async fn a_gated_repository_says_where_to_accept_and_how_to_pass_a_token() {
    let (mut setting, file) = (Setting::new(), weights());
    let hub = fake_hub(file, true);
    setting.settings.hub.endpoint = hub.base.clone();
    let error = setting.pull(&hub_target(None)).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert_eq!(error.code(), "gated");
    assert!(
        hint.contains(&format!("{}/o/r", hub.base)) && hint.contains("HF_TOKEN"),
        "{hint}"
    );
    setting.settings.hub.token = Token::new("wrong\n");
    let error = setting.pull(&hub_target(None)).await.unwrap_err();
    assert!(matches!(
        error,
        PullError::Gated {
            with_token: true,
            ..
        }
    ));
    setting.settings.hub.token = Token::new("let-me\n");
    setting.pull(&hub_target(None)).await.unwrap();
    assert!(!format!("{:?}", setting.settings).contains("let-me"));
}

#[tokio::test]
async fn a_file_in_the_hugging_face_cache_is_used_where_it_is() {
    let (mut setting, file) = (Setting::new(), weights());
    let hub = fake_hub(file.clone(), false);
    setting.settings.hub.endpoint = hub.base.clone();
    let cache = setting.folder.path().join("hf/hub");
    let snapshot = cache.join("models--o--r/snapshots/abc");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(snapshot.join("m-Q4_K_M.gguf"), &file).unwrap();
    setting.settings.hub.cache = Some(cache);
    let pulled = setting.pull(&hub_target(None)).await.unwrap();
    assert_eq!(pulled.model.path, snapshot.join("m-Q4_K_M.gguf"));
    setting.cache.remove("hf:o/r").unwrap();
    assert!(snapshot.join("m-Q4_K_M.gguf").exists());
}

#[tokio::test]
async fn local_files_are_copied_or_pointed_to() {
    let (setting, file) = (Setting::new(), weights());
    let path = setting.folder.path().join("a.gguf");
    std::fs::write(&path, &file).unwrap();
    for (name, copy) in [("copied", true), ("pointed", false)] {
        let target = PullTarget::Path {
            name: name.to_owned(),
            path: path.clone(),
            copy,
        };
        let pulled = setting.pull(&target).await.unwrap();
        assert_eq!(pulled.model.sha256, hash(&file));
        assert_eq!(pulled.model.path.starts_with(setting.cache.root()), copy);
    }
    std::fs::write(&path, b"no weights").unwrap();
    for copy in [true, false] {
        let target = PullTarget::Path {
            name: "bad".to_owned(),
            path: path.clone(),
            copy,
        };
        assert!(matches!(
            setting.pull(&target).await,
            Err(PullError::NotGguf { .. })
        ));
    }
}

#[cfg(unix)]
#[path = "pull_package_tests.rs"]
mod package_managers;

/// The real sources, on request: `TOOLBENCH_TEST_LIVE_PULL=1`.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "switched on by a variable")]
async fn live_sources_deliver_the_catalogued_files() {
    if std::env::var_os("TOOLBENCH_TEST_LIVE_PULL").is_none_or(|value| value != "1") {
        return;
    }
    let mut setting = Setting::new();
    setting.settings.hub = HubSettings::public();
    setting.settings.tools.search_path = std::env::var_os("PATH");
    let catalogue = Catalogue::built_in().unwrap();
    for name in ["smollm2", "tinyllama"] {
        let entry = catalogue.lookup(name).unwrap();
        let watch = crate::clock::Stopwatch::start();
        let pulled = setting
            .pull(&PullTarget::Entry(Box::new(entry.clone())))
            .await
            .unwrap();
        eprintln!("{name}: {:.1} s, {:?}", watch.elapsed_ms() / 1000.0, pulled);
        assert_eq!(Some(pulled.model.sha256), entry.sha256);
        assert_eq!(Some(pulled.model.bytes), entry.bytes);
    }
}
