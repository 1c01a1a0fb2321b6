//! A home to run the program in, and what a run came to.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_testkit::snapshot;
use tempfile::TempDir;

/// A folder that is the home and the working directory of every run.
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run came to. Shown, it is its exit code and both streams, without what differs from run to run.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    folder: PathBuf,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bw-").tempdir_in("/tmp").unwrap();
        Self { folder, variables: Vec::new() }
    }

    /// A home with a context in `app`.
    pub(crate) fn with_dockerfile(text: &str) -> Self {
        Self::new().file("app/Dockerfile", text)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.variables.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Runs the program with the real engines.
    pub(crate) fn real(&self, arguments: &[&str]) -> Run {
        self.finish(self.command(Path::new(env!("CARGO_BIN_EXE_boxwright")), arguments), b"")
    }

    /// Runs the program with the fake engine.
    pub(crate) fn fake(&self, arguments: &[&str]) -> Run {
        self.fake_with_input(arguments, b"")
    }

    /// Runs the program with the fake engine and something on standard input.
    pub(crate) fn fake_with_input(&self, arguments: &[&str], input: &[u8]) -> Run {
        self.finish(self.command(&fake_program(), arguments), input)
    }

    /// Starts the program with the fake engine.
    pub(crate) fn start_fake(&self, arguments: &[&str]) -> Child {
        self.command(&fake_program(), arguments).spawn().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "these tests are about a process")]
    pub(crate) fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn finish(&self, mut command: Command, input: &[u8]) -> Run {
        use std::io::Write as _;
        let mut child = command.spawn().unwrap();
        // A program that does not read its input is free not to.
        let _ = child.stdin.take().unwrap().write_all(input);
        self.ended(child)
    }

    pub(crate) fn ended(&self, child: Child) -> Run {
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            folder: self.folder.path().to_owned(),
        }
    }

    /// Returns the names in a folder, in order.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// The program with the fake engine is an example of this package; cargo builds it with the tests.
pub(crate) fn fake_program() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_boxwright")).parent().unwrap();
    let program = folder.join("examples/boxwright-fake");
    assert!(program.is_file(), "build it first: cargo build -p boxwright-cli --examples");
    program
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hide = |text: &str| {
            let lines: String = text.split_inclusive('\n').map(hide_clock).collect();
            snapshot::hide(&lines, &self.folder)
        };
        writeln!(f, "exit code {}", self.code)?;
        write!(f, "--- stdout\n{}", hide(&self.stdout))?;
        write!(f, "--- stderr\n{}", hide(&self.stderr))
    }
}

/// Takes the time out of a plain line of progress: `#2 0.412 text`.
fn hide_clock(line: &str) -> String {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some(number), Some(time), Some(text))
            if number.starts_with('#') && time.parse::<f64>().is_ok() =>
        {
            format!("{number} [time] {text}")
        }
        _ => line.to_owned(),
    }
}

/// A layer with busybox, which is the shell and what it needs.
pub(crate) fn base() -> Vec<u8> {
    let busybox = std::fs::read("/bin/busybox").expect("needs the package busybox-static");
    let mut tar = Writer::new(Vec::new());
    let program = Header::new("bin/busybox", Kind::File { size: busybox.len() as u64 }, 0o755);
    tar.file(&program, &mut &busybox[..]).unwrap();
    for name in ["sh", "sleep", "touch", "true", "dd", "setsid"] {
        let link = Kind::Symlink { target: "busybox".into() };
        tar.file(&Header::new(format!("bin/{name}"), link, 0o777), &mut &b""[..]).unwrap();
    }
    tar.finish().unwrap()
}
