//! `boxwright images`: the images that the engine has.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use boxwright_core::{ImageRef, ImageSummary};

use crate::app::{App, parse};
use crate::args::{Format, ImagesArgs};
use crate::exit_code::Outcome;
use crate::render::{Ink, Table, age, bytes, short_id};

pub(super) async fn run(args: &ImagesArgs, app: &App) -> Outcome {
    let filter = args.name.as_deref().map(Filter::new).transpose()?;
    let settings = app.settings(&args.engine)?;
    let session = app.session(&settings, None)?;
    let engine = app.open(&settings, None).await?.engine;
    let mut images = engine.list(&session).await?;
    if let Some(filter) = filter {
        for image in &mut images {
            image.names.retain(|name| filter.takes(name));
        }
        images.retain(|image| !image.names.is_empty());
    }
    match args.format.format {
        Format::Json => app.console.json(&images)?,
        Format::Text if args.quiet => {
            for image in &images {
                app.console.data(image.id.as_str())?;
            }
        }
        Format::Text => app.console.data(&table(&images, app))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A name, of any tag unless it has one.
struct Filter {
    image: ImageRef,
    has_tag: bool,
}

impl Filter {
    fn new(text: &str) -> boxwright_core::Result<Self> {
        let image: ImageRef = parse(text)?;
        // Parsing adds `latest`; whether it was written shows in the text alone.
        let has_tag = text.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        Ok(Self { image, has_tag })
    }

    fn takes(&self, name: &ImageRef) -> bool {
        if self.has_tag { *name == self.image } else { name.name() == self.image.name() }
    }
}

fn table(images: &[ImageSummary], app: &App) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut table = Table::new(&["NAME", "ID", "CREATED", "SIZE"]);
    for image in images {
        let id = short_id(&image.id);
        let created = image.created.map(|then| age(now.saturating_sub(then))).unwrap_or_default();
        let size = image.size.map(bytes).unwrap_or_default();
        let mut row = |name: &str| table.row(&[name, &id, &created, &size]);
        for name in &image.names {
            row(&name.to_string());
        }
        if image.names.is_empty() {
            row("<none>");
            table.ink(0, Ink::Dim);
        }
    }
    table.render(app.console.paint_out())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_tag_takes_all_tags() {
        let takes =
            |filter: &str, name: &str| Filter::new(filter).unwrap().takes(&name.parse().unwrap());
        assert!(takes("localhost:5000/api", "localhost:5000/api:2"));
        assert!(takes("api:2", "docker.io/library/api:2"));
        assert!(!takes("api:1", "api:2") && !takes("api", "acme/api"));
    }
}
