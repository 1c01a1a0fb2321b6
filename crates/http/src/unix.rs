//! Sockets on this machine.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use boxwright_core::{Error, ErrorKind, Result};
use tokio::net::UnixStream;

pub(crate) async fn connect(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).await.map_err(|error| explain(path, error))
}

/// Says why a socket could not be opened, and what to do.
fn explain(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    let failure = Error::new(ErrorKind::Unavailable, format!("cannot connect to `{shown}`"));
    let metadata = std::fs::metadata(path);
    match error.kind() {
        io::ErrorKind::NotFound => failure
            .with_cause("there is no such socket")
            .with_remedy("start the service that listens there, or correct the path"),
        io::ErrorKind::ConnectionRefused
            if metadata.as_ref().is_ok_and(|data| !data.file_type().is_socket()) =>
        {
            failure.with_cause("the file is not a socket").with_remedy("correct the path")
        }
        io::ErrorKind::ConnectionRefused => failure
            .with_cause("nothing listens on it: it was left behind by a service that ended")
            .with_remedy("start the service again"),
        io::ErrorKind::PermissionDenied => match metadata {
            Ok(data) => closed(failure, data.uid(), data.gid(), data.mode() & 0o777),
            Err(_) => failure
                .with_cause("permission denied: its folder is closed to this user")
                .with_remedy("run as the user it belongs to, or use a rootless service"),
        },
        io::ErrorKind::InvalidInput => failure
            .with_cause("the path of a socket has at most 107 bytes")
            .with_remedy("use a shorter path, or a symbolic link to its folder"),
        io::ErrorKind::WouldBlock => failure
            .with_cause("the service takes no connections: its queue is full")
            .with_remedy("restart the service"),
        _ => failure.with_source(error),
    }
}

/// Says who may use a socket that this user may not.
fn closed(failure: Error, user: u32, group: u32, mode: u32) -> Error {
    let name = group_name(group);
    let failure = failure.with_cause(format!(
        "permission denied: it belongs to user {user} and group `{name}`, with mode {mode:04o}"
    ));
    if mode & 0o060 == 0o060 && group != 0 {
        failure.with_remedy(format!(
            "join the group with `sudo usermod -aG {name} $USER` and log in again, or use a rootless service"
        ))
    } else {
        failure.with_remedy("run as the user it belongs to, or use a rootless service")
    }
}

/// Returns the name of a group by the local group file, else its number.
fn group_name(id: u32) -> String {
    let known = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let mut groups = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found =
        groups.find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(id));
    found.map_or_else(|| id.to_string(), |fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_a_dead_and_a_false_socket_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let causes = |error: Error| (error.kind(), error.causes().remove(0));

        let missing = connect(&folder.path().join("none")).await.unwrap_err();
        assert_eq!(causes(missing), (ErrorKind::Unavailable, "there is no such socket".to_owned()));

        let dead = folder.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        let dead = connect(&dead).await.unwrap_err();
        assert!(causes(dead).1.starts_with("nothing listens on it"));

        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let file = connect(&file).await.unwrap_err();
        assert_eq!(causes(file).1, "the file is not a socket");

        let long = connect(&folder.path().join("x".repeat(120))).await.unwrap_err();
        assert!(causes(long).1.contains("107 bytes"));
    }

    #[test]
    fn a_closed_socket_names_its_group_or_the_rootless_service_as_the_remedy() {
        let told = |group: u32, mode: u32| {
            let failure = Error::new(ErrorKind::Unavailable, "cannot connect to `a.sock`");
            let error = closed(failure, 0, group, mode);
            (error.causes().remove(0), error.remedy().unwrap().to_owned())
        };
        let (cause, remedy) = told(4_000_000_123, 0o660);
        assert_eq!(
            cause,
            "permission denied: it belongs to user 0 and group `4000000123`, with mode 0660"
        );
        assert!(remedy.contains("`sudo usermod -aG 4000000123 $USER`"), "{remedy}");
        assert!(remedy.contains("rootless"), "{remedy}");
        // Nobody joins root's group, and one that may not write is no help.
        for (group, mode) in [(0, 0o660), (4_000_000_123, 0o600)] {
            let (_, remedy) = told(group, mode);
            assert_eq!(remedy, "run as the user it belongs to, or use a rootless service");
        }
    }

    #[test]
    fn groups_have_names() {
        assert_eq!(group_name(0), "root");
        assert_eq!(group_name(4_000_000_123), "4000000123");
    }
}
