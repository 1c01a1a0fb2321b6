//! What a step is given, and what it tells while it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boxwright_core::{OutputStream, Secret, Step};

/// A step, with what it needs beside the plain request.
#[derive(Clone, Debug)]
pub struct StepInput {
    /// The step. All layers that it names are in the store.
    pub step: Step,
    /// The values of the secrets that it mounts, by id.
    pub secrets: BTreeMap<String, Secret>,
    /// The sockets of the ssh agents that it mounts, by id, in the worker's own file system. Their mode and
    /// owner become those of the mount.
    pub ssh: BTreeMap<String, PathBuf>,
    /// What [`NetworkMode::Default`](boxwright_core::NetworkMode::Default) is here.
    pub default_network: DefaultNetwork,
    /// Certificates in PEM that the step trusts beside its image's own. They stay in no layer.
    pub ca_bundle: Option<Vec<u8>>,
    /// How many processes the step may have. Default: 32,768, or half of what the machine has if that is less.
    pub most_processes: Option<u64>,
}

impl StepInput {
    /// Returns `step` with no secrets, no agents and the worker's own network.
    #[must_use]
    pub fn new(step: Step) -> Self {
        Self {
            step,
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            default_network: DefaultNetwork::Worker,
            ca_bundle: None,
            most_processes: None,
        }
    }
}

/// What a step's default network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultNetwork {
    /// A network of the step's own, through `pasta` or `slirp4netns`; where neither is to be had the worker's, with a
    /// warning. For a worker on a host.
    Own,
    /// The one that the worker has. For a worker in a container or an instance.
    Worker,
}

/// One thing that a step does while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepEvent<'e> {
    /// It wrote output. May end inside a UTF-8 sequence.
    Output(OutputStream, &'e [u8]),
    /// Something is probably not what the user wants, on one line.
    Warning(&'e str),
}
