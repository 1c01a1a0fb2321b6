//! The first process of a step's own namespaces, until it becomes the step.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result, Secret};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use super::files::mount_all;
use super::plan::{Failure, Network, Plan};
use super::rights::{self, Rights};
use super::target::Root;
use crate::execute::Executable;
use crate::failure::system;
use crate::syscalls;
use crate::user::User;

/// The name of the machine that a step sees.
const HOST_NAME: &str = "boxwright";

/// What the first process tells the one that made it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// What it made to mount over, each with the folder that it is in.
    Stubs(Vec<(Vec<u8>, Vec<u8>)>),
    /// Why there will be no step.
    Failed(Failure),
}

/// Becomes the step. `parent` is told what was made, and why it failed if it does.
pub(super) fn become_step(plan: &Plan, contents: &[Secret], parent: UnixStream) -> ! {
    let error = match prepare(plan, contents, &parent) {
        Ok(ready) => ready.run(&parent),
        Err(error) => error,
    };
    // `parent` is open in all cases that come here but one: then a program was not found, which was said.
    let _ = error;
    syscalls::exit_now(126)
}

/// Says why there will be no step.
fn tell(mut parent: &UnixStream, told: &Told) -> io::Result<()> {
    let mut line = serde_json::to_vec(told)?;
    line.push(b'\n');
    parent.write_all(&line)
}

fn prepare(plan: &Plan, contents: &[Secret], parent: &UnixStream) -> Result<Ready> {
    let prepared = build(plan, contents, parent);
    if let Err(error) = &prepared {
        let _ = tell(parent, &Told::Failed(Failure::new(error)));
    }
    prepared
}

fn build(plan: &Plan, contents: &[Secret], mut parent: &UnixStream) -> Result<Ready> {
    let fail = |message: &'static str| move |error: rustix::io::Errno| system(message, error);
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(fail("cannot tie the step"))?;
    rustix::process::setsid().map_err(fail("cannot begin a session"))?;
    // Its own copy of the mounts, so that the parent's root stays without what is mounted in it.
    syscalls::unshare(UnshareFlags::NEWNS).map_err(fail("cannot make a mount namespace"))?;

    let merged = plan.store.join(&plan.work).join("merged");
    let mut root = Root::open(&merged)?;
    let mut environment: BTreeMap<String, String> = plan.environment.iter().cloned().collect();
    mount_all(plan, contents, &mut root, &mut environment)?;
    rustix::process::fchdir(root.folder()).map_err(fail("cannot enter the root"))?;
    let stubs = root.into_stubs().into_iter();
    let stubs = stubs.map(|(folder, name)| (folder.into_os_string().into_vec(), name.into_vec()));
    tell(parent, &Told::Stubs(stubs.collect()))
        .and_then(|()| parent.read_exact(&mut [0]))
        .map_err(|error| system("the sandbox's parent is gone", error))?;

    rustix::process::pivot_root(".", ".").map_err(fail("cannot change the root"))?;
    rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)
        .map_err(fail("cannot leave the old root"))?;
    rustix::process::chdir("/").map_err(fail("cannot enter the root"))?;
    rustix::system::sethostname(HOST_NAME.as_bytes())
        .map_err(fail("cannot set the host's name"))?;
    if plan.network == Network::None {
        match syscalls::loopback_up() {
            // The container of an engine gives no right over networks. There is no way out, and none to oneself.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            done => done.map_err(|error| system("cannot turn on the loopback", error))?,
        }
    }
    // Everything that was open of the worker is closed before a path of the step's is followed.
    let keep = parent.as_raw_fd();
    close_all_but(keep).map_err(|error| system("cannot close what is open", error))?;

    let user = User::find(&plan.user)?;
    environment.entry("HOME".to_owned()).or_insert_with(|| user.home.clone());
    enter(&plan.working_directory)?;
    let secret = |content: &Secret| String::from_utf8(content.expose().to_vec());
    for (name, number) in &plan.secret_environment {
        let value = contents.get(*number).map(secret);
        let Some(Ok(value)) =
            value.filter(|value| !matches!(value, Ok(text) if text.contains('\0')))
        else {
            return Err(Error::new(ErrorKind::InvalidInput, "cannot set a secret as a variable")
                .with_cause(format!("the value for `{name}` is no text"))
                .with_remedy("mount it as a file, without `env=`"));
        };
        environment.insert(name.clone(), value);
    }
    Ready::new(plan, environment, user)
}

/// Enters the working directory, and makes it if it is missing. The process is in the step's root already, and
/// nothing is open that a link of `/proc` could lead to.
fn enter(folder: &str) -> Result<()> {
    let path = Path::new("/").join(folder);
    let refuse = |error: io::Error| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("cannot enter the working directory `{folder}`"),
        )
        .with_source(error)
    };
    std::fs::create_dir_all(&path).map_err(refuse)?;
    std::env::set_current_dir(&path).map_err(refuse)?;
    // A folder outside has no path inside (CVE-2024-21626).
    match rustix::process::getcwd(Vec::new()) {
        Ok(here) if here.as_bytes().starts_with(b"/") => Ok(()),
        _ => Err(refuse(io::Error::other("it is outside of the image"))),
    }
}

fn close_all_but(keep: i32) -> io::Result<()> {
    let keep = keep.unsigned_abs();
    if keep > 3 {
        syscalls::close_range(3, keep - 1)?;
    }
    syscalls::close_range(keep + 1, u32::MAX)
}

/// A step that has everything but its rights taken.
#[derive(Debug)]
struct Ready {
    program: Executable,
    user: User,
    has_owners: bool,
    most_processes: u64,
}

impl Ready {
    fn new(plan: &Plan, environment: BTreeMap<String, String>, user: User) -> Result<Self> {
        let program = Executable::new(&plan.arguments, environment)?;
        let (has_owners, most_processes) = (plan.has_owners, plan.most_processes);
        Ok(Self { program, user, has_owners, most_processes })
    }

    /// Becomes the program. Comes back only with the reason why not.
    fn run(self, parent: &UnixStream) -> Error {
        let rights = Rights {
            user: &self.user,
            has_owners: self.has_owners,
            most_processes: self.most_processes,
        };
        if let Err(error) = rights.take() {
            let _ = tell(parent, &Told::Failed(Failure::new(&error)));
            return error;
        }
        // Taken last: what changes rights takes it away.
        let tied = set_parent_process_death_signal(Some(Signal::KILL));
        if tied.is_err() || rights::is_orphan(parent) {
            return Error::new(ErrorKind::Cancelled, "interrupted");
        }
        // It is the step's own fault when there is no such program.
        syscalls::exit_now(self.program.run())
    }
}

/// Reads what the first process tells, if it tells something.
pub(super) fn told(reader: &mut impl io::BufRead) -> io::Result<Option<Told>> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

/// Returns stubs as they were told.
pub(super) fn stubs(told: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(PathBuf, OsString)> {
    let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
    told.into_iter().map(|(folder, name)| (path(folder), OsString::from_vec(name))).collect()
}
