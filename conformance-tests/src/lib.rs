//! Whether an engine keeps the promises: cases that every engine is run through, and the runner.
//!
//! A [`Case`] states one promise, names no engine, and judges the image that was made: it exports it,
//! or pulls it back from the registry, and looks at manifest, config and file tree. Every case meets
//! every engine that is ready and gets one [`Verdict`]. Start reading at [`Case`] and [`Cx`], then at
//! any file of [`cases`]; [`command::run`] is what `boxwright conformance` and `boxwright-conformance`
//! call.
//!
//! A fake engine always takes part, so that the suite is itself tested where no engine is installed.
//! The suite knows no engine; what is known of one is data in [`divergence`].

mod artifact;
mod case;
pub mod cases;
mod column;
pub mod command;
pub mod corpus;
mod cx;
pub mod divergence;
mod environment;
mod evidence;
pub mod leak;
mod log;
mod made;
pub mod native;
pub mod one_digest;
pub mod probes;
pub mod report;
mod runner;
mod tidy;
mod verdict;

pub use artifact::Image;
pub use case::{Case, CaseFuture, CaseResult, Failure, Runnable};
pub use column::{Column, Columns, Missing};
pub use cx::{Attempt, Cx};
pub use environment::{Environment, RegistryKind};
pub use log::{Log, Recorder};
pub use made::{Made, OwnStore};
pub use runner::{Outcome, Run};
pub use verdict::Verdict;
