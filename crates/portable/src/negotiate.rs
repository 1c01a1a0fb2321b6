//! Which of two builders makes an image: the engine's own, or the portable one.

use std::collections::BTreeSet;
use std::fmt;

use boxwright_context::Context;
use boxwright_core::{
    BuildRequest, Capability, ContextSource, DockerfileSource, Engine, Feature, Host, Platform,
    Session, Support,
};
use boxwright_dockerfile::Dockerfile;
use boxwright_dockerfile::instruction::Action;
use boxwright_dockerfile::plan::{Options, Plan};
use serde::Serialize;

use crate::blocking;

/// Something that a build needs of its builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Need {
    /// An option of the request, or steps.
    Capability(Capability),
    /// Something that the Dockerfile uses.
    Feature(Feature),
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability(capability) => capability.fmt(f),
            Self::Feature(feature) => feature.fmt(f),
        }
    }
}

impl Need {
    fn of(self, engine: &dyn Engine) -> Support {
        match self {
            Self::Capability(capability) => engine.capabilities().get(capability).clone(),
            Self::Feature(feature) => engine.native(feature),
        }
    }
}

/// A need, and what both builders say to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What is needed.
    pub need: Need,
    /// The answer of the engine's own builder; `None` where it has none.
    pub native: Option<Support>,
    /// The answer of the portable builder; `None` where the engine does not go with it.
    pub portable: Option<Support>,
}

impl Row {
    fn is_native(&self) -> bool {
        self.native.as_ref().is_some_and(Support::is_available)
    }

    fn is_portable(&self) -> bool {
        self.portable.as_ref().is_some_and(Support::is_available)
    }
}

/// Which builder makes an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// The engine's own.
    Native,
    /// The portable one.
    Portable,
}

/// What was decided, and on which grounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The builder.
    pub chosen: Chosen,
    /// Why, as a clause.
    pub because: String,
    /// What the build needs, in the order in which it was looked at.
    pub needs: Vec<Row>,
}

impl Decision {
    /// Decides about `request`: the engine's own builder builds where it has all that is needed, else the portable one
    /// if that has. Where neither has, the engine's own builds, and says itself what it cannot do. `native` is the
    /// engine with its own builder, if there is one, and `portable` with the portable one, if it goes with that.
    pub async fn about(
        request: &BuildRequest,
        session: &Session,
        native: Option<&dyn Engine>,
        portable: Option<&dyn Engine>,
    ) -> Self {
        let needs = needs(request, session).await;
        let is_read = needs.is_some();
        let row = |need: Need| Row {
            need,
            native: native.map(|engine| need.of(engine)),
            portable: portable.map(|engine| need.of(engine)),
        };
        let rows = needs.into_iter().flatten().map(row).collect();
        if native.is_none() {
            let because = "the engine has no builder of its own".to_owned();
            return Self { chosen: Chosen::Portable, because, needs: rows };
        }
        if portable.is_none() {
            let because = "the engine has no other builder".to_owned();
            return Self { chosen: Chosen::Native, because, needs: rows };
        }
        if !is_read {
            let because = "the Dockerfile is not known before the build".to_owned();
            return Self { chosen: Chosen::Native, because, needs: rows };
        }
        Self::by(rows)
    }

    /// Returns whether the portable builder serves all that is needed, as far as the Dockerfile could be read.
    pub(crate) fn is_portable(&self) -> bool {
        !self.needs.is_empty() && self.needs.iter().all(Row::is_portable)
    }

    /// Decides by the first need that the engine's own builder does not serve.
    fn by(needs: Vec<Row>) -> Self {
        let (chosen, because) = match needs.iter().find(|row| !row.is_native()) {
            None => (Chosen::Native, "the engine's own builder has all that is needed".to_owned()),
            Some(missing) => {
                let why = |support: &Support| match support {
                    Support::Unsupported { reason, .. } => format!(": {reason}"),
                    Support::Native | Support::Emulated { .. } => String::new(),
                };
                let native = missing.native.as_ref().map(why).unwrap_or_default();
                match needs.iter().find(|row| !row.is_portable()) {
                    None => {
                        (Chosen::Portable, format!("the build needs `{}`{native}", missing.need))
                    }
                    Some(other) => {
                        let why = other.portable.as_ref().map(why).unwrap_or_default();
                        let because = format!(
                            "neither has all: the portable builder lacks `{}`{why}",
                            other.need
                        );
                        (Chosen::Native, because)
                    }
                }
            }
        };
        Self { chosen, because, needs }
    }
}

