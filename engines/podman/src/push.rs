//! Transfers between the service and registries: push and pull.

use boxwright_core::{
    Digest, Error, ErrorKind, Event, ImageRef, LocalImage, PullOutput, PullRequest, PushOutput,
    PushRequest, RegistrySetting, RemoveRequest, Result, Session,
};
use boxwright_http::http::{HeaderValue, Method};
use boxwright_http::{Body, lines};
use futures_util::StreamExt as _;

use crate::api::{Api, parse, request};
use crate::query::Address;
use crate::wire::Line;
use crate::{auth, errors, images};

/// How the service is to treat a registry's TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    /// As the service's own settings say.
    Default,
    /// Plain HTTP and certificates that do not verify are taken.
    Unverified,
}

pub(crate) async fn push(api: &Api, wanted: &PushRequest, session: &Session) -> Result<PushOutput> {
    let image = &wanted.image;
    let what = format!("cannot push `{image}`");
    // The other half of the API, since before Podman 4.5 its own does not tell the digest.
    let address = Address::compatible(&["images/", &images::reference_name(image), "/push"]);
    let credential = auth::for_image(image, session).await?;
    let transfer = Transfer { api, image, what: &what, credential, session };
    let end = session.cancellable(transfer.run(&address)).await;
    let end = end.map_err(|error| images::missing(error, &LocalImage::from(image.clone())))?;
    let digest = end.digest.ok_or_else(|| {
        Error::new(ErrorKind::Protocol, "cannot tell the digest of what was pushed")
            .with_cause("the service did not say it")
    })?;
    Ok(PushOutput::new(image.clone(), digest))
}

pub(crate) async fn pull(api: &Api, wanted: &PullRequest, session: &Session) -> Result<PullOutput> {
    let image = &wanted.image;
    let what = format!("cannot pull `{image}`");
    refuse_mirrors(image.registry(), session, &what)?;
    let platform = wanted.platform.as_ref();
    let address = Address::libpod(&["images/pull"])
        .with("reference", &images::reference_name(image))
        .with("policy", "always")
        .with_some("OS", platform.map(|platform| platform.os()))
        .with_some("Arch", platform.map(|platform| platform.architecture()))
        .with_some("Variant", platform.and_then(|platform| platform.variant()));
    let credential = auth::for_image(image, session).await?;
    let name = LocalImage::from(image.clone());
    let before = images::find(api, &name).await?;
    let transfer = Transfer { api, image, what: &what, credential, session };
    let end = session.cancellable(transfer.run(&address)).await?;
    let id = end.id.ok_or_else(|| {
        Error::new(ErrorKind::Protocol, what.as_str())
            .with_cause("the service did not say which image it is")
    })?;
    let details = images::inspect(api, &LocalImage::from(id.clone())).await?;
    if let Some(platform) = platform.filter(|platform| **platform != details.platform) {
        let is_same = platform.os() == details.platform.os()
            && platform.architecture() == details.platform.architecture();
        // The service does not tell a variant.
        if !is_same {
            // The service takes it with no more than a warning.
            match before {
                Some(before) if image.digest().is_none() => {
                    images::tag(api, &before.into(), image).await?
                }
                Some(_) => {}
                None => drop(images::remove(api, &RemoveRequest::new(name)).await?),
            }
            return Err(Error::new(ErrorKind::NotFound, what)
                .with_cause(format!("it is for {}, not {platform}", details.platform)));
        }
    }
    let mut known = details.digests.iter().filter(|known| known.name() == image.name());
    let only = known.next().filter(|_| known.next().is_none());
    let digest = image.digest().or_else(|| only.and_then(ImageRef::digest)).cloned();
    Ok(PullOutput::new(id, digest))
}

/// Fails if the user set mirrors for `registry`: the service asks those of its own settings only.
pub(crate) fn refuse_mirrors(registry: &str, session: &Session, what: &str) -> Result<()> {
    let setting = session.registries.get(registry);
    if setting.is_none_or(|setting| setting.mirrors.is_empty()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, what)
        .with_cause(format!("Podman would not ask the mirrors that are set for `{registry}`"))
        .with_remedy("set them in the service's own `/etc/containers/registries.conf`, and take them out of yours"))
}

/// Whether the user lets `registry` go unverified.
pub(crate) fn is_insecure(setting: Option<&RegistrySetting>) -> bool {
    setting.is_some_and(|setting| setting.insecure || setting.plain_http == Some(true))
}

/// Whether plain HTTP may be tried with `registry`: it is on this machine, and nothing else is set.
pub(crate) fn may_be_plain(registry: &str, setting: Option<&RegistrySetting>) -> bool {
    let host = match registry.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    is_loopback
        && setting.is_none_or(|setting| setting.plain_http != Some(false) && setting.ca.is_none())
}

/// One transfer.
struct Transfer<'a> {
    api: &'a Api,
    image: &'a ImageRef,
    what: &'a str,
    credential: Option<HeaderValue>,
    session: &'a Session,
}

/// What a transfer came to.
#[derive(Debug, Default)]
struct End {
    id: Option<Digest>,
    digest: Option<Digest>,
    failure: Option<String>,
}

