//! The session of one build: the services that the daemon may call while it builds.

use bollard_buildkit_proto::health::health_server::HealthServer;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::SecretsServer;
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::AuthServer;
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use boxwright_core::{BuildRequest, CancellationToken, Result, Session};
use boxwright_http::Client;
use tonic::transport::Server;

use super::channel;
use super::credentials::CredentialsService;
use super::failures::Noted;
use super::files::FilesService;
use super::folders::Folders;
use super::health::HealthService;
use super::secrets::SecretsService;

/// The most that one message may be, in bytes: what BuildKit itself allows.
const MOST_BYTES: usize = 16 << 20;

/// A session that is served in the background until this is dropped.
#[derive(Debug)]
pub(super) struct BuildSession {
    /// What its services could not do.
    pub(super) noted: Noted,
    end: CancellationToken,
}

impl Drop for BuildSession {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Opens the session of `request` with a daemon, and serves `folders`, credentials, secrets and agents.
pub(super) async fn open(
    client: &Client,
    request: &BuildRequest,
    session: &Session,
    folders: Folders,
    id: String,
) -> Result<BuildSession> {
    let noted = Noted::default();
    let mut methods = vec!["Auth/Credentials", "FileSync/DiffCopy"]
        .into_iter()
        .map(|method| format!("/moby.filesync.v1.{method}"))
        .collect::<Vec<_>>();
    methods.push("/grpc.health.v1.Health/Check".to_owned());
    if !request.secrets.is_empty() {
        methods.push("/moby.buildkit.secrets.v1.Secrets/GetSecret".to_owned());
    }
    if !request.ssh.is_empty() {
        methods.push("/moby.sshforward.v1.SSH/CheckAgent".to_owned());
        methods.push("/moby.sshforward.v1.SSH/ForwardAgent".to_owned());
    }
    let end = CancellationToken::new();
    let key = &folders.shared_key;
    let connection = channel::session(client, &id, key, &methods, end.clone()).await?;

    let secrets = SecretsService {
        session: session.clone(),
        secrets: request.secrets.clone(),
        agents: request.ssh.clone(),
    };
    let credentials = CredentialsService { session: session.clone(), noted: noted.clone() };
    let files = FilesService { folders: folders.into(), noted: noted.clone() };
    let router = Server::builder()
        .initial_connection_window_size(channel::WINDOW)
        .add_service(AuthServer::new(credentials))
        .add_service(FileSyncServer::new(files).max_encoding_message_size(MOST_BYTES))
        .add_service(SecretsServer::new(secrets.clone()))
        .add_service(SshServer::new(secrets))
        .add_service(HealthServer::new(HealthService));
    let incoming = tokio_stream::once(Ok::<_, std::io::Error>(connection));
    tokio::spawn(async move {
        // A connection that breaks shows in the answer to the build itself.
        let _ = router.serve_with_incoming(incoming).await;
    });
    Ok(BuildSession { noted, end })
}
