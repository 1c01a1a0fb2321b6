//! Either side goes away, or is not who it should be.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use boxwright_core::{ErrorKind, OutputStream, Session, StepOutcome, StepRunner as _};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tonic::body::Body;

use super::{Script, pair, session, step};
use crate::protocol::messages::{HelloAnswer, HelloRequest};
use crate::{StepEvent, WorkerClient};

/// A step that says that it runs, waits until it is cancelled, and takes a while to be undone.
fn patient(undone: Arc<AtomicBool>) -> Script {
    Script::new(move |_, events, cancel| {
        events(StepEvent::Output(OutputStream::Stdout, b"running"));
        while !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(100));
        undone.store(true, Ordering::SeqCst);
        Err(Session::cancelled())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_step_is_undone_before_its_run_ends() {
    let undone = Arc::new(AtomicBool::new(false));
    let pair = pair(patient(undone.clone())).await;
    let (sink, mut events) = boxwright_core::EventSink::channel();
    let session = session().with_events(sink);
    let cancel = session.cancel.clone();
    tokio::spawn(async move {
        events.recv().await.unwrap();
        cancel.cancel();
    });
    let error = pair.client.run(&step(), &pair.blobs, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(undone.load(Ordering::SeqCst));

    // The worker is there for the next one.
    let session = super::session();
    session.cancel.cancel();
    let error = pair.client.run(&step(), &pair.blobs, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_takes_its_steps_with_it_threat_39() {
    let undone = Arc::new(AtomicBool::new(false));
    let super::Pair { client, worker, blobs, folder } = pair(patient(undone.clone())).await;
    let (sink, mut events) = boxwright_core::EventSink::channel();
    let session = session().with_events(sink);
    let running = tokio::spawn(async move { client.run(&step(), &blobs, &session).await });
    events.recv().await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // The last client went with the task, so the stream ends, and the worker with it.
    let _ = worker.await.unwrap();
    assert!(undone.load(Ordering::SeqCst));
    drop(folder);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_is_told_apart_from_a_step_that_fails() {
    let undone = Arc::new(AtomicBool::new(false));
    let pair = pair(patient(undone)).await;
    let (sink, mut events) = boxwright_core::EventSink::channel();
    let session = session().with_events(sink);
    let worker = pair.worker;
    tokio::spawn(async move {
        events.recv().await.unwrap();
        worker.abort();
    });
    let error = pair.client.run(&step(), &pair.blobs, &session).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    pair.client.ended().await;
    let error = pair.client.run(&step(), &pair.blobs, &super::session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn something_else_at_the_other_end_is_no_worker() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    theirs.write_all(b"exec format error\r\n").await.unwrap();
    drop(theirs);
    let error = WorkerClient::connect(ours).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn a_worker_of_another_version_is_refused() {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let service = service_fn(async |request: hyper::Request<hyper::body::Incoming>| {
        let hello = tower::service_fn(async |_: tonic::Request<HelloRequest>| {
            let answer =
                HelloAnswer { protocol: 99, version: "7.0.0".into(), ..HelloAnswer::default() };
            Ok::<_, tonic::Status>(tonic::Response::new(answer))
        });
        let codec = tonic_prost::ProstCodec::default();
        let answer = tonic::server::Grpc::new(codec).unary(hello, request.map(Body::new)).await;
        Ok::<_, Infallible>(answer)
    });
    let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::spawn(server.serve_connection(TokioIo::new(theirs), service));
    let error = WorkerClient::connect(ours).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.causes()[0].contains("7.0.0 and speaks version 99"), "{error:?}");
}

#[tokio::test]
async fn a_step_whose_thread_panics_is_a_bug_and_not_the_end_of_the_worker() {
    let first = AtomicBool::new(true);
    let script = Script::new(move |_, _, _| {
        assert!(!first.swap(false, Ordering::SeqCst), "on purpose");
        Ok(StepOutcome::new(0, None))
    });
    let pair = pair(script).await;
    let error = pair.client.run(&step(), &pair.blobs, &session()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Bug, "{error:?}");
    pair.client.run(&step(), &pair.blobs, &session()).await.unwrap();
}
