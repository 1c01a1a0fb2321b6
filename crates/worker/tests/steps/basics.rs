//! What every step finds: its output, its user, its machine, its rights.

use boxwright_core::{ErrorKind, ExtraHost, HostAddress, NetworkMode};
use boxwright_worker::StepInput;

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] = &[
    ("a_step_that_changes_nothing_leaves_no_layer", changes_nothing),
    ("outputs_and_exit_codes_are_exact", outputs),
    ("what_cannot_be_run_exits_as_in_a_shell", not_run),
    ("the_environment_is_what_the_step_says_threat_20", environment),
    ("users_have_their_groups_and_home_threat_12", users),
    ("the_working_directory_is_made_inside_threat_16", working_directory),
    ("files_of_the_machine_are_there_and_stay_in_no_layer", machine_files),
    ("mount_points_of_an_empty_image_do_not_stay", empty_image),
    ("a_step_has_the_rights_of_docker", rights),
    ("nothing_of_the_worker_is_open_or_seen", isolation),
    ("a_step_without_a_network_has_none", no_network),
];

fn changes_nothing() {
    let world = World::new();
    let ran = world.sh("true");
    assert_eq!((ran.code, ran.layer), (0, None));
    // To read, or to touch, is no change.
    let ran =
        world.sh("cat /data/note; touch -d @5 /data/note; touch /data; echo 1 >/tmp/x; rm /tmp/x");
    assert_eq!((ran.code, ran.layer.as_ref(), ran.out.as_str()), (0, None, "lower"));
}

fn outputs() {
    let world = World::new();
    let ran = world.sh("echo out; echo err >&2; printf '\\000\\377'; exit 3");
    assert_eq!((ran.code, ran.err.as_str(), ran.layer), (3, "err\n", None));
    assert!(ran.out.starts_with("out\n\0"));
    // A step that fails changes nothing.
    let ran = world.sh("echo 1 >/new; exit 1");
    assert_eq!((ran.code, ran.layer), (1, None));
    let ran = world.sh("sh -c 'kill -9 $$'; echo $?; sh -c 'kill -TERM $$'; echo $?");
    assert_eq!(ran.out.lines().collect::<Vec<_>>(), ["137", "143"]);
}

