//! What a runner is given for `RUN`, and what becomes of what it returns.

use std::sync::Mutex;

use boxwright_core::{
    BlobStore, CacheSharing, CacheUse, ErrorKind, Event, ExtraHost, HostAddress, LayerChain,
    MountAccess, MountSource, NetworkMode, OutputStream, Result, Session, Step, StepLayer,
    StepOutcome, StepResult, StepRunner, async_trait,
};
use boxwright_image::layer;
use boxwright_image::tar::{Header, Kind, Writer};
use boxwright_image::view::Tree;

use crate::bench::{Bench, Built};

/// Notes the steps that it is given. What a step writes, and how it ends, is in its last argument:
/// `PATH=CONTENT` makes a file, `exit=STATUS` fails, `print=TEXT` prints.
#[derive(Default)]
pub(crate) struct Noting(Mutex<Vec<Step>>);

#[async_trait]
impl StepRunner for Noting {
    async fn run(
        &self,
        step: &Step,
        blobs: &dyn BlobStore,
        session: &Session,
    ) -> Result<StepOutcome> {
        self.0.lock().unwrap().push(step.clone());
        let (mut code, mut tar, mut any) = (0, Writer::new(Vec::new()), false);
        for word in step.arguments.last().unwrap().split_whitespace() {
            match word.split_once('=') {
                Some(("exit", status)) => code = status.parse().unwrap(),
                Some(("print", text)) => {
                    let (step, stream) = (step.id, OutputStream::Stdout);
                    let bytes = format!("{text}\n").into_bytes();
                    session.events.emit(Event::StepLog { step, stream, bytes }).await;
                }
                Some((path, content)) => {
                    let kind = Kind::File { size: content.len() as u64 };
                    tar.file(&Header::new(path, kind, 0o644), &mut content.as_bytes()).unwrap();
                    any = true;
                }
                None => {}
            }
        }
        if code != 0 || !any {
            return Ok(StepOutcome::new(code, None));
        }
        let tar = Box::new(std::io::Cursor::new(tar.finish().unwrap()));
        let (diff_id, size) = blobs.write(tar, None).await?;
        Ok(StepOutcome::new(0, Some(StepLayer { diff_id, size })))
    }
}

