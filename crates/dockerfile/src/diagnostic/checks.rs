//! Which build checks are skipped, and whether what is left is an error: `# check=` and `BUILDKIT_DOCKERFILE_CHECK`.

use std::collections::BTreeSet;

use super::{Diagnostic, Rule, Severity, Span};

/// What a file, or a build argument, says of the build checks.
///
/// Default: no check is skipped, and a finding is a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    skip_all: bool,
    skip: BTreeSet<String>,
    fail: bool,
}

impl Checks {
    /// Reads `skip=RULE,RULE`, `skip=all` and `error=true`, with a `;` between two of them. A rule that is not known is no
    /// mistake: BuildKit has more of them than are checked here. So is `experimental=…`, which names rules too.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`, and what to write.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        const REMEDY: &str = "write `skip=RULE,RULE`, `skip=all` or `error=true`, with `;` between";
        let mut checks = Self::default();
        for part in text.trim().split(';').filter(|_| !text.trim().is_empty()) {
            let Some((key, value)) = part.split_once('=') else {
                return Err((format!("`{part}` is no option of the build checks"), REMEDY));
            };
            match (key.trim(), value.trim()) {
                ("skip", "all") => checks.skip_all = true,
                ("skip", rules) => {
                    checks.skip.extend(rules.split(',').map(|rule| rule.trim().to_owned()));
                }
                ("error", value) => {
                    checks.fail = truth(value).ok_or_else(|| {
                        let remedy = "write `error=true` or `error=false`";
                        (format!("`{value}` is neither true nor false"), remedy)
                    })?
                }
                ("experimental", _) => {}
                (key, _) => {
                    return Err((format!("`{key}` is no option of the build checks"), REMEDY));
                }
            }
        }
        Ok(checks)
    }

    /// Whether a problem is not to be reported.
    pub(crate) fn skips(&self, problem: &Diagnostic) -> bool {
        let named = |rule: Rule| self.skip_all || self.skip.contains(rule.as_str());
        problem.severity == Severity::Warning && problem.rule.is_some_and(named)
    }

    /// Makes errors of the findings, where the file asks for that.
    pub(crate) fn judge(&self, problems: &mut [Diagnostic]) {
        let findings = problems.iter_mut().filter(|it| it.rule.is_some());
        findings.filter(|_| self.fail).for_each(|it| it.severity = Severity::Error);
    }
}

/// A truth as Go writes them.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The problem with what a file or a build argument says of the checks.
pub(crate) fn wrong(span: Span, (message, remedy): (String, &str)) -> Diagnostic {
    Diagnostic::error(span, message).with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(rule: Rule) -> Diagnostic {
        Diagnostic::warning(Span::default(), "x").with_rule(rule)
    }

    #[test]
    fn rules_are_skipped_by_name_or_all_at_once() {
        let some = Checks::parse("skip=UndefinedVar, MaintainerDeprecated,NoSuchRule").unwrap();
        assert!(some.skips(&finding(Rule::UndefinedVar)));
        assert!(some.skips(&finding(Rule::MaintainerDeprecated)));
        assert!(!some.skips(&finding(Rule::ReservedStageName)));
        let all = Checks::parse("skip=all").unwrap();
        assert!(all.skips(&finding(Rule::ReservedStageName)));
        assert!(!all.skips(&Diagnostic::warning(Span::default(), "it has no rule")));
        assert!(!all.skips(&Diagnostic::error(Span::default(), "x").with_rule(Rule::UndefinedVar)));
    }

    #[test]
    fn findings_are_errors_where_the_file_says_so() {
        for (text, expected) in [
            ("error=true", Severity::Error),
            ("skip=UndefinedVar;error=1", Severity::Error),
            ("error=false", Severity::Warning),
            ("", Severity::Warning),
        ] {
            let mut found = [finding(Rule::UndefinedVar)];
            Checks::parse(text).unwrap().judge(&mut found);
            assert_eq!(found[0].severity, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for text in ["skip", "omit=all", "skip=all;", "error=yes", "error=", "=all"] {
            assert!(Checks::parse(text).is_err(), "{text}");
        }
    }
}
