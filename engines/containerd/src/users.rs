//! Who a command runs as: names are looked up in the image's own files, in the folders that its snapshot stacks up.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result};
use containerd_client::types::Mount;

/// The largest file with users or groups that is read.
const FILE_LIMIT: u64 = 4 << 20;

/// How many links a name may lead through.
const MOST_LINKS: usize = 8;

/// A user in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
    /// The home folder.
    pub(crate) home: String,
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Returns who `text` is, such as `www-data` or `1000:1000`; empty is root.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when the image has no such user or group.
pub(crate) fn resolve(text: &str, rootfs: &[Mount]) -> Result<User> {
    let folders = folders(rootfs);
    let passwd = read(&folders, "etc/passwd")?.unwrap_or_default();
    let group = read(&folders, "etc/group")?.unwrap_or_default();
    find(text, &passwd, &group)
}

fn find(text: &str, passwd: &str, group: &str) -> Result<User> {
    let (name, group_name) = match text.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let name = if name.is_empty() { "0" } else { name };
    let number = number(name, text)?;
    let fits = |account: &Account<'_>| account.name == name || Some(account.uid) == number;
    let account = accounts(passwd).find(|account| account.name == name);
    let account = account.or_else(|| accounts(passwd).find(fits));
    let (uid, gid, home) = match (&account, number) {
        (Some(account), _) => (account.uid, account.gid, account.home),
        (None, Some(uid)) => (uid, 0, "/"),
        (None, None) => return Err(unknown("user", name, text)),
    };
    let (gid, groups) = match group_name {
        Some(group_name) => (gid_of(group_name, group, text)?, Vec::new()),
        None => {
            let member = account.map(|account| account.name).unwrap_or_default();
            (gid, groups(member, gid, group))
        }
    };
    let home = if home.is_empty() { "/" } else { home };
    Ok(User { uid, gid, groups, home: home.to_owned() })
}

/// Reads a number, or `None` for a name.
fn number(name: &str, text: &str) -> Result<Option<u32>> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match name.parse::<u32>() {
        // The highest stands for "no change" in the kernel's calls, and so for root.
        Ok(number) if number < i32::MAX as u32 => Ok(Some(number)),
        _ => Err(Error::new(ErrorKind::InvalidInput, format!("cannot run as `{text}`"))
            .with_cause(format!("`{name}` is out of range"))
            .with_remedy(format!("use a number below {}", i32::MAX))),
    }
}

fn gid_of(name: &str, group: &str, text: &str) -> Result<u32> {
    let number = number(name, text)?;
    let found = fields(group).find(|fields| fields.first() == Some(&name));
    let found = found.and_then(|fields| fields.get(2)?.parse().ok());
    found.or(number).ok_or_else(|| unknown("group", name, text))
}

fn groups(member: &str, gid: u32, group: &str) -> Vec<u32> {
    let of_member = fields(group).filter(|fields| {
        let members = fields.get(3).copied().unwrap_or_default();
        !member.is_empty() && members.split(',').any(|name| name == member)
    });
    let mut groups: Vec<u32> = of_member
        .filter_map(|fields| fields.get(2)?.parse().ok())
        .filter(|id| *id != gid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    fields(passwd).filter_map(|fields| {
        let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
        Some(Account {
            name: fields[0],
            uid,
            gid,
            home: fields.get(5).copied().unwrap_or_default(),
        })
    })
}

fn fields(file: &str) -> impl Iterator<Item = Vec<&str>> {
    file.lines().map(|line| line.trim().split(':').collect())
}

fn unknown(kind: &str, name: &str, text: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("cannot run as `{text}`"))
        .with_cause(format!("the image has no {kind} `{name}`"))
        .with_remedy("name one that it has, or a number")
}

/// Returns the folders that `rootfs` stacks up, the uppermost first.
fn folders(rootfs: &[Mount]) -> Vec<PathBuf> {
    let Some(mount) = rootfs.first() else { return Vec::new() };
    if mount.r#type != "overlay" {
        return vec![PathBuf::from(&mount.source)];
    }
    let option = |name: &str| mount.options.iter().find_map(|option| option.strip_prefix(name));
    let upper = option("upperdir=").into_iter();
    let lower = option("lowerdir=").into_iter().flat_map(|lower| lower.split(':'));
    upper.chain(lower).map(PathBuf::from).collect()
}

/// Reads the file `name` as the stack shows it, or `None` if it has none.
fn read(folders: &[PathBuf], name: &str) -> Result<Option<String>> {
    let mut wanted = PathBuf::from(name);
    for _ in 0..MOST_LINKS {
        match find_file(folders, &wanted).map_err(|error| unreadable(name, error))? {
            Found::File(file) => {
                let mut bytes = Vec::new();
                file.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(|e| unreadable(name, e))?;
                return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
            }
            Found::Link(target) => wanted = follow(&wanted, &target),
            Found::Nothing | Found::Below => return Ok(None),
        }
    }
    Ok(None)
}

