//! What was found out by trying, remembered until the machine may answer otherwise.
//!
//! Trying takes as long as a short step, and every command would do it. Only that it works is remembered: where it does
//! not, the next command looks again.

use std::fs;
use std::path::Path;

use boxwright_core::Host;

/// The name of the file, in the worker's folder.
const FILE: &str = "tried";

/// What decides whether users may make namespaces and mount in them, and with which ids. A file that is not there is a
/// fact too.
const DECIDING: &[&str] = &[
    "/proc/sys/kernel/random/boot_id",
    "/proc/sys/kernel/unprivileged_userns_clone",
    "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    "/proc/sys/user/max_user_namespaces",
    "/proc/sys/user/max_mnt_namespaces",
    "/proc/self/attr/current",
    "/etc/subuid",
    "/etc/subgid",
];

/// Everything that an answer holds for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circumstances(String);

impl Circumstances {
    /// Returns those of this moment, for the program with this digest.
    pub(crate) fn now(host: &Host, digest: &str) -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let rights = status.lines().filter(|line| {
            ["CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"].iter().any(|it| line.starts_with(it))
        });
        let mut text = format!("{} {digest}\n", host.user_id());
        text.extend(rights.map(|line| format!("{line}\n")));
        for path in DECIDING {
            text += &format!("{path}: {:?}\n", fs::read_to_string(path).ok());
        }
        Self(text)
    }

    /// Returns whether it was found to work in just these, with a store in `folder`.
    pub(crate) fn are_known(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join(FILE)).is_ok_and(|known| known == self.0)
    }

    /// Remembers that it works. Where that cannot be written, the next command tries again.
    pub(crate) fn remember(&self, folder: &Path) {
        let new = folder.join(format!("{FILE}.{}", std::process::id()));
        let written = fs::write(&new, &self.0).and_then(|()| fs::rename(&new, folder.join(FILE)));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_holds_for_the_same_circumstances_alone() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::with_variables("/", [("PATH", "/bin")]);
        let now = Circumstances::now(&host, "a");
        assert!(!now.are_known(folder.path()));
        now.remember(folder.path());
        assert!(Circumstances::now(&host, "a").are_known(folder.path()));
        assert!(!Circumstances::now(&host, "b").are_known(folder.path()));
        assert!(now.0.contains("boot_id: Some("), "{now:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // Half of it is nothing.
        fs::write(folder.path().join(FILE), &now.0[..20]).unwrap();
        assert!(!now.are_known(folder.path()));
        now.remember(&folder.path().join("missing"));
    }
}
