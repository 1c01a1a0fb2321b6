//! The command: `boxwright conformance`, and `boxwright-conformance` where only the suite is wanted.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use boxwright_core::{Catalog, Error, ErrorKind, Host, Result};
use boxwright_engines::explain::PORTABLE;
use boxwright_testkit::{FakeEngine, FakeProvider, Registries};
use clap::Args;

use crate::case::{Case, Failure};
use crate::column::{Column, Columns, Missing};
use crate::corpus::{self, Images};
use crate::environment::Environment;
use crate::report::terminal::{self, Style};
use crate::report::{Report, html, json, junit};
use crate::runner::{Outcome, Run};
use crate::{cases, probes};

/// What to run, on what, and where to write it down.
#[derive(Args, Clone, Debug, Default)]
pub struct Arguments {
    /// Runs on this engine only. May be given several times
    #[arg(long, value_name = "NAME")]
    pub engine: Vec<String>,
    /// Runs with this builder of the engines only, such as `portable`. May be given several times
    #[arg(long, value_name = "NAME")]
    pub builder: Vec<String>,
    /// Fails unless these engines are ready; `NAME/BUILDER` asks for one of its builders
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub require: Vec<String>,
    /// Runs on the engine NAME at ENDPOINT too. May be given several times
    #[arg(long, value_name = "NAME=ENDPOINT")]
    pub instance: Vec<String>,
    /// Runs only cases whose id contains TEXT. May be given several times
    #[arg(long, value_name = "TEXT")]
    pub focus: Vec<String>,
    /// Leaves out cases whose id contains TEXT. May be given several times
    #[arg(long, value_name = "TEXT")]
    pub skip: Vec<String>,
    /// How many cases run at once
    #[arg(long, value_name = "N", default_value = "8")]
    pub parallel: Option<usize>,
    /// Writes report.html, report.json, junit.xml and evidence of what did not pass into DIR
    #[arg(long, value_name = "DIR")]
    pub report_dir: Option<PathBuf>,
    /// Leaves out the fake engine that shows the suite to be sound
    #[arg(long)]
    pub no_fake: bool,
    /// Lists the cases and runs none
    #[arg(long)]
    pub list: bool,
    /// Runs the cases of other builders in DIR instead: one corpus, or a folder of several. May be given several times
    #[arg(long, value_name = "DIR")]
    pub corpus: Vec<PathBuf>,
    /// Compares the digests of portable builds also with those in this report.json of another run, on the same base
    /// images. May be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "corpus")]
    pub digests_of: Vec<PathBuf>,
    /// Uses the image TO where a case of a corpus names FROM, a repository or the beginning of one. May be given
    /// several times
    #[arg(long, value_name = "FROM=TO", requires = "corpus")]
    pub registry_map: Vec<String>,
    /// Runs only cases of a corpus that need no bigger base image
    #[arg(long, value_name = "IMAGE", requires = "corpus")]
    pub images: Option<Images>,
    /// Compares the images of a corpus with those that this column of the report made; else with those of the first
    #[arg(long, value_name = "COLUMN", requires = "corpus")]
    pub reference: Option<String>,
}

/// Runs what `arguments` say, writes the report to `out` and the progress to `progress`, and returns
/// whether every promise was kept.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when an argument means nothing, [`ErrorKind::Unavailable`] when the
/// report cannot be written.
pub async fn run(
    arguments: &Arguments,
    host: &Host,
    style: Style,
    out: &mut (dyn Write + Send),
    progress: &mut (dyn Write + Send),
) -> Result<bool> {
    if !arguments.corpus.is_empty() {
        return corpus::run::run(arguments, host, style, out, progress).await;
    }
    let cases = select(arguments)?;
    if arguments.list {
        let width = cases.iter().map(|case| case.id.len()).max().unwrap_or(0);
        for case in &cases {
            writeln!(out, "{:<width$}  {}", case.id, case.promise).map_err(cannot_write)?;
        }
        return Ok(true);
    }
    let columns = columns(arguments, host).await?;
    let mut run = Run::new(cases, columns.ready);
    run.parallel = arguments.parallel.unwrap_or(run.parallel);
    add_others(&mut run, arguments, host)?;
    run.evidence =
        arguments.report_dir.as_ref().map(|folder| host.absolute(folder).join("failures"));
    let start = Instant::now();
    let results = run
        .run(host, |outcome| {
            // Who listens to the progress may leave; the report comes all the same.
            let _ = writeln!(progress, "{}", terminal::progress(outcome, style));
        })
        .await;
    let seconds = start.elapsed().as_secs_f64();
    let report = Report::new(&run, results, &columns.missing, &arguments.require, seconds);
    write_report(&report, arguments, host)?;
    out.write_all(terminal::render(&report, style).as_bytes()).map_err(cannot_write)?;
    Ok(report.failures() == 0)
}

