//! Process 1 of a worker's container: reaps, and ends the container once nobody uses it.

use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{SignalKind, signal};

/// How often it looks whether anybody is there.
const LOOK: Duration = Duration::from_secs(1);

/// Reaps children until no other process was there for `idle`, or the engine asks to end.
///
/// # Errors
///
/// When signals cannot be received.
pub(crate) async fn wait_until_idle(idle: Duration) -> std::io::Result<()> {
    let mut children = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut ticks = tokio::time::interval(LOOK);
    let mut used = Instant::now();
    loop {
        tokio::select! {
            _ = children.recv() => reap(),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = ticks.tick() => {
                // Orphans are adopted without a signal that says so.
                reap();
                if others_run() {
                    used = Instant::now();
                } else if used.elapsed() >= idle {
                    return Ok(());
                }
            }
        }
    }
}

fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

/// Returns whether this is not the only process. Without `/proc`, somebody may always be there.
fn others_run() -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return true };
    let own = std::process::id();
    entries.flatten().any(|entry| {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        number.is_some_and(|number| number != own)
    })
}
