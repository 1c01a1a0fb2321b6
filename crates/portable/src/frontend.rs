//! What becomes of a `# syntax=` line: nothing is ever fetched for it (threat 18).

use boxwright_core::{Error, ErrorKind, Feature, Result, Session, Support};
use boxwright_dockerfile::directive;
use boxwright_dockerfile::plan::Plan;

use crate::support;

/// Says that the line is ignored, or refuses one that names a frontend of another language.
pub(crate) async fn check(plan: &Plan, text: &str, session: &Session) -> Result<()> {
    let Some(syntax) = directive::syntax(text) else { return Ok(()) };
    let reference = syntax.reference;
    if plan.features().contains(&Feature::ForeignFrontend)
        && let Support::Unsupported { reason, remedy } = support::FRONTEND
    {
        let message = format!("cannot build with the frontend `{reference}`");
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_cause(reason)
            .with_remedy(remedy));
    }
    let notice = format!(
        "the line `# syntax={reference}` is ignored: Boxwright reads Dockerfiles itself, no frontend is fetched"
    );
    session.events.notice(notice).await;
    Ok(())
}
