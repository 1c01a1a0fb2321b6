//! Whether an image's program is for the processor that its config names.

use std::path::{Path, PathBuf};

use boxwright_core::{Manifest, Result};

use crate::config::RunConfig;
use crate::layout::Layout;
use crate::view::{NodeKind, Tree};
use crate::{elf, view};

/// The `PATH` of a container whose image has none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the processor that a program is for, by Go's name, from its first bytes. `None` if it is no ELF program, or
/// for a processor that is unknown here.
#[must_use]
pub fn architecture(program: &[u8]) -> Option<&'static str> {
    elf::architecture(program)
}

/// A program for another processor than the image's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherProcessor {
    /// The program.
    pub program: PathBuf,
    /// What it is for, by Go's name.
    pub program_is_for: &'static str,
    /// What the config says, by Go's name.
    pub config_says: String,
}

/// Looks at the program that a container of the image starts. `None` when it fits, or when there is nothing to
/// tell by: no program, a script, or a processor that is unknown here.
///
/// # Errors
///
/// As [`Layout::read`].
pub async fn other_processor(
    tree: &Tree,
    layout: &Layout,
    manifest: &Manifest,
) -> Result<Option<OtherProcessor>> {
    let config = layout.config(manifest).await?;
    let Some(platform) = config.platform() else { return Ok(None) };
    let Some(program) = program_of(tree, &config.config) else { return Ok(None) };
    let head = view::read_head(tree, layout, manifest, &program, elf::HEAD).await?;
    let Some(program_is_for) = elf::architecture(&head) else { return Ok(None) };
    let fits = match (platform.architecture(), program_is_for) {
        // Programs of the smaller kind run on the larger one.
        ("amd64", "386") | ("arm64", "arm") => true,
        (says, is) => says == is,
    };
    let config_says = platform.architecture().to_owned();
    Ok((!fits).then_some(OtherProcessor { program, program_is_for, config_says }))
}

/// Returns where the program is that a container starts.
fn program_of(tree: &Tree, config: &RunConfig) -> Option<PathBuf> {
    let words = [&config.entrypoint, &config.cmd].into_iter().flatten().find(|w| !w.is_empty())?;
    let name = Path::new(words.first()?);
    let is_file = |path: &PathBuf| {
        tree.get(path).is_some_and(|node| matches!(node.kind, NodeKind::File { .. }))
    };
    let found = |path: PathBuf| tree.resolve(path).map(|(path, _)| path).filter(is_file);
    if name.components().count() > 1 {
        return found(Path::new("/").join(&config.working_dir).join(name));
    }
    let path = config.env.iter().rfind(|variable| variable.starts_with("PATH="));
    let path = path.map_or(DEFAULT_PATH, String::as_str);
    path["PATH=".len()..].split(':').find_map(|folder| found(Path::new(folder).join(name)))
}