impl Noting {
    pub(crate) fn steps(&self) -> Vec<Step> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

async fn build(bench: &Bench, runner: &Noting) -> Result<Built> {
    bench.build_with(&bench.request(), &[], Some(runner)).await.0
}

/// Lists the files of a chain.
async fn listed(bench: &Bench, chain: &LayerChain) -> Vec<String> {
    let layers: Vec<_> = chain
        .iter()
        .map(|layer| {
            let descriptor = boxwright_core::Descriptor {
                media_type: String::new(),
                digest: layer.blob.clone(),
                size: 0,
            };
            (descriptor, layer.diff_id.clone())
        })
        .collect();
    let tree = Tree::from_layers(bench.store.layout(), &layer::chain(&layers)).await.unwrap();
    tree.iter()
        .map(|(path, node)| format!("{} {:o} {}", path.display(), node.mode, node.modified.0))
        .collect()
}

#[tokio::test]
async fn a_command_becomes_a_step_and_its_layer_a_part_of_the_image() {
    let bench = Bench::new(
        "FROM scratch\nARG version=1\nARG HTTP_PROXY\nENV name=api\nUSER 7:8\nWORKDIR /srv\n\
         RUN out/$name=made\nRUN [\"/tool\", \"$version\"]\nSHELL [\"/sh\", \"-e\"]\nRUN --network=none <<EOF\nlast\nEOF\n",
    );
    let mut request = bench.request();
    request.build_args.insert("HTTPS_PROXY".into(), "http://proxy:3128".into());
    request.extra_hosts = vec![ExtraHost { name: "db".into(), address: HostAddress::HostGateway }];
    request.shm_size = Some(1 << 20);
    let runner = Noting::default();
    let built = bench.build_with(&request, &[], Some(&runner)).await.0.unwrap();
    let steps = runner.steps();

    assert_eq!(steps[0].arguments, ["/bin/sh", "-c", "out/$name=made"]);
    let variable = |name: &str| steps[0].environment.get(name).map(String::as_str);
    assert_eq!((variable("version"), variable("name")), (Some("1"), Some("api")));
    assert_eq!(variable("https_proxy"), Some("http://proxy:3128"));
    assert!(variable("PATH").is_some_and(|path| path.ends_with(":/bin")));
    assert_eq!((steps[0].user.as_str(), steps[0].working_directory.as_str()), ("7:8", "/srv"));
    assert_eq!(steps[0].extra_hosts, request.extra_hosts);
    assert_eq!(
        (steps[0].shm_size, steps[0].source_date_epoch),
        (Some(1 << 20), Some(1_700_000_000))
    );
    assert_eq!((steps[0].network, steps[2].network), (NetworkMode::Default, NetworkMode::None));
    assert_eq!(steps[1].arguments, ["/tool", "$version"]);
    assert_eq!(steps[2].arguments, ["/sh", "-e", "last\n"]);
    assert_eq!((steps[0].rootfs.len(), steps[1].rootfs.len()), (1, 2));

    // Arguments and proxies are the step's alone.
    let env = &built.config.config.env;
    assert!(!env.iter().any(|it| it.contains("PROXY") || it.starts_with("version=")), "{env:?}");
    assert_eq!(bench.read(&built, "/out/$name").await, "made");
    let history: Vec<_> =
        built.config.history.iter().map(|it| (it.created_by.as_str(), it.empty_layer)).collect();
    assert!(
        history.contains(&(
            "RUN |2 version=1 HTTP_PROXY= /bin/sh -c out/$name=made # buildkit",
            false
        )),
        "{history:?}"
    );

    // Nothing of it runs again.
    let again = bench.build_with(&request, &[], Some(&runner)).await.0.unwrap();
    assert_eq!((runner.steps().len(), &again.output.id), (0, &built.output.id));
}

#[tokio::test]
async fn every_field_of_a_command_is_in_its_key_threat_21() {
    let lines = [
        "RUN a=1",
        "RUN [\"a=1\"]",
        "ENV x=y\nRUN a=1",
        "ARG x=y\nRUN a=1",
        "USER 1\nRUN a=1",
        "WORKDIR /w\nRUN a=1",
        "SHELL [\"/sh\"]\nRUN a=1",
        "RUN --network=none a=1",
        "RUN --mount=type=tmpfs,target=/t a=1",
        "RUN --mount=type=tmpfs,target=/t,size=1m a=1",
        "RUN --mount=type=cache,target=/t a=1",
        "RUN --mount=type=cache,target=/t,id=x a=1",
        "RUN --mount=type=cache,target=/t,uid=1 a=1",
        "RUN --mount=type=secret,id=key a=1",
        "RUN --mount=type=secret,id=key,env=KEY a=1",
        "RUN --mount=type=secret,id=other a=1",
        "RUN --mount=type=ssh a=1",
        "RUN --mount=target=/c a=1",
        "RUN --mount=target=/c,source=f a=1",
        "RUN <<EOF\na=1\nEOF",
    ];
    let bench = Bench::new("").file("f", 0o644, "1");
    let runner = Noting::default();
    let build = async |line: &str, change: &dyn Fn(&mut boxwright_core::BuildRequest)| {
        let text = format!("FROM scratch\n{line}\n");
        let mut request = bench.request();
        request.dockerfile = boxwright_core::DockerfileSource::Text(text);
        change(&mut request);
        bench.build_with(&request, &[("key", "12345678")], Some(&runner)).await.0.expect(line);
        runner.steps().len()
    };
    for line in lines {
        assert_eq!(build(line, &|_| {}).await, 1, "{line}");
    }
    for line in lines {
        assert_eq!(build(line, &|_| {}).await, 0, "{line}");
    }
    let hosts = vec![ExtraHost { name: "db".into(), address: HostAddress::HostGateway }];
    assert_eq!(build(lines[0], &|it| it.extra_hosts = hosts.clone()).await, 1);
    assert_eq!(build(lines[0], &|it| it.shm_size = Some(1)).await, 1);
    assert_eq!(build(lines[0], &|it| it.network = NetworkMode::Host).await, 1);
    assert_eq!(
        build(lines[0], &|it| drop(it.build_args.insert("SOURCE_DATE_EPOCH".into(), "1".into())))
            .await,
        1
    );
    assert_eq!(build(lines[0], &|it| it.cache = CacheUse::Ignore).await, 1);
    // What is mounted counts by its content.
    let bench = bench.file("f", 0o644, "2");
    let count = async |line: &str| {
        let mut request = bench.request();
        let text = format!("FROM scratch\n{line}\n");
        request.dockerfile = boxwright_core::DockerfileSource::Text(text);
        bench.build_with(&request, &[("key", "other-value")], Some(&runner)).await.0.expect(line);
        runner.steps().len()
    };
    assert_eq!(
        (
            count("RUN --mount=target=/c a=1").await,
            count("RUN --mount=target=/c,source=f a=1").await
        ),
        (1, 1)
    );
    // A secret's value does not count.
    assert_eq!(count("RUN --mount=type=secret,id=key a=1").await, 0);
}

#[tokio::test]
async fn a_namespace_keeps_caches_apart() {
    let bench = Bench::new("FROM scratch\nRUN --mount=type=cache,id=i,target=/t true\n");
    let mut ids = Vec::new();
    for namespace in ["", "a", "b"] {
        let runner = Noting::default();
        let mut request = bench.request();
        request.cache = CacheUse::Ignore;
        request.build_args.insert("BUILDKIT_CACHE_MOUNT_NS".into(), namespace.into());
        bench.build_with(&request, &[], Some(&runner)).await.0.unwrap();
        let MountSource::Cache { id, .. } = runner.steps().remove(0).mounts.remove(0).source else {
            panic!("no cache")
        };
        ids.push(id);
    }
    assert_eq!(ids, ["i", "a/i", "b/i"]);
}

#[tokio::test]
async fn caches_that_begin_otherwise_are_kept_apart() {
    let bench = Bench::new(
        "FROM scratch AS one\nCOPY sub /from\nFROM scratch AS two\nCOPY other /from/f\nFROM scratch\n\
         RUN --mount=type=cache,id=i,target=/0 --mount=type=cache,id=i,uid=10,target=/1 \
         --mount=type=cache,id=i,gid=10,target=/2 --mount=type=cache,id=i,mode=0700,target=/3 \
         --mount=type=cache,id=i,from=one,source=/from,target=/4 \
         --mount=type=cache,id=i,from=two,source=/from,target=/5 \
         --mount=type=cache,id=i,uid=10,target=/6 true\n",
    )
    .file("sub/f", 0o600, "x")
    .file("other", 0o644, "y");
    let runner = Noting::default();
    build(&bench, &runner).await.unwrap();
    let mounts = runner.steps().remove(0).mounts.into_iter();
    let ids = mounts.map(|mount| match mount.source {
        MountSource::Cache { id, .. } => id,
        other => panic!("{other:?}"),
    });
    let ids: Vec<_> = ids.collect();
    assert_eq!(ids[0], "i");
    assert_eq!(ids[1], ids[6]);
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 6, "{ids:?}");
}

