//! Connects ssh agents of this machine with steps in the worker.

use boxwright_core::Session;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::calls::Calls;
use crate::carry::carry;
use crate::protocol::call;
use crate::protocol::messages::{AgentBytes, AgentWanted};

/// How many messages of one connection wait.
const WAITING: usize = 8;

/// Connects the agent that a process of a step asked for, and carries its bytes until either side ends.
pub(super) async fn serve(calls: Calls, wanted: AgentWanted, session: Session) {
    let socket = session.ssh_agents.get(&wanted.id);
    let agent = match socket {
        Some(socket) => UnixStream::connect(socket).await.map_err(|error| {
            format!("cannot reach the ssh agent at `{}`: {error}", socket.display())
        }),
        None => {
            Err(format!("a step asked for the ssh agent `{}`, which it has no mount of", wanted.id))
        }
    };
    let (sender, receiver) = mpsc::channel(WAITING);
    let first = AgentBytes { connection: wanted.connection, bytes: Vec::new() };
    if sender.send(first).await.is_err() {
        return;
    }
    let opened = calls.streaming::<_, AgentBytes>(call::AGENT, ReceiverStream::new(receiver)).await;
    match (agent, opened) {
        (Ok(agent), Ok(incoming)) => {
            let send = move |bytes| {
                let sender = sender.clone();
                async move { sender.send(AgentBytes { connection: 0, bytes }).await.is_ok() }
            };
            carry(agent, incoming, send).await;
        }
        // The call ends here, and with it the connection of the step's process.
        (Err(message), _) => {
            session.events.warn(message, Some("check that the agent runs: `ssh-add -l`")).await;
        }
        // The worker is gone, which the step's own call tells.
        (_, Err(_)) => {}
    }
}
