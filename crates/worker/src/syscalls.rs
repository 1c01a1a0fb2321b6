//! The system calls that no safe wrapper offers. All unsafe code of the workspace is here.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper; each block says why it is sound"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Moves the calling thread into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: without `FILES` the table of descriptors stays shared, so no descriptor that another thread
    // holds changes its meaning.
    assert!(!flags.contains(UnshareFlags::FILES), "descriptors are never unshared");
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Splits the process in two: `None` is the child.
///
/// Only a process with one thread may do that; [`crate::sandbox`] runs in one.
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("a process with {threads} threads does not fork")));
    }
    // SAFETY: the process has one thread, so that no lock is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Ends the process at once, without what is usually done at its end.
pub(crate) fn exit_now(status: i32) -> ! {
    // SAFETY: `_exit` has no precondition.
    unsafe { libc::_exit(status) }
}

/// Becomes the program at `path`. Returns only when that fails.
pub(crate) fn execute(path: &CString, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| {
        let mut pointers: Vec<_> = list.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: all are NUL-terminated strings, the lists end with a null pointer, and all outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Lets the process make only the system calls that `program`, for the kernel's packet filter, lets pass.
pub(crate) fn filter_system_calls(program: &[libc::sock_filter]) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program has `length` instructions, is only read, and outlives the call.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `struct mount_attr` of Linux, `include/uapi/linux/mount.h`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Adds attributes to a mount, and to those below it.
pub(crate) fn set_mount_attributes(mount: impl AsFd, set: u64) -> io::Result<()> {
    let attributes = MountAttributes { set, clear: 0, propagation: 0, user_namespace: 0 };
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a NUL-terminated string, and the structure has the size that is passed.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Closes every descriptor from `first` to `last`.
pub(crate) fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: whoever calls this uses none of them any more: a program is executed next, or the process ends.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets every signal do to the process what it usually does: what is ignored stays so in programs that are
/// executed, and a Rust program ignores `SIGPIPE`.
pub(crate) fn default_signals() -> io::Result<()> {
    // SAFETY: a set of all bytes zero is valid and empty, and both calls only read what they are given.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Turns on the loopback device of the network namespace that the thread is in.
pub(crate) fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all bytes zero are a valid request.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed() as libc::c_char;
    }
    let socket = socket.as_raw_fd();
    // SAFETY: the request is initialised, has the type that the call takes, and outlives it.
    unsafe {
        if libc::ioctl(socket, libc::SIOCGIFFLAGS, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw const request) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
