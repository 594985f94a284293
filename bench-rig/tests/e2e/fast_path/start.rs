//! Who has the fast path, who is told why not, and what a relay leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aya::programs::loaded_programs;
use turnpike_bench_rig::load::live::far_end::FarEnd;
use turnpike_bench_rig::netns::{Hosts, Process};

use super::{SAID_WITHIN, settle};
use crate::call::Call;
use crate::hosts;
use crate::lane::{Lane, SECTION};
use crate::relay::{Relay, Setup};

/// All that the fast path needs of a user who may otherwise nothing.
const RIGHTS: &str = "-all,+bpf,+net_admin,+net_raw,+perfmon";

/// Takes them all away.
const WITHOUT_RIGHTS: &str = "exec setpriv --inh-caps=-all --bounding-set=-all \"$@\"";

fn with_shell(shell: &str) -> Setup {
    Setup {
        shell: Some(shell.to_owned()),
        ..Setup::default()
    }
}

#[test]
fn user_with_exactly_the_rights_that_are_told_has_the_fast_path() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = folder.path().display();
    // The command is the binary, `run`, `--config` and a file that only its owner may read.
    let shell = format!(
        "cp \"$1\" {place}/turnpike; cp \"$4\" {place}/turnpike.toml; chmod a+r {place}/*\n\
         exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps={RIGHTS} \
         --ambient-caps={RIGHTS} --bounding-set={RIGHTS} {place}/turnpike run --config \
         {place}/turnpike.toml"
    );
    let ground = Lane::Kernel.start(with_shell(&shell));
    settle(&ground, &mut Call::open(&ground.hosts));
}

/// What the programs do without: a bpffs, and the kernel's own types.
#[test]
fn host_without_bpffs_and_kernel_types_has_the_fast_path() {
    let shell = "exec unshare --mount sh -euc '\n\
         while umount /sys/fs/bpf 2>/dev/null; do :; done\n\
         mount -t tmpfs none /sys/fs/bpf; mount -t tmpfs none /sys/kernel/btf\n\
         exec \"$@\"' sh \"$@\"";
    let ground = Lane::Kernel.start(with_shell(shell));
    settle(&ground, &mut Call::open(&ground.hosts));
}

/// In `auto`: one line, and calls go through sockets.
#[track_caller]
fn says_and_relays(hosts: &Hosts, setup: Setup, words: &[&str]) -> Relay {
    let setup = Setup {
        sections: setup.sections.replace("require", "auto"),
        ..setup
    };
    let relay = Relay::start_with(hosts, &setup);
    let said = |line: &str| line.contains("fast path") && words.iter().all(|it| line.contains(it));
    relay
        .process
        .wait_for_line("what is missing", SAID_WITHIN, said)
        .unwrap_or_else(|error| panic!("{error}"));
    Call::open(hosts).until_carried(true);
    relay
}

/// In `require`: it ends, with the same words.
#[track_caller]
fn does_not_start(hosts: &Hosts, setup: &Setup, words: &[&str]) {
    let (status, said) = Relay::refuses(hosts, setup);
    assert!(!status.success(), "{said}");
    let words = [words, &["fast_path.mode is \"require\""]].concat();
    assert!(words.iter().all(|it| said.contains(it)), "{said}");
}

#[test]
fn without_rights_a_line_says_so_and_packets_go_through_sockets_or_nothing_starts() {
    let hosts = hosts();
    let setup = Setup {
        sections: SECTION.to_owned(),
        ..with_shell(WITHOUT_RIGHTS)
    };
    does_not_start(&hosts, &setup, &["CAP_BPF", "setcap"]);
    says_and_relays(&hosts, setup, &["CAP_BPF", "setcap"]);
}

/// The loopback has no driver that could run programs; the kernel can.
#[test]
fn device_whose_driver_cannot_is_named_unless_the_kernel_may_run_programs() {
    let hosts = hosts();
    let sections = SECTION.replace("\"peer0\"", "\"lo\"");
    let setup = Setup {
        sections: sections.clone(),
        ..Setup::default()
    };
    let words = ["the driver of lo takes no XDP program", "fast_path.generic"];
    does_not_start(&hosts, &setup, &words);
    drop(says_and_relays(&hosts, setup, &words));
    let ground = Lane::Kernel.start(Setup {
        sections: format!("{sections}generic = true\n"),
        ..Setup::default()
    });
    let said = |line: &str| line.contains("client0 (native), lo (generic)");
    ground
        .relay
        .process
        .wait_for_line("how it runs", SAID_WITHIN, said)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn program_of_somebody_else_is_named_and_left_alone() {
    let hosts = hosts();
    let _other = FarEnd::open(&hosts.relay, "peer0").unwrap();
    let before = attached(&hosts);
    assert_eq!(before.len(), 1);
    let setup = Setup {
        sections: SECTION.to_owned(),
        ..Setup::default()
    };
    let words = ["peer0 has another XDP program already (`receiver`"];
    does_not_start(&hosts, &setup, &words);
    let _relay = says_and_relays(&hosts, setup, &words);
    assert_eq!(attached(&hosts), before);
}

#[test]
fn end_of_any_kind_leaves_nothing_in_the_kernel() {
    let ends: [fn(&mut Process); 2] = [
        |relay| assert!(relay.terminate(SAID_WITHIN).unwrap().success()),
        |relay| {
            relay.signal(rustix::process::Signal::KILL);
            relay.wait(SAID_WITHIN).unwrap();
        },
    ];
    for end in ends {
        let mut ground = Lane::Kernel.start(Setup::default());
        let programs = attached(&ground.hosts);
        assert_eq!(programs.len(), 2, "one a device");
        assert!(programs.iter().all(|id| is_loaded(*id)));
        end(&mut ground.relay.process);
        assert_eq!(attached(&ground.hosts), Vec::<u32>::new());
        assert!(!programs.iter().any(|id| is_loaded(*id)), "{programs:?}");
    }
}

/// The ids of the XDP programs on the relay host's devices.
fn attached(hosts: &Hosts) -> Vec<u32> {
    let shown = hosts.relay.run("ip", ["-d", "link", "show"]).unwrap();
    let ids = shown.split("prog/xdp id ").skip(1);
    ids.map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap())
        .collect()
}

/// Whether the kernel has a program, attached or not.
fn is_loaded(id: u32) -> bool {
    let mut all = loaded_programs().filter_map(Result::ok);
    all.any(|program| program.id() == id)
}