pub(crate) fn cannot_write(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "cannot write the report").with_source(error)
}

/// Writes the report where `arguments` want it, if anywhere.
pub(crate) fn write_report(report: &Report, arguments: &Arguments, host: &Host) -> Result<()> {
    let Some(folder) = &arguments.report_dir else { return Ok(()) };
    write_files(report, &host.absolute(folder)).map_err(|failure| {
        Error::new(ErrorKind::Unavailable, "cannot write the report")
            .with_cause(failure.to_string())
    })
}

fn write_files(report: &Report, folder: &std::path::Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    json::write(report, &folder.join("report.json"))?;
    html::write(report, &folder.join("report.html"))?;
    junit::write(report, &folder.join("junit.xml"))
}

/// Adds to `run` what other runs made on their portable columns, and the words that their images have. A column that is
/// called as one of this run, or of a report before it, is called after its report too.
fn add_others(run: &mut Run, arguments: &Arguments, host: &Host) -> Result<()> {
    let mut names: BTreeSet<String> =
        run.columns.iter().map(|column| column.name.clone()).collect();
    for (number, file) in arguments.digests_of.iter().enumerate() {
        let message = || format!("cannot compare with the report `{}`", file.display());
        let report = json::read(&host.absolute(file)).map_err(|failure| {
            Error::new(ErrorKind::InvalidInput, message())
                .with_cause(failure.to_string())
                .with_remedy("name the `report.json` that a run with `--report-dir` wrote")
        })?;
        if number > 0 && report.words != run.words {
            return Err(Error::new(ErrorKind::InvalidInput, message())
                .with_cause("its images have other words in them than those of the first report")
                .with_remedy("make the second report with `--digests-of` the first"));
        }
        run.words = report.words;
        for column in report.columns.iter().filter(|column| column.builder == PORTABLE) {
            let mut name = column.name.clone();
            if !names.insert(name.clone()) {
                name = format!("{name} of {}", file.display());
                names.insert(name.clone());
            }
            let of_it = report.results.iter().filter(|it| it.column == column.name);
            run.others.extend(of_it.map(|it| Outcome { column: name.clone(), ..it.clone() }));
        }
    }
    Ok(())
}

fn select(arguments: &Arguments) -> Result<Vec<Case>> {
    let all = cases::all().chain(probes::PROBES);
    let has = |id: &str, texts: &[String]| texts.iter().any(|text| id.contains(text.as_str()));
    let chosen: Vec<Case> = all
        .filter(|case| arguments.focus.is_empty() || has(case.id, &arguments.focus))
        .filter(|case| !has(case.id, &arguments.skip))
        .copied()
        .collect();
    if chosen.is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "no case is left to run")
            .with_cause("`--focus` and `--skip` leave none")
            .with_remedy("see all cases with `--list`"));
    }
    Ok(chosen)
}