/// Returns what a build needs, or `None` where its Dockerfile cannot be read before the build: it is in a tar or at an
/// address, or it is wrong, which whoever builds says best.
async fn needs(request: &BuildRequest, session: &Session) -> Option<BTreeSet<Need>> {
    let text = text(request, &session.host).await?;
    let options = Options {
        target: request.target.clone(),
        build_args: request.build_args.clone(),
        platform: request.platform().cloned().unwrap_or_else(Platform::of_this_machine),
        contexts: request.contexts.keys().cloned().collect(),
        ..Options::default()
    };
    let plan = Plan::new(&text, options).ok()?;
    let mut needs: BTreeSet<Need> =
        request.needs(session).into_iter().map(Need::Capability).collect();
    if has_steps(&text) {
        needs.insert(Need::Capability(Capability::BuildRun));
    }
    needs.extend(plan.features().iter().copied().map(Need::Feature));
    Some(needs)
}

async fn text(request: &BuildRequest, host: &Host) -> Option<String> {
    match (&request.context, &request.dockerfile) {
        (_, DockerfileSource::Text(text)) => Some(text.clone()),
        (ContextSource::Folder(folder), source) => {
            let (folder, source) = (host.absolute(folder), source.clone());
            let context = blocking(move || Context::open(&folder, &source)).await.ok()?;
            Some(context.dockerfile_text().to_owned())
        }
        _ => None,
    }
}

/// Whether a Dockerfile runs something, as far as it can be told without its base images.
fn has_steps(text: &str) -> bool {
    let Ok(file) = Dockerfile::parse(text) else { return false };
    let mut instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    instructions.any(|instruction| matches!(instruction.action, Action::Run(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: Support = Support::Unsupported { reason: "it is old", remedy: "use another" };
    const HEREDOC: Need = Need::Feature(Feature::Heredoc);
    const RUN: Need = Need::Capability(Capability::BuildRun);

    async fn of(text: &str) -> Option<BTreeSet<Need>> {
        let mut request = BuildRequest::new(ContextSource::Empty);
        request.dockerfile = DockerfileSource::Text(text.to_owned());
        needs(&request, &Session::new(Host::with_variables("/", [("A", "b")]))).await
    }

    #[tokio::test]
    async fn needs_are_those_of_the_file_and_of_the_request() {
        let needs = of("FROM scratch\nCOPY <<E /a\nx\nE\nRUN true\n").await.unwrap();
        let build = Need::Capability(Capability::Build);
        assert_eq!(needs.into_iter().collect::<Vec<_>>(), [build, RUN, HEREDOC]);
        assert_eq!(of("FORM scratch\n").await, None);
    }

    fn row(need: Need, native: Support, portable: Support) -> Row {
        Row { need, native: Some(native), portable: Some(portable) }
    }

    #[test]
    fn the_first_missing_feature_decides_if_the_portable_builder_has_all() {
        let (yes, no) = (|| Support::Native, || NO.clone());
        let decided = |rows: &[Row]| {
            let Decision { chosen, because, .. } = Decision::by(rows.to_vec());
            (chosen, because)
        };
        let all = "the engine's own builder has all that is needed".to_owned();
        let rows = [row(RUN, yes(), no()), row(HEREDOC, yes(), yes())];
        assert_eq!(decided(&rows), (Chosen::Native, all));
        let rows = [row(RUN, yes(), yes()), row(HEREDOC, no(), yes())];
        assert_eq!(
            decided(&rows),
            (Chosen::Portable, "the build needs `heredoc`: it is old".to_owned())
        );
        let rows = [row(RUN, yes(), no()), row(HEREDOC, no(), yes())];
        let neither = "neither has all: the portable builder lacks `build-run`: it is old";
        assert_eq!(decided(&rows), (Chosen::Native, neither.to_owned()));
    }
}
