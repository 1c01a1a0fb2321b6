//! Networks of a step's own, by each program that can connect one.

use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::Path;

use boxwright_core::NetworkMode;
use boxwright_worker::{DefaultNetwork, StepInput};

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] = &[
    ("a_network_of_its_own_reaches_no_loopback", own),
    ("the_network_of_the_machine_is_there_when_it_is_asked_for", of_the_machine),
    ("without_a_program_for_networks_a_step_has_that_of_the_machine", without),
];

/// The programs, the preferred one first.
const PROGRAMS: [&str; 2] = ["/usr/bin/pasta", "/usr/bin/slirp4netns"];

/// Hides programs from this thread, and from what it starts.
fn hide(programs: &[&str]) {
    world::own_mounts();
    for program in programs.iter().filter(|program| Path::new(program).exists()) {
        rustix::mount::mount_bind("/dev/null", *program).unwrap();
    }
}

/// Runs `work` in a thread, whose mounts end with it.
fn apart(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap());
}

/// A port of an address of this machine that takes connections and closes them.
fn listen(address: IpAddr) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    port
}

/// The address by which this machine reaches others.
fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // A machine without any network reaches itself alone.
    let known = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    known.map_or([127, 0, 0, 1].into(), |address| address.ip())
}

/// A step that says which devices it sees, and what it reaches of this machine.
fn input(world: &World) -> StepInput {
    let own = address();
    let (loopback, outside) = (listen([127, 0, 0, 1].into()), listen(own));
    let script = format!(
        "ls /sys/class/net; nc -w 1 127.0.0.1 {loopback} </dev/null && echo loopback; \
         nc -w 1 10.0.2.2 {loopback} </dev/null && echo gateway; \
         nc -w 9 {own} {outside} </dev/null && echo outside; head -n 1 /etc/resolv.conf"
    );
    let mut input = StepInput::new(world.step(&script));
    input.default_network = DefaultNetwork::Own;
    input
}

fn own() {
    for (number, program) in PROGRAMS.iter().enumerate() {
        if !Path::new(program).exists() {
            continue;
        }
        apart(|| {
            // The first one is taken although the second is there.
            hide(&PROGRAMS[..number]);
            let world = World::new();
            let input = input(&world);
            // Twice, since the network is kept for the next step.
            for _ in 0..2 {
                let ran = world.try_run(input.clone()).unwrap();
                match &ran.warnings[..] {
                    [] => {
                        let seen = "eth0\nlo\noutside\nnameserver 10.0.2.3\n";
                        assert_eq!(ran.out, seen, "{program}: {ran:?}");
                        assert_eq!(running(), [*program], "{program}");
                    }
                    // Where this user may not open the device, which is said plainly.
                    [warning] => {
                        assert!(warning.contains("own network: `/dev/net/tun`"), "{warning}");
                        assert!(ran.out.contains("loopback"), "{ran:?}");
                    }
                    _ => panic!("{ran:?}"),
                }
            }
            drop(world);
            assert_eq!(running(), [""; 0], "{program} goes on");
        });
    }
}

/// The programs of this process that run now.
fn running() -> Vec<&'static str> {
    let own = format!("PPid:\t{}\n", std::process::id());
    let children = |parent: &str| -> Vec<u32> {
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_child = |number: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{number}/status"));
            status.is_ok_and(|status| status.contains(parent))
        };
        numbers.filter(is_child).collect()
    };
    let mut all = children(&own);
    for child in all.clone() {
        all.extend(children(&format!("PPid:\t{child}\n")));
    }
    // Not the name of the file: `pasta` becomes a variant of itself for this processor.
    let started = all.iter().filter_map(|number| {
        let command = std::fs::read_to_string(format!("/proc/{number}/cmdline")).ok()?;
        PROGRAMS.into_iter().find(|program| command.split('\0').next() == Some(*program))
    });
    started.collect()
}

fn of_the_machine() {
    let world = World::new();
    let mut input = input(&world);
    input.step.network = NetworkMode::Host;
    let ran = world.try_run(input).unwrap();
    assert!(ran.out.contains("loopback") && ran.warnings.is_empty(), "{ran:?}");
}

fn without() {
    apart(|| {
        hide(&PROGRAMS);
        let world = World::new();
        let ran = world.try_run(input(&world)).unwrap();
        let [warning] = &ran.warnings[..] else { panic!("{ran:?}") };
        for named in ["`pasta`", "`passt`", "`slirp4netns`"] {
            assert!(warning.contains(named), "{warning}");
        }
        assert!(ran.out.contains("loopback"), "{ran:?}");
    });
}
