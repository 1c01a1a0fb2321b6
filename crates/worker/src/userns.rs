//! A user namespace, in which an ordinary user is root.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use boxwright_core::{Error, ErrorKind, Result};
use rustix::process::{WaitOptions, waitpid};
use rustix::thread::{Gid, Uid, UnshareFlags};

use crate::failure::system;
use crate::syscalls;

/// Which ids are to be had in a user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ids {
    /// The process was root already, and needs no namespace.
    All,
    /// Those that `/etc/subuid` and `/etc/subgid` give to the user.
    Ranges,
    /// Only one, which is root inside: files cannot belong to others there.
    One {
        /// Why there are no more, as a clause.
        reason: String,
    },
}

/// One line of `/etc/subuid` or `/etc/subgid`.
type Range = (u32, u32);

/// Makes the process root in a user namespace of its own, unless it is root already. It must have one thread.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when the machine lets no user make a namespace, with what to do.
pub fn enter() -> Result<Ids> {
    if rustix::process::geteuid().is_root() {
        return Ok(Ids::All);
    }
    match enter_with_ranges()? {
        Ok(()) => Ok(Ids::Ranges),
        Err(reason) => Ok(Ids::One { reason }),
    }
}

/// Enters a namespace with the user's ranges; or with one id, and says why.
fn enter_with_ranges() -> Result<Result<(), String>> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = user_name(uid);
    let ranges = ranges("/etc/subuid", &name, uid)
        .and_then(|uids| Ok((uids, ranges("/etc/subgid", &name, uid)?)));
    let programs = find("newuidmap").and_then(|uids| Ok((uids, find("newgidmap")?)));
    let plan = match (programs, ranges) {
        (Ok(programs), Ok(ranges)) => Ok((programs, ranges)),
        (Err(reason), _) | (_, Err(reason)) => Err(reason),
    };
    match plan {
        Ok(((newuidmap, newgidmap), (uids, gids))) => {
            let helped = with_helper(|process| {
                map(&newuidmap, process, uid, &uids)?;
                map(&newgidmap, process, gid, &gids)
            })?;
            if let Err(reason) = helped {
                // The namespace is there, and one id can still be mapped by whoever made it.
                map_one(uid, gid)?;
                become_root()?;
                return Ok(Err(reason));
            }
            become_root()?;
            Ok(Ok(()))
        }
        Err(reason) => {
            unshare()?;
            map_one(uid, gid)?;
            become_root()?;
            Ok(Err(reason))
        }
    }
}

/// Enters a namespace while a child that stays outside does `help` for this process. Mapping ranges takes programs
/// with rights, which have none in here.
fn with_helper(help: impl FnOnce(i32) -> Result<(), String>) -> Result<Result<(), String>> {
    let fail = |error: std::io::Error| system("cannot start a helper", error);
    let (mut begun, mut begin) = std::io::pipe().map_err(fail)?;
    let (mut done, mut say) = std::io::pipe().map_err(fail)?;
    let this = rustix::process::getpid().as_raw_nonzero().get();
    let Some(child) = syscalls::fork().map_err(fail)? else {
        drop((begin, done));
        let reason = match begun.read_exact(&mut [0]) {
            Ok(()) => help(this).err().unwrap_or_default(),
            Err(_) => "its parent is gone".to_owned(),
        };
        let _ = say.write_all(reason.as_bytes());
        syscalls::exit_now(0)
    };
    drop((begun, say));
    let entered = unshare();
    if entered.is_ok() {
        begin.write_all(&[0]).map_err(fail)?;
    }
    drop(begin);
    let mut reason = String::new();
    done.read_to_string(&mut reason).map_err(fail)?;
    let _ = waitpid(Some(child), WaitOptions::empty());
    entered?;
    Ok(if reason.is_empty() { Ok(()) } else { Err(reason) })
}

fn unshare() -> Result<()> {
    syscalls::unshare(UnshareFlags::NEWUSER).map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a user namespace")
            .with_source(error)
            .with_remedy(remedy())
    })
}

