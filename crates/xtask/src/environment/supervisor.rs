//! The process that holds an environment: it starts all daemons, is given all orphans, and ends everything when it is
//! asked to or when whoever started it is gone.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use clap::Args;
use rustix::process::{getpid, set_child_subreaper, setsid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::clear::{clear, reap_orphans};
use super::layout::Layout;
use super::processes::Process;
use super::setup::{choose, read_all};
use super::start::{Images, start};
use super::state::State;
use crate::console::say;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, this_program};
use crate::workspace;

/// What the supervisor's last line begins with when all is ready, or when it is not.
const READY: &str = "ready";
const FAILED: &str = "failed ";

/// What a supervisor is told.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Folder of the environment
    #[arg(long)]
    dir: PathBuf,
    /// End when standard input ends, so together with whoever holds the other side
    #[arg(long)]
    until_input_ends: bool,
    /// Have the image of Debian, too
    #[arg(long)]
    full: bool,
    /// Keep the data of each engine on a disk of so many MB
    #[arg(long)]
    disk: Option<u32>,
    /// Setups to bring up
    setups: Vec<String>,
}

/// How long an environment lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Until someone takes it down.
    UntilDown,
    /// As long as this process, however that ends.
    OfThisProcess,
}

/// A supervisor whose environment is ready.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    input: Option<ChildStdin>,
}

impl Supervisor {
    /// Starts a supervisor for the environment in the folder of `layout` and waits until that is ready.
    pub(crate) fn start(
        layout: &Layout,
        setups: &[String],
        images: Images,
        lifetime: Lifetime,
        disk: Option<u32>,
    ) -> Result<Self> {
        let log = layout.log("supervisor");
        let errors = File::create(&log).explain(|| format!("cannot write `{}`", log.display()))?;
        let mut program =
            Program::new(this_program()?).args(["supervise", "--dir"]).arg(layout.folder());
        if lifetime == Lifetime::OfThisProcess {
            program = program.arg("--until-input-ends");
        }
        if images == Images::All {
            program = program.arg("--full");
        }
        if let Some(disk) = disk {
            program = program.args(["--disk", &disk.to_string()]);
        }
        let mut child = program.arg("--").args(setups).start_with_pipes(errors)?;
        let input = child.stdin.take();
        let output = child.stdout.take().map(BufReader::new);
        for line in output.into_iter().flat_map(BufRead::lines).map_while(std::io::Result::ok) {
            if line == READY {
                let keep = lifetime == Lifetime::OfThisProcess;
                return Ok(Self { child, input: input.filter(|_| keep) });
            }
            if let Some(problem) = line.strip_prefix(FAILED) {
                let _ = child.wait();
                let problem = problem.replace('\u{1e}', "\n");
                return Err(Problem::new("cannot bring up the environment")
                    .cause(problem.trim_start_matches("error: ")));
            }
            say(line);
        }
        let _ = child.wait();
        Err(Problem::new("cannot bring up the environment")
            .cause("its supervisor ended")
            .help(format!("look into `{}`", log.display())))
    }

    /// Ends the environment and waits until it is gone.
    pub(crate) fn end(mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait().explain(|| "cannot wait for the supervisor".to_owned())?;
        if status.success() {
            Ok(())
        } else {
            Err(Problem::new("cannot take the environment down").cause(status))
        }
    }
}

/// What the main thread of a supervisor waits for.
enum Event {
    ChildEnded,
    Stop,
}

/// Is the supervisor, until the environment is gone again.
pub(crate) fn supervise(options: &Options) -> Result<()> {
    let layout = Layout::new(&options.dir)?;
    setsid().explain(|| "cannot begin a session".to_owned())?;
    set_child_subreaper(Some(getpid())).explain(|| "cannot become a subreaper".to_owned())?;
    let events = listen(options.until_input_ends)?;
    let mut state = State {
        supervisor: Process::of(getpid().as_raw_nonzero().get()),
        setups: options.setups.clone(),
        disk: options.disk,
        ..State::default()
    };
    state.write(&layout)?;

    // The reader of this pipe goes away once it knows, or when it was killed.
    let mut output = std::io::stdout();
    let mut tell = |line: &str| writeln!(output, "{line}").and_then(|()| output.flush());
    let setups = choose(read_all(&workspace::environments())?, &options.setups)?;
    let images = if options.full { Images::All } else { Images::Small };
    let started = start(&setups, images, &layout, &mut state, &mut tell);
    if let Err(problem) = started {
        let text = problem.to_string().replace('\n', "\u{1e}");
        let cleared = clear(&layout, &state);
        let _ = tell(&format!("{FAILED}{text}"));
        return cleared;
    }
    if tell(READY).is_ok() {
        while let Ok(Event::ChildEnded) = events.recv() {
            reap_orphans(&state);
        }
    }
    clear(&layout, &state)
}

fn listen(until_input_ends: bool) -> Result<Receiver<Event>> {
    let (sender, receiver) = channel();
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCHLD])
        .explain(|| "cannot listen for signals".to_owned())?;
    let of_input = sender.clone();
    thread::spawn(move || forward(signals, &sender));
    if until_input_ends {
        thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = of_input.send(Event::Stop);
        });
    }
    Ok(receiver)
}

fn forward(mut signals: Signals, events: &Sender<Event>) {
    for signal in signals.forever() {
        let event = if signal == SIGCHLD { Event::ChildEnded } else { Event::Stop };
        if events.send(event).is_err() {
            return;
        }
    }
}
