//! Which builder an engine would build with, and why, without building.

use boxwright_core::{BuildRequest, Catalog, Instance, Result, Session};
use boxwright_portable::BUILDER;
/// The name of the portable builder.
pub use boxwright_portable::BUILDER as PORTABLE;
pub use boxwright_portable::negotiate::{Chosen, Decision, Need, Row};

/// Returns what `instance` would build `request` with. `builder` is the one that was asked for; without one, what the
/// Dockerfile and the options need decides.
///
/// # Errors
///
/// As [`Catalog::open`].
pub async fn explain(
    catalog: &Catalog,
    instance: &Instance,
    builder: Option<&str>,
    request: &BuildRequest,
    session: &Session,
) -> Result<Decision> {
    let host = &session.host;
    let own = instance.builders.iter().map(String::as_str).find(|name| *name != BUILDER);
    // A builder of the engine's own that was named is the one that is asked.
    let is_own = |name: &&str| *name != BUILDER && instance.builders.iter().any(|own| own == name);
    let native = match builder.filter(is_own).or(own) {
        Some(own) => Some(catalog.open(instance, Some(own), host).await?),
        None => None,
    };
    let portable = match instance.builders.iter().any(|name| name == BUILDER) {
        true => Some(catalog.open(instance, Some(BUILDER), host).await?),
        false => None,
    };
    let mut decision =
        Decision::about(request, session, native.as_deref(), portable.as_deref()).await;
    if let Some(builder) = builder {
        // Names that are none are told as a build tells them.
        catalog.open(instance, Some(builder), host).await?;
        let is_portable = builder == BUILDER;
        decision.chosen = if is_portable { Chosen::Portable } else { Chosen::Native };
        decision.because = format!("the builder `{builder}` was asked for");
    }
    Ok(decision)
}
