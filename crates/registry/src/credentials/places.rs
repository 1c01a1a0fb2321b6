//! Where credentials are looked for, and where they are written.

use std::path::PathBuf;

use boxwright_core::Host;

/// Returns the files that may have credentials, the one that wins first.
// A file that a variable names is meant, so it comes first; then Docker's, since `docker login`,
// `boxwright login` and most tools write there; then Podman's two.
pub(super) fn files(host: &Host) -> Vec<PathBuf> {
    let podman = |folder: PathBuf| folder.join("containers/auth.json");
    let named = host.path_variable("REGISTRY_AUTH_FILE").map(|path| host.absolute(&path));
    let all =
        [named, docker(host), host.runtime_folder().map(podman), host.config_folder().map(podman)];
    let mut files: Vec<PathBuf> = Vec::new();
    for file in all.into_iter().flatten() {
        if !files.contains(&file) {
            files.push(file);
        }
    }
    files
}

/// Returns the files that `login` writes to or has written to: the first is the one it writes now.
pub(super) fn own(host: &Host) -> Vec<PathBuf> {
    let named = host.path_variable("REGISTRY_AUTH_FILE").map(|path| host.absolute(&path));
    named.into_iter().chain(docker(host)).collect()
}

fn docker(host: &Host) -> Option<PathBuf> {
    let folder = match host.path_variable("DOCKER_CONFIG") {
        Some(folder) => host.absolute(&folder),
        None => host.home()?.join(".docker"),
    };
    Some(folder.join("config.json"))
}
