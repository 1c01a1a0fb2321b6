//! What the names in `FROM` and `from` mean: stages, contexts, images.

use std::cell::Cell;
use std::collections::BTreeMap;

use boxwright_core::ImageRef;

use crate::file::Dockerfile;
use crate::nearest;

use super::step::{Source, StageId};
use super::{Options, Plan};

/// What names mean.
pub(super) struct Names {
    /// For each name, the stages that have it, in order.
    stages: BTreeMap<String, Vec<StageId>>,
    count: usize,
    /// For each context, what its name is as an image, where it can be one.
    contexts: BTreeMap<String, Option<ImageRef>>,
    /// How many near names may still be looked for, since that takes time.
    searches: Cell<usize>,
}

impl Names {
    pub(super) fn new(file: &Dockerfile, options: &Options) -> Self {
        let named =
            file.stages.iter().map(|stage| stage.from.name.as_ref().map(|it| it.text.as_str()));
        Self::of(named, options)
    }

    pub(super) fn of_plan(plan: &Plan) -> Self {
        Self::of(plan.stages.iter().map(|it| it.stage.name.as_deref()), &plan.options)
    }

    fn of<'a>(named: impl Iterator<Item = Option<&'a str>>, options: &Options) -> Self {
        let mut names = Self {
            stages: BTreeMap::new(),
            count: 0,
            contexts: BTreeMap::new(),
            searches: Cell::new(100),
        };
        for (number, name) in named.enumerate() {
            names.count += 1;
            if let Some(name) = name {
                names.stages.entry(name.to_owned()).or_default().push(StageId(number));
            }
        }
        names.contexts =
            options.contexts.iter().map(|name| (name.clone(), name.parse().ok())).collect();
        names
    }

    /// What `FROM` means by a name: the stage above that has it, else an image.
    pub(super) fn base(&self, name: &str, current: StageId) -> Result<Source, String> {
        let stages = self.stages.get(&name.to_lowercase()).map(Vec::as_slice).unwrap_or_default();
        // They are in order, and there may be very many.
        match stages.partition_point(|stage| *stage < current).checked_sub(1) {
            Some(last) => Ok(Source::Stage(stages[last])),
            None => self.outside(name),
        }
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        self.searches.set(self.searches.get().checked_sub(1)?);
        let named: Vec<&str> = self.stages.keys().map(String::as_str).take(1000).collect();
        nearest::nearest(name, &named)
    }

    fn outside(&self, name: &str) -> Result<Source, String> {
        if name == "scratch" {
            return Ok(Source::Scratch);
        }
        if self.contexts.contains_key(name) {
            return Ok(Source::NamedContext(name.to_owned()));
        }
        let image: ImageRef =
            name.parse().map_err(|error: boxwright_core::Error| error.to_string())?;
        let context = self.contexts.iter().find(|(_, other)| other.as_ref() == Some(&image));
        Ok(context.map_or_else(
            || Source::Image(name.to_owned()),
            |(name, _)| Source::NamedContext(name.clone()),
        ))
    }
}

/// What is wrong with a source, and when it matters.
pub(super) enum Wrong {
    /// Whatever the target is: what, and what to do.
    Always(String, String),
    /// If the target needs the stage: what, and what to do.
    IfNeeded(String, String),
}

/// What `--from` means by a name: a stage of the whole file, by number or name, else an image.
pub(super) fn source(
    name: &str,
    number: Option<i64>,
    current: StageId,
    names: &Names,
) -> Result<Source, Wrong> {
    let stage = match number {
        Some(number) => match usize::try_from(number).ok().filter(|number| *number < names.count) {
            Some(number) => Some(StageId(number)),
            None => {
                let remedy = match current.0 {
                    0 => "write the name of an image, since no stage comes before this one"
                        .to_owned(),
                    below => format!("write a number below {below}, or a name"),
                };
                return Err(Wrong::Always(format!("there is no stage {number}"), remedy));
            }
        },
        None => names.stages.get(&name.to_lowercase()).and_then(|all| all.last()).copied(),
    };
    match stage {
        Some(stage) if stage < current => Ok(Source::Stage(stage)),
        Some(stage) if stage == current => {
            let message = format!("the stage takes files from itself, as `{name}`");
            Err(Wrong::Always(message, "split it into two stages".to_owned()))
        }
        Some(_) => {
            let message = format!("the stage `{name}` comes after this one");
            Err(Wrong::IfNeeded(message, format!("move the stage `{name}` above this one")))
        }
        None => names.outside(name).map_err(|message| {
            let remedy = match names.nearest(name) {
                Some(near) => format!("use `{near}`"),
                None => "write the name of a stage above, or an image".to_owned(),
            };
            Wrong::IfNeeded(message, remedy)
        }),
    }
}
