//! Who a step or an image's program runs as: `USER`, looked up in the files of its own root.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use boxwright_core::{Error, ErrorKind, Result};

/// The most that is read of a file with users or groups.
const MOST_BYTES: u64 = 8 << 20;

/// A user of a root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// The groups that it is in beside that.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

impl User {
    /// Finds `user`, as `USER` has it, in the files of the root that the process is in.
    pub(crate) fn find(user: &str) -> Result<Self> {
        let read = |path: &str| {
            read(path).map_err(|error| {
                Error::new(ErrorKind::InvalidInput, format!("cannot find the user `{user}`"))
                    .with_cause(format!("`{path}` of the image cannot be read: {error}"))
            })
        };
        find(user, &read("/etc/passwd")?, &read("/etc/group")?)
    }
}

/// Reads a file that may be missing. It must be regular: a pipe in its place would never end.
fn read(path: &str) -> io::Result<String> {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(String::new());
        }
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if about.len() > MOST_BYTES {
        return Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(user: &str, passwd: &str, group: &str) -> Result<User> {
    let (name, group_name) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = id(name).map_err(|cause| unknown("user", name).with_cause(cause))?;
    let entry = passwd.lines().filter_map(Account::parse).find(|account| match number {
        Some(uid) => account.uid == uid || account.name == name,
        None => account.name == name,
    });
    let uid = match (&entry, number) {
        (Some(account), _) => account.uid,
        (None, Some(uid)) => uid,
        (None, None) => {
            return Err(unknown("user", name)
                .with_cause("`/etc/passwd` of the image has no such name")
                .with_remedy("create the user in an earlier step, or give its number"));
        }
    };
    let (mut gid, mut groups) = (entry.as_ref().map_or(0, |account| account.gid), Vec::new());
    let all = || group.lines().filter_map(Group::parse);
    match group_name {
        Some(wanted) => {
            let number = id(wanted).map_err(|cause| unknown("group", wanted).with_cause(cause))?;
            let found = all().find(|group| group.name == wanted).map(|group| group.gid);
            gid = found.or(number).ok_or_else(|| {
                unknown("group", wanted)
                    .with_cause("`/etc/group` of the image has no such name")
                    .with_remedy("create the group in an earlier step, or give its number")
            })?;
        }
        None => {
            if let Some(account) = &entry {
                let member = |group: &Group<'_>| group.members.contains(&account.name);
                groups = all().filter(member).map(|group| group.gid).collect();
            }
        }
    }
    let home = entry.as_ref().map(|account| account.home).filter(|home| !home.is_empty());
    Ok(User { uid, gid, groups, home: home.unwrap_or("/").to_owned() })
}

/// Returns the number that `text` is, or `None` if it is a name. A number that is out of range is an error: it
/// would become that of root (CVE-2024-40635).
fn id(text: &str) -> Result<Option<u32>, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(number) if i32::try_from(number).is_ok() => Ok(Some(number)),
        _ => Err(format!("ids are from 0 to {}", i32::MAX)),
    }
}

fn unknown(what: &str, name: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot find the {what} `{name}`"))
}

/// A line of `/etc/passwd`.
struct Account<'l> {
    name: &'l str,
    uid: u32,
    gid: u32,
    home: &'l str,
}

impl<'l> Account<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let (_, home) = (fields.next(), fields.next().unwrap_or_default());
        Some(Self { name, uid: id(uid).ok()??, gid: id(gid).ok()??, home })
    }
}

/// A line of `/etc/group`.
struct Group<'l> {
    name: &'l str,
    gid: u32,
    members: Vec<&'l str>,
}

impl<'l> Group<'l> {
    fn parse(line: &'l str) -> Option<Self> {
        let mut fields = line.trim().split(':');
        let (name, _, gid) = (fields.next()?, fields.next()?, fields.next()?);
        let members = fields.next().unwrap_or_default().split(',').collect();
        Some(Self { name, gid: id(gid).ok()??, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
        app:x:1000:1001:App:/home/app:/bin/sh\n\
        broken\n\
        high:x:4294967296:0::/:\n";
    const GROUP: &str = "root:x:0:\nextra:x:50:app,other\nstaff:x:51:app\napp:x:1001:\n";

    fn found(user: &str) -> (u32, u32, Vec<u32>, String) {
        let user = find(user, PASSWD, GROUP).unwrap();
        (user.uid, user.gid, user.groups, user.home)
    }

    #[test]
    fn users_are_found_by_name_and_number_with_their_groups_and_home() {
        assert_eq!(found(""), (0, 0, vec![], "/root".to_owned()));
        let app = (1000, 1001, vec![50, 51], "/home/app".to_owned());
        assert_eq!(found("app"), app);
        assert_eq!(found("1000"), app);
        assert_eq!(found("app:staff"), (1000, 51, vec![], "/home/app".to_owned()));
        assert_eq!(found("app:7"), (1000, 7, vec![], "/home/app".to_owned()));
        assert_eq!(found("7:8"), (7, 8, vec![], "/".to_owned()));
        assert_eq!(found("7"), (7, 0, vec![], "/".to_owned()));
    }

    #[test]
    fn ids_out_of_range_are_refused_threat_12() {
        for bad in
            ["4294967296", "2147483648", "-1", "0:4294967295", "99999999999999999999", "+1:-0"]
        {
            let error = find(bad, PASSWD, GROUP).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
        }
        // An entry out of range is none, and does not become root's.
        assert!(find("high", PASSWD, GROUP).is_err());
        assert!(find("nobody", PASSWD, GROUP).is_err());
    }
}
