//! A build request in BuildKit's words. Pure.
//!
//! The names are those of the `dockerfile.v0` frontend (BuildKit, `frontend/dockerui/config.go`) and of
//! the `moby` and `image` exporters.

use std::collections::HashMap;

use bollard_buildkit_proto::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, Exporter, SolveRequest,
};
use boxwright_core::{
    BuildRequest, CacheUse, ContextSource, ExtraHost, HostAddress, ImageRef, NetworkMode,
    PullPolicy,
};

/// The name of the Dockerfile in the folder that the session shows the daemon.
pub(super) const DOCKERFILE: &str = "Dockerfile";

/// Which of the daemon's image stores a result goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImageStoreKind {
    /// The graph driver's: the exporter is `moby`.
    GraphDriver,
    /// Containerd's: the exporter is `image`.
    Containerd,
}

/// Returns the request that makes the daemon build `request` by the Dockerfile `filename`, with the files
/// of the session `id`. The build gets that same id.
pub(super) fn solve_request(
    request: &BuildRequest,
    store: ImageStoreKind,
    filename: &str,
    id: &str,
) -> SolveRequest {
    let exporter = Exporter {
        r#type: match store {
            ImageStoreKind::GraphDriver => "moby".to_owned(),
            ImageStoreKind::Containerd => "image".to_owned(),
        },
        attrs: exporter_attributes(&request.tags, store),
    };
    let host_network = request.network == NetworkMode::Host;
    let imports = request.cache_from.iter().map(cache_import).collect();
    SolveRequest {
        r#ref: id.to_owned(),
        session: id.to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: frontend_attributes(request, filename),
        // Daemons before 25 read the deprecated pair alone, later ones prefer the list.
        exporter_deprecated: exporter.r#type.clone(),
        exporter_attrs_deprecated: exporter.attrs.clone(),
        exporters: vec![exporter],
        cache: Some(CacheOptions { imports, ..CacheOptions::default() }),
        entitlements: if host_network { vec!["network.host".to_owned()] } else { Vec::new() },
        ..SolveRequest::default()
    }
}

fn exporter_attributes(tags: &[ImageRef], store: ImageStoreKind) -> HashMap<String, String> {
    let mut attributes = HashMap::new();
    if !tags.is_empty() {
        let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
        attributes.insert("name".to_owned(), names.join(","));
    }
    if store == ImageStoreKind::Containerd {
        // Ready to run, as an image in a graph driver's store always is.
        attributes.insert("unpack".to_owned(), "true".to_owned());
    }
    attributes
}

fn cache_import(image: &ImageRef) -> CacheOptionsEntry {
    let attrs = HashMap::from([("ref".to_owned(), image.to_string())]);
    CacheOptionsEntry { r#type: "registry".to_owned(), attrs }
}

fn frontend_attributes(request: &BuildRequest, filename: &str) -> HashMap<String, String> {
    let mut attributes = HashMap::new();
    let mut set = |name: &str, value: String| {
        attributes.insert(name.to_owned(), value);
    };
    set("filename", filename.to_owned());
    // The frontend looks for a `# syntax=` line, and for the argument BUILDKIT_SYNTAX, only while this is
    // unset: with it no frontend image is ever fetched, whatever the context holds.
    set("cmdline", "dockerfile.v0".to_owned());
    if let ContextSource::Address(address) = &request.context {
        set("context", address.clone());
    }
    if let Some(target) = &request.target {
        set("target", target.clone());
    }
    if let Some(platform) = request.platform() {
        set("platform", platform.to_string());
    }
    if request.cache == CacheUse::Ignore {
        set("no-cache", String::new());
    }
    match request.pull {
        PullPolicy::Always => set("image-resolve-mode", "pull".to_owned()),
        PullPolicy::Missing | PullPolicy::Never => set("image-resolve-mode", "local".to_owned()),
    }
    match request.network {
        NetworkMode::Default => {}
        NetworkMode::Host => set("force-network-mode", "host".to_owned()),
        NetworkMode::None => set("force-network-mode", "none".to_owned()),
    }
    if !request.extra_hosts.is_empty() {
        let hosts: Vec<String> = request.extra_hosts.iter().map(extra_host).collect();
        set("add-hosts", hosts.join(","));
    }
    if let Some(bytes) = request.shm_size {
        set("shm-size", bytes.to_string());
    }
    if !request.cache_from.is_empty() {
        let imports: Vec<_> = request
            .cache_from
            .iter()
            .map(|image| serde_json::json!({"Type": "registry", "Attrs": {"ref": image.to_string()}}))
            .collect();
        set("cache-imports", serde_json::Value::Array(imports).to_string());
    }
    for (name, value) in &request.build_args {
        set(&format!("build-arg:{name}"), value.clone());
    }
    for (name, value) in &request.labels {
        set(&format!("label:{name}"), value.clone());
    }
    attributes
}

fn extra_host(host: &ExtraHost) -> String {
    match host.address {
        HostAddress::Ip(address) => format!("{}={address}", host.name),
        HostAddress::HostGateway => format!("{}=host-gateway", host.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> BuildRequest {
        BuildRequest::new(ContextSource::Folder("/src".into()))
    }

    #[test]
    fn every_option_has_its_attribute() {
        let mut request = request();
        request.tags = vec!["a.b/c:1".parse().unwrap(), "a.b/c:2".parse().unwrap()];
        request.target = Some("tests".to_owned());
        request.platforms = vec!["linux/arm64".parse().unwrap()];
        request.cache = CacheUse::Ignore;
        request.pull = PullPolicy::Always;
        request.network = NetworkMode::Host;
        request.shm_size = Some(1 << 20);
        request.cache_from = vec!["a.b/cache:1".parse().unwrap()];
        request.build_args.insert("V".to_owned(), "1=2".to_owned());
        request.labels.insert("l".to_owned(), "x y".to_owned());
        let address = HostAddress::Ip([10, 0, 0, 1].into());
        request.extra_hosts = vec![ExtraHost { name: "db".to_owned(), address }];

        let solve = solve_request(&request, ImageStoreKind::GraphDriver, DOCKERFILE, "id");
        let sorted: std::collections::BTreeMap<_, _> = solve.frontend_attrs.iter().collect();
        let shown: Vec<String> = sorted.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            shown,
            [
                "add-hosts=db=10.0.0.1",
                "build-arg:V=1=2",
                r#"cache-imports=[{"Attrs":{"ref":"a.b/cache:1"},"Type":"registry"}]"#,
                "cmdline=dockerfile.v0",
                "filename=Dockerfile",
                "force-network-mode=host",
                "image-resolve-mode=pull",
                "label:l=x y",
                "no-cache=",
                "platform=linux/arm64",
                "shm-size=1048576",
                "target=tests",
            ]
        );
        assert_eq!(solve.exporter_attrs_deprecated["name"], "a.b/c:1,a.b/c:2");
        assert_eq!(solve.entitlements, ["network.host"]);
    }

    #[test]
    fn a_frontend_is_never_fetched_threat_18() {
        let solve = solve_request(&request(), ImageStoreKind::Containerd, DOCKERFILE, "id");
        assert!(solve.frontend_attrs.contains_key("cmdline"));
        assert_eq!(
            (solve.exporter_deprecated.as_str(), solve.frontend.as_str()),
            ("image", "dockerfile.v0")
        );
    }
}
