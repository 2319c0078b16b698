//! The machine as a whole, from `/proc`: what a kubelet reads from the root group, which is not there in every
//! layout (v2 has no memory files in it).

use std::fs;

use linux_sys::cgroup::Usage;
use podspec::WallTime;

/// Clock ticks of `/proc/stat`: 100 a second for user space on every architecture this builds for.
const TICK_NS: u64 = 10_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// One reading; 0 for what the kernel does not say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Host {
    pub(crate) cpu_ns: u64,
    pub(crate) booted: WallTime,
    pub(crate) memory: Memory,
    pub(crate) processes: Processes,
}

/// `/proc/meminfo`, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// As the root group counts it: anonymous memory and the page cache.
    pub(crate) usage: u64,
    pub(crate) working_set: u64,
    pub(crate) rss: u64,
    /// The kernel's own estimate, which knows of its own needs.
    pub(crate) kernel_available: u64,
    pub(crate) swap_total: u64,
    pub(crate) swap_free: u64,
    pub(crate) page_faults: u64,
    pub(crate) major_page_faults: u64,
}

/// Threads count each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Processes {
    pub(crate) running: u64,
    pub(crate) max: u64,
}

/// Bytes and packets' errors of one network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) rx_bytes: u64,
    pub(crate) rx_errors: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) tx_errors: u64,
}

impl Host {
    pub(crate) fn read() -> Self {
        let stat = text("/proc/stat");
        Self {
            cpu_ns: cpu_ns(&stat),
            booted: booted(&stat),
            memory: Memory::parse(&text("/proc/meminfo"), &text("/proc/vmstat")),
            processes: Processes::read(),
        }
    }

    /// As of a group.
    pub(crate) fn usage(&self) -> Usage {
        let Memory { usage, working_set, rss, page_faults, major_page_faults, .. } = self.memory;
        Usage {
            cpu_ns: Some(self.cpu_ns),
            memory_bytes: Some(usage),
            working_set_bytes: Some(working_set),
            rss_bytes: Some(rss),
            page_faults: Some(page_faults),
            major_page_faults: Some(major_page_faults),
            swap_bytes: Some(self.memory.swap_total.saturating_sub(self.memory.swap_free)),
            memory_limit_bytes: Some(self.memory.total),
            processes: Some(self.processes.running),
        }
    }
}

impl Memory {
    pub(crate) fn read() -> Self {
        Self::parse(&text("/proc/meminfo"), &text("/proc/vmstat"))
    }

    fn parse(meminfo: &str, vmstat: &str) -> Self {
        let kib = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            number.unwrap_or(0).saturating_mul(1_024)
        };
        let count = |name: &str| {
            let line = vmstat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
        };
        let rss = kib("AnonPages");
        let usage = rss + kib("Cached") + kib("Buffers") + kib("SwapCached");
        Self {
            total: kib("MemTotal"),
            usage,
            working_set: usage.saturating_sub(kib("Inactive(file)")),
            rss,
            kernel_available: kib("MemAvailable"),
            swap_total: kib("SwapTotal"),
            swap_free: kib("SwapFree"),
            page_faults: count("pgfault"),
            major_page_faults: count("pgmajfault"),
        }
    }

    /// What is left before the machine is in need. A kubelet takes all that is no working set; where the kernel says
    /// that it has less, because of memory of its own that nobody's group has, it is right.
    pub(crate) fn available(&self) -> u64 {
        self.total.saturating_sub(self.working_set).min(self.kernel_available)
    }
}

impl Processes {
    pub(crate) fn read() -> Self {
        Self::parse(
            &text("/proc/loadavg"),
            &text("/proc/sys/kernel/pid_max"),
            &text("/proc/sys/kernel/threads-max"),
        )
    }

    /// `0.20 0.18 0.12 1/80 11206`
    fn parse(loadavg: &str, pid_max: &str, threads_max: &str) -> Self {
        let running =
            loadavg.split_whitespace().nth(3).and_then(|field| field.split_once('/')?.1.parse().ok());
        let max = [pid_max, threads_max].iter().filter_map(|text| text.trim().parse().ok()).min();
        Self { running: running.unwrap_or(0), max: max.unwrap_or(0) }
    }
}

/// Without loopback, in the kernel's order; the one of the default route comes first.
pub(crate) fn interfaces() -> Vec<Interface> {
    parse_interfaces(&text("/proc/net/dev"), &text("/proc/net/route"))
}

