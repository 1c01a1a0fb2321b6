//! What to do when a registry refuses, by which registry it is.

use boxwright_core::{Error, ImageRef};
use reqwest::StatusCode;

/// A registry with rules of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Vendor {
    GitHub,
    DockerHub,
    Ecr,
    EcrPublic,
    Google,
    Azure,
    Quay,
    Other,
}

/// Tells a registry by its host.
fn vendor(host: &str) -> Vendor {
    match host {
        "ghcr.io" => Vendor::GitHub,
        "docker.io" => Vendor::DockerHub,
        "public.ecr.aws" => Vendor::EcrPublic,
        "quay.io" => Vendor::Quay,
        _ if host.contains(".dkr.ecr.") || host.contains(".dkr.ecr-fips.") => Vendor::Ecr,
        _ if host == "gcr.io" || host.ends_with(".gcr.io") => Vendor::Google,
        _ if host.ends_with("-docker.pkg.dev") => Vendor::Google,
        _ if host.ends_with(".azurecr.io") => Vendor::Azure,
        _ => Vendor::Other,
    }
}

/// Adds what lets the image be pulled, if the registry refused with `status`.
pub(crate) fn for_pull(error: Error, image: &ImageRef, status: Option<StatusCode>) -> Error {
    match status {
        Some(StatusCode::TOO_MANY_REQUESTS) => error.with_remedy(limited(image)),
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            error.with_remedy(readable(image))
        }
        Some(StatusCode::NOT_FOUND) => error.with_remedy(missing(image)),
        _ => error,
    }
}

/// Adds what lets the repository be pushed to, if the registry refused with `status`.
pub(crate) fn for_push(error: Error, image: &ImageRef, status: Option<StatusCode>) -> Error {
    match status {
        Some(StatusCode::TOO_MANY_REQUESTS) => error.with_remedy(limited(image)),
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            error.with_remedy(writable(image))
        }
        Some(StatusCode::NOT_FOUND) => error.with_remedy(created(image)),
        _ => error,
    }
}

fn limited(image: &ImageRef) -> String {
    match vendor(image.registry()) {
        Vendor::DockerHub => {
            "log in with `boxwright login docker.io`: anonymous pulls are counted by address and have a lower limit"
                .to_owned()
        }
        _ => "wait, or log in: registries allow more to users they know".to_owned(),
    }
}

fn readable(image: &ImageRef) -> String {
    let (host, repository) = (image.registry(), image.repository());
    let (owner, name) = repository.split_once('/').unwrap_or(("OWNER", repository));
    match vendor(host) {
        Vendor::GitHub => {
            let package = name.replace('/', "%2F");
            format!(
                "packages are private after their first push; make this one public at https://github.com/users/{owner}/packages/container/{package}/settings (of an organisation: https://github.com/orgs/{owner}/packages/container/{package}/settings), or give the cluster a pull secret with a token that has `read:packages`"
            )
        }
        Vendor::DockerHub => format!(
            "make the repository public at https://hub.docker.com/repository/docker/{repository}/settings, or give the cluster a pull secret; an account can make new repositories private by default"
        ),
        Vendor::Ecr => format!(
            "a login lasts 12 hours: {}; a cluster of another account needs `ecr:BatchGetImage` and `ecr:GetDownloadUrlForLayer` in the repository's policy",
            ecr_login(host)
        ),
        Vendor::EcrPublic => {
            "log out with `boxwright logout public.ecr.aws`: an expired token is refused where none is needed".to_owned()
        }
        Vendor::Google => format!(
            "give whoever pulls the role `roles/artifactregistry.reader` on the repository, and log in with `gcloud auth configure-docker {host}`"
        ),
        Vendor::Azure => format!(
            "give whoever pulls the role `AcrPull`, and log in with `az acr login --name {0}`; for everyone: `az acr update --name {0} --anonymous-pull-enabled`",
            registry_name(host)
        ),
        Vendor::Quay => format!(
            "repositories are private at first; make it public at https://quay.io/repository/{repository}?tab=settings, or give the cluster a robot account's pull secret"
        ),
        Vendor::Other => format!(
            "make the repository (on Harbor its project) public, or check with the cluster's pull secret: `--as FILE`; to pull as yourself: `boxwright login {host}`"
        ),
    }
}

fn missing(image: &ImageRef) -> String {
    let (host, repository) = (image.registry(), image.repository());
    match vendor(host) {
        Vendor::Ecr => format!(
            "push it first; `aws ecr describe-repositories --repository-names {repository}{}` tells whether the repository exists",
            region(host)
        ),
        _ => "push it first, or correct the name; a registry may also hide what one may not see"
            .to_owned(),
    }
}

