//! Containers: what `run` needs of them.

use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, RemoveContainerOptionsBuilder,
    StartContainerOptions, WaitContainerOptionsBuilder,
};
use boxwright_core::{Error, ErrorKind, OutputStream, Result};
use futures_util::{Stream, StreamExt as _};

use super::Api;
use crate::errors;

/// A container that was made.
#[derive(Debug)]
pub(crate) struct Container {
    api: Api,
    id: String,
}

/// What a container writes, until it ends.
pub(crate) struct Written(
    Pin<Box<dyn Stream<Item = std::result::Result<LogOutput, BollardError>> + Send>>,
);

impl Api {
    /// Makes a container. Nothing runs yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the image is not there.
    pub(crate) async fn create(&self, body: ContainerCreateBody) -> Result<Container> {
        let what = format!("cannot make a container of `{}`", body.image.as_deref().unwrap_or(""));
        let made = self.docker.create_container(None::<CreateContainerOptions>, body).await;
        let made = made.map_err(|error| errors::failed(what, error))?;
        Ok(self.container(made.id))
    }

    /// Returns the container `id`, whether or not it is there.
    pub(crate) fn container(&self, id: String) -> Container {
        Container { api: self.clone(), id }
    }
}

impl Container {
    /// Attaches to what the container will write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when it is gone.
    pub(crate) async fn attach(&self) -> Result<Written> {
        let options =
            AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let attached = self.api.docker.attach_container(&self.id, Some(options)).await;
        let attached = attached
            .map_err(|error| errors::failed("cannot follow what the command writes", error))?;
        Ok(Written(attached.output))
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] when the image has no such program.
    pub(crate) async fn start(&self) -> Result<()> {
        let started = self.api.docker.start_container(&self.id, None::<StartContainerOptions>);
        started.await.map_err(errors::not_started)
    }

    /// Waits until it has ended, and returns its exit status.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the daemon is gone.
    pub(crate) async fn exit_code(&self) -> Result<i64> {
        let what = "cannot learn how the command ended";
        match self.wait("not-running").await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(errors::failed(what, error)),
            None => {
                Err(Error::new(ErrorKind::Protocol, what).with_cause("the daemon said nothing"))
            }
        }
    }

    /// Waits until it is gone. One that is gone already counts.
    pub(crate) async fn gone(&self) {
        // An error is that the daemon does not know it any more, or is gone itself.
        let _ = self.wait("removed").await;
    }

    async fn wait(&self, condition: &str) -> Option<std::result::Result<i64, BollardError>> {
        let options = WaitContainerOptionsBuilder::default().condition(condition).build();
        let mut answers = self.api.docker.wait_container(&self.id, Some(options)).boxed();
        match answers.next().await? {
            Ok(answer) => Some(Ok(answer.status_code)),
            // `bollard` takes every status but 0 for an error.
            Err(BollardError::DockerContainerWaitError { code, .. }) => Some(Ok(code)),
            Err(error) => Some(Err(error)),
        }
    }

    /// Ends it if it runs, and removes it with its volumes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the daemon is gone.
    pub(crate) async fn remove(&self) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.api.docker.remove_container(&self.id, Some(options)).await {
            Ok(()) | Err(BollardError::DockerResponseServerError { status_code: 404, .. }) => {
                Ok(())
            }
            Err(error) => Err(errors::failed("cannot remove the container", error)
                .with_context("container", self.id.clone())
                .or_remedy(format!("remove it with `docker rm --force {}`", self.id))),
        }
    }
}

impl Written {
    /// Returns the next piece of output, or `None` when there is no more.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when the connection breaks.
    pub(crate) async fn next(&mut self) -> Result<Option<(OutputStream, Vec<u8>)>> {
        let Some(piece) = self.0.next().await else { return Ok(None) };
        let piece = piece.map_err(|error| errors::failed("the output broke off", error))?;
        Ok(Some(match piece {
            LogOutput::StdErr { message } => (OutputStream::Stderr, message.to_vec()),
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => (OutputStream::Stdout, message.to_vec()),
        }))
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Written").finish_non_exhaustive()
    }
}
