//! Builds an image with Buildah, in the service.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use boxwright_context::{Context, EntryKind, TarOptions};
use boxwright_core::{
    BuildOutput, BuildRequest, CacheUse, ContextSource, Digest, DockerfileSource, Error, ErrorKind,
    HostAddress, ImageRef, LocalImage, NetworkMode, Platform, PullPolicy, Result, Session,
};
use boxwright_dockerfile::directive;
use boxwright_http::http::{HeaderValue, Method, header};
use boxwright_http::{Body, HeldBody, Lines, lines};
use futures_util::StreamExt as _;
use tempfile::TempDir;

use crate::api::{Api, Release, parse, request};
use crate::events::BuildLog;
use crate::interrupt::Mark;
use crate::query::Address;
use crate::wire::Line;
use crate::{auth, bases, errors, images, provider, push, tags, upload};

/// In OCI's format an image loses `SHELL`, `HEALTHCHECK` and `ONBUILD`. It is always said, since without it Buildah
/// compares cached steps with no format at all and reuses none.
const FORMAT: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// No file has this name. Sent where nothing is excluded, since the service would look for an ignore file itself.
const NO_FILE: &str = ".boxwright.none";

/// How long a cancelled build may take to end while its steps are being ended.
const END_LIMIT: Duration = Duration::from_secs(10);

/// How often its steps are looked for.
const END_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn build(
    api: &Api,
    wanted: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    let mut id = attempt(api, wanted, session).await?;
    if let Some(platform) = &wanted.platform
        && !is_for(api, &id, platform).await?
    {
        // QUIRK(buildah 1.28): cached steps are compared by history alone, so `FROM scratch` for one platform takes what
        // was built for another.
        let message = format!("the cached steps are not for {platform}; they run again");
        session.events.notice(message).await;
        let mut again = wanted.clone();
        again.cache = CacheUse::Ignore;
        id = attempt(api, &again, session).await?;
        if !is_for(api, &id, platform).await? {
            let base = format!("the base image is not for {platform}");
            return Err(Error::new(ErrorKind::NotFound, format!("cannot build for {platform}"))
                .with_cause(base)
                .with_remedy("name a base image that has the platform, and use `--pull=always`"));
        }
    }
    tags::apply(api, &id, &wanted.tags).await?;
    Ok(BuildOutput::new(id, wanted.tags.clone(), provider::BUILDER))
}

async fn is_for(api: &Api, id: &Digest, platform: &Platform) -> Result<bool> {
    let found = images::inspect(api, &LocalImage::from(id.clone())).await?.platform;
    // The service does not tell a variant.
    Ok((found.os(), found.architecture()) == (platform.os(), platform.architecture()))
}

/// Builds, and returns the image without a name.
async fn attempt(api: &Api, wanted: &BuildRequest, session: &Session) -> Result<Digest> {
    let context = Sent::open(wanted, session).await?;
    let registries = match &context.text {
        Some(text) => {
            look_at_syntax(text, session).await?;
            bases::registries(text, &wanted.build_args)
        }
        None => BTreeSet::new(),
    };
    let registries = with_cache_sources(registries, &wanted.cache_from);
    for registry in &registries {
        push::refuse_mirrors(registry, session, "cannot take base images from their registry")?;
    }
    let mark = Mark::new();
    let mut address = address(api, wanted, &context, mark)?;
    if all_may_be_unverified(&registries, session) {
        address = address.with("tlsVerify", "false");
    }
    note_cache_sources(&wanted.cache_from, session).await;
    let mut request = request(Method::POST, &address, context.body)?;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
    let credentials = auth::for_registries(registries.iter().map(String::as_str), session).await?;
    if let Some(credentials) = credentials {
        headers.insert(auth::MANY, credentials);
    }
    let running = Running { api, session, mark, log: BuildLog::default() };
    let answer = tokio::select! {
        biased;
        () = session.cancel.cancelled() => return Err(running.end(None).await),
        answer = api.stream(request, "cannot build") => answer?,
    };
    let id = running.follow(lines(answer.into_body())).await?;
    images::id(&id)
}

