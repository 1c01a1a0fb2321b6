//! What a Dockerfile needs of a builder.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::capability::named_enum;

named_enum! {
    /// Something a Dockerfile may use that builders differ in. A plan collects the features it
    /// needs, and an engine answers for each whether its own builder has it.
    ///
    /// Exhaustive on purpose, as [`Capability`](crate::Capability) is.
    Feature {
        /// More than one `FROM`, and `COPY --from`.
        MultiStage = "multi-stage",
        /// `RUN <<EOF`, `COPY <<EOF`.
        Heredoc = "heredoc",
        /// `COPY` and `ADD` with `--chmod`.
        CopyChmod = "copy-chmod",
        /// `COPY` and `ADD` with `--link`.
        CopyLink = "copy-link",
        /// `COPY` with `--parents`.
        CopyParents = "copy-parents",
        /// `COPY` and `ADD` with `--exclude`.
        CopyExclude = "copy-exclude",
        /// `ADD` of an HTTP address.
        AddUrl = "add-url",
        /// `ADD --checksum`.
        AddChecksum = "add-checksum",
        /// `ADD` of a git repository, and `--keep-git-dir`.
        AddGit = "add-git",
        /// `ADD --unpack`.
        AddUnpack = "add-unpack",
        /// `RUN --mount=type=bind`.
        MountBind = "mount-bind",
        /// A bind mount whose target is relative to `WORKDIR`.
        MountBindRelative = "mount-bind-relative",
        /// `RUN --mount=type=cache`.
        MountCache = "mount-cache",
        /// `RUN --mount=type=tmpfs`.
        MountTmpfs = "mount-tmpfs",
        /// `RUN --mount=type=secret`.
        MountSecret = "mount-secret",
        /// A secret as a variable: `RUN --mount=type=secret,env=`.
        MountSecretEnv = "mount-secret-env",
        /// `RUN --mount=type=ssh`.
        MountSsh = "mount-ssh",
        /// A `RUN` with mounts and no command.
        RunWithoutCommand = "run-without-command",
        /// `RUN --network`.
        RunNetwork = "run-network",
        /// `RUN --security`.
        RunSecurity = "run-security",
        /// `${x#p}`, `${x%p}`, `${x/a/b}` and the like.
        ExpansionPatterns = "expansion-patterns",
        /// `FROM --platform`, and the platform arguments.
        FromPlatform = "from-platform",
        /// `SHELL`, kept in the image.
        Shell = "shell",
        /// `HEALTHCHECK`, kept in the image.
        Healthcheck = "healthcheck",
        /// `HEALTHCHECK --start-interval`.
        HealthcheckStartInterval = "healthcheck-start-interval",
        /// `ONBUILD`, kept in the image.
        OnBuild = "onbuild",
        /// A `# syntax=` line that names another frontend than `docker/dockerfile`.
        ForeignFrontend = "foreign-frontend",
    }
}
