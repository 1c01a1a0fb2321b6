//! What an error has to name where BuildKit says something in its own words.

use crate::case::{CaseResult, Failure};

/// BuildKit's words, and what ours say for the same fact.
const FACTS: &[(&str, &str)] = &[
    ("FOO: custom error", "`FOO` is not set: custom error"),
    ("unknown instruction: FNTRYPOINT", "unknown instruction `FNTRYPOINT`"),
    ("did you mean ENTRYPOINT?", "use `ENTRYPOINT`"),
    (
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround",
        "`--from` cannot have variables",
    ),
    (
        "invalid chmod parameter: '64a'. it should be octal string and between 0 and 07777",
        "`64a` is no mode",
    ),
    (
        "invalid chmod parameter: '10000'. it should be octal string and between 0 and 07777",
        "`10000` is no mode",
    ),
    ("target stage \"bulid\" could not be found (did you mean build?)", "use `build`"),
    ("unknown flag: --mont", "`--mont`"),
    ("did you mean mount?", "use `--mount`"),
    ("unexpected key 'typ'", "`typ`"),
    ("did you mean type?", "use `type`"),
    ("unsupported mount type \"tmp\"", "`tmp`"),
    ("did you mean tmpfs?", "use `tmpfs`"),
    ("cannot copy from stage", "comes after this one"),
    ("needs to be defined before current stage", "comes after this one"),
    ("dockerfile contains no stages to build", "there is no `FROM`"),
    ("secret mysecret: not found", "`mysecret`"),
    (
        "failed to calculate checksum of ref.*: \"/test/nonexistent-file\": not found",
        "test/nonexistent-file",
    ),
];

/// A fact that an error has to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fact {
    theirs: String,
    ours: &'static str,
}

impl Fact {
    /// Reads BuildKit's words.
    ///
    /// # Errors
    ///
    /// [`Failure::Harness`] when nobody has said yet what ours are.
    pub(super) fn read(theirs: String) -> CaseResult<Self> {
        match FACTS.iter().find(|(known, _)| *known == theirs) {
            Some((_, ours)) => Ok(Self { theirs, ours }),
            None => Err(Failure::harness(format!("`{theirs}` is a new kind of error"))),
        }
    }

    /// Fails unless `words` name the fact, in our words or in BuildKit's own.
    pub(super) fn check(&self, words: &str) -> CaseResult {
        let is_named = words.contains(self.ours) || words.contains(&self.theirs);
        crate::expect!(is_named, "the error does not name `{}`: {words}", self.ours);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_named_in_either_words() {
        let fact = Fact::read("did you mean type?".to_owned()).unwrap();
        fact.check("unknown key `typ`\nuse `type`").unwrap();
        fact.check("unexpected key 'typ', did you mean type?").unwrap();
        assert!(fact.check("it does not work").is_err());
        assert!(matches!(Fact::read("new".to_owned()), Err(Failure::Harness(_))));
    }
}
