//! What a Dockerfile needs of a builder, by [`Feature`].

use std::collections::BTreeSet;

use boxwright_core::{Feature, ImageRef};

use crate::diagnostic::Diagnostic;
use crate::directive;
use crate::file::Dockerfile;
use crate::git::GitAddress;
use crate::instruction::{
    Action, Copy, Healthcheck, Instruction, Kind, MountKind, Run, Security, read,
};
use crate::{parser, plan};

/// The repositories of the images that read the language that this crate reads.
const FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// The registry of those images, and a public mirror of it that has nothing of its own.
const REGISTRIES: [&str; 2] = ["docker.io", "mirror.gcr.io"];

/// Returns what `text` needs, in a stable order. Of addresses in variables only a [`plan::Plan`] knows.
///
/// # Errors
///
/// Every problem of the file.
pub fn of(text: &str) -> Result<BTreeSet<Feature>, Vec<Diagnostic>> {
    Ok(of_file(&Dockerfile::parse(text)?, text))
}

/// Whether `reference` names a frontend that reads the language that this crate reads.
#[must_use]
pub fn is_own_frontend(reference: &str) -> bool {
    reference.parse::<ImageRef>().is_ok_and(|image| {
        FRONTENDS.contains(&image.repository()) && REGISTRIES.contains(&image.registry())
    })
}

pub(crate) fn of_file(file: &Dockerfile, text: &str) -> BTreeSet<Feature> {
    let mut found = BTreeSet::new();
    let mut need = |feature, needed| {
        if needed {
            found.insert(feature);
        }
    };
    let foreign = directive::syntax(text).is_some_and(|it| !is_own_frontend(&it.reference));
    need(Feature::ForeignFrontend, foreign);
    need(Feature::MultiStage, file.stages.len() > 1);
    for stage in &file.stages {
        let platform_in_name = has_platform_variable(&stage.from.image.text);
        need(Feature::FromPlatform, stage.from.platform.is_some() || platform_in_name);
        need(Feature::ExpansionPatterns, has_pattern(&stage.text));
    }
    for argument in &file.arguments {
        need(
            Feature::ExpansionPatterns,
            argument.default.as_ref().is_some_and(|it| has_pattern(&it.text)),
        );
    }
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        of_instruction(instruction, &mut need);
    }
    found
}

fn of_instruction(instruction: &Instruction, need: &mut impl FnMut(Feature, bool)) {
    match &instruction.action {
        Action::Run(run) => of_run(run, need),
        Action::Copy(copy) => {
            of_copy(copy, need);
            need(Feature::ExpansionPatterns, has_pattern(&instruction.text));
        }
        Action::Arg(arguments) => {
            let platform = arguments.iter().any(|it| is_platform_argument(&it.name.text));
            need(Feature::FromPlatform, platform);
            need(Feature::ExpansionPatterns, has_pattern(&instruction.text));
        }
        Action::Shell(_) => need(Feature::Shell, true),
        Action::Healthcheck(check) => {
            need(Feature::Healthcheck, true);
            let interval = matches!(check, Healthcheck::Probe(probe) if probe.start_interval > 0);
            need(Feature::HealthcheckStartInterval, interval);
        }
        Action::OnBuild(text) => {
            need(Feature::OnBuild, true);
            let tree = parser::parse(text);
            let mut ignored = crate::diagnostic::Sink::default();
            let inner = tree.statements.first().and_then(|statement| read(statement, &mut ignored));
            // A trigger triggers nothing, so this goes one step down at most.
            if let Some(inner) = inner.filter(|it| !matches!(it.action, Action::OnBuild(_))) {
                of_instruction(&inner, need);
            }
        }
        // The shell of the image expands these, not the builder.
        Action::Cmd(_) | Action::Entrypoint(_) => {}
        _ => need(Feature::ExpansionPatterns, has_pattern(&instruction.text)),
    }
}

fn of_run(run: &Run, need: &mut impl FnMut(Feature, bool)) {
    need(Feature::Heredoc, !run.documents.is_empty());
    need(Feature::RunWithoutCommand, run.command.is_empty());
    need(Feature::RunNetwork, run.network_given);
    need(Feature::RunSecurity, run.security == Security::Insecure || !run.devices.is_empty());
    for (word, options) in &run.mounts {
        need(Feature::ExpansionPatterns, has_pattern(&word.text));
        let value = |keys: &[&str]| {
            let option = options.iter().rev().find(|it| keys.contains(&it.key.as_str()));
            option.and_then(|it| it.value.as_deref()).unwrap_or_default()
        };
        match value(&["type"]).to_lowercase().as_str() {
            "" | "bind" => {
                need(Feature::MountBind, true);
                let target = value(&["target", "dst", "destination"]);
                need(Feature::MountBindRelative, !target.starts_with('/'));
            }
            "cache" => need(Feature::MountCache, true),
            "tmpfs" => need(Feature::MountTmpfs, true),
            "secret" => {
                need(Feature::MountSecret, true);
                need(Feature::MountSecretEnv, options.iter().any(|it| it.key == "env"));
            }
            "ssh" => need(Feature::MountSsh, true),
            // In a variable: a plan knows.
            _ => {}
        }
    }
}

