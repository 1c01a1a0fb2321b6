//! What is found and made for a step before its sandbox is.

use boxwright_core::{
    ExtraHost, HostAddress, MountAccess, MountSource, NetworkMode, Result, Secret, StepMount,
};

use super::groups::{self, Groups};
use super::network::{self, OwnNetwork};
use super::not_given;
use super::plan::{Mount, Network, Plan, Source};
use crate::cancel::Cancel;
use crate::canonical::set_attributes;
use crate::failure::on_path;
use crate::input::{DefaultNetwork, StepEvent, StepInput};
use crate::store::{Cache, Stack, WorkFolder, WorkerStore};

/// The size of `/dev/shm` unless the step says another: 64 MiB.
const SHM_SIZE: u64 = 64 << 20;

/// What is said where files can belong to nobody else.
const ONE_ID: &str = "the user has one id here, so that a step can give files to nobody and `USER` can be root alone: \
    install `uidmap`, and give the user a range with `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`";

/// A step that is ready to be started, with all that is held for it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) plan: Plan,
    pub(super) contents: Vec<Secret>,
    pub(super) stack: Stack,
    // In the order in which they are let go.
    network: Option<OwnNetwork>,
    _groups: Groups,
    _caches: Vec<Cache>,
    pub(super) work: WorkFolder,
    copies: bool,
}

impl Prepared {
    pub(super) fn new(
        store: &WorkerStore,
        input: StepInput,
        events: &mut dyn FnMut(StepEvent<'_>),
        cancel: &Cancel,
    ) -> Result<Self> {
        let StepInput { step, secrets, ssh, default_network, ca_bundle, most_processes } = input;
        if !store.has_owners() && store.warns_of_owners() {
            events(StepEvent::Warning(ONE_ID));
        }
        let work = store.work_folder()?;
        let stack = store.stack(&step.rootfs)?;
        let mut contents = Contents(Vec::new());
        let mut caches = Vec::new();
        let mut mounts = Vec::new();

        let own = match (step.network, default_network) {
            (NetworkMode::Default, DefaultNetwork::Own) => match store.networks().take() {
                Ok(network) => Some(network),
                Err(reason) => {
                    let text = format!("the step uses this machine's own network: {reason}");
                    events(StepEvent::Warning(&text));
                    None
                }
            },
            _ => None,
        };
        let files = [
            ("/etc/resolv.conf", network::resolv_conf(own.is_some())),
            ("/etc/hosts", hosts(&step.extra_hosts)),
            ("/etc/hostname", b"boxwright\n".to_vec()),
        ];
        for (target, bytes) in files {
            let content = contents.add(Secret::new(bytes));
            let source = Source::File { content, mode: 0o644, owner: (0, 0), writable: true };
            mounts.push(Mount { target: target.to_owned(), source });
        }

        // Caches are taken in the order of their ids, whatever the order of the mounts.
        let mut order: Vec<&StepMount> = step.mounts.iter().collect();
        order.sort_by_key(|mount| match &mount.source {
            MountSource::Cache { id, .. } => id.clone(),
            _ => String::new(),
        });
        for mount in order {
            let source = match &mount.source {
                MountSource::Chain { rootfs, path, access } => Source::Layers {
                    layers: store.stack(rootfs)?.layers,
                    path: path.clone(),
                    writable: *access == MountAccess::ReadWrite,
                },
                MountSource::Cache { id, mode, owner, sharing, access, seed } => {
                    let cache = store.cache(id, *sharing, cancel)?;
                    let seed = match seed {
                        Some((chain, path)) => Some((store.stack(chain)?.layers, path.clone())),
                        None => None,
                    };
                    let path = cache.path.clone();
                    caches.push(cache);
                    let writable = *access == MountAccess::ReadWrite;
                    Source::Folder { path, seed, mode: *mode, owner: *owner, writable }
                }
                MountSource::Tmpfs { size } => Source::Tmpfs { size: *size },
                MountSource::Secret { id, mode, owner } => {
                    let secret = secrets.get(id).ok_or_else(|| not_given("secret", id))?;
                    let content = contents.add(secret.clone());
                    Source::File { content, mode: *mode, owner: *owner, writable: false }
                }
                MountSource::Ssh { id, mode, owner } => {
                    let path = ssh.get(id).ok_or_else(|| not_given("ssh agent", id))?;
                    Source::Socket { path: path.clone(), mode: *mode, owner: *owner }
                }
            };
            mounts.push(Mount { target: mount.target.clone(), source });
        }
        let mut secret_environment = Vec::new();
        for (name, id) in &step.secret_environment {
            let secret = secrets.get(id).ok_or_else(|| not_given("secret", id))?;
            secret_environment.push((name.clone(), contents.add(secret.clone())));
        }

        for name in ["upper", "work", "merged"] {
            let folder = work.folder(name)?;
            if name != "work" {
                set_attributes(&folder, &stack.root, store.owners())
                    .map_err(|error| on_path("cannot write to", &folder, error))?;
            }
        }
        let name = work.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let most_processes = groups::most_processes(most_processes);
        let groups = Groups::make(&name, most_processes);
        let plan = Plan {
            store: store.folder().to_owned(),
            work: std::path::Path::new("work").join(name),
            marks: store.marks(),
            layers: stack.layers.clone(),
            has_owners: store.has_owners(),
            arguments: step.arguments,
            environment: step.environment.into_iter().collect(),
            secret_environment,
            user: step.user,
            working_directory: step.working_directory,
            mounts,
            certificates: ca_bundle.map(|bundle| contents.add(Secret::new(bundle))),
            network: match (&own, step.network) {
                (Some(own), _) => Network::Namespace(own.path()),
                (None, NetworkMode::None) => Network::None,
                (None, _) => Network::Worker,
            },
            shm_size: step.shm_size.unwrap_or(SHM_SIZE),
            most_processes,
            groups: groups.paths(),
        };
        let (contents, copies) = (contents.0, store.copies());
        Ok(Self {
            plan,
            contents,
            stack,
            network: own,
            _groups: groups,
            _caches: caches,
            work,
            copies,
        })
    }

    /// Returns the folder that the step leaves what it changed in.
    pub(super) fn changed(&self) -> std::path::PathBuf {
        self.work.path().join(if self.copies { "merged" } else { "upper" })
    }

    /// Lets go of everything; the network is kept for the next step.
    pub(super) fn done(mut self, store: &WorkerStore) {
        if let Some(network) = self.network.take() {
            store.networks().give_back(network);
        }
    }
}

/// Contents that travel beside the plan.
struct Contents(Vec<Secret>);

impl Contents {
    fn add(&mut self, content: Secret) -> usize {
        self.0.push(content);
        self.0.len() - 1
    }
}

/// Returns `/etc/hosts` of a step.
fn hosts(extra: &[ExtraHost]) -> Vec<u8> {
    let mut lines = String::from(
        "127.0.0.1\tlocalhost boxwright\n::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    for ExtraHost { name, address } in extra {
        let address = match address {
            HostAddress::Ip(address) => Some(*address),
            HostAddress::HostGateway => network::own_address(),
        };
        let address = address.map_or_else(|| "127.0.0.1".to_owned(), |address| address.to_string());
        lines += &format!("{address}\t{name}\n");
    }
    lines.into_bytes()
}
