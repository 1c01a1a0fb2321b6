//! The system calls that no safe wrapper offers. All unsafe code of the workspace is here.
#![expect(
    unsafe_code,
    reason = "system calls without a safe wrapper; each block says why it is sound"
)]

use rustix::thread::UnshareFlags;

/// Moves the calling thread into new namespaces.
pub(crate) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: without `FILES` the table of descriptors stays shared, so no descriptor that another thread
    // holds changes its meaning.
    assert!(!flags.contains(UnshareFlags::FILES), "descriptors are never unshared");
    unsafe { rustix::thread::unshare_unsafe(flags) }
}
