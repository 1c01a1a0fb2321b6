//! The labels on whatever Boxwright makes in an engine, so that leftovers can be told and swept.

/// Says that Boxwright made it, and for what: `run`, `build`, `worker`.
pub const OWNER: &str = "dev.boxwright.owner";

/// When it was made, in seconds since 1970.
pub const STARTED: &str = "dev.boxwright.started";

/// Which process made it, and removes it before it ends. What stays for later builds has no such label.
pub const MAKER: &str = "dev.boxwright.maker";
