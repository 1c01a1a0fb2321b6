//! Starts a sandbox, and passes on what comes out of it.

use std::io::{BufRead as _, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use boxwright_core::{OutputStream, Result, Session};
use rustix::event::{PollFd, PollFlags};

use super::SANDBOX_ARGUMENT;
use super::plan;
use super::prepare::Prepared;
use crate::cancel::Cancel;
use crate::failure::system;
use crate::input::StepEvent;
use crate::store::WorkerStore;

/// How long a sandbox may take to clear up before it is killed; then the kernel clears up.
const MOST_CLEARING: Duration = Duration::from_secs(20);

/// A sandbox that is killed when it is let go of.
struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the step, and returns its exit status. When this returns, its processes are gone.
pub(super) fn run(
    store: &WorkerStore,
    prepared: &Prepared,
    events: &mut dyn FnMut(StepEvent<'_>),
    cancel: &Cancel,
) -> Result<i32> {
    let fail = |error: std::io::Error| system("cannot start the step's sandbox", error);
    let (own, theirs) = UnixStream::pair().map_err(fail)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this very program, with an empty environment and these descriptors"
    )]
    let sandbox = Command::new(store.program())
        .arg(SANDBOX_ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    let mut sandbox = Sandbox(sandbox);
    let outputs = [
        sandbox.0.stdout.take().map(|out| (OutputStream::Stdout, OwnedFd::from(out))),
        sandbox.0.stderr.take().map(|out| (OutputStream::Stderr, OwnedFd::from(out))),
    ];
    // A sandbox that is gone already says why, or its end does.
    let _ = plan::send(&prepared.plan, &prepared.contents, &own);
    let answer = pump(&own, outputs, events, cancel)?;
    // It ends by itself: the outputs ended, and it answered.
    let _ = sandbox.0.wait();
    match plan::to_result(&answer) {
        Err(_) if cancel.is_cancelled() => Err(Session::cancelled()),
        result => result,
    }
}

/// Passes on both outputs until they end, and returns what the sandbox answered.
fn pump(
    own: &UnixStream,
    mut outputs: [Option<(OutputStream, OwnedFd)>; 2],
    events: &mut dyn FnMut(StepEvent<'_>),
    cancel: &Cancel,
) -> Result<Vec<u8>> {
    let mut answer = Vec::new();
    let mut answered = false;
    let mut killed: Option<Instant> = None;
    let mut buffer = vec![0; 64 << 10];
    while !answered || outputs.iter().any(Option::is_some) {
        let mut ready = Vec::with_capacity(4);
        for (_, output) in outputs.iter().flatten() {
            ready.push(PollFd::new(output, PollFlags::IN));
        }
        if !answered {
            ready.push(PollFd::new(own, PollFlags::IN));
        }
        if killed.is_none() {
            ready.push(PollFd::new(cancel, PollFlags::IN));
        }
        let left = killed.map(|since| MOST_CLEARING.saturating_sub(since.elapsed()));
        let left = left.and_then(|left| rustix::time::Timespec::try_from(left).ok());
        match rustix::event::poll(&mut ready, left.as_ref()) {
            // It does not even clear up. Dropping it kills it.
            Ok(0) => return Err(Session::cancelled()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(system("cannot wait for the step", error)),
        }
        let woken: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(ready);
        let mut woken = woken.into_iter();
        for output in &mut outputs {
            if output.is_some() && woken.next() == Some(true) {
                read_output(output, &mut buffer, events, killed.is_none())?;
            }
        }
        if !answered && woken.next() == Some(true) {
            BufReader::new(own)
                .read_until(b'\n', &mut answer)
                .map_err(|error| system("cannot hear the step's sandbox", error))?;
            answered = true;
        }
        if killed.is_none() && woken.next() == Some(true) {
            // The sandbox hears that this end says no more, kills the step and clears up.
            let _ = own.shutdown(std::net::Shutdown::Write);
            killed = Some(Instant::now());
        }
    }
    Ok(answer)
}

/// Passes on what an output has, and lets go of it at its end.
fn read_output(
    output: &mut Option<(OutputStream, OwnedFd)>,
    buffer: &mut [u8],
    events: &mut dyn FnMut(StepEvent<'_>),
    told: bool,
) -> Result<()> {
    let Some((stream, file)) = output else { return Ok(()) };
    match rustix::io::read(file.as_fd(), &mut buffer[..]) {
        Ok(0) => *output = None,
        Ok(count) if told => events(StepEvent::Output(*stream, &buffer[..count])),
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(system("cannot read the step's output", error)),
    }
    Ok(())
}
