//! `RUN`: its key, the step that a runner is given, and what comes of it.

use boxwright_core::{
    CacheUse, Descriptor, Error, ErrorKind, NetworkMode, Result, Step as RunnerStep, StepId,
    StepOutcome,
};
use boxwright_dockerfile::instruction::Security;
use boxwright_dockerfile::plan::{Action, Evaluated, RunStep, Step};
use boxwright_image::manifest::media_type::OCI_LAYER;

use crate::build::Build;
use crate::key::Key;
use crate::mounts;
use crate::relay::Relay;
use crate::stage::{Outcome, Stage};
use crate::store::Record;
use crate::support;
use crate::time;

impl Build<'_> {
    /// Runs a step, or takes what it came to before.
    pub(crate) async fn run(
        &self,
        stage: &mut Stage,
        evaluated: &Evaluated,
        step: &Step,
        id: StepId,
    ) -> Result<Outcome> {
        let Action::Run(run) = &step.action else {
            return Err(Error::new(ErrorKind::Bug, "a step that is no `RUN` is run"));
        };
        let network = self.network(run)?;
        refuse(run)?;
        let mounts = mounts::prepare(self, run).await?;
        let mut work = RunnerStep::new(id, run.arguments.clone());
        work.environment = evaluated.environment(run);
        work.user.clone_from(&run.user);
        work.working_directory.clone_from(&run.working_directory);
        work.network = network;
        work.extra_hosts.clone_from(&self.request.extra_hosts);
        work.shm_size = self.request.shm_size;
        work.source_date_epoch = self.around.epoch;
        let mut key = Key::after(stage.key())
            .with(format!("{:?}", self.around.epoch))
            .with(format!("{:?}", step.action))
            .with(format!("{:?}", work.environment))
            .with(format!("{network:?} {:?} {:?}", work.extra_hosts, work.shm_size));
        mounts::add_to_key(&mounts, &mut key);
        let key = key.finish();
        let text = evaluated.created_by(step);
        if self.around.cache == CacheUse::Use
            && let Some(record) = self.around.store.step(&key).await?
        {
            stage.apply(&step.action, text, key, record, &self.around);
            return Ok(Outcome::Cached);
        }
        let created = self.around.epoch.unwrap_or_else(time::now);
        work.rootfs = stage.chain();
        mounts::place(self, mounts, &mut work).await?;
        if let Some(script) = &run.script {
            work.mounts.push(mounts::script(self, script).await?);
        }
        // A variable that the Dockerfile sets is the Dockerfile's.
        for (name, value) in &self.proxies {
            work.environment.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let outcome = self.hand_over(&work, step).await?;
        let layer = outcome.layer.map(|layer| {
            let (media_type, digest) = (OCI_LAYER.to_owned(), layer.diff_id.clone());
            (Descriptor { media_type, digest, size: layer.size }, layer.diff_id)
        });
        self.search(layer.as_ref()).await?;
        let (record, cache) = (Record { created, layer }, self.around.cache);
        let record = self.around.store.remember(&key, record, cache).await?;
        stage.apply(&step.action, text, key, record, &self.around);
        Ok(Outcome::Done)
    }

    /// Gives a step to the runner. A command that fails is an error with what it wrote last.
    async fn hand_over(&self, work: &RunnerStep, step: &Step) -> Result<StepOutcome> {
        let runner = self.steps.ok_or_else(|| no_runner(&step.text))?;
        let (relay, session) = Relay::new(&self.session, self.secrets.values());
        let run = async move { runner.run(work, self.around.store.layout(), &session).await };
        let (outcome, tail) = relay.during(run).await;
        let outcome = outcome?;
        if outcome.exit_code == 0 {
            return Ok(outcome);
        }
        let error = Error::step_failed(&step.text, outcome.exit_code.into());
        Err(if tail.is_empty() { error } else { error.with_context("output", tail) })
    }

    /// Returns the network of a step. A Dockerfile cannot take the host's: whoever builds it has to give it.
    fn network(&self, run: &RunStep) -> Result<NetworkMode> {
        match (run.network, self.request.network) {
            (NetworkMode::Default, given) => Ok(given),
            (NetworkMode::Host, given) if given != NetworkMode::Host => {
                Err(Error::new(ErrorKind::InvalidInput, "a step asks for the host's network")
                    .with_cause(
                        "the Dockerfile has `--network=host`, and the build was not given it",
                    )
                    .with_remedy("build with `--network=host`, if the Dockerfile is trusted"))
            }
            (asked, _) => Ok(asked),
        }
    }
}

fn refuse(run: &RunStep) -> Result<()> {
    if run.security == Security::Insecure {
        return Err(Error::new(ErrorKind::Unsupported, "a step asks for all rights")
            .with_cause("the Dockerfile has `--security=insecure`, and no step is privileged here")
            .with_remedy("leave it out, or build with an engine that grants it"));
    }
    if let Some(device) = run.devices.iter().find(|device| device.required) {
        let message = format!("a step needs the device `{}`", device.name);
        return Err(Error::new(ErrorKind::Unsupported, message)
            .with_cause("the portable builder gives no devices to steps")
            .with_remedy("leave out `required`, or build with an engine that has the device"));
    }
    Ok(())
}

fn no_runner(text: &str) -> Error {
    let line = text.lines().next().unwrap_or_default();
    Error::new(ErrorKind::Unsupported, format!("cannot run `{line}`"))
        .with_cause(support::NO_RUN_REASON)
        .with_remedy(support::NO_RUN_REMEDY)
}
