//! What the user's own settings say of a registry, and whether the daemon keeps to it. Pure but for
//! the certificates that it looks at.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use boxwright_core::{DOCKER_HUB, Error, ErrorKind, RegistrySetting, Result, Session};

use crate::server::Server;

/// The folders where a daemon on this machine looks for certificates of registries.
const CERTIFICATES: &str = "/etc/docker/certs.d";

/// Checks that a push by the daemon to the registry `host` is as the user's settings say.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] for a setting that the daemon would ignore.
pub(crate) fn honoured_by_push(server: &Server, host: &str, session: &Session) -> Result<()> {
    match session.registries.get(host) {
        Some(setting) => connection(server, host, setting, &certificate_folders(session)),
        None => Ok(()),
    }
}

/// Checks that a pull by the daemon from the registry `host` is as the user's settings say.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] for a setting that the daemon would ignore.
pub(crate) fn honoured_by_pull(server: &Server, host: &str, session: &Session) -> Result<()> {
    let Some(setting) = session.registries.get(host) else { return Ok(()) };
    mirrors(server, host, setting)?;
    connection(server, host, setting, &certificate_folders(session))
}

fn certificate_folders(session: &Session) -> Vec<PathBuf> {
    // The rootless daemon has a folder of its own.
    let own = session.host.config_folder().map(|folder| folder.join("docker/certs.d"));
    std::iter::once(PathBuf::from(CERTIFICATES)).chain(own).collect()
}

fn unsupported(host: &str, setting: &str, remedy: String) -> Error {
    let message = format!("the daemon does not keep to the setting `{setting}` of `{host}`");
    Error::new(ErrorKind::Unsupported, message)
        .with_cause("the daemon transfers images itself, by its own settings")
        .with_remedy(remedy)
}

fn mirrors(server: &Server, host: &str, setting: &RegistrySetting) -> Result<()> {
    let trimmed = |address: &str| {
        let address = address.trim_end_matches('/');
        address.split_once("://").map_or(address, |(_, rest)| rest).to_owned()
    };
    let known = server.registries.mirrors.iter().flatten();
    let known: Vec<String> = known.map(|mirror| trimmed(mirror)).collect();
    let honoured = |mirror: &String| host == DOCKER_HUB && known.contains(&trimmed(mirror));
    if setting.mirrors.iter().all(honoured) {
        return Ok(());
    }
    let remedy = if host == DOCKER_HUB {
        "list the mirrors under \"registry-mirrors\" in the daemon's daemon.json, and restart it"
    } else {
        "name the mirror in the image's reference: Docker has mirrors for docker.io alone"
    };
    Err(unsupported(host, "mirrors", remedy.to_owned()))
}

fn connection(
    server: &Server,
    host: &str,
    setting: &RegistrySetting,
    folders: &[PathBuf],
) -> Result<()> {
    let insecure = is_insecure(server, host);
    if (setting.insecure || setting.plain_http == Some(true)) && !insecure {
        let name = if setting.insecure { "insecure" } else { "plain-http" };
        let remedy = format!(
            "list \"{host}\" under \"insecure-registries\" in the daemon's daemon.json, and restart it"
        );
        return Err(unsupported(host, name, remedy));
    }
    if setting.plain_http == Some(false) && insecure {
        let remedy =
            format!("take \"{host}\" out of \"insecure-registries\" in the daemon's daemon.json");
        return Err(unsupported(host, "plain-http", remedy));
    }
    let wanted = [
        ("ca", &setting.ca, "ca.crt"),
        ("client-certificate", &setting.client_certificate, "client.cert"),
        ("client-key", &setting.client_key, "client.key"),
    ];
    for (name, file, daemons) in wanted {
        let Some(file) = file else { continue };
        if !folders.iter().any(|folder| holds(&folder.join(host), file)) {
            let remedy = format!(
                "copy `{}` to {CERTIFICATES}/{host}/{daemons} on the daemon's machine",
                file.display()
            );
            return Err(unsupported(host, name, remedy));
        }
    }
    Ok(())
}

