//! The one error type of the workspace: what happened, why, with what, and what to do.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use crate::engine::EngineName;

/// What every fallible function of the workspace returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of failure this is. Callers branch on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The engine cannot do this, as its capabilities say.
    Unsupported,
    /// The engine or the registry is not running, not reachable, or closed to this user.
    Unavailable,
    /// A setting, flag, or reference is wrong. Nothing was attempted.
    InvalidInput,
    /// The Dockerfile does not parse or contradicts itself.
    InvalidDockerfile,
    /// A named image, stage, or file does not exist.
    NotFound,
    /// Credentials are missing or were refused.
    Unauthorized,
    /// An instruction ran and failed. The engine itself is fine.
    BuildFailed,
    /// The caller's token fired, and everything was cleaned up.
    Cancelled,
    /// A limit, a quota, a disk, or a time ran out.
    Exhausted,
    /// Something else holds it: a lock, an immutable tag, a build of the same name.
    Conflict,
    /// An engine or a registry answered something unintelligible.
    Protocol,
    /// A defect in this project.
    Bug,
}

impl ErrorKind {
    /// Returns the kind's stable name, as JSON output and reports have it, e.g. `build-failed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::InvalidInput => "invalid-input",
            Self::InvalidDockerfile => "invalid-dockerfile",
            Self::NotFound => "not-found",
            Self::Unauthorized => "unauthorized",
            Self::BuildFailed => "build-failed",
            Self::Cancelled => "cancelled",
            Self::Exhausted => "exhausted",
            Self::Conflict => "conflict",
            Self::Protocol => "protocol",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was being attempted when an error left an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Looking for engines.
    Detect,
    /// Connecting to an engine.
    Open,
    /// Building an image.
    Build,
    /// Pushing an image.
    Push,
    /// Pulling an image.
    Pull,
    /// Reading one image's facts.
    Inspect,
    /// Listing images.
    List,
    /// Naming an image.
    Tag,
    /// Removing an image.
    Remove,
    /// Writing an image to an archive.
    Export,
    /// Reading an image from an archive.
    Import,
    /// Running a command in an image.
    Run,
    /// Removing what this project keeps in an engine.
    Prune,
}