fn parse_interfaces(dev: &str, route: &str) -> Vec<Interface> {
    let default = route.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let name = fields.next()?;
        (fields.next()? == "00000000").then_some(name)
    });
    let mut interfaces: Vec<Interface> = dev.lines().filter_map(interface).collect();
    interfaces.sort_by_key(|interface| Some(interface.name.as_str()) != default);
    interfaces
}

/// `  eth0: BYTES PACKETS ERRS DROP FIFO FRAME COMPRESSED MULTICAST BYTES PACKETS ERRS ...`
fn interface(line: &str) -> Option<Interface> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let name = name.trim().to_owned();
    let at = |index: usize| numbers.get(index).copied();
    (name != "lo").then_some(())?;
    Some(Interface { name, rx_bytes: at(0)?, rx_errors: at(2)?, tx_bytes: at(8)?, tx_errors: at(10)? })
}

/// `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ ...`: all but idle; what guests got is part of user time.
fn cpu_ns(stat: &str) -> u64 {
    let fields = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let fields = fields.unwrap_or_default().split_whitespace();
    let busy = [0, 1, 2, 5, 6];
    let ticks = fields.enumerate().filter(|(index, _)| busy.contains(index));
    ticks.filter_map(|(_, field)| field.parse::<u64>().ok()).sum::<u64>().saturating_mul(TICK_NS)
}

fn booted(stat: &str) -> WallTime {
    let seconds = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<i64>().ok());
    WallTime(seconds.unwrap_or(0).saturating_mul(NANOS_PER_SECOND))
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use podspec::WallTime;

    use super::{Host, Memory, Processes, booted, cpu_ns, parse_interfaces};

    #[test]
    fn processors_and_boot_are_read() {
        let stat = "cpu  100 10 50 100000 7 3 2 99 40 0\ncpu0 1 1 1\nbtime 1700000000\n";
        assert_eq!(cpu_ns(stat), 165 * 10_000_000);
        assert_eq!(booted(stat), WallTime(1_700_000_000_000_000_000));
        assert_eq!(cpu_ns(""), 0);
    }

    #[test]
    fn the_lower_of_both_figures_is_what_is_available() {
        let meminfo = |available: u64| {
            format!(
                "MemTotal:       1000 kB\nMemFree: 100 kB\nMemAvailable: {available} kB\nBuffers: 10 kB\n\
                 Cached: 400 kB\nSwapCached: 0 kB\nInactive:  999 kB\nInactive(file): 250 kB\nAnonPages: 200 kB\n\
                 SwapTotal: 50 kB\nSwapFree: 20 kB\n"
            )
        };
        let memory = Memory::parse(&meminfo(700), "pgfault 12\npgmajfault 3\n");
        assert_eq!((memory.usage, memory.working_set), (610 * 1_024, 360 * 1_024));
        assert_eq!((memory.page_faults, memory.major_page_faults), (12, 3));
        assert_eq!(memory.available(), 640 * 1_024);
        assert_eq!(Memory::parse(&meminfo(90), "").available(), 90 * 1_024);
    }

    #[test]
    fn processes_have_the_lower_of_both_limits() {
        let processes = Processes::parse("0.20 0.18 0.12 1/80 11206\n", "4194304\n", "1000\n");
        assert_eq!(processes, Processes { running: 80, max: 1_000 });
        assert_eq!(Processes::parse("", "", ""), Processes::default());
    }

    #[test]
    fn the_interface_of_the_default_route_is_first() {
        let dev = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
            \x20   lo: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
            \x20 eth1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n\
            \x20 eth0: 21 2 23 4 5 6 7 8 29 10 31 12 13 14 15 16\n";
        let route = "Iface\tDestination\tGateway\neth1\t0000A8C0\t00000000\neth0\t00000000\t0100A8C0\n";
        let interfaces = parse_interfaces(dev, route);
        let names: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["eth0", "eth1"]);
        let first = &interfaces[0];
        assert_eq!((first.rx_bytes, first.rx_errors, first.tx_bytes, first.tx_errors), (21, 23, 29, 31));
    }

    #[test]
    fn this_machine_can_be_read() {
        let host = Host::read();
        assert!(host.cpu_ns > 0 && host.booted.0 > 0 && host.processes.running > 0);
        assert!(host.memory.available() > 0 && host.memory.working_set < host.memory.total, "{host:?}");
    }
}
