//! Detects, chooses, and opens engines. A value, never a global.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesOrdered;

use crate::checked::Checked;
use crate::engine::{Engine, EngineName};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::names::nearest;
use crate::provider::{Detection, EngineProvider, Instance};

/// How long a provider has to detect. It gives up on each candidate after two seconds by itself;
/// this is for one that does not.
const DETECTION_LIMIT: Duration = Duration::from_millis(2_100);

/// The engines a program was built with, and the order in which `auto` prefers them.
#[derive(Debug)]
pub struct Catalog {
    providers: Vec<Arc<dyn EngineProvider>>,
    preference: Vec<EngineName>,
}

/// Where a choice came from, for people: `--engine`, `BOXWRIGHT_ENGINE`, a file with its path.
pub type Origin = String;

/// The engine that a user asked for, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// An engine's name. `auto` means the first ready one of the preference.
    pub engine: String,
    /// Where it was said.
    pub origin: Origin,
}

/// The instance that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The instance.
    pub instance: Instance,
    /// Why this one, as a clause, e.g. "`--engine`" or "the first ready one of docker, podman".
    pub because: String,
    /// Engines that come before it and cannot be used where the user said they are, a sentence for each.
    pub passed_over: Vec<String>,
}

/// What one provider found.
#[derive(Debug)]
pub struct Survey {
    /// The engine.
    pub engine: EngineName,
    /// One answer for each place.
    pub detections: Vec<Detection>,
}

impl Catalog {
    /// Returns a catalog of `providers`, preferred in that order.
    #[must_use]
    pub fn new(providers: Vec<Arc<dyn EngineProvider>>) -> Self {
        let preference = providers.iter().map(|provider| provider.name()).collect();
        Self { providers, preference }
    }

    /// Returns the catalog with the order in which `auto` prefers engines. One that is not listed is
    /// never chosen by `auto`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when a name is of no engine.
    pub fn with_preference(mut self, names: &[String]) -> Result<Self> {
        let named = names.iter().map(|name| Ok(self.provider(name)?.name()));
        self.preference = named.collect::<Result<_>>()?;
        Ok(self)
    }

    /// Returns the names of all engines, in the order of the catalog.
    #[must_use]
    pub fn names(&self) -> Vec<EngineName> {
        self.providers.iter().map(|provider| provider.name()).collect()
    }

    /// Returns the engines that `auto` may choose, best first.
    #[must_use]
    pub fn preference(&self) -> &[EngineName] {
        &self.preference
    }

    fn provider(&self, name: &str) -> Result<&Arc<dyn EngineProvider>> {
        let found = self.providers.iter().find(|provider| provider.name().as_str() == name);
        found.ok_or_else(|| {
            let names = self.names();
            let known: Vec<&str> = names.iter().map(EngineName::as_str).collect();
            let error = Error::new(ErrorKind::InvalidInput, format!("unknown engine `{name}`"));
            match nearest(name, &known) {
                Some(near) => error.with_remedy(format!("use `{near}`")),
                None => error.with_remedy(format!("use one of {}, or `auto`", known.join(", "))),
            }
        })
    }

    /// Asks all engines at once, and returns what each answered, in the order of the catalog, with all that people may
    /// want to know of each instance.
    pub async fn detect(&self, host: &Host) -> Vec<Survey> {
        let start = Instant::now();
        let asked = self.providers.iter().map(|provider| async move {
            let mut survey = survey(provider, host).await;
            let described = survey.detections.iter_mut().map(|found| async move {
                if let Detection::Ready(instance) = found {
                    let left = DETECTION_LIMIT.saturating_sub(start.elapsed());
                    // What it does not tell in time is left out.
                    let _ = tokio::time::timeout(left, provider.describe(host, instance)).await;
                }
            });
            join_all(described).await;
            survey
        });
        join_all(asked).await
    }