impl Operation {
    /// Returns the operation's stable name, e.g. `build`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Open => "open",
            Self::Build => "build",
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Inspect => "inspect",
            Self::List => "list",
            Self::Tag => "tag",
            Self::Remove => "remove",
            Self::Export => "export",
            Self::Import => "import",
            Self::Run => "run",
            Self::Prune => "prune",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The error of every fallible function in the workspace. `Display` prints the
/// message alone, on one line; the CLI adds causes, context, and remedy.
///
/// ```
/// use boxwright_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::NotFound, "cannot read `Dockerfile`")
///     .with_cause("there is no such file in the context")
///     .with_context("context", "/src/app")
///     .with_remedy("name the file with `--file`");
/// assert_eq!(error.to_string(), "cannot read `Dockerfile`");
/// assert_eq!(error.causes(), ["there is no such file in the context"]);
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    engine: Option<EngineName>,
    endpoint: Option<String>,
    operation: Option<Operation>,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    context: Vec<(&'static str, String)>,
    remedy: Option<Cow<'static, str>>,
}

impl Error {
    /// Returns an error of `kind` that says what happened.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            engine: None,
            endpoint: None,
            operation: None,
            message: message.into(),
            source: None,
            context: Vec::new(),
            remedy: None,
        }))
    }

    /// Returns the error for a step whose command exited with `exit_code`, worded alike for every engine. A
    /// builder's own counting before the instruction, as in `[2/3] RUN make`, is left out.
    #[must_use]
    pub fn step_failed(step: &str, exit_code: i64) -> Self {
        let counted = step.strip_prefix('[').and_then(|rest| rest.split_once("] "));
        let instruction = counted.map_or(step, |(_, instruction)| instruction).trim();
        let line = instruction.lines().next().unwrap_or_default();
        let mut shown: String = line.chars().take(100).collect();
        if shown.len() < instruction.len() {
            shown.push('…');
        }
        let error =
            Self::new(ErrorKind::BuildFailed, format!("`{shown}` exited with status {exit_code}"))
                .with_context("step", instruction)
                .with_context("exit code", exit_code.to_string());
        // What a shell says by these: POSIX, Shell Command Language, 2.8.2.
        match exit_code {
            126 => error.with_remedy("make the program executable: it was found, and cannot be run"),
            127 => error.with_remedy(
                "check the spelling of the program, or install it in an earlier step: the image has no such file",
            ),
            137 => error.with_remedy(
                "give the step more memory: it was killed, most often because there was no more",
            ),
            _ => error,
        }
    }

    /// Adds why it happened, as the error that was met.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds why it happened, in words.
    #[must_use]
    pub fn with_cause(self, cause: impl Into<String>) -> Self {
        self.with_source(Box::<dyn StdError + Send + Sync>::from(cause.into()))
    }

    /// Adds a fact it happened with, such as `step` or `exit code`.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.context.push((name, value.into()));
        self
    }

    /// Adds what the user can do: a command or a setting that works as printed.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Adds a remedy unless there is one.
    #[must_use]
    pub fn or_remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.0.remedy.get_or_insert_with(|| remedy.into());
        self
    }

    /// Says which engine, where it was reached, and what was attempted, unless that is known.
    #[must_use]
    pub fn at(mut self, engine: EngineName, endpoint: &str, operation: Operation) -> Self {
        self.0.engine.get_or_insert(engine);
        self.0.endpoint.get_or_insert_with(|| endpoint.to_owned());
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Returns the class of failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns which engine failed, once `Checked` has stamped it.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineName> {
        self.0.engine.as_ref()
    }

    /// Returns where the engine was reached, once `Checked` has stamped it.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// Returns what was attempted, once `Checked` has stamped it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.0.operation
    }

    /// Returns the facts it happened with, in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Returns what the user can do.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }

    /// Returns why it happened, outermost first, each on one line and none said twice.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let mut causes: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(error) = next {
            let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            let said = self.0.message.contains(&text) || causes.iter().any(|c| c.contains(&text));
            if !text.is_empty() && !said {
                causes.push(text);
            }
            next = error.source();
        }
        causes
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("engine", &self.0.engine)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message)
            .field("causes", &self.causes())
            .field("context", &self.0.context)
            .field("remedy", &self.0.remedy)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_once_and_keeps_the_first() {
        let error = Error::new(ErrorKind::Protocol, "cannot read the answer")
            .at(EngineName::new("inner"), "unix:///a", Operation::Build)
            .at(EngineName::new("outer"), "unix:///b", Operation::Push);
        assert_eq!(error.engine().map(EngineName::as_str), Some("inner"));
        assert_eq!(error.endpoint(), Some("unix:///a"));
        assert_eq!(error.operation(), Some(Operation::Build));
    }

    #[test]
    fn a_cause_that_repeats_the_message_is_left_out() {
        let inner = Error::new(ErrorKind::Unavailable, "connection refused")
            .with_cause("connection refused");
        let error =
            Error::new(ErrorKind::Unavailable, "cannot reach the daemon").with_source(inner);
        assert_eq!(error.causes(), ["connection refused"]);
    }

    #[test]
    fn a_failed_step_is_named_without_the_builders_counting() {
        let error = Error::step_failed("[build 2/3] RUN make \\\n  all", 2);
        assert_eq!(error.to_string(), "`RUN make \\…` exited with status 2");
        let context: Vec<_> =
            error.context().iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(context, [("step", "RUN make \\\n  all"), ("exit code", "2")]);
        assert_eq!(
            Error::step_failed("RUN [ -e /x ]", 1).to_string(),
            "`RUN [ -e /x ]` exited with status 1"
        );
        assert_eq!(Error::step_failed("RUN make", 1).remedy(), None);
        assert!(Error::step_failed("RUN maek", 127).remedy().unwrap().contains("spelling"));
    }

    #[test]
    fn is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
