//! Addresses decided, and what the engine is told.

use super::*;

fn plan(text: &str) -> Result<Plan, PlanError> {
    Plan::new(Config::parse(text).unwrap(), &Host::look().unwrap(), 3_478)
}

#[test]
fn wildcard_listens_on_each_address_of_its_family() {
    let text = "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"0.0.0.0:4000\"\n\
                [[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:4000\"";
    let plan = plan(text).unwrap();
    let loopback: SocketAddr = "127.0.0.1:4000".parse().unwrap();
    assert_eq!(
        plan.listen
            .iter()
            .filter(|it| it.address == loopback)
            .count(),
        1
    );
    assert!(
        plan.listen
            .iter()
            .all(|it| it.address.is_ipv4() && !it.address.ip().is_unspecified())
    );
}

#[test]
fn relay_address_of_another_host_is_refused_by_name() {
    let refused = plan("anonymous = true\n[relay]\naddresses = [\"192.0.2.1\"]").unwrap_err();
    assert!(refused.to_string().contains("192.0.2.1"), "{refused}");
}

#[test]
fn listeners_and_metrics_of_another_host_are_refused_by_name() {
    let listen = |address| {
        format!("anonymous = true\n[[listen]]\ntransport = \"tcp\"\naddress = \"{address}\"\n")
    };
    let refused = plan(&listen("192.0.2.1:3478")).unwrap_err().to_string();
    assert!(refused.contains("tcp 192.0.2.1:3478"), "{refused}");
    let refused = plan(&listen("2001:db8::2:3478")).unwrap_err().to_string();
    assert!(
        refused.contains("write \"[2001:db8::2]:3478\""),
        "{refused}"
    );
    let metrics = |address| {
        format!(
            "{}[metrics]\naddress = \"{address}\"",
            listen("127.0.0.1:0")
        )
    };
    let refused = plan(&metrics("192.0.2.1:9641")).unwrap_err().to_string();
    assert!(
        refused.contains("metrics address 192.0.2.1:9641"),
        "{refused}"
    );
    plan(&metrics("0.0.0.0:9641")).unwrap();
    plan(&metrics("127.0.0.77:9641")).unwrap();
}

#[test]
fn limits_and_users_reach_the_engine() {
    let text = "realm = \"r\"\n[auth]\nusers = { alice = \"a\" }\nsecrets = [\"s\"]\n\
                [limits]\nallocations = 7\nallocations_per_user = 3\n[peers]\nmin_port = 1";
    let plan = plan(text).unwrap();
    let listener = ServerAddr(plan.listen[0].address);
    let engine = plan.engine(&[listener], Some(("guest", "g"))).unwrap();
    assert_eq!(engine.check(), Ok(()));
    assert_eq!(
        (
            engine.limits.allocations,
            engine.limits.allocations_per_user
        ),
        (7, 3)
    );
    assert_eq!(
        (engine.credentials.users(), engine.credentials.secrets()),
        (2, 1)
    );
    assert_eq!(engine.peers.min_port, 1);
    assert_eq!(engine.services, [listener.0]);
}

#[test]
fn metrics_are_a_service_on_each_address_that_serves_them() {
    let text = "anonymous = true\n[[listen]]\ntransport = \"udp\"\naddress = \"127.0.0.1:4000\"\n\
                [relay]\naddresses = [\"127.0.0.1\", \"::1\"]";
    let mut plan = plan(text).unwrap();
    let listener = ServerAddr(plan.listen[0].address);
    for (metrics, expected) in [
        ("192.0.2.9:9641", vec!["192.0.2.9:9641"]),
        ("[::]:9641", vec!["127.0.0.1:9641", "[::1]:9641"]),
    ] {
        let address = metrics.parse().unwrap();
        plan.config.metrics = Some(MetricsConfig { address });
        let engine = plan.engine(&[listener], None).unwrap();
        let expected: Vec<SocketAddr> = expected.iter().map(|it| it.parse().unwrap()).collect();
        assert_eq!(engine.services, [&[listener.0], &expected[..]].concat());
    }
}

#[test]
fn stored_users_reach_the_engine_and_the_configuration_wins() {
    let text = "realm = \"r\"\n[auth]\nusers = { alice = \"a\" }\nsecrets = [\"s\"]";
    let mut plan = plan(text).unwrap();
    for name in ["alice", "bob"] {
        let keys = UserKeys::of_password(name, "r", "stored").unwrap();
        let keys = UserKeys {
            sha256: None,
            ..keys
        };
        plan.stored.users.insert(name.to_owned(), keys);
    }
    plan.stored.secrets.push(config::Secret::new("t"));
    let credentials = plan.engine(&[], None).unwrap().credentials;
    assert_eq!((credentials.users(), credentials.secrets()), (2, 2));
    assert!(!credentials.offers_sha256());
    plan.stored.users.remove("bob");
    // The configuration's alice has a key that the stored one lacks.
    assert!(plan.engine(&[], None).unwrap().credentials.offers_sha256());
}

#[test]
fn shards_are_as_asked_or_configured_and_never_more_than_pairs_of_ports() {
    let mut plan = plan("anonymous = true\n[relay]\nports = \"50000-50007\"").unwrap();
    plan.config.limits.allocations = Some(7);
    assert!(plan.shards(None) >= 1);
    plan.config.runtime.shards = Some(2);
    assert_eq!(
        [None, Some(3), Some(0), Some(9)].map(|it| plan.shards(it)),
        [1, 3, 1, 4]
    );
    assert_eq!((plan.entries_max(1), plan.entries_max(2)), (7 * 16, 4 * 16));
    let engine = plan.engine(&[], None).unwrap();
    let shard = ShardSlice { index: 1, count: 2 };
    let own = share(&engine, shard);
    assert_eq!((own.shard, own.limits.allocations), (shard, 4));
}

#[test]
fn password_with_a_control_character_is_refused_by_user() {
    let plan = plan("[auth]\nusers = { alice = \"a\\u0007b\" }").unwrap();
    let refused = plan.engine(&[], None).unwrap_err();
    assert!(matches!(refused, PlanError::Forbidden(name) if name == "alice"));
}

#[test]
fn connections_leave_half_of_the_descriptors() {
    let mut plan = plan("anonymous = true\n[limits]\nconnections = 100").unwrap();
    assert_eq!(plan.leave_descriptors(1_000), None);
    assert_eq!(plan.config.limits.connections, Some(100));
    assert_eq!(plan.leave_descriptors(64), Some(32));
    assert_eq!(plan.config.limits.connections, Some(32));
    plan.config.limits.connections = None;
    assert_eq!(plan.leave_descriptors(0), Some(1));
}

#[test]
fn shards_are_so_few_that_each_has_room_unless_asked() {
    let mut plan = plan("anonymous = true\n[runtime]\nshards = 4").unwrap();
    assert_eq!(plan.shards(None), 4);
    for (allocations, shards) in [(2, 1), (127, 1), (128, 2), (255, 3), (256, 4)] {
        plan.config.limits.allocations = Some(allocations);
        assert_eq!(plan.shards(None), shards, "{allocations}");
        assert_eq!(plan.shards(Some(4)), 4);
    }
    plan.config.relay.ports = 50_000..=50_127;
    assert_eq!(plan.shards(None), 2);
    plan.config.runtime.shards = None;
    assert!((1..=2).contains(&plan.shards(None)));
}
