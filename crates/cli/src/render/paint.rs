//! Colour, where a terminal and the user want it. Nothing is told by colour alone.

use boxwright_core::Host;

/// A way to set text off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Cyan => "36",
        }
    }
}

/// Whether text is set off at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Paint(bool);

impl Paint {
    /// No colour.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self(false);

    // SPEC: no-color.org: "when present and not an empty string (regardless of its value), prevents
    // the addition of ANSI color". bixense.com/clicolors: `CLICOLOR_FORCE` not 0 forces it,
    // `CLICOLOR=0` turns it off.
    pub(crate) fn choose(host: &Host, terminal: bool) -> Self {
        let is = |name, value| host.variable(name) == Some(value);
        let forced = host.variable("CLICOLOR_FORCE").is_some() && !is("CLICOLOR_FORCE", "0");
        let refused = is("CLICOLOR", "0") || is("TERM", "dumb");
        Self(host.variable("NO_COLOR").is_none() && (forced || terminal && !refused))
    }

    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    pub(crate) fn ink(self, ink: Ink, text: &str) -> String {
        if self.0 && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_for_terminals_whose_user_does_not_refuse_it() {
        let colour = |variables: &[(&str, &str)], terminal| {
            Paint::choose(&Host::with_variables("/", variables.to_vec()), terminal).is_on()
        };
        assert!(colour(&[], true) && !colour(&[], false));
        assert!(!colour(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(colour(&[("NO_COLOR", "")], true));
        assert!(!colour(&[("CLICOLOR", "0")], true) && !colour(&[("TERM", "dumb")], true));
        assert!(colour(&[("CLICOLOR_FORCE", "1"), ("CLICOLOR", "0")], false));
        assert!(!colour(&[("CLICOLOR_FORCE", "0")], false));
    }
}
