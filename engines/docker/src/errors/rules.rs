//! The words that tell one failure of the daemon from another. Data.

use boxwright_core::ErrorKind;

/// Words that tell one failure from another, in the order in which they are looked for.
pub(super) struct Rule {
    words: &'static [&'static str],
    pub(super) kind: ErrorKind,
    pub(super) meaning: &'static str,
    /// `{registry}` stands for the registry's host.
    pub(super) remedy: Option<&'static str>,
}

const fn rule(
    words: &'static [&'static str],
    kind: ErrorKind,
    meaning: &'static str,
    remedy: &'static str,
) -> Rule {
    let remedy = if remedy.is_empty() { None } else { Some(remedy) };
    Rule { words, kind, meaning, remedy }
}

/// What goes wrong in the daemon itself.
pub(super) const DAEMON: &[Rule] = &[
    // QUIRK(docker): a graph driver's store cannot save an image without layers (image/tarexport/save.go).
    rule(
        &["empty export - not implemented"],
        ErrorKind::Unsupported,
        "the daemon saves no image without layers",
        "add a layer to the image, by a `COPY` or a `RUN`",
    ),
    rule(
        &["client sent an http request to an https server"],
        ErrorKind::Unavailable,
        "the daemon speaks TLS there",
        "set `DOCKER_TLS_VERIFY=1`, and `DOCKER_CERT_PATH` to the folder with ca.pem, cert.pem and key.pem",
    ),
    rule(
        &["no space left on device", "disk quota exceeded"],
        ErrorKind::Exhausted,
        "the daemon's disk is full",
        "free some of it: `docker system df` shows what takes it, `docker system prune` removes what nothing uses",
    ),
    rule(
        &[
            "an image does not exist locally",
            "tag does not exist",
            "no such image",
            "no such container",
        ],
        ErrorKind::NotFound,
        "the daemon has nothing of that name",
        "`boxwright images` lists what it has",
    ),
    rule(
        &["is being used by running container", "is using its referenced image"],
        ErrorKind::Conflict,
        "a container needs the image",
        "remove the container first: `docker ps --all` lists them",
    ),
    rule(
        &["image is referenced in multiple repositories", "image has dependent child images"],
        ErrorKind::Conflict,
        "other names or images need it",
        "remove the names one by one, or use `--force`",
    ),
];

