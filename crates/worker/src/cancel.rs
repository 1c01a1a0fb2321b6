//! Ends a step early.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use boxwright_core::{Error, ErrorKind, Result, Session};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};

/// Asks a running step to end. Clones ask the same step.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<OwnedFd>);

impl Cancel {
    /// Returns a token that was not fired.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Exhausted`] when no more files can be opened.
    pub fn new() -> Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let event = event.map_err(|error| {
            Error::new(ErrorKind::Exhausted, "cannot open an event").with_source(error)
        })?;
        Ok(Self(Arc::new(event)))
    }

    /// Asks the step to end: everything of it is killed and undone, and its call fails with
    /// [`ErrorKind::Cancelled`]. Asking twice is asking once.
    pub fn cancel(&self) {
        // The counter stays above 0 for ever, so a write that finds it full has nothing to add.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Returns whether it was fired.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let mut event = [PollFd::new(&self.0, PollFlags::IN)];
        let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut event, Some(&now)).is_ok_and(|ready| ready > 0)
    }

    /// Waits for `time`, or fails as soon as it is fired.
    pub(crate) fn wait(&self, time: std::time::Duration) -> Result<()> {
        let mut event = [PollFd::new(&self.0, PollFlags::IN)];
        let time = rustix::time::Timespec::try_from(time).ok();
        let _ = rustix::event::poll(&mut event, time.as_ref());
        self.check()
    }

    /// Fails once it was fired.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Session::cancelled()) } else { Ok(()) }
    }
}

impl AsFd for Cancel {
    /// Readable from when it was fired.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
