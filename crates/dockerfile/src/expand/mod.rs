//! Expands `$x` and `${x…}` and takes quotes off, the way a Dockerfile does.

pub mod pattern;
mod word;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pattern::Pattern;

/// How deep `${a:-${b:-…}}` may nest.
pub(crate) const MAX_DEPTH: usize = 100;

/// What an expander may write, whatever the file says. See [`Expander::with_allowance`].
const ALLOWANCE: usize = 16 << 20;

/// Where the values of variables come from.
pub trait Variables {
    /// Returns the value of `name`, or `None` if it is not set.
    fn value(&self, name: &str) -> Option<&str>;
}

impl Variables for BTreeMap<String, String> {
    fn value(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// No variable is set.
#[derive(Clone, Copy, Debug)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// What happens to quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quotes {
    /// They group, and are taken off.
    #[default]
    Remove,
    /// They group, and stay.
    Keep,
    /// They are characters like others, as in a here-document.
    Ignore,
}

/// What happens to variables that are not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unset {
    /// They are empty.
    #[default]
    Empty,
    /// Their name stays, as it was written.
    Keep,
}

/// The rules of an expansion, and how much it may still write.
///
/// ```
/// use boxwright_dockerfile::expand::Expander;
///
/// let variables = std::collections::BTreeMap::from([("name".to_owned(), "api".to_owned())]);
/// let found = Expander::new('\\').expand("/srv/${name}/${port:-80}", &variables)?;
/// assert_eq!(found.text, "/srv/api/80");
/// # Ok::<(), boxwright_dockerfile::expand::ExpandError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Expander {
    pub(crate) escape: char,
    pub(crate) quotes: Quotes,
    pub(crate) keep_escapes: bool,
    pub(crate) unset: Unset,
    allowance: Cell<usize>,
}

impl Expander {
    /// Makes an expander whose escape character is `escape`.
    #[must_use]
    pub fn new(escape: char) -> Self {
        Self {
            escape,
            quotes: Quotes::Remove,
            keep_escapes: false,
            unset: Unset::Empty,
            allowance: Cell::new(ALLOWANCE),
        }
    }

    /// Changes what happens to quotes.
    #[must_use]
    pub fn with_quotes(self, quotes: Quotes) -> Self {
        Self { quotes, ..self }
    }

    /// Leaves escape characters where they are.
    #[must_use]
    pub fn keeping_escapes(self) -> Self {
        Self { keep_escapes: true, ..self }
    }

    /// Changes what happens to variables that are not set.
    #[must_use]
    pub fn with_unset(self, unset: Unset) -> Self {
        Self { unset, ..self }
    }

    /// Lets all expansions together write `bytes` more than the 16 MiB that they may. `ARG A=$A$A` doubles with each
    /// line, so there has to be an end.
    #[must_use]
    pub fn with_allowance(self, bytes: usize) -> Self {
        self.allowance.set(self.allowance.get().saturating_add(bytes));
        self
    }

    /// Expands `word`.
    ///
    /// # Errors
    ///
    /// Unbalanced quotes and braces, an operator that does not exist, `${x:?…}` of a variable that is not set, and
    /// expansions that are too deep or too large.
    pub fn expand(&self, word: &str, variables: &dyn Variables) -> Result<Expansion, ExpandError> {
        word::Machine::new(self, word, variables).run()
    }

    /// Takes `amount` of what may be written.
    pub(crate) fn spend(&self, amount: usize) -> Result<(), ExpandError> {
        let left = self.allowance.get().checked_sub(amount).ok_or_else(|| {
            ExpandError::new("the variables of this file expand to too much text")
                .with_remedy("shorten the values, or move the text into a file and `COPY` that")
        })?;
        self.allowance.set(left);
        Ok(())
    }
}

/// What a word expands to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The word as a whole.
    pub text: String,
    /// The word split at white space that is not quoted, as `EXPOSE` takes it.
    pub words: Vec<String>,
    /// The variables that were asked for and set.
    pub matched: BTreeSet<String>,
    /// The variables that were asked for and not set.
    pub unmatched: BTreeSet<String>,
    /// Those of them that nothing stands in for, as it does in `${x:-y}`.
    pub missing: BTreeSet<String>,
}

