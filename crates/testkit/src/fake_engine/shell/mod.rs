//! A shell without an operating system: it runs the small programs that the suite's own cases use, on a
//! root file system in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use boxwright_core::{CancellationToken, EventSink, OutputStream};

use super::root::{Kind, Node, Root, clean};

mod programs;
mod syntax;

use syntax::{Joint, Redirection, Token};

/// A process: what it sees and what it wrote.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) root: Root,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) folder: String,
    pub(super) user: (u32, u32),
    pub(super) cancel: CancellationToken,
    pub(super) output: Output,
}

/// Where a process writes.
#[derive(Debug)]
pub(super) enum Output {
    /// To the events of a call, as they are made by the function.
    Events(EventSink, fn(OutputStream, Vec<u8>) -> boxwright_core::Event),
    /// To the events of a build's step.
    Step(EventSink, boxwright_core::StepId),
    /// Into memory, for `$(…)`.
    Memory(Vec<u8>),
}

type Ended<'a> = Pin<Box<dyn Future<Output = i64> + Send + 'a>>;

impl Process {
    /// Runs a program with its arguments, and returns its exit status.
    pub(super) async fn run(&mut self, arguments: &[String]) -> i64 {
        match arguments {
            [shell, flags, script] if is_shell(shell) && flags.starts_with('-') => {
                self.script(script, flags.contains('e')).await
            }
            _ => self.program(arguments, &Redirections::default()).await,
        }
    }

    /// Runs a script, and returns the status of its last command or of `exit`. `errexit` is what the flag
    /// `-e` says: a command that fails ends it, unless `&&` or `||` follows.
    fn script<'a>(&'a mut self, script: &'a str, errexit: bool) -> Ended<'a> {
        Box::pin(async move {
            let mut status = 0;
            let mut commands = syntax::commands(script).into_iter().peekable();
            while let Some((joint, command)) = commands.next() {
                let runs = match joint {
                    Joint::Always => true,
                    Joint::And => status == 0,
                    Joint::Or => status != 0,
                };
                if !runs {
                    continue;
                }
                if self.cancel.is_cancelled() {
                    return 130;
                }
                match self.command(&command).await {
                    Ok(ended) => status = ended,
                    Err(exit) => return exit,
                }
                let is_last = commands.peek().is_none_or(|(joint, _)| *joint == Joint::Always);
                if errexit && status != 0 && is_last {
                    return status;
                }
            }
            status
        })
    }

    /// Runs one command. `Err` carries the status of `exit`.
    async fn command(&mut self, tokens: &[Token]) -> Result<i64, i64> {
        let mut words = Vec::new();
        let mut redirections = Redirections::default();
        for token in tokens {
            match token {
                Token::Word(parts) => words.extend(self.expand(parts).await),
                Token::Redirect(redirection, parts) => {
                    let target = self.expand(parts).await.join(" ");
                    redirections.add(*redirection, target);
                }
                Token::StdoutToStderr => redirections.stdout = Target::Other,
                Token::StderrToStdout => redirections.stderr = Target::Other,
            }
        }
        while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
            self.variables.insert(name, value);
            words.remove(0);
        }
        match words.split_first() {
            None => Ok(0),
            Some((exit, rest)) if exit == "exit" => {
                Err(rest.first().and_then(|status| status.parse().ok()).unwrap_or(0))
            }
            Some((not, rest)) if not == "!" => {
                Ok(i64::from(self.program(rest, &redirections).await == 0))
            }
            Some(_) => Ok(self.program(&words, &redirections).await),
        }
    }

    async fn program(&mut self, arguments: &[String], redirections: &Redirections) -> i64 {
        let (status, stdout, stderr) = programs::run(self, arguments, redirections).await;
        let stdout_goes = self.write(&redirections.stdout, OutputStream::Stdout, stdout).await;
        let stderr_goes = self.write(&redirections.stderr, OutputStream::Stderr, stderr).await;
        if stdout_goes && stderr_goes { status } else { 1 }
    }

    /// Writes to where a redirection says; returns whether that can be written.
    async fn write(&mut self, target: &Target, stream: OutputStream, bytes: Vec<u8>) -> bool {
        let other = match stream {
            OutputStream::Stdout => OutputStream::Stderr,
            OutputStream::Stderr => OutputStream::Stdout,
        };
        match target {
            Target::Own => self.emit(stream, bytes).await,
            Target::Other => self.emit(other, bytes).await,
            Target::File { path, appends } => {
                let path = self.root.follow(&clean(&self.folder, path));
                if path == "dev/null" {
                    return true;
                }
                if self.root.is_folder(&path) || !self.root.is_folder(super::root::parent(&path)) {
                    return false;
                }
                let mut content = match self.root.read(&path) {
                    Some(content) if *appends => content.to_vec(),
                    _ => Vec::new(),
                };
                content.extend(bytes);
                match self.root.get_mut(&path) {
                    Some(node) => node.kind = Kind::File(content.into()),
                    None => {
                        let node = Node { owner: self.user, ..Node::file(&content, 0o644) };
                        self.root.put(&path, node);
                    }
                }
            }
        }
        true
    }

    async fn emit(&mut self, stream: OutputStream, written: Vec<u8>) {
        if written.is_empty() {
            return;
        }
        match &mut self.output {
            Output::Events(sink, event) => sink.emit(event(stream, written)).await,
            Output::Step(sink, step) => {
                let (step, bytes) = (*step, written);
                sink.emit(boxwright_core::Event::StepLog { step, stream, bytes }).await;
            }
            Output::Memory(memory) => memory.extend(written),
        }
    }

    /// Runs `$(script)` and returns what it writes.
    async fn substitute(&mut self, script: &str) -> String {
        let kept = std::mem::replace(&mut self.output, Output::Memory(Vec::new()));
        // Its status is what the shell calls `$?`, which no case reads.
        self.script(script, false).await;
        match std::mem::replace(&mut self.output, kept) {
            Output::Memory(written) => {
                String::from_utf8_lossy(&written).trim_end_matches('\n').to_owned()
            }
            Output::Events(..) | Output::Step(..) => String::new(),
        }
    }

    /// Returns the words that the parts of one make: none if it is nothing but an unset variable.
    async fn expand(&mut self, parts: &[syntax::Part]) -> Vec<String> {
        let mut word = String::new();
        let mut is_quoted = false;
        for part in parts {
            match part {
                syntax::Part::Text { text, is_quoted: quoted } => {
                    is_quoted |= quoted;
                    word.push_str(text);
                }
                syntax::Part::Variable(name) => {
                    word.push_str(self.variables.get(name).map_or("", String::as_str));
                }
                syntax::Part::Script(script) => word.push_str(&self.substitute(script).await),
            }
        }
        if word.is_empty() && !is_quoted { Vec::new() } else { vec![word] }
    }
}

fn is_shell(program: &str) -> bool {
    matches!(program, "/bin/sh" | "sh" | "/bin/ash" | "/bin/busybox")
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

/// Where the streams of a command go.
#[derive(Debug, Default)]
struct Redirections {
    stdin: Option<String>,
    stdout: Target,
    stderr: Target,
}

#[derive(Debug, Default)]
enum Target {
    #[default]
    Own,
    Other,
    File {
        path: String,
        appends: bool,
    },
}

impl Redirections {
    fn add(&mut self, redirection: Redirection, path: String) {
        match redirection {
            Redirection::Input => self.stdin = Some(path),
            Redirection::Output { appends } => self.stdout = Target::File { path, appends },
            Redirection::Error { appends } => self.stderr = Target::File { path, appends },
        }
    }
}
