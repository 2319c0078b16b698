//! Packet filters of others that keep from pods what our rules let through: the first refusal in any table is final, and
//! nothing that we accept changes that. All there is to do is to say so, and what its owner can allow.

use std::fmt;

use nftables::{BaseChain, Hook, Nftables};

use super::RulesError;
use crate::Ranges;

/// A chain of somebody else's that refuses what it does not know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForeignDrop {
    /// `ip`, `ip6` or `inet`.
    pub family: String,
    pub table: String,
    pub chain: String,
    /// What it stands in the way of.
    pub way: Way,
    owner: Owner,
    ranges: Ranges,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Pods to the outside, and from there to pods by node ports and host ports.
    Through,
    /// Pods to this machine, and so to its API and DNS.
    In,
}

/// Who is known to have such chains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Owner {
    Firewalld,
    Ufw,
    Docker,
    Unknown,
}

/// Those of this thread's network namespace, as far as pods of these ranges meet them. What `iptables-legacy` has cannot be seen.
///
/// # Errors
/// When the kernel does not tell.
pub fn foreign_drops(ranges: &Ranges) -> Result<Vec<ForeignDrop>, RulesError> {
    let mut nftables = Nftables::open()?;
    let chains = nftables.base_chains()?;
    let named = nftables.chain_names()?;
    Ok(judge(&chains, &named, ranges))
}

/// `named` are all chains, as table and name.
fn judge(chains: &[BaseChain], named: &[(String, String)], ranges: &Ranges) -> Vec<ForeignDrop> {
    // Ours refuse nothing at their ends.
    let drops = chains.iter().filter(|chain| chain.refuses).filter_map(|chain| {
        let way = match chain.hook {
            Hook::Forward => Way::Through,
            Hook::Input => Way::In,
            _ => return None,
        };
        Some(ForeignDrop {
            family: chain.family.clone(),
            table: chain.table.clone(),
            chain: chain.chain.clone(),
            way,
            owner: Owner::of(&chain.table, way, named),
            ranges: ranges.clone(),
        })
    });
    drops.collect()
}

impl Owner {
    fn of(table: &str, way: Way, named: &[(String, String)]) -> Self {
        let has = |begin: &str| named.iter().any(|(of, name)| of == table && name.starts_with(begin));
        match way {
            _ if table == "firewalld" => Self::Firewalld,
            _ if has("ufw-") || has("ufw6-") => Self::Ufw,
            // It has none in the way of what is for the machine itself.
            Way::Through if has("DOCKER-USER") => Self::Docker,
            _ => Self::Unknown,
        }
    }
}

impl ForeignDrop {
    /// What its owner can do, as commands for a shell where they are known.
    #[must_use]
    pub fn remedy(&self) -> String {
        let lines = |of: &dyn Fn(&str) -> String| {
            let ranges = self.ranges.pods.iter().filter(|range| self.sees(range)).map(ToString::to_string);
            ranges.map(|range| of(&range)).collect::<Vec<_>>().join("; ")
        };
        match (self.owner, self.way) {
            (Owner::Firewalld, _) => {
                let zone =
                    lines(&|range| format!("firewall-cmd --permanent --zone=trusted --add-source={range}"));
                format!("{zone}; firewall-cmd --reload")
            }
            (Owner::Ufw, Way::Through) => {
                lines(&|range| format!("ufw route allow from {range}; ufw route allow to {range}"))
            }
            (Owner::Ufw, Way::In) => lines(&|range| format!("ufw allow from {range}")),
            (Owner::Docker, _) => lines(&|range| {
                let tool = if range.contains(':') { "ip6tables" } else { "iptables" };
                format!(
                    "{tool} -I DOCKER-USER -s {range} -j ACCEPT; {tool} -I DOCKER-USER -d {range} -j ACCEPT"
                )
            }),
            (Owner::Unknown, Way::Through) => {
                let what = lines(&|range| format!("what comes from {range} and what goes to {range}"));
                format!("let it accept {what}")
            }
            (Owner::Unknown, Way::In) => {
                format!("let it accept {}", lines(&|range| format!("what comes from {range}")))
            }
        }
    }