/// What lets an ordinary user make namespaces on this machine.
fn remedy() -> String {
    let is = |path: &str, value: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.trim() == value)
    };
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        return "let users make namespaces, with `sysctl kernel.unprivileged_userns_clone=1`"
            .to_owned();
    }
    if is("/proc/sys/user/max_user_namespaces", "0") {
        return "let users make namespaces, with `sysctl user.max_user_namespaces=15000`"
            .to_owned();
    }
    restricted_remedy().unwrap_or_else(|| "run it as root".to_owned())
}

/// What to do where AppArmor takes the rights in a namespace away, if it does here.
fn restricted_remedy() -> Option<String> {
    let path = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
    let on = std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
    on.then(|| {
        "let users make namespaces, with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or give the \
         program an AppArmor profile with `userns`"
            .to_owned()
    })
}

fn map_one(uid: u32, gid: u32) -> Result<()> {
    // Without the right to set groups, the kernel lets a group be mapped only when nobody can drop it.
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("0 {uid} 1")),
        ("/proc/self/gid_map", format!("0 {gid} 1")),
    ];
    for (path, text) in files {
        std::fs::write(path, text).map_err(|error| {
            let error =
                Error::new(ErrorKind::Unavailable, "cannot become root in a user namespace")
                    .with_source(error);
            match restricted_remedy() {
                Some(remedy) => error.with_remedy(remedy),
                None => error,
            }
        })?;
    }
    Ok(())
}

fn become_root() -> Result<()> {
    let fail = |error: rustix::io::Errno| {
        let error = system("cannot become root in a user namespace", error);
        match restricted_remedy() {
            Some(remedy) => error.with_remedy(remedy),
            None => error,
        }
    };
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_res_gid(Some(gid), Some(gid), Some(gid)).map_err(fail)?;
    rustix::thread::set_thread_res_uid(Some(uid), Some(uid), Some(uid)).map_err(fail)?;
    // With one id, groups can only be kept.
    let _ = rustix::thread::set_thread_groups(&[]);
    Ok(())
}

/// Maps root to `own`, and the ids from 1 on to the ranges.
fn map(program: &Path, process: i32, own: u32, ranges: &[Range]) -> Result<(), String> {
    let mut arguments = vec![process.to_string(), "0".into(), own.to_string(), "1".into()];
    let mut next: u32 = 1;
    for (start, count) in ranges {
        arguments.extend([next.to_string(), start.to_string(), count.to_string()]);
        next = next.saturating_add(*count);
    }
    #[expect(clippy::disallowed_methods, reason = "an empty environment, and no open files")]
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`{}` cannot be started: {error}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or("it says nothing");
    Err(format!("`{}` refused: {said}", program.display()))
}

fn find(program: &str) -> Result<PathBuf, String> {
    let folders = ["/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin"];
    let mut places = folders.iter().map(|folder| Path::new(folder).join(program));
    places.find(|path| path.is_file()).ok_or_else(|| format!("`{program}` is not installed"))
}

fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_default()
}

fn ranges(path: &str, name: &str, uid: u32) -> Result<Vec<Range>, String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let found = parse_ranges(&text, name, uid);
    if found.is_empty() {
        return Err(format!("`{path}` has no line for this user"));
    }
    Ok(found)
}

fn parse_ranges(text: &str, name: &str, uid: u32) -> Vec<Range> {
    let range = |line: &str| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        if owner != uid.to_string() && (name.is_empty() || owner != name) {
            return None;
        }
        let (start, count): (u32, u32) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        (count > 0).then_some((start, count))
    };
    text.lines().filter_map(range).collect()
}

impl Ids {
    /// Returns what brings more ids, where there is one only.
    #[must_use]
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::All | Self::Ranges => None,
            Self::One { .. } => Some(
                "install `uidmap`, and give the user a range with \
                 `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_belong_to_a_name_or_a_number() {
        let text = "root:1:2\nann:100000:65536\n1000:300000:10\nann:x:1\nann:5:0\n#c\nbob:9:9";
        assert_eq!(parse_ranges(text, "ann", 1000), [(100_000, 65_536), (300_000, 10)]);
        assert_eq!(parse_ranges(text, "", 7), []);
        assert_eq!(parse_ranges("ann:4294967296:1", "ann", 1), []);
    }
}
