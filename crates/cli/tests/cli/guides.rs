//! The guides about registries, followed command by command as a new user would.
//!
//! Every line that a guide shows after `$` is run by a shell as it stands, and so is every command in its tables. The
//! registries have their real names: a proxy in this process hands the connections to a registry here. Only
//! `linux/amd64` is this machine's platform, and the port of the loopback registry is one that is free.

use std::path::Path;

use boxwright_core::Platform;
use boxwright_testkit::FakeRegistry;

use super::vendor::{AMAZON, ECR, GOOGLE, Vendor, World};

/// A part of a guide that is followed from its beginning to its end.
struct Part {
    guide: &'static str,
    /// The heading, or nothing for all of the guide.
    heading: &'static str,
    vendor: Vendor,
    /// What is told who may not pull before the image was made readable.
    refused: &'static str,
}

const GITHUB: Vendor = Vendor { host: "ghcr.io", hosts: &["ghcr.io"], user: "USER", creates: true };

const PARTS: [Part; 8] = [
    Part {
        guide: "registries.md",
        heading: "GitHub (`ghcr.io`)",
        vendor: GITHUB,
        refused: "https://github.com/users/acme/packages/container/api/settings",
    },
    Part {
        guide: "registries.md",
        heading: "Docker Hub (`docker.io`)",
        vendor: Vendor {
            host: "docker.io",
            hosts: &["docker.io", "registry-1.docker.io"],
            user: "USER",
            creates: true,
        },
        refused: "https://hub.docker.com/repository/docker/acme/api/settings",
    },
    Part { guide: "registries.md", heading: "Amazon ECR", vendor: AMAZON, refused: "" },
    Part {
        guide: "registries.md",
        heading: "Google Artifact Registry",
        vendor: GOOGLE,
        refused: "",
    },
    Part {
        guide: "registries.md",
        heading: "Azure Container Registry",
        vendor: Vendor {
            host: "acme.azurecr.io",
            hosts: &["acme.azurecr.io"],
            user: "00000000-0000-0000-0000-000000000000",
            creates: true,
        },
        refused: "",
    },
    Part {
        guide: "registries.md",
        heading: "Harbor",
        vendor: Vendor {
            host: "harbor.example",
            hosts: &["harbor.example"],
            user: "robot$ci",
            creates: true,
        },
        refused: "(on Harbor its project) public",
    },
    Part { guide: "check-before-deploy.md", heading: "", vendor: GITHUB, refused: "settings" },
    Part { guide: "push.md", heading: "", vendor: GITHUB, refused: "" },
];

/// The part about a registry that nobody logs in to.
const LOOPBACK: &str = "A registry on this machine: kind, k3d, Flyte's demo cluster";