fn writable(image: &ImageRef) -> String {
    let (host, repository) = (image.registry(), image.repository());
    let owner = repository.split('/').next().unwrap_or(repository);
    match vendor(host) {
        Vendor::GitHub => format!(
            "log in with `boxwright login ghcr.io` as a user who may write packages of `{owner}`, with a token that has `write:packages`"
        ),
        Vendor::DockerHub => format!(
            "log in with `boxwright login docker.io` as a member of `{owner}`, with an access token that may write"
        ),
        Vendor::Ecr => format!(
            "a login lasts 12 hours: {}; the user needs `ecr:InitiateLayerUpload`, `ecr:UploadLayerPart`, `ecr:CompleteLayerUpload` and `ecr:PutImage`",
            ecr_login(host)
        ),
        Vendor::EcrPublic => "log in: `aws ecr-public get-login-password --region us-east-1 | boxwright login --username AWS --password-stdin public.ecr.aws`".to_owned(),
        Vendor::Google => format!(
            "log in with `gcloud auth configure-docker {host}` as a user with the role `roles/artifactregistry.writer`"
        ),
        Vendor::Azure => format!(
            "log in with `az acr login --name {}` as a user with the role `AcrPush`",
            registry_name(host)
        ),
        Vendor::Quay | Vendor::Other => format!(
            "log in with `boxwright login {host}` as a user who may push to `{repository}`"
        ),
    }
}

fn created(image: &ImageRef) -> String {
    match creation(image) {
        Some(command) => format!("create the repository: `{}`", command.join(" ")),
        None => {
            "create the repository (on Harbor its project) first, or correct the name".to_owned()
        }
    }
}

/// The vendor's own command that creates the repository of an image, where a push does not.
pub(crate) fn creation(image: &ImageRef) -> Option<Vec<String>> {
    let (host, repository) = (image.registry(), image.repository());
    let command = match vendor(host) {
        Vendor::Ecr => {
            format!("aws ecr create-repository --repository-name {repository}{}", region(host))
        }
        Vendor::Google => {
            let location = host.strip_suffix("-docker.pkg.dev")?;
            let mut parts = repository.split('/');
            let (project, name) = (parts.next()?, parts.next()?);
            format!(
                "gcloud artifacts repositories create {name} --repository-format=docker --location={location} --project={project}"
            )
        }
        _ => return None,
    };
    // No part of a name has a space in it.
    Some(command.split(' ').map(str::to_owned).collect())
}

fn ecr_login(host: &str) -> String {
    format!(
        "`aws ecr get-login-password{} | boxwright login --username AWS --password-stdin {host}`",
        region(host)
    )
}

/// The region that an ECR host names, as an option.
fn region(host: &str) -> String {
    let region = host.split(".dkr.ecr").nth(1).and_then(|rest| rest.split('.').nth(1));
    region.map(|region| format!(" --region {region}")).unwrap_or_default()
}

fn registry_name(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ErrorKind;

    fn remedy(
        advice: fn(Error, &ImageRef, Option<StatusCode>) -> Error,
        image: &str,
        status: u16,
    ) -> String {
        let error = Error::new(ErrorKind::Unauthorized, "x");
        let status = StatusCode::from_u16(status).unwrap();
        let advised = advice(error, &image.parse().unwrap(), Some(status));
        advised.remedy().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_registry_has_its_own_way_to_be_readable() {
        for (image, says) in [
            (
                "ghcr.io/acme/team/api:1",
                "github.com/users/acme/packages/container/team%2Fapi/settings",
            ),
            ("acme/api:1", "hub.docker.com/repository/docker/acme/api/settings"),
            ("1.dkr.ecr.eu-west-1.amazonaws.com/api:1", "get-login-password --region eu-west-1 |"),
            ("public.ecr.aws/x/api:1", "boxwright logout public.ecr.aws"),
            ("europe-docker.pkg.dev/p/r/api:1", "roles/artifactregistry.reader"),
            ("acme.azurecr.io/api:1", "az acr update --name acme --anonymous-pull-enabled"),
            ("quay.io/acme/api:1", "quay.io/repository/acme/api?tab=settings"),
            ("registry.example/acme/api:1", "boxwright login registry.example"),
        ] {
            let remedy = remedy(for_pull, image, 403);
            assert!(remedy.contains(says), "{image}: {remedy}");
        }
    }

    #[test]
    fn a_missing_repository_is_created_by_the_vendors_own_command() {
        let ecr = remedy(for_push, "1.dkr.ecr.us-east-2.amazonaws.com/team/api:1", 404);
        assert!(
            ecr.contains("aws ecr create-repository --repository-name team/api --region us-east-2"),
            "{ecr}"
        );
        let google = remedy(for_push, "europe-west4-docker.pkg.dev/proj/repo/api:1", 404);
        assert!(google.contains("repositories create repo --repository-format=docker --location=europe-west4 --project=proj"), "{google}");
    }

    #[test]
    fn a_limit_is_no_question_of_rights() {
        assert!(remedy(for_pull, "acme/api:1", 429).contains("boxwright login docker.io"));
        assert_eq!(remedy(for_pull, "acme/api:1", 500), "");
    }
}
