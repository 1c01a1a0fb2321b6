//! What a worker instance stands on: a pool for its files and its volume, and a network.

use boxwright_core::{Error, ErrorKind, Result};

use crate::api::wire::{Device, Network, Pool, Profile};
use crate::api::{Api, Flavor};
use crate::config::LxdConfig;

/// The name of the profile that is used where none is set, and of the project.
pub(crate) const DEFAULT: &str = "default";

/// Where a worker instance is put, as the settings and the server say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    pub(crate) profile: String,
    pub(crate) pool: String,
    /// What the pool is kept on, such as `dir`.
    pub(crate) driver: String,
    /// The device of its network, and what the server knows of that. `None` where there is no network.
    pub(crate) network: Option<Nic>,
}

/// The device of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nic {
    /// The device's name in the profile, which is that of the interface, too.
    pub(crate) name: String,
    pub(crate) device: Device,
}

/// What the server has, by which [`choose`] decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) profile: Profile,
    pub(crate) pools: Vec<Pool>,
    pub(crate) networks: Vec<Network>,
}

/// Asks for what the server has, and chooses.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] when a setting names what is not there, [`ErrorKind::Unavailable`] when there is no pool.
pub(crate) async fn find(api: &Api, config: &LxdConfig) -> Result<Surroundings> {
    let profile = config.profile.as_deref().unwrap_or(DEFAULT);
    let path = format!("/1.0/profiles/{profile}");
    let pools = api.get::<Vec<Pool>>("/1.0/storage-pools?recursion=1", "cannot list the pools");
    let networks = api.get::<Vec<Network>>("/1.0/networks?recursion=1", "cannot list the networks");
    let read = api.get::<Profile>(&path, "cannot read the profile");
    let (profile_found, pools, networks) = tokio::try_join!(
        async { read.await.map_err(|error| no_profile(error, profile, api.server.flavor)) },
        pools,
        networks
    )?;
    choose(config, api.server.flavor, &Inventory { profile: profile_found, pools, networks })
}

fn no_profile(error: Error, profile: &str, flavor: Flavor) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(ErrorKind::InvalidInput, format!("there is no profile `{profile}`")).with_remedy(
        format!("set `engine.lxd.profile` to one of `{} profile list`", flavor.client()),
    )
}

/// Chooses pool and network. Pure.
pub(crate) fn choose(
    config: &LxdConfig,
    flavor: Flavor,
    inventory: &Inventory,
) -> Result<Surroundings> {
    let devices = &inventory.profile.devices;
    let of_kind = |kind: &'static str| {
        devices.iter().filter(move |(_, device)| device.get("type").is_some_and(|it| it == kind))
    };
    let root = of_kind("disk").find(|(_, device)| device.get("path").is_some_and(|it| it == "/"));
    let of_profile = root.and_then(|(_, device)| device.get("pool"));
    let (pool, driver) = pool(config, flavor, of_profile, &inventory.pools)?;
    let nic = of_kind("nic").map(|(name, device)| (name.clone(), device.clone())).next();
    let network = network(config, flavor, nic, &inventory.networks)?;
    let profile = config.profile.clone().unwrap_or_else(|| DEFAULT.to_owned());
    Ok(Surroundings { profile, pool, driver, network })
}

fn pool(
    config: &LxdConfig,
    flavor: Flavor,
    of_profile: Option<&String>,
    pools: &[Pool],
) -> Result<(String, String)> {
    let client = flavor.client();
    let name = match (&config.pool, of_profile, pools) {
        (Some(name), _, _) | (None, Some(name), _) => name,
        (None, None, [only]) => &only.name,
        (None, None, []) => {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("{} has no storage pool", flavor.name()),
            )
            .with_cause("instances and their volumes are kept in one")
            .with_remedy(format!("make one: `{client} storage create default dir`")));
        }
        (None, None, several) => {
            let names: Vec<&str> = several.iter().map(|pool| pool.name.as_str()).collect();
            return Err(Error::new(ErrorKind::InvalidInput, "several storage pools could be used")
                .with_cause(format!("the profile names none of {}", names.join(", ")))
                .with_remedy("set `engine.lxd.pool` to one of them"));
        }
    };
    match pools.iter().find(|pool| pool.name == *name) {
        Some(pool) => Ok((pool.name.clone(), pool.driver.clone())),
        None => {
            Err(Error::new(ErrorKind::InvalidInput, format!("there is no storage pool `{name}`"))
                .with_remedy(format!("set `engine.lxd.pool` to one of `{client} storage list`")))
        }
    }
}

