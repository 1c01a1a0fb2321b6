//! YAML to values, with every scalar as it is written: `3.10` stays `3.10`.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::problem::Problem;

/// Nothing that people write goes deeper.
const DEEPEST: usize = 32;

/// Reads one document.
pub(crate) fn read(text: &str) -> Result<Value, Problem> {
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    let mut document = Value::Null;
    let mut is_read = false;
    loop {
        let (event, line) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(document),
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
            _ if is_read => {
                return Err(Problem::new(
                    format!("line {line}: a second document begins"),
                    "keep one specification in a file",
                ));
            }
            event => {
                document = reader.value(event, line, 0)?;
                is_read = true;
            }
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Problem> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(Problem::new(
                format!("line {}: this is no YAML: {}", error.marker().line(), error.info()),
                "correct the line; `boxwright spec schema` says what there may be",
            )),
            None => Ok((Event::StreamEnd, 0)),
        }
    }

    fn value(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Value, Problem> {
        if depth > DEEPEST {
            let what = format!("line {line}: values are nested more than {DEEPEST} deep");
            return Err(Problem::new(what, "write them flatter"));
        }
        match event {
            Event::Scalar(text, style, _, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_null = matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                Ok(if is_plain && is_null { Value::Null } else { text.into_owned().into() })
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => return Ok(items.into()),
                        (event, line) => items.push(self.value(event, line, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(..) => self.mapping(depth),
            // Copies of copies are how a small file fills the memory.
            Event::Alias(_) => Err(Problem::new(
                format!("line {line}: a reference to an anchor is not read"),
                "write the value out where it is needed",
            )),
            _ => Err(Problem::new(
                format!("line {line}: a value is missing"),
                "correct the line; `boxwright spec schema` says what there may be",
            )),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut map = Map::new();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(map.into()),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => {
                    let what = format!("line {line}: a name must be text");
                    return Err(Problem::new(what, "write it as `name: value`"));
                }
            };
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            if map.insert(key.clone(), value).is_some() {
                let what = format!("line {line}: `{key}` is given twice");
                return Err(Problem::new(what, "leave one of them out"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_stay_as_they_are_written() {
        let text = "python_version: 3.10\nenv:\n  A: 'null'\n  B: yes\n  C: 010\npackages: [a, b]\nregistry: ~\n";
        let expected = json!({
            "python_version": "3.10", "env": { "A": "null", "B": "yes", "C": "010" },
            "packages": ["a", "b"], "registry": null,
        });
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), Value::Null);
    }

    #[test]
    fn what_is_not_plain_data_is_refused_with_its_line() {
        for (text, says) in [
            ("a: 1\na: 2\n", "line 2: `a` is given twice"),
            ("a: &x [1]\nb: *x\n", "line 2: a reference to an anchor"),
            ("a: 1\n---\nb: 2\n", "line 3: a second document"),
            ("a: [1\n", "this is no YAML"),
            ("? [a]\n: b\n", "line 1: a name must be text"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.what.contains(says), "{text}: {problem:?}");
        }
        let deep = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        assert!(read(&deep).unwrap_err().what.contains("deep"));
    }
}
