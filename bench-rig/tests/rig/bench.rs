//! turnpike-bench as a person runs it: a row with a figure, Ctrl-C, and a relay that dies.

use std::env;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use turnpike_bench_rig::report::{Report, Row};

#[test]
fn a_short_run_measures_turnpike_and_keeps_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut bench = bench(&relay(), folder.path());
    let output = bench.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report = report(folder.path());
    assert!(report.complete);
    match &only_row(&report).measured.first().unwrap().figure {
        Ok(figure) => assert!(figure.estimate.value.is_finite(), "{report:?}"),
        // On a machine that does something else meanwhile, that is the right answer.
        Err(why) => assert!(why.starts_with("no trial counted"), "{why}"),
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("CPU a relayed packet"), "{printed}");
    assert!(said.contains("about"), "no progress: {said}");
}

#[test]
fn ctrl_c_prints_what_there_is_and_leaves_no_host_and_no_program() {
    let folder = tempfile::tempdir().unwrap();
    // A copy: what runs from it is of this test alone.
    let own_relay = folder.path().join("turnpike");
    fs::copy(relay(), &own_relay).unwrap();
    let mut bench = bench(&own_relay, folder.path())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    wait_until("the relay runs", Duration::from_secs(300), || {
        !running(&own_relay).is_empty()
    });
    assert!(!namespaces(bench.id()).is_empty());
    interrupt(&bench);
    let printed = end_of(&mut bench, Duration::from_secs(3));
    assert!(printed.contains("INCOMPLETE"), "{printed}");
    assert!(!report(folder.path()).complete);
    wait_until("all is gone", Duration::from_secs(5), || {
        namespaces(bench.id()).is_empty() && running(&own_relay).is_empty()
    });
}

#[test]
fn a_relay_that_dies_under_load_gives_a_report_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let mortal = folder.path().join("mortal");
    let script = format!(
        "#!/bin/sh\n\
         [ \"$1\" = run ] || exec {relay} \"$@\"\n\
         {relay} \"$@\" &\n\
         sleep 2\n\
         echo out of luck\n\
         kill -KILL $!\n\
         exit 1\n",
        relay = relay().display()
    );
    fs::write(&mortal, script).unwrap();
    fs::set_permissions(&mortal, fs::Permissions::from_mode(0o755)).unwrap();
    let output = bench(&mortal, folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(folder.path());
    let figure = &only_row(&report).measured.first().unwrap().figure;
    let why = figure.as_ref().unwrap_err();
    assert!(why.starts_with("died under load"), "{why}");
    assert!(why.contains("out of luck"), "{why}");
}

/// One row of Turnpike alone, with short trials.
fn bench(turnpike: &Path, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike-bench"));
    command
        .args(["--only", "cpu-bursty", "--rival", "none"])
        .args(["--duration", "0.5", "--rounds", "1"])
        .arg("--turnpike")
        .arg(turnpike)
        .arg("--json")
        .arg(folder.join("report.json"));
    command
}

fn relay() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/turnpike");
    env::var_os("TURNPIKE_BIN").map_or_else(built, PathBuf::from)
}

fn report(folder: &Path) -> Report {
    let text = fs::read_to_string(folder.join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn only_row(report: &Report) -> &Row {
    let [row] = report.rows.as_slice() else {
        panic!("{report:?}");
    };
    row
}

/// Namespaces of the process with this id.
fn namespaces(maker: u32) -> Vec<String> {
    let mark = format!("turnpike-{maker}-");
    let entries = fs::read_dir("/run/netns").into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(&mark))
        .collect()
}

/// Processes that run this program.
fn running(program: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program))
        .filter(|process| {
            fs::read(process.join("cmdline"))
                .is_ok_and(|line| !line.windows(9).any(|w| w == b"--version"))
        })
        .collect()
}

fn interrupt(bench: &Child) {
    let pid = Pid::from_raw(i32::try_from(bench.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
}

/// Waits for the program's end, and returns what it printed.
fn end_of(bench: &mut Child, within: Duration) -> String {
    wait_until("the bench ends", within, || {
        bench.try_wait().unwrap().is_some()
    });
    let mut printed = String::new();
    let mut stdout = bench.stdout.take().unwrap();
    stdout.read_to_string(&mut printed).unwrap();
    printed
}

fn wait_until(what: &str, within: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !done() {
        assert!(Instant::now() < deadline, "waited {within:?} until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