/// Returns what the uppermost folder that has anything to say of a file has.
fn find_file(folders: &[PathBuf], name: &Path) -> std::io::Result<Found> {
    for folder in folders {
        match look(folder, name)? {
            Found::Below => {}
            found => return Ok(found),
        }
    }
    Ok(Found::Nothing)
}

/// Returns where a link leads, never out of the root.
fn follow(link: &Path, target: &Path) -> PathBuf {
    let mut path = match target.is_absolute() {
        true => PathBuf::new(),
        false => link.parent().map(Path::to_owned).unwrap_or_default(),
    };
    for part in target.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => drop(path.pop()),
            _ => {}
        }
    }
    path
}

fn unreadable(name: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot read the image's `/{name}`"))
        .with_source(error)
        .with_remedy("run as root: the snapshots of containerd are its own")
}

/// What one folder of a stack has of a file.
enum Found {
    File(File),
    /// A link; it leads through the whole stack.
    Link(PathBuf),
    /// No file, and none below counts.
    Nothing,
    /// It is for the folders below to say.
    Below,
}

#[cfg(target_os = "linux")]
fn look(folder: &Path, name: &Path) -> std::io::Result<Found> {
    use rustix::fs::{
        CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat,
    };
    use rustix::io::Errno;
    let root =
        openat(CWD, folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // Nothing is opened before it is known to be a file: a device or a pipe would act on it.
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = match openat2(&root, name, path, Mode::empty(), inside) {
        Ok(found) => found,
        Err(Errno::NOENT) => {
            let parent = name.parent().unwrap_or(Path::new(""));
            return Ok(if is_opaque(&folder.join(parent)) { Found::Nothing } else { Found::Below });
        }
        // A folder on the way was removed, or is something else now.
        Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(fstat(&found)?.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => {
            use std::os::unix::ffi::OsStringExt as _;
            let target = readlinkat(&found, "", Vec::new())?.into_bytes();
            return Ok(Found::Link(PathBuf::from(std::ffi::OsString::from_vec(target))));
        }
        _ => return Ok(Found::Nothing),
    }
    let reading = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(Found::File(File::from(openat2(&root, name, reading, Mode::empty(), inside)?)))
}

#[cfg(target_os = "linux")]
fn is_opaque(folder: &Path) -> bool {
    let mut value = [0; 1];
    ["trusted.overlay.opaque", "user.overlay.opaque"].iter().any(|name| {
        rustix::fs::lgetxattr(folder, *name, &mut value[..])
            .is_ok_and(|size| &value[..size] == b"y")
    })
}

#[cfg(not(target_os = "linux"))]
fn look(_folder: &Path, _name: &Path) -> std::io::Result<Found> {
    Ok(Found::Nothing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:w:/var/www:/bin/false\n";
    const GROUP: &str = "root:x:0:\nwww-data:x:33:\nssl:x:104:www-data,other\nadm:x:4:www-data\n";

    #[test]
    fn names_and_numbers_are_looked_up() {
        for (text, uid, gid, groups, home) in [
            ("", 0, 0, vec![], "/root"),
            ("www-data", 33, 33, vec![4, 104], "/var/www"),
            ("33", 33, 33, vec![4, 104], "/var/www"),
            ("1000", 1000, 0, vec![], "/"),
            ("1000:ssl", 1000, 104, vec![], "/"),
            ("www-data:7", 33, 7, vec![], "/var/www"),
        ] {
            let home = home.to_owned();
            assert_eq!(
                find(text, PASSWD, GROUP).unwrap(),
                User { uid, gid, groups, home },
                "{text}"
            );
        }
    }

    #[test]
    fn an_unknown_user_and_a_number_out_of_range_are_refused() {
        for text in ["nobody", "www-data:nogroup", "4294967295", "4294967296", "99999999999"] {
            let error = find(text, PASSWD, GROUP).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_link_in_an_image_does_not_lead_out_of_it_threat_11() {
        let folder = tempfile::tempdir().unwrap();
        let (upper, lower) = (folder.path().join("upper"), folder.path().join("lower"));
        for layer in [&upper, &lower] {
            std::fs::create_dir_all(layer.join("etc")).unwrap();
        }
        let mount = Mount {
            r#type: "overlay".into(),
            options: vec![
                format!("upperdir={}", upper.display()),
                format!("lowerdir={}", lower.display()),
            ],
            ..Mount::default()
        };
        std::fs::write(lower.join("etc/passwd"), PASSWD).unwrap();
        assert_eq!(resolve("www-data", std::slice::from_ref(&mount)).unwrap().uid, 33);
        std::os::unix::fs::symlink("/etc/hostname", upper.join("etc/passwd")).unwrap();
        // Inside the image there is no such file, and the link hides the one below.
        assert!(resolve("www-data", std::slice::from_ref(&mount)).is_err());
        std::fs::write(lower.join("etc/hostname"), PASSWD).unwrap();
        assert_eq!(resolve("www-data", std::slice::from_ref(&mount)).unwrap().uid, 33);
    }
}
