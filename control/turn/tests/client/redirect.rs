//! RFC 8489 section 10.

use turnpike_stun::{AlternateDomain, AlternateServer, Class, ErrorCode, Message, MessageBuilder};
use turnpike_stun::{AttributeType, Method};
use turnpike_turn::client::{Event, Failure, REDIRECTS_MAX, Redirect};
use turnpike_types::ServerAddr;

use crate::support_client::{Stage, address, allocated, config, response, server, signed};

const OTHER: &str = "192.0.2.2:3478";
const OTHER_IPV6: &str = "[2001:db8::2]:3478";

fn to(server: &str) -> impl FnOnce(&mut MessageBuilder<'_>) {
    let server = address(server);
    move |builder| {
        builder
            .attribute(&ErrorCode::TRY_ALTERNATE)
            .attribute(&AlternateServer(server));
    }
}

fn redirect(stage: &mut Stage) -> Redirect {
    match stage.event() {
        Event::Redirected(redirect) => *redirect,
        other => panic!("{other:?}"),
    }
}

/// Follows one redirection; `false` when the client refuses to.
fn follow(stage: &mut Stage, next: &str) -> bool {
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, to(next)));
    match stage.event() {
        Event::Redirected(redirect) => {
            stage.client.restart(stage.now, redirect.server);
            stage.drain();
            true
        }
        Event::AllocationFailed(Failure::RedirectLoop) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn authenticated_redirect_is_followed_with_the_same_credential() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&signed(&request, Class::Error, |builder| {
        to(OTHER)(builder);
        builder
            .attribute(&AlternateServer(address(OTHER_IPV6)))
            .attribute(&AlternateDomain("turn.example.org"));
    }));
    let redirect = redirect(&mut stage);
    assert_eq!(redirect.server, ServerAddr(address(OTHER)));
    assert_eq!(redirect.other_family, Some(ServerAddr(address(OTHER_IPV6))));
    assert_eq!(redirect.domain.as_deref(), Some("turn.example.org"));
    assert!(redirect.authenticated);
    stage.assert_silent();
    assert_eq!(stage.client.poll_timeout(), None);

    stage.client.restart(stage.now, redirect.server);
    stage.drain();
    assert_eq!(stage.client.server(), redirect.server);
    let request = stage.request(Method::ALLOCATE);
    let message = Message::parse(&request).unwrap();
    assert_eq!(message.raw(AttributeType::USERNAME), None);
    stage.answer(&crate::support_client::challenge(&request, 401, "theirs"));
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn redirect_before_any_challenge_is_reported_as_unauthenticated() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, to(OTHER)));
    let redirect = redirect(&mut stage);
    assert!(!redirect.authenticated);
    assert_eq!(redirect.domain, None);
}

#[test]
fn unauthenticated_redirect_of_an_authenticated_request_is_ignored() {
    let mut stage = Stage::new(config());
    stage.pass_challenge();
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, to(OTHER)));
    stage.assert_silent();
    stage.answer(&allocated(&request));
    assert_eq!(stage.event(), Event::Allocated);
}

#[test]
fn redirect_without_alternate_server_is_a_failure() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, |builder| {
        builder.attribute(&ErrorCode::TRY_ALTERNATE);
    }));
    assert_eq!(
        stage.event(),
        Event::AllocationFailed(Failure::Refused(300))
    );
}

#[test]
fn redirect_in_a_circle_is_not_followed() {
    let mut stage = Stage::new(config());
    assert!(follow(&mut stage, OTHER));
    assert!(follow(&mut stage, "192.0.2.3:3478"));
    assert!(!follow(&mut stage, OTHER));
    stage.assert_silent();
}

#[test]
fn redirect_to_the_server_itself_is_not_followed() {
    let mut stage = Stage::new(config());
    assert!(!follow(&mut stage, &server().to_string()));
}

#[test]
fn server_may_redirect_back_after_five_minutes() {
    let mut stage = Stage::new(config());
    let request = stage.request(Method::ALLOCATE);
    stage.answer(&response(&request, Class::Error, to(OTHER)));
    let redirect = redirect(&mut stage);
    stage.pass_secs(300);
    stage.client.restart(stage.now, redirect.server);
    stage.drain();
    assert!(follow(&mut stage, &server().to_string()));
}

#[test]
fn redirections_are_bounded() {
    let mut stage = Stage::new(config());
    let followed = (2..=250)
        .take_while(|last| follow(&mut stage, &format!("192.0.2.{last}:3478")))
        .count();
    assert_eq!(followed, REDIRECTS_MAX);
}
