//! Classic builds: all names or none, and nothing left after a cancel.

use boxwright_core::{BuildRequest, ContextSource, DockerfileSource, Engine, ErrorKind, Session};

use crate::daemon::{FakeDaemon, Reply, answer};
use crate::{open, session};

const BUILT: &str = "sha256:47d2fe67755b961ff64c72e41b00cb098cf6dbf28930654c211db2aad530571a";

fn request(tags: &[&str]) -> BuildRequest {
    let mut request = BuildRequest::new(ContextSource::Empty);
    request.dockerfile = DockerfileSource::Text("# syntax=evil/frontend\nFROM scratch\n".into());
    request.tags = tags.iter().map(|tag| tag.parse().unwrap()).collect();
    request
}

fn image(names: &str) -> Reply {
    answer(&format!(
        r#"{{"Id":"{BUILT}","Os":"linux","Architecture":"amd64","RepoTags":[{names}]}}"#
    ))
}

#[tokio::test]
async fn a_build_gets_all_its_names_after_it_is_done() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /build?", answer(include_str!("../recorded/20.10/build.ndjson")));
    daemon.on(&format!("GET /images/{BUILT}/json"), image(""));
    daemon.on(&format!("POST /images/{BUILT}/tag"), Reply::Answer(201, String::new()));
    let engine = open(&daemon, "classic").await;
    let output = engine.build(&request(&["r.example/a:1", "r.example/b:2"]), &session()).await;
    let output = output.unwrap();
    assert_eq!((output.id.as_str(), output.builder.as_str()), (BUILT, "classic"));
    let build = &daemon.received("POST /build?")[0];
    assert!(!build.call.contains("&t="), "{}", build.call);
    assert_eq!(daemon.received(&format!("POST /images/{BUILT}/tag?repo=r.example%2F")).len(), 2);
}

#[tokio::test]
async fn when_one_name_fails_the_others_are_taken_back_and_the_image_goes() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /build?", answer(include_str!("../recorded/20.10/build.ndjson")));
    daemon.on(&format!("GET /images/{BUILT}/json"), image(""));
    let tag = format!("POST /images/{BUILT}/tag");
    daemon.on(&tag, Reply::Answer(201, String::new()));
    daemon.on(&tag, Reply::Answer(500, r#"{"message":"no space left on device"}"#.into()));
    daemon.on("DELETE /images/", answer("[]"));
    let engine = open(&daemon, "classic").await;
    let result = engine.build(&request(&["r.example/a:1", "r.example/b:2"]), &session()).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Exhausted);
    assert_eq!(daemon.received("DELETE /images/r.example/a:1").len(), 1);
    assert_eq!(daemon.received("DELETE /images/r.example/b:2").len(), 0);
    assert_eq!(daemon.received(&format!("DELETE /images/{BUILT}")).len(), 1);
}

#[tokio::test]
async fn a_failed_build_names_nothing() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /build?", answer(include_str!("../recorded/20.10/build-failed.ndjson")));
    let engine = open(&daemon, "classic").await;
    let error = engine.build(&request(&["r.example/a:1"]), &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BuildFailed);
    let step = "RUN echo before; exit 42".to_owned();
    assert_eq!(error.context(), [("step", step), ("exit code", "42".to_owned())]);
    assert!(daemon.received("POST /images/").is_empty());
}

#[tokio::test]
async fn a_report_that_breaks_off_is_no_build() {
    let daemon = FakeDaemon::docker();
    daemon.on("POST /build?", answer("{\"stream\":\"Step 1/1 : FROM scratch\"}\n"));
    let engine = open(&daemon, "classic").await;
    let error = engine.build(&request(&[]), &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn a_cancelled_build_closes_its_connection_and_waits_for_its_container_threat_39() {
    let daemon = FakeDaemon::docker();
    let report = concat!(
        "{\"stream\":\"Step 1/1 : RUN sleep 1000\"}\n",
        "{\"stream\":\" ---\\u003e Running in abc123abc123\\n\"}\n",
    );
    daemon.on("POST /build?", Reply::Unfinished(report.into()));
    daemon.on(
        "POST /containers/abc123abc123/wait",
        Reply::Answer(404, "{\"message\":\"gone\"}".into()),
    );
    let engine = open(&daemon, "classic").await;
    let (events, mut heard) = boxwright_core::EventSink::channel();
    let session = session().with_events(events);
    let build = cancelled_build(engine.as_ref(), &session);
    let cancel = async {
        // The notice about the syntax line, the step; then its container is known as soon as the report is read.
        while let Some(event) = heard.recv().await {
            if matches!(event, boxwright_core::Event::StepStarted { .. }) {
                break;
            }
        }
        session.cancel.cancel();
        while heard
            .recv()
            .await
            .is_some_and(|event| !matches!(event, boxwright_core::Event::StepFinished { .. }))
        {
        }
    };
    let (kind, ()) = tokio::join!(build, cancel);
    assert_eq!(kind, ErrorKind::Cancelled);
    daemon.closed().await;
    assert!(daemon.received("POST /images/").is_empty());
}

async fn cancelled_build(engine: &dyn Engine, session: &Session) -> ErrorKind {
    engine.build(&request(&["r.example/a:1"]), session).await.unwrap_err().kind()
}

#[tokio::test]
async fn what_the_classic_builder_would_leave_out_is_refused() {
    let daemon = FakeDaemon::docker();
    let engine = open(&daemon, "classic").await;
    let mut other = request(&[]);
    other.platforms = vec!["linux/arm64".parse().unwrap()];
    let error = engine.build(&other, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let mut never = request(&[]);
    never.pull = boxwright_core::PullPolicy::Never;
    let error = engine.build(&never, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(daemon.received("POST").is_empty());
}
