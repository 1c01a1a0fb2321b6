//! Gives an image all its names, or none.

use boxwright_core::{ImageRef, Result, Session};

use crate::daemon::Daemon;

/// Gives the image `image` all of `names`. When one fails, or the call is cancelled, those that were given point
/// where they did before.
pub(super) async fn give(
    daemon: &Daemon,
    image: &str,
    names: &[ImageRef],
    session: &Session,
) -> Result<()> {
    let mut given: Vec<(&ImageRef, Option<String>)> = Vec::new();
    for name in names {
        let before = daemon.api.inspect(&name.to_string()).await.ok().and_then(|found| found.id);
        let result = if session.cancel.is_cancelled() {
            Err(Session::cancelled())
        } else {
            daemon.api.tag(image, name).await
        };
        if let Err(error) = result {
            take_back(daemon, given).await;
            return Err(error);
        }
        given.push((name, before));
    }
    Ok(())
}

async fn take_back(daemon: &Daemon, given: Vec<(&ImageRef, Option<String>)>) {
    for (name, before) in given.into_iter().rev() {
        // The error that led here is the one to report.
        let _ = match before {
            Some(before) => daemon.api.tag(&before, name).await,
            None => daemon.api.remove(&name.to_string(), false).await.map(drop),
        };
    }
}

/// Removes the image `image` if it has no name and nothing needs it.
pub(super) async fn remove_nameless(daemon: &Daemon, image: &str) {
    let Ok(found) = daemon.api.inspect(image).await else { return };
    // Without names it goes alone; with one, removing it by id would take the name too.
    if found.repo_tags.unwrap_or_default().is_empty() {
        // What needs it makes the daemon refuse.
        let _ = daemon.api.remove(image, false).await;
    }
}