fn network(
    config: &LxdConfig,
    flavor: Flavor,
    of_profile: Option<(String, Device)>,
    networks: &[Network],
) -> Result<Option<Nic>> {
    let nic = |network: &Network| {
        // One that is not managed is a bridge that somebody made.
        let link = if network.managed { "network" } else { "parent" };
        let mut device = Device::from([
            ("type".to_owned(), "nic".to_owned()),
            ("name".to_owned(), "eth0".to_owned()),
            (link.to_owned(), network.name.clone()),
        ]);
        if !network.managed {
            device.insert("nictype".to_owned(), "bridged".to_owned());
        }
        Nic { name: "eth0".to_owned(), device }
    };
    if let Some(name) = &config.network {
        let found = networks.iter().find(|network| network.name == *name).ok_or_else(|| {
            let client = flavor.client();
            Error::new(ErrorKind::InvalidInput, format!("there is no network `{name}`"))
                .with_remedy(format!("set `engine.lxd.network` to one of `{client} network list`"))
        })?;
        return Ok(Some(nic(found)));
    }
    if let Some((name, device)) = of_profile {
        return Ok(Some(Nic { name, device }));
    }
    let mut bridges = networks.iter().filter(|it| it.managed && it.kind == "bridge");
    Ok(match (bridges.next(), bridges.next()) {
        (Some(only), None) => Some(nic(only)),
        _ => None,
    })
}

/// Returns what to do where there is no network.
pub(crate) fn no_network(flavor: Flavor) -> String {
    let client = flavor.client();
    format!(
        "no network: commands of `RUN` reach nothing; make one with `{client} network create {client}br0`, or set `engine.lxd.network`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(pairs: &[(&str, &str)]) -> Device {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn pools(names: &[&str]) -> Vec<Pool> {
        let pool = |name: &&str| Pool { name: (*name).to_owned(), driver: "dir".to_owned() };
        names.iter().map(pool).collect()
    }

    fn chosen(config: &LxdConfig, inventory: &Inventory) -> Result<Surroundings> {
        choose(config, Flavor::Lxd, inventory)
    }

    #[test]
    fn the_profile_says_where_and_settings_say_otherwise() {
        let devices = [
            ("root".to_owned(), device(&[("type", "disk"), ("path", "/"), ("pool", "b")])),
            ("eth1".to_owned(), device(&[("type", "nic"), ("network", "net")])),
        ];
        let net = Network { name: "own".into(), managed: false, ..Network::default() };
        let inventory = Inventory {
            profile: Profile { devices: devices.into() },
            pools: pools(&["a", "b"]),
            networks: vec![net],
        };
        let found = chosen(&LxdConfig::default(), &inventory).unwrap();
        assert_eq!((found.pool.as_str(), found.driver.as_str()), ("b", "dir"));
        assert_eq!(found.network.unwrap().name, "eth1");
        let config = LxdConfig {
            pool: Some("a".into()),
            network: Some("own".into()),
            ..LxdConfig::default()
        };
        let found = chosen(&config, &inventory).unwrap();
        assert_eq!(found.pool, "a");
        assert_eq!(found.network.unwrap().device["parent"], "own");
        let config = LxdConfig { pool: Some("c".into()), ..LxdConfig::default() };
        assert_eq!(
            chosen(&config, &inventory).unwrap_err().to_string(),
            "there is no storage pool `c`"
        );
    }

    #[test]
    fn a_server_that_was_never_set_up_says_what_to_do() {
        let error = chosen(&LxdConfig::default(), &Inventory::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.remedy(), Some("make one: `lxc storage create default dir`"));
    }

    #[test]
    fn an_empty_profile_leaves_the_only_pool_and_bridge() {
        let bridge = |name: &str| Network {
            name: name.into(),
            managed: true,
            kind: "bridge".into(),
            ..Network::default()
        };
        let mut inventory = Inventory {
            pools: pools(&["a"]),
            networks: vec![bridge("lxdbr0")],
            ..Inventory::default()
        };
        let found = chosen(&LxdConfig::default(), &inventory).unwrap();
        assert_eq!(found.pool, "a");
        assert_eq!(found.network.unwrap().device["network"], "lxdbr0");
        inventory.networks.push(bridge("lxdbr1"));
        assert_eq!(chosen(&LxdConfig::default(), &inventory).unwrap().network, None);
        inventory.pools = pools(&["a", "b"]);
        let error = chosen(&LxdConfig::default(), &inventory).unwrap_err();
        assert_eq!(error.remedy(), Some("set `engine.lxd.pool` to one of them"));
    }
}
