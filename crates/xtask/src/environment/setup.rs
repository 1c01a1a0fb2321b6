//! The setups in `conformance-tests/environments`: which engine comes up how, as data.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::problem::{Explain, Problem, Result};

/// One `ENGINE/SETUP.toml`. Exactly one of the tables at its end is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Setup {
    /// `ENGINE/SETUP`, from the file's path.
    #[serde(skip)]
    pub(crate) name: String,
    /// One sentence for people.
    pub(crate) about: String,
    /// Programs that must be installed.
    pub(crate) programs: Vec<String>,
    /// The Debian packages that hold them.
    pub(crate) packages: Vec<String>,
    pub(crate) containerd: Option<Containerd>,
    pub(crate) docker: Option<Docker>,
    pub(crate) podman: Option<Podman>,
    pub(crate) lxd: Option<Lxd>,
    pub(crate) registry: Option<Registry>,
}

/// How a `containerd` comes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Containerd {
    /// Plugins that are not started.
    pub(crate) disabled_plugins: Vec<String>,
}

/// How a `dockerd` comes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Docker {
    /// More arguments for `dockerd`.
    pub(crate) arguments: Vec<String>,
    /// What its `daemon.json` holds.
    #[serde(default)]
    pub(crate) daemon: toml::Table,
}

/// How a `podman system service` comes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Podman {
    pub(crate) user: User,
    pub(crate) runtime: String,
    pub(crate) storage_driver: String,
}

/// How an `lxd` comes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Lxd {
    /// What its pool is kept on, such as `dir`.
    pub(crate) pool: String,
}

/// Whose service it is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum User {
    Root,
    Ordinary,
}

/// How a `docker-registry` comes up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Registry {
    pub(crate) authentication: Authentication,
    pub(crate) tls: bool,
}

/// How a registry knows its users.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Authentication {
    None,
    Htpasswd,
    Token,
}

impl Setup {
    /// Returns whether only root can bring it up.
    pub(crate) fn needs_root(&self) -> bool {
        self.containerd.is_some()
            || self.docker.is_some()
            || self.lxd.is_some()
            || self.podman.as_ref().is_some_and(|podman| podman.user == User::Root)
    }

    fn read(path: &Path) -> Result<Self> {
        let message = || format!("cannot read the setup `{}`", path.display());
        let text = fs::read_to_string(path).explain(message)?;
        let mut setup: Self = toml::from_str(&text).explain(message)?;
        let tables = [
            setup.containerd.is_some(),
            setup.docker.is_some(),
            setup.podman.is_some(),
            setup.lxd.is_some(),
            setup.registry.is_some(),
        ];
        if tables.iter().filter(|there| **there).count() != 1 {
            return Err(Problem::new(message())
                .cause("it needs one table of containerd, docker, podman, lxd, registry"));
        }
        let part = |path: Option<&Path>| {
            path.and_then(Path::file_stem).unwrap_or_default().to_string_lossy().into_owned()
        };
        setup.name = format!("{}/{}", part(path.parent()), part(Some(path)));
        Ok(setup)
    }
}

/// Reads every setup below `folder`, ordered by name.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Setup>> {
    let mut setups = Vec::new();
    for engine in list(folder)?.iter().filter(|path| path.is_dir()) {
        for file in
            list(engine)?.iter().filter(|path| path.extension().is_some_and(|e| e == "toml"))
        {
            setups.push(Setup::read(file)?);
        }
    }
    Ok(setups)
}

/// Keeps the setups that `wanted` names, by engine or in full; an empty `wanted` keeps all.
///
/// Registries stay unless some are named: the engines are told about them, and the base image is in one.
pub(crate) fn choose(setups: Vec<Setup>, wanted: &[String]) -> Result<Vec<Setup>> {
    let named = |setup: &Setup, name: &str| {
        setup.name == name || setup.name.split('/').next() == Some(name)
    };
    if let Some(unknown) = wanted.iter().find(|name| !setups.iter().any(|s| named(s, name))) {
        let names: Vec<&str> = setups.iter().map(|setup| setup.name.as_str()).collect();
        return Err(Problem::new(format!("there is no setup `{unknown}`"))
            .help(format!("use an engine's name or one of {}", names.join(", "))));
    }
    let names_registries =
        setups.iter().any(|s| s.registry.is_some() && wanted.iter().any(|name| named(s, name)));
    let keep = |setup: &Setup| {
        let asked = wanted.is_empty() || wanted.iter().any(|name| named(setup, name));
        asked || (setup.registry.is_some() && !names_registries)
    };
    Ok(setups.into_iter().filter(keep).collect())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
        paths.sort();
        Ok(paths)
    };
    read().explain(|| format!("cannot read the folder `{}`", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::{Setup, choose, read_all};
    use crate::workspace;

    fn names(setups: &[Setup]) -> Vec<&str> {
        setups.iter().map(|setup| setup.name.as_str()).collect()
    }

    #[test]
    fn every_setup_of_the_workspace_reads() {
        let setups = read_all(&workspace::environments()).unwrap();
        let expected = [
            "containerd/debian-12",
            "docker/debian-12",
            "lxd/debian-12",
            "podman/root",
            "podman/rootless",
            "registry/auth",
            "registry/open",
            "registry/tls",
            "registry/token",
        ];
        assert_eq!(names(&setups), expected);
    }

    #[test]
    fn registries_stay_unless_some_are_chosen() {
        let all = || read_all(&workspace::environments()).unwrap();
        let chosen = choose(all(), &["podman/rootless".to_owned()]).unwrap();
        assert_eq!(names(&chosen)[0], "podman/rootless");
        assert_eq!(chosen.len(), 5);
        assert_eq!(choose(all(), &["podman".to_owned()]).unwrap().len(), 6);
        let some = choose(all(), &["docker".to_owned(), "registry/open".to_owned()]).unwrap();
        assert_eq!(names(&some), ["docker/debian-12", "registry/open"]);
    }

    #[test]
    fn an_unknown_setup_lists_the_known_ones() {
        let all = read_all(&workspace::environments()).unwrap();
        let problem = choose(all, &["lxc".to_owned()]).unwrap_err().to_string();
        assert!(problem.contains("`lxc`") && problem.contains("podman/root,"), "{problem}");
    }

    #[test]
    fn a_setup_without_its_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let engine = folder.path().join("docker");
        std::fs::create_dir(&engine).unwrap();
        let text = "about = \"x\"\nprograms = []\npackages = []\n";
        std::fs::write(engine.join("x.toml"), text).unwrap();
        assert!(read_all(folder.path()).is_err());
    }
}
