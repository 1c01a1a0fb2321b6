//! The calls of the worker, by their paths.

/// Asks who is there. The first call; others are refused by whoever gets an unexpected version.
pub(crate) const HELLO: &str = "/boxwright.worker.v1.Worker/Hello";
/// Asks which layers are not unpacked yet.
pub(crate) const MISSING: &str = "/boxwright.worker.v1.Worker/Missing";
/// Sends one layer, uncompressed, as a stream of chunks.
pub(crate) const PUT_LAYER: &str = "/boxwright.worker.v1.Worker/PutLayer";
/// Fetches one layer that a step left, uncompressed, as a stream of chunks.
pub(crate) const GET_LAYER: &str = "/boxwright.worker.v1.Worker/GetLayer";
/// Runs a step. The answer is a stream of events, the last of which is the outcome.
pub(crate) const RUN: &str = "/boxwright.worker.v1.Worker/Run";
/// Ends a step early. Its run then answers that it was cancelled, once everything is undone.
pub(crate) const CANCEL: &str = "/boxwright.worker.v1.Worker/Cancel";
/// Carries the bytes of one connection to an ssh agent, both ways.
pub(crate) const AGENT: &str = "/boxwright.worker.v1.Worker/Agent";