/// Opens the engines that `arguments` name. The fake one takes no part in corpora: it knows the cases of the suite.
pub(crate) async fn columns(arguments: &Arguments, host: &Host) -> Result<Columns> {
    let environment = Arc::new(Environment::of_host(host));
    let settings = boxwright_engines::Settings::load(host)?;
    let catalog = boxwright_engines::catalog(&settings)?;
    let known: Vec<String> = catalog.names().iter().map(ToString::to_string).collect();
    for name in arguments.engine.iter().chain(&arguments.require) {
        check_name(name.split_once('/').map_or(name, |(engine, _)| engine), &known)?;
    }
    let mut columns = Columns::default();
    if !arguments.no_fake && arguments.corpus.is_empty() {
        columns.extend(fake(host).await?);
    }
    columns.extend(Columns::open(&catalog, host, &environment).await);
    for instance in &arguments.instance {
        columns.extend(instance_columns(instance, host, &known, &environment).await?);
    }
    let is_wanted = |engine: &str| {
        arguments.engine.is_empty()
            || engine == boxwright_testkit::FAKE.as_str()
            || arguments.engine.iter().any(|name| name == engine)
    };
    columns.ready.retain(|column| is_wanted(column.engine.info().name.as_str()));
    columns.missing.retain(|missing| is_wanted(&missing.engine));
    columns.ready.retain(|column| {
        let info = column.engine.info();
        arguments.builder.is_empty()
            || info.name == boxwright_testkit::FAKE
            || arguments.builder.contains(&info.builder)
    });
    columns.compare_portable();
    // Who asks for an engine by name wants to hear that it is not there.
    for name in &arguments.engine {
        let is_ready = |column: &Column| column.engine.info().name.as_str() == name;
        if !columns.ready.iter().any(is_ready) {
            let why = columns.missing.iter().find(|missing| &missing.engine == name);
            return Err(not_ready(name, why));
        }
    }
    Ok(columns)
}

fn check_name(name: &str, known: &[String]) -> Result<()> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let error = Error::new(ErrorKind::InvalidInput, format!("unknown engine `{name}`"));
    Err(match boxwright_core::nearest(name, &known) {
        Some(near) => error.with_remedy(format!("use `{near}`")),
        None => error.with_remedy(format!("use one of {}", known.join(", "))),
    })
}

fn not_ready(name: &str, why: Option<&Missing>) -> Error {
    let error = Error::new(ErrorKind::Unavailable, format!("the engine `{name}` is not ready"));
    let error = match why {
        Some(Missing { place, error: Some(why), .. }) => {
            error.with_cause(format!("{why} at {place}"))
        }
        Some(Missing { place, error: None, .. }) => error.with_cause(format!("nothing at {place}")),
        None => error,
    };
    error.with_remedy("see `boxwright engines` for what is there")
}

/// Opens the fake engine, with registries of its own.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when there is no room or no port for them.
pub async fn fake(host: &Host) -> Result<Columns> {
    fake_with(FakeEngine::open()?, host).await
}

/// Opens `engine`, with registries of its own.
///
/// # Errors
///
/// [`ErrorKind::Unavailable`] when there is no port for them.
pub async fn fake_with(engine: FakeEngine, host: &Host) -> Result<Columns> {
    let registries = Registries::start().await.map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot start registries in this process")
            .with_source(error)
    })?;
    let environment = Arc::new(Environment::of_this_process(Arc::new(registries)));
    let catalog = Catalog::new(vec![Arc::new(FakeProvider::new(engine))]);
    Ok(Columns::open(&catalog, host, &environment).await)
}

async fn instance_columns(
    instance: &str,
    host: &Host,
    known: &[String],
    environment: &Arc<Environment>,
) -> Result<Columns> {
    let wrong = || {
        Error::new(ErrorKind::InvalidInput, format!("`{instance}` names no instance"))
            .with_remedy("write it as NAME=ENDPOINT, such as `podman=unix:///run/podman.sock`")
    };
    let (name, endpoint) = instance.split_once('=').ok_or_else(wrong)?;
    check_name(name, known)?;
    let settings = boxwright_engines::Settings::load(host)?.with_endpoint(
        name,
        endpoint,
        format!("--instance {instance}"),
    )?;
    let catalog = boxwright_engines::catalog(&settings)?;
    let mut columns = Columns::open(&catalog, host, environment).await;
    columns.ready.retain(|column| column.engine.info().name.as_str() == name);
    columns.missing.retain(|missing| missing.engine == name);
    Ok(columns)
}