#[tokio::test]
async fn mounts_of_every_type() {
    let bench = Bench::new(
        "FROM scratch AS base\nCOPY sub /from\n\
         FROM scratch\nWORKDIR /work\n\
         RUN --mount=target=all --mount=source=sub/link,target=/one,rw \
         --mount=type=bind,from=base,source=from/f,target=/stage \
         --mount=type=cache,target=/cache,mode=0700,uid=3,sharing=locked,from=base,source=/from \
         --mount=type=cache,target=/plain,ro --mount=type=tmpfs,target=/tmp,size=64k \
         --mount=type=secret,id=key,uid=5 --mount=type=secret,id=key,env=KEY \
         --mount=type=secret,id=absent --mount=type=ssh --mount=type=ssh,id=absent true\n",
    )
    .file("sub/f", 0o600, "x")
    .file("other", 0o644, "y");
    std::os::unix::fs::symlink("/sub/f", bench.context.path().join("sub/link")).unwrap();
    let runner = Noting::default();
    let mut request = bench.request();
    request.ssh = vec!["default".into()];
    bench.build_with(&request, &[("key", "12345678")], Some(&runner)).await.0.unwrap();
    let step = runner.steps().remove(0);
    let mut mounts = step.mounts.into_iter();
    let mut next = || mounts.next().map(|mount| (mount.target, mount.source)).unwrap();

    let (target, MountSource::Chain { rootfs, path, access }) = next() else { panic!() };
    assert_eq!((target.as_str(), path.as_str(), access), ("/work/all", "/", MountAccess::ReadOnly));
    assert_eq!(
        listed(&bench, &rootfs).await,
        [
            "Dockerfile 644 1700000000",
            "other 644 1700000000",
            "sub 755 1700000000",
            "sub/f 600 1700000000",
            "sub/link 777 1700000000"
        ]
    );
    let (target, MountSource::Chain { rootfs, path, access }) = next() else { panic!() };
    assert_eq!(
        (target.as_str(), path.as_str(), access),
        ("/one", "/sub/f", MountAccess::ReadWrite)
    );
    assert_eq!(listed(&bench, &rootfs).await, ["sub 755 1700000000", "sub/f 600 1700000000"]);
    let (_, MountSource::Chain { rootfs, path, .. }) = next() else { panic!() };
    assert_eq!((rootfs.len(), path.as_str()), (1, "/from/f"));
    let (_, MountSource::Cache { id, mode, owner, sharing, access, seed }) = next() else {
        panic!()
    };
    assert!(id.starts_with("/cache of 3:0 700 from sha256:"), "{id}");
    assert_eq!((mode, owner), (0o700, (3, 0)));
    assert_eq!((sharing, access), (CacheSharing::Locked, MountAccess::ReadWrite));
    assert!(seed.is_some_and(|(chain, path)| chain.len() == 1 && path == "/from"));
    let (_, MountSource::Cache { mode, sharing, access, seed, .. }) = next() else { panic!() };
    assert_eq!((mode, sharing, access), (0o755, CacheSharing::Shared, MountAccess::ReadOnly));
    assert_eq!(seed, None);
    assert_eq!(next(), ("/tmp".into(), MountSource::Tmpfs { size: Some(64 << 10) }));
    let key = MountSource::Secret { id: "key".into(), mode: 0o400, owner: (5, 0) };
    assert_eq!(next(), ("/run/secrets/key".into(), key));
    let agent = MountSource::Ssh { id: "default".into(), mode: 0o600, owner: (0, 0) };
    assert_eq!(next(), ("/run/buildkit/ssh_agent.0".into(), agent));
    assert!(mounts.next().is_none());
    assert_eq!(step.environment["SSH_AUTH_SOCK"], "/run/buildkit/ssh_agent.0");
    assert_eq!(step.secret_environment["KEY"], "key");
}

