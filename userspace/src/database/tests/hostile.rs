//! Rows that no honest program wrote.

use rusqlite::types::Value;

use super::*;

const KEY: &str = "0123456789abcdef0123456789ABCDEF";

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn insert(database: &Database, table: &str, row: &[Value]) {
    let places = vec!["?"; row.len()].join(", ");
    stranger(database)
        .execute(
            &format!("INSERT INTO {table} VALUES ({places})"),
            rusqlite::params_from_iter(row),
        )
        .unwrap();
}

#[test]
fn hostile_rows_are_skipped_counted_and_named_without_a_key() {
    let (_folder, database) = database();
    let huge = "h".repeat(10 << 20);
    let hostile = [
        (Value::Null, text(KEY)),
        (Value::Blob(b"blob".to_vec()), text(KEY)),
        (text(""), text(KEY)),
        (text(&huge), text(KEY)),
        (text(&"x".repeat(513)), text(KEY)),
        (text("no key"), Value::Null),
        (text("blob key"), Value::Blob(KEY.into())),
        (text("huge key"), text(&huge)),
        (text("short key"), text(&KEY[1..])),
        (text("long key"), text(&format!("{KEY}0"))),
        (text("no hex"), text(&KEY.replace('f', "g"))),
        (text("no ASCII"), text(&"\u{e9}".repeat(16))),
    ];
    for (name, key) in &hostile {
        insert(
            &database,
            "turnusers_lt",
            &[text(REALM), name.clone(), key.clone()],
        );
    }
    stranger(&database)
        .execute(
            "INSERT INTO turnusers_lt VALUES (?1, CAST(x'ff80' AS TEXT), ?2)",
            [REALM, KEY],
        )
        .unwrap();
    insert(
        &database,
        "turnusers_lt",
        &[Value::Null, text("nowhere"), text(KEY)],
    );
    insert(
        &database,
        "turnusers_lt",
        &[text(REALM), text("good"), text(KEY)],
    );
    let reading = read(&database);
    assert_eq!(
        reading.credentials.users.keys().collect::<Vec<_>>(),
        ["good"]
    );
    assert_eq!(reading.skipped.users, hostile.len() + 1);
    assert_eq!(reading.skipped.rows, [1, 2, 3, 4, 5]);
    let said = reading.skipped.to_string();
    assert!(
        said.starts_with("13 malformed row(s) in turnusers_lt"),
        "{said}"
    );
    assert!(
        said.contains("rowid 1, 2, 3, 4, 5, ..") && said.len() < 300,
        "{said}"
    );
    assert!(!said.contains(KEY));
}

#[test]
fn hostile_sha256_keys_leave_the_md5_key_as_it_is() {
    let (_folder, mut database) = database();
    database.put_user(REALM, "alice", &secret("p")).unwrap();
    let other = stranger(&database);
    for key in [
        Value::Null,
        Value::Integer(7),
        text(KEY),
        text(&"g".repeat(64)),
        Value::Blob(vec![0; 1 << 20]),
    ] {
        other
            .execute("UPDATE turnpike_keys SET sha256key = ?1", [key])
            .unwrap();
        let reading = read(&database);
        let keys = reading.credentials.users.get("alice").unwrap();
        assert_eq!((keys.sha256, reading.skipped.users), (None, 0));
    }
}

#[test]
fn hostile_secrets_are_skipped_and_counted() {
    let (_folder, database) = database();
    for value in [
        Value::Null,
        text(""),
        Value::Blob(b"blob".to_vec()),
        text(&"x".repeat(10 << 20)),
        text("north"),
    ] {
        insert(&database, "turn_secret", &[text(REALM), value]);
    }
    let reading = read(&database);
    assert_eq!(reading.credentials.secrets, [secret("north")]);
    assert_eq!(reading.skipped.secrets, 4);
    assert!(
        reading
            .skipped
            .to_string()
            .contains("4 malformed row(s) in turn_secret")
    );
}

#[test]
fn tables_of_other_columns_are_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE turnusers_lt (a, b); CREATE TABLE turn_secret (c)")
        .unwrap();
    let database = Database::open(&path).unwrap();
    let error = database.credentials(REALM, &Fixed::default()).unwrap_err();
    assert!(matches!(error.problem(), Problem::Sqlite(_)), "{error}");
}

#[test]
fn nothing_that_is_printed_shows_a_secret_a_key_or_a_name() {
    let (_folder, mut database) = database();
    database
        .put_user(REALM, "alice", &secret("hunter2hunter2"))
        .unwrap();
    database.add_secret(REALM, &secret("north-secret")).unwrap();
    let reading = read(&database);
    let key = reading.credentials.users.get("alice").unwrap().md5;
    let refused = database.put_user(REALM, "alice", &secret("hunter2\n"));
    let shown = format!(
        "{database:?} {reading:?} {refused:?} {:?}",
        database.secrets(REALM)
    );
    for hidden in [
        "hunter2",
        "north",
        "alice",
        &hex::encode(&key.reveal::<16>()),
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
