//! Directives at the top of a Dockerfile.

use boxwright_core::{Event, Feature};
use boxwright_testkit::FakeRegistry;

use super::BUILD;
use crate::case::{Case, CaseResult};
use crate::cx::Cx;
use crate::{expect, expect_eq};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "syntax/usual-frontend",
        promise: "`# syntax=docker/dockerfile:1` is not fetched, and a notice says so (threat 18)",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(usual_frontend(cx)),
    },
    Case {
        id: "syntax/foreign-frontend",
        promise: "another frontend is never fetched, whatever becomes of the build (threat 18)",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(foreign_frontend(cx)),
    },
    Case {
        id: "syntax/escape",
        promise: "`# escape` chooses the character that joins lines",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(escape(cx)),
    },
    Case {
        id: "syntax/any-case",
        promise: "instructions may be written in lower case, with a byte order mark and with CRLF",
        needs: BUILD,
        features: &[],
        run: |cx| Box::pin(any_case(cx)),
    },
    Case {
        id: "syntax/start-interval",
        promise: "HEALTHCHECK --start-interval is kept",
        needs: BUILD,
        features: &[Feature::HealthcheckStartInterval],
        run: |cx| Box::pin(start_interval(cx)),
    },
];

async fn usual_frontend(cx: Cx) -> CaseResult {
    let request =
        cx.request("# syntax=docker/dockerfile:1\nFROM scratch\nWORKDIR /w\nLABEL a=syntax\n")?;
    let attempt = cx.attempt(&request).await;
    let image = cx.read(attempt.result?.id).await?;
    expect_eq!(image.label("a"), Some("syntax"));
    let is_said = attempt.log.0.iter().any(
        |event| matches!(event, Event::Notice { message } if message.contains("docker/dockerfile")),
    );
    expect!(is_said, "no notice says that the frontend is not fetched");
    Ok(())
}

async fn foreign_frontend(cx: Cx) -> CaseResult {
    let registry = FakeRegistry::open().await?;
    let host = registry.host();
    let request =
        cx.request(&format!("# syntax={host}/frontend:1\nFROM scratch\nWORKDIR /w\nLABEL a=1\n"))?;
    // It may be refused or built without the frontend; what counts is that nobody asked for it.
    let attempt = cx.attempt(&request).await;
    let requests = registry.requests();
    expect!(requests.is_empty(), "the frontend's registry was asked: {requests:?}");
    if attempt.result.is_err() {
        cx.expect_absent(&request.tags).await?;
    }
    Ok(())
}

async fn escape(cx: Cx) -> CaseResult {
    let text = "# escape=`\nFROM scratch\nWORKDIR /w\nLABEL a=one `\n  b=c:\\\\d\n";
    let image = cx.build(text).await?;
    expect_eq!(image.label("a"), Some("one"));
    expect!(
        image.label("b").is_some_and(|b| b.starts_with("c:\\")),
        "`b` is {:?}",
        image.label("b")
    );
    Ok(())
}

async fn any_case(cx: Cx) -> CaseResult {
    let text =
        "\u{feff}from scratch as one\r\nworkdir /w\r\nlabel a=1\r\nFrom one\r\nLabel b=2\r\n";
    let image = cx.build(text).await?;
    expect_eq!((image.label("a"), image.label("b")), (Some("1"), Some("2")));
    Ok(())
}

async fn start_interval(cx: Cx) -> CaseResult {
    let image = cx
        .build("FROM scratch\nWORKDIR /w\nHEALTHCHECK --start-interval=2s CMD [\"/check\"]\n")
        .await?;
    let check = image.config().config.healthcheck.clone().unwrap_or_default();
    expect_eq!(check["StartInterval"], serde_json::json!(2_000_000_000_u64));
    Ok(())
}