    /// Chooses by the first of `choices`, else by `auto`. Only what can be chosen is asked.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an unknown name, [`ErrorKind::Unavailable`] when nothing is
    /// ready, with every place that was looked at.
    pub async fn choose(&self, choices: &[Choice], host: &Host) -> Result<Selection> {
        match choices.first() {
            Some(choice) if choice.engine != "auto" => {
                let provider = self
                    .provider(&choice.engine)
                    .map_err(|error| error.with_context("set by", choice.origin.clone()))?;
                let survey = survey(provider, host).await;
                let because = choice.origin.clone();
                take_ready(vec![survey], because).map_err(|surveys| {
                    let name = &choice.engine;
                    let error = none_ready(format!("the engine `{name}` is not ready"), &surveys);
                    error
                        .with_context("set by", choice.origin.clone())
                        .or_remedy("see `boxwright engines` for what is there")
                })
            }
            _ => {
                let preferred: Vec<_> = self
                    .preference
                    .iter()
                    .map(|name| self.provider(name.as_str()))
                    .collect::<Result<_>>()?;
                let asked = preferred.into_iter().map(|provider| survey(provider, host));
                let surveys = until_ready(asked.collect()).await;
                let names: Vec<&str> = self.preference.iter().map(EngineName::as_str).collect();
                let because = format!("the first ready one of {}", names.join(", "));
                take_ready(surveys, because).map_err(|surveys| {
                    none_ready("no container engine is ready".to_owned(), &surveys)
                        .or_remedy("install Docker or Podman, or start the one you have; `boxwright engines` tells more")
                })
            }
        }
    }

    /// Opens an instance, with its requests checked and its errors stamped.
    ///
    /// # Errors
    ///
    /// As [`EngineProvider::open`].
    pub async fn open(
        &self,
        instance: &Instance,
        builder: Option<&str>,
        host: &Host,
    ) -> Result<Arc<dyn Engine>> {
        let provider = self.provider(instance.engine.as_str())?;
        let opened = provider.open(host, instance, builder).await;
        let stamp = |error: Error| {
            error.at(instance.engine.clone(), &instance.endpoint, crate::error::Operation::Open)
        };
        Ok(Arc::new(Checked::new(opened.map_err(stamp)?)))
    }
}

async fn survey(provider: &Arc<dyn EngineProvider>, host: &Host) -> Survey {
    let engine = provider.name();
    let answer = tokio::time::timeout(DETECTION_LIMIT, provider.detect(host)).await;
    let detections = answer.unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Unavailable, "no answer within two seconds");
        vec![Detection::Unusable { place: engine.to_string(), error }]
    });
    Survey { engine, detections }
}

/// Asks all at once, and waits for no engine behind the first ready one in their order.
async fn until_ready(mut asked: FuturesOrdered<impl Future<Output = Survey>>) -> Vec<Survey> {
    let mut surveys: Vec<Survey> = Vec::new();
    let is_ready = |survey: &Survey| {
        survey.detections.iter().any(|found| matches!(found, Detection::Ready(_)))
    };
    while let Some(survey) = asked.next().await {
        surveys.push(survey);
        if surveys.last().is_some_and(is_ready) {
            break;
        }
    }
    surveys
}

fn take_ready(surveys: Vec<Survey>, because: String) -> Result<Selection, Vec<Survey>> {
    let ready =
        surveys.iter().flat_map(|survey| &survey.detections).find_map(|found| match found {
            Detection::Ready(instance) => Some(instance.clone()),
            Detection::Unusable { .. } | Detection::Absent { .. } => None,
        });
    let Some(instance) = ready else { return Err(surveys) };
    let passed_over = passed_over(&surveys, &instance.engine);
    Ok(Selection { instance, because, passed_over })
}

/// Says which engines before `chosen` are broken at an endpoint that the user named: who names one expects it to
/// be used, and a build by another engine would hide that it is not.
fn passed_over(surveys: &[Survey], chosen: &EngineName) -> Vec<String> {
    let before = surveys.iter().take_while(|survey| survey.engine != *chosen);
    let sentence = |engine: &EngineName, error: &Error| {
        let named = error.context().iter().find(|(name, _)| *name == "set by");
        let (_, origin) = named?;
        let why = error.causes().into_iter().next().map(|why| format!(" ({why})"));
        let why = why.unwrap_or_default();
        Some(format!("{engine}, as `{origin}` names it, is passed over: {error}{why}"))
    };
    let unusable = before.flat_map(|survey| {
        survey.detections.iter().filter_map(|found| match found {
            Detection::Unusable { error, .. } => sentence(&survey.engine, error),
            Detection::Ready(_) | Detection::Absent { .. } => None,
        })
    });
    unusable.collect()
}

