//! Bridges and subnets of an environment, apart from those of any engine that the user has.

use std::fs;

use super::layout::Layout;
use super::state::State;
use crate::problem::{Explain, Problem, Result};
use crate::program::{Program, find};

/// Makes a bridge with a free subnet of its own and returns that subnet's prefix, such as `10.201.7`.
///
/// `dockerd` must not make `docker0` itself (an other daemon may have it), and with no bridge at all it removes that one.
pub(crate) fn make_bridge(name: &str, layout: &Layout, state: &mut State) -> Result<String> {
    let prefix = claim_subnet(name, layout, state)?;
    Program::new("ip").args(["link", "add", name, "type", "bridge"]).output()?;
    Program::new("ip").args(["address", "add", &format!("{prefix}.1/24"), "dev", name]).output()?;
    Program::new("ip").args(["link", "set", name, "up"]).output()?;
    Ok(prefix)
}

/// Notes in `state` that the bridge `name` is this environment's, and finds a subnet for it that nothing else has.
pub(crate) fn claim_subnet(name: &str, layout: &Layout, state: &mut State) -> Result<String> {
    let routes = fs::read_to_string("/proc/net/route")
        .explain(|| "cannot read the routes of this machine".to_owned())?;
    let taken = parse_routes(&routes);
    let prefix = (0..=255u8)
        .map(|step| [10, 201, layout.seed().wrapping_add(step)])
        .find(|[a, b, c]| {
            let first = u32::from_be_bytes([*a, *b, *c, 0]);
            let free = taken.iter().all(|(network, mask)| {
                let mask = mask & 0xffff_ff00;
                first & mask != network & mask
            });
            free && !state.subnets.contains(&format!("{a}.{b}.{c}.0/24"))
        })
        .map(|[a, b, c]| format!("{a}.{b}.{c}"))
        .ok_or_else(|| Problem::new("cannot find a free subnet in 10.201.0.0/16"))?;
    state.bridges.push(name.to_owned());
    state.subnets.push(format!("{prefix}.0/24"));
    state.write(layout)?;
    Ok(prefix)
}

/// Returns networks and masks of `/proc/net/route`, without the default route.
fn parse_routes(text: &str) -> Vec<(u32, u32)> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
        Some((number(fields.get(1)?)?, number(fields.get(7)?)?))
    };
    text.lines().skip(1).filter_map(route).filter(|(_, mask)| *mask != 0).collect()
}

/// Returns whether this machine has chains of netavark, Podman's network program.
pub(crate) fn has_netavark_chains() -> bool {
    ["filter", "nat"].iter().any(|table| rules(table).iter().any(|rule| is_netavark(rule)))
}

/// Removes the bridges of an environment and the packet filter rules that engines left for its subnets.
pub(crate) fn clear(state: &State) {
    for bridge in &state.bridges {
        if fs::exists(format!("/sys/class/net/{bridge}")).unwrap_or(false) {
            let _ = Program::new("ip").args(["link", "delete", bridge]).output();
        }
    }
    clear_lxd(state);
    if state.subnets.is_empty() || find("iptables").is_none() {
        return;
    }
    for table in ["filter", "nat"] {
        let own: Vec<String> = rules(table)
            .into_iter()
            .filter(|rule| {
                state.subnets.iter().any(|subnet| names_subnet(rule, subnet))
                    || state.bridges.iter().any(|bridge| names_bridge(rule, bridge))
            })
            .collect();
        for rule in &own {
            delete_rule(table, rule);
        }
        for chain in own.iter().filter_map(|rule| network_chain(rule)) {
            delete_chain(table, chain);
        }
        if !state.had_netavark_chains {
            remove_common_chains(table);
        }
    }
}

/// Removes the chains that LXD has for its networks, which are called after their bridges, and its table if
/// nothing is left in it.
fn clear_lxd(state: &State) {
    let list = ["list", "table", "inet", "lxd"];
    let Ok(table) = Program::new("nft").args(list).text() else { return };
    for chain in lxd_chains(&table) {
        if state.bridges.iter().any(|bridge| chain.split_once('.').is_some_and(|it| it.1 == bridge))
        {
            let _ = Program::new("nft").args(["delete", "chain", "inet", "lxd", chain]).output();
        }
    }
    let table = Program::new("nft").args(list).text().unwrap_or_default();
    if lxd_chains(&table).is_empty() {
        let _ = Program::new("nft").args(["delete", "table", "inet", "lxd"]).output();
    }
}

