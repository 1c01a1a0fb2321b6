//! What a step says, gets, and leaves.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use boxwright_core::{
    Error, ErrorKind, Event, EventSink, MountSource, OutputStream, Secret, StepMount, StepOutcome,
    StepRunner as _,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Script, pair, session, step};
use crate::StepEvent;

#[tokio::test(flavor = "multi_thread")]
async fn output_is_exact_byte_by_byte_and_with_a_slow_reader() {
    let script = Script::new(|_, events, _| {
        for number in 0..200_000_u32 {
            events(StepEvent::Output(OutputStream::Stdout, &[(number % 251) as u8]));
        }
        events(StepEvent::Output(OutputStream::Stderr, b"and\xff"));
        events(StepEvent::Output(OutputStream::Stdout, b"last"));
        events(StepEvent::Warning("something"));
        Ok(StepOutcome::new(7, None))
    });
    let pair = pair(script).await;
    let (sink, mut events) = EventSink::channel();
    let session = session().with_events(sink);
    let reading = tokio::spawn(async move {
        let (mut out, mut err, mut warned) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(event) = events.recv().await {
            tokio::task::yield_now().await;
            match event {
                Event::StepLog { stream: OutputStream::Stdout, bytes, step } => {
                    assert_eq!(step.0, 3);
                    out.extend(bytes);
                }
                Event::StepLog { bytes, .. } => err.extend(bytes),
                Event::Warning { message, .. } => warned.push(message),
                other => panic!("{other:?}"),
            }
        }
        (out, err, warned)
    });
    let outcome = pair.client.run(&step(), &pair.blobs, &session).await.unwrap();
    assert_eq!(outcome, StepOutcome::new(7, None));
    drop(session);
    let (out, err, warned) = reading.await.unwrap();
    let mut expected: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    expected.extend(b"last");
    assert!(out == expected);
    assert_eq!((err.as_slice(), warned), (&b"and\xff"[..], vec!["something".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_end_waits_for_its_reader() {
    // 256 events of at most 64 KiB, what is under way, and some: far below what the step would write.
    const MOST: u64 = 48 << 20;
    let written = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = written.clone();
    let script = Script::new(move |_, events, cancel| {
        let chunk = vec![b'x'; 64 << 10];
        while !cancel.is_cancelled() {
            events(StepEvent::Output(OutputStream::Stdout, &chunk));
            counted.fetch_add(chunk.len() as u64, std::sync::atomic::Ordering::Relaxed);
        }
        Err(boxwright_core::Session::cancelled())
    });
    let pair = pair(script).await;
    let (sink, events) = EventSink::channel();
    let session = session().with_events(sink);
    let cancel = session.cancel.clone();
    let running = {
        let (client, blobs) = (pair.client.clone(), pair.blobs.clone());
        tokio::spawn(async move { client.run(&step(), &blobs, &session).await })
    };
    // Until nothing moves any more.
    let mut last = u64::MAX;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let now = written.load(std::sync::atomic::Ordering::Relaxed);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    assert!(last < MOST, "{last}");
    // Whoever does not read can still cancel.
    cancel.cancel();
    assert_eq!(running.await.unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    drop(events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_gets_the_secrets_that_it_mounts_and_no_others_threat_37() {
    let script = Script::new(|input, _, _| {
        let ids: Vec<&str> = input.secrets.keys().map(String::as_str).collect();
        assert_eq!(ids, ["mounted", "variable"]);
        assert_eq!(input.secrets["mounted"].expose(), b"\x00one");
        Ok(StepOutcome::new(0, None))
    });
    let pair = pair(script).await;
    let mut session = session();
    let secrets = [("mounted", &b"\x00one"[..]), ("variable", b"two"), ("other", b"three")];
    let secrets = secrets.map(|(id, value)| (id.to_owned(), Secret::new(value.to_vec())));
    session.secrets = Arc::new(secrets.into());
    let mut step = step();
    step.secret_environment.insert("TOKEN".into(), "variable".into());
    step.mounts.push(StepMount {
        target: "/run/secrets/mounted".into(),
        source: MountSource::Secret { id: "mounted".into(), mode: 0o400, owner: (0, 0) },
    });
    pair.client.run(&step, &pair.blobs, &session).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ssh_agent_answers_from_the_other_side() {
    let script = Script::new(|input, _, _| {
        // Two connections at the same time, one after the other used.
        let mut first = UnixStream::connect(&input.ssh["default"]).unwrap();
        let mut second = UnixStream::connect(&input.ssh["default"]).unwrap();
        for stream in [&mut second, &mut first] {
            stream.write_all(b"ping").unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "pong to ping");
        }
        Ok(StepOutcome::new(0, None))
    });
    let pair = pair(script).await;
    let socket = pair.folder.path().join("agent");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = String::new();
                stream.read_to_string(&mut asked).await.unwrap();
                stream.write_all(format!("pong to {asked}").as_bytes()).await.unwrap();
            });
        }
    });
    let mut session = session();
    session.ssh_agents = Arc::new([("default".to_owned(), socket)].into());
    let mut step = step();
    step.mounts.push(StepMount {
        target: "/run/agent".into(),
        source: MountSource::Ssh { id: "default".into(), mode: 0o600, owner: (0, 0) },
    });
    pair.client.run(&step, &pair.blobs, &session).await.unwrap();
    let left: Vec<_> = std::fs::read_dir(pair.folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "the socket's folder is gone: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_a_step_is_the_error_of_its_run() {
    let script = Script::new(|_, _, _| {
        Err(Error::new(ErrorKind::InvalidInput, "no user `x`")
            .with_cause("`/etc/passwd` has none")
            .with_remedy("add one"))
    });
    let pair = pair(script).await;
    let error = pair.client.run(&step(), &pair.blobs, &session()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::InvalidInput, "no user `x`")
    );
    assert_eq!(error.causes(), ["`/etc/passwd` has none"]);
    assert_eq!(error.remedy(), Some("add one"));
}
