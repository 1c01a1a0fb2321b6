//! Steps as messages, and back.

use boxwright_core::{
    CacheSharing, Digest, Error, ErrorKind, ExtraHost, HostAddress, LayerChain, LayerRef,
    MountAccess, MountSource, NetworkMode, OutputStream, Result, Step, StepId, StepMount,
};

use super::messages::{
    CacheMount, ChainMount, FileMount, HostMessage, MountKind, MountMessage, Output, StepMessage,
    TmpfsMount,
};

/// Returns the message that describes `step`. Of its layers only the diff ids cross.
pub(crate) fn to_message(step: &Step) -> StepMessage {
    StepMessage {
        id: step.id.0,
        rootfs: diff_ids(&step.rootfs),
        arguments: step.arguments.clone(),
        environment: step.environment.clone(),
        user: step.user.clone(),
        working_directory: step.working_directory.clone(),
        mounts: step.mounts.iter().map(mount_message).collect(),
        network: match step.network {
            NetworkMode::Default => 0,
            NetworkMode::Host => 1,
            NetworkMode::None => 2,
        },
        extra_hosts: step.extra_hosts.iter().map(host_message).collect(),
        shm_size: step.shm_size,
        source_date_epoch: step.source_date_epoch,
        secret_environment: step.secret_environment.clone(),
    }
}

/// Returns the step that `message` describes. Its layers are known by their diff ids alone.
///
/// # Errors
///
/// [`ErrorKind::Protocol`] when it says something that this version does not know.
pub(crate) fn from_message(message: StepMessage) -> Result<Step> {
    let mut step = Step::new(StepId(message.id), message.arguments);
    step.rootfs = chain(&message.rootfs)?;
    step.secret_environment = message.secret_environment;
    step.environment = message.environment;
    step.user = message.user;
    step.working_directory = message.working_directory;
    step.mounts = message.mounts.into_iter().map(mount).collect::<Result<_>>()?;
    step.network = match message.network {
        0 => NetworkMode::Default,
        1 => NetworkMode::Host,
        2 => NetworkMode::None,
        other => return Err(unknown("network mode", other)),
    };
    step.extra_hosts = message.extra_hosts.into_iter().map(extra_host).collect::<Result<_>>()?;
    step.shm_size = message.shm_size;
    step.source_date_epoch = message.source_date_epoch;
    Ok(step)
}

/// Returns the digest in `text`, which the other side sent.
pub(crate) fn digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|error| {
        Error::new(ErrorKind::Protocol, "the other side of the worker's stream sent no digest")
            .with_source(Box::new(error))
    })
}

/// Returns what a step wrote to `stream` as a message.
pub(crate) fn output_message(stream: OutputStream, bytes: Vec<u8>) -> Output {
    Output { error: stream == OutputStream::Stderr, bytes }
}

/// Returns the stream that `output` was written to.
pub(crate) fn output_stream(output: &Output) -> OutputStream {
    if output.error { OutputStream::Stderr } else { OutputStream::Stdout }
}

fn unknown(what: &str, value: u32) -> Error {
    Error::new(ErrorKind::Protocol, format!("the client asks for an unknown {what}, {value}"))
}

fn diff_ids(chain: &LayerChain) -> Vec<String> {
    chain.iter().map(|layer| layer.diff_id.to_string()).collect()
}

fn chain(diff_ids: &[String]) -> Result<LayerChain> {
    let layer = |text: &String| {
        let diff_id = digest(text)?;
        Ok(LayerRef { blob: diff_id.clone(), diff_id })
    };
    diff_ids.iter().map(layer).collect()
}

fn mount_message(mount: &StepMount) -> MountMessage {
    let writable = |access: MountAccess| access == MountAccess::ReadWrite;
    let kind = match &mount.source {
        MountSource::Chain { rootfs, path, access } => MountKind::Chain(ChainMount {
            rootfs: diff_ids(rootfs),
            path: path.clone(),
            writable: writable(*access),
        }),
        MountSource::Cache { id, mode, owner, sharing, access, seed } => {
            MountKind::Cache(CacheMount {
                id: id.clone(),
                mode: *mode,
                user: owner.0,
                group: owner.1,
                sharing: match sharing {
                    CacheSharing::Shared => 0,
                    CacheSharing::Private => 1,
                    CacheSharing::Locked => 2,
                },
                writable: writable(*access),
                seed: seed.as_ref().map(|(rootfs, path)| ChainMount {
                    rootfs: diff_ids(rootfs),
                    path: path.clone(),
                    writable: false,
                }),
            })
        }
        MountSource::Tmpfs { size } => MountKind::Tmpfs(TmpfsMount { size: *size }),
        MountSource::Secret { id, mode, owner } => MountKind::Secret(file(id, *mode, *owner)),
        MountSource::Ssh { id, mode, owner } => MountKind::Ssh(file(id, *mode, *owner)),
    };
    MountMessage { target: mount.target.clone(), kind: Some(kind) }
}

