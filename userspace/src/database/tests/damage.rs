//! Files that are locked, full, broken, or something else.

use std::fs;

use super::*;

const SHORT: Duration = Duration::from_millis(50);

#[test]
fn lock_of_another_program_is_named_with_what_to_do() {
    let (_folder, database) = database();
    let other = stranger(&database);
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut ours = Database::open_existing(database.path(), SHORT).unwrap();
    let read = ours.credentials(REALM, &Fixed::default()).unwrap_err();
    let written = ours.put_user(REALM, "alice", &secret("p")).unwrap_err();
    for error in [read, written] {
        assert!(matches!(error.problem(), Problem::Locked), "{error:?}");
        let said = error.to_string();
        assert!(
            said.contains("fuser -v") && said.contains("try again"),
            "{said}"
        );
    }
    other.execute_batch("COMMIT").unwrap();
    assert!(ours.put_user(REALM, "alice", &secret("p")).unwrap());
}

#[test]
fn full_disk_is_named_and_leaves_what_was_there() {
    let (_folder, mut database) = database();
    database.put_user(REALM, "alice", &secret("p")).unwrap();
    database
        .connection
        .execute_batch("PRAGMA max_page_count = 1")
        .unwrap();
    let error = (0..1_000)
        .find_map(|number| {
            let name = format!("{number}{}", "x".repeat(400));
            database.put_user(REALM, &name, &secret("p")).err()
        })
        .unwrap();
    assert!(matches!(error.problem(), Problem::Full), "{error:?}");
    assert!(read(&database).credentials.users.contains_key("alice"));
}

#[test]
fn file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database\n".repeat(100);
    fs::write(&path, &text).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(
        matches!(error.problem(), Problem::NotADatabase),
        "{error:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn damaged_pages_are_an_error_and_no_panic() {
    let (_folder, mut database) = database();
    database.put_user(REALM, "alice", &secret("p")).unwrap();
    let path = database.path().to_owned();
    drop(database);
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;
    for at in (100..whole.len()).step_by(97) {
        let mut damaged = whole.clone();
        for byte in damaged.iter_mut().skip(at).take(60) {
            *byte = !*byte;
        }
        fs::write(&path, damaged).unwrap();
        let read = Database::open(&path)
            .and_then(|database| database.credentials(REALM, &Fixed::default()));
        refused += usize::from(read.is_err());
    }
    assert!(refused > 0);
    let mut headless = whole;
    headless.truncate(1_000);
    fs::write(&path, headless).unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error.problem(), Problem::Corrupt), "{error:?}");
}

#[test]
fn database_of_another_program_is_refused_and_gets_no_tables() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bookmarks.db");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE bookmarks (url)").unwrap();
    let error = Database::open(&path).unwrap_err();
    assert!(matches!(error.problem(), Problem::NoUserTable), "{error:?}");
    let tables: i64 = other
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn missing_folder_a_folder_and_odd_names_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Database::open(&folder.path().join("missing/turnpike.db")).unwrap_err();
    assert!(matches!(error.problem(), Problem::Missing), "{error:?}");
    let error = Database::open(folder.path()).unwrap_err();
    assert!(matches!(error.problem(), Problem::Unreadable), "{error:?}");
    assert!(Database::open(Path::new("")).is_err());
}

#[test]
fn start_goes_on_without_the_database_only_where_somebody_can_use_the_relay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turnpike.db");
    fs::write(&path, "not a database".repeat(100)).unwrap();
    let alone = Source {
        path: path.clone(),
        realm: REALM.to_owned(),
        fixed: Fixed::default(),
    };
    assert!(alone.load_at_start().is_err());
    let config = crate::config::Config::embedded("guest", "password");
    let beside = Source::new(&path, &config);
    assert!(beside.load_at_start().unwrap().is_none());
    fs::remove_file(&path).unwrap();
    assert!(alone.load_at_start().unwrap().is_some());
    assert!(path.exists());
}
