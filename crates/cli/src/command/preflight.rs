//! What `build --push` asks of the registry before it builds, and after it has pushed.

use std::sync::Arc;

use boxwright_core::{Credentials, ErrorKind, ImageRef, Platform, PushOutput, Result, Session};
use boxwright_engines::Settings;
use boxwright_registry::{Client, create_repository};

use super::check;
use crate::app::App;
use crate::args::BuildArgs;
use crate::render::bytes;

/// What is asked, and who asks.
#[derive(Debug)]
pub(super) struct Preflight {
    images: Vec<ImageRef>,
    pushes: Client,
    creates: bool,
    pulls: Option<Puller>,
}

/// Who pulls.
#[derive(Debug)]
struct Puller {
    whose: String,
    client: Client,
    /// Empty for this machine's.
    platforms: Vec<Platform>,
}

impl Preflight {
    /// Reads the credentials that are named, before anything starts.
    pub(super) fn new(
        args: &BuildArgs,
        images: &[ImageRef],
        platforms: &[Platform],
        session: &Session,
        app: &App,
    ) -> Result<Self> {
        let client = |credentials: Arc<dyn Credentials>| {
            Client::new(&app.host, session.registries.clone(), credentials)
        };
        let pulls = match (args.check_as.as_deref(), images.first()) {
            (Some(who), Some(image)) => Some(Puller {
                whose: check::named(who),
                client: client(check::credentials(who, image, app)?),
                platforms: platforms.to_vec(),
            }),
            _ => None,
        };
        Ok(Self {
            images: if args.push { images.to_vec() } else { Vec::new() },
            pushes: client(session.credentials.clone()),
            creates: args.create_repository,
            pulls,
        })
    }

    /// Asks whether the push will be allowed, and creates what it would miss.
    pub(super) async fn before(
        &self,
        args: &BuildArgs,
        settings: &Settings,
        app: &App,
    ) -> Result<()> {
        if self.pulls.is_none() && !self.creates {
            return Ok(());
        }
        let (client, progress) = app.asking(self.pushes.clone(), &args.progress, settings);
        let asked = async {
            for image in &self.images {
                self.may_be_pushed(image, &client, app).await?;
            }
            Ok(())
        };
        let asked = tokio::select! {
            biased;
            () = app.cancel.cancelled() => Err(Session::cancelled()),
            asked = asked => asked,
        };
        drop(client);
        progress.finish().await;
        asked
    }

    async fn may_be_pushed(&self, image: &ImageRef, client: &Client, app: &App) -> Result<()> {
        match client.check_push(image).await {
            Err(error) if self.creates && error.kind() == ErrorKind::NotFound => {
                create_repository(&app.host, image).await?;
                app.console.say(&format!("created the repository `{}`", image.name()));
                client.check_push(image).await
            }
            asked => asked,
        }
    }

    /// Asks whether what was pushed can be pulled.
    pub(super) async fn after(&self, pushed: &[PushOutput], session: &Session) -> Result<()> {
        let Some(Puller { whose, client, platforms }) = &self.pulls else { return Ok(()) };
        let client = client.clone().with_events(session.events.clone());
        for output in pushed {
            let pinned = output.image.at_digest(output.digest.clone());
            let mut wanted: Vec<Option<&Platform>> = platforms.iter().map(Some).collect();
            if wanted.is_empty() {
                wanted.push(None);
            }
            for platform in wanted {
                let checked = client.check(&pinned, platform);
                let found = tokio::select! {
                    biased;
                    () = session.cancel.cancelled() => return Err(Session::cancelled()),
                    checked = checked => checked?,
                };
                let size = bytes(found.size);
                let shown = match platform.filter(|_| platforms.len() > 1) {
                    Some(platform) => format!("`{}` for `{platform}`", output.image),
                    None => format!("`{}`", output.image),
                };
                session.events.notice(format!("{whose} can pull {shown}: {size}")).await;
            }
        }
        Ok(())
    }
}
