//! What a daemon says of itself. Pure.

use bollard::models::{RegistryServiceConfig, SystemInfo, SystemVersion};
use boxwright_core::Platform;

use crate::config::Builder;

/// The version of the API, major and minor.
pub(crate) type ApiVersion = (u32, u32);

/// The API that BuildKit came with as more than an experiment: Docker 18.09.
const WITH_BUILDKIT: ApiVersion = (1, 39);

/// Which of the daemon's image stores is in use.
pub(crate) use crate::buildkit::ImageStoreKind;

/// What a daemon says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) version: String,
    pub(crate) api: ApiVersion,
    pub(crate) platform: Platform,
    pub(crate) rootless: bool,
    pub(crate) storage_driver: Option<String>,
    pub(crate) store: ImageStoreKind,
    /// The ways it builds, the one it prefers first.
    pub(crate) builders: Vec<Builder>,
    pub(crate) registries: RegistryServiceConfig,
    /// What confines containers, such as `name=seccomp,profile=default`.
    pub(crate) security: Vec<String>,
    pub(crate) notes: Vec<String>,
}

/// Returns whether Podman answers on the socket.
pub(crate) fn is_podman(version: &SystemVersion) -> bool {
    let mut components = version.components.iter().flatten();
    components.any(|component| component.name.starts_with("Podman"))
}

impl Server {
    /// Reads the answers to `/version` and `/info`, and the header `Builder-Version` of `/_ping`.
    pub(crate) fn of(version: SystemVersion, info: SystemInfo, builder: Option<&str>) -> Self {
        let api = version.api_version.as_deref().and_then(parse_api).unwrap_or((1, 24));
        let os = version.os.as_deref().or(info.os_type.as_deref()).unwrap_or("linux");
        let processor = version.arch.as_deref().or(info.architecture.as_deref());
        let platform = Platform::new(os, processor.unwrap_or(std::env::consts::ARCH), None);
        let options = info.security_options.unwrap_or_default();
        let status = info.driver_status.unwrap_or_default();
        let containerd = status.iter().any(|pair| {
            matches!(&pair[..], [name, value] if name == "driver-type" && value.starts_with("io.containerd.snapshotter"))
        });
        Self {
            version: version
                .version
                .or(info.server_version)
                .unwrap_or_else(|| "unknown".to_owned()),
            api,
            builders: builders(api, &platform, builder),
            platform,
            rootless: options.iter().any(|option| option.contains("name=rootless")),
            storage_driver: info.driver.filter(|driver| !driver.is_empty()),
            store: if containerd {
                ImageStoreKind::Containerd
            } else {
                ImageStoreKind::GraphDriver
            },
            registries: info.registry_config.unwrap_or_default(),
            security: options,
            notes: info.warnings.unwrap_or_default(),
        }
    }
}

/// Returns the ways to build, the one that the daemon prefers first.
// SPEC: Docker Engine API, `/_ping`: `Builder-Version`, "Default version of docker image builder". The
// daemon's setting `features.buildkit` makes it 2 or 1; without the header both are there.
fn builders(api: ApiVersion, platform: &Platform, preferred: Option<&str>) -> Vec<Builder> {
    if api < WITH_BUILDKIT || platform.os() != "linux" {
        return vec![Builder::Classic];
    }
    match preferred {
        Some("1") => vec![Builder::Classic, Builder::BuildKit],
        _ => vec![Builder::BuildKit, Builder::Classic],
    }
}

fn parse_api(text: &str) -> Option<ApiVersion> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The recorded daemon of `version`, a folder of tests/recorded.
    pub(crate) fn recorded(version: &str, builder: Option<&str>) -> Server {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
        let read = |name: &str| std::fs::read(folder.join(version).join(name)).unwrap();
        let said = serde_json::from_slice(&read("version.json")).unwrap();
        let info = serde_json::from_slice(&read("info.json")).unwrap();
        Server::of(said, info, builder)
    }

    #[test]
    fn docker_20_10_has_both_builders_and_the_header_decides() {
        let server = recorded("20.10", None);
        assert_eq!((server.version.as_str(), server.api), ("20.10.24+dfsg1", (1, 41)));
        assert_eq!(server.platform.to_string(), "linux/amd64");
        assert_eq!(server.storage_driver.as_deref(), Some("overlay2"));
        assert!(!server.rootless);
        assert_eq!(server.store, ImageStoreKind::GraphDriver);
        assert_eq!(server.builders, [Builder::BuildKit, Builder::Classic]);
        let server = recorded("20.10", Some("1"));
        assert_eq!(server.builders, [Builder::Classic, Builder::BuildKit]);
    }

    #[test]
    fn containerds_store_is_told_by_the_driver() {
        let server = recorded("26.1", Some("2"));
        assert_eq!((server.api, server.store), ((1, 45), ImageStoreKind::Containerd));
        assert_eq!(server.storage_driver.as_deref(), Some("overlayfs"));
    }

    #[test]
    fn a_daemon_before_18_09_has_no_buildkit() {
        let version = SystemVersion { api_version: Some("1.38".into()), ..Default::default() };
        let server = Server::of(version, SystemInfo::default(), None);
        assert_eq!(server.builders, [Builder::Classic]);
    }

    #[test]
    fn podman_is_told_by_its_components() {
        let text = r#"{"Platform":{"Name":"linux/amd64/debian-12"},"Components":[{"Name":"Podman Engine","Version":"4.3.1"},{"Name":"Conmon","Version":"x"}],"Version":"4.3.1","ApiVersion":"1.41"}"#;
        assert!(is_podman(&serde_json::from_str(text).unwrap()));
        let text = include_str!("../tests/recorded/20.10/version.json");
        assert!(!is_podman(&serde_json::from_str(text).unwrap()));
    }
}
