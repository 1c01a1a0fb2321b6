//! What a case is, and how it says that a promise is broken.

use std::fmt;
use std::pin::Pin;

use boxwright_core::{Capability, Error, Feature};

use crate::cx::Cx;

/// One promise, and the code that finds out whether an engine keeps it. It names no engine.
#[derive(Clone, Copy)]
pub struct Case {
    /// Subject and promise in a few words, e.g. `copy/keeps-file-mode`. Stable: reports are compared by it.
    pub id: &'static str,
    /// The promise, as one sentence.
    pub promise: &'static str,
    /// What the engine must be able to do.
    pub needs: &'static [Capability],
    /// What the engine's own builder must understand.
    pub features: &'static [Feature],
    /// Finds out.
    pub run: fn(Cx) -> CaseFuture,
}

impl Case {
    /// Returns the part of the id before the slash.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        self.id.split('/').next().unwrap_or(self.id)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a run can run on an engine: a case of the suite, or one of a corpus.
pub trait Runnable: Clone + Send + Sync {
    /// Returns what it is called in reports, e.g. `copy/keeps-file-mode`.
    fn id(&self) -> &str;
    /// Returns what it finds out, as one sentence.
    fn promise(&self) -> String;
    /// Returns the words that stand for it in names of images.
    fn slug(&self) -> String;
    /// Returns what the engine must be able to do.
    fn needs(&self) -> &[Capability];
    /// Returns what the engine's own builder must understand.
    fn features(&self) -> &[Feature];
    /// Returns whether a feature that is declared unsupported is shown to work when the case passes.
    fn proves_features(&self) -> bool;
    /// Returns whether it takes images away, which some engines only bear while nothing else happens.
    fn is_exclusive(&self) -> bool;
    /// Returns the groups that reports count it in.
    fn groups(&self) -> Vec<String>;
    /// Begins it.
    fn start(&self, cx: Cx) -> CaseFuture;
}

impl Runnable for Case {
    fn id(&self) -> &str {
        self.id
    }

    fn promise(&self) -> String {
        self.promise.to_owned()
    }

    fn slug(&self) -> String {
        self.id.to_owned()
    }

    fn needs(&self) -> &[Capability] {
        self.needs
    }

    fn features(&self) -> &[Feature] {
        self.features
    }

    fn proves_features(&self) -> bool {
        true
    }

    fn is_exclusive(&self) -> bool {
        self.needs.contains(&Capability::Remove)
    }

    fn groups(&self) -> Vec<String> {
        Vec::new()
    }

    fn start(&self, cx: Cx) -> CaseFuture {
        (self.run)(cx)
    }
}

/// A case under way.
pub type CaseFuture = Pin<Box<dyn Future<Output = CaseResult> + Send>>;

/// How a case ends: the promise is kept, or [`Failure`] says what is wrong.
pub type CaseResult<T = ()> = Result<T, Failure>;

/// Why a case did not pass.
#[derive(Debug)]
pub enum Failure {
    /// The promise is broken.
    Promise {
        /// What was found.
        message: String,
        /// The line of the case that noticed.
        place: String,
    },
    /// The engine failed where it should not have.
    Engine(Box<Error>),
    /// The engine refuses this combination, which no capability declares, with a reason and a remedy.
    Refused {
        /// Why.
        reason: String,
        /// What the user can do.
        remedy: String,
    },
    /// The suite or its surroundings failed; the engine is not to blame.
    Harness(String),
}

impl Failure {
    /// Says that the promise is broken, as the macros do, at the line of the caller.
    #[must_use]
    #[track_caller]
    pub fn promise(message: impl Into<String>) -> Self {
        let place = std::panic::Location::caller();
        let file = place.file().rsplit("src/").next().unwrap_or_default();
        Self::Promise { message: message.into(), place: format!("{file}:{}", place.line()) }
    }

    /// Takes an error for a refusal if it is one that says why and what to do. Only for what an engine may
    /// refuse although it has the capability.
    #[must_use]
    pub fn refused(error: Error) -> Self {
        match (error.kind(), error.causes().into_iter().next(), error.remedy()) {
            (boxwright_core::ErrorKind::Unsupported, Some(reason), Some(remedy)) => {
                Self::Refused { reason, remedy: remedy.to_owned() }
            }
            _ => error.into(),
        }
    }

    /// Says that the suite itself, or what it stands on, failed.
    #[must_use]
    pub fn harness(message: impl Into<String>) -> Self {
        Self::Harness(message.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Harness(format!("a file of the case cannot be used: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise { message, place } => write!(f, "{message} ({place})"),
            Self::Refused { reason, .. } => f.write_str(reason),
            Self::Harness(message) => f.write_str(message),
            Self::Engine(error) => {
                write!(f, "{error} [{}]", error.kind())?;
                for cause in error.causes() {
                    write!(f, "; caused by: {cause}")?;
                }
                for (name, value) in error.context() {
                    write!(f, "; {name}: {value}")?;
                }
                error.remedy().map_or(Ok(()), |remedy| write!(f, "; help: {remedy}"))
            }
        }
    }
}

/// Ends the case unless both sides are equal. Words after them say what is compared.
#[macro_export]
macro_rules! expect_eq {
    ($found:expr, $wanted:expr $(,)?) => {
        $crate::expect_eq!($found, $wanted, "`{}`", stringify!($found))
    };
    ($found:expr, $wanted:expr, $($what:tt)+) => {
        // A `match`, so that what both sides borrow from lives until the end.
        match (&$found, &$wanted) {
            (found, wanted) => {
                if found != wanted {
                    let what = format!($($what)+);
                    let message = format!("{what} is {found:?} and should be {wanted:?}");
                    return Err($crate::Failure::promise(message));
                }
            }
        }
    };
}

/// Ends the case unless the condition holds. Words after it say what is wrong then.
#[macro_export]
macro_rules! expect {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            return Err($crate::Failure::promise(format!($($what)+)));
        }
    };
}

/// Ends the case unless the result is an error of this kind; gives the error.
#[macro_export]
macro_rules! expect_error {
    ($result:expr, $($kind:pat_param)|+ $(,)?) => {
        match $result {
            Err(error) if matches!(error.kind(), $($kind)|+) => error,
            Err(error) => {
                let error = $crate::Failure::from(error);
                let kinds = stringify!($($kind)|+);
                let message = format!("the error should be of kind {kinds}, and is: {error}");
                return Err($crate::Failure::promise(message));
            }
            Ok(outcome) => {
                let message = format!("it should fail, and gives {outcome:?}");
                return Err($crate::Failure::promise(message));
            }
        }
    };
}
