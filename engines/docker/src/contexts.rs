//! Docker contexts: named endpoints that `docker context` keeps in files.
//!
//! Source: the layout that docker/cli writes in `cli/context/store`.

use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, Result, nearest};
use boxwright_http::Endpoint;
use serde::Deserialize;

/// The largest file of settings that is read.
const LIMIT: u64 = 1 << 20;

/// The name of the context that means "no context".
pub(crate) const DEFAULT: &str = "default";

/// The folder of Docker's own settings: `$DOCKER_CONFIG`, else `~/.docker`.
pub(crate) fn settings_folder(host: &Host) -> Option<PathBuf> {
    host.path_variable("DOCKER_CONFIG").or_else(|| Some(host.home()?.join(".docker")))
}

/// Returns the context that `docker context use` chose, unless it is the default one.
pub(crate) fn current(folder: &Path) -> Result<Option<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Settings {
        #[serde(default)]
        current_context: Option<String>,
    }
    let file = folder.join("config.json");
    let Some(text) = read(&file)? else { return Ok(None) };
    let settings: Settings = parse(&file, &text)?;
    Ok(settings.current_context.filter(|name| !name.is_empty() && name != DEFAULT))
}

/// Returns the endpoint of the context `name`.
pub(crate) fn endpoint(folder: &Path, name: &str) -> Result<Endpoint> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.join("contexts/meta")).into_iter().flatten().flatten() {
        let file = entry.path().join("meta.json");
        let Some(text) = read(&file)? else { continue };
        let meta: Meta = parse(&file, &text)?;
        if meta.name == name {
            let tls = folder.join("contexts/tls").join(entry.file_name()).join("docker");
            return meta.endpoint(&tls);
        }
        names.push(meta.name);
    }
    names.sort();
    let known: Vec<&str> = names.iter().map(String::as_str).chain([DEFAULT]).collect();
    let error = Error::new(ErrorKind::NotFound, format!("unknown Docker context `{name}`"));
    Err(match nearest(name, &known) {
        Some(near) => error.with_remedy(format!("use the context `{near}`")),
        None => error.with_remedy(format!("use one of {}", known.join(", "))),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Address>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Address {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Meta {
    fn endpoint(self, tls: &Path) -> Result<Endpoint> {
        let name = self.name;
        let address = self.endpoints.docker.filter(|address| !address.host.is_empty());
        let address = address.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                format!("the Docker context `{name}` names no host"),
            )
            .with_remedy(format!("set it with `docker context update {name} --docker host=…`"))
        })?;
        if address.skip_tls_verify {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the Docker context `{name}` leaves the daemon's certificate unverified"),
            )
            .with_cause("anyone between could pose as the daemon")
            .with_remedy(format!("give it the authority with `docker context update {name} --docker host={},ca=FILE`", address.host)));
        }
        let files = TlsFiles::in_folder(tls);
        if files.is_empty() {
            crate::endpoints::parse(&address.host, None)
        } else {
            crate::endpoints::parse(&address.host, Some(files))
        }
    }
}

/// The PEM files of a TLS connection that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) certificate: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

impl TlsFiles {
    /// Returns which of `ca.pem`, `cert.pem` and `key.pem` are in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let file = |name: &str| Some(folder.join(name)).filter(|path| path.exists());
        Self { ca: file("ca.pem"), certificate: file("cert.pem"), key: file("key.pem") }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn read(file: &Path) -> Result<Option<String>> {
    use std::io::Read as _;
    let cannot = |error: std::io::Error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", file.display()))
            .with_source(error)
    };
    let mut text = String::new();
    let opened = match std::fs::File::open(file) {
        Ok(opened) => opened,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(cannot(error)),
    };
    opened.take(LIMIT + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LIMIT {
        return Err(cannot(std::io::Error::other("it is larger than 1 MiB")));
    }
    Ok(Some(text))
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path, text: &str) -> Result<T> {
    // Some editors write a byte-order mark, and JSON forbids it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::InvalidInput, format!("cannot read `{}`", file.display()))
            .with_source(error)
            .with_remedy("correct the file: it is JSON, without comments")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(meta: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("contexts/meta/abc")).unwrap();
        std::fs::write(folder.path().join("contexts/meta/abc/meta.json"), meta).unwrap();
        folder
    }

    #[test]
    fn a_context_gives_its_host() {
        let folder = folder_with(
            r#"{"Name":"far","Metadata":{"Description":"x"},"Endpoints":{"docker":{"Host":"ssh://me@far:22","SkipTLSVerify":false}}}"#,
        );
        let found = endpoint(folder.path(), "far").unwrap();
        assert_eq!(found.to_string(), "ssh://me@far:22");
        let error = endpoint(folder.path(), "fra").unwrap_err();
        assert_eq!(error.remedy(), Some("use the context `far`"));
    }

    #[test]
    fn tls_files_of_a_context_make_it_tls() {
        let folder =
            folder_with(r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}"#);
        let tls = folder.path().join("contexts/tls/abc/docker");
        std::fs::create_dir_all(&tls).unwrap();
        std::fs::write(tls.join("ca.pem"), "").unwrap();
        let found = endpoint(folder.path(), "far").unwrap();
        assert!(matches!(found, Endpoint::Tls { ca: Some(_), certificate: None, .. }), "{found:?}");
    }

    #[test]
    fn unverified_tls_is_refused_threat_31() {
        let folder = folder_with(
            r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}"#,
        );
        let error = endpoint(folder.path(), "far").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn the_current_context_is_read_and_default_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("config.json"), text).unwrap();
        assert_eq!(current(folder.path()).unwrap(), None);
        write("\u{feff}{\"currentContext\":\"far\",\"auths\":{}}");
        assert_eq!(current(folder.path()).unwrap().as_deref(), Some("far"));
        write(r#"{"currentContext":"default"}"#);
        assert_eq!(current(folder.path()).unwrap(), None);
        write("{ // comment\n}");
        assert_eq!(current(folder.path()).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