#[tokio::test]
async fn a_mount_from_a_stage_counts_by_what_is_mounted() {
    let bench = Bench::new(
        "FROM scratch AS base\nCOPY reason /\nCOPY sub /from\n\
         FROM scratch\nRUN --mount=from=base,source=from,target=/a,rw true\n\
         RUN --mount=from=base,target=/all true\n",
    )
    .file("reason", 0o644, "1")
    .file("sub/f", 0o600, "x");
    let runner = Noting::default();
    let targets = async |bench: &Bench| {
        build(bench, &runner).await.unwrap();
        runner.steps().iter().map(|it| it.mounts[0].target.clone()).collect::<Vec<_>>()
    };
    assert_eq!(targets(&bench).await, ["/a", "/all"]);
    let bench = bench.file("reason", 0o644, "2");
    assert_eq!(targets(&bench).await, ["/all"]);
    let bench = bench.file("sub/f", 0o600, "y");
    assert_eq!(targets(&bench).await, ["/a", "/all"]);
}

#[tokio::test]
async fn a_script_is_mounted_and_run() {
    let bench = Bench::new("FROM scratch\nRUN <<EOF\n#!/usr/bin/python3\nprint(1)\nEOF\n");
    let runner = Noting::default();
    build(&bench, &runner).await.unwrap();
    let step = runner.steps().remove(0);
    assert_eq!(step.arguments, ["/bin/sh", "-c", "/dev/pipes/EOF"]);
    let MountSource::Chain { rootfs, path, .. } = &step.mounts[0].source else { panic!() };
    assert_eq!((step.mounts[0].target.as_str(), path.as_str()), ("/dev/pipes/EOF", "/script"));
    assert_eq!(listed(&bench, rootfs).await, ["script 755 1700000000"]);
}

