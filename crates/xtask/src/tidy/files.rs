//! Rules about the text of one file.

use super::{Finding, Source};

/// The most lines a source file may have.
const MOST_LINES: usize = 1000;

/// Where printing is allowed: the program's renderers, the conformance report, and the workspace's own commands.
const PRINTING: &[&str] = &[
    "crates/cli/src/render/",
    "crates/xtask/src/console.rs",
    "conformance-tests/src/report/",
    "conformance-tests/main.rs",
];

/// The one crate that makes system calls without a safe wrapper.
const UNSAFE: &str = "crates/worker/";

pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.ends_with(".rs") {
        findings.extend(check_rust(source));
    }
    if source.path.ends_with("Cargo.toml") {
        findings.extend(check_manifest(source));
    }
    // What upstreams published, and the lock file, are not ours to word.
    if !source.path.ends_with("Cargo.lock") && !is_foreign(&source.path) {
        findings.extend(check_words(source));
    }
    findings
}

fn check_rust(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Source { path, text } = source;
    let lines = text.lines().count();
    if lines > MOST_LINES {
        let rule = format!("{lines} lines, at most {MOST_LINES}: split it by subject");
        findings.push(Finding::in_file(path, rule));
    }
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // An engine's README is its crate's documentation.
    if !first.starts_with("//!") && !first.starts_with("#![doc = include_str!(") {
        findings.push(Finding::at(path, 1, "a module opens with `//!`"));
    }
    // Written in parts, so that this file keeps its own rule.
    let exception = ["(unsafe", "_code"].concat();
    for (number, line) in text.lines().enumerate() {
        if line.contains(&exception) && !path.starts_with(UNSAFE) {
            let rule = format!("only `{UNSAFE}` has unsafe code");
            findings.push(Finding::at(path, number + 1, rule));
        }
    }
    // A build script speaks with cargo by printing.
    if PRINTING.iter().any(|allowed| path.starts_with(allowed)) || path.ends_with("/build.rs") {
        return findings;
    }
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let prints = ["println!(", "print!(", "eprintln!(", "eprint!("];
        if !code.starts_with("//") && prints.iter().any(|macro_name| has_word(code, macro_name)) {
            let rule = "only the renderers print: return it, or send an event";
            findings.push(Finding::at(path, number + 1, rule));
        }
    }
    findings
}

fn check_manifest(source: &Source) -> Vec<Finding> {
    let Source { path, text } = source;
    let Ok(manifest) = toml::from_str::<toml::Table>(text) else {
        return vec![Finding::in_file(path, "not a TOML file")];
    };
    if !manifest.contains_key("package") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        findings.push(Finding::in_file(path, "needs `lints.workspace = true`"));
    }
    let name = manifest["package"].get("name").and_then(toml::Value::as_str).unwrap_or_default();
    if let Some(expected) = expected_name(path).filter(|expected| expected != name) {
        let rule = format!("the package is called `{expected}` after its path, not `{name}`");
        findings.push(Finding::in_file(path, rule));
    }
    findings
}

/// Returns the name that a package in this place has.
fn expected_name(manifest: &str) -> Option<String> {
    let folder = manifest.strip_suffix("/Cargo.toml")?;
    if let Some(name) = folder.strip_prefix("crates/") {
        return Some(format!("boxwright-{name}"));
    }
    folder.strip_prefix("engines/").map(|name| format!("boxwright-engine-{name}"))
}

/// Hosts that hold packages, and folders of one machine: neither belongs into a file that everyone shares.
fn check_words(source: &Source) -> Vec<Finding> {
    // Written in parts, so that this file keeps its own rule.
    let hosts = [
        ("pypi", ".org"),
        ("files.python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("index.crates", ".io"),
        ("static.crates", ".io"),
        ("deb.debian", ".org"),
        ("security.debian", ".org"),
        ("snapshot.debian", ".org"),
        ("proxy.golang", ".org"),
    ];
    let folders =
        [("/work", "/main"), ("/work", "/shared"), ("/root", "/.cargo"), ("/home", "/runner")];
    let mut findings = Vec::new();
    for (number, line) in source.text.lines().enumerate() {
        for (kind, words) in
            [("a package registry's host", &hosts[..]), ("a path of one machine", &folders)]
        {
            for (start, end) in words {
                let word = format!("{start}{end}");
                if line.contains(&word) {
                    findings.push(Finding::at(
                        &source.path,
                        number + 1,
                        format!("{kind}: `{word}`"),
                    ));
                }
            }
        }
    }
    findings
}

/// Returns whether others wrote the file: what was captured or taken over from them is kept as it was.
fn is_foreign(path: &str) -> bool {
    let folders = ["/tests/recorded/", "/corpus/", "/fixtures/"];
    !path.ends_with(".rs") && folders.iter().any(|folder| path.contains(folder))
}

fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '"' || c == '`')
    })
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    fn findings(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check(&source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_module_opens_with_its_subject_and_ends_in_time() {
        assert_eq!(findings("crates/x/src/a.rs", "//! A.\n"), [""; 0]);
        assert_eq!(
            findings("crates/x/src/a.rs", "use a;\n"),
            ["crates/x/src/a.rs:1: a module opens with `//!`"]
        );
        let readme = "#![doc = include_str!(\"../README.md\")]\n";
        assert_eq!(findings("engines/x/src/lib.rs", readme), [""; 0]);
        let long = format!("//! A.\n{}", "\n".repeat(1000));
        assert_eq!(findings("crates/x/src/a.rs", &long).len(), 1);
    }

    #[test]
    fn only_renderers_print() {
        let text = ["//! A.\nfn a() {\n    print", "ln!(1);\n}\n"].concat();
        assert_eq!(findings("crates/cli/src/render/a.rs", &text), [""; 0]);
        assert!(
            findings("crates/cli/src/a.rs", &text)[0].starts_with("crates/cli/src/a.rs:3: only")
        );
        let comment = ["//! A.\n// print", "ln!(1)\n"].concat();
        assert_eq!(findings("crates/x/src/a.rs", &comment), [""; 0]);
    }

    #[test]
    fn one_crate_alone_has_unsafe_code() {
        let text = ["//! A.\n#![expect(unsafe", "_code, reason = \"a\")]\n"].concat();
        assert_eq!(findings("crates/worker/src/a.rs", &text), [""; 0]);
        assert_eq!(
            findings("crates/x/src/a.rs", &text),
            ["crates/x/src/a.rs:2: only `crates/worker/` has unsafe code"]
        );
    }

    #[test]
    fn a_manifest_has_the_workspaces_lints_and_its_paths_name() {
        let good = "[package]\nname = \"boxwright-x\"\n[lints]\nworkspace = true\n";
        assert_eq!(findings("crates/x/Cargo.toml", good), [""; 0]);
        let bad = "[package]\nname = \"x\"\n";
        assert_eq!(findings("engines/x/Cargo.toml", bad).len(), 2);
    }

    #[test]
    fn hosts_of_packages_and_paths_of_a_machine_are_found() {
        let host = ["see https://pypi", ".org/x"].concat();
        let found = findings("docs/a.md", &format!("one\n{host}\n"));
        assert!(found[0].starts_with("docs/a.md:2: a package registry's host"), "{found:?}");
        let path = ["/work", "/main/x"].concat();
        assert_eq!(findings("README.md", &path).len(), 1);
    }
}