/// Why a word cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    about_unset: bool,
}

impl ExpandError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None, about_unset: false }
    }

    /// A variable that has to be set is not.
    pub(crate) fn unset(message: impl Into<String>) -> Self {
        Self { about_unset: true, ..Self::new(message) }
    }

    /// Whether it is about a variable that is not set, and would go away if it were.
    pub(crate) fn is_about_unset(&self) -> bool {
        self.about_unset
    }

    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExpandError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn text(word: &str) -> Result<String, String> {
        let variables = variables(&[("a", "one"), ("e", ""), ("p", "/x/y.tar.gz")]);
        Expander::new('\\').expand(word, &variables).map(|it| it.text).map_err(|it| it.message)
    }

    #[test]
    fn operators_follow_the_shell() {
        for (word, expected) in [
            ("$a-${a}", "one-one"),
            ("${e:-x}${e-x}${u:-x}${u-x}", "xxx"),
            ("${a:+x}${e:+x}${e+y}", "xy"),
            ("${p#*/}|${p##*/}", "x/y.tar.gz|y.tar.gz"),
            ("${p%.*}|${p%%.*}", "/x/y.tar|/x/y"),
            ("${p/x/z}|${p//./-}", "/z/y.tar.gz|/x/y-tar-gz"),
            ("${u:-${e:-${a}}}", "one"),
            ("'$a' \"$a\" \\$a", "$a one $a"),
            ("$", "$"),
            ("$$ $1a", " a"),
        ] {
            assert_eq!(text(word).as_deref(), Ok(expected), "{word}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (word, expected) in [
            ("'x", "the quote `'` is not closed"),
            ("\"x$a", "the quote `\"` is not closed"),
            ("${a", "`${a` is not closed"),
            ("${", "`${` is not closed"),
            ("${}", "`${}` names no variable"),
            ("${a:-x", "`${a` is not closed"),
            ("${a/x}", "`${a` is not closed"),
            ("${a=x}", "`=` is no operator of `${a…}`"),
            ("${a:#x}", "`:#` is no operator of `${a…}`"),
            ("${u:?say why}", "`u` is not set: say why"),
            ("${e:?}", "`e` is empty"),
            ("${a#\\x}", "`\\x` is no escape in a pattern"),
        ] {
            assert_eq!(text(word), Err(expected.to_owned()), "{word}");
        }
    }

    #[test]
    fn words_split_at_white_space_that_is_not_quoted() {
        let variables = variables(&[("list", "1  2"), ("n", "3")]);
        let found = Expander::new('\\').expand("$list \"$list\" a$n\\ b 'c d'", &variables);
        assert_eq!(found.expect("it is right").words, ["1", "2", "1  2", "a3 b", "c d"]);
    }

    #[test]
    fn what_was_asked_for_is_told() {
        let found = Expander::new('\\').expand("$a ${b:-$c}", &variables(&[("a", "1")]));
        let found = found.expect("it is right");
        assert_eq!(found.matched.into_iter().collect::<Vec<_>>(), ["a"]);
        assert_eq!(found.unmatched.into_iter().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(found.missing.into_iter().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn a_variable_that_is_not_set_can_stay_as_written() {
        let expander = Expander::new('\\').with_unset(Unset::Keep).with_quotes(Quotes::Keep);
        let found = expander.expand("'x' $u ${u} ${u:-d} ${u/a/b}", &NoVariables);
        assert_eq!(found.expect("it is right").text, "'x' $u ${u} ${u:-d} ${u/a/b}");
    }

    #[test]
    fn depth_and_size_have_limits_threat_24() {
        let deep = "${u:-".repeat(100_000) + &"}".repeat(100_000);
        assert!(text(&deep).is_err_and(|it| it.contains("nested")));
        let expander = Expander::new('\\');
        let mut variables = variables(&[("A", "0123456789")]);
        let error = (0..64).find_map(|_| match expander.expand("$A$A", &variables) {
            Ok(found) => {
                variables.insert("A".into(), found.text);
                None
            }
            Err(error) => Some(error),
        });
        assert!(error.is_some_and(|it| it.message.contains("too much text")));
        assert!(variables["A"].len() < ALLOWANCE);
    }
}