/// Returns whether some file in `folder` has the content of `file`.
fn holds(folder: &Path, file: &Path) -> bool {
    let Ok(wanted) = std::fs::read(file) else { return false };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| std::fs::read(entry.path()).is_ok_and(|found| found == wanted))
}

/// Returns whether the daemon takes plain HTTP and unverified certificates from the registry `host`.
// SPEC: dockerd: "insecure registries": names in IndexConfigs, networks in InsecureRegistryCIDRs, which
// hold 127.0.0.0/8 (and ::1/128 since Docker 28) from the start.
fn is_insecure(server: &Server, host: &str) -> bool {
    let indexes = server.registries.index_configs.as_ref();
    if let Some(index) = indexes.and_then(|indexes| indexes.get(host)) {
        return index.secure == Some(false);
    }
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    let address = if name == "localhost" { Ok(IpAddr::from([127, 0, 0, 1])) } else { name.parse() };
    let Ok(address) = address else { return false };
    let networks = server.registries.insecure_registry_cidrs.iter().flatten();
    networks.into_iter().any(|network| contains(network, address))
}

fn contains(network: &str, address: IpAddr) -> bool {
    let Some((base, length)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            let shift = 32u32.saturating_sub(length);
            u32::from(base).checked_shr(shift) == u32::from(address).checked_shr(shift)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => {
            let shift = 128u32.saturating_sub(length);
            u128::from(base).checked_shr(shift) == u128::from(address).checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::recorded;

    fn setting(json: &str) -> RegistrySetting {
        serde_json::from_str(json).unwrap()
    }

    fn check(host: &str, json: &str, folders: &[PathBuf]) -> Result<()> {
        let server = recorded("20.10", None);
        mirrors(&server, host, &setting(json))?;
        connection(&server, host, &setting(json), folders)
    }

    #[test]
    fn what_the_daemon_does_anyway_is_allowed() {
        for host in ["localhost:5000", "127.0.0.1", "127.8.0.1:5000"] {
            check(host, r#"{"insecure": true, "plain-http": true}"#, &[]).unwrap();
        }
        check("ghcr.io", "{}", &[]).unwrap();
        check("ghcr.io", r#"{"plain-http": false}"#, &[]).unwrap();
    }

    #[test]
    fn what_the_daemon_would_ignore_is_an_error_with_its_side_of_the_remedy() {
        for (host, json, remedy) in [
            (
                "r.example:5000",
                r#"{"insecure": true}"#,
                "list \"r.example:5000\" under \"insecure-registries\"",
            ),
            (
                "10.0.0.1",
                r#"{"plain-http": true}"#,
                "list \"10.0.0.1\" under \"insecure-registries\"",
            ),
            ("localhost:5000", r#"{"plain-http": false}"#, "take \"localhost:5000\" out of"),
            (
                "r.example",
                r#"{"mirrors": ["m.example"]}"#,
                "name the mirror in the image's reference",
            ),
            (
                "docker.io",
                r#"{"mirrors": ["m.example"]}"#,
                "list the mirrors under \"registry-mirrors\"",
            ),
            (
                "r.example",
                r#"{"ca": "/nonexistent/ca.pem"}"#,
                "copy `/nonexistent/ca.pem` to /etc/docker/certs.d/r.example/ca.crt",
            ),
        ] {
            let error = check(host, json, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{json}");
            assert!(error.remedy().unwrap().starts_with(remedy), "{:?}", error.remedy());
        }
    }

    #[test]
    fn an_authority_that_the_daemon_has_is_honoured() {
        let folder = tempfile::tempdir().unwrap();
        let certificates = folder.path().join("certs.d");
        std::fs::create_dir_all(certificates.join("r.example")).unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, "authority").unwrap();
        let json = serde_json::json!({ "ca": ca }).to_string();
        let folders = [certificates.clone()];
        assert!(check("r.example", &json, &folders).is_err());
        std::fs::write(certificates.join("r.example/ca.crt"), "authority").unwrap();
        check("r.example", &json, &folders).unwrap();
    }
}
