//! What a step asks to have mounted.

use std::os::unix::net::UnixListener;

use boxwright_core::{CacheSharing, ErrorKind, MountAccess, MountSource, Step, StepMount};
use boxwright_worker::{Cancel, StepInput, run_step};

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] = &[
    ("a_path_of_other_layers_is_mounted_and_not_kept", chains),
    ("a_link_in_a_mounts_source_or_target_stays_inside_threat_19", links),
    ("mount_points_are_removed_where_the_step_moves_them_threat_17", moved),
    ("secrets_are_files_in_memory_threat_37", secrets),
    ("an_agents_socket_is_mounted", ssh),
    ("caches_are_kept_and_shared_as_asked", caches),
    ("a_step_that_waits_for_a_cache_can_be_cancelled_threat_11", waiting),
    ("tmpfs_has_its_size_and_holds_mounts", tmpfs),
    ("certificates_are_trusted_and_not_kept", certificates),
];

fn mount(target: &str, source: MountSource) -> StepMount {
    StepMount { target: target.to_owned(), source }
}

fn chain(world: &World, path: &str, access: MountAccess) -> MountSource {
    MountSource::Chain { rootfs: vec![world.base.clone()], path: path.to_owned(), access }
}

fn with(mut step: Step, mounts: Vec<StepMount>) -> Step {
    step.mounts = mounts;
    step
}

