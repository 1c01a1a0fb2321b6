//! Whether other clients accept what the embedded engine pushes: `skopeo`, and `docker pull` where Docker is up.

use std::time::Instant;

use serde_json::Value;

use super::{Count, Phase};
use crate::console::say;
use crate::environment::Environment;
use crate::packages::{self, Need};
use crate::problem::{Explain as _, Problem, Result};
use crate::program::Program;
use crate::workspace;

const NAME: &str = "other clients";

/// Pushes an image for each format, and lets the others read it.
pub(super) fn run(environment: &Environment) -> Result<Phase> {
    say(format!("== {NAME}: skopeo and docker read what the embedded engine pushes"));
    let start = Instant::now();
    let need = |program: &str| vec![program.to_owned()];
    packages::ensure(&[Need { programs: &need("skopeo"), packages: &need("skopeo") }])?;
    let mut count = Count::default();
    for format in ["oci", "docker"] {
        match accepted(environment, format) {
            Ok(()) => count.passed += 1,
            Err(problem) => {
                say(format!("{format}: {problem}"));
                count.failed += 1;
            }
        }
    }
    let succeeded = count.failed == 0;
    Ok(Phase { name: NAME, time: start.elapsed(), succeeded, count: Some(count) })
}

fn accepted(environment: &Environment, format: &str) -> Result<()> {
    let registry = environment.variables.get("BOXWRIGHT_TEST_REGISTRY_OPEN");
    let registry = registry.ok_or_else(|| Problem::new("the environment has no registry"))?;
    let image = format!("{registry}/clients/{format}:1");
    let here = tempfile::tempdir().explain(|| "cannot make a folder".to_owned())?;
    let write = |name: &str, text: &str| {
        let path = here.path().join(name);
        std::fs::write(&path, text).explain(|| format!("cannot write `{}`", path.display()))
    };
    write("Dockerfile", "FROM scratch\nCOPY file /\nCOPY --link file /again/\nCMD [\"/file\"]\n")?;
    write("file", "content\n")?;
    let boxwright = workspace::build("boxwright-cli", "boxwright", &[])?;
    let build = Program::new(boxwright)
        .args(["build", "--engine", "embedded", "--push", "--format", format, "-t", &image, "."])
        .in_folder(here.path());
    // A store of its own, so that nothing of another test is in the way.
    let build = environment.point(build).variable("BOXWRIGHT_STORE", here.path().join("store"));
    let pushed = build.text()?;
    let digest = pushed.trim().rsplit('@').next().unwrap_or_default().to_owned();

    let remote = format!("docker://{image}");
    let inspect =
        Program::new("skopeo").args(["inspect", "--tls-verify=false", &remote]).output()?;
    let seen: Value =
        serde_json::from_slice(&inspect).explain(|| "cannot read what skopeo wrote".to_owned())?;
    let layers = seen["Layers"].as_array().map(Vec::len);
    if seen["Digest"].as_str() != Some(&digest) || layers != Some(2) {
        return Err(Problem::new(format!("skopeo sees another image than `{digest}`"))
            .cause(seen.to_string()));
    }
    // This reads and checks every blob.
    let copy = format!("dir:{}", here.path().join("copy").display());
    Program::new("skopeo")
        .args(["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", &remote, &copy])
        .run_or_fail()?;
    if !environment.variables.contains_key("DOCKER_HOST") {
        return Ok(());
    }
    let docker = |arguments: &[&str]| environment.point(Program::new("docker").args(arguments));
    docker(&["pull", "--quiet", &image]).text()?;
    let config = ["image", "inspect", "--format", "{{.RepoDigests}} {{.Config.Cmd}}", &image];
    let found = docker(&config).text()?;
    docker(&["image", "rm", &image]).text()?;
    if !found.contains(&digest) || !found.contains("/file") {
        return Err(
            Problem::new(format!("docker pulled another image than `{digest}`")).cause(found)
        );
    }
    Ok(())
}
