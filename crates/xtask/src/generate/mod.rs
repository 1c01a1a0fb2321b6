//! `cargo xtask generate`: the parts of the documentation that are made from the program and from a conformance report.

mod command_line;
mod corpora;
mod matrix;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::console::say;
use crate::problem::{Explain, Problem, Result};
use crate::workspace;

/// What to generate.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Change nothing; fail if a file is not what would be generated
    #[arg(long)]
    check: bool,
    /// A report of the conformance suite, for the engine matrix and the table in the README; without one they stay
    /// as they are, or are taken from the last `cargo xtask test`
    #[arg(long)]
    report: Option<PathBuf>,
    /// A report of the suite as an ordinary user, whose columns stand beside those of `--report`; else as for that
    #[arg(long)]
    ordinary_user: Option<PathBuf>,
    /// A report of the corpora, for their table; else as for `--report`
    #[arg(long)]
    corpora: Option<PathBuf>,
}

/// One generated file.
#[derive(Debug)]
struct Page {
    /// Relative to the workspace.
    path: &'static str,
    text: String,
}

/// Says in a page where it comes from.
const MADE: &str = "<!-- Made by `cargo xtask generate`; do not edit. -->\n\n";

/// Runs `cargo xtask generate`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let boxwright = workspace::build("boxwright-cli", "boxwright", &[])?;
    let mut pages = vec![
        Page { path: "docs/reference/cli.md", text: command_line::page(&boxwright)? },
        Page { path: "docs/reference/config.md", text: settings::page(&boxwright)? },
    ];
    if let Some(report) = last(options, &options.report, "conformance/report.json") {
        let mut report = matrix::Report::read(&report)?;
        let beside = last(options, &options.ordinary_user, "conformance/ordinary-user.json");
        if let Some(beside) = beside {
            report.join(matrix::Report::read(&beside)?);
        }
        let path = "docs/reference/engine-matrix.md";
        pages.push(Page { path, text: report.page() });
        pages.push(Page { path: "README.md", text: readme(&report)? });
    }
    if let Some(report) =
        last(options, &options.corpora, "conformance/corpora/embedded/report.json")
    {
        let text = corpora::Report::read(&report)?.page();
        pages.push(Page { path: "docs/reference/corpora.md", text });
    }
    let mut stale = Vec::new();
    for Page { path, text } in pages {
        let file = workspace::root().join(path);
        if fs::read_to_string(&file).is_ok_and(|old| old == text) {
            continue;
        }
        stale.push(path);
        if !options.check {
            write(&file, &text)?;
            say(format!("wrote {path}"));
        }
    }
    if options.check && !stale.is_empty() {
        return Err(Problem::new(format!("not current: {}", stale.join(", ")))
            .help("run `cargo xtask generate` and commit what it changes"));
    }
    Ok(())
}

/// Returns the report to use: the one that is named, or the last one. A check uses one only if it is named: which
/// versions of engines a machine has is no property of the checkout.
fn last(options: &Options, named: &Option<PathBuf>, path: &str) -> Option<PathBuf> {
    let last = workspace::target().join(path);
    named.clone().or_else(|| (!options.check && last.exists()).then_some(last))
}

fn readme(report: &matrix::Report) -> Result<String> {
    let path = workspace::root().join("README.md");
    let text = fs::read_to_string(&path).explain(|| format!("cannot read `{}`", path.display()))?;
    replace_part(&text, "engines", &report.table())
        .ok_or_else(|| Problem::new("README.md has no place for the table of engines"))
}

/// Replaces what stands between `<!-- NAME: … -->` and `<!-- /NAME -->`.
fn replace_part(text: &str, name: &str, part: &str) -> Option<String> {
    let start = text.find(&format!("<!-- {name}: "))?;
    let start = start + text[start..].find("-->\n")? + "-->\n".len();
    let end = start + text[start..].find(&format!("<!-- /{name} -->"))?;
    Some(format!("{}{}\n{}", &text[..start], part.trim_end(), &text[end..]))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, text)
    };
    write().explain(|| format!("cannot write `{}`", path.display()))
}

/// Makes one line of `text` that a cell of a table can hold.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::{cell, replace_part};

    #[test]
    fn only_the_named_part_is_replaced() {
        let text = "a\n<!-- x: generated -->\nold\n<!-- /x -->\nb\n";
        let expected = "a\n<!-- x: generated -->\nnew\n<!-- /x -->\nb\n";
        assert_eq!(replace_part(text, "x", "new\n").as_deref(), Some(expected));
        assert_eq!(replace_part(expected, "x", "new").as_deref(), Some(expected));
        assert_eq!(replace_part(text, "y", "new"), None);
    }

    #[test]
    fn a_cell_is_one_line_without_bars() {
        assert_eq!(cell("a\n  b | c"), "a b \\| c");
    }
}
