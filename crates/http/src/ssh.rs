//! An engine on another machine, through the standard streams of the system's `ssh`.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxwright_core::{Error, ErrorKind, Host, ProgramGroup, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;

/// How much of what ssh and the remote command complain about is kept.
const COMPLAINT_LIMIT: u64 = 8 * 1024;

/// Which machine, and how.
pub(crate) struct Bridge<'a> {
    pub(crate) destination: &'a str,
    pub(crate) port: Option<u16>,
    pub(crate) identity: Option<&'a Path>,
}

impl Bridge<'_> {
    /// Starts `command` on the other machine. Whether that worked is known with its first byte.
    pub(crate) fn start(
        &self,
        host: &Host,
        command: &[String],
        endpoint: String,
    ) -> Result<SshStream> {
        // No terminal, so no questions: keys come from the agent, and host keys are known beforehand.
        let mut program = host.program("ssh")?.arguments(&[
            "-T",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=20",
        ]);
        if let Some(port) = self.port {
            program = program.arguments(&["-p", &port.to_string()]);
        }
        if let Some(identity) = self.identity {
            program = program.arguments(&["-i".as_ref(), identity.as_os_str()]);
        }
        let command: Vec<String> = command.iter().map(|word| quoted(word)).collect();
        program = program.arguments(&["--", self.destination, &command.join(" ")]);
        let mut group = program.start_group()?;
        let (input, output, mut complaints) = group
            .take_pipes()
            .ok_or_else(|| Error::new(ErrorKind::Bug, "a program was started without pipes"))?;
        let complaints = tokio::spawn(async move {
            let mut text = Vec::new();
            // What could be read before an error is what there is to tell.
            let _ = (&mut complaints).take(COMPLAINT_LIMIT).read_to_end(&mut text).await;
            // The rest is read too, so that a talkative program is not held up.
            let _ = tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&text).into_owned()
        });
        Ok(SshStream {
            input: Some(input),
            output,
            complaints: Some(complaints),
            endpoint,
            _group: group,
        })
    }
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The streams of a running `ssh`. Dropping it ends the program, and what that started.
#[derive(Debug)]
pub(crate) struct SshStream {
    input: Option<ChildStdin>,
    output: ChildStdout,
    /// Taken once a byte arrived: from then on an end is an end.
    complaints: Option<JoinHandle<String>>,
    endpoint: String,
    _group: ProgramGroup,
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.complaints = None;
            return Poll::Ready(Ok(()));
        }
        let Some(complaints) = &mut self.complaints else { return Poll::Ready(Ok(())) };
        let text = ready!(Pin::new(complaints).poll(context)).unwrap_or_default();
        self.complaints = None;
        Poll::Ready(Err(io::Error::other(unreachable_by_ssh(&self.endpoint, &text))))
    }
}

/// Says why nothing came through ssh.
fn unreachable_by_ssh(endpoint: &str, complaints: &str) -> Error {
    let last = complaints.lines().rfind(|line| !line.trim().is_empty());
    let cause = last.map_or("ssh ended without a word", str::trim);
    let remedy = if cause.contains("Host key verification failed") {
        "connect once by hand with `ssh`, and accept the host's key"
    } else if cause.contains("Permission denied") {
        "load a key that the host accepts into your ssh agent with `ssh-add`"
    } else if cause.contains("not found") {
        "install the engine's client program on that host"
    } else {
        "try the same destination by hand with `ssh`"
    };
    Error::new(ErrorKind::Unavailable, format!("cannot reach `{endpoint}`"))
        .with_cause(cause)
        .with_remedy(remedy)
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.input {
            Some(input) => Pin::new(input).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(input) = &mut self.input {
            ready!(Pin::new(input).poll_shutdown(context))?;
        }
        // The other side sees the end of its input only when the pipe is closed.
        self.input = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_are() {
        assert_eq!(quoted("dial-stdio"), "dial-stdio");
        assert_eq!(quoted("unix:///run/a.sock"), "unix:///run/a.sock");
        assert_eq!(quoted("a b'c$(d)"), r"'a b'\''c$(d)'");
        assert_eq!(quoted(""), "''");
    }
}
