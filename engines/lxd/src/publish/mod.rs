//! Publishes a built image as one that instances are launched from: an image of the server's, and aliases that point at it.

#[cfg(test)]
mod tests;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use boxwright_core::{
    BuildRequest, ByteStream, CancellationToken, Digest, Error, ErrorKind, ImageRef, Result,
    Session,
};
use boxwright_http::Body;
use boxwright_image::output::tar_stream;
use boxwright_image::view::Tree;
use boxwright_portable::Store;
use boxwright_worker_program::WorkerProgram;
use tokio::io::{AsyncRead, ReadBuf};

use crate::api::wire::{Alias, Image};
use crate::api::{Api, Flavor};
use crate::config::LxdConfig;
use crate::instance_image::{RECIPE, frame, recipe};

const WHAT: &str = "cannot publish the image to LXD";

/// How long the server has to end a request when the build is cancelled.
const GRACE: Duration = Duration::from_secs(10);

/// Returns the aliases that an image gets: those of the request, and with the setting `publish` one for each of its names.
pub(crate) fn aliases(request: &BuildRequest, is_set: bool) -> Vec<String> {
    let mut aliases = request.instance_aliases.clone();
    if is_set {
        aliases.extend(request.tags.iter().map(alias));
    }
    aliases.sort();
    aliases.dedup();
    aliases
}

/// Returns the alias of a name: the last part of its repository, and its tag unless that is `latest`. A colon would be the end of a
/// remote's name.
fn alias(name: &ImageRef) -> String {
    let repository = name.repository().rsplit('/').next().unwrap_or_default();
    match name.tag() {
        None | Some("latest") => repository.to_owned(),
        Some(tag) => format!("{repository}/{tag}"),
    }
}

/// Returns the command that launches an instance of the image with this alias.
pub(crate) fn command(flavor: Flavor, config: &LxdConfig, alias: &str) -> String {
    let client = flavor.client();
    let project = config.project.iter().map(|project| format!(" --project {project}"));
    let project: String = project.collect();
    match (&config.host, &config.remote) {
        // Without the second one, the instance would be on the local server.
        (None, Some(remote)) => format!("{client} launch {remote}:{alias} {remote}:{project}"),
        _ => format!("{client} launch {alias}{project}"),
    }
}

/// Publishes images of a store to a server.
#[derive(Debug)]
pub(crate) struct Publisher<'a> {
    pub(crate) api: &'a Api,
    pub(crate) store: &'a Store,
    pub(crate) program: &'a WorkerProgram,
}

/// What was changed on the server, to be taken back when the rest fails.
#[derive(Debug, Default)]
struct Done {
    /// The image, if it was not there before.
    image: Option<String>,
    /// Aliases with what they pointed at before.
    aliases: Vec<(String, Option<Alias>)>,
}