#[tokio::test]
async fn a_command_that_fails_says_which_where_and_what_it_wrote() {
    let bench = Bench::new("FROM scratch\n# why\nRUN print=one print=two \\\n  exit=3\n");
    let runner = Noting::default();
    let (built, events) = bench.build_with(&bench.request(), &[], Some(&runner)).await;
    let error = built.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::BuildFailed);
    let context = error.context();
    let fact = |name: &str| context.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    assert_eq!((fact("exit code"), fact("output")), (Some("3"), Some("one\ntwo")));
    assert_eq!(fact("location"), Some("Dockerfile:3"));
    let failed = events.iter().find_map(|event| match event {
        Event::StepFinished { result: StepResult::Failed { exit_code, .. }, .. } => *exit_code,
        _ => None,
    });
    assert_eq!(failed, Some(3));
    // It is not taken for done.
    assert!(build(&bench, &runner).await.is_err());
}

#[tokio::test]
async fn a_secret_in_a_layer_or_in_the_config_fails_the_build_threat_37() {
    let bench = Bench::new("FROM scratch\nRUN --mount=type=secret,id=key a/file=is-12345678\n");
    let runner = Noting::default();
    let build = async |secrets: &[(&str, &str)], allowed: &[&str]| {
        let mut request = bench.request();
        request.allow_secret_in_layer = allowed.iter().map(|it| (*it).to_owned()).collect();
        bench.build_with(&request, secrets, Some(&runner)).await
    };
    for _ in 0..2 {
        let error = build(&[("key", "12345678")], &[]).await.0.err().unwrap();
        assert_eq!(error.kind(), ErrorKind::BuildFailed);
        assert_eq!(error.to_string(), "the secret `key` is in a layer of the image");
        assert_eq!(error.causes(), ["`/a/file` has its value as it is"]);
        assert!(!format!("{error:?}").contains("12345678"));
    }
    let (built, events) = build(&[("key", "1234567")], &[]).await;
    built.unwrap();
    let warned = |event: &Event| matches!(event, Event::Warning { message, .. } if message.contains("too short"));
    assert!(events.iter().any(warned));
    assert!(build(&[("key", "12345678")], &["key"]).await.0.is_ok());

    for line in ["ENV key=is-12345678", "ARG key=12345678", "LABEL key=MTIzNDU2Nzg="] {
        let bench = Bench::new(&format!("FROM scratch\n{line}\n"));
        let built = bench.build_with(&bench.request(), &[("key", "12345678")], None).await.0;
        assert_eq!(built.err().unwrap().to_string(), "the secret `key` is in the image", "{line}");
    }
}

#[tokio::test]
async fn a_secret_leaves_no_trace_threat_37() {
    const CANARY: &str = "canary-5d41402abc4b2a76";
    let bench = Bench::new(
        "FROM scratch\nRUN --mount=type=secret,id=key --mount=type=secret,id=key,env=KEY print=canary-5d41402abc4b2a76 a=b\n",
    );
    // The Dockerfile has the value, so that the command can print it; the history must not count.
    let mut request = bench.request();
    request.allow_secret_in_layer = vec!["key".into()];
    let runner = Noting::default();
    let (built, events) = bench.build_with(&request, &[("key", CANARY)], Some(&runner)).await;
    built.unwrap();
    let logs = events.iter().filter(|event| matches!(event, Event::StepLog { .. }));
    assert_eq!(logs.clone().count(), 1);
    assert!(logs.into_iter().all(|log| !format!("{log:?}").contains("canary")));
    for step in runner.steps() {
        let environment = format!("{:?} {:?}", step.environment, step.secret_environment);
        assert!(!environment.contains(CANARY) && !format!("{:?}", step.mounts).contains(CANARY));
    }
    for folder in ["steps", "names"] {
        for file in std::fs::read_dir(bench.store.layout().folder().join(folder)).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(CANARY));
        }
    }
}

