//! Several servers as one host.
//!
//! Data in: hosts. Data out: one list of tools and sessions on all of them. Invariants: tools keep
//! the order of their servers; a name that two servers have gets its server's name before it,
//! `server.tool`, in both; a call goes to the one server whose tool it names.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _, try_join_all};
use serde_json::Value;

use super::{HostFacts, ListedTool, ToolHost, ToolHostError, ToolSession};
use crate::types::host::{ElicitationAnswer, HostNote};
use crate::types::{Code, ToolCall, ToolDefinition, ToolResult};

/// Several servers.
pub(super) struct JoinedHost {
    name: String,
    /// With the name that goes before a tool's.
    hosts: Vec<(String, Arc<dyn ToolHost>)>,
}

/// A name that is not taken: with a number where it is.
pub fn unique_name(name: &str, taken: &[String]) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|own| !taken.contains(own))
        .unwrap_or_default()
}

/// Which server a name belongs to, and what it is called there.
type Owners = BTreeMap<String, (usize, String)>;

impl JoinedHost {
    pub(super) fn new(hosts: Vec<(String, Arc<dyn ToolHost>)>) -> Self {
        let mut names: Vec<String> = Vec::new();
        let mut taken: Vec<(String, Arc<dyn ToolHost>)> = Vec::new();
        for (name, host) in hosts {
            let own = unique_name(&name, &names);
            names.push(own.clone());
            taken.push((own, host));
        }
        Self {
            name: names.join(" + "),
            hosts: taken,
        }
    }

    /// Lists of all servers, each tool under its name here.
    async fn named(&self) -> Result<(Vec<ToolDefinition>, Owners), ToolHostError> {
        let lists = try_join_all(self.hosts.iter().map(|(_, host)| host.list())).await?;
        let count = |name: &str| {
            let has = |list: &&Vec<ToolDefinition>| list.iter().any(|tool| tool.name == name);
            lists.iter().filter(has).count()
        };
        let mut tools = Vec::new();
        let mut owners = Owners::new();
        for (index, list) in lists.iter().enumerate() {
            for tool in list {
                let name = match count(&tool.name) {
                    1 => tool.name.clone(),
                    _ => format!("{}.{}", self.hosts[index].0, tool.name),
                };
                let owner = (index, tool.name.clone());
                if owners.insert(name.clone(), owner).is_some() {
                    return Err(ToolHostError {
                        code: Code::ToolErrorEnv,
                        message: format!("{}: two tools are called `{name}`", self.name),
                    });
                }
                tools.push(ToolDefinition {
                    name,
                    ..tool.clone()
                });
            }
        }
        Ok((tools, owners))
    }
}

impl ToolHost for JoinedHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ToolDefinition>, ToolHostError>> {
        async { Ok(self.named().await?.0) }.boxed()
    }

    fn open<'a>(
        &'a self,
        state_patch: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Box<dyn ToolSession>, ToolHostError>> {
        async move {
            if state_patch.is_some() {
                return Err(ToolHostError {
                    code: Code::ToolErrorEnv,
                    message: format!("{}: several servers take no `state`", self.name),
                });
            }
            let (_, owners) = self.named().await?;
            // One after the other, always in the same order: each may wait for its turn.
            let mut sessions = Vec::new();
            for (_, host) in &self.hosts {
                sessions.push(host.open(None).await?);
            }
            let session: Box<dyn ToolSession> = Box::new(JoinedSession { owners, sessions });
            Ok(session)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            futures::future::join_all(self.hosts.iter().map(|(_, host)| host.close())).await;
        }
        .boxed()
    }

    fn facts(&self) -> BoxFuture<'_, Result<HostFacts, ToolHostError>> {
        async {
            let (_, owners) = self.named().await?;
            let all_facts = try_join_all(self.hosts.iter().map(|(_, host)| host.facts())).await?;
            // A tool that is not offered has a server's name too where another server has it.
            let count = |name: &str| {
                let has = |facts: &&HostFacts| {
                    facts.tools.iter().any(|tool| tool.definition.name == name)
                };
                all_facts.iter().filter(has).count()
            };
            let here = |index: usize, name: &str| {
                let owner = (index, name.to_owned());
                let offered = owners.iter().find(|(_, other)| **other == owner);
                match offered {
                    Some((name, _)) => name.clone(),
                    None if count(name) > 1 => format!("{}.{name}", self.hosts[index].0),
                    None => name.to_owned(),
                }
            };
            let named: Vec<Vec<String>> = all_facts
                .iter()
                .enumerate()
                .map(|(index, facts)| {
                    let tools = facts.tools.iter();
                    tools
                        .map(|tool| here(index, &tool.definition.name))
                        .collect()
                })
                .collect();
            let mut all = HostFacts::default();
            let (mut identities, mut transports, mut protocols) =
                (Vec::new(), Vec::new(), Vec::new());
            for (((name, _), facts), named) in self.hosts.iter().zip(all_facts).zip(named) {
                identities.push(facts.identity.unwrap_or_else(|| name.clone()));
                transports.push(facts.transport);
                protocols.extend(facts.protocol);
                all.faults.extend(facts.faults);
                let tools = facts.tools.into_iter().zip(named);
                all.tools.extend(tools.map(|(tool, name)| ListedTool {
                    definition: ToolDefinition {
                        name,
                        ..tool.definition
                    },
                    ..tool
                }));
            }
            protocols.dedup();
            all.identity = Some(identities.join(" + "));
            all.transport = transports.join(" + ");
            all.protocol = (!protocols.is_empty()).then(|| protocols.join(" + "));
            Ok(all)
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        async {
            try_join_all(self.hosts.iter().map(|(_, host)| host.health()))
                .await
                .map(drop)
        }
        .boxed()
    }
}

struct JoinedSession {
    owners: Owners,
    sessions: Vec<Box<dyn ToolSession>>,
}

impl ToolSession for JoinedSession {
    fn call<'a>(
        &'a mut self,
        call: &'a ToolCall,
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        async move {
            let Some((index, name)) = self.owners.get(&call.name).cloned() else {
                return Ok(ToolResult {
                    is_error: true,
                    ..ToolResult::ok(format!("no such tool: {}", call.name))
                });
            };
            let there = ToolCall {
                name,
                ..call.clone()
            };
            self.sessions[index].call(&there).await
        }
        .boxed()
    }

    fn state(&self) -> Option<Value> {
        None
    }

    fn answer_elicitations(&mut self, script: &[ElicitationAnswer]) {
        for session in &mut self.sessions {
            session.answer_elicitations(script);
        }
    }

    fn take_notes(&mut self) -> Vec<HostNote> {
        self.sessions
            .iter_mut()
            .flat_map(|session| session.take_notes())
            .collect()
    }
}