impl Publisher<'_> {
    /// Makes `aliases` point at an image made from the image `id` of the store, and returns its fingerprint. Either all of them do
    /// in the end, or the server is as it was.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when the image starts nothing, [`ErrorKind::Unsupported`] when it is for a machine that the
    /// program is not for, [`ErrorKind::Exhausted`] when the server's disk is full, [`ErrorKind::Cancelled`].
    pub(crate) async fn publish(
        &self,
        id: &Digest,
        aliases: &[String],
        session: &Session,
    ) -> Result<String> {
        let mut done = Done::default();
        let published = self.steps(id, aliases, &mut done, session).await;
        if let Err(error) = published {
            return Err(match self.take_back(done).await {
                Ok(()) => error,
                Err(left) => error.with_context("left on the server", left.to_string()),
            });
        }
        published
    }

    async fn steps(
        &self,
        id: &Digest,
        aliases: &[String],
        done: &mut Done,
        session: &Session,
    ) -> Result<String> {
        let recipe = recipe(id, self.program);
        let fingerprint = match session.cancellable(self.find(&recipe)).await? {
            Some(found) => found,
            None => match self.upload(id, session).await {
                Ok(made) => done.image.insert(made).clone(),
                // Somebody else publishes the same just now.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    self.find(&recipe).await?.ok_or(error)?
                }
                Err(error) => return Err(error),
            },
        };
        for alias in aliases {
            if session.cancel.is_cancelled() {
                return Err(Session::cancelled());
            }
            let before = self.api.alias(alias, WHAT).await?;
            let after = Alias {
                name: alias.clone(),
                target: fingerprint.clone(),
                description: before.as_ref().map(|it| it.description.clone()).unwrap_or_default(),
            };
            done.aliases.push((alias.clone(), before.clone()));
            match before {
                Some(before) if before.target == fingerprint => {}
                Some(_) => self.api.set_alias(&after, WHAT).await?,
                None => self.api.add_alias(&after, WHAT).await?,
            }
        }
        // What was cancelled while the last thing was done is taken back, too.
        match session.cancel.is_cancelled() {
            true => Err(Session::cancelled()),
            false => Ok(fingerprint),
        }
    }

    async fn find(&self, recipe: &str) -> Result<Option<String>> {
        let images: Vec<Image> = self.api.get("/1.0/images?recursion=1", WHAT).await?;
        let same = |it: &Image| it.properties.get(RECIPE).is_some_and(|found| found == recipe);
        Ok(images.into_iter().find(same).map(|image| image.fingerprint))
    }

    async fn upload(&self, id: &Digest, session: &Session) -> Result<String> {
        // What is read is not removed meanwhile.
        let _user = self.store.enter().await?;
        let manifest = self.store.built(id).await?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, WHAT).with_cause("the store lacks what was just built")
        })?;
        let layout = self.store.layout();
        let config = layout.config(&manifest).await?;
        self.program.require(&config.architecture)?;
        let tree = session.cancellable(Tree::from_layers(layout, &manifest)).await?;
        let frame = frame(id, &config, &tree, self.program)?;
        let server = self.api.server.flavor.name();
        session.events.notice(format!("sending the image to {server}")).await;
        let stream = tar_stream(tree, layout, &manifest, frame);
        let stopped = Box::pin(session.cancel.clone().cancelled_owned());
        let body = Body::reader(UntilCancelled { stream, stopped });
        let sent = self.api.add_image(body, WHAT);
        let sent = tokio::select! {
            sent = sent => sent,
            () = over(&session.cancel) => Err(Session::cancelled()),
        };
        // A stream that breaks off since the build is cancelled is no other failure.
        sent.map_err(|error| match session.cancel.is_cancelled() {
            true => Session::cancelled(),
            false => error,
        })
    }

    /// Puts everything back as it was. Tries all of it, and fails with the first failure.
    async fn take_back(&self, done: Done) -> Result<()> {
        let mut first = Ok(());
        for (name, before) in done.aliases.into_iter().rev() {
            let restored = match before {
                Some(before) => self.api.set_alias(&before, "cannot restore an alias").await,
                None => {
                    let path = format!("/1.0/images/aliases/{name}");
                    self.api.delete(&path, "cannot remove an alias").await
                }
            };
            first = first.and(restored);
        }
        if let Some(fingerprint) = done.image {
            let path = format!("/1.0/images/{fingerprint}");
            first = first.and(self.api.delete(&path, "cannot remove an image").await);
        }
        first
    }
}

/// Waits until a cancelled request has had its time.
async fn over(cancel: &CancellationToken) {
    cancel.cancelled().await;
    tokio::time::sleep(GRACE).await;
}

/// A stream that breaks off when the build is cancelled. The server then forgets what it has of it; a request that was sent whole
/// is answered, so that it is known what to take back.
struct UntilCancelled {
    stream: ByteStream,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl AsyncRead for UntilCancelled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stopped.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::Error::other(Session::cancelled())));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}
