//! Which registries a Dockerfile may pull from. Pure.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_core::ImageRef;

/// Returns the registries of the images that `FROM` and `--from=` name. It is about whose credentials
/// go along, so a name that cannot be read, or is a stage, only adds a registry that is not asked.
pub(super) fn registries(text: &str, arguments: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut values = BTreeMap::new();
    let mut registries = BTreeSet::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let instruction = words.next().unwrap_or_default().to_ascii_uppercase();
        let names: Vec<&str> = match instruction.as_str() {
            "ARG" => {
                for word in words {
                    let (name, default) = word.split_once('=').unwrap_or((word, ""));
                    let default = default.trim_matches(['"', '\'']).to_owned();
                    let value = arguments.get(name).cloned().unwrap_or(default);
                    values.insert(name.to_owned(), value);
                }
                continue;
            }
            "FROM" => words.find(|word| !word.starts_with("--")).into_iter().collect(),
            "COPY" | "ADD" => words.filter_map(|word| word.strip_prefix("--from=")).collect(),
            _ => continue,
        };
        for name in names {
            if let Ok(image) = expanded(name, &values).parse::<ImageRef>() {
                registries.insert(image.registry().to_owned());
            }
        }
    }
    registries
}

/// Puts values in place of `$NAME`, `${NAME}` and `${NAME:-default}`.
fn expanded(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((inner, after)) => (inner, after),
            None => {
                let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
                rest.split_at(rest.find(|c| !word(c)).unwrap_or(rest.len()))
            }
        };
        let (name, default) = name.split_once(":-").unwrap_or((name, ""));
        let value = values.get(name).map(String::as_str).filter(|value| !value.is_empty());
        result.push_str(value.unwrap_or(default));
        rest = after;
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_bases_and_of_copies_are_found() {
        let text = concat!(
            "ARG HOST=a.example\nARG TAG\n",
            "FROM --platform=linux/amd64 $HOST/x:${TAG:-1} AS one\n",
            "from alpine\nCOPY --chown=1 --from=b.example:5000/y /a /b\n",
            "COPY --from=one /a /c\nRUN echo FROM c.example/z\n",
        );
        let found = |arguments: &[(&str, &str)]| {
            let arguments = arguments.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
            registries(text, &arguments).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), ["a.example", "b.example:5000", "docker.io"]);
        assert_eq!(found(&[("HOST", "d.example")]), ["b.example:5000", "d.example", "docker.io"]);
    }
}
