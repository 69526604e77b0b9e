//! What the operating system says of this process. Where it has no `/proc`, the figures are 0.

use std::{fs, time::Duration};

use rustix::process::{Resource, getrlimit};

/// Units a second in which `/proc/self/stat` gives CPU time; Linux shows programs this value whatever it uses itself.
const TICKS_PER_SECOND: u64 = 100;

/// Memory and time of the process; cheap to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessFigures {
    /// Bytes of resident memory.
    pub memory: u64,
    /// The most bytes of resident memory since the start.
    pub memory_max: u64,
    /// CPU time of all threads since the start.
    pub cpu: Duration,
}

impl ProcessFigures {
    /// The figures now.
    pub fn read() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self {
            memory: kibibytes(&status, "VmRSS:") * 1024,
            memory_max: kibibytes(&status, "VmHWM:") * 1024,
            cpu: cpu_time(&stat),
        }
    }
}

/// Files and sockets that are open.
pub fn open_files() -> u64 {
    const FOLDER: &str = "/proc/self/fd";
    // Linux 6.2 and newer tell the number as the size of the folder; else they have to be counted, which takes the
    // longer the more there are. One of them is the folder itself then.
    match fs::metadata(FOLDER).map_or(0, |folder| folder.len()) {
        0 => fs::read_dir(FOLDER).map_or(0, |files| files.count().saturating_sub(1) as u64),
        n => n,
    }
}

/// How many files and sockets may be open; none: no limit.
pub fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

fn cpu_time(stat: &str) -> Duration {
    // The second field is the program's name in parentheses, which may hold spaces and parentheses itself.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = fields.split_whitespace().skip(11).take(2);
    let mut next = || ticks.next().and_then(|field| field.parse::<u64>().ok());
    let (user, system) = (next().unwrap_or(0), next().unwrap_or(0));
    Duration::from_millis(
        user.saturating_add(system)
            .saturating_mul(1000 / TICKS_PER_SECOND),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_their_files() {
        let status = "Name:\tnanomq\nVmHWM:\t    5678 kB\nVmRSS:\t    1234 kB\n";
        assert_eq!(kibibytes(status, "VmRSS:"), 1234);
        assert_eq!(kibibytes(status, "VmHWM:"), 5678);
        assert_eq!(kibibytes("", "VmRSS:"), 0);
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 31 0 0 20 0";
        assert_eq!(cpu_time(stat), Duration::from_millis(2810));
        for broken in [
            "",
            "42 (a",
            "42 (a) S 1",
            "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y",
        ] {
            assert_eq!(cpu_time(broken), Duration::ZERO, "{broken}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_files() {
        let figures = ProcessFigures::read();
        assert!(figures.memory > 0 && figures.memory_max >= figures.memory);
        let before = open_files();
        let _file = fs::File::open("/proc/self/stat").unwrap();
        assert!(before > 0 && open_files_limit() > Some(0));
    }
}
