//! A program that runs, and what it started itself.

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};

/// A program that runs in a process group of its own. Dropping it kills the group: the program, and what it started
/// itself, such as the `ProxyCommand` of `ssh`, as far as that stayed in the group.
#[derive(Debug)]
pub struct ProgramGroup {
    child: Child,
}

/// The three pipes of a program: input, output and standard error.
pub type Pipes = (ChildStdin, ChildStdout, ChildStderr);

impl ProgramGroup {
    /// Takes a program that was started as the leader of a group of its own.
    pub(crate) fn new(child: Child) -> Self {
        Self { child }
    }

    /// Takes the pipes, or `None` if they were taken before.
    pub fn take_pipes(&mut self) -> Option<Pipes> {
        let Child { stdin, stdout, stderr, .. } = &mut self.child;
        match (stdin.take(), stdout.take(), stderr.take()) {
            (Some(input), Some(output), Some(error)) => Some((input, output, error)),
            _ => None,
        }
    }

    /// Waits for the program's end. What it started is left alone from then on.
    ///
    /// # Errors
    ///
    /// That of the system's call.
    pub async fn wait(&mut self) -> std::io::Result<std::process::ExitStatus> {
        self.child.wait().await
    }
}

impl Drop for ProgramGroup {
    fn drop(&mut self) {
        // Nobody else can have the number: it is the child's until its end was waited for.
        let leader = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(leader) = leader {
            // An error is that all of them have ended.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
