//! Takes files out of git repositories, with the program `git`.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boxwright_core::{Error, ErrorKind, Program, ProgramOutput, Result, Secret, Session};
use boxwright_dockerfile::git::{GitAddress, without_credentials};
use rustix::fs::{AtFlags, Timespec, Timestamps};
use tempfile::TempDir;

use crate::blocking;

/// How long one command of git may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// What of the environment git gets. Variables such as `GIT_DIR` would make it work on another repository.
const VARIABLES: [&str; 12] = [
    "PATH",
    "LANG",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
];

/// What of it git gets beside that when the user named the repository: the user's own settings and keys.
const OF_THE_USER: [&str; 4] = ["HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND"];

/// What holds whatever the user's settings say: transports that run no program, and no program of a repository.
const SETTINGS: [&str; 11] = [
    "protocol.allow=never",
    "protocol.https.allow=always",
    "protocol.http.allow=always",
    "protocol.ssh.allow=always",
    "protocol.git.allow=always",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "submodule.recurse=false",
];

/// Who named a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// The user, on the command line.
    User,
    /// A Dockerfile, which gets nothing that the build was not given.
    Dockerfile,
}

/// The files of a commit, in the folder `tree` of a folder of their own.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub(crate) folder: TempDir,
    pub(crate) commit: String,
}

/// The name of the folder with the files.
pub(crate) const TREE: &str = "tree";

/// What to take.
pub(crate) struct Wanted<'w> {
    pub(crate) address: &'w GitAddress,
    /// What the commit's name begins with.
    pub(crate) commit: Option<&'w str>,
    pub(crate) keep_git_dir: bool,
    pub(crate) by: NamedBy,
}

impl Wanted<'_> {
    /// Fetches the commit, as little of the history as goes, and writes its files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when there is no git, no such repository or no such reference;
    /// [`ErrorKind::InvalidInput`] for a reference that git would not take; [`ErrorKind::BuildFailed`] when it is
    /// another commit than was asked for.
    pub(crate) async fn check_out(&self, session: &Session) -> Result<Checkout> {
        let address = self.address;
        let reference = match address.reference.as_str() {
            "" => "HEAD",
            reference => reference,
        };
        if !is_reference(reference) {
            let message = format!("`{reference}` is no reference of git");
            return Err(Error::new(ErrorKind::InvalidInput, message)
                .with_remedy("write a branch, a tag or a commit after the `#`"));
        }
        let temporary = session.host.temporary_folder();
        let folder = tempfile::Builder::new().prefix("boxwright-git-").tempdir_in(&temporary);
        let folder = folder.map_err(|error| no_folder(&temporary, error))?;
        let tree = folder.path().join(TREE);
        fs::create_dir(&tree).map_err(|error| no_folder(&tree, error))?;
        let git = Git { wanted: self, session, tree: &tree, home: folder.path() };
        git.run(&["init", "--quiet", "--template="]).await?;
        let commit = git.fetch(reference).await?;
        if let Some(expected) = self.commit.filter(|expected| !commit.starts_with(*expected)) {
            let message = format!("`{}` is at another commit", self.shown());
            return Err(Error::new(ErrorKind::BuildFailed, message)
                .with_cause(format!("it is at `{commit}`, and `{expected}` was asked for"))
                .with_remedy("correct the commit, or find out who moved the reference"));
        }
        git.run(&["checkout", "--quiet", "--detach", &commit]).await?;
        // Where it came from, for submodules and for whoever gets to see `.git`: without a password.
        let remote = plain(&address.remote);
        git.run(&["config", "remote.origin.url", &remote]).await?;
        if address.submodules == Some(true) {
            git.run(&["submodule", "update", "--quiet", "--init", "--recursive", "--depth=1"])
                .await?;
        }
        let time = match address.times.as_deref() {
            Some("commit") => {
                let shown = git.run(&["show", "--no-patch", "--format=%ct", &commit]).await?;
                text(&shown).parse().ok()
            }
            _ => None,
        };
        let keep = self.keep_git_dir;
        blocking(move || {
            let tidied = tidy(&tree, keep, time);
            tidied.map_err(|error| no_folder(&tree, error))
        })
        .await?;
        Ok(Checkout { folder, commit })
    }

    fn shown(&self) -> String {
        without_credentials(&self.address.short())
    }
}

