//! `docs/reference/cli.md`: what the program says of itself when it is asked for help.

use std::path::Path;

use super::MADE;
use crate::problem::Result;
use crate::program::Program;

/// Asks the program and every subcommand, and puts the answers on one page.
pub(super) fn page(boxwright: &Path) -> Result<String> {
    let mut page = format!("{MADE}# Command line\n");
    add(boxwright, &[], &mut page)?;
    Ok(page)
}

fn add(boxwright: &Path, subcommand: &[String], page: &mut String) -> Result<()> {
    let help = Program::without_environment(boxwright).args(subcommand).arg("--help").text()?;
    let mut words = vec!["boxwright".to_owned()];
    words.extend_from_slice(subcommand);
    page.push_str(&format!("\n## `{}`\n\n```text\n{}\n```\n", words.join(" "), trimmed(&help)));
    for name in subcommands(&help) {
        let mut inner = subcommand.to_vec();
        inner.push(name);
        add(boxwright, &inner, page)?;
    }
    Ok(())
}

/// Reads the names below `Commands:`, without `help`.
fn subcommands(help: &str) -> Vec<String> {
    let after = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = after.take_while(|line| !line.is_empty());
    // A name stands two columns in, the rest of a description further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn trimmed(help: &str) -> String {
    help.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::subcommands;

    #[test]
    fn subcommands_are_read_from_help() {
        let help = "About\n\nUsage: x <COMMAND>\n\nCommands:\n  build    Build\n           more\n  \
                    engines  Show\n  help     Print\n\nOptions:\n  -h, --help\n";
        assert_eq!(subcommands(help), ["build", "engines"]);
        assert_eq!(subcommands("Usage: x\n"), [""; 0]);
    }
}