/// What goes wrong between the daemon and a registry.
pub(super) const REGISTRY: &[Rule] = &[
    rule(
        &["cannot be overwritten", "immutable"],
        ErrorKind::Conflict,
        "the registry lets no tag be moved",
        "push under another tag",
    ),
    rule(
        &["toomanyrequests", "too many requests", "status: 429", "status code 429"],
        ErrorKind::Exhausted,
        "the registry limits how much it is asked",
        "wait, or log in with `boxwright login {registry}` for a higher limit",
    ),
    rule(
        &["entity too large", "status: 413", "status code 413", "413 payload"],
        ErrorKind::Exhausted,
        "the registry, or a proxy before it, takes no upload of that size",
        "raise the limit there, such as nginx's `client_max_body_size`, or make the layers smaller",
    ),
    rule(
        &["no basic auth credentials", "no credentials"],
        ErrorKind::Unauthorized,
        "the registry wants credentials",
        "log in with `boxwright login {registry}`",
    ),
    rule(
        &["pull access denied", "repository does not exist"],
        ErrorKind::NotFound,
        "the registry has no such repository, or hides it from this user",
        "correct the name, or log in with `boxwright login {registry}`",
    ),
    rule(
        &[
            "unauthorized",
            "authentication required",
            "authorization failed",
            "incorrect username or password",
            "status: 401",
        ],
        ErrorKind::Unauthorized,
        "the registry refused the credentials",
        "log in with `boxwright login {registry}`",
    ),
    rule(
        &["denied:", "is denied", "forbidden", "insufficient_scope", "status: 403"],
        ErrorKind::Unauthorized,
        "the registry does not allow this to the user",
        "log in with `boxwright login {registry}`, or use a repository you own",
    ),
    rule(
        &[
            "no matching manifest for",
            "does not match the specified platform",
            "does not provide the specified platform",
        ],
        ErrorKind::NotFound,
        "the image is not there for that platform",
        "choose another platform with `--platform`",
    ),
    rule(
        &[
            "manifest unknown",
            "name unknown",
            "repository name not known",
            "status: 404",
            "404 not found",
            ": not found",
        ],
        ErrorKind::NotFound,
        "the registry has nothing of that name",
        "correct the repository and the tag",
    ),
    rule(
        &[
            "x509:",
            "certificate signed by unknown",
            "failed to verify certificate",
            "tls: bad certificate",
        ],
        ErrorKind::Unavailable,
        "the daemon does not trust the registry's certificate",
        "put its authority into /etc/docker/certs.d/{registry}/ca.crt on the daemon's machine",
    ),
    rule(
        &[
            "server gave http response to https client",
            "first record does not look like a tls handshake",
        ],
        ErrorKind::Unavailable,
        "the registry speaks plain HTTP, which the daemon is not allowed to",
        "list \"{registry}\" under \"insecure-registries\" in the daemon's daemon.json, and restart the daemon",
    ),
    rule(
        &["no such host", "server misbehaving", "temporary failure in name resolution"],
        ErrorKind::Unavailable,
        "the daemon cannot find the registry's address",
        "correct the registry's name, or the name server of the daemon's machine",
    ),
    rule(
        &["connection refused"],
        ErrorKind::Unavailable,
        "nothing listens at the registry's address",
        "start the registry, or correct its name and port",
    ),
    rule(
        &[
            "i/o timeout",
            "handshake timeout",
            "deadline exceeded",
            "client.timeout",
            "network is unreachable",
            "no route to host",
        ],
        ErrorKind::Unavailable,
        "the daemon gets no answer from the registry",
        "see that the daemon's machine reaches the registry, and try again",
    ),
    rule(
        &[
            "connection reset",
            "broken pipe",
            ": eof",
            "unexpected eof",
            "unexpected http status: 5",
            "500 internal",
            "502 bad",
            "503 service",
            "504 gateway",
            "status code 5",
        ],
        ErrorKind::Unavailable,
        "the registry broke off or failed",
        "try again; if it stays so, see the registry's log",
    ),
];

/// What goes wrong in a build, besides a command that fails.
pub(super) const BUILD: &[Rule] = &[
    rule(
        &["requires buildkit"],
        ErrorKind::Unsupported,
        "the Dockerfile uses what only BuildKit has",
        "build with `--builder buildkit`",
    ),
    rule(
        &["failed to reach build target", "invalid from flag value", "target stage"],
        ErrorKind::NotFound,
        "the Dockerfile has no such stage",
        "correct the stage's name",
    ),
    rule(
        &["cannot locate specified dockerfile"],
        ErrorKind::NotFound,
        "the context has no such Dockerfile",
        "name it with `--file`; the path is seen from the context",
    ),
    rule(
        &[
            "parse error",
            "unknown instruction",
            "unknown flag",
            "requires at least",
            "requires exactly",
            "no build stage in current context",
            "the dockerfile",
            "file with no instructions",
            "invalid reference format",
            "syntax error",
        ],
        ErrorKind::InvalidDockerfile,
        "the Dockerfile does not parse",
        "",
    ),
    rule(
        &[
            "failed to compute cache key",
            "failed to calculate checksum",
            "no such file or directory",
            "file not found in build context",
            "no source files were specified",
            "file does not exist",
        ],
        ErrorKind::BuildFailed,
        "a file to copy is not there",
        "correct its path and the ignore file; paths are seen from the context",
    ),
    rule(
        &["secret", "ssh forward"],
        ErrorKind::BuildFailed,
        "a step needs a secret or an ssh agent that was not given",
        "give it with `--secret id=ID,src=FILE` or `--ssh default`",
    ),
];

/// Returns the first rule of `tables` that `words` match.
pub(super) fn find(tables: &[&'static [Rule]], words: &str) -> Option<&'static Rule> {
    let words = words.to_ascii_lowercase();
    let mut rules = tables.iter().flat_map(|table| table.iter());
    rules.find(|rule| rule.words.iter().any(|part| words.contains(part)))
}
