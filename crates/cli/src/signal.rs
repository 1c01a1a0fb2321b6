//! Ctrl-C and SIGTERM: the first asks for the end, the second is the end.

use boxwright_core::CancellationToken;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit_code::INTERRUPTED;

/// Fires `cancel` at the first signal, and ends the process at the second.
pub(crate) fn watch(cancel: CancellationToken) {
    let streams = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    // Without handlers the signals end the process by themselves.
    let (Ok(mut interrupt), Ok(mut terminate)) = streams else { return };
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        cancel.cancel();
        next().await;
        end();
    });
}

#[expect(clippy::exit, reason = "the user does not want to wait for the cleaning up")]
fn end() {
    std::process::exit(i32::from(INTERRUPTED));
}