impl Transfer<'_> {
    async fn run(&self, address: &Address) -> Result<End> {
        let registry = self.image.registry();
        let setting = self.session.registries.get(registry);
        let tls = if is_insecure(setting) { Tls::Unverified } else { Tls::Default };
        let mut end = self.attempt(address, tls).await?;
        let plain = end.failure.as_deref().is_some_and(errors::is_plain_http);
        if plain && tls == Tls::Default && may_be_plain(registry, setting) {
            end = self.attempt(address, Tls::Unverified).await?;
        }
        match &end.failure {
            Some(text) => Err(errors::of_transfer(self.what, registry, text)),
            None => Ok(end),
        }
    }

    async fn attempt(&self, address: &Address, tls: Tls) -> Result<End> {
        let address = match tls {
            Tls::Default => address.clone(),
            Tls::Unverified => address.clone().with("tlsVerify", "false"),
        };
        let mut request = request(Method::POST, &address, Body::empty())?;
        if let Some(credential) = &self.credential {
            request.headers_mut().insert(auth::ONE, credential.clone());
        }
        let mut lines = lines(self.api.stream(request, self.what).await?.into_body());
        let mut end = End::default();
        while let Some(line) = lines.next().await {
            let line: Line = parse(&line?)?;
            end.take(&line)?;
            if let Some(event) = event(&line) {
                self.session.events.emit(event).await;
            }
        }
        Ok(end)
    }
}

impl End {
    fn take(&mut self, line: &Line) -> Result<()> {
        if let Some(failure) = line.failure() {
            self.failure = Some(failure.to_owned());
        }
        if let Some(id) = &line.id {
            // In a push this is the short name of a layer.
            self.id = images::id(id).ok().or(self.id.take());
        }
        let said = line.aux.as_ref().and_then(|aux| aux.digest.as_deref());
        let said = said.or_else(|| line.status.as_deref().and_then(digest_in));
        if let Some(said) = said.filter(|said| !said.is_empty()) {
            self.digest = Some(said.parse().map_err(|error: Error| {
                Error::new(ErrorKind::Protocol, "cannot read the service's answer")
                    .with_source(error)
            })?);
        }
        Ok(())
    }
}

/// Reads `latest: digest: sha256:… size: 1067`.
fn digest_in(status: &str) -> Option<&str> {
    status.split_once("digest: ")?.1.split(' ').next()
}

fn event(line: &Line) -> Option<Event> {
    let transfer = |item: &str, status: &str| Event::Transfer {
        item: item.to_owned(),
        status: status.to_owned(),
        current: None,
        total: None,
    };
    if let Some(text) = &line.stream {
        let text = text.trim();
        return (!text.is_empty()).then(|| match text.split_once(" sha256:") {
            Some((status, digest)) => {
                transfer(digest.get(..12).unwrap_or(digest), &status.to_lowercase())
            }
            None => transfer("image", text),
        });
    }
    let status = line.status.as_ref()?;
    let Some(id) = &line.id else {
        let is_end = digest_in(status).is_some();
        return Some(transfer("image", if is_end { "pushed" } else { "pushing" }));
    };
    let number = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
    let progress = line.progress.as_ref();
    Some(Event::Transfer {
        item: id.clone(),
        status: status.to_lowercase(),
        current: progress.and_then(|progress| number(progress.current)),
        total: progress.and_then(|progress| number(progress.total)).filter(|total| *total > 0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(recorded: &str) -> End {
        let mut end = End::default();
        for line in recorded.lines().filter(|line| !line.is_empty()) {
            end.take(&serde_json::from_str(line).unwrap()).unwrap();
        }
        end
    }

    #[test]
    fn a_push_tells_the_digest_and_a_pull_the_image() {
        let pushed = end(include_str!("../tests/recorded/4.3.1/push.ndjson"));
        assert_eq!(pushed.digest.unwrap().short(), "6ca70c4e54e9");
        let newer = r#"{"status":"1: digest: ","aux":{"Tag":"1","Digest":"sha256:6ca70c4e54e967a2ad830348718df7e269f5827e0b7465fbc2e7070850baf3df","Size":581}}"#;
        assert_eq!(end(newer).digest.unwrap().short(), "6ca70c4e54e9");
        let pulled = end(include_str!("../tests/recorded/4.3.1/pull.ndjson"));
        assert_eq!(pulled.id.unwrap().short(), "7425e9f660df");
        assert_eq!((pulled.failure, pulled.digest), (None, None));
    }

    #[test]
    fn a_push_says_when_it_begins_and_when_it_is_over() {
        let recorded = include_str!("../tests/recorded/4.3.1/push.ndjson");
        let lines = recorded.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
        let shown: Vec<String> = lines
            .filter_map(|line| event(&line))
            .map(|event| match event {
                Event::Transfer { item, status, .. } => format!("{item} {status}"),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, ["image pushing", "image pushed"]);
    }

    #[test]
    fn a_failure_is_taken_whatever_the_status_was() {
        let refused = end(include_str!("../tests/recorded/4.3.1/push-unauthorized.ndjson"));
        assert!(refused.failure.unwrap().ends_with("unauthorized: authentication required"));
        let missing = end(include_str!("../tests/recorded/4.3.1/pull-no-manifest.ndjson"));
        assert!(missing.failure.unwrap().ends_with("manifest unknown"));
    }

    #[test]
    fn only_a_registry_on_this_machine_may_be_plain_unless_the_user_says_so() {
        for (registry, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("r.example:5000", false),
            ("localhost.r.example", false),
        ] {
            assert_eq!(may_be_plain(registry, None), expected, "{registry}");
        }
        let mut setting = RegistrySetting::default();
        assert!(!is_insecure(Some(&setting)));
        setting.plain_http = Some(false);
        assert!(!may_be_plain("localhost:5000", Some(&setting)));
        setting.insecure = true;
        assert!(is_insecure(Some(&setting)));
    }
}
