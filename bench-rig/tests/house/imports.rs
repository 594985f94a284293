//! Arrows only point down: which package of the house may depend on which, and which outside crates
//! may be used in one place only (docs/architecture.md).

use cargo_metadata::{DependencyKind, Package};

use super::{assert_none, metadata};

/// Each package with the packages of the house that it may depend on.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("turnpike-types", &[]),
    ("turnpike-stun", &["turnpike-types"]),
    ("turnpike-turn", &["turnpike-types", "turnpike-stun"]),
    ("turnpike-ice", &["turnpike-types", "turnpike-stun"]),
    ("turnpike-sctp", &["turnpike-types"]),
    ("turnpike-datachannel", &["turnpike-types", "turnpike-sctp"]),
    ("turnpike-srtp", &["turnpike-types"]),
    ("turnpike-webrtc", ENGINES),
    ("turnpike-sim", &["turnpike-types"]),
    ("turnpike-fuzz", ENGINES),
    ("turnpike-abi", &[]),
    (
        "turnpike-dataplane",
        &["turnpike-types", "turnpike-abi", "turnpike-ebpf-builder"],
    ),
    ("turnpike", ABOVE_THE_ENGINES),
    ("turnpike-ebpf-builder", &[]),
    ("turnpike-generator-layout", &[]),
    ("turnpike-bench-rig", EVERYTHING),
];

const ENGINES: &[&str] = &[
    "turnpike-types",
    "turnpike-stun",
    "turnpike-turn",
    "turnpike-ice",
    "turnpike-sctp",
    "turnpike-datachannel",
    "turnpike-srtp",
    "turnpike-webrtc",
];

const ABOVE_THE_ENGINES: &[&str] = &[
    "turnpike-types",
    "turnpike-stun",
    "turnpike-turn",
    "turnpike-ice",
    "turnpike-sctp",
    "turnpike-datachannel",
    "turnpike-srtp",
    "turnpike-webrtc",
    "turnpike-abi",
    "turnpike-dataplane",
];

const EVERYTHING: &[&str] = &[
    "turnpike-types",
    "turnpike-stun",
    "turnpike-turn",
    "turnpike-ice",
    "turnpike-sctp",
    "turnpike-datachannel",
    "turnpike-srtp",
    "turnpike-webrtc",
    "turnpike-sim",
    "turnpike-abi",
    "turnpike-dataplane",
    "turnpike-ebpf-builder",
    "turnpike-generator-layout",
    "turnpike",
];

/// Rooms that tests may look into, beside what the package itself may import.
const TESTS_MAY_IMPORT: &[&str] = &["turnpike-sim", "turnpike-types"];

/// Outside crates with the only packages that may depend on them.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("io-uring", &["turnpike"]),
    ("aya", &["turnpike-dataplane", "turnpike-bench-rig"]),
    ("aya-obj", &["turnpike-dataplane", "turnpike-bench-rig"]),
];

/// Declared dependency: who, on what, as what.
struct Arrow {
    from: String,
    to: String,
    kind: DependencyKind,
}

#[test]
fn no_arrow_points_up() {
    assert_none(&complaints(&arrows(&metadata().packages)));
}

#[test]
fn every_package_of_the_workspace_has_its_row() {
    let metadata = metadata();
    let strangers: Vec<String> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .filter(|name| row(name).is_none())
        .collect();
    assert_none(&strangers);
}

#[test]
fn an_upward_arrow_is_found() {
    for (from, to, kind) in [
        ("turnpike-types", "turnpike-stun", DependencyKind::Normal),
        ("turnpike-stun", "turnpike-turn", DependencyKind::Normal),
        ("turnpike-turn", "turnpike", DependencyKind::Normal),
        ("turnpike-turn", "turnpike", DependencyKind::Development),
        ("turnpike-turn", "turnpike-sim", DependencyKind::Normal),
        ("turnpike-sim", "turnpike-turn", DependencyKind::Build),
        (
            "turnpike-dataplane",
            "turnpike-turn",
            DependencyKind::Normal,
        ),
        (
            "turnpike",
            "turnpike-bench-rig",
            DependencyKind::Development,
        ),
        (
            "turnpike-dataplane",
            "turnpike-generator-layout",
            DependencyKind::Normal,
        ),
        (
            "turnpike-unheard-of",
            "turnpike-types",
            DependencyKind::Normal,
        ),
        ("turnpike-turn", "io-uring", DependencyKind::Normal),
        ("turnpike", "aya", DependencyKind::Normal),
    ] {
        let arrow = Arrow {
            from: from.into(),
            to: to.into(),
            kind,
        };
        assert_eq!(complaints(&[arrow]).len(), 1, "{from} -> {to} ({kind})");
    }
}

#[test]
fn a_downward_arrow_is_fine() {
    for (from, to, kind) in [
        ("turnpike-turn", "turnpike-stun", DependencyKind::Normal),
        ("turnpike-turn", "turnpike-sim", DependencyKind::Development),
        ("turnpike", "io-uring", DependencyKind::Normal),
        ("turnpike-turn", "hashbrown", DependencyKind::Normal),
    ] {
        let arrow = Arrow {
            from: from.into(),
            to: to.into(),
            kind,
        };
        assert_none(&complaints(&[arrow]));
    }
}

fn arrows(packages: &[Package]) -> Vec<Arrow> {
    let arrows: Vec<Arrow> = packages
        .iter()
        .flat_map(|package| {
            package.dependencies.iter().map(|dependency| Arrow {
                from: package.name.to_string(),
                to: dependency.name.clone(),
                kind: dependency.kind,
            })
        })
        .collect();
    assert!(
        arrows.iter().any(|arrow| arrow.from == "turnpike"),
        "cargo metadata lists too little"
    );
    arrows
}

fn complaints(arrows: &[Arrow]) -> Vec<String> {
    arrows
        .iter()
        .filter(|arrow| !may(arrow))
        .map(complaint)
        .collect()
}

fn complaint(arrow: &Arrow) -> String {
    let Arrow { from, to, kind } = arrow;
    format!("{from} may not depend on {to} ({kind} dependency)")
}

fn may(arrow: &Arrow) -> bool {
    let from = arrow.from.as_str();
    let to = arrow.to.as_str();
    if let Some((_, only)) = OUTSIDE.iter().find(|(outside, _)| *outside == to) {
        return only.contains(&from);
    }
    if !to.starts_with("turnpike") {
        return true;
    }
    let in_tests = arrow.kind == DependencyKind::Development && TESTS_MAY_IMPORT.contains(&to);
    row(from).is_some_and(|allowed| in_tests || allowed.contains(&to))
}

fn row(package: &str) -> Option<&'static [&'static str]> {
    MAY_IMPORT
        .iter()
        .find(|(name, _)| *name == package)
        .map(|(_, allowed)| *allowed)
}
