//! Finds and opens containerds.

use std::io::ErrorKind as Io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use boxwright_core::{
    Detection, Engine, EngineName, EngineProvider, Error, ErrorKind, Host, Instance, Result,
};
use boxwright_portable::{BUILDER, Store};
use containerd_client::Client;
use containerd_client::services::v1::{ListNamespacesRequest, PluginsRequest};
use futures_util::future::join_all;
use tonic::Request;
use tonic::transport::Channel;

use crate::api::{Api, namespace_value};
use crate::config::ContainerdConfig;
use crate::endpoints::{
    self, Chosen, NAMESPACE, Place, Places, USUAL, namespace, places, snapshotter,
};
use crate::engine::ContainerdEngine;
use crate::errors::failed;
use crate::{place, sweep};

/// The engine's name in settings and on the command line.
pub(crate) const NAME: EngineName = EngineName::new("containerd");

/// How long one place has to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// Snapshotters that are taken where nobody names one, the better one first.
const USUAL_SNAPSHOTTERS: [&str; 2] = ["overlayfs", "native"];

/// Finds and opens containerds.
#[derive(Debug, Default)]
pub struct ContainerdProvider {
    config: ContainerdConfig,
}

/// A containerd that answered.
struct Server {
    channel: Channel,
    version: String,
    namespace: String,
    snapshotter: String,
}

impl ContainerdProvider {
    /// Returns a provider with these settings.
    #[must_use]
    pub fn new(config: ContainerdConfig) -> Self {
        Self { config }
    }

    async fn ask(&self, place: &Place, host: &Host) -> Option<Detection> {
        let missing =
            place.socket.symlink_metadata().is_err_and(|error| error.kind() == Io::NotFound);
        if missing {
            return None;
        }
        let answer = tokio::time::timeout(LIMIT, self.connect(&place.socket, host)).await;
        let answer = answer.unwrap_or_else(|_| {
            let error = Error::new(ErrorKind::Unavailable, "no answer within two seconds");
            Err(error.with_cause("containerd hangs").with_remedy(restart(&place.socket)))
        });
        let endpoint = place.endpoint();
        Some(match answer {
            Ok(server) => Detection::Ready(instance(place, &server)),
            Err(error) => Detection::Unusable { place: endpoint, error },
        })
    }

    /// Asks the one place that the user named. What is wrong with it says what named it.
    async fn ask_named(&self, place: &Place, host: &Host) -> Detection {
        match self.ask(place, host).await {
            Some(Detection::Unusable { place: shown, error }) => Detection::Unusable {
                place: shown,
                error: error.with_context("set by", place.source.clone()),
            },
            Some(other) => other,
            None => {
                let shown = place.endpoint();
                let error =
                    Error::new(ErrorKind::Unavailable, format!("cannot connect to `{shown}`"))
                        .with_cause("there is no such socket")
                        .with_context("set by", place.source.clone())
                        .with_remedy(format!(
                            "{}, or correct {}",
                            restart(&place.socket),
                            place.source
                        ));
                Detection::Unusable { place: shown, error }
            }
        }
    }

    /// Connects to a containerd and asks for what has to be known of it. Changes nothing.
    async fn connect(&self, socket: &Path, host: &Host) -> Result<Server> {
        // The channel would tell no more than that it cannot connect.
        let connection = tokio::net::UnixStream::connect(socket).await;
        drop(connection.map_err(|error| cannot_connect(socket, host, error))?);
        let channel = containerd_client::connect(socket).await;
        let channel = channel.map_err(|error| not_containerd(socket, &error))?;
        let client = Client::from(channel.clone());
        let version = client.version().version(()).await;
        let version =
            version.map_err(|status| not_containerd(socket, &status))?.into_inner().version;
        let namespace = self.namespace(&client, host).await?;
        let snapshotter = self.snapshotter(&client, host, &namespace).await?;
        // Debian's begins with the number alone, others with a `v`.
        let version = version.trim_start_matches('v').to_owned();
        Ok(Server { channel, version, namespace, snapshotter })
    }

