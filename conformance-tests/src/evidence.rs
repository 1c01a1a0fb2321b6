//! What is kept of a case that did not pass: manifest, config, file list, and the log of every call.

use std::path::Path;

use crate::case::CaseResult;
use crate::cx::Cx;
use crate::verdict::Verdict;

/// Writes all that the case saw into `folder`.
///
/// # Errors
///
/// [`Failure::Harness`](crate::Failure::Harness) when the folder cannot be written.
pub(crate) async fn write(cx: &Cx, folder: &Path, verdict: &Verdict) -> CaseResult {
    std::fs::create_dir_all(folder)?;
    let why = verdict.detail().unwrap_or_default();
    std::fs::write(folder.join("verdict.txt"), format!("{verdict}: {why}\n"))?;
    if let Ok(dockerfile) = std::fs::read(cx.context().join("Dockerfile")) {
        std::fs::write(folder.join("Dockerfile"), dockerfile)?;
    }
    for (number, log) in cx.logs().iter().enumerate() {
        std::fs::write(folder.join(format!("call-{number}.log")), log.as_text())?;
    }
    for (number, image) in cx.images().iter().enumerate() {
        std::fs::write(folder.join(format!("image-{number}-files.txt")), image.file_list())?;
        let documents = image.all_bytes().await?;
        for ((_, bytes), what) in documents.iter().zip(["manifest", "config"]) {
            std::fs::write(folder.join(format!("image-{number}-{what}.json")), bytes)?;
        }
    }
    Ok(())
}
