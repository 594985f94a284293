//! What a refusal says and shows: the author's words, and no secret.

use super::*;

fn refusal(text: &str) -> ConfigError {
    Config::parse(text).unwrap_err()
}

#[test]
fn secrets_are_not_in_what_a_mistake_is_shown_with() {
    for text in [
        "[auth]\nsecret = [\"hunter2\"]",
        "[auth]\nsecrets = \"hunter2\"",
        "[auth]\nsecrets = [\n  \"hunter2\", 5,\n]",
        "[auth]\nsecrets = [\"hunter2\", \"\"]",
        "[auth]\nsecrets = [hunter2]",
        "[auth]\nusers = { alice = \"hunter2 }",
        "[auth]\nusers = { alice = \"hunter2\", bob = \"\" }",
        "[auth.users]\nalice = \"hunter2",
        "[ auth . users ]\nalice = \"hunter2",
        "[\"auth\"]\nsecret = \"hunter2\"",
        "auth = { secrets = \"hunter2\" }",
        "auth.users.alice = \"hunter2",
        // Where no secret belongs.
        "secret = \"hunter2\"",
        "users = { alice = \"hunter2\" }",
        "realm = \"x\"\nusers.alice = hunter2",
        "[relay]\nsecrets = [\"hunter2\"]",
        "[[listen]]\npassword = \"hunter2\"",
        "[[listen]]\ntransport = \"udp\"\naddress = \"::1\"\npassword = \"hunter2",
        "relay = { password = \"hunter2\" }",
        "[log] password = \"hunter2\"",
        "[limits]\nconnections = 5 password = \"hunter2\"",
        "realm = \"x\"\nhunter2",
        "[peers]\nallow = [\nhunter2\n]",
        "[tls]\nkey = -----BEGIN hunter2",
        "[tls]\nkey = \"-----BEGIN PRIVATE KEY----- hunter2\"\ncertificate = \"c.pem\"",
        // coturn's, read by mistake.
        "static-auth-secret=hunter2",
        "user=alice:hunter2",
        "realm=x\nlt-cred-mech\nuser=alice:hunter2",
        "[auth]\ndatabase = \"postgres://turn:hunter2@db\"",
    ] {
        let error = Config::parse(text).unwrap_err();
        assert!(error.line_column().is_some(), "{text}\n{error}");
        assert!(!error.to_string().contains("hunter2"), "{text}\n{error}");
    }
}

#[test]
fn error_shows_the_line_with_a_mark_under_it() {
    let error = Config::parse("anonymous = true\n[peers]\nallow = [\"10.0.0.1/8\"]\n").unwrap_err();
    let shown = error.in_file(Path::new("t.toml")).to_string();
    assert_eq!(
        shown,
        "t.toml:3:9: `10.0.0.1/8` has bits beyond its prefix; did you mean \"10.0.0.0/8\"?\n  |\n\
         3 | allow = [\"10.0.0.1/8\"]\n  |         ^^^^^^^^^^^^^^"
    );
}

#[test]
fn line_is_shown_for_known_keys_and_sections_alone() {
    for (text, shown) in [
        ("anonymous = 5", true),
        ("anonymous = true\n[limits]\nallocations = 0", true),
        ("anonymous = true\n[metrics]\n", true),
        ("anonymus = true", false),
        ("[limits]\nrealm = true", false),
        ("[limit]\nallocations = 0", false),
        ("[auth]\nstrict_expiry = 5", false),
    ] {
        let error = refusal(text);
        assert!(error.line_column().is_some(), "{text}");
        assert_eq!(error.to_string().contains('^'), shown, "{text}\n{error}");
    }
}

#[test]
fn file_of_coturn_is_called_that() {
    for (text, line) in [
        ("listening-port=3478\nfingerprint\nlt-cred-mech\n", 1),
        ("# coturn\nrealm=example.org\nuse-auth-secret\n", 3),
        ("  user=alice:hunter2", 1),
        ("verbose", 1),
    ] {
        let error = refusal(text);
        assert!(error.message().contains("coturn"), "{text}\n{error}");
        assert!(error.message().contains("docs/configuration.md"), "{error}");
        assert_eq!(error.line_column().unwrap().0, line, "{text}");
    }
    let ours = refusal("anonymous = true\n[limits]\nuser = 5");
    assert!(!ours.message().contains("coturn"), "{ours}");
}

#[test]
fn wrong_types_are_named_as_toml_names_them() {
    for (text, words) in [
        ("[listen]\ntransport = \"udp\"", "write [[listen]]"),
        ("[peers]\nallow = \"10.0.0.0/8\"", "write [\"10.0.0.0/8\"]"),
        ("[peers]\nallow = 5", "a list, as in"),
        ("[auth]\nsecrets = \"s\"", "a list, as in"),
        ("[auth]\nusers = [\"a\"]", "a table"),
        ("auth = 5", "a table"),
        ("realm = 5", "a string, in quotes"),
        ("anonymous = \"yes\"", "true or false"),
    ] {
        let error = refusal(text);
        assert!(error.message().contains(words), "{text}\n{error}");
        for rust in ["sequence", "map", "struct", "boolean"] {
            assert!(!error.message().contains(rust), "{text}\n{error}");
        }
    }
}

#[test]
fn key_that_stands_in_the_wrong_place_is_told_the_right_one() {
    for (text, words) in [
        ("users = { alice = \"a\" }", "`users`; it belongs in [auth]"),
        (
            "[relay]\nsecrets = [\"s\"]",
            "`secrets`; it belongs in [auth]",
        ),
        ("[auth]\nrealm = \"r\"", "it belongs at the top"),
        ("transport = \"udp\"", "it belongs in [[listen]]"),
        ("[relay]\naddress = \"::1\"", "did you mean `addresses`?"),
    ] {
        let error = refusal(text);
        assert!(error.message().contains(words), "{text}\n{error}");
    }
}