fn file(id: &str, mode: u32, (user, group): (u32, u32)) -> FileMount {
    FileMount { id: id.to_owned(), mode, user, group }
}

fn mount(message: MountMessage) -> Result<StepMount> {
    let access = |writable| if writable { MountAccess::ReadWrite } else { MountAccess::ReadOnly };
    let kind = message.kind.ok_or_else(|| unknown("kind of mount", 0))?;
    let source = match kind {
        MountKind::Chain(ChainMount { rootfs, path, writable }) => {
            MountSource::Chain { rootfs: chain(&rootfs)?, path, access: access(writable) }
        }
        MountKind::Cache(cache) => MountSource::Cache {
            id: cache.id,
            mode: cache.mode,
            owner: (cache.user, cache.group),
            sharing: match cache.sharing {
                0 => CacheSharing::Shared,
                1 => CacheSharing::Private,
                2 => CacheSharing::Locked,
                other => return Err(unknown("sharing of a cache", other)),
            },
            access: access(cache.writable),
            seed: match cache.seed {
                Some(seed) => Some((chain(&seed.rootfs)?, seed.path)),
                None => None,
            },
        },
        MountKind::Tmpfs(TmpfsMount { size }) => MountSource::Tmpfs { size },
        MountKind::Secret(FileMount { id, mode, user, group }) => {
            MountSource::Secret { id, mode, owner: (user, group) }
        }
        MountKind::Ssh(FileMount { id, mode, user, group }) => {
            MountSource::Ssh { id, mode, owner: (user, group) }
        }
    };
    Ok(StepMount { target: message.target, source })
}

fn host_message(host: &ExtraHost) -> HostMessage {
    let address = match host.address {
        HostAddress::Ip(address) => Some(address.to_string()),
        HostAddress::HostGateway => None,
    };
    HostMessage { name: host.name.clone(), address }
}

fn extra_host(message: HostMessage) -> Result<ExtraHost> {
    let address = match message.address {
        None => HostAddress::HostGateway,
        Some(text) => HostAddress::Ip(text.parse().map_err(|error| {
            Error::new(ErrorKind::Protocol, format!("`{text}` is not an address of a host"))
                .with_source(std::io::Error::other(error))
        })?),
    };
    Ok(ExtraHost { name: message.name, address })
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn layers(digits: &str) -> LayerChain {
        let layer = |digit: char| {
            let diff_id: Digest =
                format!("sha256:{}", digit.to_string().repeat(64)).parse().unwrap();
            LayerRef { blob: diff_id.clone(), diff_id }
        };
        digits.chars().map(layer).collect()
    }

    #[test]
    fn every_field_of_a_step_crosses() {
        let mut step = Step::new(StepId(7), vec!["sh".into(), "-c".into()]);
        step.rootfs = layers("ab");
        step.secret_environment.insert("TOKEN".into(), "s".into());
        step.environment.insert("A".into(), "b=c\n".into());
        step.user = "www:33".into();
        step.working_directory = "/srv".into();
        step.network = NetworkMode::None;
        step.shm_size = Some(1 << 40);
        step.source_date_epoch = Some(-5);
        step.extra_hosts = vec![
            ExtraHost { name: "a".into(), address: HostAddress::Ip("::1".parse().unwrap()) },
            ExtraHost { name: "b".into(), address: HostAddress::HostGateway },
        ];
        let (mode, owner) = (0o640, (33, u32::MAX));
        let sources = [
            MountSource::Chain {
                rootfs: layers("cd"),
                path: "/x".into(),
                access: MountAccess::ReadWrite,
            },
            MountSource::Cache {
                id: "go".into(),
                mode,
                owner,
                sharing: CacheSharing::Locked,
                access: MountAccess::ReadOnly,
                seed: Some((layers("e"), "/seed".into())),
            },
            MountSource::Cache {
                id: "pip".into(),
                mode,
                owner,
                sharing: CacheSharing::Private,
                access: MountAccess::ReadWrite,
                seed: None,
            },
            MountSource::Tmpfs { size: None },
            MountSource::Tmpfs { size: Some(3) },
            MountSource::Secret { id: "s".into(), mode, owner },
            MountSource::Ssh { id: "default".into(), mode, owner },
        ];
        for (number, source) in sources.into_iter().enumerate() {
            step.mounts.push(StepMount { target: format!("/m{number}"), source });
        }
        let bytes = to_message(&step).encode_to_vec();
        let back = from_message(StepMessage::decode(&bytes[..]).unwrap()).unwrap();
        assert_eq!(back, step);
    }

    #[test]
    fn what_is_not_a_digest_never_becomes_a_path_threat_27() {
        let message = StepMessage { rootfs: vec!["../../etc".into()], ..StepMessage::default() };
        assert_eq!(from_message(message).unwrap_err().kind(), ErrorKind::Protocol);
    }
}
