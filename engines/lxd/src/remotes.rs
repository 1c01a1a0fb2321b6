//! The remotes that the programs `lxc` and `incus` know, read from their own settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, Result};
use boxwright_http::Endpoint;
use saphyr::{LoadableYamlNode as _, Yaml};

/// The largest file with remotes that is read.
const FILE_LIMIT: u64 = 1024 * 1024;

/// A server that one of the programs knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) endpoint: Endpoint,
    pub(crate) project: Option<String>,
}

/// What one of the programs knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Remotes {
    /// The program, `lxc` or `incus`.
    pub(crate) program: &'static str,
    pub(crate) by_name: BTreeMap<String, Remote>,
    /// The one that is used where none is named.
    pub(crate) default: Option<String>,
}

/// Reads the settings of both programs.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when one of their files is broken.
pub(crate) fn read(host: &Host) -> Result<Vec<Remotes>> {
    let home = |path: &str| host.home().map(|home| home.join(path));
    let config = |path: &str| host.config_folder().map(|folder| folder.join(path));
    let lxc = match host.path_variable("LXD_CONF") {
        Some(folder) => vec![folder],
        None => config("lxc").into_iter().chain(home("snap/lxd/common/config")).collect(),
    };
    let incus = match host.path_variable("INCUS_CONF") {
        Some(folder) => vec![folder],
        None => config("incus").into_iter().collect(),
    };
    let mut found = Vec::new();
    for (program, folders) in [("lxc", lxc), ("incus", incus)] {
        for folder in folders {
            let file = folder.join("config.yml");
            if let Some(text) = read_file(&file)? {
                found.push(parse(program, &text, &folder).map_err(|error| broken(&file, &error))?);
            }
        }
    }
    Ok(found)
}

/// Reads a file, or `None` if there is none that this user may read.
fn read_file(file: &Path) -> Result<Option<String>> {
    use std::io::Read as _;
    let Ok(opened) = std::fs::File::open(file) else { return Ok(None) };
    let mut text = String::new();
    opened
        .take(FILE_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| broken(file, &error.to_string()))?;
    Ok(Some(text))
}

fn broken(file: &Path, cause: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot read the remotes in `{}`", file.display()))
        .with_cause(cause)
        .with_remedy("mend the file, or set `engine.lxd.host`")
}

fn parse(program: &'static str, text: &str, folder: &Path) -> Result<Remotes, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    let mut found = Remotes { program, ..Remotes::default() };
    let Some(document) = documents.first() else { return Ok(found) };
    let text_of = |node: &Yaml<'_>, name: &str| -> Option<String> {
        let value = node.as_mapping_get(name)?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    found.default = text_of(document, "default-remote");
    let Some(remotes) = document.as_mapping_get("remotes").and_then(Yaml::as_mapping) else {
        return Ok(found);
    };
    for (name, remote) in remotes {
        let (Some(name), Some(address)) = (name.as_str(), text_of(remote, "addr")) else {
            continue;
        };
        // Servers that only hand images out, and what is not spoken here.
        let is_public = remote.as_mapping_get("public").and_then(Yaml::as_bool) == Some(true);
        let protocol = text_of(remote, "protocol").unwrap_or_else(|| program.to_owned());
        if is_public || protocol == "simplestreams" || protocol == "oci" {
            continue;
        }
        let project = text_of(remote, "project");
        if let Some(endpoint) = endpoint(name, &address, folder)? {
            found.by_name.insert(name.to_owned(), Remote { endpoint, project });
        }
    }
    Ok(found)
}

/// Returns where a remote is. `None` for the local one without a path, which means the usual sockets.
fn endpoint(name: &str, address: &str, folder: &Path) -> Result<Option<Endpoint>, String> {
    if let Some(path) = address.strip_prefix("unix:") {
        let path = path.trim_start_matches("//");
        return Ok(path.starts_with('/').then(|| Endpoint::unix(path)));
    }
    let parsed = address.parse().map_err(|error: Error| {
        let causes = error.causes().join(", ");
        format!("the address of `{name}`: {error}: {causes}")
    })?;
    Ok(Some(with_certificates(parsed, folder, Some(name))))
}

/// Adds the certificates that the program keeps: its own, and the one that was accepted of the server.
pub(crate) fn with_certificates(
    endpoint: Endpoint,
    folder: &Path,
    remote: Option<&str>,
) -> Endpoint {
    let Endpoint::Tls { host, port, .. } = endpoint else { return endpoint };
    let there = |path: PathBuf| path.is_file().then_some(path);
    let server = remote.map(|name| folder.join("servercerts").join(format!("{name}.crt")));
    Endpoint::Tls {
        host,
        port,
        ca: None,
        // Its names are seldom those that it is reached by.
        pinned: server.and_then(there),
        certificate: there(folder.join("client.crt")),
        key: there(folder.join("client.key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "default-remote: far\nremotes:\n  images:\n    addr: https://images.example\n    protocol: simplestreams\n    public: true\n  local:\n    addr: unix://\n    public: false\n  far:\n    addr: https://build.example:8443\n    auth_type: tls\n    project: ci\n    protocol: lxd\n    public: false\n  near:\n    addr: unix:///run/other/unix.socket\naliases: {}\n";

    #[test]
    fn servers_are_told_from_image_servers_and_have_their_certificates() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("servercerts")).unwrap();
        for file in ["servercerts/far.crt", "client.crt", "client.key"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let found = parse("lxc", TEXT, folder.path()).unwrap();
        assert_eq!(found.default.as_deref(), Some("far"));
        let names: Vec<_> = found.by_name.keys().map(String::as_str).collect();
        assert_eq!(names, ["far", "near"]);
        let far = &found.by_name["far"];
        assert_eq!(far.project.as_deref(), Some("ci"));
        let Endpoint::Tls { host, port, pinned, certificate, key, .. } = &far.endpoint else {
            panic!()
        };
        assert_eq!((host.as_str(), *port), ("build.example", 8443));
        assert_eq!(pinned.as_deref(), Some(folder.path().join("servercerts/far.crt").as_path()));
        assert!(certificate.is_some() && key.is_some());
        let near = Endpoint::unix("/run/other/unix.socket");
        assert_eq!(found.by_name["near"].endpoint, near);
    }

    #[test]
    fn a_broken_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.yml"), "remotes: [\n").unwrap();
        let host = Host::with_variables("/", [("LXD_CONF", folder.path())]);
        let error = read(&host).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("config.yml"), "{error}");
        assert!(error.remedy().is_some());
    }

    #[test]
    fn no_files_are_no_remotes() {
        let host = Host::with_variables("/", [("HOME", "/nowhere")]);
        assert_eq!(read(&host).unwrap(), []);
    }
}
