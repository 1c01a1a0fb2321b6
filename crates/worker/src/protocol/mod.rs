//! What client and worker say to each other: gRPC over HTTP/2 on one stream of bytes.
//!
//! The stream is the worker's standard input and output, wherever it runs. The client calls, the worker
//! answers; what only the client has, such as an ssh agent, the worker asks for in the answer to a run, and
//! the client then opens a call for it. Nothing here goes over a network by itself, so there is no
//! authentication: whoever holds the stream is the worker's one client.

pub(crate) mod call;
pub(crate) mod failure;
pub(crate) mod messages;
pub(crate) mod step;

/// The version of the protocol. A client talks only with a worker of the same one: both come from the same build,
/// and a worker that an engine kept from an older one is replaced.
pub const PROTOCOL: u32 = 1;

/// How many bytes may be under way on the connection.
pub(crate) const CONNECTION_WINDOW: u32 = 64 << 20;

/// How many bytes may be under way on one call. Small enough that the frames of a step that writes byte by byte,
/// and whose output nobody takes, stay below the number at which `h2` closes a connection.
pub(crate) const CALL_WINDOW: u32 = 4 << 20;

/// The largest frame, in bytes.
pub(crate) const FRAME: u32 = 1 << 20;

/// How many bytes of one call may wait to be written.
pub(crate) const SEND_BUFFER: usize = 2 << 20;

/// How much of a layer goes into one message, in bytes.
pub(crate) const CHUNK: usize = 512 << 10;

/// The most that one message may be, in bytes. Secrets and the description of a step have to fit.
pub(crate) const MESSAGE: usize = 64 << 20;
