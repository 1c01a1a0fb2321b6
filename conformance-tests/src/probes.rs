//! The smallest request that needs each capability: what is declared is tried.
//!
//! An engine that declares a capability must serve its probe. One that declares a gap must refuse it with
//! the kind `Unsupported`, a reason and a remedy, and say the same in the request's error as in its declaration.

use boxwright_core::{
    ArchiveFormat, BuildRequest, CaBundle, Capability, ContextSource, DockerfileSource, Error,
    ErrorKind, ExportRequest, ExtraHost, HostAddress, ImageFormat, ImportRequest, LocalImage,
    NamedContext, NetworkMode, Platform, PullRequest, PushRequest, RemoveRequest, Result,
    RunRequest, Secret, Support,
};
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::case::{Case, CaseResult, Failure};
use crate::cx::Cx;
use crate::environment::RegistryKind;
use crate::{expect, expect_eq};

/// Declares one case for each capability, so that a new one without a probe does not compile.
macro_rules! probes {
    ($($id:literal, $capability:ident;)*) => {
        /// One case for each capability.
        pub const PROBES: &[Case] = &[$(Case {
            id: concat!("declares/", $id),
            promise: concat!("`", $id, "` works, or is refused with the declared reason and remedy"),
            needs: &[],
            features: &[],
            run: |cx| Box::pin(probe(cx, Capability::$capability)),
        }),*];

        #[cfg(test)]
        const fn is_probed(capability: Capability) -> &'static str {
            match capability { $(Capability::$capability => $id,)* }
        }
    };
}

probes! {
    "build", Build;
    "build-run", BuildRun;
    "build-from-tar", BuildFromTar;
    "build-from-address", BuildFromAddress;
    "build-for-platform", BuildForPlatform;
    "build-for-platforms", BuildForPlatforms;
    "build-secrets", BuildSecrets;
    "build-ssh", BuildSsh;
    "build-cache-from", BuildCacheFrom;
    "build-contexts", BuildContexts;
    "build-format", BuildFormat;
    "build-reproducible", BuildReproducible;
    "build-extra-hosts", BuildExtraHosts;
    "build-shm-size", BuildShmSize;
    "build-network", BuildNetwork;
    "build-ca-bundle", BuildCaBundle;
    "build-instance-image", BuildInstanceImage;
    "push", Push;
    "pull", Pull;
    "inspect", Inspect;
    "list", List;
    "tag", Tag;
    "remove", Remove;
    "export", Export;
    "import", Import;
    "run", Run;
}

async fn probe(cx: Cx, capability: Capability) -> CaseResult {
    let declared = cx.engine().capabilities().get(capability).clone();
    match (declared, attempt(&cx, capability).await?) {
        (Support::Native | Support::Emulated { .. }, result) => Ok(result?),
        (Support::Unsupported { reason, remedy }, Err(error)) => {
            expect_eq!(error.kind(), ErrorKind::Unsupported);
            expect!(!reason.is_empty() && !remedy.is_empty(), "reason or remedy is empty");
            expect_eq!(error.causes(), [reason], "the causes of the error");
            expect_eq!(error.remedy(), Some(remedy));
            Ok(())
        }
        (Support::Unsupported { reason, .. }, Ok(())) => Err(Failure::promise(format!(
            "`{capability}` is declared unsupported ({reason}), and works"
        ))),
    }
}