    async fn namespace(&self, client: &Client, host: &Host) -> Result<String> {
        let Chosen { value, source } = namespace(host, &self.config);
        let checked = namespace_value(&value);
        let Some(source) = source else { return checked.map(|_| value) };
        checked.map_err(|error| error.with_context("set by", source))?;
        // Asked for by name, one that does not exist is answered as if it did.
        let listed = client.namespaces().list(ListNamespacesRequest::default()).await;
        let listed =
            listed.map_err(failed("cannot ask containerd for its namespaces"))?.into_inner();
        let is_there = listed.namespaces.iter().any(|there| there.name == value);
        // containerd makes one with the first image in it, which a slip of the pen should not do.
        if is_there || value == NAMESPACE {
            return Ok(value);
        }
        Err(Error::new(ErrorKind::Unavailable, format!("there is no namespace `{value}`"))
            .with_cause("this containerd has none of that name")
            .with_context("set by", source)
            .with_remedy(format!(
                "make it: `ctr namespaces create {value}`, or see `ctr namespaces list` for what there is"
            )))
    }

    /// Returns the snapshotter that the user chose, or the best one that works here.
    async fn snapshotter(&self, client: &Client, host: &Host, namespace: &str) -> Result<String> {
        let filters = vec!["type==io.containerd.snapshotter.v1".to_owned()];
        let mut request = Request::new(PluginsRequest { filters });
        request.metadata_mut().insert("containerd-namespace", namespace_value(namespace)?);
        let plugins = client.introspection().plugins(request).await;
        let plugins = plugins.map_err(failed("cannot ask containerd for its snapshotters"))?;
        let plugins = plugins.into_inner().plugins;
        let working = plugins.iter().filter(|plugin| plugin.init_err.is_none());
        let working: Vec<&str> = working.map(|plugin| plugin.id.as_str()).collect();
        let Some(Chosen { value, source }) = snapshotter(host, &self.config) else {
            let usual = USUAL_SNAPSHOTTERS.into_iter().find(|name| working.contains(name));
            return usual.map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, "containerd has no usual snapshotter")
                    .with_cause(format!(
                        "neither `overlayfs` nor `native` works; there is {}",
                        list(&working)
                    ))
                    .with_remedy("name one by the setting `engine.containerd.snapshotter`")
            });
        };
        if working.contains(&value.as_str()) {
            return Ok(value);
        }
        let broken = plugins.iter().find(|plugin| plugin.id == value);
        let cause = match broken.and_then(|plugin| plugin.init_err.as_ref()) {
            Some(error) => format!("it does not work here: {}", error.message),
            None => "containerd has none of that name".to_owned(),
        };
        let error =
            Error::new(ErrorKind::Unavailable, format!("cannot use the snapshotter `{value}`"));
        let error = error.with_cause(cause).with_remedy(format!("use {}", list(&working)));
        Err(error.with_context("set by", source.unwrap_or_default()))
    }
}

#[async_trait]
impl EngineProvider for ContainerdProvider {
    fn name(&self) -> EngineName {
        NAME
    }

    async fn detect(&self, host: &Host) -> Vec<Detection> {
        let found = match places(host, &self.config) {
            Ok(Places::Named(place)) => return vec![self.ask_named(&place, host).await],
            Ok(Places::Usual(found)) => found,
            Err(error) => {
                return vec![Detection::Unusable {
                    place: "containerd's settings".to_owned(),
                    error,
                }];
            }
        };
        let answers = join_all(found.iter().map(|place| self.ask(place, host))).await;
        let absent = |place: &Place| Detection::Absent { place: place.endpoint() };
        let answers = found.iter().zip(answers);
        answers.map(|(place, answer)| answer.unwrap_or_else(|| absent(place))).collect()
    }

