//! Builds: the stages a target needs, instruction by instruction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use boxwright_core::{
    BuildOutput, BuildRequest, CacheUse, Error, ErrorKind, Event, ImageRef, Platform, PullPolicy,
    Result, Session, StepId, StepResult,
};

use super::defect::Defect;
use super::dockerfile::{self, Instruction};
use super::root::{Node, Root, clean};
use super::shell::{Output, Process};
use super::stage::Stage;
use super::store::CachedStep;
use super::words::{expand, split};
use super::{FakeEngine, context, copy, metadata, mounts};

/// A build under way.
pub(super) struct Build<'a> {
    pub(super) engine: &'a FakeEngine,
    pub(super) request: &'a BuildRequest,
    session: &'a Session,
    context: Arc<Root>,
    platform: Platform,
    /// The stages that are finished, in order. `None` for one that is not needed.
    stages: Vec<Option<Stage>>,
    names: Vec<Option<String>>,
    /// Images that `--from` names, by that name.
    images: BTreeMap<String, Arc<Root>>,
    steps: AtomicU32,
    total: usize,
}

/// Builds an image.
pub(super) async fn build(
    engine: &FakeEngine,
    request: &BuildRequest,
    session: &Session,
) -> Result<BuildOutput> {
    let (text, context) = context::read(engine, request)?;
    let instructions = dockerfile::parse(&text)?;
    notice_syntax(&text, session).await;
    let mut build = Build {
        engine,
        request,
        session,
        context: Arc::new(context),
        platform: request.platform().cloned().unwrap_or_else(Platform::of_this_machine),
        stages: Vec::new(),
        names: Vec::new(),
        images: BTreeMap::new(),
        steps: AtomicU32::new(0),
        total: instructions.len(),
    };
    let built = build.all(&instructions).await;
    let tag_all = |id| request.tags.iter().for_each(|tag| engine.store.name(tag, id));
    let mut stage = match built {
        Ok(stage) => stage,
        Err(error) => {
            if engine.has(Defect::TagsFailures) {
                let nothing = Stage::from_image(None, &build.platform);
                let stored = engine.store.add(nothing.config, &[], nothing.root).await?;
                tag_all(stored.id());
            }
            return Err(error);
        }
    };
    if session.cancel.is_cancelled() && !engine.has(Defect::IgnoresCancel) {
        return Err(Session::cancelled());
    }
    if !engine.has(Defect::ForgetsLabels) {
        stage.config.config.labels.extend(request.labels.clone());
    }
    if engine.has(Defect::TellsSecrets) {
        for secret in session.secrets.values() {
            let text = base64::engine::general_purpose::STANDARD.encode(secret.expose());
            stage.note(&format!("RUN with {text}"), false);
        }
    }
    let stored = engine.store.add(stage.config, &stage.layers, stage.root).await?;
    let given = if engine.has(Defect::ForgetsTags) { 1 } else { request.tags.len() };
    request.tags.iter().take(given).for_each(|tag| engine.store.name(tag, stored.id()));
    let mut output = BuildOutput::new(stored.id().clone(), request.tags.clone(), "fake");
    output.digest = Some(stored.manifest.descriptor.digest.clone());
    Ok(output)
}

/// Says that a `# syntax=` line is not fetched.
async fn notice_syntax(text: &str, session: &Session) {
    let first = text.lines().next().unwrap_or_default();
    if let Some((name, value)) = first.trim_start_matches('#').split_once('=')
        && first.starts_with('#')
        && name.trim().eq_ignore_ascii_case("syntax")
    {
        session.events.notice(format!("the frontend `{}` is not fetched", value.trim())).await;
    }
}

