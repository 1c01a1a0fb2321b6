//! Attacks and faults: each number of `docs/reference/threats.md` has a test that bears it, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Source};

const LIST: &str = "docs/reference/threats.md";
const MARK: &str = "_threat_";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(list) = sources.iter().find(|source| source.path == LIST) else { return Vec::new() };
    let listed: BTreeSet<u32> = list.text.lines().filter_map(number_of_row).collect();
    let mut tested = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".rs")) {
        for (line, number) in numbers(&source.text) {
            tested.entry(number).or_insert_with(|| (source.path.clone(), line));
        }
    }
    let untested = listed.iter().filter(|number| !tested.contains_key(number));
    let untested =
        untested.map(|number| Finding::in_file(LIST, format!("no test bears the number {number}")));
    let unlisted = tested.iter().filter(|(number, _)| !listed.contains(number));
    let unlisted = unlisted.map(|(number, (path, line))| {
        Finding::at(path, *line, format!("attack {number} is not in `{LIST}`"))
    });
    untested.chain(unlisted).collect()
}

/// Returns the number of a row of a table: `| 4 | ... |`.
fn number_of_row(line: &str) -> Option<u32> {
    line.strip_prefix("| ")?.split_once(" |")?.0.parse().ok()
}

/// Returns the numbers in names of tests with their lines. A name is that of a function, or text in quotes.
fn numbers(text: &str) -> impl Iterator<Item = (usize, u32)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        line.match_indices(MARK).filter_map(move |(start, _)| {
            let rest = &line[start + MARK.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let is_name = rest[end..].starts_with(['(', '"']);
            Some((index + 1, rest[..end].parse().ok().filter(|_| is_name)?))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn every_number_has_a_test_and_every_test_a_row() {
        let list = source(LIST, "| number | attack |\n| --- | --- |\n| 1 | a |\n| 2 | b |\n");
        let name = |words: &str, number: u32| format!("{words}{MARK}{number}");
        let text = format!("fn {}() {{\n(\"{}\", x),\n", name("names", 1), name("a_link", 30));
        let found = check(&[list, source("a.rs", &text)]);
        let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                format!("{LIST}: no test bears the number 2"),
                format!("a.rs:2: attack 30 is not in `{LIST}`")
            ]
        );
        assert!(check(&[source("a.rs", &text)]).is_empty());
    }
}