/// Runs git in one folder.
struct Git<'g> {
    wanted: &'g Wanted<'g>,
    session: &'g Session,
    tree: &'g Path,
    /// A home folder with nothing in it.
    home: &'g Path,
}

impl Git<'_> {
    /// Fetches what `reference` stands for, and returns the commit's name.
    async fn fetch(&self, reference: &str) -> Result<String> {
        let remote = self.wanted.address.remote.as_str();
        let shallow = ["fetch", "--quiet", "--depth=1", "--no-tags", "--", remote, reference];
        let is_commit =
            reference.len() >= 7 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        let tip = match self.run(&shallow).await {
            Ok(_) => "FETCH_HEAD".to_owned(),
            // Not every server gives a commit by its name, and none by the beginning of it.
            Err(error) if is_commit && error.kind() == ErrorKind::NotFound => {
                let heads = "+refs/heads/*:refs/remotes/origin/*";
                self.run(&["fetch", "--quiet", "--tags", "--", remote, heads]).await?;
                reference.to_owned()
            }
            Err(error) => return Err(error),
        };
        let tip = format!("{tip}^{{commit}}");
        let found = self.run(&["rev-parse", "--verify", "--quiet", &tip]).await?;
        Ok(text(&found))
    }

    async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let program = self.program()?.arguments(arguments);
        let output = self.session.cancellable(program.output(&[], LIMIT)).await?;
        if output.succeeded() {
            return Ok(output.stdout);
        }
        Err(self.failed(arguments, &output))
    }

    fn program(&self) -> Result<Program> {
        let host = &self.session.host;
        let program = host.program("git").map_err(|error| {
            error.with_remedy("install `git`, which takes files out of repositories")
        })?;
        let by_user = self.wanted.by == NamedBy::User;
        let mut variables = VARIABLES.to_vec();
        if by_user {
            variables.extend(OF_THE_USER);
        }
        let mut program = program
            .with_variables_only(&variables)
            .arguments(&["-C".as_ref(), self.tree.as_os_str()]);
        for setting in SETTINGS {
            program = program.arguments(&["-c", setting]);
        }
        program = program
            .variable("GIT_TERMINAL_PROMPT", "0")
            .variable("GIT_ASKPASS", "true")
            .variable("GIT_LFS_SKIP_SMUDGE", "1")
            .variable("GIT_CEILING_DIRECTORIES", self.home.as_os_str());
        if !by_user {
            program = program
                .variable("HOME", self.home.as_os_str())
                .variable("GIT_CONFIG_NOSYSTEM", "1")
                .variable("GIT_CONFIG_GLOBAL", "/dev/null")
                .variable("GIT_SSH_COMMAND", "ssh -F none -o BatchMode=yes -o IdentityFile=none");
            if let Some(socket) = self.session.ssh_agents.get("default") {
                program = program.variable("SSH_AUTH_SOCK", socket.as_os_str());
            }
        }
        Ok(match self.token() {
            // In the environment, since arguments are for everyone to see. Sent nowhere else by a redirect.
            Some((place, header)) => program
                .variable("GIT_CONFIG_COUNT", "2")
                .variable("GIT_CONFIG_KEY_0", format!("http.{place}.extraheader"))
                .variable("GIT_CONFIG_VALUE_0", header)
                .variable("GIT_CONFIG_KEY_1", "http.followRedirects")
                .variable("GIT_CONFIG_VALUE_1", "false"),
            None => program,
        })
    }

    /// Returns the header that the secret `GIT_AUTH_TOKEN` or `GIT_AUTH_HEADER`, as BuildKit knows them, is for
    /// this host.
    fn token(&self) -> Option<(String, String)> {
        let rest = self.wanted.address.remote.strip_prefix("https://")?;
        let host = rest.split('/').next()?.rsplit('@').next()?;
        let secret = |name: &str| {
            let secrets = &self.session.secrets;
            let found = secrets.get(&format!("{name}.{host}")).or_else(|| secrets.get(name));
            found.and_then(Secret::expose_str).map(|text| text.trim().to_owned())
        };
        let value = secret("GIT_AUTH_HEADER").or_else(|| {
            let token = secret("GIT_AUTH_TOKEN")?;
            Some(format!("basic {}", STANDARD.encode(format!("x-access-token:{token}"))))
        })?;
        Some((format!("https://{host}/"), format!("Authorization: {value}")))
    }

    fn failed(&self, arguments: &[&str], output: &ProgramOutput) -> Error {
        let said = without_credentials(String::from_utf8_lossy(&output.stderr).trim());
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let is_missing =
            arguments.first() == Some(&"fetch") || arguments.first() == Some(&"rev-parse");
        let kind = if is_missing { ErrorKind::NotFound } else { ErrorKind::BuildFailed };
        let what = arguments.first().unwrap_or(&"git");
        Error::new(kind, format!("cannot take files from `{}`", self.wanted.shown()))
            .with_cause(format!("`git {what}`: {last}"))
            .with_remedy(
                "check the address and the reference, and whether you may read the repository",
            )
    }
}

