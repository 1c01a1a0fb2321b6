//! The worker instance: made where there is none, started, and given a session to run steps in.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use boxwright_core::{Error, ErrorKind, Result, Session, labels};
use boxwright_http::Body;
use boxwright_http::http::Method;
use boxwright_image::manifest::digest_of;
use boxwright_worker_program::WorkerProgram;
use serde_json::{Map, Value, json};

use crate::address::{self, Address};
use crate::api::Api;
use crate::api::exec::Running;
use crate::api::wire::{Device, Image, Instance, Lease, Network};
use crate::config::LxdConfig;
use crate::surroundings::{self, Surroundings};
use crate::worker_image::{self, OWNER, PROGRAM, STORE, WorkerImage};

/// What the names of worker instances begin with, and the name of their volume.
const NAME: &str = "boxwright-worker";

/// How long a worker instance runs on with nothing to do, in seconds.
const IDLE: u32 = 900;

/// How often an instance is started again that ends just then, or is being made or stopped by someone else.
const TRIES: u32 = 50;

/// How long is waited before each of them.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that worker instances can be had from.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    pub(crate) api: Api,
    pub(crate) config: LxdConfig,
    /// The static program.
    pub(crate) program: WorkerProgram,
}

impl Workers {
    /// Starts a session of the program, in an instance that is made or started if need be.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unavailable`] when there is no pool or the server is gone, [`ErrorKind::Exhausted`] when the pool or a
    /// project's limit is full, [`ErrorKind::InvalidInput`] when a setting or the project does not allow it.
    pub(crate) async fn session(&self, session: &Session) -> Result<(String, Running)> {
        let what = "cannot start a worker instance";
        let around = surroundings::find(&self.api, &self.config).await?;
        let architectures = &self.api.server.info.environment.architectures;
        let architecture = architectures.first().map_or("x86_64", String::as_str);
        self.program.require(go_name(architecture))?;
        let image = worker_image::make(self.program.bytes(), architecture)?;
        let name = self.name(&image, &around);
        let mut last = None;
        for _ in 0..TRIES {
            self.start(&name, &image, &around, session).await?;
            match self.api.exec(&name, &[PROGRAM, "serve", "--store", STORE], what).await {
                Ok(running) => return Ok((name, running)),
                // It ended itself, or someone stops or removes it just now.
                Err(error) if is_passing(&error) => last = Some(error),
                Err(error) => return Err(error),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, what)))
    }

    /// Returns the name of the instance for this program and these settings: of two programs that differ, each has its
    /// own, and both share the volume.
    fn name(&self, image: &WorkerImage, around: &Surroundings) -> String {
        let LxdConfig { target, limits_cpu, limits_memory, .. } = &self.config;
        let facts =
            format!("{} {around:?} {target:?} {limits_cpu:?} {limits_memory:?}", image.fingerprint);
        format!("{NAME}-{}", &digest_of(facts.as_bytes()).hex()[..12])
    }

    /// Makes sure that the instance runs.
    async fn start(
        &self,
        name: &str,
        image: &WorkerImage,
        around: &Surroundings,
        session: &Session,
    ) -> Result<()> {
        let path = format!("/1.0/instances/{name}");
        let what = "cannot start the worker instance";
        match self.api.get::<Instance>(&path, what).await {
            Ok(found) if found.status == "Running" => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.sweep(name, &image.fingerprint).await;
                self.make(name, image, around, session).await?;
            }
            Err(error) => return Err(error),
        }
        let start = json!({ "action": "start", "timeout": 10 });
        match self.api.act(Method::PUT, &format!("{path}/state"), &[], &start, what).await {
            Ok(_) => Ok(()),
            // Someone else starts it, or it is being stopped: what follows finds out.
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn make(
        &self,
        name: &str,
        image: &WorkerImage,
        around: &Surroundings,
        session: &Session,
    ) -> Result<()> {
        let what = "cannot make the worker instance";
        let Self { api, config, .. } = self;
        let fingerprint = &image.fingerprint;
        let there = api.get::<Image>(&format!("/1.0/images/{fingerprint}"), what).await;
        if let Err(error) = there {
            if error.kind() != ErrorKind::NotFound {
                return Err(error);
            }
            let sent = api.add_image(Body::bytes(image.tar.clone()), what).await;
            unless_there(sent.map(drop))?;
        }
        let target: Vec<(&str, &str)> =
            config.target.iter().map(|target| ("target", target.as_str())).collect();
        let volume = json!({
            "name": NAME,
            "type": "custom",
            "content_type": "filesystem",
            "config": { format!("user.{}", labels::OWNER): OWNER },
        });
        let path = format!("/1.0/storage-pools/{}/volumes/custom", around.pool);
        let made = api.act(Method::POST, &path, &target, &volume, what).await;
        unless_there(made.map(drop))?;

        let address = self.address(name, around).await?;
        if address.is_none() {
            let remedy = surroundings::no_network(api.server.flavor);
            let message = "the worker instance has no network with addresses of its own";
            session.events.warn(message, Some(&remedy)).await;
        }
        let instance = json!({
            "name": name,
            "source": { "type": "image", "fingerprint": fingerprint },
            "profiles": [around.profile],
            "config": self.instance_config(address.as_ref()),
            "devices": devices(around, address.as_ref()),
        });
        unless_there(
            api.act(Method::POST, "/1.0/instances", &target, &instance, what).await.map(drop),
        )
    }

    fn instance_config(&self, address: Option<&Address>) -> Value {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut config = Map::new();
        let mut set = |name: &str, value: String| {
            config.insert(name.to_owned(), Value::String(value));
        };
        // It mounts in namespaces of its own. Never `security.privileged`, threat 41, and no `raw.lxc`.
        set("security.nesting", "true".to_owned());
        set("boot.autostart", "false".to_owned());
        set(&format!("user.{}", labels::OWNER), OWNER.to_owned());
        set(&format!("user.{}", labels::STARTED), started.to_string());
        set("environment.BOXWRIGHT_WORKER_IDLE", IDLE.to_string());
        if let Some(Address { address, prefix, gateway, .. }) = address {
            set("environment.BOXWRIGHT_WORKER_ADDRESS", format!("{address}/{prefix}"));
            set("environment.BOXWRIGHT_WORKER_GATEWAY", gateway.to_string());
        }
        if let Some(limit) = &self.config.limits_cpu {
            set("limits.cpu", limit.clone());
        }
        if let Some(limit) = &self.config.limits_memory {
            set("limits.memory", limit.clone());
        }
        Value::Object(config)
    }

    /// Chooses an address in the instance's network, if the server knows that.
    async fn address(&self, name: &str, around: &Surroundings) -> Result<Option<Address>> {
        let Some(nic) = &around.network else { return Ok(None) };
        let network = nic.device.get("network").or_else(|| nic.device.get("parent"));
        let Some(network) = network else { return Ok(None) };
        let path = format!("/1.0/networks/{network}");
        let what = "cannot read the network of the worker instance";
        let found: Network = self.api.get(&path, what).await?;
        if !found.managed {
            return Ok(None);
        }
        // One that hands no addresses out tells of none.
        let leases: Vec<Lease> =
            self.api.get(&format!("{path}/leases"), what).await.unwrap_or_default();
        let taken: Vec<IpAddr> =
            leases.iter().filter_map(|lease| lease.address.parse().ok()).collect();
        let digits = digest_of(name.as_bytes()).hex().to_owned();
        let seed = u32::from_str_radix(&digits[..8], 16).unwrap_or_default();
        Ok(address::choose(&found.config, &taken, seed))
    }

    /// Removes worker instances of other programs or settings that have ended, and their images. What cannot be removed
    /// is someone's who is faster, or is left for the next time.
    async fn sweep(&self, own: &str, fingerprint: &str) {
        let _ = self.remove_ended(own, fingerprint).await;
    }

    async fn remove_ended(&self, own: &str, fingerprint: &str) -> Result<()> {
        let api = &self.api;
        let all: Vec<Instance> =
            api.get("/1.0/instances?recursion=1", "cannot list the instances").await?;
        let owner = format!("user.{}", labels::OWNER);
        let is_worker = |config: &BTreeMap<String, String>, label: &str| {
            config.get(label).is_some_and(|owner| owner == OWNER)
        };
        let ended = |it: &Instance| it.status == "Stopped" && it.name != own;
        for instance in all.iter().filter(|it| is_worker(&it.config, &owner) && ended(it)) {
            let what = format!("cannot remove the worker instance `{}`", instance.name);
            api.delete(&format!("/1.0/instances/{}", instance.name), &what).await?;
        }
        let images: Vec<Image> =
            api.get("/1.0/images?recursion=1", "cannot list the images").await?;
        let old = |it: &Image| it.fingerprint != fingerprint;
        for image in images.iter().filter(|it| is_worker(&it.properties, labels::OWNER) && old(it))
        {
            let path = format!("/1.0/images/{}", image.fingerprint);
            api.delete(&path, "cannot remove the image of a worker instance").await?;
        }
        Ok(())
    }
}

/// Returns Go's name of an architecture in the words of the kernel.
fn go_name(architecture: &str) -> &str {
    match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Returns the devices of an instance beside those of its profile.
fn devices(around: &Surroundings, address: Option<&Address>) -> Value {
    let device = |pairs: &[(&str, &str)]| -> Device {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let pool = around.pool.as_str();
    let mut devices = BTreeMap::from([
        ("root".to_owned(), device(&[("type", "disk"), ("path", "/"), ("pool", pool)])),
        (
            "store".to_owned(),
            device(&[("type", "disk"), ("path", STORE), ("pool", pool), ("source", NAME)]),
        ),
    ]);
    if let Some(nic) = &around.network {
        let mut device = nic.device.clone();
        // So that the server hands it out to nobody else.
        if let Some(address) = address.filter(|address| address.is_leased)
            && device.contains_key("network")
        {
            device.insert("ipv4.address".to_owned(), address.address.to_string());
        }
        devices.insert(nic.name.clone(), device);
    }
    json!(devices)
}

/// Takes it for done when somebody else was faster.
fn unless_there(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
        other => other,
    }
}

/// Whether a failure comes from an instance that just ends, or that somebody else makes, starts or removes.
fn is_passing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound)
}