fn chains() {
    let world = World::new();
    let (read, write) = (MountAccess::ReadOnly, MountAccess::ReadWrite);
    let mounts = vec![
        mount("/src/deep", chain(&world, "/data", read)),
        mount("/one", chain(&world, "data/note", read)),
        mount("/scratch", chain(&world, "/data", write)),
        mount("/none", MountSource::Chain { rootfs: vec![], path: "/".to_owned(), access: write }),
    ];
    let script = "cat /src/deep/note /one; echo x >/src/deep/x 2>/dev/null || echo refused; \
        echo y >/scratch/note; rm -r /scratch/full; ls /scratch /none; cat /data/note";
    let ran = world.run(with(world.step(script), mounts.clone()));
    assert_eq!(ran.out, "lowerlowerrefused\n/none:\n\n/scratch:\nnote\nowned\nlower", "{ran:?}");
    assert_eq!((ran.code, ran.layer), (0, None));
    let missing = vec![mount("/x", chain(&world, "/missing", read))];
    let error = world.try_run(StepInput::new(with(world.step("true"), missing))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
    // What is there keeps its kind.
    let wrong = vec![mount("/etc/passwd", chain(&world, "/data", read))];
    let error = world.try_run(StepInput::new(with(world.step("true"), wrong))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    // One mount in another, whatever their order.
    let nested = vec![
        mount("/a/data/full/in", MountSource::Tmpfs { size: None }),
        mount("/a", chain(&world, "/", write)),
    ];
    let ran = world.run(with(world.step("ls -d /a/data/full/in /a/bin"), nested));
    assert_eq!((ran.out.as_str(), ran.layer), ("/a/bin\n/a/data/full/in\n", None));
}

fn links() {
    let world = World::new();
    let layer = world
        .sh("ln -s / /root-link; ln -s ../../../../../../etc /data/up; ln -s /data/made /to")
        .layer
        .unwrap();
    let source = |path: &str| MountSource::Chain {
        rootfs: vec![world.base.clone(), world::layer_ref(&layer.diff_id)],
        path: path.to_owned(),
        access: MountAccess::ReadOnly,
    };
    let step = with(
        world.step_on(
            &[&layer],
            "ls /m1; cat /m2/group | head -n 1; ls -d /data/made; echo 1 >/kept",
        ),
        vec![
            mount("/m1", source("/root-link/data/full")),
            mount("/m2", source("/data/up")),
            mount("/to", source("/bin")),
        ],
    );
    let ran = world.run(step);
    assert_eq!(ran.out, "a\nb\nroot:x:0:\n/data/made\n", "{ran:?}");
    assert_eq!(world.paths(&ran), ["kept"]);
    let circle = world.sh("ln -s /c2 /c1; ln -s /c1 /c2").layer.unwrap();
    let step = with(
        world.step_on(&[&circle], "true"),
        vec![mount("/c1/x", MountSource::Tmpfs { size: None })],
    );
    assert_eq!(world.try_run(StepInput::new(step)).unwrap_err().kind(), ErrorKind::InvalidInput);
}

fn moved() {
    let world = World::new();
    let mounts = vec![mount("/new/in/point", MountSource::Tmpfs { size: None })];
    // The folder that a mount point is in may be moved while it is mounted.
    let ran = world
        .run(with(world.step("mv /new /elsewhere && echo 1 >/elsewhere/in/own"), mounts.clone()));
    assert_eq!(world.paths(&ran), ["elsewhere", "elsewhere/in", "elsewhere/in/own"]);
    let ran = world.run(with(world.step("ln -s / /new/in/link"), mounts));
    assert_eq!(world.paths(&ran), ["new", "new/in", "new/in/link"]);
}

fn secrets() {
    let world = World::new();
    let secret = |mode, owner| MountSource::Secret { id: "token".to_owned(), mode, owner };
    let script = "stat -c '%a %u %g' /run/secrets/token /k; cat /k; grep ' /k ' /proc/self/mounts | cut -d' ' -f1; \
        cp /k /tmp/copy; rm /tmp/copy; echo x 2>/dev/null >/k || echo refused";
    let mounts = vec![
        mount("/run/secrets/token", secret(0o400, (0, 0))),
        mount("/k", secret(0o440, (1000, 50))),
    ];
    let mut input = StepInput::new(with(world.step(script), mounts));
    let error = world.try_run(input.clone()).unwrap_err();
    assert!(error.to_string().contains("`token`"), "{error}");
    input.secrets.insert("token".to_owned(), "canary-4711".into());
    assert!(!format!("{input:?}").contains("canary"));
    let ran = world.try_run(input).unwrap();
    assert_eq!(ran.out, "400 0 0\n440 1000 50\ncanary-4711none\nrefused\n", "{ran:?}");
    assert_eq!(ran.layer, None);
    // Nothing of it is on the disk.
    let found = walk(world.place.path()).into_iter().find(|path| {
        std::fs::read(path).is_ok_and(|bytes| bytes.windows(11).any(|part| part == b"canary-4711"))
    });
    assert_eq!(found, None);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => found.extend(walk(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn ssh() {
    let world = World::new();
    let path = world.place.path().join("agent");
    let _listener = UnixListener::bind(&path).unwrap();
    let source = MountSource::Ssh { id: "default".to_owned(), mode: 0o600, owner: (1000, 1001) };
    let mounts = vec![mount("/run/agent", source)];
    let mut step = with(world.step("stat -c '%a %u %g %F' /run/agent; test -w /run/agent"), mounts);
    step.user = "app".to_owned();
    let mut input = StepInput::new(step);
    assert_eq!(world.try_run(input.clone()).unwrap_err().kind(), ErrorKind::InvalidInput);
    input.ssh.insert("default".to_owned(), path);
    let ran = world.try_run(input).unwrap();
    assert_eq!((ran.out.as_str(), ran.code, ran.layer), ("600 1000 1001 socket\n", 0, None));
}

fn caches() {
    let world = World::new();
    let cache = |id: &str, sharing, seed: Option<&str>| MountSource::Cache {
        id: id.to_owned(),
        mode: 0o750,
        owner: (1000, 1001),
        sharing,
        access: MountAccess::ReadWrite,
        seed: seed.map(|path| (vec![world.base.clone()], path.to_owned())),
    };
    let run = |source: MountSource, script: &str| {
        world.run(with(world.step(script), vec![mount("/c", source)]))
    };
    let ran =
        run(cache("../../a", CacheSharing::Shared, None), "stat -c '%a %u %g' /c; echo 1 >/c/x");
    assert_eq!((ran.out.as_str(), ran.layer), ("750 1000 1001\n", None));
    assert_eq!(run(cache("../../a", CacheSharing::Locked, None), "cat /c/x").out, "1\n");
    assert_eq!(run(cache("b", CacheSharing::Shared, None), "ls /c").out, "");
    let seeded = run(
        cache("s", CacheSharing::Private, Some("/data")),
        "cat /c/note; ls /c; stat -c %u /c/owned; echo 2 >/c/note",
    );
    assert_eq!(seeded.out, "lowerfull\nnote\nowned\n33\n", "{seeded:?}");
    assert_eq!(run(cache("s", CacheSharing::Private, Some("/data")), "cat /c/note").out, "2\n");

    // One after the other, or everyone their own; two steps that take two caches do not wait for each other.
    let both = |sharing| {
        let script = "test ! -e /c1/busy && test ! -e /c2/busy && touch /c1/busy /c2/busy && sleep 0.3; echo $?; rm -f /c1/busy /c2/busy";
        std::thread::scope(|scope| {
            let runs: Vec<_> = [["x", "y"], ["y", "x"]]
                .into_iter()
                .map(|ids| {
                    let world = &world;
                    scope.spawn(move || {
                        let mounts = ids.iter().zip(["/c1", "/c2"]);
                        let source = |id: &str| MountSource::Cache {
                            id: id.to_owned(),
                            mode: 0o755,
                            owner: (0, 0),
                            sharing,
                            access: MountAccess::ReadWrite,
                            seed: None,
                        };
                        let step = with(
                            world.step(script),
                            mounts.map(|(id, at)| mount(at, source(id))).collect(),
                        );
                        let mut out: Vec<u8> = Vec::new();
                        let mut events = |event: boxwright_worker::StepEvent<'_>| {
                            if let boxwright_worker::StepEvent::Output(_, bytes) = event {
                                out.extend(bytes)
                            }
                        };
                        run_step(
                            &world.store,
                            StepInput::new(step),
                            &mut events,
                            &Cancel::new().unwrap(),
                        )
                        .unwrap();
                        out
                    })
                })
                .collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect::<Vec<_>>()
        })
    };
    assert_eq!(both(CacheSharing::Locked), [b"0\n", b"0\n"]);
    assert_eq!(both(CacheSharing::Private), [b"0\n", b"0\n"]);
}

fn waiting() {
    let world = World::new();
    let held = MountSource::Cache {
        id: "held".to_owned(),
        mode: 0o755,
        owner: (0, 0),
        sharing: CacheSharing::Locked,
        access: MountAccess::ReadWrite,
        seed: None,
    };
    let cancels = [Cancel::new().unwrap(), Cancel::new().unwrap()];
    std::thread::scope(|scope| {
        let runs: Vec<_> = cancels
            .iter()
            .map(|cancel| {
                let step = with(world.step("sleep 1000"), vec![mount("/c", held.clone())]);
                let store = &world.store;
                scope.spawn(move || run_step(store, StepInput::new(step), &mut |_| {}, cancel))
            })
            .collect();
        std::thread::sleep(std::time::Duration::from_millis(300));
        cancels.iter().for_each(Cancel::cancel);
        for run in runs {
            assert_eq!(run.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
        }
    });
    world.is_clean();
}

fn tmpfs() {
    let world = World::new();
    let mounts = vec![
        mount("/mem", MountSource::Tmpfs { size: Some(1 << 20) }),
        mount("/mem/in", chain(&world, "/data/full", MountAccess::ReadOnly)),
    ];
    let script = "ls /mem/in; dd if=/dev/zero of=/mem/big bs=1M count=2 2>/dev/null || echo full";
    let ran = world.run(with(world.step(script), mounts));
    assert_eq!((ran.out.as_str(), ran.layer), ("a\nb\nfull\n", None));
}

fn certificates() {
    let world = World::new();
    let bundle = world.sh("mkdir -p /etc/ssl/certs; echo theirs >/etc/ssl/certs/ca-certificates.crt; ln -s certs/ca-certificates.crt /etc/ssl/cert.pem").layer.unwrap();
    let script = "cat $SSL_CERT_FILE /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem; echo $PIP_CERT $NODE_EXTRA_CA_CERTS $MINE";
    let mut step = world.step_on(&[&bundle], script);
    step.environment.insert("PIP_CERT".to_owned(), "/own".to_owned());
    let mut input = StepInput::new(step);
    input.ca_bundle = Some(b"ours\n".to_vec());
    let ran = world.try_run(input).unwrap();
    let path = "/dev/boxwright-ca-bundle.crt";
    assert_eq!(
        ran.out,
        format!("theirs\n\nours\ntheirs\n\nours\ntheirs\n\nours\n/own {path}\n"),
        "{ran:?}"
    );
    assert_eq!(ran.layer, None);
    let mut input = StepInput::new(world.step("cat $CURL_CA_BUNDLE; ls /etc/ssl 2>&1"));
    input.ca_bundle = Some(b"ours\n".to_vec());
    let ran = world.try_run(input).unwrap();
    assert!(ran.out.starts_with("ours\n") && ran.layer.is_none(), "{ran:?}");
}