#[test]
fn every_part_of_these_guides_with_commands_is_followed() {
    let parts = sections("registries.md");
    let with_commands = parts.iter().filter(|(_, text)| !commands(text).is_empty());
    for (heading, _) in with_commands {
        let is_followed = PARTS.iter().any(|it| it.heading == heading) || heading == LOOPBACK;
        assert!(is_followed, "nobody follows `{heading}` of registries.md");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_guides_lead_to_an_image_that_the_cluster_can_pull() {
    for part in PARTS {
        let world = World::start(part.vendor).await;
        world.install_all();
        let text = text_of(&part);
        if part.heading == "Harbor" {
            // The authority is given as the guide says.
            let settings = block(&text, "toml");
            let ca = world.home.path("ca.pem").display().to_string();
            let settings = settings.replace("/etc/ssl/private-ca.pem", &ca);
            std::fs::write(world.home.path(".config/boxwright/config.toml"), settings).unwrap();
        }
        prepare(&part, &world);
        let commands = commands(&text);
        assert!(commands.len() > 1, "{} has no commands", part.guide);
        for command in commands {
            let command = command.replace("linux/amd64", &Platform::of_this_machine().to_string());
            if command.contains("--as anonymous") || command.contains("--check-as anonymous") {
                refused_once(&part, &world, &command);
            }
            let run = world.run(&command);
            assert_eq!(run.code, 0, "{}, {}: {command}\n{run}", part.guide, part.heading);
        }
        let repository = match part.vendor.host {
            ECR => "team/api",
            "europe-docker.pkg.dev" => "project/repository/api",
            "acme.azurecr.io" => "api",
            _ => "acme/api",
        };
        assert!(world.registry.manifest(repository, "1.4").is_some(), "{}", part.heading);
    }
}

/// What a guide takes for done already: a cluster's pull secret, and for the guide about checks a push.
fn prepare(part: &Part, world: &World) {
    let user = part.vendor.user;
    let secret = format!(
        "{{\"auths\": {{\"{}\": {{\"username\": \"{user}\", \"password\": \"s3cret\"}}}}}}",
        part.vendor.host
    );
    std::fs::write(world.home.path("project/pull-secret.json"), &secret).unwrap();
    if part.guide == "check-before-deploy.md" {
        let kubectl = format!("printf '%s' '{secret}' | base64");
        world.install("kubectl", &kubectl);
        let push = "boxwright login ghcr.io -u USER --password-stdin < token && boxwright build . -t ghcr.io/acme/api:1.4 --push";
        assert_eq!(world.run(push).code, 0);
    }
}

/// Before everyone may read, the command fails and says what to do, which is then done.
fn refused_once(part: &Part, world: &World, command: &str) {
    let run = world.run(command);
    // A guide may have made it public some commands before.
    if run.code != 0 {
        assert_eq!(run.code, 1, "{command}\n{run}");
        assert!(!part.refused.is_empty() && run.stderr.contains(part.refused), "{command}\n{run}");
        world.registry.make_public();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_registry_on_this_machine_takes_an_image_without_a_login() {
    let registry = FakeRegistry::open().await.unwrap();
    let world = World::start(GITHUB).await;
    let part = Part { guide: "registries.md", heading: LOOPBACK, vendor: GITHUB, refused: "" };
    for command in commands(&text_of(&part)) {
        let run = world.run(&command.replace("localhost:30000", &registry.host()));
        assert_eq!(run.code, 0, "{command}\n{run}");
        assert!(run.stdout.contains("/api@sha256:"), "{command}\n{run}");
    }
}

/// The helper is named as the guide says, and nobody logs in. Where Debian's package is installed it is the real one:
/// it does not honour `AWS_ENDPOINT_URL`, so it is led to the service here as a proxy would.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn amazons_credential_helper_needs_no_login() {
    let world = World::start(AMAZON).await;
    world.install_all();
    let part = &PARTS[2];
    let text = text_of(part);
    let named = text.split('`').find(|it| it.starts_with("\"credHelpers\"")).unwrap();
    std::fs::create_dir_all(world.home.path(".docker")).unwrap();
    let path = world.home.path(".docker/config.json");
    std::fs::write(path, format!("{{{named}}}")).unwrap();
    for command in commands(&text).iter().filter(|it| !it.contains(" login ")) {
        let command = command.replace(" --as helper:ecr-login", "");
        let run = world.run(&command);
        assert_eq!(run.code, 0, "{command}\n{run}");
    }
    assert!(!world.said().contains("get-login-password"), "{}", world.said());
    // Without an account's keys the helper has no password, and the push is refused with what to do.
    let check = format!(
        "unset AWS_ACCESS_KEY_ID; rm -rf ~/.ecr; boxwright check {ECR}/team/api:1.4 --push"
    );
    let run = world.run(&check);
    assert_eq!(run.code, 1, "{run}");
    assert!(run.stderr.contains("get-login-password --region eu-west-1"), "{run}");
}

fn guide(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The headings of a guide, and what stands below each.
fn sections(name: &str) -> Vec<(String, String)> {
    let text = guide(name);
    let parts = text.split("\n## ").skip(1).map(|part| part.split_once('\n').unwrap());
    parts.map(|(heading, text)| (heading.to_owned(), text.to_owned())).collect()
}

fn text_of(part: &Part) -> String {
    if part.heading.is_empty() {
        return guide(part.guide);
    }
    let found = sections(part.guide).into_iter().find(|(heading, _)| heading == part.heading);
    found.unwrap_or_else(|| panic!("{} has no part `{}`", part.guide, part.heading)).1
}

/// The commands of a text, in order: after `$`, and in the cells of tables, but for those with a name to fill in.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push(command.to_owned());
        } else if line.starts_with('|') {
            let cells = line.split('`').filter(|it| it.starts_with("boxwright "));
            found.extend(cells.filter(|it| !it.contains("HOST")).map(str::to_owned));
        }
    }
    found
}

/// The first block of a language.
fn block(text: &str, language: &str) -> String {
    let (_, rest) = text.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}
