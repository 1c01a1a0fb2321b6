//! Flags to a request, and to what travels beside it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use boxwright_core::{
    BuildRequest, ByteStream, CaBundle, CacheUse, CancellationToken, Error, ErrorKind, Host,
    ImageRef, NextUse, PullPolicy, Result, Secret,
};
use boxwright_engines::Settings;

use super::value::{extra_host, keys, pair, platforms, size, wrong};
use super::{Outputs, ResultFiles, ca_bundle, context, secret};
use crate::app::parse;
use crate::args::BuildArgs;

/// Everything that a build is made of, read and checked.
pub(crate) struct Prepared {
    pub(crate) request: BuildRequest,
    pub(crate) secrets: BTreeMap<String, Secret>,
    pub(crate) agents: BTreeMap<String, PathBuf>,
    pub(crate) ca_bundle: Option<CaBundle>,
    pub(crate) input: Option<ByteStream>,
    pub(crate) outputs: Outputs,
    pub(crate) files: ResultFiles,
}

/// Reads and checks all that the flags name, before any engine is asked. `further` are secrets that no flag names.
pub(crate) async fn prepare(
    args: &BuildArgs,
    settings: &Settings,
    host: &Host,
    stdout_is_terminal: bool,
    further: BTreeMap<String, Secret>,
    cancel: &CancellationToken,
) -> Result<Prepared> {
    let tags = args.tag.iter().map(|name| parse(name)).collect::<Result<Vec<ImageRef>>>()?;
    if args.push && tags.is_empty() {
        return Err(wrong("`--push` has nowhere to push to")
            .with_cause("the image has no name")
            .with_remedy("name it with `--tag HOST/REPOSITORY:TAG`"));
    }
    let outputs = Outputs::new(&args.output, host, stdout_is_terminal)?;
    let files = ResultFiles::new(args, host)?;
    let secrets = secret::secrets(&args.secret, host)?;
    let agents = secret::agents(&args.ssh, host)?;
    let ca_bundle = ca_bundle::ca_bundle(args.ca_bundle.as_deref(), settings, host)?;
    let options = options(args, settings, host)?;
    if options.0.platforms.len() > 1 {
        outputs.check_index()?;
    }
    let source = context::source(&args.context, args.file.as_deref(), host, cancel).await?;
    let mut request = BuildRequest::new(source.context);
    request.dockerfile = source.dockerfile;
    request.tags = tags;
    request.instance_aliases.clone_from(&outputs.aliases);
    request.secrets = secrets.keys().chain(further.keys()).cloned().collect();
    request.ssh = agents.keys().cloned().collect();
    options.apply(&mut request);
    let secrets = secrets.into_iter().chain(further).collect();
    Ok(Prepared { request, secrets, agents, ca_bundle, input: source.input, outputs, files })
}

/// A change of a request, made of flags alone.
struct Options(BuildRequest);

impl Options {
    fn apply(self, request: &mut BuildRequest) {
        let made = std::mem::replace(request, self.0);
        request.context = made.context;
        request.dockerfile = made.dockerfile;
        request.tags = made.tags;
        request.instance_aliases = made.instance_aliases;
        request.secrets = made.secrets;
        request.ssh = made.ssh;
    }
}

fn options(args: &BuildArgs, settings: &Settings, host: &Host) -> Result<Options> {
    let mut request = BuildRequest::new(boxwright_core::ContextSource::Empty);
    for text in &args.build_arg {
        let (name, value) = pair("--build-arg", text)?;
        // As `docker` has it: a name whose variable is not set is as if it were not given.
        if let Some(value) = value.or_else(|| host.variable(name)) {
            request.build_args.insert(name.to_owned(), value.to_owned());
        }
    }
    for text in &args.label {
        let (name, value) = pair("--label", text)?;
        request.labels.insert(name.to_owned(), value.unwrap_or_default().to_owned());
    }
    request.target.clone_from(&args.target);
    request.platforms = match (args.platform.as_slice(), settings.platform()) {
        ([], Some(set)) => platforms(std::slice::from_ref(&set.value))
            .map_err(|error| error.with_context("set by", set.origin.clone()))?,
        (given, _) => platforms(given)?,
    };
    request.cache = if args.no_cache { CacheUse::Ignore } else { CacheUse::Use };
    let set = settings.pull().map(|it| it.value);
    request.pull = args.pull.map(PullPolicy::from).or(set).unwrap_or_default();
    request.network = args.network.into();
    request.extra_hosts =
        args.add_host.iter().map(|text| extra_host(text)).collect::<Result<_>>()?;
    if args.push {
        request.next = NextUse::Push;
    }
    request.format = args.format.map(Into::into);
    request.reproducible = args.reproducible;
    request.contexts = context::named(&args.build_context, host)?;
    request.allow_secret_in_layer.clone_from(&args.allow_secret_in_layer);
    request.shm_size = args.shm_size.as_deref().map(size).transpose()?;
    let sources = args.cache_from.iter().map(|text| cache_source(text));
    request.cache_from = sources.collect::<Result<_>>()?;
    Ok(Options(request))
}

/// Parses a name, or `type=registry,ref=NAME`.
fn cache_source(text: &str) -> Result<ImageRef> {
    if !text.contains('=') {
        return parse(text);
    }
    let (mut kind, mut image) = ("registry", None);
    for (key, value) in keys("--cache-from", text, &["type", "ref"])? {
        match key {
            "type" => kind = value,
            _ => image = Some(value),
        }
    }
    if kind != "registry" {
        let message = format!("cannot take cached steps from `type={kind}`");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_cause("steps are taken from images in registries alone")
            .with_remedy("use `type=registry,ref=NAME`"));
    }
    let image = image.ok_or_else(|| {
        wrong(format!("`--cache-from {text}` names no image"))
            .with_remedy("use `type=registry,ref=NAME`")
    })?;
    parse(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_source_is_a_name_or_a_registry() {
        let shown = |text| cache_source(text).map(|it| it.to_string());
        assert_eq!(shown("a.b/c").unwrap(), "a.b/c:latest");
        assert_eq!(shown("type=registry,ref=a.b/c:1").unwrap(), "a.b/c:1");
        assert_eq!(shown("type=gha").unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(shown("type=registry").unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}
