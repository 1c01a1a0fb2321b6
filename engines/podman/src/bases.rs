//! The registries that a Dockerfile takes images from, for credentials and TLS. Pure.

use std::collections::{BTreeMap, BTreeSet};

use boxwright_core::{DOCKER_HUB, ImageRef};

/// Returns the registries of all images that `text` names in `FROM`, `COPY --from` and `RUN --mount=from=`, as far as
/// defaults and `arguments` tell. What is too much costs nothing: a credential goes only to the registry it belongs to.
pub(crate) fn registries(text: &str, arguments: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut values = BTreeMap::new();
    let mut found = BTreeSet::new();
    let mut stages = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let Some(instruction) = words.next() else { continue };
        if instruction.eq_ignore_ascii_case("ARG") {
            for (name, default) in words.filter_map(|word| word.split_once('=')) {
                let value = arguments.get(name).map_or_else(|| unquoted(default), String::as_str);
                values.insert(name.to_owned(), expanded(value, &values));
            }
            continue;
        }
        let names: Vec<&str> = if instruction.eq_ignore_ascii_case("FROM") {
            let mut operands = words.filter(|word| !word.starts_with("--"));
            let image = operands.next();
            if operands.next().is_some_and(|word| word.eq_ignore_ascii_case("AS")) {
                stages.extend(operands.next().map(str::to_ascii_lowercase));
            }
            image.into_iter().collect()
        } else {
            let flags = words.filter(|word| word.starts_with("--"));
            flags
                .filter_map(|flag| {
                    flag.split(['=', ',']).skip_while(|part| !part.ends_with("from")).nth(1)
                })
                .collect()
        };
        for name in names {
            let name = expanded(unquoted(name), &values);
            let is_stage =
                stages.contains(&name.to_ascii_lowercase()) || name.parse::<u32>().is_ok();
            match name.parse::<ImageRef>() {
                Ok(image) if !is_stage && name != "scratch" => {
                    found.insert(image.registry().to_owned());
                }
                Ok(_) => {}
                // Not known before the build; the usual one is the best guess.
                Err(_) => {
                    found.insert(DOCKER_HUB.to_owned());
                }
            }
        }
    }
    found
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['"', '\''])
}

/// Replaces `$NAME`, `${NAME}` and `${NAME:-default}`.
fn expanded(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, default, after) =
            match rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
                Some((inner, after)) => match inner.split_once(":-") {
                    Some((name, default)) => (name, default, after),
                    None => (inner, "", after),
                },
                None => {
                    let end = rest
                        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                        .unwrap_or(rest.len());
                    (&rest[..end], "", &rest[end..])
                }
            };
        result.push_str(values.get(name).map_or(default, String::as_str));
        rest = after;
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_names_an_image_counts() {
        let text = "\
ARG REGISTRY=quay.io
ARG BASE=\"${REGISTRY}/a/b:1\"
FROM --platform=linux/amd64 $BASE AS one
from scratch
COPY --from=one /x /x
COPY --from=ghcr.io/c/d /y /y
RUN --mount=type=bind,from=r.example:5000/e,target=/z true
RUN --mount=from=one,target=/q true
FROM alpine
";
        let found = |arguments: &[(&str, &str)]| {
            let arguments =
                arguments.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            registries(text, &arguments).into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(&[]), ["docker.io", "ghcr.io", "quay.io", "r.example:5000"]);
        assert_eq!(
            found(&[("REGISTRY", "x.example")]),
            ["docker.io", "ghcr.io", "r.example:5000", "x.example"]
        );
        assert!(registries("FROM scratch\nCOPY --from=0 a b\n", &BTreeMap::new()).is_empty());
    }
}
