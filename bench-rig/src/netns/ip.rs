//! Runs iproute2's `ip` and ethtool. Text in, text out: netlink would be faster, not simpler.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::NetnsError;
use super::host::NAMESPACES;

/// Runs `ip` with these arguments.
pub(super) fn ip(args: &[&str]) -> Result<String, NetnsError> {
    let output = Command::new("ip")
        .args(args)
        .output()
        .map_err(NetnsError::spawning("ip"))?;
    checked(&format!("ip {}", args.join(" ")), &output)
}

/// Runs the lines of `script` as one `ip -batch` inside a namespace, and stops at the first error.
pub(super) fn batch(namespace: &str, script: &str) -> Result<String, NetnsError> {
    // Not `ip -n`: that mounts a new /sys, which not every container lets it do.
    let mut child = Command::new("nsenter")
        .arg(format!("--net={NAMESPACES}/{namespace}"))
        .args(["--", "ip", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NetnsError::spawning("nsenter"))?;
    // `ip` may end before it has read all of it, and then its own words say why.
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(script.as_bytes()),
        None => Ok(()),
    };
    let output = child
        .wait_with_output()
        .map_err(NetnsError::system("waiting for ip -batch"))?;
    let command = format!("ip -batch in {namespace} <<<\"{script}\"");
    let said = checked(&command, &output)?;
    written.map_err(NetnsError::system("writing to ip -batch"))?;
    Ok(said)
}

/// Judges how a program ended, and tells missing rights from other failures.
pub(super) fn checked(command: &str, output: &Output) -> Result<String, NetnsError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if said.contains("Operation not permitted") || said.contains("Permission denied") {
        return Err(NetnsError::Rights { said });
    }
    let said = if said.is_empty() {
        output.status.to_string()
    } else {
        said
    };
    Err(NetnsError::Failed {
        command: command.to_owned(),
        said,
    })
}
