//! A program of the host, started with a listed environment, no terminal, and a time limit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::error::{Error, ErrorKind, Result};
use crate::program_group::ProgramGroup;

/// A program to start. [`Host::program`](crate::Host::program) makes it.
#[derive(Clone)]
pub struct Program {
    file: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
}

/// How a program ended, and what it wrote.
#[derive(Clone, Debug)]
pub struct ProgramOutput {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl ProgramOutput {
    /// Returns whether it exited with status 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.status == Some(0)
    }
}

impl Program {
    pub(crate) fn new(file: PathBuf, environment: BTreeMap<OsString, OsString>) -> Self {
        Self { file, arguments: Vec::new(), environment }
    }

    /// Returns where the program is.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds arguments. They are visible to every user of the machine: never a secret.
    #[must_use]
    pub fn arguments<A: Into<OsString> + Clone>(mut self, arguments: &[A]) -> Self {
        self.arguments.extend(arguments.iter().cloned().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Takes all variables out of its environment but those in `names`.
    #[must_use]
    pub fn with_variables_only(mut self, names: &[&str]) -> Self {
        self.environment.retain(|name, _| names.iter().any(|kept| name == kept));
        self
    }

    #[expect(clippy::disallowed_methods, reason = "this is where programs are started")]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        // A group of its own, so that the terminal's Ctrl-C reaches us alone and we decide.
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Starts it with pipes for input, output and standard error, for whoever talks with it.
    /// Dropping the child kills it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it cannot be started.
    pub fn start(&self) -> Result<Child> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| self.cannot_start(error))
    }

    /// Starts it as [`Program::start`] does. Dropping the group kills what the program started, too.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it cannot be started.
    pub fn start_group(&self) -> Result<ProgramGroup> {
        self.start().map(ProgramGroup::new)
    }

    /// Starts it with no input, and output and standard error into the file `log`.
    /// Dropping the child kills it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it cannot be started or the file cannot be written.
    pub fn start_logged(&self, log: &Path) -> Result<Child> {
        let file = std::fs::File::create(log).map_err(|error| self.cannot_start(error))?;
        let copy = file.try_clone().map_err(|error| self.cannot_start(error))?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(file).stderr(copy);
        command.spawn().map_err(|error| self.cannot_start(error))
    }

    /// Starts it, writes `input`, and waits for its end, at most `limit`; then it is killed, with what it started.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when it cannot be started, [`ErrorKind::Exhausted`] at the time limit.
    pub async fn output(&self, input: &[u8], limit: Duration) -> Result<ProgramOutput> {
        let mut group = self.start_group()?;
        let (mut stdin, mut stdout, mut stderr) = group
            .take_pipes()
            .ok_or_else(|| Error::new(ErrorKind::Bug, "a program was started without pipes"))?;
        let feed = async move {
            // A program that does not read its input is free not to. Dropping the pipe ends the input.
            let _ = stdin.write_all(input).await;
        };
        let (mut written, mut complaints) = (Vec::new(), Vec::new());
        let ended = async {
            let ((), output, error) = tokio::join!(
                feed,
                stdout.read_to_end(&mut written),
                stderr.read_to_end(&mut complaints)
            );
            output.and(error)?;
            group.wait().await
        };
        let ended = tokio::time::timeout(limit, ended).await.map_err(|_| {
            let name = self.file.display();
            Error::new(ErrorKind::Exhausted, format!("the program `{name}` did not end"))
                .with_cause(format!("it was given {} seconds", limit.as_secs_f32()))
        })?;
        let status = ended.map_err(|error| self.cannot_start(error))?;
        Ok(ProgramOutput { status: status.code(), stdout: written, stderr: complaints })
    }

    fn cannot_start(&self, error: std::io::Error) -> Error {
        let name = self.file.display();
        Error::new(ErrorKind::Unavailable, format!("cannot start the program `{name}`"))
            .with_source(error)
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values of variables may be secrets.
        f.debug_struct("Program")
            .field("file", &self.file)
            .field("arguments", &self.arguments)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, Host};
    use std::time::Duration;
    use tokio::io::AsyncBufReadExt as _;

    fn host() -> Host {
        Host::with_variables("/", [("PATH", "/usr/bin:/bin"), ("KEPT", "yes")])
    }

    #[tokio::test]
    async fn input_environment_and_status_go_through() {
        let program = host().program("sh").unwrap();
        let program =
            program.arguments(&["-c", "cat; echo $KEPT $ADDED; exit 3"]).variable("ADDED", "too");
        let output = program.output(b"in ", Duration::from_secs(20)).await.unwrap();
        assert_eq!(
            (output.status, output.stdout.as_slice()),
            (Some(3), b"in yes too\n".as_slice())
        );
    }

    #[tokio::test]
    async fn variables_that_are_not_named_stay_here() {
        let program = host().program_in("/bin/sh").with_variables_only(&["PATH"]);
        let program = program.arguments(&["-c", "echo $PATH$KEPT"]);
        let output = program.output(b"", Duration::from_secs(20)).await.unwrap();
        assert_eq!(output.stdout, b"/usr/bin:/bin\n");
    }

    #[tokio::test]
    async fn only_listed_variables_go_along_threat_20() {
        let program = host().program("sh").unwrap().with_variables_only(&["PATH"]);
        let program = program.arguments(&["-c", "echo $KEPT $ADDED"]).variable("ADDED", "too");
        let output = program.output(b"", Duration::from_secs(20)).await.unwrap();
        assert_eq!(output.stdout, b"too\n");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_threat_33() {
        let program = host().program("sleep").unwrap().arguments(&["600"]);
        let error = program.output(b"", Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted);
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it_threat_33() {
        let program = host().program("sh").unwrap().arguments(&["-c", "sleep 600 & echo $!; wait"]);
        let mut group = program.start_group().unwrap();
        let (_input, output, _error) = group.take_pipes().unwrap();
        let mut output = tokio::io::BufReader::new(output);
        let mut number = String::new();
        output.read_line(&mut number).await.unwrap();
        assert!(number.trim().parse::<u32>().is_ok(), "{number}");
        drop(group);
        // The pipe ends when the last process that holds it has.
        let end = output.read_line(&mut number);
        let end = tokio::time::timeout(Duration::from_secs(20), end).await;
        assert_eq!(end.expect("the grandchild goes on").unwrap(), 0);
    }
}
