//! `turnpike check FILE`

use std::io::{self, Write};
use std::path::Path;

use super::Failure;
use crate::config::Config;
use crate::host::Host;
use crate::relay::Plan;

pub(super) fn check(file: &Path) -> Result<(), Failure> {
    let config = Config::read(file)?;
    let plan = Plan::new(config, &Host::look()?, crate::config::TURN_PORT)?;
    plan.engine(&[], None)?.check()?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}: good", file.display())?;
    for listen in &plan.listen {
        writeln!(out, "  listens on  {}", listen.address)?;
    }
    for own in &plan.relay {
        match own.external {
            Some(external) => writeln!(
                out,
                "  relays from {} (known outside as {external})",
                own.ip
            )?,
            None => writeln!(out, "  relays from {}", own.ip)?,
        }
    }
    let ports = &plan.config.relay.ports;
    writeln!(
        out,
        "  relays on   ports {} to {}",
        ports.start(),
        ports.end()
    )?;
    let auth = &plan.config.auth;
    if plan.config.anonymous {
        writeln!(out, "  lets in     anybody, without credentials")?;
    } else {
        let (users, secrets) = (auth.users.len(), auth.secrets.len());
        writeln!(
            out,
            "  lets in     {users} user(s), and holders of {secrets} shared secret(s)"
        )?;
    }
    Ok(())
}
