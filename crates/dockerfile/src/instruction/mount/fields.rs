//! Splits the value of `--mount` and `--device` into options.

use crate::diagnostic::Diagnostic;
use crate::fragment::Word;

use super::MountOption;

/// How many options one flag may have. There are nineteen to choose from.
const MAX_OPTIONS: usize = 100;

/// Splits the value of a flag at its commas. As in CSV, an option with a comma is put in double quotes.
pub(in crate::instruction) fn fields(word: &Word) -> Result<Vec<MountOption>, Diagnostic> {
    let mut options = Vec::new();
    let mut next = Some(word.text.as_str()).filter(|text| !text.is_empty());
    while let Some(rest) = next {
        if options.len() == MAX_OPTIONS {
            let problem =
                Diagnostic::error(word.span, format!("there are more than {MAX_OPTIONS} options"));
            return Err(problem.with_remedy("leave out those that are there twice"));
        }
        let (written, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted).ok_or_else(|| {
                Diagnostic::error(
                    word.span,
                    format!("the quotes of `{rest}` are not closed before a comma"),
                )
                .with_remedy("put the whole option in quotes: `\"target=/a,b\"`")
            })?,
            None => {
                let (field, after) = rest
                    .split_once(',')
                    .map_or((rest, None), |(field, after)| (field, Some(after)));
                (field.to_owned(), after)
            }
        };
        let (key, value) = match written.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (written.as_str(), None),
        };
        options.push(MountOption {
            key: key.to_lowercase(),
            value,
            written: written.clone(),
            span: word.span,
        });
        next = after;
    }
    Ok(options)
}

fn quoted_field(text: &str) -> Option<(String, Option<&str>)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None if after.is_empty() => return Some((field, None)),
            None => return Some((field, Some(after.strip_prefix(',')?))),
        }
    }
}