#[tokio::test]
async fn what_a_step_may_not_have_says_why_threat_17() {
    for (line, kind, message) in [
        ("RUN --network=host a", ErrorKind::InvalidInput, "a step asks for the host's network"),
        ("RUN --security=insecure a", ErrorKind::Unsupported, "a step asks for all rights"),
        (
            "RUN --mount=type=secret,id=a,required a",
            ErrorKind::BuildFailed,
            "the secret `a` is not there",
        ),
        (
            "RUN --mount=type=ssh,required a",
            ErrorKind::BuildFailed,
            "the ssh agent `default` is not there",
        ),
        ("RUN --mount=source=none,target=/a a", ErrorKind::NotFound, "cannot mount `/none`"),
    ] {
        let bench = Bench::new(&format!("FROM scratch\n{line}\n"));
        let runner = Noting::default();
        let error = build(&bench, &runner).await.err().unwrap();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, message));
        assert!(error.remedy().is_some() || kind == ErrorKind::NotFound, "{line}");
        assert!(runner.steps().is_empty());
    }
}

#[tokio::test]
async fn a_source_of_a_mount_is_followed_inside_the_context_threat_19() {
    let bench = Bench::new("FROM scratch\nRUN --mount=source=out,target=/a a\n");
    std::os::unix::fs::symlink("../../../../..", bench.context.path().join("out")).unwrap();
    let runner = Noting::default();
    build(&bench, &runner).await.unwrap();
    let MountSource::Chain { rootfs, path, .. } = &runner.steps()[0].mounts[0].source.clone()
    else {
        panic!()
    };
    assert_eq!(path, "/");
    let files = listed(&bench, rootfs).await;
    assert!(
        files.iter().all(|file| file.starts_with("Dockerfile") || file.starts_with("out")),
        "{files:?}"
    );
}

#[tokio::test]
async fn stages_that_do_not_need_each_other_are_built_at_once() {
    /// Ends a step when as many have begun as there are.
    struct Meeting(tokio::sync::Barrier);
    #[async_trait]
    impl StepRunner for Meeting {
        async fn run(&self, _: &Step, _: &dyn BlobStore, _: &Session) -> Result<StepOutcome> {
            self.0.wait().await;
            Ok(StepOutcome::new(0, None))
        }
    }
    let bench = Bench::new(
        "FROM scratch AS a\nRUN a\nFROM scratch AS b\nRUN b\nFROM scratch AS c\nRUN c\n\
         FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\nCOPY --from=c / /\n",
    );
    let runner = Meeting(tokio::sync::Barrier::new(3));
    bench.build_with(&bench.request(), &[], Some(&runner)).await.0.unwrap();
}

#[tokio::test]
async fn a_stage_that_fails_ends_the_others_and_every_step_is_finished() {
    /// One command fails, the other waits to be cancelled.
    struct Failing;
    #[async_trait]
    impl StepRunner for Failing {
        async fn run(
            &self,
            step: &Step,
            _: &dyn BlobStore,
            session: &Session,
        ) -> Result<StepOutcome> {
            if step.arguments.last().is_some_and(|it| it == "fails") {
                return Ok(StepOutcome::new(1, None));
            }
            session.cancel.cancelled().await;
            Err(Session::cancelled())
        }
    }
    let bench = Bench::new(
        "FROM scratch AS a\nRUN waits\nFROM scratch AS b\nRUN fails\n\
         FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n",
    );
    let (built, events) = bench.build_with(&bench.request(), &[], Some(&Failing)).await;
    assert_eq!(built.err().unwrap().to_string(), "`RUN fails` exited with status 1");
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::StepStarted { .. })), 2);
    assert_eq!(count(|event| matches!(event, Event::StepFinished { .. })), 2);
    assert_eq!(
        count(|event| matches!(event, Event::StepFinished { result: StepResult::Cancelled, .. })),
        1
    );
}