/// The context as it is sent.
struct Sent {
    body: Body,
    /// The Dockerfile's name in what is sent.
    dockerfile: Option<String>,
    /// Where the service fetches the context itself.
    remote: Option<String>,
    /// What `COPY .` leaves out though it is sent.
    excludes: Vec<String>,
    /// The names that secrets have in what is sent, by id.
    secrets: Vec<(String, String)>,
    /// The text of the Dockerfile, where it is known.
    text: Option<String>,
    /// Kept until the context is sent.
    _folder: Option<TempDir>,
}

impl Sent {
    async fn open(wanted: &BuildRequest, session: &Session) -> Result<Self> {
        match &wanted.context {
            ContextSource::Folder(folder) => Self::folder(folder, None, wanted, session).await,
            ContextSource::Empty => {
                let folder = temporary_folder(session)?;
                let path = folder.path().to_owned();
                Self::folder(&path, Some(folder), wanted, session).await
            }
            ContextSource::Tar => Self::tar(wanted, session),
            ContextSource::Address(address) => Self::address(address, wanted),
        }
    }

    async fn folder(
        folder: &Path,
        temporary: Option<TempDir>,
        wanted: &BuildRequest,
        session: &Session,
    ) -> Result<Self> {
        let (path, dockerfile) = (folder.to_owned(), wanted.dockerfile.clone());
        let opened = tokio::task::spawn_blocking(move || Context::open(&path, &dockerfile)).await;
        let context = opened.map_err(|error| {
            Error::new(ErrorKind::Bug, "cannot read the context").with_source(error)
        })??;
        let tar = context.tar(TarOptions::default());
        let name = tar.dockerfile_name().to_owned();
        let mut excludes = context.exclude_patterns().to_vec();
        if name != context.dockerfile_name() || !context.dockerfile_is_inside() {
            excludes.push(name.clone());
        }
        if excludes.is_empty() {
            excludes.push(NO_FILE.to_owned());
        }
        let secrets = secret_names(wanted)?;
        if !secrets.is_empty() {
            let walked = context.clone();
            let looked = tokio::task::spawn_blocking(move || refuse_links_outside(&walked)).await;
            looked.map_err(|error| {
                Error::new(ErrorKind::Bug, "cannot read the context").with_source(error)
            })??;
        }
        let body = if secrets.is_empty() {
            Body::reader(tar)
        } else {
            let values = secrets
                .iter()
                .filter_map(|(id, name)| Some((name.as_str(), session.secrets.get(id)?)));
            Body::reader(upload::Extended::new(tar, upload::entries(values)?))
        };
        let text = Some(context.dockerfile_text().to_owned());
        Ok(Self {
            body,
            dockerfile: Some(name),
            remote: None,
            excludes,
            secrets,
            text,
            _folder: temporary,
        })
    }

    /// Hands a tar on as it is. The service knows how to unpack it, and reads its ignore file.
    fn tar(wanted: &BuildRequest, session: &Session) -> Result<Self> {
        let dockerfile = match &wanted.dockerfile {
            DockerfileSource::Default => None,
            DockerfileSource::Path(path) => Some(path.display().to_string()),
            DockerfileSource::Text(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "cannot build a tar by a Dockerfile that is not in it",
                )
                .with_remedy("put the Dockerfile into the tar, and name it with `--file`"));
            }
        };
        if !wanted.secrets.is_empty() {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "cannot hand secrets over together with a tar",
            )
            .with_cause("Podman takes them as a part of the context")
            .with_remedy("unpack the tar, and build the folder"));
        }
        Ok(Self {
            body: Body::reader(session.take_input()?),
            dockerfile,
            remote: None,
            excludes: Vec::new(),
            secrets: Vec::new(),
            text: None,
            _folder: None,
        })
    }

    fn address(address: &str, wanted: &BuildRequest) -> Result<Self> {
        let shown = address.split('#').next().unwrap_or_default();
        // Anything else the service would take for a path on its own machine.
        let schemes = ["https://", "http://", "git://"];
        if !schemes.iter().any(|scheme| address.starts_with(scheme)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("cannot build from `{shown}`"),
            )
            .with_cause("it is no address of a git repository or of a tar")
            .with_remedy("write it as `https://HOST/REPOSITORY.git#BRANCH`"));
        }
        let unsupported = |cause: &str, remedy: &'static str| {
            Err(Error::new(ErrorKind::Unsupported, format!("cannot build from `{shown}`"))
                .with_cause(cause)
                .with_remedy(remedy))
        };
        if wanted.dockerfile != DockerfileSource::Default {
            let remedy = "clone the repository, and build the folder";
            return unsupported("Podman takes the Dockerfile at its root, and no other", remedy);
        }
        if !wanted.secrets.is_empty() {
            let remedy = "clone the repository, and build the folder";
            return unsupported(
                "Podman takes secrets together with a context from here only",
                remedy,
            );
        }
        Ok(Self {
            body: Body::bytes(vec![0; 1024]),
            dockerfile: None,
            remote: Some(address.to_owned()),
            excludes: Vec::new(),
            secrets: Vec::new(),
            text: None,
            _folder: None,
        })
    }
}

