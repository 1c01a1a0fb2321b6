//! Steps that behave badly, and ends that come early.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use boxwright_core::ErrorKind;
use boxwright_worker::{Cancel, StepEvent, StepInput, WorkerStore, run_step};

use crate::Case;
use crate::world::{self, World};

pub(crate) const CASES: &[Case] = &[
    ("a_step_that_forks_without_end_ends_by_its_limit", forks),
    ("a_step_that_fills_the_disk_leaves_nothing_threat_39", full_disk),
    ("a_step_that_closes_its_outputs_goes_on", closed_outputs),
    ("a_step_that_ignores_signals_is_cancelled_threat_39", ignores_signals),
    ("a_gigabyte_of_output_takes_no_memory", much_output),
    ("processes_in_the_background_end_with_the_step", background),
    ("a_killed_worker_takes_its_steps_along_threat_39", killed_worker),
    ("two_steps_at_once_leave_one_layer_threat_40", two_at_once),
    ("a_step_is_quick", quick),
];

/// What is run to be killed.
pub(crate) const HELPERS: &[Case] = &[("helper", helper)];

/// How many processes a step that starts too many may have.
const MOST: u64 = 64;

fn forks() {
    let world = World::new();
    // Nobody cancels it: the shell ends when it can start no more, and takes all of them along.
    let script = "while true; do sleep 47120 & echo $!; done";
    let mut input = StepInput::new(world.step(script));
    input.most_processes = Some(MOST);
    let start = Instant::now();
    let ran = world.try_run(input).unwrap();
    let begun = ran.out.lines().count();
    assert!(ran.code != 0 && ran.err.contains("can't fork"), "{ran:?}");
    // Where a user is limited and not the step, the worker's own threads count too.
    assert!((MOST / 4..MOST).contains(&(begun as u64)), "{begun} processes began");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(world.sh("true").code, 0);
}

fn full_disk() {
    std::thread::scope(|scope| {
        let run = || {
            world::own_mounts();
            let place = tempfile::tempdir().unwrap();
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("tmpfs", place.path(), "tmpfs", flags, c"size=16m").unwrap();
            let world = World::in_folder(place);
            let ran = world.sh("dd if=/dev/zero of=/big bs=1M count=64; echo $?; exit 9");
            assert_eq!((ran.code, ran.out.as_str(), &ran.layer), (9, "1\n", &None));
            assert!(ran.err.contains("No space left"), "{ran:?}");
            // What is left is as much as before.
            let ran = world.sh("dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null");
            assert_eq!(world.paths(&ran), ["big"]);
        };
        scope.spawn(run).join().unwrap();
    });
}

fn closed_outputs() {
    let world = World::new();
    let ran = world.sh("echo begun; exec >&- 2>&-; sleep 0.3; mkdir /made");
    assert_eq!((ran.out.as_str(), world.paths(&ran)), ("begun\n", vec!["made".to_owned()]));
}

fn ignores_signals() {
    let world = World::new();
    let cancel = Cancel::new().unwrap();
    let mut heard = Vec::new();
    let mut events = |event: StepEvent<'_>| {
        if let StepEvent::Output(_, bytes) = event {
            heard.extend(bytes);
            cancel.cancel();
        }
    };
    let step = world.step("trap '' TERM INT HUP; (trap '' TERM; sleep 1000 &); echo ready; while true; do sleep 1000; done");
    let start = Instant::now();
    let error = run_step(&world.store, StepInput::new(step), &mut events, &cancel).unwrap_err();
    assert_eq!((error.kind(), &heard[..]), (ErrorKind::Cancelled, &b"ready\n"[..]));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    world.is_clean();
    // A call that is cancelled before it begins begins nothing.
    let error = run_step(&world.store, StepInput::new(world.step("true")), &mut |_| {}, &cancel);
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
}

fn much_output() {
    let world = World::new();
    let mut bytes = 0_u64;
    let mut events = |event: StepEvent<'_>| {
        if let StepEvent::Output(_, some) = event {
            bytes += some.len() as u64;
        }
    };
    let step = world.step("dd if=/dev/zero bs=1M count=1024 2>/dev/null");
    let before = memory();
    let outcome =
        run_step(&world.store, StepInput::new(step), &mut events, &Cancel::new().unwrap());
    assert_eq!((outcome.unwrap().exit_code, bytes), (0, 1 << 30));
    assert!(memory() < before + 16 * 1024, "{} to {} kB", before, memory());
}

/// The most memory that this process had, in kB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn background() {
    let world = World::new();
    let start = Instant::now();
    // They hold the outputs open, and one is in a session of its own.
    let ran =
        world.sh("sleep 47110 & setsid sleep 47111 & (sleep 0.1; echo late >/late) & echo done");
    assert_eq!((ran.code, ran.out.as_str(), ran.layer), (0, "done\n", None));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(running("4711").is_empty());
}

/// The processes with a word in their command.
fn running(word: &str) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let commands =
        entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| command.starts_with("sleep\0") && command.contains(word)).collect()
}

fn helper() {
    let place = std::env::args().nth(3).unwrap();
    let store = WorkerStore::open(std::path::Path::new(&place)).unwrap();
    let world = World {
        place: tempfile::tempdir().unwrap(),
        base: world::add(&store, &world::base_tar()),
        store,
    };
    let step = world.step("echo 1 >/new; echo ready; setsid sleep 58220 & sleep 58221");
    let mut events = |event: StepEvent<'_>| {
        if let StepEvent::Output(_, bytes) = event {
            rustix::io::write(rustix::stdio::stdout(), bytes).unwrap();
        }
    };
    let _ = run_step(&world.store, StepInput::new(step), &mut events, &Cancel::new().unwrap());
}

#[expect(clippy::disallowed_methods, reason = "a test starts itself, to kill it")]
fn killed_worker() {
    let world = World::new();
    let mut worker = Command::new("/proc/self/exe")
        .args([crate::ALONE, "helper"])
        .arg(world.place.path().join("store"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(worker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let start = Instant::now();
    while running("5822").len() < 2 && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = running("5822").len();
    worker.kill().unwrap();
    assert_eq!(begun, 2);
    assert_eq!(worker.wait().unwrap().signal(), Some(9));
    let start = Instant::now();
    while !running("5822").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "the step goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    // The next start sweeps, and the next step works.
    let store = WorkerStore::open(&world.place.path().join("store")).unwrap();
    let world = World { store, ..world };
    world.is_clean();
    assert_eq!(world.sh("test ! -e /new").code, 0);
}

fn two_at_once() {
    let world = World::new();
    let layers: Vec<_> = std::thread::scope(|scope| {
        let run = || {
            // As two processes would: each with the store opened for itself.
            let store = WorkerStore::open(&world.place.path().join("store")).unwrap();
            let mut step = world.step("echo 1 >/same; sleep 0.1");
            step.source_date_epoch = Some(5);
            run_step(&store, StepInput::new(step), &mut |_| {}, &Cancel::new().unwrap())
                .unwrap()
                .layer
        };
        let runs: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(layers.iter().all(|layer| layer.is_some() && *layer == layers[0]), "{layers:?}");
    world.is_clean();
}

fn quick() {
    let world = World::new();
    let mut times: Vec<Duration> = (0..10)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(world.sh("true").code, 0);
            start.elapsed()
        })
        .collect();
    times.sort();
    // Well above what it takes, for machines that do much else; a wait or a walk through all files is far above.
    assert!(times[2] < Duration::from_millis(500), "{times:?}");
}
