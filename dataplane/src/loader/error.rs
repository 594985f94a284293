//! Why the programs do not run, in words that say what would cure it.

use std::error::Error;
use std::fmt;
use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use nix::errno::Errno;

/// Why the programs were not loaded or attached.
#[derive(Debug)]
pub enum LoadError {
    /// The binary has no programs in it.
    NotBuilt(&'static str),
    /// No device that packets of clients or peers come by.
    NoDevice,
    /// A device that was named is not there.
    UnknownDevice(String),
    /// A virtual cable that nobody named.
    Veth(String),
    /// Another program is on a device already.
    Foreign {
        /// The device.
        device: String,
        /// The program's id and, where it may be seen, its name.
        program: String,
    },
    /// The driver has no XDP of its own.
    NotNative {
        /// The device.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A right is missing.
    NotPermitted(String),
    /// The sizes make no tables.
    Sizes,
    /// The kernel refused for another reason.
    Refused {
        /// To do what.
        what: String,
        /// Its words, and those of the verifier.
        said: String,
    },
}

impl Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt(missing) => {
                write!(f, "this binary was built without its XDP programs: {missing}")
            }
            Self::NoDevice => f.write_str(
                "none of the addresses is on a network device; name devices with fast_path.interfaces",
            ),
            Self::UnknownDevice(device) => write!(
                f,
                "this host has no device {device}, which `ip link` lists; see fast_path.interfaces"
            ),
            Self::Veth(device) => write!(
                f,
                "{device} is a veth, which loses packets unless its far end has an XDP program too; \
                 where that is so, name it with fast_path.interfaces"
            ),
            Self::Foreign { device, program } => write!(
                f,
                "{device} has another XDP program already ({program}), which is left alone; take it \
                 off with `ip link set dev {device} xdp off`, or name other devices with \
                 fast_path.interfaces"
            ),
            Self::NotNative { device, source } => write!(
                f,
                "the driver of {device} takes no XDP program ({source}); fast_path.generic = true \
                 lets the kernel run it for the driver, slower"
            ),
            Self::NotPermitted(what) => write!(
                f,
                "not permitted to {what}: give the process CAP_BPF, CAP_NET_ADMIN, CAP_NET_RAW and \
                 CAP_PERFMON (`setcap cap_bpf,cap_net_admin,cap_net_raw,cap_perfmon+ep` the binary, \
                 or systemd's AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_NET_RAW CAP_PERFMON)"
            ),
            Self::Sizes => f.write_str(
                "the limits make tables larger than the kernel's; lower limits.allocations",
            ),
            Self::Refused { what, said } => write!(f, "the kernel refused to {what}: {said}"),
        }
    }
}

impl LoadError {
    /// A refusal of the kernel's, with all that it said.
    #[must_use]
    pub fn refused(what: impl Into<String>, error: &(dyn Error + 'static)) -> Self {
        let what = what.into();
        match errno(error) {
            Some(Errno::EPERM | Errno::EACCES) if !is_of_verifier(error) => {
                Self::NotPermitted(what)
            }
            Some(Errno::ENOMEM) => Self::Refused {
                what,
                said: "out of memory; lower limits.allocations, or raise the memory limit of the \
                       control group"
                    .to_owned(),
            },
            _ => Self::Refused {
                what,
                said: brief(&chain(error)),
            },
        }
    }
}

/// The verifier refuses with EACCES too, and says why.
fn is_of_verifier(error: &(dyn Error + 'static)) -> bool {
    let program = error.downcast_ref::<ProgramError>();
    program.is_some_and(|error| match error {
        ProgramError::LoadError { verifier_log, .. } => !verifier_log.to_string().trim().is_empty(),
        _ => false,
    })
}

/// The number of the first error in the chain that has one.
pub(super) fn errno(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if let Some(number) = io.and_then(io::Error::raw_os_error) {
            return Some(Errno::from_raw(number));
        }
        next = inner(error).or_else(|| error.source());
    }
    None
}

/// Transparent errors leave themselves out of their chain.
fn inner<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e (dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<ProgramError>() {
        return match error {
            ProgramError::LoadError { io_error, .. } => Some(io_error),
            ProgramError::SyscallError(error) => Some(&error.io_error),
            ProgramError::MapError(error) => Some(error),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<EbpfError>() {
        return match error {
            EbpfError::MapError(error) => Some(error),
            EbpfError::ProgramError(error) => Some(error),
            _ => None,
        };
    }
    match error.downcast_ref::<MapError>()? {
        MapError::CreateError { io_error, .. } => Some(io_error),
        MapError::SyscallError(error) => Some(&error.io_error),
        _ => None,
    }
}

/// What the verifier says may be thousands of lines, of which the last ones tell; the whole of it goes
/// to the log for whoever asks for it.
fn brief(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let Some(first) = lines.len().checked_sub(LINES_MAX) else {
        return said.to_owned();
    };
    tracing::debug!("{said}");
    let last = lines.get(first..).unwrap_or(&[]);
    let start = lines.first().copied().unwrap_or_default();
    format!("{start} ... {}", last.join("; "))
}

/// An error with its causes, which some errors leave out of their text.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// Lines of the kernel's words that are shown.
const LINES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_verifier_are_cut_to_the_last_lines() {
        let long: String = (0..1_000).map(|line| format!("line {line}\n")).collect();
        let told = brief(&long);
        assert!(told.starts_with("line 0 ... line 992; "), "{told}");
        assert!(told.ends_with("line 999"), "{told}");
        assert_eq!(brief("short"), "short");
    }

    #[test]
    fn missing_right_is_told_from_the_verifiers_refusal() {
        let denied = io::Error::from_raw_os_error(Errno::EPERM as i32);
        let error = LoadError::refused("make the tables", &denied);
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        let full = io::Error::from_raw_os_error(Errno::ENOMEM as i32);
        let error = LoadError::refused("make the tables", &full);
        assert!(error.to_string().contains("limits.allocations"), "{error}");
    }

    #[test]
    fn each_error_says_what_cures_it() {
        let name = || "eth0".to_owned();
        let errors = [
            LoadError::NotBuilt("no linker; `make setup`"),
            LoadError::NoDevice,
            LoadError::UnknownDevice(name()),
            LoadError::Veth(name()),
            LoadError::Foreign {
                device: name(),
                program: "id 7".to_owned(),
            },
            LoadError::NotNative {
                device: name(),
                source: Errno::EOPNOTSUPP.into(),
            },
            LoadError::Sizes,
        ];
        for error in errors {
            let told = error.to_string();
            let cures = ["make setup", "fast_path.", "limits.allocations"];
            assert!(cures.iter().any(|cure| told.contains(cure)), "{told}");
        }
    }
}
