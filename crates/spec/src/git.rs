//! What git ignores in a folder: asked of the program, as flytekit does.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use boxwright_core::Host;

/// It only lists names.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the files of `folder` that git ignores and does not keep, as paths in it: none where no repository is. If git
/// does not say, returns what to tell the user.
pub(crate) async fn ignored(host: &Host, folder: &Path) -> Result<BTreeSet<String>, String> {
    if !folder.ancestors().any(|it| it.join(".git").exists()) {
        return Ok(BTreeSet::new());
    }
    let cannot =
        |why: &str| format!("what git ignores in `{}` is copied too: {why}", folder.display());
    let Ok(git) = host.program("git") else {
        return Err(cannot("`git` is not installed"));
    };
    let folder = folder.as_os_str();
    // The repository may be anybody's: its settings start no program.
    let settings = ["-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false", "-C"];
    let list = ["ls-files", "--ignored", "--others", "--exclude-standard", "-z"];
    let listed = git
        .arguments(&settings)
        .arguments(&[folder])
        .arguments(&list)
        .with_variables_only(&["HOME", "PATH", "XDG_CONFIG_HOME"])
        .variable("GIT_OPTIONAL_LOCKS", "0")
        .variable("LC_ALL", "C")
        .output(&[], PATIENCE)
        .await
        .map_err(|error| cannot(&error.to_string()))?;
    if !listed.succeeded() {
        let words = String::from_utf8_lossy(&listed.stderr);
        return Err(cannot(words.lines().next().unwrap_or("`git` failed and said nothing")));
    }
    let names = listed.stdout.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    Ok(names.map(|it| String::from_utf8_lossy(it).into_owned()).collect())
}
