//! The process that makes a sandbox, waits for the step in it, and clears it away.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use boxwright_core::{Error, ErrorKind, Result, Session};
use boxwright_image::overlay::Marks;
use rustix::event::{PollFd, PollFlags};
use rustix::mount::MountAttrFlags;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal, waitpid,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::files::{give, inside, stack_name};
use super::inside::{Told, become_step, stubs, told};
use super::plan::{self, Answer, Failure, Network, Plan, Source};
use super::rights::is_orphan;
use super::target::Stubs;
use crate::copy::copy_tree;
use crate::failure::{on_path, system};
use crate::mount::{Detached, INERT, Overlay, make_private};
use crate::syscalls;

/// Runs as the process that the worker starts for each step: its standard input is the worker's end of a
/// socket, and its outputs are the step's. Returns the exit status of the process.
///
/// The program of the worker calls this first of all, while it has one thread, when its only argument is
/// [`SANDBOX_ARGUMENT`](super::SANDBOX_ARGUMENT).
#[must_use]
pub fn sandbox_main() -> u8 {
    let worker = match take_worker() {
        Ok(worker) => worker,
        Err(_) => return 2,
    };
    let answer = match run(&worker) {
        Ok(status) => Answer::Exited(status),
        Err(error) => Answer::Failed(Failure::new(&error)),
    };
    match plan::answer(&answer, &worker) {
        Ok(()) => 0,
        // Nobody listens any more, and everything is cleared away.
        Err(_) => 1,
    }
}

/// Moves the socket away from standard input, where the step is to find nothing.
fn take_worker() -> std::io::Result<UnixStream> {
    let worker = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(UnixStream::from(worker))
}

fn leave_outputs() -> std::io::Result<()> {
    let nothing = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

fn run(worker: &UnixStream) -> Result<i32> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| system("cannot tie the sandbox", error))?;
    if is_orphan(worker) {
        return Err(Session::cancelled());
    }
    rustix::process::setsid().map_err(|error| system("cannot begin a session", error))?;
    let (plan, contents) =
        plan::receive(worker).map_err(|error| system("cannot read what to run", error))?;
    let merged = make_world(&plan)?;

    let (own, child) = UnixStream::pair().map_err(|error| system("cannot open a socket", error))?;
    let step = match syscalls::fork().map_err(|error| system("cannot start a process", error))? {
        Some(step) => step,
        None => {
            drop(own);
            become_step(&plan, &contents, child)
        }
    };
    drop(child);
    drop(contents);
    let process = pidfd_open(step, PidfdFlags::empty())
        .map_err(|error| system("cannot watch the step", error));
    let process = match process {
        Ok(process) => process,
        Err(error) => {
            let _ = rustix::process::kill_process(step, Signal::KILL);
            return Err(error);
        }
    };
    // The step alone holds its outputs, so that they end with it.
    leave_outputs().map_err(|error| system("cannot leave the outputs", error))?;
    let prepared = follow(own, &merged);
    if prepared.is_err() {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
    let status = wait(step, &process, worker);
    let stubs = prepared?;
    let status = status?;
    stubs.remove().map_err(|error| system("cannot remove mount points", error))?;
    Ok(status)
}

/// Makes the namespaces, and mounts what the step's own mounts are made from.
fn make_world(plan: &Plan) -> Result<PathBuf> {
    let fail = |message: &'static str| move |error: rustix::io::Errno| system(message, error);
    for group in &plan.groups {
        let path = group.join("cgroup.procs");
        std::fs::write(&path, "0").map_err(|error| on_path("cannot write to", &path, error))?;
    }
    let mut spaces =
        UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS | UnshareFlags::NEWPID;
    match &plan.network {
        Network::Worker => {}
        Network::None => spaces |= UnshareFlags::NEWNET,
        Network::Namespace(path) => {
            let space = File::open(path)
                .map_err(|error| on_path("cannot open the network", path, error))?;
            rustix::thread::move_into_link_name_space(
                space.as_fd(),
                Some(LinkNameSpaceType::Network),
            )
            .map_err(fail("cannot enter the network"))?;
        }
    }
    syscalls::unshare(spaces).map_err(fail("cannot make namespaces"))?;
    make_private()?;
    let work = plan.store.join(&plan.work);
    let make = |name: &str| {
        let path = work.join(name);
        std::fs::create_dir(&path)
            .map(|()| path.clone())
            .map_err(|error| on_path("cannot make the folder", &path, error))
    };
    let memory = make("scratch")?;
    Detached::new("tmpfs", &[("mode", "700")], INERT | MountAttrFlags::MOUNT_ATTR_NOEXEC)
        .and_then(|scratch| scratch.attach(&memory))
        .map_err(|error| system("cannot mount a folder in memory", error))?;
    let merged = work.join("merged");
    stack(plan, &plan.layers, Some(("upper", "work")), &merged, "names")?;
    for (number, mount) in plan.mounts.iter().enumerate() {
        let name = stack_name(number);
        match &mount.source {
            Source::Layers { layers, writable, .. } => {
                let stacked = make(&name)?;
                let (upper, inner) = (format!("{name}-upper"), format!("{name}-work"));
                let upper = match writable {
                    true => {
                        make(&upper)?;
                        make(&inner)?;
                        Some((upper.as_str(), inner.as_str()))
                    }
                    false => None,
                };
                stack(plan, layers, upper, &stacked, &format!("{name}-names"))?;
            }
            Source::Folder { path, seed, mode, owner, .. } => {
                let folder = plan.store.join(path);
                if !folder.exists() {
                    let new = make(&format!("{name}-new"))?;
                    if let Some((layers, path)) = seed {
                        let stacked = make(&name)?;
                        stack(plan, layers, None, &stacked, &format!("{name}-names"))?;
                        let seed = inside(&stacked, path)?;
                        copy_tree(&seed, &new, plan.owners())?;
                    }
                    give(plan, &new, *owner, *mode)?;
                    match std::fs::rename(&new, &folder) {
                        // Another step was faster.
                        Err(_) if folder.exists() => {}
                        renamed => {
                            renamed.map_err(|error| on_path("cannot make", &folder, error))?;
                        }
                    }
                }
            }
            Source::Tmpfs { .. } | Source::File { .. } | Source::Socket { .. } => {}
        }
    }
    Ok(merged)
}