impl Build<'_> {
    async fn all(&mut self, instructions: &[Instruction]) -> Result<Stage> {
        let first = instructions.iter().position(|it| it.name == "FROM").unwrap_or(0);
        let mut globals = self.platform_arguments();
        for instruction in &instructions[..first] {
            let (name, default) = argument(&expand(&instruction.rest, &globals));
            let value = self.given(&name).or(default);
            globals.extend(value.map(|value| (name, value)));
        }
        let stages: Vec<&[Instruction]> =
            instructions[first..].chunk_by(|_, next| next.name != "FROM").collect();
        for stage in &stages {
            let words = split(&expand(&stage[0].rest, &globals));
            let name = words.get(2).filter(|_| words[1].eq_ignore_ascii_case("as"));
            self.names.push(name.map(|name| name.to_ascii_lowercase()));
        }
        let target = self.target(stages.len())?;
        let needed = self.needed(&stages, target, &globals);
        for (number, instructions) in stages.iter().enumerate().take(target + 1) {
            let stage = match needed.contains(&number) {
                true => Some(self.stage(instructions, &globals).await?),
                false => None,
            };
            self.stages.push(stage);
        }
        self.warn_of_unused(instructions).await;
        self.stages
            .last_mut()
            .and_then(Option::take)
            .ok_or_else(|| Error::new(ErrorKind::Bug, "the target's stage was not built"))
    }

    /// SPEC: Dockerfile reference, "Automatic platform ARGs in the global scope".
    fn platform_arguments(&self) -> BTreeMap<String, String> {
        let machine = Platform::of_this_machine();
        let of = |prefix: &str, platform: &Platform| {
            [
                (format!("{prefix}PLATFORM"), platform.to_string()),
                (format!("{prefix}OS"), platform.os().to_owned()),
                (format!("{prefix}ARCH"), platform.architecture().to_owned()),
            ]
        };
        of("TARGET", &self.platform).into_iter().chain(of("BUILD", &machine)).collect()
    }

    fn given(&self, name: &str) -> Option<String> {
        if self.engine.has(Defect::ForgetsBuildArguments) {
            return None;
        }
        self.request.build_args.get(name).cloned()
    }

    fn target(&self, stages: usize) -> Result<usize> {
        match &self.request.target {
            Some(target) if !self.engine.has(Defect::IgnoresTarget) => {
                self.number_of(target).ok_or_else(|| {
                    let names: Vec<&str> =
                        self.names.iter().flatten().map(String::as_str).collect();
                    Error::new(ErrorKind::NotFound, format!("there is no stage `{target}`"))
                        .with_cause("the Dockerfile names no such stage")
                        .with_remedy(format!("use one of {}", names.join(", ")))
                })
            }
            _ => Ok(stages - 1),
        }
    }

    fn number_of(&self, stage: &str) -> Option<usize> {
        let by_name = |name: &Option<String>| name.as_deref() == Some(&stage.to_ascii_lowercase());
        let by_number = stage.parse().ok().filter(|number| *number < self.names.len());
        self.names.iter().position(by_name).or(by_number)
    }

    /// Returns the stages that a target needs, itself among them.
    fn needed(
        &self,
        stages: &[&[Instruction]],
        target: usize,
        globals: &BTreeMap<String, String>,
    ) -> Vec<usize> {
        let mut needed = vec![target];
        let mut open = vec![target];
        while let Some(number) = open.pop() {
            let from = split(&expand(&stages[number][0].rest, globals)).into_iter().next();
            let flags = stages[number].iter().flat_map(|instruction| {
                let mounts = instruction.flags("mount").filter_map(|mount| {
                    mount.split(',').find_map(|pair| pair.strip_prefix("from="))
                });
                instruction.flags("from").chain(mounts).map(str::to_owned).collect::<Vec<_>>()
            });
            for name in from.into_iter().chain(flags) {
                let other = self.number_of(&name).filter(|other| *other < number);
                if let Some(other) = other.filter(|other| !needed.contains(other)) {
                    needed.push(other);
                    open.push(other);
                }
            }
        }
        needed
    }

    async fn stage(
        &mut self,
        instructions: &[Instruction],
        globals: &BTreeMap<String, String>,
    ) -> Result<Stage> {
        let (from, rest) = (&instructions[0], &instructions[1..]);
        let name = split(&expand(&from.rest, globals)).into_iter().next().unwrap_or_default();
        let step = self.begin(from, None).await;
        let begun = self.base(&name, from.line).await;
        self.end(step, &begun, StepResult::Done).await;
        let mut stage = begun?;
        stage.name = self.names.get(self.stages.len()).cloned().flatten();
        let triggers = stage.config.config.on_build.take().unwrap_or_default();
        let triggers = dockerfile::parse(&format!("FROM x\n{}\n", triggers.join("\n")))?;
        for instruction in triggers[1..].iter().chain(rest) {
            if self.session.cancel.is_cancelled() && !self.engine.has(Defect::IgnoresCancel) {
                return Err(Session::cancelled());
            }
            self.load_sources(instruction).await?;
            self.instruction(&mut stage, instruction, globals).await?;
        }
        if self.engine.has(Defect::KeepsBuildArguments) {
            for (name, value) in stage.arguments.clone() {
                stage.set_variable(&name, &value);
            }
        }
        Ok(stage)
    }

    async fn base(&self, name: &str, line: usize) -> Result<Stage> {
        if name == "scratch" {
            return Ok(Stage::from_image(None, &self.platform));
        }
        if let Some(number) = self.number_of(name)
            && let Some(Some(stage)) = self.stages.get(number)
        {
            return Ok(Stage::from_stage(stage));
        }
        let image = self.image(name, line).await?;
        Ok(Stage::from_image(Some(&image), &self.platform))
    }

    async fn image(&self, name: &str, line: usize) -> Result<super::store::Stored> {
        let reference: ImageRef = name.parse().map_err(|error: Error| {
            let message = format!("the Dockerfile is wrong at line {line}");
            Error::new(ErrorKind::InvalidDockerfile, message).with_source(error)
        })?;
        match (self.request.pull, self.engine.store.find(&reference.clone().into())) {
            (PullPolicy::Missing | PullPolicy::Never, Ok(image)) => Ok(image),
            (PullPolicy::Never, Err(error)) => Err(error),
            (PullPolicy::Missing | PullPolicy::Always, _) => {
                self.engine.pull_image(&reference, Some(&self.platform), self.session).await
            }
        }
    }

    /// Pulls the images that `--from` of an instruction names.
    async fn load_sources(&mut self, instruction: &Instruction) -> Result<()> {
        for name in instruction.flags("from") {
            if self.number_of(name).is_none() && !self.images.contains_key(name) {
                let image = self.image(name, instruction.line).await?;
                self.images.insert(name.to_owned(), image.root);
            }
        }
        Ok(())
    }

    /// Returns the files that `--from` stands for, or those of the context.
    pub(super) fn source(&self, from: Option<&str>, line: usize) -> Result<Arc<Root>> {
        let Some(from) = from else { return Ok(self.context.clone()) };
        let stage = self.number_of(from).and_then(|number| self.stages.get(number)?.as_ref());
        let root = stage.map(|stage| stage.root.clone()).or_else(|| self.images.get(from).cloned());
        root.ok_or_else(|| {
            let message = format!("the Dockerfile is wrong at line {line}");
            Error::new(ErrorKind::InvalidDockerfile, message)
                .with_cause(format!("no stage before it is called `{from}`"))
        })
    }

    async fn instruction(
        &self,
        stage: &mut Stage,
        instruction: &Instruction,
        globals: &BTreeMap<String, String>,
    ) -> Result<()> {
        match instruction.name.as_str() {
            "ARG" => {
                for word in split(&expand(&instruction.rest, &stage.variables())) {
                    let (name, default) = argument(&word);
                    let inherited = globals.get(&name).cloned();
                    let value = self.given(&name).or(default).or(inherited);
                    stage.arguments.extend(value.map(|value| (name, value)));
                }
                stage.note(&format!("ARG {}", instruction.rest), false);
                Ok(())
            }
            "WORKDIR" => {
                let path = expand(&instruction.rest, &stage.variables());
                let folder = clean(&stage.folder(), path.trim());
                stage.config.config.working_dir = format!("/{folder}");
                let mut root = stage.root.as_ref().clone();
                root.make_folders(&folder, (0, 0));
                stage.step(&format!("WORKDIR {folder}"));
                let made = stage.commit(root, &self.engine.store.layout).await?;
                stage.take(&made);
                stage.note(&format!("WORKDIR {path}"), made.layer.is_some());
                Ok(())
            }
            "COPY" | "ADD" | "RUN" => {
                let step = self.begin(instruction, Some(stage)).await;
                let done = self.files(stage, instruction, step).await;
                let result =
                    if matches!(done, Ok(true)) { StepResult::Cached } else { StepResult::Done };
                self.end(step, &done, result).await;
                done.map(drop)
            }
            _ => metadata::apply(stage, instruction).map(drop),
        }
    }

    /// Makes a layer, or takes it from the cache; returns whether it was there.
    async fn files(
        &self,
        stage: &mut Stage,
        instruction: &Instruction,
        step: StepId,
    ) -> Result<bool> {
        let mut root = stage.root.as_ref().clone();
        let mut what = format!("{instruction:?} {:?}", stage.variables());
        let is_copy = instruction.name != "RUN";
        if is_copy {
            copy::copy(self, instruction, stage, &mut root)?;
            if !self.engine.has(Defect::AlwaysCaches) {
                what += &format!("{:?}", root.layer_since(&stage.root).ok());
            }
        } else if instruction.flag("mount").is_some() && !self.engine.has(Defect::AlwaysCaches) {
            what += &format!("{:?}", self.context);
        }
        stage.step(&what);
        let uses_cache =
            self.request.cache == CacheUse::Use && !self.engine.has(Defect::NeverCaches);
        if let Some(cached) = self.engine.store.cached(&stage.key).filter(|_| uses_cache) {
            stage.take(&cached);
            stage.note(
                &format!("{} {}", instruction.name, instruction.rest),
                cached.layer.is_some(),
            );
            return Ok(true);
        }
        if !is_copy {
            root = self.process(stage, instruction, root, step).await?;
        }
        if self.engine.has(Defect::ForgetsWhiteouts) {
            let mut kept = stage.root.as_ref().clone();
            root.iter().for_each(|(path, node)| kept.put(path, node.clone()));
            root = kept;
        }
        let made: CachedStep = stage.commit(root, &self.engine.store.layout).await?;
        stage.take(&made);
        stage.note(&format!("{} {}", instruction.name, instruction.rest), made.layer.is_some());
        self.engine.store.cache(stage.key.clone(), made);
        Ok(false)
    }

    async fn process(
        &self,
        stage: &Stage,
        instruction: &Instruction,
        mut root: Root,
        step: StepId,
    ) -> Result<Root> {
        let mut mounts = mounts::of(self, instruction, stage, self.session)?;
        mounts.iter_mut().for_each(|mount| mount.cover(&mut root));
        let hosts = self.request.extra_hosts.iter().map(|host| match host.address {
            boxwright_core::HostAddress::Ip(ip) => format!("{ip}\t{}\n", host.name),
            boxwright_core::HostAddress::HostGateway => format!("127.0.0.1\t{}\n", host.name),
        });
        let hosts: String =
            std::iter::once("127.0.0.1\tlocalhost\n".to_owned()).chain(hosts).collect();
        let before = root.get("etc/hosts").cloned();
        root.put("etc/hosts", Node::file(hosts.as_bytes(), 0o644));
        let cancel = match self.engine.has(Defect::IgnoresCancel) {
            true => boxwright_core::CancellationToken::new(),
            false => self.session.cancel.clone(),
        };
        let user = &stage.config.config.user;
        let user = if user.is_empty() { (0, 0) } else { copy::user(&root, user)? };
        let mut process = Process {
            root,
            variables: stage.variables(),
            folder: stage.folder(),
            user,
            cancel,
            output: Output::Step(self.session.events.clone(), step),
        };
        let script = match instruction.documents.as_slice() {
            [document] if instruction.rest.starts_with("<<") => document.content.clone(),
            _ => instruction.rest.clone(),
        };
        let shell = || [stage.shell(), vec![script.clone()]].concat();
        let status = process.run(&instruction.json().unwrap_or_else(shell)).await;
        let mut root = process.root;
        mounts.into_iter().rev().for_each(|mount| mount.uncover(&mut root, self));
        match before {
            Some(before) => root.put("etc/hosts", before),
            None => drop(root.remove("etc/hosts")),
        }
        if self.session.cancel.is_cancelled() && !self.engine.has(Defect::IgnoresCancel) {
            return Err(Session::cancelled());
        }
        if status != 0 {
            let step = format!("RUN {}", instruction.rest);
            if self.engine.has(Defect::ForgetsExitCodes) {
                let error = Error::new(ErrorKind::BuildFailed, format!("`{step}` failed"));
                return Err(error.with_context("step", step));
            }
            return Err(Error::step_failed(&step, status));
        }
        Ok(root)
    }

    async fn begin(&self, instruction: &Instruction, stage: Option<&Stage>) -> StepId {
        let step = StepId(self.steps.fetch_add(1, Ordering::Relaxed));
        let stage = stage.and_then(|stage| stage.name.as_deref());
        let stage = stage.map(|name| format!("{name} ")).unwrap_or_default();
        let (number, total) = (step.0 + 1, self.total);
        let name = format!("[{stage}{number}/{total}] {} {}", instruction.name, instruction.rest);
        self.session.events.emit(Event::StepStarted { step, name }).await;
        step
    }

    async fn end<T: Sync>(&self, step: StepId, ended: &Result<T>, result: StepResult) {
        let result = match ended {
            Ok(_) => result,
            Err(error) if error.kind() == ErrorKind::Cancelled => StepResult::Cancelled,
            Err(error) => {
                let mut context = error.context().iter();
                let code = context.find(|(name, _)| *name == "exit code");
                let exit_code = code.and_then(|(_, code)| code.parse().ok());
                StepResult::Failed { error: error.to_string(), exit_code }
            }
        };
        self.session.events.emit(Event::StepFinished { step, result }).await;
    }

    async fn warn_of_unused(&self, instructions: &[Instruction]) {
        let declared: Vec<String> = instructions
            .iter()
            .filter(|instruction| instruction.name == "ARG")
            .flat_map(|instruction| split(&instruction.rest))
            .map(|word| argument(&word).0)
            .collect();
        let unused = self.request.build_args.keys().filter(|name| !declared.contains(name));
        for name in unused {
            let message = format!("the build argument `{name}` is not used");
            let remedy = format!("declare it with `ARG {name}`");
            self.session.events.warn(message, Some(&remedy)).await;
        }
    }
}

/// Reads `name` or `name=default`.
fn argument(word: &str) -> (String, Option<String>) {
    match word.trim().split_once('=') {
        Some((name, default)) => (name.to_owned(), Some(split(default).concat())),
        None => (word.trim().to_owned(), None),
    }
}