/// Whether git takes `text` for one reference or commit, and for nothing else (threat 15).
// SPEC: git-check-ref-format(1).
fn is_reference(text: &str) -> bool {
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '/' | '+' | '@' | '#' | '%' | '=' | ',')
    };
    !text.is_empty()
        && text.chars().all(plain)
        && !text.contains("..")
        && !text.contains("//")
        && !text.starts_with(['-', '/', '.'])
        && !text.starts_with('+')
        && !text.ends_with(['/', '.'])
        && !text.ends_with(".lock")
}

/// Returns the address without user name and password, but for the user name of ssh.
fn plain(remote: &str) -> String {
    match remote.split_once("://") {
        Some((scheme, rest)) if scheme != "ssh" => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        _ => remote.to_owned(),
    }
}

/// Makes what was checked out the same for everyone: rights without the user's mask, and no `.git`. Blocks.
fn tidy(tree: &Path, keep_git_dir: bool, time: Option<i64>) -> io::Result<()> {
    let mut folders = vec![tree.to_owned()];
    let mut all: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
            let data = fs::symlink_metadata(&path)?;
            if name == ".git" {
                match (keep_git_dir, data.is_dir()) {
                    (true, _) => {
                        // They name the address that was fetched, with what it had.
                        for log in ["FETCH_HEAD", "logs"] {
                            let log = path.join(log);
                            let _ = fs::remove_file(&log).or_else(|_| fs::remove_dir_all(&log));
                        }
                        continue;
                    }
                    (false, true) => fs::remove_dir_all(&path)?,
                    (false, false) => fs::remove_file(&path)?,
                }
                continue;
            }
            if data.is_dir() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                folders.push(path.clone());
            } else if data.is_file() {
                let mode = if data.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            all.push(path);
        }
    }
    fs::set_permissions(tree, fs::Permissions::from_mode(0o755))?;
    if let Some(seconds) = time {
        all.push(tree.to_owned());
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        for path in all {
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(())
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

fn no_folder(folder: &Path, error: io::Error) -> Error {
    let message = format!("cannot write to `{}`", folder.display());
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_never_an_option_or_a_pattern_threat_15() {
        for good in ["HEAD", "main", "v1.2.3", "refs/heads/a/b", "feature/x+y", "0123456789abcdef"]
        {
            assert!(is_reference(good), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a..b",
            "a:b",
            "+refs/heads/*",
            "a b",
            "a~1",
            "a^",
            "/a",
            "a.lock",
            "a\nb",
            "refs/*",
        ] {
            assert!(!is_reference(bad), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_in_what_is_kept_threat_36() {
        assert_eq!(plain("https://me:secret@e.com/a.git"), "https://e.com/a.git");
        assert_eq!(plain("https://e.com/a@b.git"), "https://e.com/a@b.git");
        assert_eq!(plain("ssh://git@e.com/a"), "ssh://git@e.com/a");
        assert_eq!(plain("git@e.com:a"), "git@e.com:a");
    }
}