fn temporary_folder(session: &Session) -> Result<TempDir> {
    let folder =
        tempfile::Builder::new().prefix("boxwright-").tempdir_in(session.host.temporary_folder());
    folder.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot make a temporary folder")
            .with_source(error)
            .with_remedy("name another one by `TMPDIR`")
    })
}

/// Fails if the context has a link that the service would not unpack.
///
/// QUIRK(podman 4.3): it keeps what it received when it cannot unpack it, and the secrets would be there.
fn refuse_links_outside(context: &Context) -> Result<()> {
    for entry in context.walk() {
        let entry = entry?;
        if let EntryKind::Symlink { target } = &entry.kind
            && leads_outside(&entry.path, target)
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "cannot hand secrets over with this context",
            )
            .with_cause(format!(
                "its link `{}` leads out of it, which Podman does not unpack",
                entry.path
            ))
            .with_remedy("name the link in `.dockerignore`"));
        }
    }
    Ok(())
}

/// Whether a link at `path` climbs out of the context by its text alone. An absolute one is taken for one below the
/// context, as the service takes it.
fn leads_outside(path: &str, target: &str) -> bool {
    let mut depth = path.split('/').count() - 1;
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

/// Returns the ids of the secrets with the names that they are sent under.
fn secret_names(wanted: &BuildRequest) -> Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    let mark = Mark::new();
    for (index, id) in wanted.secrets.iter().enumerate() {
        if id.contains([',', '=']) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("`{id}` is not an id for a secret"),
            )
            .with_cause("Podman takes none with `,` or `=`"));
        }
        names.push((id.clone(), format!(".boxwright.{}.secret.{index}", mark.text())));
    }
    Ok(names)
}

/// Tells that a `# syntax=` line counts for nothing here, or refuses one that asks for another language.
async fn look_at_syntax(text: &str, session: &Session) -> Result<()> {
    let Some(line) = directive::syntax(text) else { return Ok(()) };
    let image = line.reference;
    let name = image.strip_prefix("docker.io/").unwrap_or(&image);
    let name = name.split(['@', ':']).next().unwrap_or_default();
    if !matches!(name, "docker/dockerfile" | "docker/dockerfile-upstream") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("cannot build with the frontend `{image}`"),
        )
        .with_cause("Buildah reads Dockerfiles itself, and runs no frontend")
        .with_remedy("leave the `# syntax=` line out if the file is a plain Dockerfile"));
    }
    session
        .events
        .notice(format!("`# syntax={image}` is not fetched: Buildah reads the file itself"))
        .await;
    Ok(())
}

fn with_cache_sources(mut registries: BTreeSet<String>, sources: &[ImageRef]) -> BTreeSet<String> {
    registries.extend(sources.iter().map(|source| source.registry().to_owned()));
    registries
}

/// Says what Buildah makes of images to take steps from, which is not what others do.
async fn note_cache_sources(sources: &[ImageRef], session: &Session) {
    for source in sources {
        let message = format!(
            "Buildah takes steps from the repository `{}` as `podman build --cache-to` fills it, and ignores the tag",
            source.name()
        );
        session.events.notice(message).await;
    }
}