    fn sees(&self, range: &ipnet::IpNet) -> bool {
        match self.family.as_str() {
            "ip" => range.addr().is_ipv4(),
            "ip6" => range.addr().is_ipv6(),
            _ => true,
        }
    }
}

impl fmt::Display for ForeignDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, chain, way, .. } = self;
        let what = match way {
            Way::Through => "what pods send to the outside, and what comes to them from there",
            Way::In => "what pods send to this machine, as its API and DNS",
        };
        let remedy = self.remedy();
        write!(
            f,
            "chain {chain} of table {family} {table} refuses {what}, unless it is told otherwise: {remedy}"
        )
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use nftables::{BaseChain, Hook};

    use super::judge;
    use crate::Ranges;

    fn chain(family: &str, table: &str, hook: Hook, refuses: bool) -> BaseChain {
        let chain = format!("{hook}").to_uppercase();
        BaseChain { family: family.to_owned(), table: table.to_owned(), chain, hook, refuses }
    }

    #[test]
    fn says_what_the_owner_of_a_chain_can_do() {
        let ranges = Ranges {
            pods: vec!["10.200.0.0/16".parse().unwrap(), "fd12::/64".parse().unwrap()],
            services: vec![],
        };
        let forward = |family, table| chain(family, table, Hook::Forward, true);
        let input = |family, table| chain(family, table, Hook::Input, true);
        let chains = [
            forward("ip", "docker"),
            forward("ip6", "docker"),
            forward("ip", "ufw"),
            input("ip", "ufw"),
            forward("inet", "firewalld"),
            input("inet", "firewalld"),
            forward("inet", "own"),
            input("inet", "own"),
            // Not in the way of anything.
            chain("inet", "own", Hook::Output, true),
            chain("ip", "other", Hook::Forward, false),
        ];
        let named = [("docker", "DOCKER-USER"), ("ufw", "DOCKER-USER"), ("ufw", "ufw-user-forward")];
        let named = named.map(|(table, name)| (table.to_owned(), name.to_owned()));
        let texts: Vec<String> = judge(&chains, &named, &ranges).iter().map(ToString::to_string).collect();
        expect![[r#"
            chain FORWARD of table ip docker refuses what pods send to the outside, and what comes to them from there, unless it is told otherwise: iptables -I DOCKER-USER -s 10.200.0.0/16 -j ACCEPT; iptables -I DOCKER-USER -d 10.200.0.0/16 -j ACCEPT
            chain FORWARD of table ip6 docker refuses what pods send to the outside, and what comes to them from there, unless it is told otherwise: ip6tables -I DOCKER-USER -s fd12::/64 -j ACCEPT; ip6tables -I DOCKER-USER -d fd12::/64 -j ACCEPT
            chain FORWARD of table ip ufw refuses what pods send to the outside, and what comes to them from there, unless it is told otherwise: ufw route allow from 10.200.0.0/16; ufw route allow to 10.200.0.0/16
            chain INPUT of table ip ufw refuses what pods send to this machine, as its API and DNS, unless it is told otherwise: ufw allow from 10.200.0.0/16
            chain FORWARD of table inet firewalld refuses what pods send to the outside, and what comes to them from there, unless it is told otherwise: firewall-cmd --permanent --zone=trusted --add-source=10.200.0.0/16; firewall-cmd --permanent --zone=trusted --add-source=fd12::/64; firewall-cmd --reload
            chain INPUT of table inet firewalld refuses what pods send to this machine, as its API and DNS, unless it is told otherwise: firewall-cmd --permanent --zone=trusted --add-source=10.200.0.0/16; firewall-cmd --permanent --zone=trusted --add-source=fd12::/64; firewall-cmd --reload
            chain FORWARD of table inet own refuses what pods send to the outside, and what comes to them from there, unless it is told otherwise: let it accept what comes from 10.200.0.0/16 and what goes to 10.200.0.0/16; what comes from fd12::/64 and what goes to fd12::/64
            chain INPUT of table inet own refuses what pods send to this machine, as its API and DNS, unless it is told otherwise: let it accept what comes from 10.200.0.0/16; what comes from fd12::/64"#]].assert_eq(&texts.join("\n"));
    }
}
