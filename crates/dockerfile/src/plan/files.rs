//! Evaluates `RUN`, `COPY` and `ADD`.

use crate::diagnostic::Span;
use crate::fragment::Word;
use crate::git::{GitAddress, without_credentials};
use crate::heredoc::Opener;
use crate::instruction::{Command, Copy, Kind, Mount, MountKind, Run, evaluate_mount};
use crate::path;

use super::check;
use super::evaluate::Evaluator;
use super::step::{CopyItem, CopyStep, Mode, RunStep, Script, Source, StepMount};

impl Evaluator<'_> {
    pub(super) fn run_step(
        &mut self,
        run: &Run,
        sources: &[Source],
        span: Span,
    ) -> Option<RunStep> {
        let mut mounts = Vec::new();
        let mut complete = true;
        let mut agents = 0;
        for ((word, options), source) in run.mounts.iter().zip(sources) {
            let mut unknown = false;
            let mount = evaluate_mount(word.span, options, |value| {
                self.text(value, word.span).ok_or_else(|| {
                    unknown = true;
                    crate::diagnostic::Diagnostic::error(word.span, "")
                })
            });
            match mount {
                Ok(mount) => {
                    let mount = self.placed(mount, word.span, &mut agents);
                    complete &= mount.is_some();
                    mounts.extend(mount.map(|mount| StepMount { mount, source: source.clone() }));
                }
                Err(problem) => {
                    complete = false;
                    if !unknown {
                        self.problem(
                            problem.span,
                            problem.message,
                            &problem.remedy.unwrap_or_default(),
                        );
                    }
                }
            }
        }
        let (arguments, script) = self.process(run, span);
        complete.then(|| RunStep {
            arguments,
            script,
            user: self.user.clone(),
            working_directory: self.working_directory.clone(),
            mounts,
            network: run.network,
            security: run.security,
            devices: run.devices.clone(),
            assigned: self.scope.assignments.len(),
            declared: self.scope.declared.len(),
        })
    }

    /// Makes the target of a mount absolute.
    fn placed(&mut self, mount: Mount, span: Span, agents: &mut usize) -> Option<Mount> {
        let mut target = mount.target;
        match &mount.kind {
            MountKind::Ssh { .. } => {
                if target.is_empty() {
                    target = format!("/run/buildkit/ssh_agent.{agents}");
                }
                *agents += 1;
            }
            MountKind::Secret { file: false, .. } => return Some(Mount { target, ..mount }),
            _ => {}
        }
        if !target.starts_with('/') && !self.knows_working_directory {
            return None;
        }
        let target = path::absolute(&self.working_directory, &target);
        if target == "/" {
            let remedy = "write `target=` with the path of a file or folder below it";
            self.problem(span, "a mount cannot be at `/`", remedy);
            return None;
        }
        Some(Mount { target, ..mount })
    }

    fn process(&mut self, run: &Run, span: Span) -> (Vec<String>, Option<Script>) {
        let Command::Shell(text) = &run.command else {
            return (self.arguments(&run.command), None);
        };
        let Some(first) = run.documents.first() else {
            return (self.arguments(&run.command), None);
        };
        if !matches!(Opener::parse(text), Ok(Some(_))) {
            // The shell is to read the documents, so they are put back.
            let mut whole = text.clone();
            for document in &run.documents {
                whole.push('\n');
                whole += &document.content;
                whole += &document.name;
            }
            return (self.in_shell(whole), None);
        }
        let content = first.text();
        if !content.starts_with("#!") {
            return (self.in_shell(content), None);
        }
        let path = path::absolute("/dev/pipes", &first.name);
        if !path.starts_with("/dev/pipes/") {
            self.problem(
                span,
                format!("`{}` is no name for a script", first.name),
                "use a name such as `EOF`",
            );
        }
        // BuildKit gives the path to the shell, which then runs the script.
        (self.in_shell(path.clone()), Some(Script { path, content }))
    }

    pub(super) fn copy_step(
        &mut self,
        copy: &Copy,
        source: Source,
        span: Span,
    ) -> Option<CopyStep> {
        let owner = self.option(copy.chown.as_ref());
        let chmod = self.option(copy.chmod.as_ref());
        let checksum = self.option(copy.checksum.as_ref());
        let sources: Vec<Option<(String, CopyItem)>> = copy
            .sources
            .iter()
            .map(|word| {
                let text = self.word(word)?;
                self.item(copy, word, &text).map(|item| (text, item))
            })
            .collect();
        let destination = self.word(&copy.destination);
        let documents: Vec<Option<(String, CopyItem)>> = copy
            .documents
            .iter()
            .map(|document| {
                let text = document.text();
                let content =
                    if document.expand { self.document(&text, document.span)? } else { text };
                let name = document.name.clone();
                Some((format!("<<{name}"), CopyItem::Inline { name, content }))
            })
            .collect();
        let place = |word: &Option<Word>| word.as_ref().map_or(span, |word| word.span);
        let owner = owner.and_then(|owner| match &owner {
            Some(text) => {
                let remedy = "use a name or an id";
                self.checked(place(&copy.chown), check::user(text), remedy).map(|()| owner)
            }
            None => Some(None),
        });
        let mode = chmod.as_ref().and_then(|chmod| match chmod {
            Some(text) => {
                let remedy = "write it in octal, such as `0755`, or as changes, such as `u+x,go-w`";
                let bits = self.checked(place(&copy.chmod), check::mode(text), remedy)?;
                Some(Some(bits.map_or_else(|| Mode::Changes(text.clone()), Mode::Bits)))
            }
            None => Some(None),
        });
        let items: Vec<(String, CopyItem)> =
            sources.into_iter().chain(documents).collect::<Option<_>>()?;
        let (written, items): (Vec<String>, Vec<CopyItem>) = items.into_iter().unzip();
        let checksum = checksum?;
        if let Some(checksum) = &checksum {
            self.check_checksum(copy, &items, checksum, place(&copy.checksum))?;
        }
        let (owner, chmod, mode, destination) = (owner?, chmod?, mode?, destination?);
        let created_by =
            created_by(copy, owner.as_deref(), chmod.as_deref(), &written, &destination);
        Some(CopyStep {
            kind: copy.kind,
            source,
            items,
            into_folder: is_folder(&destination),
            destination: path::absolute(&self.working_directory, &destination),
            owner: owner.filter(|it| !it.is_empty()),
            mode,
            link: copy.link,
            exclude: copy.exclude.iter().map(|it| it.text.clone()).collect(),
            checksum,
            unpack: copy.unpack,
            keep_git_dir: copy.keep_git_dir,
            created_by,
        })
    }

    /// Expands an option. The outer answer is whether it could be.
    fn option(&mut self, word: Option<&Word>) -> Option<Option<String>> {
        let Some(word) = word else { return Some(None) };
        self.word(word).map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    fn item(&mut self, copy: &Copy, word: &Word, text: &str) -> Option<CopyItem> {
        let is_url = text.starts_with("http://") || text.starts_with("https://");
        let git = GitAddress::parse(text)
            .filter(|it| it.as_ref().is_ok_and(|it| !it.like_a_path) || it.is_err());
        if copy.kind == Kind::Copy && (git.is_some() || is_url) {
            let message = format!("`COPY` does not take the address `{text}`");
            self.problem(word.span, message, "use `ADD`");
            return None;
        }
        if let Some(git) = git {
            let address =
                self.checked(word.span, git.map_err(|error| error.message), "correct the address")?;
            let contradicts =
                matches!((copy.keep_git_dir, address.keep_git_dir), (Some(a), Some(b)) if a != b);
            if contradicts {
                self.problem(
                    word.span,
                    "the address and `--keep-git-dir` contradict each other",
                    "leave one of them out",
                );
            }
            return Some(CopyItem::Git(address));
        }
        if is_url {
            return Some(CopyItem::Url { address: text.to_owned(), name: file_name(text) });
        }
        if !copy.parents {
            return Some(CopyItem::Path { path: path::absolute("/", text), below: None });
        }
        let (root, below) = text.split_once("/./").unwrap_or(("/", text));
        let below = path::absolute("/", below).trim_start_matches('/').to_owned();
        Some(CopyItem::Path { path: path::absolute("/", root), below: Some(below) })
    }

    fn check_checksum(
        &mut self,
        copy: &Copy,
        items: &[CopyItem],
        checksum: &str,
        span: Span,
    ) -> Option<()> {
        let remedy = "leave out `--checksum`, or give one HTTP or git address";
        match items {
            _ if copy.sources.len() != 1 => {
                self.problem(span, "`--checksum` is for exactly one source", remedy);
                None
            }
            [CopyItem::Git(address), ..] => {
                if address.commit.as_deref().is_some_and(|commit| commit != checksum) {
                    self.problem(
                        span,
                        "the address and `--checksum` name two commits",
                        "leave one of them out",
                    );
                }
                let is_commit =
                    checksum.len() >= 7 && checksum.bytes().all(|it| it.is_ascii_hexdigit());
                let value =
                    if is_commit { Ok(()) } else { Err(format!("`{checksum}` is no commit")) };
                self.checked(span, value, "write the commit in full")
            }
            [CopyItem::Url { .. }, ..] => {
                self.checked(span, check::digest(checksum), "write it as `sha256:` and 64 digits")
            }
            _ => {
                self.problem(span, "`--checksum` is for HTTP and git addresses", remedy);
                None
            }
        }
    }
}

/// What the history of the image says.
fn created_by(
    copy: &Copy,
    owner: Option<&str>,
    chmod: Option<&str>,
    sources: &[String],
    destination: &str,
) -> String {
    let mut words = vec![if copy.kind == Kind::Add { "ADD" } else { "COPY" }.to_owned()];
    if copy.parents {
        words.push("--parents".to_owned());
    }
    words.extend(owner.map(|owner| format!("--chown={owner}")));
    words.extend(chmod.map(|chmod| format!("--chmod={chmod}")));
    words.extend(sources.iter().map(|source| without_credentials(source)));
    words.push(destination.to_owned());
    words.join(" ")
}

/// Whether a destination is written as a folder.
fn is_folder(destination: &str) -> bool {
    matches!(destination, "" | ".") || destination.ends_with('/') || destination.ends_with("/.")
}

/// What a download is called: the last component of the address' path.
fn file_name(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let path = rest.split_once('/').map_or("", |(_, path)| path);
    let path = crate::git::decoded(path).unwrap_or_default();
    match path::base(&path) {
        "" | "." | ".." => "__unnamed__".to_owned(),
        name => name.to_owned(),
    }
}
