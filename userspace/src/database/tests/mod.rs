//! Real files, and everything that may stand in them.

mod damage;
mod hostile;

use std::os::unix::fs::PermissionsExt;

use rusqlite::Connection;
use tempfile::TempDir;
use turnpike_turn::server::{SECRETS_MAX, UserKeys};

use super::*;
use crate::config::Secret;

const REALM: &str = "example.org";

/// A folder of its own, gone with the test, and a database in it.
fn database() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("turnpike.db")).unwrap();
    (folder, database)
}

fn secret(text: &str) -> Secret {
    Secret::new(text)
}

fn read(database: &Database) -> Reading {
    database.credentials(REALM, &Fixed::default()).unwrap()
}

/// Another program's connection.
fn stranger(database: &Database) -> Connection {
    Connection::open(database.path()).unwrap()
}

#[test]
fn new_database_is_its_owners_alone_and_has_coturns_tables() {
    let (_folder, database) = database();
    let mode = std::fs::metadata(database.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let tables: Vec<String> = database.tables().unwrap().into_iter().collect();
    assert_eq!(tables, ["turn_secret", "turnusers_lt"]);
    let journal: String = stranger(&database)
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(journal, "delete");
}

#[test]
fn user_that_is_put_has_both_keys_and_goes_when_removed() {
    let (_folder, mut database) = database();
    assert!(database.put_user(REALM, "alice", &secret("one")).unwrap());
    assert!(!database.put_user(REALM, "alice", &secret("two")).unwrap());
    let users = read(&database).credentials.users;
    let keys = UserKeys::of_password("alice", REALM, "two").unwrap();
    assert_eq!(users.get("alice"), Some(&keys));
    assert_eq!(users.len(), 1);
    let elsewhere = database
        .credentials("elsewhere", &Fixed::default())
        .unwrap();
    assert!(elsewhere.credentials.users.is_empty());
    assert!(database.remove_user(REALM, "alice").unwrap());
    assert!(!database.remove_user(REALM, "alice").unwrap());
    assert!(read(&database).credentials.users.is_empty());
}

#[test]
fn sha256_key_counts_only_with_the_md5_key_it_was_made_with() {
    let (_folder, mut database) = database();
    database
        .put_user(REALM, "alice", &secret("password"))
        .unwrap();
    let other = UserKeys::of_password("alice", REALM, "other").unwrap();
    stranger(&database)
        .execute(
            "UPDATE turnusers_lt SET hmackey = ?1",
            [hex::encode(&other.md5.reveal::<16>())],
        )
        .unwrap();
    let users = read(&database).credentials.users;
    let keys = users.get("alice").unwrap();
    assert_eq!((keys.md5, keys.sha256), (other.md5, None));
}

#[test]
fn user_is_the_same_by_either_form_of_the_name() {
    let (decomposed, composed) = ("jose\u{301}", "jos\u{e9}");
    let (_folder, mut database) = database();
    // As a program that knows nothing of OpaqueString keeps it.
    stranger(&database)
        .execute(
            "INSERT INTO turnusers_lt VALUES (?1, ?2, ?3)",
            [REALM, decomposed, &"0".repeat(32)],
        )
        .unwrap();
    assert!(read(&database).credentials.users.contains_key(composed));
    assert!(!database.put_user(REALM, decomposed, &secret("p")).unwrap());
    let users = read(&database).credentials.users;
    let keys = UserKeys::of_password(composed, REALM, "p").unwrap();
    assert_eq!((users.len(), users.get(composed)), (1, Some(&keys)));
    assert!(database.remove_user(REALM, decomposed).unwrap());
    assert!(read(&database).credentials.users.is_empty());
}

#[test]
fn names_and_passwords_that_no_client_could_send_are_refused() {
    let (_folder, mut database) = database();
    let long = "x".repeat(513);
    for (name, password) in [
        ("", "p"),
        ("a\u{7}", "p"),
        (&*long, "p"),
        ("a", ""),
        ("a", "\n"),
    ] {
        let refused = database
            .put_user(REALM, name, &secret(password))
            .unwrap_err();
        assert!(matches!(refused.problem(), Problem::Forbidden), "{refused}");
    }
    assert!(read(&database).credentials.users.is_empty());
}

#[test]
fn secrets_are_added_once_up_to_the_bound_and_removed() {
    let (_folder, mut database) = database();
    for number in 0..SECRETS_MAX {
        let one = secret(&format!("secret {number}"));
        assert!(database.add_secret(REALM, &one).unwrap());
        assert!(!database.add_secret(REALM, &one).unwrap());
    }
    let refused = database.add_secret(REALM, &secret("more")).unwrap_err();
    assert!(matches!(refused.problem(), Problem::TooManySecrets));
    assert!(database.remove_secret(REALM, &secret("secret 3")).unwrap());
    assert!(!database.remove_secret(REALM, &secret("secret 3")).unwrap());
    assert_eq!(database.secrets(REALM).unwrap().len(), SECRETS_MAX - 1);
    for bad in ["", "two\nlines", &"x".repeat(SECRET_BYTES_MAX + 1)] {
        let refused = database.add_secret(REALM, &secret(bad)).unwrap_err();
        assert!(matches!(refused.problem(), Problem::BadSecret), "{refused}");
    }
}

#[test]
fn fingerprints_tell_secrets_and_realms_apart() {
    let one = fingerprint(REALM, &secret("north"));
    assert_eq!(one.len(), 8);
    assert_eq!(one, fingerprint(REALM, &secret("north")));
    assert_ne!(one, fingerprint(REALM, &secret("south")));
    assert_ne!(one, fingerprint("elsewhere", &secret("north")));
}

#[test]
fn configuration_wins_and_takes_its_share_of_secrets() {
    let (_folder, mut database) = database();
    for name in ["alice", "bob"] {
        database.put_user(REALM, name, &secret("stored")).unwrap();
    }
    for number in 0..SECRETS_MAX {
        let one = secret(&format!("secret {number:2}"));
        database.add_secret(REALM, &one).unwrap();
    }
    let text = "[auth]\nusers = { alice = \"a\" }\nsecrets = [\"secret  0\", \"own\"]";
    let config = crate::config::Config::parse(text).unwrap();
    let reading = database
        .credentials(REALM, &Fixed::of(&config.auth))
        .unwrap();
    assert_eq!(
        reading.credentials.users.keys().collect::<Vec<_>>(),
        ["bob"]
    );
    assert!(!reading.credentials.secrets.contains(&secret("secret  0")));
    assert_eq!(reading.credentials.secrets.len(), SECRETS_MAX - 2);
    assert_eq!(reading.skipped.excess_secrets, 1);
    assert!(
        reading
            .skipped
            .to_string()
            .contains("1 secret(s) are not used")
    );
}

#[test]
fn users_of_several_pages_are_all_read_and_more_than_the_bound_refused() {
    let (_folder, database) = database();
    let users = PAGE_ROWS * 2 + 1;
    stranger(&database)
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
             INSERT INTO turnusers_lt SELECT iif(i % 3, ?2, 'other'), 'user' || i, \
             format('%032x', i) FROM n",
            rusqlite::params![users as i64 * 3 / 2 + 2, REALM],
        )
        .unwrap();
    let all = read(&database).credentials.users.len();
    assert!(all >= users, "{all}");
    let none = Fixed::default();
    let exactly = database.read(REALM, &none, all, || false).unwrap();
    assert_eq!(exactly.credentials.users.len(), all);
    let refused = database.read(REALM, &none, all - 1, || false).unwrap_err();
    assert!(matches!(refused.problem(), Problem::TooManyUsers));
    assert!(refused.to_string().contains("more than 5000000 users"));
    let stopped = database.read(REALM, &none, all, || true).unwrap_err();
    assert!(matches!(stopped.problem(), Problem::Stopped));
}
