//! `toolbench mcp serve`: a mock for clients that toolbench did not write.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::super::{App, CliError, Status, run};
use crate::cli::mcp_args::{ListenArgs, ServeArgs};
use crate::cli::store_access::block_on_and_leave;
use crate::config::Resolved;
use crate::serve::{Carrier, Fault, Script, Server};
use crate::tools::ToolHost as _;
use crate::tools::mock::MockHost;
use crate::types::did_you_mean;

/// Serves until standard input ends, or Ctrl-C.
pub(super) fn serve(app: &App, resolved: &Resolved, args: &ServeArgs) -> Result<Status, CliError> {
    let faults = faults(args)?;
    let place = place(&args.listen)?;
    let source = Source::of(app, resolved, args)?;
    let stop = app.interrupts().stop.clone();
    block_on_and_leave(async {
        let server = source.server(faults).await?;
        let name = &source.name;
        let Some((carrier, address)) = place else {
            app.ui.say(&format!(
                "serving {name} on standard input and output; it ends when the input does"
            ));
            server.stdio(stop).await;
            return Ok(Status::Complete);
        };
        let listening = server.listen(carrier, address).await.map_err(|error| {
            CliError::usage(format!("cannot listen at {address}: {error}"))
                .hint("port 0 chooses a free one: `--http 0`")
        })?;
        app.ui
            .say(&format!("serving {name} at {}", listening.url()));
        if !listening.address().ip().is_loopback() {
            app.ui.say(
                "note: whoever reaches this address can call the mock; 127.0.0.1 keeps it to this machine",
            );
        }
        listening.run(stop).await;
        Ok(Status::Complete)
    })?
}

/// What is served.
struct Source {
    name: String,
    kind: Kind,
}

enum Kind {
    Mock(Box<MockHost>),
    Script(Box<Script>),
}

impl Source {
    fn of(app: &App, resolved: &Resolved, args: &ServeArgs) -> Result<Self, CliError> {
        if let Some(path) = &args.script {
            let text = read(path)?;
            let script = Script::read(&text)
                .map_err(|reason| CliError::usage(format!("{}: {reason}", path.display())))?;
            return Ok(Self {
                name: script.name.clone(),
                kind: Kind::Script(Box::new(script)),
            });
        }
        let name = args.suite.as_deref().or(args.mock.as_deref());
        let (name, host) = mock_named(app, resolved, name.unwrap_or_default())?;
        Ok(Self {
            name: format!("the mock of suite `{name}`"),
            kind: Kind::Mock(Box::new(host)),
        })
    }

    /// A fault of a tool that is not there would never show.
    async fn check(&self, faults: &[Fault]) -> Result<(), CliError> {
        let names: Vec<String> = match &self.kind {
            Kind::Mock(host) => {
                let tools = host.list().await;
                let tools = tools.map_err(|error| CliError::usage(error.to_string()))?;
                tools.into_iter().map(|tool| tool.name).collect()
            }
            Kind::Script(script) => {
                let tools = script.tools.iter().chain(&script.further_tools);
                let names = tools.filter_map(|tool| tool["name"].as_str());
                names.map(str::to_owned).collect()
            }
        };
        let mut wanted = faults.iter().filter_map(Fault::tool);
        let Some(absent) = wanted.find(|tool| names.iter().all(|name| name != tool)) else {
            return Ok(());
        };
        let hint = did_you_mean(absent, names.iter().map(String::as_str))
            .unwrap_or_else(|| format!("it has {}", names.join(", ")));
        Err(CliError::usage(format!(
            "`--fault …,tool={absent}`: {} has no such tool, and the fault would never show",
            self.name
        ))
        .hint(hint))
    }

    async fn server(&self, faults: Vec<Fault>) -> Result<Server, CliError> {
        self.check(&faults).await?;
        match &self.kind {
            Kind::Mock(host) => Server::of_host(host.as_ref(), faults)
                .await
                .map_err(|error| CliError::usage(error.to_string())),
            Kind::Script(script) => {
                Server::of_script((**script).clone(), faults).map_err(CliError::usage)
            }
        }
    }
}

/// The mock of a suite by name or file, with the suite's own name.
pub(super) fn mock_named(
    app: &App,
    resolved: &Resolved,
    name: &str,
) -> Result<(String, MockHost), CliError> {
    let suites = app.library(resolved).load_draft(name)?;
    match suites.as_slice() {
        [suite] if suite.server.is_none() => Ok((suite.suite.clone(), run::mock(suite)?)),
        [suite] => Err(CliError::usage(format!(
            "suite `{}` runs on a real server and has no mock",
            suite.suite
        ))
        .hint(format!(
            "`toolbench mcp record --suite {}` makes one of what the server answers",
            suite.suite
        ))),
        _ => Err(CliError::usage(format!(
            "suite `{name}` is a pinned set and has no mock of its own"
        ))
        .hint("name one of its suites; `toolbench suite list` shows them")),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
}

fn faults(args: &ServeArgs) -> Result<Vec<Fault>, CliError> {
    let parse = |text: &str, place: &str| {
        text.parse::<Fault>().map_err(|reason| {
            CliError::usage(format!("{place}: {reason}"))
                .hint("`toolbench mcp serve --help` lists the faults")
        })
    };
    let mut faults = args
        .fault
        .iter()
        .map(|text| parse(text, &format!("`--fault {text}`")))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.faults {
        let shown = path.display();
        let listed: Vec<String> = serde_saphyr::from_str(&read(path)?).map_err(|error| {
            CliError::usage(format!("{shown}: {error}"))
                .hint("write a list of texts, each as after `--fault`: - delay=500ms,tool=get_time")
        })?;
        for text in &listed {
            faults.push(parse(text, &format!("{shown}: `{text}`"))?);
        }
    }
    Ok(faults)
}

/// Where to listen; nowhere means standard input and output.
fn place(args: &ListenArgs) -> Result<Option<(Carrier, SocketAddr)>, CliError> {
    let given = [
        ("--http", &args.http, Carrier::Http),
        ("--ws", &args.ws, Carrier::WebSocket),
        ("--grpc", &args.grpc, Carrier::Grpc),
    ];
    for (flag, value, carrier) in given {
        if let Some(value) = value {
            return Ok(Some((carrier, address(flag, value)?)));
        }
    }
    Ok(None)
}

fn address(flag: &str, text: &str) -> Result<SocketAddr, CliError> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let text = text.replace("localhost:", "127.0.0.1:");
    text.parse().map_err(|_| {
        CliError::usage(format!("`{flag} {text}` is no address")).hint(format!(
            "give an address with a port, or a port: {flag} 127.0.0.1:8080"
        ))
    })
}
