//! Where a containerd may listen, and in which namespace its images are.

use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Host, Result};

use crate::config::ContainerdConfig;

/// The usual socket.
pub(crate) const USUAL: &str = "/run/containerd/containerd.sock";

/// The socket of the containerd inside k3s, and inside RKE2.
const K3S: &str = "/run/k3s/containerd/containerd.sock";

/// The namespace where nobody says another one.
pub(crate) const NAMESPACE: &str = "default";

/// A socket to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) socket: PathBuf,
    /// What named it, e.g. `CONTAINERD_ADDRESS`.
    pub(crate) source: String,
    /// Whether it is of an ordinary user's containerd.
    pub(crate) is_rootless: bool,
}

/// Where to look.
#[derive(Debug)]
pub(crate) enum Places {
    /// At one place, which the user named.
    Named(Place),
    /// At all of these.
    Usual(Vec<Place>),
}

/// A name that the user may have chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) value: String,
    /// What set it; `None` where it is the default.
    pub(crate) source: Option<&'static str>,
}

impl Place {
    /// Returns it as reports show it.
    pub(crate) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

/// Returns the socket that `text` names: a path, or one behind `unix://`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for anything else.
pub(crate) fn socket(text: &str) -> Result<PathBuf> {
    let path = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")).unwrap_or(text);
    if path.starts_with('/') && !path.contains("://") {
        return Ok(PathBuf::from(path));
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("`{text}` is not the address of a containerd"))
        .with_cause("containerd listens at unix sockets alone")
        .with_remedy(format!("write it as a path, such as `{USUAL}`")))
}

/// Returns where to look.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when what the user named is no socket, with what named it as context.
pub(crate) fn places(host: &Host, config: &ContainerdConfig) -> Result<Places> {
    let setting =
        config.address.as_deref().map(|text| (text, "setting `engine.containerd.address`"));
    let variable = host.variable("CONTAINERD_ADDRESS").map(|text| (text, "CONTAINERD_ADDRESS"));
    if let Some((text, source)) = setting.or(variable) {
        let socket = socket(text).map_err(|error| error.with_context("set by", source))?;
        let is_rootless = owner(&socket).is_some_and(|owner| owner != 0);
        return Ok(Places::Named(Place { socket, source: source.to_owned(), is_rootless }));
    }
    let place = |path: &str, source: &str| Place {
        socket: PathBuf::from(path),
        source: source.to_owned(),
        is_rootless: false,
    };
    let of_root = [place(USUAL, "default socket"), place(K3S, "socket of k3s")];
    let own = rootless(host);
    Ok(Places::Usual(if host.user_id() == 0 {
        of_root.into_iter().chain(own).collect()
    } else {
        own.into_iter().chain(of_root).collect()
    }))
}

/// Returns the socket of this user's own containerd. `containerd-rootless.sh` runs it in a mount namespace of its own,
/// whose `/run/containerd` is seen from here through the process that holds it.
fn rootless(host: &Host) -> Option<Place> {
    let folder = host.runtime_folder()?;
    let holder = std::fs::read_to_string(folder.join("containerd-rootless/child_pid")).ok();
    let holder = holder.and_then(|text| text.trim().parse::<u32>().ok());
    let socket = match holder {
        Some(pid) => PathBuf::from(format!("/proc/{pid}/root{USUAL}")),
        None => folder.join("containerd/containerd.sock"),
    };
    Some(Place { socket, source: "rootless socket".to_owned(), is_rootless: true })
}

fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(path.metadata().ok()?.uid())
}

/// Returns the namespace that images are kept in.
pub(crate) fn namespace(host: &Host, config: &ContainerdConfig) -> Chosen {
    let setting = config.namespace.clone().map(|it| (it, "setting `engine.containerd.namespace`"));
    let variable =
        || Some((host.variable("CONTAINERD_NAMESPACE")?.to_owned(), "CONTAINERD_NAMESPACE"));
    match setting.or_else(variable) {
        Some((value, source)) => Chosen { value, source: Some(source) },
        None => Chosen { value: NAMESPACE.to_owned(), source: None },
    }
}

/// Returns the snapshotter that the user chose.
pub(crate) fn snapshotter(host: &Host, config: &ContainerdConfig) -> Option<Chosen> {
    let setting =
        config.snapshotter.clone().map(|it| (it, "setting `engine.containerd.snapshotter`"));
    let variable =
        || Some((host.variable("CONTAINERD_SNAPSHOTTER")?.to_owned(), "CONTAINERD_SNAPSHOTTER"));
    let (value, source) = setting.or_else(variable)?;
    Some(Chosen { value, source: Some(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        Host::with_variables("/", variables.iter().copied())
    }

    #[test]
    fn what_the_user_names_is_the_only_place() {
        let both = host(&[("CONTAINERD_ADDRESS", "/a.sock")]);
        let set = ContainerdConfig {
            address: Some("unix:///b.sock".into()),
            ..ContainerdConfig::default()
        };
        for (config, path) in [(set, "/b.sock"), (ContainerdConfig::default(), "/a.sock")] {
            let Places::Named(place) = places(&both, &config).unwrap() else { panic!() };
            assert_eq!(place.socket, Path::new(path));
        }
    }

    #[test]
    fn an_address_that_is_no_socket_says_where_it_was_set() {
        for wrong in ["tcp://127.0.0.1:8080", "containerd.sock", "npipe:////./pipe/x"] {
            let host = host(&[("CONTAINERD_ADDRESS", wrong)]);
            let error = places(&host, &ContainerdConfig::default()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert_eq!(error.context(), [("set by", "CONTAINERD_ADDRESS".to_owned())]);
        }
    }

    #[test]
    fn a_rootless_one_is_found_through_the_process_that_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let found = || rootless(&host(&[("XDG_RUNTIME_DIR", path)])).unwrap().socket;
        assert_eq!(found(), folder.path().join("containerd/containerd.sock"));
        std::fs::create_dir(folder.path().join("containerd-rootless")).unwrap();
        std::fs::write(folder.path().join("containerd-rootless/child_pid"), "4711\n").unwrap();
        assert_eq!(found(), Path::new("/proc/4711/root/run/containerd/containerd.sock"));
    }

    #[test]
    fn a_namespace_is_the_settings_then_the_variables_then_the_default() {
        let set = ContainerdConfig { namespace: Some("a".into()), ..ContainerdConfig::default() };
        let named = host(&[("CONTAINERD_NAMESPACE", "b")]);
        assert_eq!(namespace(&named, &set).value, "a");
        assert_eq!(namespace(&named, &ContainerdConfig::default()).value, "b");
        let default = namespace(&host(&[]), &ContainerdConfig::default());
        assert_eq!(default, Chosen { value: "default".into(), source: None });
    }
}
