//! `--secret` and `--ssh`: read and checked before anything starts, so that nothing is half done when one is missing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, Host, Result, Secret};

use super::value::{keys, wrong};

/// BuildKit takes no larger secret.
const LARGEST: u64 = 500 * 1024;

/// Reads the secrets that `--secret` names, by id.
pub(super) fn secrets(flags: &[String], host: &Host) -> Result<BTreeMap<String, Secret>> {
    let mut secrets = BTreeMap::new();
    for text in flags {
        let (id, secret) = secret(text, host)?;
        if secrets.insert(id.clone(), secret).is_some() {
            return Err(wrong(format!("the secret `{id}` is given twice")));
        }
    }
    Ok(secrets)
}

fn secret(text: &str, host: &Host) -> Result<(String, Secret)> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for (key, value) in keys("--secret", text, &["id", "src", "source", "env", "type"])? {
        match key {
            "id" => id = Some(value),
            "src" | "source" => file = Some(value),
            "env" => variable = Some(value),
            _ => kind = Some(value),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| {
        wrong(format!("`--secret {text}` has no id"))
            .with_remedy("write it as `--secret id=ID,src=FILE` or `--secret id=ID,env=NAME`")
    })?;
    // As `docker` has it: `type=env,src=NAME` is a variable too, and an id alone is a variable of
    // that name, else a file.
    match kind {
        None | Some("file") => {}
        Some("env") => variable = variable.or(file.take()),
        Some(other) => {
            return Err(wrong(format!("unknown type `{other}` of the secret `{id}`"))
                .with_remedy("use `file` or `env`"));
        }
    }
    let secret = match (file, variable) {
        (Some(_), Some(_)) => {
            return Err(wrong(format!("the secret `{id}` has both a file and a variable"))
                .with_remedy("leave `src` or `env` out"));
        }
        (Some(file), None) => from_file(id, &host.absolute(Path::new(file)))?,
        (None, Some(name)) => from_variable(id, name, host)?,
        (None, None) if host.variable(id).is_some() => from_variable(id, id, host)?,
        (None, None) => from_file(id, &host.absolute(Path::new(id)))?,
    };
    Ok((id.to_owned(), secret))
}

fn from_variable(id: &str, name: &str, host: &Host) -> Result<Secret> {
    let value = host.variable(name).ok_or_else(|| {
        wrong(format!("cannot read the secret `{id}`"))
            .with_cause(format!("the variable `{name}` is not set"))
            .with_remedy(format!(
                "set `{name}`, or take the secret from a file: `id={id},src=FILE`"
            ))
    })?;
    Ok(Secret::from(value))
}

/// Reads a secret that is a file.
pub(crate) fn from_file(id: &str, file: &Path) -> Result<Secret> {
    let cannot = |cause: &str| {
        wrong(format!("cannot read the secret `{id}`"))
            .with_cause(format!("`{}`: {cause}", file.display()))
    };
    let missing = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            cannot("there is no such file").with_remedy("name the file that has it: `src=FILE`")
        }
        _ => cannot(&error.to_string()),
    };
    let data = file.metadata().map_err(missing)?;
    if !data.is_file() {
        return Err(cannot("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(missing)?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(missing)?;
    if bytes.len() as u64 > LARGEST {
        return Err(cannot("it is larger than 500 KiB, which is more than a secret may have"));
    }
    Ok(Secret::new(bytes))
}

/// Finds the ssh agents that `--ssh` names, by id.
pub(super) fn agents(flags: &[String], host: &Host) -> Result<BTreeMap<String, PathBuf>> {
    flags.iter().map(|text| agent(text, host)).collect()
}

fn agent(text: &str, host: &Host) -> Result<(String, PathBuf)> {
    let (id, socket) = match text.split_once('=') {
        Some((id, socket)) => (id, host.absolute(Path::new(socket))),
        None => {
            let socket = host.path_variable("SSH_AUTH_SOCK").ok_or_else(|| {
                wrong(format!("there is no ssh agent for `--ssh {text}`"))
                    .with_cause("`SSH_AUTH_SOCK` is not set")
                    .with_remedy("start one with `eval $(ssh-agent) && ssh-add`")
            })?;
            (text, socket)
        }
    };
    if id.is_empty() {
        return Err(wrong(format!("`--ssh {text}` has no id"))
            .with_remedy("write it as `--ssh default`, or `--ssh ID=SOCKET`"));
    }
    check_socket(id, &socket)?;
    Ok((id.to_owned(), socket))
}

fn check_socket(id: &str, socket: &Path) -> Result<()> {
    let cannot = |cause: String| -> Error {
        wrong(format!("cannot use the ssh agent `{id}`"))
            .with_cause(format!("`{}`: {cause}", socket.display()))
    };
    let data = socket.metadata().map_err(|error| cannot(error.to_string()))?;
    if data.file_type().is_socket() {
        return Ok(());
    }
    Err(cannot("it is not a socket".to_owned())
        .with_remedy("keys are handed over by an agent: `ssh-add FILE`, then `--ssh default`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> (tempfile::TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), b"\xffs3cret\n").unwrap();
        let host = Host::with_variables(folder.path(), [("TOKEN", "from variable")]);
        (folder, host)
    }

    fn read(text: &str) -> Result<Vec<u8>> {
        let (_folder, host) = host();
        secret(text, &host).map(|(_, secret)| secret.expose().to_vec())
    }

    #[test]
    fn a_secret_comes_from_a_file_or_a_variable() {
        assert_eq!(read("id=a,src=token").unwrap(), b"\xffs3cret\n");
        assert_eq!(read("type=file,id=a,source=token").unwrap(), b"\xffs3cret\n");
        assert_eq!(read("id=a,env=TOKEN").unwrap(), b"from variable");
        assert_eq!(read("id=a,type=env,src=TOKEN").unwrap(), b"from variable");
        assert_eq!(read("id=TOKEN").unwrap(), b"from variable");
        assert_eq!(read("id=token").unwrap(), b"\xffs3cret\n");
    }

    #[test]
    fn a_secret_that_cannot_be_read_says_why() {
        for (text, cause) in [
            ("id=a,src=nothing", "there is no such file"),
            ("id=a,src=.", "it is not a regular file"),
            ("id=a,env=NOTHING", "the variable `NOTHING` is not set"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.to_string(), "cannot read the secret `a`");
            assert!(error.causes()[0].ends_with(cause), "{error:?}");
        }
        for bad in ["src=token", "id=", "id=a,src=token,env=TOKEN", "id=a,type=vault", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_agent_is_a_socket() {
        let (folder, host) = host();
        let path = folder.path().join("agent");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(agent("default=agent", &host).unwrap(), ("default".into(), path.clone()));
        assert_eq!(agent("default", &host).unwrap_err().causes(), ["`SSH_AUTH_SOCK` is not set"]);
        let with = Host::with_variables("/", [("SSH_AUTH_SOCK", &path)]);
        assert_eq!(agent("default", &with).unwrap().1, path);
        let error = agent("key=token", &host).unwrap_err();
        assert!(error.remedy().unwrap().contains("ssh-add"), "{error:?}");
    }
}
