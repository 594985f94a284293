//! The schema and the example: they say what the parser does.

use serde_json::Value;
use turnpike_turn::server;

use super::super::schema::{schema, sections};
use super::super::units;
use super::*;

/// Sets every key of the example that is left at its default.
fn with_every_key(example: &str) -> String {
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => format!("{key}\n"),
        _ => format!("{line}\n"),
    };
    example.lines().map(uncommented).collect()
}

#[test]
fn example_is_good_as_it_is_and_with_every_key_set() {
    let as_it_is = Config::parse(&example()).unwrap();
    assert_eq!(as_it_is.limits.connections, None);
    assert!(as_it_is.tls.is_none());
    let full = Config::parse(&with_every_key(&example())).unwrap();
    assert_eq!(full.limits.connections, Some(16_384));
    assert_eq!(full.relay.addresses.len(), 2);
    assert!(full.tls.is_some() && full.metrics.is_some());
}

#[test]
fn example_names_and_explains_every_key_of_the_schema() {
    let full: toml::Table = with_every_key(&example()).parse().unwrap();
    let schema = schema();
    let mut keys = 0;
    for section in sections(&schema) {
        let table = match full.get(section.name) {
            Some(toml::Value::Array(tables)) => tables[0].as_table().unwrap(),
            Some(table) => table.as_table().unwrap(),
            None => &full,
        };
        for key in &section.keys {
            let path = key.path(&section);
            assert!(table.contains_key(key.name), "{path}");
            assert!(key.about.len() > 20, "{path} is not explained");
            assert!(key.default.or(key.example).is_some(), "{path}");
            keys += 1;
        }
        assert!(
            section.about.len() > 20,
            "{} is not explained",
            section.name
        );
    }
    assert!(keys > 35, "{keys}");
}

#[test]
fn schema_refuses_unknown_keys_and_knows_what_is_needed() {
    let schema = schema();
    assert_eq!(schema["additionalProperties"], false);
    let listen = &schema["properties"]["listen"]["items"];
    assert_eq!(listen["additionalProperties"], false);
    assert_eq!(
        listen["required"],
        serde_json::json!(["transport", "address"])
    );
    let transports = serde_json::json!(["udp", "tcp", "tls"]);
    assert_eq!(listen["properties"]["transport"]["enum"], transports);
    assert_eq!(schema["properties"]["realm"]["type"], "string");
    assert!(!schema.to_string().contains("null"), "{schema:#}");
}

#[test]
fn defaults_of_the_schema_are_those_of_the_engine() {
    let schema = schema();
    let default = |path: &str| {
        let (section, key) = path.split_once('.').unwrap();
        schema["properties"][section]["properties"][key]["default"].clone()
    };
    let lifetime = |path: &str| units::duration(default(path).as_str().unwrap()).unwrap();
    let engine = server::Config::default();
    let limits = engine.limits;
    assert_eq!(default("limits.allocations"), limits.allocations);
    assert_eq!(
        default("limits.allocations_per_user"),
        limits.allocations_per_user
    );
    assert_eq!(
        default("limits.permissions_per_allocation"),
        limits.permissions_per_allocation
    );
    assert_eq!(
        default("limits.channels_per_allocation"),
        limits.channels_per_allocation
    );
    assert_eq!(lifetime("limits.lifetime"), engine.lifetimes.allocation);
    assert_eq!(
        lifetime("limits.lifetime_max"),
        engine.lifetimes.allocation_max
    );
    assert_eq!(lifetime("auth.nonce_lifetime"), engine.nonce_lifetime);
    assert_eq!(default("peers.min_port"), engine.peers.min_port);
    let ports = format!("{}-{}", RELAY_PORTS.start(), RELAY_PORTS.end());
    assert_eq!(default("relay.ports"), Value::from(ports));
    assert_eq!(schema["properties"]["realm"]["default"], REALM);
}