fn not_run() {
    let world = World::new();
    for (program, code, said) in [
        ("missing", 127, "missing"),
        ("/data/missing", 127, "/data/missing"),
        ("/etc/passwd", 126, "/etc/passwd"),
        ("/data", 126, "/data"),
    ] {
        let mut step = world.step("");
        step.arguments = vec![program.to_owned()];
        let ran = world.run(step);
        assert_eq!(ran.code, code, "{program}");
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

fn environment() {
    let world = World::new();
    let mut step = world.step("");
    step.arguments = ["/bin/env"].map(ToOwned::to_owned).to_vec();
    step.environment.insert("A".to_owned(), "b\nc".to_owned());
    step.secret_environment.insert("TOKEN".to_owned(), "id".to_owned());
    let mut input = StepInput::new(step.clone());
    input.secrets.insert("id".to_owned(), "hunter22".into());
    let ran = world.try_run(input).unwrap();
    assert_eq!(ran.out, "A=b\nc\nHOME=/root\nPATH=/bin\nTOKEN=hunter22\n");
    let error = world.try_run(StepInput::new(step)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn users() {
    let world = World::new();
    let show = |user: &str| {
        let mut step = world.step("id -u; id -g; id -G; echo $HOME; echo x >/dev/stdout");
        step.user = user.to_owned();
        world.run(step)
    };
    assert_eq!(show("").out, "0\n0\n0\n/root\nx\n");
    assert_eq!(show("app").out, "1000\n1001\n1001 50\n/home/app\nx\n");
    assert_eq!(show("1000:0").out, "1000\n0\n0\n/home/app\nx\n");
    assert_eq!(show("12345").out, "12345\n0\n0\n/\nx\n");
    for bad in ["nobody", "4294967296", "-1", "app:nogroup"] {
        let mut step = world.step("true");
        step.user = bad.to_owned();
        let error = world.try_run(StepInput::new(step)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}: {error:?}");
    }
    // A pipe in place of the file would never end (threat 7).
    let pipe = world.sh("rm /etc/passwd; mkfifo /etc/passwd").layer.unwrap();
    let mut step = world.step_on(&[&pipe], "true");
    step.user = "app".to_owned();
    let error = world.try_run(StepInput::new(step)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
}

fn working_directory() {
    let world = World::new();
    let links = world
        .sh("mkdir /made; ln -s ../../../../made /etc/out; ln -s /proc/self/fd /fds")
        .layer
        .unwrap();
    let enter = |folder: &str| {
        let mut step = world.step_on(&[&links], "pwd -P");
        step.working_directory = folder.to_owned();
        world.try_run(StepInput::new(step))
    };
    assert_eq!(enter("/new/deep").unwrap().out, "/new/deep\n");
    let ran = enter("/etc/out/x").unwrap();
    assert_eq!(
        (ran.out.as_str(), world.paths(&ran)),
        ("/made/x\n", vec!["made".to_owned(), "made/x".to_owned()])
    );
    for number in 0..12 {
        for folder in [format!("/proc/self/fd/{number}"), format!("/fds/{number}/../../..")] {
            if let Ok(ran) = enter(&folder) {
                assert!(ran.code != 0 || ran.out.is_empty(), "{folder}: {ran:?}");
            }
        }
    }
    assert!(!std::path::Path::new("/made").exists());
}

fn machine_files() {
    let world = World::new();
    let mut step = world.step(
        "cat /etc/hosts /etc/hostname; hostname; test -e /etc/resolv.conf; echo x >>/etc/hosts",
    );
    step.extra_hosts = vec![ExtraHost {
        name: "other".to_owned(),
        address: HostAddress::Ip([10, 1, 2, 3].into()),
    }];
    let ran = world.run(step);
    assert_eq!((ran.code, ran.layer.as_ref()), (0, None), "{ran:?}");
    assert!(ran.out.contains("127.0.0.1\tlocalhost") && ran.out.contains("10.1.2.3\tother\n"));
    assert!(ran.out.ends_with("boxwright\nboxwright\n"));
    // A link in its place leads to somewhere that is not there, as in many images.
    let kind = boxwright_image::tar::Kind::Symlink { target: "../run/x/resolv.conf".into() };
    let link = (boxwright_image::tar::Header::new("etc/resolv.conf", kind, 0o777), &b""[..]);
    let mut step = world.step("cat /etc/resolv.conf >/dev/null; ls /run/x");
    step.rootfs.push(world::add(&world.store, &world::tar(&[link])));
    let ran = world.run(step);
    assert_eq!((ran.code, ran.out.as_str(), ran.layer), (0, "resolv.conf\n", None));
    // What a step itself does beside a mount point stays.
    let ran = world.sh("echo 1 >/etc/own");
    assert_eq!(world.paths(&ran), ["etc", "etc/own"]);
}

fn empty_image() {
    let world = World::new();
    let busybox = std::fs::read("/bin/busybox").unwrap();
    let kind = boxwright_image::tar::Kind::File { size: busybox.len() as u64 };
    let header = boxwright_image::tar::Header::new("sh", kind, 0o755);
    let base = crate::world::add(&world.store, &crate::world::tar(&[(header, &busybox)]));
    let mut step = world.step("");
    step.rootfs = vec![base];
    step.arguments = ["/sh", "-c", "echo /*"].map(ToOwned::to_owned).to_vec();
    let ran = world.run(step.clone());
    assert_eq!((ran.out.as_str(), ran.layer), ("/dev /etc /proc /sh /sys\n", None));
    // Something that is put beside a mount point keeps the folder, and the mount point still goes.
    step.arguments[2] = "echo 1 >/etc/own; echo 2 >/etc/hosts".to_owned();
    let ran = world.run(step);
    assert_eq!(world.paths(&ran), ["etc", "etc/own"]);
}

fn rights() {
    let world = World::new();
    let ran = world
        .sh("grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status; umask");
    let fields: Vec<_> = ran.out.split_whitespace().collect();
    let docker = "00000000a80425fb";
    let none = "0000000000000000";
    assert_eq!(
        fields,
        [
            "CapInh:",
            none,
            "CapPrm:",
            docker,
            "CapEff:",
            docker,
            "CapBnd:",
            docker,
            "CapAmb:",
            none,
            "NoNewPrivs:",
            "1",
            "Seccomp:",
            "2",
            "0022",
        ]
    );
    for refused in [
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "unshare -m true",
        "unshare -U true",
        "hostname other",
        "echo 1 >/proc/sys/kernel/panic",
        "echo b >/proc/sysrq-trigger",
        "mkdir /sys/fs/cgroup/x",
        "cat /dev/mem",
    ] {
        let ran = world.sh(&format!("{refused} 2>/dev/null && echo yes"));
        assert_eq!(ran.out, "", "{refused}");
    }
    // A device can be made by root, and not opened: the machine's disks stay closed.
    let ran = world.sh("mknod /dev/sda b 8 0; mknod /null c 1 3 && cat /null; mknod /tmp/vda b 254 0 && cat /tmp/vda; ls /dev");
    assert_ne!(ran.code, 126, "{ran:?}");
    assert!(!ran.err.is_empty());
    let ran = world.sh("mknod /null c 1 3 && ! cat /null 2>/dev/null && rm /null; cat /proc/kcore /proc/keys | wc -c");
    assert!(ran.out.ends_with("0\n"), "{ran:?}");
    let mut step =
        world.step("grep CapEff /proc/self/status | grep 0000000000000000; chown 5 /tmp");
    step.user = "app".to_owned();
    assert_ne!(world.run(step).code, 0);
}

fn isolation() {
    let world = World::new();
    let ran = world.sh("echo /proc/self/fd/*; readlink /proc/self/fd/0; echo $$; ps | wc -l; wc -l </proc/self/mounts");
    let lines: Vec<_> = ran.out.lines().collect();
    // The shell itself opens one while it lists them.
    assert!(lines[0].starts_with("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"), "{ran:?}");
    assert!(lines[0].split(' ').count() <= 4, "{ran:?}");
    assert_eq!(lines[1..3], ["/dev/null", "1"]);
    assert!(lines[3].trim().parse::<u32>().unwrap() <= 4, "{ran:?}");
    let ran = world.sh("cat /proc/self/mountinfo; ls /dev; ls -la /");
    assert!(!ran.out.contains("/home") || !ran.out.contains("ext4"), "{}", ran.out);
    let devices =
        ["core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr"];
    for device in devices {
        assert!(ran.out.lines().any(|line| line == device), "{device}: {}", ran.out);
    }
    let mut step = world.step("stat -f -c '%b %S' /dev/shm; echo 1 >/dev/shm/x; echo 1 >/dev/null; head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c");
    step.shm_size = Some(1 << 20);
    let ran = world.run(step);
    assert_eq!((ran.out.as_str(), ran.code), ("256 4096\n3\n3\n", 0), "{ran:?}");
}

fn no_network() {
    let world = World::new();
    let mut step = world.step("ls /sys/class/net; ifconfig lo | grep -c UP; (echo x | nc -l -p 5000 &) ; sleep 0.2; nc 127.0.0.1 5000 </dev/null");
    step.network = NetworkMode::None;
    let ran = world.run(step);
    assert!(ran.out.starts_with("lo\n1\n"), "{ran:?}");
    let mut step = world.step("nc 192.0.2.1 80");
    step.network = NetworkMode::None;
    assert_ne!(world.run(step).code, 0);
}
