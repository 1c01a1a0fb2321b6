//! Hands the daemon the secrets and ssh agents that the request names, and no others.

use std::pin::Pin;

use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::Secrets;
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{
    BytesMessage, CheckAgentRequest, CheckAgentResponse,
};
use boxwright_core::{Session, async_trait};
use futures_util::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// What a daemon may get of a session.
#[derive(Clone, Debug)]
pub(super) struct SecretsService {
    pub(super) session: Session,
    pub(super) secrets: Vec<String>,
    pub(super) agents: Vec<String>,
}

#[async_trait]
impl Secrets for SecretsService {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        let known = self.secrets.contains(&id).then(|| self.session.secrets.get(&id)).flatten();
        // A step whose secret is not required goes on at `NotFound`.
        let secret = known.ok_or_else(|| Status::not_found(format!("secret {id}: not found")))?;
        Ok(Response::new(GetSecretResponse { data: secret.expose().to_vec() }))
    }
}

impl SecretsService {
    async fn connect(&self, id: &str) -> Result<UnixStream, Status> {
        let id = if id.is_empty() { "default" } else { id };
        let known = self.agents.iter().any(|agent| agent == id);
        let socket = known.then(|| self.session.ssh_agents.get(id)).flatten();
        let socket =
            socket.ok_or_else(|| Status::not_found(format!("ssh agent {id}: not found")))?;
        UnixStream::connect(socket).await.map_err(|error| {
            Status::unavailable(format!(
                "cannot reach the ssh agent at {}: {error}",
                socket.display()
            ))
        })
    }
}

#[async_trait]
impl Ssh for SecretsService {
    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.connect(&request.into_inner().id).await?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    type ForwardAgentStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        // SPEC: BuildKit, `session/sshforward/ssh.go`: the id comes as metadata.
        let id = request.metadata().get("buildkit.ssh.id").and_then(|id| id.to_str().ok());
        let agent = self.connect(id.unwrap_or_default()).await?;
        let (sender, receiver) = mpsc::channel(8);
        tokio::spawn(forward(agent, request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

/// Carries bytes both ways until either side ends.
async fn forward(
    agent: UnixStream,
    mut incoming: Streaming<BytesMessage>,
    outgoing: mpsc::Sender<Result<BytesMessage, Status>>,
) {
    let (mut from_agent, mut to_agent) = agent.into_split();
    let inward = async {
        while let Ok(Some(message)) = incoming.message().await {
            if to_agent.write_all(&message.data).await.is_err() {
                break;
            }
        }
        // The agent sees the end of input; whether it still can is its own affair.
        let _ = to_agent.shutdown().await;
    };
    let outward = async {
        let mut buffer = vec![0; 32 << 10];
        while let Ok(count @ 1..) = from_agent.read(&mut buffer).await {
            let message = BytesMessage { data: buffer[..count].to_vec() };
            if outgoing.send(Ok(message)).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(inward, outward);
}
