//! What is asked of a build, as the parameters of the service's API.

use boxwright_core::{
    BuildRequest, CacheUse, Error, ErrorKind, HostAddress, ImageRef, NetworkMode, PullPolicy,
    Result,
};

use crate::api::{Api, Release};
use crate::context::Sent;
use crate::interrupt::Mark;
use crate::query::Address;

/// In OCI's format an image loses `SHELL`, `HEALTHCHECK` and `ONBUILD`. It is always said, since without it Buildah
/// compares cached steps with no format at all and reuses none.
const FORMAT: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Puts the request's options into an address.
pub(crate) fn address(
    api: &Api,
    wanted: &BuildRequest,
    context: &Sent,
    mark: Mark,
) -> Result<Address> {
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
        .with_some("platform", wanted.platform().map(ToString::to_string).as_deref())
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

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::{ContextSource, ExtraHost};

    #[test]
    fn host_gateway_needs_podman_5() {
        let mut wanted = BuildRequest::new(ContextSource::Empty);
        let name = "host".to_owned();
        wanted.extra_hosts = vec![ExtraHost { name, address: HostAddress::HostGateway }];
        assert_eq!(extra_hosts(&wanted, Release(5, 0, 0)).unwrap(), ["host:host-gateway"]);
        let error = extra_hosts(&wanted, Release(4, 3, 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.remedy().is_some());
    }

    #[test]
    fn cache_sources_are_one_repository_before_podman_4_4_and_a_list_since() {
        let sources: Vec<ImageRef> =
            vec!["r.example/a:1".parse().unwrap(), "r.example/b".parse().unwrap()];
        let asked = |sources: &[ImageRef], version| {
            let address = cache_from(Address::libpod(&["build"]), sources, version);
            address.map(|address| address.as_str().to_owned())
        };
        let one = asked(&sources[..1], Release(4, 3, 1)).unwrap();
        assert!(one.ends_with("?cachefrom=r.example%2Fa"), "{one}");
        let list = asked(&sources, Release(4, 4, 0)).unwrap();
        assert!(
            list.ends_with("?cachefrom=%5B%22r.example%2Fa%22%2C%22r.example%2Fb%22%5D"),
            "{list}"
        );
        assert_eq!(asked(&sources, Release(4, 3, 1)).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
