//! The commands of the guides are commands of this program.

use std::path::Path;

use clap::Parser as _;

use super::Cli;

/// Splits a line of a shell into the words of each `boxwright` that it runs.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" # ").next().unwrap_or(line);
    let parts = line.split(" | ").filter(|part| part.starts_with("boxwright "));
    let words = parts.map(|part| {
        let part = part.split(" < ").next().unwrap_or(part);
        let part = part.split(" > ").next().unwrap_or(part);
        part.split_whitespace().map(|word| word.replace('\'', "")).collect()
    });
    words.collect()
}

#[test]
fn every_command_of_the_guides_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("$ "));
        for words in lines.flat_map(commands) {
            seen += 1;
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{}: {}\n{error}", path.display(), words.join(" "));
            }
        }
    }
    assert!(seen > 25, "{seen}");
}