fn lxd_chains(table: &str) -> Vec<&str> {
    let names = table.lines().filter_map(|line| line.trim().strip_prefix("chain "));
    names.filter_map(|rest| rest.strip_suffix(" {")).collect()
}

/// Removes the chains that netavark has for all networks, unless it still has one for a network of someone else.
fn remove_common_chains(table: &str) {
    let rules = rules(table);
    if rules.iter().any(|rule| network_chain(rule).is_some()) {
        return;
    }
    for rule in rules.iter().filter(|rule| is_netavark(rule)) {
        delete_rule(table, rule);
    }
    for chain in
        rules.iter().filter(|rule| is_netavark(rule)).filter_map(|rule| rule.strip_prefix("-N "))
    {
        delete_chain(table, chain);
    }
}

fn is_netavark(rule: &str) -> bool {
    rule.contains(" NETAVARK")
}

/// Returns the chain of one network that `rule` is about: netavark names it with a number in hexadecimal digits.
fn network_chain(rule: &str) -> Option<&str> {
    rule.split_whitespace().find(|word| {
        let number = word.strip_prefix("NETAVARK-").unwrap_or_default();
        !number.is_empty() && number.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn delete_chain(table: &str, chain: &str) {
    for command in ["-F", "-X"] {
        let _ = Program::new("iptables").args(["--wait", "-t", table, command, chain]).output();
    }
}

/// Returns whether a rule is about an address in `subnet`, such as `10.201.7.0/24`.
fn names_subnet(rule: &str, subnet: &str) -> bool {
    let prefix = subnet.trim_end_matches("0/24");
    rule.split_whitespace().any(|word| word.starts_with(prefix))
}

/// Returns whether a rule is about packets that come in or go out by `bridge`.
fn names_bridge(rule: &str, bridge: &str) -> bool {
    rule.split_whitespace().any(|word| word == bridge)
}

fn rules(table: &str) -> Vec<String> {
    let listed = Program::new("iptables").args(["--wait", "-t", table, "-S"]).text();
    listed.unwrap_or_default().lines().map(str::to_owned).collect()
}

fn delete_rule(table: &str, rule: &str) {
    let Some(rest) = rule.strip_prefix("-A ") else { return };
    // Comments are quoted in the listing.
    let words = rest.split_whitespace().map(|word| word.trim_matches('"'));
    let _ = Program::new("iptables").args(["--wait", "-t", table, "-D"]).args(words).output();
}

#[cfg(test)]
mod tests {
    use super::{lxd_chains, names_bridge, names_subnet, network_chain, parse_routes};

    #[test]
    fn routes_are_read_in_network_order_without_the_default() {
        let text = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU\n\
            eth0 00000000 010011AC 0003 0 0 0 00000000 0\n\
            br0 0007C90A 00000000 0001 0 0 0 00FFFFFF 0\n";
        assert_eq!(parse_routes(text), [(0x0ac9_0700, 0xffff_ff00)]);
    }

    #[test]
    fn a_rule_names_a_subnet_by_whole_numbers() {
        assert!(names_subnet("-A FORWARD -s 10.201.7.0/24 -j ACCEPT", "10.201.7.0/24"));
        assert!(names_subnet("-A FORWARD -d 10.201.7.9/32 -j ACCEPT", "10.201.7.0/24"));
        assert!(!names_subnet("-A FORWARD -s 10.201.70.0/24 -j ACCEPT", "10.201.7.0/24"));
    }

    #[test]
    fn chains_of_lxd_are_listed_and_rules_know_their_bridge() {
        let table = "table inet lxd {\n\tchain pstrt.bw1l {\n\t\ttype nat hook postrouting\n\t}\n\n\tchain in.bw1l {\n\t}\n}";
        assert_eq!(lxd_chains(table), ["pstrt.bw1l", "in.bw1l"]);
        assert!(names_bridge("-A FORWARD -o bw1l -j ACCEPT", "bw1l"));
        assert!(!names_bridge("-A FORWARD -o bw1lx -j ACCEPT", "bw1l"));
    }

    #[test]
    fn the_chain_of_a_network_is_told_from_the_common_ones() {
        let rule = "-A POSTROUTING -s 10.201.7.0/24 -j NETAVARK-1D8721804F16F";
        assert_eq!(network_chain(rule), Some("NETAVARK-1D8721804F16F"));
        assert_eq!(network_chain("-A POSTROUTING -j NETAVARK-HOSTPORT-MASQ"), None);
        assert_eq!(network_chain("-N NETAVARK_FORWARD"), None);
    }
}