/// Whether the one setting that the service has for TLS may be off: no registry is concerned that it protects.
fn all_may_be_unverified(registries: &BTreeSet<String>, session: &Session) -> bool {
    let may = |registry: &String| {
        let setting = session.registries.get(registry);
        push::is_insecure(setting) || push::may_be_plain(registry, setting)
    };
    !registries.is_empty() && registries.iter().all(may)
}

/// Puts the request's options into an address.
fn address(api: &Api, wanted: &BuildRequest, context: &Sent, mark: Mark) -> Result<Address> {
    let version = api.server.version;
    let mut address = Address::libpod(&["build"])
        .with("outputformat", FORMAT)
        .with("layers", "true")
        .with("rm", "true")
        .with("forcerm", "true")
        .with("httpproxy", "true")
        .with("identitylabel", "false")
        .with(
            "pullpolicy",
            match wanted.pull {
                PullPolicy::Always => "always",
                PullPolicy::Missing => "missing",
                PullPolicy::Never => "never",
            },
        )
        .with_some("dockerfile", context.dockerfile.as_deref())
        .with_some("remote", context.remote.as_deref())
        .with_some("target", wanted.target.as_deref())
        .with_some("platform", wanted.platform.as_ref().map(ToString::to_string).as_deref())
        .with_some("shmsize", wanted.shm_size.map(|size| size.to_string()).as_deref());
    if !context.excludes.is_empty() {
        address = address.with_json("excludes", &context.excludes);
    }
    if !wanted.build_args.is_empty() {
        address = address.with_json("buildargs", &wanted.build_args);
    }
    if !wanted.labels.is_empty() {
        address = address.with_json("labels", &wanted.labels);
    }
    if wanted.cache == CacheUse::Ignore {
        address = address.with("nocache", "true");
    }
    let (policy, is_host) = match wanted.network {
        NetworkMode::Default => ("NetworkDefault", false),
        NetworkMode::Host => ("NetworkEnabled", true),
        NetworkMode::None => ("NetworkDisabled", false),
    };
    let namespace = serde_json::json!([{"Name": "network", "Host": is_host, "Path": ""}]);
    address = address.with("networkmode", policy).with_json("nsoptions", &namespace);
    if !wanted.extra_hosts.is_empty() {
        address = address.with_json("extrahosts", &extra_hosts(wanted, version)?);
    }
    if !wanted.cache_from.is_empty() {
        address = cache_from(address, &wanted.cache_from, version)?;
    }
    let secrets = context.secrets.iter().map(|(id, name)| format!("id={id},src={name}"));
    let secrets: Vec<String> = secrets.collect();
    if !secrets.is_empty() {
        address = address.with_json("secrets", &secrets);
    }
    if api.endpoint().is_unix() {
        address = address.with_json("ulimits", &[mark.limit()]);
    }
    Ok(address)
}

fn extra_hosts(wanted: &BuildRequest, version: Release) -> Result<Vec<String>> {
    let lines = wanted.extra_hosts.iter().map(|extra| match extra.address {
        HostAddress::Ip(address) => Ok(format!("{}:{address}", extra.name)),
        HostAddress::HostGateway if version >= Release(5, 0, 0) => {
            Ok(format!("{}:host-gateway", extra.name))
        }
        HostAddress::HostGateway => {
            Err(Error::new(ErrorKind::Unsupported, "`host-gateway` is not supported here")
                .with_cause(format!("Podman {version} takes only addresses for build steps"))
                .with_remedy("write the address of the machine instead"))
        }
    });
    lines.collect()
}

fn cache_from(address: Address, sources: &[ImageRef], version: Release) -> Result<Address> {
    let names: Vec<String> = sources.iter().map(ImageRef::name).collect();
    // QUIRK(podman < 4.4): one repository as plain text, where newer ones take a list.
    if version >= Release(4, 4, 0) {
        return Ok(address.with_json("cachefrom", &names));
    }
    match &names[..] {
        [name] => Ok(address.with("cachefrom", name)),
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            "cannot take cached steps from several repositories",
        )
        .with_cause(format!("Podman {version} takes one"))
        .with_remedy("name one of them")),
    }
}