/// Stacks layers up over `target`.
fn stack(
    plan: &Plan,
    layers: &[PathBuf],
    upper: Option<(&str, &str)>,
    target: &Path,
    names: &str,
) -> Result<()> {
    let work = &plan.work;
    if plan.marks == Marks::Names {
        crate::copy::stack(&plan.store, layers, target, plan.owners())?;
        // The kernel changes the root to a mount alone, and a device in it is none.
        return Detached::bind(target)
            .and_then(|mount| mount.restrict(MountAttrFlags::MOUNT_ATTR_NODEV)?.attach(target))
            .map_err(|error| on_path("cannot mount", target, error));
    }
    let upper = upper.map(|(upper, inner)| (work.join(upper), work.join(inner)));
    if upper.is_none() && layers.is_empty() {
        return Detached::new("tmpfs", &[("mode", "755")], INERT)
            .and_then(|nothing| nothing.attach(target))
            .map_err(|error| on_path("cannot mount an empty folder at", target, error));
    }
    // Overlayfs wants one layer below what is written, and two where nothing is.
    let mut lower = layers.to_vec();
    if lower.len() < 2 {
        lower.push(PathBuf::from("nothing"));
    }
    let overlay = Overlay {
        base: &plan.store,
        lower: &lower,
        upper: upper.as_ref().map(|(upper, inner)| (upper.as_path(), inner.as_path())),
        marks: plan.marks,
        names: &work.join(names),
    };
    overlay.mount(target)
}

/// Follows the step's first process until it is the step, and holds what it made to mount over.
fn follow(own: UnixStream, root: &Path) -> Result<Stubs> {
    let gone = |error| system("the step's first process is gone", error);
    let mut reader = BufReader::new(own.try_clone().map_err(gone)?);
    let stubs = match told(&mut reader).map_err(gone)? {
        Some(Told::Stubs(made)) => Stubs::open(root, &stubs(made))
            .map_err(|error| system("cannot open mount points", error))?,
        Some(Told::Failed(failure)) => return Err(failure.into_error()),
        None => return Err(plan::no_answer()),
    };
    (&own).write_all(&[0]).map_err(gone)?;
    match told(&mut reader).map_err(gone)? {
        Some(Told::Failed(failure)) => Err(failure.into_error()),
        Some(Told::Stubs(_)) => Err(Error::new(ErrorKind::Bug, "mount points were told twice")),
        // The program runs: its descriptor was closed by that.
        None => Ok(stubs),
    }
}

/// Waits for the step, and kills it when the worker hangs up. When its first process is gone, all are.
fn wait(step: Pid, process: &OwnedFd, worker: &UnixStream) -> Result<i32> {
    let mut cancelled = false;
    loop {
        let mut ready = [PollFd::new(process, PollFlags::IN), PollFd::new(worker, PollFlags::IN)];
        let watched = if cancelled { &mut ready[..1] } else { &mut ready[..] };
        match rustix::event::poll(watched, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(system("cannot wait for the step", error)),
        }
        if !cancelled && !ready[1].revents().is_empty() {
            // The worker says nothing more but that it is over.
            let _ = (&mut (&*worker)).read(&mut [0]);
            cancelled = true;
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        if ready[0].revents().is_empty() {
            continue;
        }
        let status = match waitpid(Some(step), WaitOptions::empty()) {
            Ok(Some((_, status))) => status,
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(system("cannot wait for the step", error)),
        };
        if cancelled {
            return Err(Session::cancelled());
        }
        return match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Ok(status),
            (None, Some(signal)) => Ok(128 + signal),
            (None, None) => continue,
        };
    }
}
