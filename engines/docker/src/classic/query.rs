//! The query of a classic build. Pure.

use boxwright_core::{BuildRequest, CacheUse, ExtraHost, HostAddress, NetworkMode, PullPolicy};
use form_urlencoded::Serializer;

/// Returns the query that makes the daemon build `request` by the file `dockerfile`, from `address` if there is one.
/// The image gets no names yet.
// SPEC: Docker Engine API 1.41, `POST /build`.
pub(super) fn of(request: &BuildRequest, dockerfile: &str, address: Option<&str>) -> String {
    let mut query = Serializer::new(String::new());
    // Removes the containers of steps, of failed ones too.
    query.append_pair("rm", "1").append_pair("forcerm", "1");
    query.append_pair("dockerfile", dockerfile);
    if let Some(address) = address {
        query.append_pair("remote", address);
    }
    if request.cache == CacheUse::Ignore {
        query.append_pair("nocache", "1");
    }
    if request.pull == PullPolicy::Always {
        query.append_pair("pull", "1");
    }
    if let Some(target) = &request.target {
        query.append_pair("target", target);
    }
    if let Some(platform) = request.platform() {
        query.append_pair("platform", &platform.to_string());
    }
    match request.network {
        NetworkMode::Default => {}
        NetworkMode::Host => drop(query.append_pair("networkmode", "host")),
        NetworkMode::None => drop(query.append_pair("networkmode", "none")),
    }
    for host in &request.extra_hosts {
        query.append_pair("extrahosts", &extra_host(host));
    }
    if let Some(size) = request.shm_size {
        query.append_pair("shmsize", &size.to_string());
    }
    if !request.build_args.is_empty() {
        query.append_pair("buildargs", &json(&request.build_args));
    }
    if !request.labels.is_empty() {
        query.append_pair("labels", &json(&request.labels));
    }
    if !request.cache_from.is_empty() {
        query.append_pair("cachefrom", &json(&request.cache_from));
    }
    query.finish()
}

fn extra_host(host: &ExtraHost) -> String {
    match host.address {
        HostAddress::Ip(address) => format!("{}:{address}", host.name),
        HostAddress::HostGateway => format!("{}:host-gateway", host.name),
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("maps and lists of text are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use boxwright_core::ContextSource;

    #[test]
    fn every_option_is_in_the_query() {
        let mut request = BuildRequest::new(ContextSource::Empty);
        assert_eq!(of(&request, "Dockerfile", None), "rm=1&forcerm=1&dockerfile=Dockerfile");
        request.cache = CacheUse::Ignore;
        request.pull = PullPolicy::Always;
        request.target = Some("one".into());
        request.platforms = vec!["linux/amd64".parse().unwrap()];
        request.network = NetworkMode::None;
        request.extra_hosts = vec![
            ExtraHost { name: "a".into(), address: HostAddress::Ip("::1".parse().unwrap()) },
            ExtraHost { name: "b".into(), address: HostAddress::HostGateway },
        ];
        request.shm_size = Some(4 << 30);
        request.build_args.insert("A".into(), "x&y=\"z\"".into());
        request.labels.insert("l".into(), "ü".into());
        request.cache_from = vec!["a.example/c:1".parse().unwrap()];
        let query = of(&request, "sub dir/Dockerfile", Some("https://a.example/x.git#main:dir"));
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let expected = [
            ("rm", "1"),
            ("forcerm", "1"),
            ("dockerfile", "sub dir/Dockerfile"),
            ("remote", "https://a.example/x.git#main:dir"),
            ("nocache", "1"),
            ("pull", "1"),
            ("target", "one"),
            ("platform", "linux/amd64"),
            ("networkmode", "none"),
            ("extrahosts", "a:::1"),
            ("extrahosts", "b:host-gateway"),
            ("shmsize", "4294967296"),
            ("buildargs", r#"{"A":"x&y=\"z\""}"#),
            ("labels", r#"{"l":"ü"}"#),
            ("cachefrom", r#"["a.example/c:1"]"#),
        ];
        let expected: Vec<(String, String)> =
            expected.iter().map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        assert_eq!(pairs, expected);
    }
}