/// Makes the smallest request that needs `capability`.
async fn attempt(cx: &Cx, capability: Capability) -> CaseResult<Result<()>> {
    let engine = cx.engine();
    let mut session = cx.session();
    // An image that is nowhere: whether an operation is refused is decided before anything is looked for.
    let nowhere: LocalImage = cx.name()?.into();
    Ok(match capability {
        Capability::Build => built(cx, |_| ()).await?,
        Capability::BuildRun => {
            let request = cx.request(&format!("FROM {}\nRUN true\n", cx.base()?))?;
            cx.attempt(&request).await.result.map(drop)
        }
        Capability::BuildFromTar => {
            let mut tar = tar::Builder::new(Vec::new());
            let text = b"FROM scratch\nLABEL a=1\n";
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "Dockerfile", &text[..])?;
            let request = cx.new_request(ContextSource::Tar)?;
            let input = std::io::Cursor::new(tar.into_inner()?);
            let session = session.with_input(Box::new(input));
            cx.attempt_in(&request, session).await.result.map(drop)
        }
        Capability::BuildFromAddress => {
            // A repository that is not there: an engine that can fetch says so, and that it is not there.
            let host = cx.environment().registry(RegistryKind::Open)?.to_owned();
            let context = ContextSource::Address(format!("http://{host}/no-such-context.tar"));
            let request = cx.new_request(context)?;
            unless_unsupported(cx.attempt(&request).await.result.map(drop))
        }
        Capability::BuildForPlatform => {
            built(cx, |request| request.platforms = vec![Platform::of_this_machine()]).await?
        }
        Capability::BuildForPlatforms => {
            let other = Platform::new("linux", "riscv64", None);
            built(cx, |request| request.platforms = vec![Platform::of_this_machine(), other])
                .await?
        }
        Capability::BuildSecrets => {
            let secrets = BTreeMap::from([("probe".to_owned(), Secret::from("x"))]);
            session.secrets = Arc::new(secrets);
            let mut request = cx.request("FROM scratch\nLABEL a=1\n")?;
            request.secrets = vec!["probe".to_owned()];
            cx.attempt_in(&request, session).await.result.map(drop)
        }
        Capability::BuildSsh => {
            let socket = cx.scratch("agent.sock");
            let _agent = std::os::unix::net::UnixListener::bind(&socket)?;
            session.ssh_agents = Arc::new(BTreeMap::from([("default".to_owned(), socket)]));
            let mut request = cx.request("FROM scratch\nLABEL a=1\n")?;
            request.ssh = vec!["default".to_owned()];
            cx.attempt_in(&request, session).await.result.map(drop)
        }
        Capability::BuildCacheFrom => {
            let base = cx.base()?;
            built(cx, |request| request.cache_from = vec![base]).await?
        }
        Capability::BuildFormat => {
            built(cx, |request| request.format = Some(ImageFormat::Oci)).await?
        }
        Capability::BuildReproducible => built(cx, |request| request.reproducible = true).await?,
        Capability::BuildContexts => {
            let folder = cx.scratch("further");
            std::fs::create_dir(&folder)?;
            let further = BTreeMap::from([("further".to_owned(), NamedContext::Folder(folder))]);
            built(cx, |request| request.contexts = further).await?
        }
        Capability::BuildExtraHosts => {
            let address = HostAddress::Ip([10, 0, 0, 1].into());
            let host = ExtraHost { name: "probe.test".to_owned(), address };
            built(cx, |request| request.extra_hosts = vec![host]).await?
        }
        Capability::BuildShmSize => built(cx, |request| request.shm_size = Some(1 << 20)).await?,
        Capability::BuildNetwork => {
            built(cx, |request| request.network = NetworkMode::None).await?
        }
        Capability::BuildCaBundle => {
            let pem = b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
            session.ca_bundle = Some(CaBundle::parse(pem.to_vec())?);
            let request = cx.request("FROM scratch\nLABEL a=1\n")?;
            cx.attempt_in(&request, session).await.result.map(drop)
        }
        Capability::BuildInstanceImage => {
            // An image that starts nothing: an engine that could publish it says so, and nothing is left of it there.
            let mut request = cx.request("FROM scratch\nLABEL a=1\n")?;
            request.instance_aliases = vec![cx.slug().to_owned()];
            unless_unsupported(cx.attempt(&request).await.result.map(drop))
        }
        Capability::Push => {
            let remote = cx.name_in(RegistryKind::Open)?;
            if cx.can(Capability::Build) && cx.can(capability) {
                let mut request = cx.request("FROM scratch\nLABEL a=1\n")?;
                request.tags = vec![remote.clone()];
                cx.attempt(&request).await.result?;
            }
            let pushed = engine.push(&PushRequest::new(remote), &session).await.map(drop);
            // Where nothing can be built, there is nothing of that name to push.
            if cx.can(Capability::Build) { pushed } else { there(pushed) }
        }
        Capability::Pull => engine.pull(&PullRequest::new(cx.base()?), &session).await.map(drop),
        Capability::Inspect => there(engine.inspect(&nowhere, &session).await.map(drop)),
        Capability::List => engine.list(&session).await.map(drop),
        Capability::Tag => there(engine.tag(&nowhere, &cx.name()?, &session).await),
        Capability::Remove => {
            there(engine.remove(&RemoveRequest::new(nowhere), &session).await.map(drop))
        }
        Capability::Export => {
            let mut request = ExportRequest::new(nowhere, cx.scratch("nothing.tar"));
            request.format = ArchiveFormat::Oci;
            there(engine.export(&request, &session).await)
        }
        Capability::Import => {
            let archive = cx.scratch("empty.tar");
            std::fs::write(&archive, [0; 1024])?;
            let request = ImportRequest::new(archive, vec![cx.name()?]);
            unless_unsupported(engine.import(&request, &session).await.map(drop))
        }
        Capability::Run => there(engine.run(&RunRequest::new(nowhere), &session).await.map(drop)),
    })
}

async fn built(cx: &Cx, change: impl FnOnce(&mut BuildRequest)) -> CaseResult<Result<()>> {
    // No file is needed, so nothing but the option that is probed can be the reason of a refusal.
    let mut request = cx.new_request(ContextSource::Empty)?;
    request.dockerfile = DockerfileSource::Text("FROM scratch\nLABEL a=1\n".to_owned());
    change(&mut request);
    Ok(cx.attempt(&request).await.result.map(drop))
}

/// That there is no such image is the right answer of an engine that can do it.
fn there(result: Result<()>) -> Result<()> {
    result.or_else(|error| if is(&error, ErrorKind::NotFound) { Ok(()) } else { Err(error) })
}

/// Any answer but a refusal is that of an engine that can do it.
fn unless_unsupported(result: Result<()>) -> Result<()> {
    result.or_else(|error| if is(&error, ErrorKind::Unsupported) { Err(error) } else { Ok(()) })
}

fn is(error: &Error, kind: ErrorKind) -> bool {
    error.kind() == kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_probe_under_its_own_name() {
        assert_eq!(PROBES.len(), Capability::ALL.len());
        for &capability in Capability::ALL {
            assert_eq!(is_probed(capability), capability.as_str());
        }
    }
}