/// Says of every place what is wrong with it. The remedy is that of the one engine that is there; of
/// several, each has its own.
fn none_ready(message: String, surveys: &[Survey]) -> Error {
    let mut cause = String::new();
    let mut remedies = Vec::new();
    for survey in surveys {
        for detection in &survey.detections {
            let separator = if cause.is_empty() { "" } else { "; " };
            let engine = &survey.engine;
            // Writing to a string cannot fail.
            let _ = match detection {
                Detection::Ready(_) => Ok(()),
                // It says where it was looked for, or why it cannot be there.
                Detection::Absent { place } if place.contains('/') => {
                    write!(cause, "{separator}{engine}: nothing at {place}")
                }
                Detection::Absent { place } => write!(cause, "{separator}{engine}: {place}"),
                Detection::Unusable { place, error } => {
                    remedies.extend(error.remedy().map(str::to_owned));
                    let why = error.causes().into_iter().next();
                    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                    write!(cause, "{separator}{engine} at {place}: {error}{why}")
                }
            };
        }
    }
    let error = Error::new(ErrorKind::Unavailable, message).with_cause(cause);
    match remedies.len() {
        0 => error,
        1 => error.with_remedy(remedies.remove(0)),
        _ => error.with_remedy("repair one of them; `boxwright engines` says how for each"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    /// An engine that answers as its name says: `ready`, `absent`, or never.
    #[derive(Debug)]
    struct Candidate(&'static str);

    #[async_trait]
    impl EngineProvider for Candidate {
        fn name(&self) -> EngineName {
            EngineName::new(self.0)
        }

        async fn detect(&self, _host: &Host) -> Vec<Detection> {
            match self.0 {
                "ready" => vec![Detection::Ready(Instance::new(self.name(), "here", "test", "1"))],
                "absent" => vec![Detection::Absent { place: "/run/absent.sock".into() }],
                "named" => {
                    let error = Error::new(ErrorKind::Unavailable, "no answer from `tcp://x`");
                    let error = error.with_cause("it is gone").with_context("set by", "X_HOST");
                    vec![Detection::Unusable { place: "tcp://x".into(), error }]
                }
                "planned" => vec![Detection::Absent { place: "it is planned".into() }],
                _ => std::future::pending().await,
            }
        }

        async fn open(
            &self,
            _host: &Host,
            _instance: &Instance,
            _builder: Option<&str>,
        ) -> Result<Arc<dyn Engine>> {
            Err(Error::new(ErrorKind::Bug, "nothing is opened here"))
        }
    }

    async fn choose(names: &[&'static str]) -> Result<Selection> {
        let provider = |&name| Arc::new(Candidate(name)) as Arc<dyn EngineProvider>;
        let catalog = Catalog::new(names.iter().map(provider).collect());
        catalog.choose(&[], &Host::with_variables("/", [("A", "b")])).await
    }

    #[tokio::test]
    async fn an_engine_behind_the_first_ready_one_is_not_waited_for() {
        let start = std::time::Instant::now();
        let selection = choose(&["absent", "ready", "stuck"]).await.unwrap();
        assert_eq!(selection.instance.engine.as_str(), "ready");
        assert_eq!(selection.because, "the first ready one of absent, ready, stuck");
        assert!(start.elapsed() < DETECTION_LIMIT);
    }

    #[tokio::test]
    async fn an_engine_that_the_user_named_is_not_passed_over_in_silence() {
        let selection = choose(&["absent", "named", "ready"]).await.unwrap();
        assert_eq!(
            selection.passed_over,
            ["named, as `X_HOST` names it, is passed over: no answer from `tcp://x` (it is gone)"]
        );
        assert!(choose(&["absent", "ready", "named"]).await.unwrap().passed_over.is_empty());
    }

    #[tokio::test]
    async fn every_place_is_named_when_nothing_is_ready() {
        let error = choose(&["absent", "planned"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.causes(), ["absent: nothing at /run/absent.sock; planned: it is planned"]);
    }
}
