//! The messages, in the protobuf encoding.
//!
//! A number is never used again for something else. Digests are text, as everywhere.

use std::fmt;

use bytes::Bytes;

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HelloRequest {
    /// The client's version of the protocol.
    #[prost(uint32, tag = "1")]
    pub(crate) protocol: u32,
    /// The client's version, for messages.
    #[prost(string, tag = "2")]
    pub(crate) version: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HelloAnswer {
    #[prost(uint32, tag = "1")]
    pub(crate) protocol: u32,
    #[prost(string, tag = "2")]
    pub(crate) version: String,
    /// The processor's architecture, as OCI names it.
    #[prost(string, tag = "3")]
    pub(crate) architecture: String,
    /// How layers are stacked, in words.
    #[prost(string, tag = "4")]
    pub(crate) stacking: String,
    /// Whether files can belong to other users than the worker's own.
    #[prost(bool, tag = "5")]
    pub(crate) owners: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Layers {
    #[prost(string, repeated, tag = "1")]
    pub(crate) diff_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct LayerRequest {
    #[prost(string, tag = "1")]
    pub(crate) diff_id: String,
}

/// A part of a layer. The first one of a layer that is put names it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct LayerChunk {
    #[prost(string, tag = "1")]
    pub(crate) diff_id: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct Nothing {}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RunRequest {
    /// The number that the client gave the run, for cancelling it.
    #[prost(uint64, tag = "1")]
    pub(crate) run: u64,
    #[prost(message, optional, tag = "2")]
    pub(crate) step: Option<StepMessage>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) secrets: Vec<SecretMessage>,
    /// The ids of ssh agents that the client can connect to.
    #[prost(string, repeated, tag = "4")]
    pub(crate) agents: Vec<String>,
    /// Certificates to trust inside the step, as PEM.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub(crate) ca_bundle: Option<Vec<u8>>,
}

/// A secret. Neither printed nor kept longer than its step.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub(crate) struct SecretMessage {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

impl fmt::Debug for SecretMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretMessage").field("id", &self.id).finish_non_exhaustive()
    }
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct StepMessage {
    #[prost(uint32, tag = "1")]
    pub(crate) id: u32,
    #[prost(string, repeated, tag = "2")]
    pub(crate) rootfs: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(crate) arguments: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub(crate) environment: std::collections::BTreeMap<String, String>,
    #[prost(string, tag = "5")]
    pub(crate) user: String,
    #[prost(string, tag = "6")]
    pub(crate) working_directory: String,
    #[prost(message, repeated, tag = "7")]
    pub(crate) mounts: Vec<MountMessage>,
    /// 0 the default, 1 the host's, 2 none.
    #[prost(uint32, tag = "8")]
    pub(crate) network: u32,
    #[prost(message, repeated, tag = "9")]
    pub(crate) extra_hosts: Vec<HostMessage>,
    #[prost(uint64, optional, tag = "10")]
    pub(crate) shm_size: Option<u64>,
    #[prost(int64, optional, tag = "11")]
    pub(crate) source_date_epoch: Option<i64>,
    /// Variables whose values are secrets, with their ids.
    #[prost(btree_map = "string, string", tag = "12")]
    pub(crate) secret_environment: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct HostMessage {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// An address; nothing for the machine that the engine runs on.
    #[prost(string, optional, tag = "2")]
    pub(crate) address: Option<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct MountMessage {
    #[prost(string, tag = "1")]
    pub(crate) target: String,
    #[prost(oneof = "MountKind", tags = "2, 3, 4, 5, 6")]
    pub(crate) kind: Option<MountKind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum MountKind {
    #[prost(message, tag = "2")]
    Chain(ChainMount),
    #[prost(message, tag = "3")]
    Cache(CacheMount),
    #[prost(message, tag = "4")]
    Tmpfs(TmpfsMount),
    #[prost(message, tag = "5")]
    Secret(FileMount),
    #[prost(message, tag = "6")]
    Ssh(FileMount),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct ChainMount {
    #[prost(string, repeated, tag = "1")]
    pub(crate) rootfs: Vec<String>,
    #[prost(string, tag = "2")]
    pub(crate) path: String,
    #[prost(bool, tag = "3")]
    pub(crate) writable: bool,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct CacheMount {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(uint32, tag = "2")]
    pub(crate) mode: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) user: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) group: u32,
    /// 0 shared, 1 private, 2 locked.
    #[prost(uint32, tag = "5")]
    pub(crate) sharing: u32,
    #[prost(bool, tag = "6")]
    pub(crate) writable: bool,
    #[prost(message, optional, tag = "7")]
    pub(crate) seed: Option<ChainMount>,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct TmpfsMount {
    #[prost(uint64, optional, tag = "1")]
    pub(crate) size: Option<u64>,
}

/// A secret's file, or an agent's socket.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FileMount {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(uint32, tag = "2")]
    pub(crate) mode: u32,
    #[prost(uint32, tag = "3")]
    pub(crate) user: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) group: u32,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct RunEvent {
    #[prost(oneof = "RunEventKind", tags = "1, 2, 3, 4")]
    pub(crate) kind: Option<RunEventKind>,
}

#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub(crate) enum RunEventKind {
    #[prost(message, tag = "1")]
    Output(Output),
    #[prost(message, tag = "2")]
    Warning(Warning),
    #[prost(message, tag = "3")]
    AgentWanted(AgentWanted),
    #[prost(message, tag = "4")]
    Outcome(Outcome),
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Output {
    /// Whether it is standard error, not standard output.
    #[prost(bool, tag = "1")]
    pub(crate) error: bool,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Warning {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) remedy: Option<String>,
}

/// A process of the step connected to an agent's socket.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AgentWanted {
    /// The connection's number, which the client's call then names.
    #[prost(uint64, tag = "1")]
    pub(crate) connection: u64,
    /// The agent's id.
    #[prost(string, tag = "2")]
    pub(crate) id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Outcome {
    #[prost(int32, tag = "1")]
    pub(crate) exit_code: i32,
    /// The layer's diff id; empty when there is no layer.
    #[prost(string, tag = "2")]
    pub(crate) diff_id: String,
    #[prost(uint64, tag = "3")]
    pub(crate) size: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub(crate) struct CancelRequest {
    #[prost(uint64, tag = "1")]
    pub(crate) run: u64,
}

/// Bytes to or from an ssh agent. The client's first one names the connection.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct AgentBytes {
    #[prost(uint64, tag = "1")]
    pub(crate) connection: u64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) bytes: Vec<u8>,
}

/// An error of the workspace, in the details of a status.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Failure {
    /// The kind's stable name.
    #[prost(string, tag = "1")]
    pub(crate) kind: String,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(string, repeated, tag = "3")]
    pub(crate) causes: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) context: Vec<Fact>,
    #[prost(string, optional, tag = "5")]
    pub(crate) remedy: Option<String>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Fact {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed_threat_36() {
        let secret = SecretMessage { id: "token".into(), value: b"hunter2".to_vec() };
        let request = RunRequest { secrets: vec![secret], ..RunRequest::default() };
        let shown = format!("{request:?}");
        assert!(shown.contains("token") && !shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117"), "{shown}");
    }
}