fn of_copy(copy: &Copy, need: &mut impl FnMut(Feature, bool)) {
    need(Feature::MultiStage, copy.from.is_some());
    need(Feature::Heredoc, !copy.documents.is_empty());
    need(Feature::CopyChmod, copy.chmod.is_some());
    need(Feature::CopyLink, copy.link);
    need(Feature::CopyParents, copy.parents);
    need(Feature::CopyExclude, !copy.exclude.is_empty());
    need(Feature::AddChecksum, copy.checksum.is_some());
    need(Feature::AddUnpack, copy.unpack.is_some());
    need(Feature::AddGit, copy.keep_git_dir.is_some());
    for source in copy.sources.iter().filter(|_| copy.kind == Kind::Add) {
        let git =
            GitAddress::parse(&source.text).and_then(Result::ok).is_some_and(|it| !it.like_a_path);
        let url = source.text.starts_with("http://") || source.text.starts_with("https://");
        need(Feature::AddGit, git);
        need(Feature::AddUrl, url && !git);
    }
}

/// What only shows once variables have values.
pub(crate) fn of_step(step: &plan::Step, found: &mut BTreeSet<Feature>) {
    match &step.action {
        plan::Action::Copy(copy) => found.extend(copy.items.iter().filter_map(|item| match item {
            plan::CopyItem::Url { .. } => Some(Feature::AddUrl),
            plan::CopyItem::Git(_) => Some(Feature::AddGit),
            _ => None,
        })),
        plan::Action::Run(run) => found.extend(run.mounts.iter().map(|it| match &it.mount.kind {
            MountKind::Bind { .. } => Feature::MountBind,
            MountKind::Cache { .. } => Feature::MountCache,
            MountKind::Tmpfs { .. } => Feature::MountTmpfs,
            MountKind::Secret { env: Some(_), .. } => Feature::MountSecretEnv,
            MountKind::Secret { .. } => Feature::MountSecret,
            MountKind::Ssh { .. } => Feature::MountSsh,
        })),
        _ => {}
    }
}

/// Whether text uses `${x#p}`, `${x%p}`, `${x/p/r}` or `${x:?why}`, which came after the first operators.
fn has_pattern(text: &str) -> bool {
    text.match_indices("${").any(|(at, _)| {
        let rest = text[at + 2..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
        rest.starts_with(['#', '%', '/', '?']) || rest.starts_with(":?")
    })
}

fn is_platform_argument(name: &str) -> bool {
    let part = name.strip_prefix("TARGET").or_else(|| name.strip_prefix("BUILD"));
    part.is_some_and(|part| ["PLATFORM", "OS", "OSVERSION", "ARCH", "VARIANT"].contains(&part))
        || name == "TARGETSTAGE"
}

fn has_platform_variable(text: &str) -> bool {
    let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    text.contains('$') && names.into_iter().any(is_platform_argument)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<&'static str> {
        let all = of(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
        all.into_iter().map(Feature::as_str).collect()
    }

    #[test]
    fn each_feature_is_found() {
        for (text, expected) in [
            ("COPY --chmod=1 a b", "copy-chmod"),
            ("COPY --link a b", "copy-link"),
            ("COPY --parents a b", "copy-parents"),
            ("COPY --exclude=x a b", "copy-exclude"),
            ("COPY --from=x a b", "multi-stage"),
            ("COPY <<E b\nE", "heredoc"),
            ("ADD https://e.com/a b", "add-url"),
            ("ADD https://e.com/a.git b", "add-git"),
            ("ADD --unpack a b", "add-unpack"),
            ("RUN --mount=target=/a x", "mount-bind"),
            ("RUN --mount=type=cache,target=/a x", "mount-cache"),
            ("RUN --mount=type=tmpfs,target=/a x", "mount-tmpfs"),
            ("RUN --mount=type=secret,id=a x", "mount-secret"),
            ("RUN --mount=type=ssh x", "mount-ssh"),
            ("RUN", "run-without-command"),
            ("RUN --network=none x", "run-network"),
            ("RUN --security=insecure x", "run-security"),
            ("ENV a=${b#c}", "expansion-patterns"),
            ("ARG a=x\nENV b=${a:?why}", "expansion-patterns"),
            ("ARG TARGETARCH", "from-platform"),
            ("SHELL [\"/bin/sh\"]", "shell"),
            ("HEALTHCHECK CMD x", "healthcheck"),
        ] {
            assert_eq!(names(&format!("FROM scratch\n{text}")), [expected], "{text}");
        }
        for text in ["RUN echo ${a#b} ${a:-c}", "RUN --security=sandbox x"] {
            assert_eq!(names(&format!("FROM scratch\n{text}")), Vec::<&str>::new(), "{text}");
        }
        assert_eq!(
            names("FROM a AS b\nFROM --platform=linux/arm64 b"),
            ["multi-stage", "from-platform"]
        );
        assert_eq!(names("FROM a\nONBUILD COPY --link a b"), ["copy-link", "onbuild"]);
        assert_eq!(names("FROM a\nRUN --mount=target=a x"), ["mount-bind", "mount-bind-relative"]);
    }

    #[test]
    fn only_other_frontends_are_foreign() {
        assert_eq!(names("# syntax=docker/dockerfile:1.7-labs\nFROM a"), Vec::<&str>::new());
        assert_eq!(names("# syntax=mirror.gcr.io/docker/dockerfile:1\nFROM a"), Vec::<&str>::new());
        assert_eq!(names("# syntax=evil/frontend\nFROM a"), ["foreign-frontend"]);
        assert_eq!(
            names("# syntax=docker.evil.com/docker/dockerfile\nFROM a"),
            ["foreign-frontend"]
        );
    }
}
