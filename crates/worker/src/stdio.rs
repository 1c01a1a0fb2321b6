//! The program's standard input and output as one stream that nothing else writes into.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::FileType;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// How many bytes a pipe should hold: as many as an ordinary user may ask for.
const PIPE: usize = 1 << 20;

/// Takes standard input and output away from the rest of the program: input becomes `/dev/null`, and output
/// standard error, so that a stray line of a library or of a child does not break the protocol.
///
/// # Errors
///
/// When they are neither pipes nor sockets, such as a terminal.
pub(crate) fn take() -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    let input = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?;
    let output = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(io::stderr())?;
    Ok(tokio::io::join(reader(input)?, writer(output)?))
}

fn reader(input: OwnedFd) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    match kind(&input)? {
        FileType::Fifo => {
            widen(&input);
            Ok(Box::new(pipe::Receiver::from_owned_fd(input)?))
        }
        FileType::Socket => Ok(Box::new(socket(input)?)),
        _ => Err(not_a_stream("standard input")),
    }
}

fn writer(output: OwnedFd) -> io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
    match kind(&output)? {
        FileType::Fifo => {
            widen(&output);
            Ok(Box::new(pipe::Sender::from_owned_fd(output)?))
        }
        FileType::Socket => Ok(Box::new(socket(output)?)),
        _ => Err(not_a_stream("standard output")),
    }
}

fn kind(file: impl AsFd) -> io::Result<FileType> {
    Ok(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode))
}

fn widen(pipe: impl AsFd) {
    // A narrow pipe is slower, and nothing else.
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE);
}

fn socket(socket: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(socket);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

fn not_a_stream(what: &str) -> io::Error {
    io::Error::other(format!(
        "{what} is neither a pipe nor a socket; `boxwright` starts this program itself"
    ))
}
