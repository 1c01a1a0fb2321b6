//! `cargo xtask tidy`: the rules of the style guide that a program can check.

mod dependencies;
mod files;
mod links;
mod threats;

use std::fmt;
use std::path::Path;

use crate::console::say;
use crate::problem::{Problem, Result};
use crate::workspace;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    line: Option<usize>,
    rule: String,
}

impl Finding {
    fn in_file(path: &str, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, rule: rule.into() }
    }

    fn at(path: &str, line: usize, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), rule: rule.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.rule),
            None => write!(f, "{}: {}", self.path, self.rule),
        }
    }
}

/// A tracked text file.
#[derive(Debug)]
struct Source {
    /// Relative to the workspace.
    path: String,
    text: String,
}

/// Runs `cargo xtask tidy`.
pub(crate) fn run() -> Result<()> {
    let root = workspace::root();
    let paths = workspace::tracked_files()?;
    let sources = read(&root, &paths);
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(files::check(source));
        findings.extend(links::check(source, &root));
    }
    findings.extend(dependencies::check(&sources));
    findings.extend(threats::check(&sources));
    for finding in &findings {
        say(finding.to_string());
    }
    match findings.len() {
        0 => {
            say(format!("tidy: {} files keep the rules", sources.len()));
            Ok(())
        }
        count => Err(Problem::new(format!("{count} places break a rule of the style guide"))),
    }
}

/// Reads the files that are text; one that is deleted and not yet committed is left out.
fn read(root: &Path, paths: &[String]) -> Vec<Source> {
    let read = |path: &String| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(Source { path: path.clone(), text })
    };
    paths.iter().filter_map(read).collect()
}
