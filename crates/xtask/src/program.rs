//! Other programs and the environment: the only file here that starts a process or reads a variable.
#![expect(
    clippy::disallowed_methods,
    reason = "this program sets up the machine that `Host` is tested on, and depends on no crate of the workspace"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use rustix::process::Pid;

use crate::problem::{Explain, Problem, Result};

/// Returns a variable of this process's environment, if it is set and not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

static THIS_PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Returns the path of this program as it was when this was first asked, which `main` does at its start.
///
/// Building the workspace, which several tasks do, puts a new program at the same path. From then on Linux gives the
/// path of the running one as that of a deleted file.
pub(crate) fn this_program() -> Result<PathBuf> {
    if let Some(path) = THIS_PROGRAM.get() {
        return Ok(path.clone());
    }
    let path =
        std::env::current_exe().explain(|| "cannot find the path of this program".to_owned())?;
    Ok(THIS_PROGRAM.get_or_init(|| path).clone())
}

/// Returns `PATH` with the folders of system programs, which an ordinary user's lacks on Debian.
pub(crate) fn search_path() -> String {
    let mut path = variable("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".to_owned());
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"] {
        if !path.split(':').any(|part| part == folder) {
            path.push(':');
            path.push_str(folder);
        }
    }
    path
}

/// Returns where `program` is, or `None` if it is not installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    search_path().split(':').map(|folder| Path::new(folder).join(program)).find(|path| {
        path.metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// A program about to be started.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
}

impl Program {
    /// Names the program; it is looked for in [`search_path`].
    pub(crate) fn new(name: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(name);
        command.env("PATH", search_path()).stdin(Stdio::null());
        Self { command }
    }

    /// Names the program and gives it an empty environment, except for `PATH`.
    pub(crate) fn without_environment(name: impl AsRef<OsStr>) -> Self {
        let mut program = Self::new(name);
        program.command.env_clear().env("PATH", search_path());
        program
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_variable(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Returns the command line, for messages.
    pub(crate) fn line(&self) -> String {
        let mut line = self.command.get_program().to_string_lossy().into_owned();
        for argument in self.command.get_args() {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        line
    }

    /// Runs it to its end and returns what it wrote to standard output.
    pub(crate) fn output(self) -> Result<Vec<u8>> {
        self.output_from(b"")
    }

    /// Runs it to its end and returns what it wrote to standard output, whether it succeeded or not.
    pub(crate) fn captured(mut self) -> Result<Vec<u8>> {
        Ok(self.run_with(b"")?.stdout)
    }

    /// Like [`Program::output`], with `input` on standard input.
    pub(crate) fn output_from(mut self, input: &[u8]) -> Result<Vec<u8>> {
        let Output { status, stdout, stderr } = self.run_with(input)?;
        if status.success() {
            return Ok(stdout);
        }
        Err(Problem::new(format!("cannot run `{}`: {status}", self.line()))
            .cause(last_lines(&String::from_utf8_lossy(&stderr), 6)))
    }

    /// Like [`Program::output`], as text without the white space around it.
    pub(crate) fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.output()?).trim().to_owned())
    }

    fn run_with(&mut self, input: &[u8]) -> Result<Output> {
        let line = self.line();
        let mut started = || -> std::io::Result<Output> {
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
            if input.is_empty() {
                return self.command.output();
            }
            let mut child = self.command.stdin(Stdio::piped()).spawn()?;
            if let Some(mut pipe) = child.stdin.take() {
                pipe.write_all(input)?;
            }
            child.wait_with_output()
        };
        started().explain(|| format!("cannot start `{line}`"))
    }

    /// Runs it to its end with this program's standard output and error, and returns whether it succeeded.
    pub(crate) fn run(mut self) -> Result<bool> {
        let status = self.command.status();
        Ok(status.explain(|| format!("cannot start `{}`", self.line()))?.success())
    }

    /// Runs it to its end with this program's standard error, and returns its exit code and what it wrote to
    /// standard output.
    pub(crate) fn heard(mut self) -> Result<(Option<i32>, String)> {
        let output = self.command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output();
        let output = output.explain(|| format!("cannot start `{}`", self.line()))?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    /// Like [`Program::run`], except that a failure of the program is an error.
    pub(crate) fn run_or_fail(self) -> Result<()> {
        let line = self.line();
        if self.run()? { Ok(()) } else { Err(Problem::new(format!("`{line}` did not succeed"))) }
    }

    /// Starts it with pipes on standard input and output and `errors` as standard error.
    pub(crate) fn start_with_pipes(mut self, errors: File) -> Result<Child> {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        self.command.spawn().explain(|| format!("cannot start `{}`", self.line()))
    }

    /// Starts it with a file for both outputs.
    pub(crate) fn start_silently(mut self, log: File) -> Result<Child> {
        let errors = log.try_clone().explain(|| "cannot share a log file".to_owned())?;
        self.command.stdout(log).stderr(errors);
        self.command.spawn().explain(|| format!("cannot start `{}`", self.line()))
    }

    /// Starts it with a pipe on standard output; the rest is inherited.
    pub(crate) fn start_with_output(mut self) -> Result<Child> {
        self.command.stdout(Stdio::piped());
        self.command.spawn().explain(|| format!("cannot start `{}`", self.line()))
    }

    /// Starts it in a process group of its own, with both outputs in the file `log`.
    ///
    /// Whoever calls this reaps the process.
    pub(crate) fn start_daemon(mut self, log: &Path) -> Result<Pid> {
        let open = || -> std::io::Result<(File, File)> {
            let file = File::options().create(true).append(true).open(log)?;
            Ok((file.try_clone()?, file))
        };
        let (output, errors) = open().explain(|| format!("cannot write `{}`", log.display()))?;
        let child = self.command.process_group(0).stdout(output).stderr(errors).spawn();
        let child = child.explain(|| format!("cannot start `{}`", self.line()))?;
        Ok(Pid::from_child(&child))
    }
}

/// Returns the last `count` lines of `text` that are not empty.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::{Program, find, last_lines, this_program};

    #[test]
    fn this_program_keeps_its_path_when_another_is_built() {
        let path = this_program().unwrap();
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        let again = this_program();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(again.unwrap(), path);
    }

    #[test]
    fn a_failing_program_is_named_with_what_it_said() {
        let failed = Program::new("sh").args(["-c", "echo broken >&2; exit 3"]).output();
        let shown = failed.expect_err("it exits with 3").to_string();
        assert!(shown.starts_with("error: cannot run `sh -c echo broken"), "{shown}");
        assert!(shown.ends_with("caused by: broken"), "{shown}");
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(Program::new("cat").output_from(b"abc").unwrap(), b"abc");
    }

    #[test]
    fn an_installed_program_is_found_and_another_is_not() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }

    #[test]
    fn last_lines_skips_empty_ones() {
        assert_eq!(last_lines("a\n\nb\nc\n\n", 2), "b\nc");
    }
}
