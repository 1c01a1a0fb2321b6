//! Named pipes between this process and a task: containerd's shim opens their other ends.

use std::path::PathBuf;

use boxwright_core::{Error, ErrorKind, Event, EventSink, OutputStream, Result};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::api::TaskPipes;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

/// A folder with the pipes of one task. It is gone with this value.
#[derive(Debug)]
pub(crate) struct Pipes {
    folder: TempDir,
}

impl Pipes {
    /// Makes a folder for pipes below `folder`, which containerd has to see under the same name.
    pub(crate) fn new(folder: &std::path::Path) -> Result<Self> {
        // For this user alone, as tempfile makes it: whoever could open a pipe could read along.
        let folder = tempfile::Builder::new().prefix("boxwright-").tempdir_in(folder);
        Ok(Self { folder: folder.map_err(cannot_make)? })
    }

    /// Makes the pipe `name` and returns its path.
    pub(crate) fn make(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(name);
        make_pipe(&path).map_err(|error| cannot_make(error.into()))?;
        Ok(path)
    }

    /// Writes a file beside the pipes and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        let write = || {
            std::fs::write(&path, text)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644))
        };
        write().map_err(cannot_make)?;
        Ok(path)
    }
}

#[cfg(target_os = "linux")]
fn make_pipe(path: &std::path::Path) -> std::result::Result<(), rustix::io::Errno> {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
}

#[cfg(not(target_os = "linux"))]
fn make_pipe(_path: &std::path::Path) -> std::result::Result<(), rustix::io::Errno> {
    Err(rustix::io::Errno::NOTSUP)
}

fn cannot_make(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot make the pipes of a container")
        .with_source(error)
        .with_remedy("name a folder that containerd sees too by `TMPDIR`")
}

/// Opens the pipe at `path` for reading. Held open for writing too, it never ends by itself, whenever the shim opens its
/// end.
#[cfg(target_os = "linux")]
pub(crate) fn reader(path: &std::path::Path) -> Result<Receiver> {
    let opened = tokio::net::unix::pipe::OpenOptions::new().read_write(true).open_receiver(path);
    opened.map_err(cannot_make)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn reader(path: &std::path::Path) -> Result<Receiver> {
    tokio::net::unix::pipe::OpenOptions::new().open_receiver(path).map_err(cannot_make)
}

/// Opens the pipe at `path` so that it has no end as long as this is open.
#[cfg(target_os = "linux")]
pub(crate) fn holder(path: &std::path::Path) -> Result<Sender> {
    let opened = tokio::net::unix::pipe::OpenOptions::new().read_write(true).open_sender(path);
    opened.map_err(cannot_make)
}

/// Opens the pipe at `path` for reading alone: it ends when nobody has it open for writing.
pub(crate) fn only_reader(path: &std::path::Path) -> Result<Receiver> {
    tokio::net::unix::pipe::OpenOptions::new().open_receiver(path).map_err(cannot_make)
}

/// Opens the pipe at `path`, which someone has open for reading, for writing alone.
pub(crate) fn only_writer(path: &std::path::Path) -> Result<Sender> {
    tokio::net::unix::pipe::OpenOptions::new().open_sender(path).map_err(cannot_make)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn holder(path: &std::path::Path) -> Result<Sender> {
    only_writer(path)
}

/// The two outputs of a task, on their way to whoever listens.
#[derive(Debug)]
pub(crate) struct Outputs {
    relays: Vec<(Receiver, OutputStream)>,
    pub(crate) paths: TaskPipes,
}

impl Outputs {
    /// Makes the pipes of both outputs.
    pub(crate) fn open(pipes: &Pipes) -> Result<Self> {
        let (stdout, stderr) = (pipes.make("stdout")?, pipes.make("stderr")?);
        let relays = vec![
            (reader(&stdout)?, OutputStream::Stdout),
            (reader(&stderr)?, OutputStream::Stderr),
        ];
        let paths = TaskPipes { stdin: None, stdout: Some(stdout), stderr: Some(stderr) };
        Ok(Self { relays, paths })
    }

    /// Reports what comes until `ended` fires, and after that what is still in the pipes.
    pub(crate) async fn relay(self, events: &EventSink, ended: &CancellationToken) -> Result<()> {
        let relays =
            self.relays.into_iter().map(|(pipe, stream)| relay(pipe, stream, events, ended));
        futures_util::future::try_join_all(relays).await.map(drop)
    }
}

async fn relay(
    mut pipe: Receiver,
    stream: OutputStream,
    events: &EventSink,
    ended: &CancellationToken,
) -> Result<()> {
    let mut buffer = vec![0; CHUNK];
    let broken = |error| {
        Error::new(ErrorKind::Unavailable, "the output of the command broke off").with_source(error)
    };
    loop {
        let count = tokio::select! {
            biased;
            read = pipe.read(&mut buffer) => read.map_err(broken)?,
            () = ended.cancelled() => break,
        };
        events.emit(Event::Output { stream, bytes: buffer[..count].to_vec() }).await;
    }
    // Asked of the kernel itself: the runtime may not have heard yet that there is something.
    loop {
        match rustix::io::read(&pipe, &mut buffer[..]) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Ok(count) => {
                events.emit(Event::Output { stream, bytes: buffer[..count].to_vec() }).await;
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(broken(error.into())),
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn what_is_still_in_a_pipe_at_the_end_arrives() {
        let pipes = Pipes::new(&std::env::temp_dir()).unwrap();
        let outputs = Outputs::open(&pipes).unwrap();
        let path = outputs.paths.stdout.clone().unwrap();
        let (events, mut received) = EventSink::channel();
        let ended = CancellationToken::new();
        let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(b"all of it").unwrap();
        ended.cancel();
        outputs.relay(&events, &ended).await.unwrap();
        drop(events);
        let mut bytes = Vec::new();
        while let Some(event) = received.recv().await {
            let Event::Output { bytes: more, .. } = event else { panic!("{event:?}") };
            bytes.extend(more);
        }
        assert_eq!(bytes, b"all of it");
        drop(pipes);
        assert!(!path.exists());
    }
}
