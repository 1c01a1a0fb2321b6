//! Links in Markdown files: what they point to in the workspace is there.

use std::path::Path;

use super::{Finding, Source};

pub(super) fn check(source: &Source, root: &Path) -> Vec<Finding> {
    if !source.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = root.join(&source.path);
    let folder = folder.parent().unwrap_or(root);
    let mut findings = Vec::new();
    for (line, target) in links(&source.text) {
        let file = target.split(['#', '?']).next().unwrap_or_default();
        if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let path = match file.strip_prefix('/') {
            Some(from_root) => root.join(from_root),
            None => folder.join(file),
        };
        if !path.exists() {
            let rule = format!("the link to `{target}` leads nowhere");
            findings.push(Finding::at(&source.path, line, rule));
        }
    }
    findings
}

/// Returns the targets of `[text](target)` and `[name]: target` with their lines, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every other part between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (start, _) in prose.match_indices("](") {
            if let Some((target, _)) = prose[start + 2..].split_once(')') {
                let target = target.split_whitespace().next().unwrap_or_default();
                found.push((number + 1, target.trim_matches(['<', '>']).to_owned()));
            }
        }
        let definition = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
        if let Some((_, target)) = definition.filter(|(name, _)| !name.starts_with('^')) {
            found.push((number + 1, target.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Source, check, links};

    #[test]
    fn links_in_prose_are_found_and_code_is_not() {
        let text = "See [a](a.md#x \"title\") and `[b](b.md)`.\n```\n[c](c.md)\n```\n[d]: d.md\n";
        let expected = [(1, "a.md#x".to_owned()), (5, "d.md".to_owned())];
        assert_eq!(links(text), expected);
    }

    #[test]
    fn a_link_to_a_missing_file_is_a_finding() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("docs")).unwrap();
        std::fs::write(root.path().join("docs/there.md"), "").unwrap();
        let text = "[a](there.md#part) [b](missing.md) [c](https://example.com) [d](/docs/there.md) [e](#x)";
        let source = Source { path: "docs/index.md".to_owned(), text: text.to_owned() };
        let found = check(&source, root.path());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].rule.contains("missing.md"));
    }
}
