//! Takes rights from a process until it has those of a step, which are Docker's.

use std::io;
use std::os::fd::AsFd;

use boxwright_core::Result;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use crate::failure::system;
use crate::user::User;
use crate::{seccomp, syscalls};

/// What root may do in a step. Source: moby, `daemon/pkg/oci/caps/defaults.go`.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The mask of what a step makes.
const UMASK: u32 = 0o022;

/// How many files a step may open: what programs expect, and what they may raise it to.
const OPEN_FILES: (u64, u64) = (1024, 524_288);

/// The rights of a step.
#[derive(Debug)]
pub(super) struct Rights<'u> {
    pub(super) user: &'u User,
    pub(super) has_owners: bool,
    pub(super) most_processes: u64,
}

impl Rights<'_> {
    /// Takes everything else from the calling process, which has one thread.
    pub(super) fn take(&self) -> Result<()> {
        let fail = |what: &'static str| move |error: rustix::io::Errno| system(what, error);
        limits(self.most_processes).map_err(fail("cannot set the step's limits"))?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
        syscalls::default_signals().map_err(|error| system("cannot reset signals", error))?;
        // Outputs that a user may open again by `/dev/stdout`.
        for output in [rustix::stdio::stdout(), rustix::stdio::stderr()] {
            let _ = rustix::fs::fchown(output, Some(Uid::from_raw(self.user.uid)), None);
        }
        for capability in CapabilitySet::all().difference(CAPABILITIES).iter() {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // One that this kernel does not know.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(fail("cannot drop a capability")(error)),
            }
        }
        rustix::thread::set_no_new_privs(true).map_err(fail("cannot forbid new privileges"))?;
        let who = format!("cannot become the user {}:{}", self.user.uid, self.user.gid);
        self.become_user().map_err(|error| {
            let error = system(&who, error);
            if self.has_owners {
                return error;
            }
            error.with_remedy("install `uidmap` and give this user a range in `/etc/subuid`")
        })?;
        if self.user.uid == 0 {
            let sets = CapabilitySets {
                effective: CAPABILITIES,
                permitted: CAPABILITIES,
                inheritable: CapabilitySet::empty(),
            };
            rustix::thread::set_capabilities(None, sets)
                .map_err(fail("cannot drop capabilities"))?;
        }
        seccomp::restrict()
    }

    fn become_user(&self) -> io::Result<()> {
        let gid = Gid::from_raw(self.user.gid);
        if self.has_owners {
            let groups: Vec<_> = self.user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
            rustix::thread::set_thread_groups(&groups)?;
        }
        rustix::thread::set_thread_res_gid(Some(gid), Some(gid), Some(gid))?;
        let uid = Uid::from_raw(self.user.uid);
        rustix::thread::set_thread_res_uid(Some(uid), Some(uid), Some(uid))?;
        Ok(())
    }
}

fn limits(most_processes: u64) -> rustix::io::Result<()> {
    // Where there is no control group, in a user's namespace, this counts instead. Root itself is not counted.
    let processes = rustix::process::getrlimit(Resource::Nproc).maximum;
    let most = processes.map_or(most_processes, |most| most.min(most_processes));
    let processes = Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::setrlimit(Resource::Nproc, processes)?;
    let most = rustix::process::getrlimit(Resource::Nofile).maximum;
    let hard = most.map_or(OPEN_FILES.1, |most| most.min(OPEN_FILES.1));
    let files = Rlimit { current: Some(hard.min(OPEN_FILES.0)), maximum: Some(hard) };
    rustix::process::setrlimit(Resource::Nofile, files)?;
    // A step that crashes leaves no image of its memory in the layer.
    let core = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, core)
}

/// Returns whether the other end of `parent` is gone.
pub(super) fn is_orphan(parent: impl AsFd) -> bool {
    let mut parent = [PollFd::new(&parent, PollFlags::empty())];
    let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
    let polled = rustix::event::poll(&mut parent, Some(&now));
    polled.is_ok() && parent[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
