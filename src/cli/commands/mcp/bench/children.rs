//! This program as a server of its own mock, in a process of its own.
//!
//! Data in: a mock, a transport. Data out: where it listens. Invariants: the child ends with this
//! value, whatever happens.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use super::super::super::{App, CliError, Status};
use super::CHILD_LIMIT;
use crate::cli::host_args::HostArgs;

/// A served mock.
pub(super) struct Child {
    process: Option<std::process::Child>,
    server: HostArgs,
}

impl Child {
    /// Serves a mock by `--http`, `--ws` or `--grpc`; over standard streams the host itself starts it.
    pub(super) fn start(app: &App, mock: &str, flag: &str) -> Result<Self, CliError> {
        let program = app.env.executable.to_string_lossy().into_owned();
        let mut server = HostArgs::default();
        if flag == "stdio" {
            let words = [program.as_str(), "--quiet", "mcp", "serve", mock];
            let command = shlex::try_join(words)
                .map_err(|error| CliError::usage(format!("cannot name this program: {error}")))?;
            server.stdio.push(command);
            return Ok(Self {
                process: None,
                server,
            });
        }
        let failed = |reason: String| {
            CliError::usage(format!("cannot serve `{mock}` with {flag}: {reason}"))
                .kind("tool_server", Status::Undecidable)
        };
        let mut process = Command::new(&program)
            .args(["mcp", "serve", mock, flag, "0"])
            .current_dir(&app.env.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let (sender, lines) = mpsc::channel();
        if let Some(stderr) = process.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    // Read to the end, or the child would wait for a reader.
                    let _ = sender.send(line);
                }
            });
        }
        let mut child = Self {
            process: Some(process),
            server,
        };
        let line = lines
            .recv_timeout(CHILD_LIMIT)
            .map_err(|_| failed("it does not say where it listens".to_owned()))?;
        let address = line
            .rsplit_once(" at ")
            .map(|(_, address)| address.to_owned())
            .ok_or_else(|| failed(line))?;
        match flag {
            "--http" => child.server.http.push(address),
            "--ws" => child.server.ws.push(address),
            _ => child.server.grpc.push(address),
        }
        Ok(child)
    }

    /// How it is reached.
    pub(super) fn server(&self) -> HostArgs {
        self.server.clone()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
