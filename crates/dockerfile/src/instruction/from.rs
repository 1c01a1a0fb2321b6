//! `FROM`: begins a stage.

use crate::diagnostic::{Diagnostic, Sink};
use crate::fragment::Word;
use crate::nearest;
use crate::parser::{Arguments, Statement};

use super::flags::{Flags, Takes};

/// `FROM [--platform=P] IMAGE [AS NAME]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// The image, the name of an earlier stage, or `scratch`.
    pub image: Word,
    /// The name of the stage, in lower case.
    pub name: Option<Word>,
    /// The platform of the image.
    pub platform: Option<Word>,
}

pub(super) fn read(statement: &Statement, sink: &mut Sink) -> Option<From> {
    let platform = Flags::read(statement, &[("platform", Takes::Value)], sink).value("platform");
    let words = match &statement.arguments {
        Arguments::List(words) => words.as_slice(),
        _ => &[],
    };
    let (image, name) = match words {
        [image] => (image.clone(), None),
        [image, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
            (image.clone(), Some(stage_name(name, sink)?))
        }
        _ => {
            let problem =
                Diagnostic::error(statement.span, "`FROM` takes an image, and perhaps a name");
            sink.push(problem.with_remedy(match words {
                [image, keyword, name] if nearest::nearest(&keyword.text, &["AS"]).is_some() => {
                    format!("write `FROM {} AS {}`", image.text, name.text)
                }
                _ => "write `FROM IMAGE`, or `FROM IMAGE AS NAME`".to_owned(),
            }));
            return None;
        }
    };
    Some(From { image, name, platform })
}

fn stage_name(word: &Word, sink: &mut Sink) -> Option<Word> {
    let text = word.text.to_lowercase();
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) || !text.chars().all(plain) {
        let message = format!("`{}` cannot be the name of a stage", word.text);
        let remedy = "begin it with a letter, and use letters, digits, `-`, `_` and `.`";
        sink.push(Diagnostic::error(word.span, message).with_remedy(remedy));
        return None;
    }
    Some(Word { text, span: word.span })
}
