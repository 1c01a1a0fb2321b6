//! One engine that cases are run on, opened with one of its builders.

use std::sync::Arc;

use boxwright_core::{Catalog, Detection, Engine, Error, ErrorKind, Host, Instance, Result};
use boxwright_engines::explain::PORTABLE;
use tempfile::TempDir;

use crate::environment::Environment;
use crate::made::OwnStore;

/// The variable that names the folder of Boxwright's store.
const STORE: &str = "BOXWRIGHT_STORE";

/// One engine that cases are run on, opened with one of its builders.
#[derive(Clone, Debug)]
pub struct Column {
    /// What it is called in reports, e.g. `docker/classic` or `podman (rootless)`.
    pub name: String,
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// What its cases stand on.
    pub environment: Arc<Environment>,
    /// Whether the engine is on this machine, so that its processes can be seen.
    pub is_local: bool,
    /// The same engine, where what a build needs decides which builder builds.
    pub auto: Arc<dyn Engine>,
    /// The first engine of the run that builds portably: what it makes is what every portable builder makes.
    pub reference: Option<Arc<dyn Engine>>,
    /// The store that portable builds of this column go through, and no other column's.
    pub store: OwnStore,
    /// Whether its builds have a fixed time and the same label in every column, so that their digests can be compared.
    pub is_fixed: bool,
}

impl Column {
    /// Returns whether the portable builder builds here, whatever is built.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.engine.info().builder == PORTABLE
    }
}

/// An engine that no case can be run on.
#[derive(Debug)]
pub struct Missing {
    /// The engine.
    pub engine: String,
    /// Where it was looked for.
    pub place: String,
    /// Why it cannot be used. `None` if there is nothing.
    pub error: Option<Error>,
}

/// What a catalog has to run cases on.
#[derive(Debug, Default)]
pub struct Columns {
    /// The engines that are ready, one for each builder.
    pub ready: Vec<Column>,
    /// The others.
    pub missing: Vec<Missing>,
}

impl Columns {
    /// Asks `catalog` for all engines and opens what is ready, once with each builder.
    pub async fn open(catalog: &Catalog, host: &Host, environment: &Arc<Environment>) -> Self {
        let mut columns = Self::default();
        for survey in catalog.detect(host).await {
            let engine = survey.engine.to_string();
            for detection in survey.detections {
                match detection {
                    Detection::Ready(instance) => {
                        columns.add(catalog, host, &instance, environment).await;
                    }
                    Detection::Unusable { place, error } => {
                        let engine = engine.clone();
                        columns.missing.push(Missing { engine, place, error: Some(error) });
                    }
                    Detection::Absent { place } => {
                        let engine = engine.clone();
                        columns.missing.push(Missing { engine, place, error: None });
                    }
                }
            }
        }
        columns
    }

    async fn add(
        &mut self,
        catalog: &Catalog,
        host: &Host,
        instance: &Instance,
        environment: &Arc<Environment>,
    ) {
        let builders: Vec<Option<&str>> = match instance.builders.as_slice() {
            [] => vec![None],
            named => named.iter().map(|builder| Some(builder.as_str())).collect(),
        };
        let is_only = builders.len() == 1;
        for builder in builders {
            let name = name(instance, builder.filter(|_| !is_only));
            match open(catalog, host, instance, builder).await {
                Ok((engine, auto, store)) => {
                    let environment = environment.clone();
                    // A socket, or a folder of this machine.
                    let is_local = instance.endpoint.starts_with("unix:")
                        || instance.endpoint.starts_with('/');
                    let reference = None;
                    let mut column = Column {
                        name,
                        engine,
                        environment,
                        is_local,
                        auto,
                        reference,
                        store,
                        is_fixed: false,
                    };
                    column.is_fixed = column.is_portable();
                    self.push(column);
                }
                Err(error) => self.missing.push(Missing {
                    engine: instance.engine.to_string(),
                    place: instance.endpoint.clone(),
                    error: Some(error),
                }),
            }
        }
    }

    /// Adds a column, unless the same endpoint and builder is there already. Names stay unique.
    pub fn push(&mut self, mut column: Column) {
        let info = column.engine.info();
        let is_known = self.ready.iter().any(|known| {
            let other = known.engine.info();
            (&other.endpoint, &other.builder) == (&info.endpoint, &info.builder)
        });
        if is_known {
            return;
        }
        if self.ready.iter().any(|known| known.name == column.name) {
            column.name = format!("{} at {}", column.name, info.endpoint);
        }
        self.ready.push(column);
    }

    /// Compares no digests: files have the times that builders give them.
    pub fn compare_no_digests(&mut self) {
        self.ready.iter_mut().for_each(|column| column.is_fixed = false);
    }

    /// Gives all that build portably one of them to be compared with: the last one that publishes to no daemon, where
    /// others would remove the same image at the same time.
    pub fn compare_portable(&mut self) {
        let portable = self.ready.iter().rev().filter(|column| column.is_portable());
        let chosen = portable.min_by_key(|column| column.engine.image_store().is_some());
        let Some(reference) = chosen.map(|column| column.engine.clone()) else { return };
        for column in self.ready.iter_mut().filter(|column| column.is_portable()) {
            column.reference = Some(reference.clone());
        }
    }

    /// Adds everything of `other`.
    pub fn extend(&mut self, other: Self) {
        other.ready.into_iter().for_each(|column| self.push(column));
        self.missing.extend(other.missing);
    }
}

/// Opens an instance with a builder, and where the build decides, both with a store that no other column has: what one
/// column made is never the result of another.
async fn open(
    catalog: &Catalog,
    host: &Host,
    instance: &Instance,
    builder: Option<&str>,
) -> Result<(Arc<dyn Engine>, Arc<dyn Engine>, OwnStore)> {
    let folder = temporary(host)?;
    let host = host.with_variable(STORE, folder.path());
    let engine = catalog.open(instance, builder, &host).await?;
    let auto = match builder {
        None => engine.clone(),
        Some(_) => catalog.open(instance, None, &host).await.unwrap_or_else(|_| engine.clone()),
    };
    Ok((engine, auto, OwnStore::new(instance, folder)))
}

/// Makes a folder where the machine's own store is told to be, else where temporary files are.
fn temporary(host: &Host) -> Result<TempDir> {
    let parent = host.path_variable(STORE).map(|store| host.absolute(&store));
    let parent = parent.unwrap_or_else(|| host.temporary_folder());
    let made = std::fs::create_dir_all(&parent)
        .and_then(|()| tempfile::Builder::new().prefix("conformance-").tempdir_in(&parent));
    made.map_err(|error| {
        let message = format!("cannot make a folder in `{}`", parent.display());
        Error::new(ErrorKind::Unavailable, message)
            .with_source(error)
            .with_remedy(format!("set `{STORE}` to a folder that can be written"))
    })
}

fn name(instance: &Instance, builder: Option<&str>) -> String {
    let mut name = instance.engine.to_string();
    if let Some(builder) = builder {
        name.push('/');
        name.push_str(builder);
    }
    if instance.rootless == Some(true) {
        name.push_str(" (rootless)");
    }
    name
}
