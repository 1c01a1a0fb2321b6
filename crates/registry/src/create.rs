//! Creates repositories where a push does not: by the vendor's own program, which knows who the user is there.

use std::time::Duration;

use boxwright_core::{Error, ErrorKind, Host, ImageRef, Result};

use crate::advice;

/// Such a program asks a server far away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Creates the repository of `image`, by `aws` on Amazon ECR and `gcloud` on Google Artifact Registry. One that is there
/// already is no error.
///
/// # Errors
///
/// [`ErrorKind::Unsupported`] for another registry; [`ErrorKind::NotFound`] when the program is not installed;
/// [`ErrorKind::Unauthorized`] when it failed, with its own words.
pub async fn create_repository(host: &Host, image: &ImageRef) -> Result<()> {
    let cannot =
        |kind| Error::new(kind, format!("cannot create the repository `{}`", image.name()));
    let Some(command) = advice::creation(image) else {
        return Err(cannot(ErrorKind::Unsupported)
            .with_cause(format!(
                "`{}` is neither Amazon ECR nor Google Artifact Registry",
                image.registry()
            ))
            .with_remedy("leave `--create-repository` out, and create it as that registry wants"));
    };
    let shown = command.join(" ");
    let (name, arguments) = command.split_first().ok_or_else(|| cannot(ErrorKind::Bug))?;
    let program = host.program(name).map_err(|error| {
        cannot(ErrorKind::NotFound)
            .with_source(error)
            .with_remedy(format!("install `{name}`, or create it elsewhere: `{shown}`"))
    })?;
    let output = program.arguments(arguments).output(&[], PATIENCE).await?;
    if output.succeeded() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    // Somebody was faster, such as another build of the same repository.
    if ["RepositoryAlreadyExistsException", "ALREADY_EXISTS"].iter().any(|it| words.contains(it)) {
        return Ok(());
    }
    let words =
        words.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(cannot(ErrorKind::Unauthorized)
        .with_cause(format!("`{name}` failed: {words}"))
        .with_remedy(format!("run it yourself to see more: `{shown}`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const ECR: &str = "1.dkr.ecr.eu-west-1.amazonaws.com/team/api:1";

    /// A machine whose `aws` and `gcloud` write their arguments down, and end with `code`.
    fn machine(folder: &std::path::Path, code: u8) -> Host {
        for name in ["aws", "gcloud"] {
            let path = folder.join(name);
            let text = format!(
                "#!/bin/sh\necho \"$@\" > {}/said\necho 'AccessDenied' >&2\nexit {code}\n",
                folder.display()
            );
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Host::with_variables(folder, [("PATH", format!("{}:/bin", folder.display()))])
    }

    #[tokio::test]
    async fn the_vendors_program_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let host = machine(folder.path(), 0);
        let said = || std::fs::read_to_string(folder.path().join("said")).unwrap();
        create_repository(&host, &ECR.parse().unwrap()).await.unwrap();
        assert_eq!(said(), "ecr create-repository --repository-name team/api --region eu-west-1\n");
        create_repository(&host, &"europe-docker.pkg.dev/p/r/api:1".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(
            said(),
            "artifacts repositories create r --repository-format=docker --location=europe --project=p\n"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_created_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let image: ImageRef = ECR.parse().unwrap();
        let error = create_repository(&machine(folder.path(), 1), &image).await.unwrap_err();
        assert_eq!(error.causes(), ["`aws` failed: AccessDenied"]);
        let without = Host::with_variables("/", [("PATH", "/nowhere")]);
        let error = create_repository(&without, &image).await.unwrap_err();
        assert!(error.remedy().unwrap().starts_with("install `aws`"), "{error:?}");
        let other =
            create_repository(&without, &"ghcr.io/a/b:1".parse().unwrap()).await.unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Unsupported);
    }
}