    async fn open(
        &self,
        host: &Host,
        instance: &Instance,
        builder: Option<&str>,
    ) -> Result<Arc<dyn Engine>> {
        if let Some(builder) = builder.filter(|builder| *builder != BUILDER) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("containerd has no builder `{builder}`"),
            )
            .with_remedy(format!("use `{BUILDER}`")));
        }
        let socket = endpoints::socket(&instance.endpoint)?;
        let Server { channel, version, namespace, snapshotter } =
            self.connect(&socket, host).await?;
        let api = Api::new(channel, &socket, &namespace, &snapshotter, &version)?;
        // What cannot be removed now does not keep anyone from working.
        let _ = tokio::time::timeout(LIMIT, sweep::sweep(&api)).await;
        let built = Store::open(place::store(host)?)?;
        Ok(Arc::new(ContainerdEngine::new(api, built, instance.rootless == Some(true))))
    }
}

fn instance(place: &Place, server: &Server) -> Instance {
    let version = server.version.as_str();
    let mut instance = Instance::new(NAME, place.endpoint(), place.source.clone(), version);
    instance.rootless = Some(place.is_rootless);
    instance.storage_driver = Some(server.snapshotter.clone());
    instance.builders = vec![BUILDER.to_owned()];
    instance.notes = vec![format!("namespace {}", server.namespace)];
    instance
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn cannot_connect(socket: &Path, host: &Host, error: std::io::Error) -> Error {
    let shown = socket.display();
    let message = format!("cannot connect to `unix://{shown}`");
    let error_kind = error.kind();
    let unavailable = Error::new(ErrorKind::Unavailable, message);
    match error_kind {
        Io::PermissionDenied if host.user_id() != 0 => unavailable
            .with_cause("permission denied: the socket is for root alone")
            .with_remedy("run as root, or use a containerd of your own: `containerd-rootless-setuptool.sh install`"),
        Io::ConnectionRefused => unavailable
            .with_cause("nothing listens there: containerd ended and left its socket")
            .with_remedy(restart(socket)),
        _ => unavailable.with_source(error).with_remedy(restart(socket)),
    }
}

/// Says how to start a containerd that is to listen at `socket`.
fn restart(socket: &Path) -> String {
    let has_systemd = Path::new("/run/systemd/system").is_dir();
    match socket {
        usual if usual == Path::new(USUAL) && has_systemd => {
            "start it: `sudo systemctl restart containerd`".to_owned()
        }
        k3s if k3s.starts_with("/run/k3s") => "start it: `sudo systemctl restart k3s`".to_owned(),
        other => format!("start it: `containerd --address {} &`", other.display()),
    }
}

fn not_containerd(socket: &Path, answer: &dyn std::error::Error) -> Error {
    let message = format!("`unix://{}` is not containerd", socket.display());
    Error::new(ErrorKind::Unavailable, message)
        .with_cause(format!("it does not answer as containerd does ({answer})"))
        .with_remedy(format!("name the socket of one, such as `{USUAL}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(socket: &Path) -> Host {
        Host::with_variables("/", [("CONTAINERD_ADDRESS", socket)])
    }

    async fn unusable(socket: &Path) -> Error {
        let found = ContainerdProvider::default().detect(&host(socket)).await;
        let [Detection::Unusable { error, .. }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(error.context(), [("set by", "CONTAINERD_ADDRESS".to_owned())]);
        assert!(error.remedy().is_some(), "{error:?}");
        Error::new(error.kind(), error.to_string()).with_cause(error.causes().join("; "))
    }

    #[tokio::test]
    async fn a_stale_socket_and_none_at_all_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        assert_eq!(unusable(&socket).await.causes(), ["there is no such socket"]);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let causes = unusable(&socket).await.causes();
        assert!(causes[0].starts_with("nothing listens there"), "{causes:?}");
    }

    #[tokio::test]
    async fn something_else_behind_the_socket_is_told_from_containerd() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("c.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let server = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                use tokio::io::AsyncWriteExt as _;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
        });
        let error = unusable(&socket).await;
        server.abort();
        assert!(error.to_string().ends_with("is not containerd"), "{error:?}");
    }
}