/// A build under way.
struct Running<'a> {
    api: &'a Api,
    session: &'a Session,
    mark: Mark,
    log: BuildLog,
}

impl Running<'_> {
    /// Reports what the build says, and returns the image that it said last.
    async fn follow(mut self, mut lines: Lines<HeldBody>) -> Result<String> {
        loop {
            let line = tokio::select! {
                biased;
                () = self.session.cancel.cancelled() => return Err(self.end(Some(lines)).await),
                line = lines.next() => line,
            };
            let Some(line) = line else { break };
            let line: Line = parse(&line?)?;
            if let Some(text) = line.failure() {
                let error =
                    errors::of_build(self.log.instruction(), text, self.log.runtime_failure());
                let exit_code = error.context().iter().find(|(name, _)| *name == "exit code");
                let exit_code = exit_code.and_then(|(_, code)| code.parse().ok());
                for event in self.log.failed(&error.to_string(), exit_code) {
                    self.session.events.emit(event).await;
                }
                return Err(error);
            }
            for event in self.log.text(line.stream.as_deref().unwrap_or_default()) {
                self.session.events.emit(event).await;
            }
        }
        let (events, image) = self.log.finished();
        for event in events {
            self.session.events.emit(event).await;
        }
        image.ok_or_else(|| {
            Error::new(ErrorKind::Protocol, "the build ended without an image")
                .with_cause("the service said neither an image nor an error")
                .with_remedy("see what the log of the service says")
        })
    }

    /// Ends the build: its step first, so that Buildah itself sees it fail and cleans up while the connection is
    /// open; the connection once no step is left.
    async fn end(mut self, lines: Option<Lines<HeldBody>>) -> Error {
        let mut lines = lines;
        if self.api.endpoint().is_unix() {
            let ending = self.end_steps(&mut lines);
            // At the limit the connection is closed with the step still there, which is all that is left to do.
            let _ = tokio::time::timeout(END_LIMIT, ending).await;
        } else {
            let message = "the step under way goes on in the service until it ends by itself";
            self.session.events.warn(message, Some("end it on that machine if it must not")).await;
        }
        drop(lines);
        for event in self.log.cancelled() {
            self.session.events.emit(event).await;
        }
        Session::cancelled()
    }

    async fn end_steps(&self, lines: &mut Option<Lines<HeldBody>>) {
        let mut quiet_rounds = 0;
        while quiet_rounds < 6 {
            let mark = self.mark;
            let ended =
                tokio::task::spawn_blocking(move || mark.end_processes()).await.unwrap_or(0);
            quiet_rounds = if ended == 0 { quiet_rounds + 1 } else { 0 };
            match lines {
                // Between two steps, or in a transfer: closing the connection ends that.
                Some(_) if quiet_rounds == 3 => *lines = None,
                Some(open) => {
                    let ended = async { while let Some(Ok(_)) = open.next().await {} };
                    if tokio::time::timeout(END_PAUSE, ended).await.is_ok() {
                        return;
                    }
                }
                None => tokio::time::sleep(END_PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_judged_by_its_text_as_the_service_judges_it() {
        for (path, target, expected) in [
            ("link", "file", false),
            ("link", "../file", true),
            ("a/link", "../file", false),
            ("a/link", "../../file", true),
            ("a/link", "b/../../../file", true),
            ("link", "/etc/passwd", false),
            ("link", "./a/..", false),
        ] {
            assert_eq!(leads_outside(path, target), expected, "{path} -> {target}");
        }
    }

    #[test]
    fn only_what_is_no_path_on_the_services_machine_is_sent_as_an_address() {
        for bad in ["/etc", "./x", "file:///etc", "git@host:x", "-x", "ssh://host/x"] {
            let wanted = BuildRequest::new(ContextSource::Address(bad.to_owned()));
            let error = Sent::address(bad, &wanted).err().map(|error| error.kind());
            assert_eq!(error, Some(ErrorKind::InvalidInput), "{bad}");
        }
        let good = "https://github.com/acme/api.git#main:sub";
        let wanted = BuildRequest::new(ContextSource::Address(good.to_owned()));
        assert_eq!(Sent::address(good, &wanted).unwrap().remote.as_deref(), Some(good));
    }
}
