//! Rules about which crate of the workspace may name which.

use super::{Finding, Source};

const CORE: &str = "boxwright-core";
const ENGINE: &str = "boxwright-engine-";
/// The one list of engines.
const LIST: &str = "boxwright-engines";

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let manifests = sources.iter().filter(|source| source.path.ends_with("/Cargo.toml"));
    manifests.flat_map(check_manifest).collect()
}

fn check_manifest(source: &Source) -> Vec<Finding> {
    let Ok(manifest) = toml::from_str::<toml::Table>(&source.text) else { return Vec::new() };
    let Some(package) = manifest.get("package").and_then(|package| package.get("name")) else {
        return Vec::new();
    };
    let package = package.as_str().unwrap_or_default();
    let mut findings = Vec::new();
    for dependency in dependencies(&manifest) {
        let rule = if package == CORE {
            format!("`{CORE}` depends on no crate of the workspace, not on `{dependency}`")
        } else if !dependency.starts_with(ENGINE) {
            continue;
        } else if package.starts_with(ENGINE) {
            format!("engines do not depend on each other, not on `{dependency}`")
        } else if package != LIST {
            format!("only `{LIST}` names engine crates, such as `{dependency}`")
        } else {
            continue;
        };
        findings.push(Finding::in_file(&source.path, rule));
    }
    findings
}

/// Returns the crates of the workspace that a manifest names, in all of its tables of dependencies.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let mut found = Vec::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if key == "dependencies" || key == "build-dependencies" {
            found.extend(table.keys().filter(|name| name.starts_with("boxwright-")).cloned());
        } else if key == "dev-dependencies" {
            // Tests of the contract may use what is made for tests.
            let of_tests = "boxwright-testkit";
            found.extend(
                table
                    .keys()
                    .filter(|name| name.starts_with("boxwright-") && *name != of_tests)
                    .cloned(),
            );
        } else if key == "target" {
            found.extend(table.values().filter_map(toml::Value::as_table).flat_map(dependencies));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Source, check};

    fn rules(package: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{package}\"\n{dependencies}");
        let found = check(&[Source { path: "crates/x/Cargo.toml".to_owned(), text }]);
        found.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn the_contract_stands_alone() {
        let on_image = "[dependencies]\nboxwright-image.workspace = true\n";
        assert_eq!(rules("boxwright-core", on_image).len(), 1);
        assert!(rules("boxwright-cli", on_image).is_empty());
    }

    #[test]
    fn only_the_list_names_engines() {
        let on_docker =
            "[target.'cfg(unix)'.dependencies]\nboxwright-engine-docker.workspace = true\n";
        assert!(rules("boxwright-engines", on_docker).is_empty());
        assert!(rules("boxwright-engine-podman", on_docker)[0].starts_with("engines do not"));
        let dev = "[dev-dependencies]\nboxwright-engine-docker.workspace = true\n";
        assert!(rules("boxwright-conformance", dev)[0].starts_with("only `boxwright-engines`"));
    }
}
