//! What a good configuration means, for people and for programs.

use std::fmt::{self, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::relay::Plan;

/// A configuration that passed, with what was found on this host.
pub(super) struct Report {
    pub(super) file: PathBuf,
    pub(super) plan: Plan,
    pub(super) certificate: Option<String>,
    pub(super) database: Option<String>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Nothing is written but to a String, which cannot fail.
        let _infallible = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let config = &self.plan.config;
        writeln!(out, "{}: good", self.file.display())?;
        for listen in &self.plan.listen {
            writeln!(out, "  listens on  {} {}", listen.transport, listen.address)?;
        }
        if let Some(certificate) = &self.certificate {
            writeln!(out, "  certificate {certificate}")?;
        }
        for own in &self.plan.relay {
            write!(out, "  relays from {}", own.ip)?;
            match own.external {
                Some(external) => writeln!(out, " (known outside as {external})")?,
                None => writeln!(out)?,
            }
        }
        let ports = &config.relay.ports;
        writeln!(
            out,
            "  relays on   ports {} to {}",
            ports.start(),
            ports.end()
        )?;
        writeln!(out, "  lets in     {}", self.clients())?;
        if let Some(database) = &self.database {
            writeln!(out, "  database    {database}")?;
        }
        if let Some(metrics) = config.metrics {
            writeln!(out, "  metrics on  http://{}/metrics", metrics.address)?;
        }
        let mut warnings = self.warnings.iter();
        warnings.try_for_each(|it| writeln!(out, "  warning     {it}"))
    }

    fn clients(&self) -> String {
        let auth = &self.plan.config.auth;
        if self.plan.config.anonymous {
            return "anybody, without credentials".to_owned();
        }
        let (users, secrets) = (auth.users.len(), auth.secrets.len());
        let more = match auth.database {
            Some(_) => ", and those of the database",
            None => "",
        };
        format!("{users} user(s), and holders of {secrets} shared secret(s){more}")
    }

    pub(super) fn json(&self) -> Value {
        let config = &self.plan.config;
        let listen = self.plan.listen.iter();
        let relay = self.plan.relay.iter();
        json!({
            "valid": true,
            "file": self.file,
            "realm": config.realm,
            "listen": listen.map(|it| json!({
                "transport": it.transport.to_string(),
                "address": it.address,
            })).collect::<Vec<_>>(),
            "tls": config.tls.as_ref().map(|tls| json!({
                "certificate": tls.certificate,
                "key": tls.key,
                "status": self.certificate,
            })),
            "relay": {
                "addresses": relay.map(|it| json!({
                    "address": it.ip,
                    "external": it.external,
                })).collect::<Vec<_>>(),
                "ports": [config.relay.ports.start(), config.relay.ports.end()],
            },
            "auth": {
                "anonymous": config.anonymous,
                "users": config.auth.users.len(),
                "secrets": config.auth.secrets.len(),
                "database": config.auth.database,
                "database_status": self.database,
            },
            "warnings": self.warnings,
            "metrics": config.metrics.map(|it| json!({ "address": it.address })),
        })
    }
}
